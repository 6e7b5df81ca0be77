//! A device that slept for longer than its grace comes back by itself: it joins if its participant is gone, and puts nobody
//! out who has come as the same participant since.

use parlour_core::client::{CloseCause, Commands as _, Event};
use parlour_core::signal::{JoinRefusal, Moderation};
use parlour_tests::{Handle, Options, World};

use crate::{id, only, s};

const REPLACED: Option<CloseCause> = Some(CloseCause::Refused(JoinRefusal::Replaced));

/// Anna's laptop sleeps for longer than its grace; Bob sees her leave.
fn asleep(name: &'static str) -> (World, Handle, Handle) {
    let mut world = World::new(name);
    let bob = world.joined("bob", Options::default());
    let laptop = world.joined("anna", Options::default().publishing("mic"));
    world.run_for(s(5));
    world.suspend(laptop);
    world.run_for(s(60));
    assert_eq!(world.present("green"), ["bob"]);
    world.forget(bob);
    (world, bob, laptop)
}

#[test]
fn a_laptop_that_wakes_up_leaves_the_phone_in() {
    for counted in [false, true] {
        let (mut world, bob, laptop) = asleep("a_laptop_that_wakes_up_leaves_the_phone_in");
        let phone = world.joined("anna", Options::small().publishing("mic"));
        world.run_for(s(600));
        world.wake(laptop, s(660), counted);
        world.run_for(s(30));
        assert_eq!(world.closed(laptop), REPLACED);
        assert!(world.is_joined(phone));
        let joined = Event::ParticipantJoined {
            participant: id("anna"),
            present: false,
        };
        assert_eq!(world.count_seen(bob, |event| *event == joined), 1);
        // To join anew is a decision.
        let again = world.joined("anna", Options::default());
        world.run_for(s(5));
        assert!(world.is_joined(again) && !world.is_joined(phone));
    }
}

#[test]
fn a_laptop_that_wakes_up_alone_joins() {
    let (mut world, _, laptop) = asleep("a_laptop_that_wakes_up_alone_joins");
    world.wake(laptop, s(60), false);
    world.run_until("she is back", s(10), |world| {
        world.present("green") == ["anna", "bob"]
    });
    // A phone that was there in the meantime is no reason either.
    world.suspend(laptop);
    world.run_for(s(60));
    let phone = world.joined("anna", Options::small());
    world.leave(phone);
    world.run_for(s(10));
    world.wake(laptop, s(70), false);
    world.run_until("she is back again", s(10), |world| {
        world.present("green") == ["anna", "bob"]
    });
    assert!(world.is_joined(laptop));
}

#[test]
fn a_restart_of_the_server_changes_nothing_of_that() {
    let (mut world, _, laptop) = asleep("a_restart_of_the_server_changes_nothing_of_that");
    let phone = world.joined("anna", Options::small().publishing("mic"));
    world.restart_server();
    // She is back by a ticket that this server does not know, as nobody is there.
    world.run_until("the phone is back", s(20), |world| {
        world.present("green") == ["anna", "bob"] && world.is_joined(phone)
    });
    world.wake(laptop, s(60), false);
    world.run_for(s(30));
    assert_eq!(world.closed(laptop), REPLACED);
    assert!(world.is_joined(phone));
}

#[test]
fn one_that_missed_being_let_in_is_no_other() {
    let mut world = World::new("one_that_missed_being_let_in_is_no_other");
    let host = world.joined("host", Options::moderator());
    let guest = Options {
        lobby: true,
        ..Options::small()
    };
    let alice = world.join("alice", guest);
    world.run_until("she waits", s(5), |world| {
        world.saw(alice, |event| *event == Event::Waiting)
    });
    world.deafen(alice);
    let admit = Moderation::Admit;
    world
        .ask(host, |device| device.moderate(admit, &only(&["alice"])))
        .unwrap();
    assert_eq!(world.present("green"), ["alice", "host"]);
    world.run_until("she lost touch", s(30), |world| {
        world.saw(alice, |event| matches!(event, Event::Reconnecting(_)))
    });
    world.hear_again(alice);
    world.run_for(s(10));
    assert_eq!(world.closed(alice), None);
    let waits = world.count_seen(alice, |event| *event == Event::Waiting);
    assert!(waits == 2 || world.is_joined(alice));
}
