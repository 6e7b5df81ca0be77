//! The same participant from elsewhere: the newer join wins, the older one is told.

use parlour_core::client::{CloseCause, Event};
use parlour_core::room::CloseReason;
use parlour_tests::{Options, World};

use crate::{id, s};

#[test]
fn the_newer_join_wins() {
    let mut world = World::new("the_newer_join_wins");
    let bob = world.joined("bob", Options::default());
    let old = world.joined("alice", Options::small().publishing("mic"));
    world.run_for(s(1));
    world.forget(bob);
    let new = world.joined("alice", Options::default().publishing("mic"));
    world.run_until("the older one is told", s(3), |world| {
        world.closed(old).is_some()
    });
    let replaced = CloseReason::Replaced;
    assert_eq!(world.closed(old), Some(CloseCause::Closed(replaced)));
    world.run_until_agreed(&[new, bob], s(2));
    assert_eq!(world.present("green"), ["alice", "bob"]);
    let left = Event::ParticipantLeft {
        participant: id("alice"),
        reason: replaced,
    };
    assert_eq!(world.count_seen(bob, |event| *event == left), 1);
    let joined = Event::ParticipantJoined {
        participant: id("alice"),
        present: false,
    };
    assert_eq!(world.count_seen(bob, |event| *event == joined), 1);

    world.talk(new, "mic", s(1));
    world.run_for(s(30));
    assert_eq!(world.heard_from(bob, new).len(), 50);
    assert!(world.is_joined(new), "the older one came back");
    assert_eq!(world.device(old).poll_timeout(), None);
}

#[test]
fn one_without_power_is_replaced_before_its_grace_is_over() {
    let mut world = World::new("one_without_power_is_replaced_before_its_grace_is_over");
    let bob = world.joined("bob", Options::default());
    let old = world.joined("alice", Options::small().publishing("mic"));
    world.power_off(old);
    world.run_for(s(2));
    // The battery is back, and the device knows nothing of before.
    let new = world.joined("alice", Options::small().publishing("mic"));
    world.run_until_agreed(&[new, bob], s(2));
    world.talk(new, "mic", s(1));
    world.run_for(s(60));
    assert_eq!(world.heard_from(bob, new).len(), 50);
    assert_eq!(world.present("green"), ["alice", "bob"]);
}
