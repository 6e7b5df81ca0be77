//! A participant silent for longer than the grace time has left; coming back is a new join.

use parlour_core::client::Event;
use parlour_core::room::{CloseReason, ConnectionState};
use parlour_core::server::Config;
use parlour_tests::{Options, World};

use crate::{id, s};

#[test]
fn a_lost_one_is_reconnecting_then_gone_then_new() {
    let config = Config::default();
    let (silence, grace) = (config.silence, config.grace);
    let mut world = World::with_config("a_lost_one_is_reconnecting_then_gone_then_new", config);
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    world.run_for(s(1));
    world.forget(bob);
    world.partition(alice, true);
    let cut = world.now();
    let reconnecting = Event::ConnectionChanged {
        participant: id("alice"),
        state: ConnectionState::Reconnecting,
    };
    world.run_until("bob is told that she is silent", silence + s(2), |world| {
        world.saw(bob, |event| *event == reconnecting)
    });
    assert_eq!(world.present("green"), ["alice", "bob"]);
    let left = Event::ParticipantLeft {
        participant: id("alice"),
        reason: CloseReason::ConnectionLost,
    };
    world.run_until("bob is told that she is gone", grace + s(2), |world| {
        world.saw(bob, |event| *event == left)
    });
    let took = world.now().saturating_duration_since(cut);
    assert!(took >= grace, "gone after {took:?}");
    assert_eq!(world.present("green"), ["bob"]);

    world.partition(alice, false);
    world.forget(alice);
    world.run_until("she is back", s(20), |world| {
        world.saw(alice, |event| *event == Event::Joined { resumed: false })
    });
    world.run_until_agreed(&[alice, bob], s(3));
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(bob, alice).len(), 50);
    assert_eq!(world.count_seen(bob, |event| *event == left), 1);
}

#[test]
fn the_session_ends_when_all_are_lost() {
    let mut world = World::new("the_session_ends_when_all_are_lost");
    let alice = world.joined("alice", Options::small());
    world.power_off(alice);
    world.run_for(s(90));
    assert_eq!(world.authority("green"), None);
    let accounting = world.server().accounting();
    let left = (
        accounting.rooms,
        accounting.participants,
        accounting.connection_ids,
    );
    assert_eq!(left, (0, 0, 0), "{accounting:?}");
}
