//! The session ends for all; the room stays, and its next session is another one.

use parlour_core::client::{CloseCause, Commands as _, RequestFailure};
use parlour_core::room::{CloseReason, RoomId};
use parlour_core::server;
use parlour_core::signal::Refusal;
use parlour_tests::{Options, World};

use crate::s;

#[test]
fn a_moderator_ends_the_session_for_all() {
    let mut world = World::new("a_moderator_ends_the_session_for_all");
    let host = world.joined("host", Options::moderator());
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    let session = world.device(alice).session();
    let asked = world.ask(alice, |device| device.end_session());
    assert_eq!(asked, Err(RequestFailure::Refused(Refusal::NotPermitted)));
    assert_eq!(world.present("green").len(), 3);

    let asked = world.device(host).end_session().unwrap();
    world.run_until("all are out", s(3), |world| {
        [host, alice, bob]
            .iter()
            .all(|party| world.closed(*party).is_some())
    });
    assert!(matches!(world.reply(host, asked), Some(Ok(_))));
    for party in [host, alice, bob] {
        let ended = CloseCause::Closed(CloseReason::SessionEnded);
        assert_eq!(world.closed(party), Some(ended));
    }
    world.run_for(s(3));
    assert_eq!(world.authority("green"), None);
    let ended = |event: &server::Event| {
        matches!(
            event,
            server::Event::SessionEnded {
                reason: CloseReason::SessionEnded,
                ..
            }
        )
    };
    let events = world.server_events().iter();
    assert_eq!(events.filter(|(_, event)| ended(event)).count(), 1);

    let again = world.joined("alice", Options::small());
    assert_ne!(world.device(again).session(), session);
    assert_eq!(world.present("green"), ["alice"]);
}

#[test]
fn the_application_ends_the_session() {
    let mut world = World::new("the_application_ends_the_session");
    let alice = world.joined("alice", Options::small());
    let other = world.joined("other", Options::small().in_room("blue"));
    let (server, clock) = world.server_and_clock();
    server
        .end_session(clock, &RoomId::new("green").unwrap())
        .unwrap();
    assert!(
        server
            .end_session(clock, &RoomId::new("red").unwrap())
            .is_err()
    );
    world.run_until("she is told", s(3), |world| world.closed(alice).is_some());
    world.run_for(s(3));
    assert!(world.is_joined(other), "another room's session");
}
