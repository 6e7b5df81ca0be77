//! The server goes down in order: everybody is told, nobody is taken in.

use parlour_core::client::CloseCause;
use parlour_core::room::CloseReason;
use parlour_tests::{LinkConfig, Options, World};

use crate::s;

#[test]
fn everybody_is_told_and_nobody_is_taken_in() {
    let mut world = World::new("everybody_is_told_and_nobody_is_taken_in");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small().over(LinkConfig::WEAK));
    let other = world.joined("other", Options::default().in_room("blue"));
    let (server, clock) = world.server_and_clock();
    server.shutdown(clock);
    world.run_until("all are told", s(2), |world| {
        [alice, bob, other]
            .iter()
            .all(|party| world.closed(*party).is_some())
    });
    for party in [alice, bob, other] {
        let shutdown = CloseCause::Closed(CloseReason::ServerShutdown);
        assert_eq!(world.closed(party), Some(shutdown));
    }
    let late = world.join("late", Options::default());
    world.run_for(s(10));
    assert!(!world.is_joined(late));
    assert!(world.present("green").is_empty());
    let accounting = world.server().accounting();
    assert_eq!(
        (
            accounting.rooms,
            accounting.participants,
            accounting.connection_ids
        ),
        (0, 0, 0),
        "{accounting:?}"
    );
}
