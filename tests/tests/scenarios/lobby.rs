//! The lobby: wait outside, unseen, until somebody who may says yes or no.

use parlour_core::client::{CloseCause, Commands as _, Event};
use parlour_core::room::{CloseReason, RoomId};
use parlour_core::server::{self, Act};
use parlour_core::signal::{JoinRefusal, Moderation, Outcome};
use parlour_core::time::Duration;
use parlour_tests::{Handle, Options, World};

use crate::{id, only, s};

fn guest() -> Options {
    Options {
        lobby: true,
        ..Options::small().publishing("mic")
    }
}

fn wait(world: &mut World, handle: Handle) {
    world.run_until("the guest waits", s(5), |world| {
        world.saw(handle, |event| *event == Event::Waiting)
    });
}

fn knocked(world: &World, handle: Handle, name: &str) -> usize {
    world.count_seen(
        handle,
        |event| matches!(event, Event::Knocked { participant, .. } if *participant == id(name)),
    )
}

#[test]
fn a_guest_waits_unseen_and_is_let_in() {
    let mut world = World::new("a_guest_waits_unseen_and_is_let_in");
    let host = world.joined("host", Options::moderator());
    let other = world.joined("other", Options::default());
    let alice = world.join("alice", guest());
    wait(&mut world, alice);
    world.talk(alice, "mic", s(1));
    world.run_for(s(40));
    assert!(!world.is_joined(alice));
    assert_eq!(world.present("green"), ["host", "other"]);
    assert!(world.heard(host).is_empty(), "heard from the lobby");
    assert_eq!(knocked(&world, host, "alice"), 1);
    assert_eq!(
        knocked(&world, other, "alice"),
        0,
        "told to one who may not admit"
    );

    let admit = Moderation::Admit;
    let done = world.ask(host, |device| device.moderate(admit, &only(&["alice"])));
    assert_eq!(done, Ok(Outcome::Moderated { participants: 1 }));
    world.run_until("she is in", s(5), |world| world.is_joined(alice));
    world.run_until_agreed(&[host, other, alice], s(2));
    let ended = Event::KnockEnded(id("alice"));
    assert_eq!(world.count_seen(host, |event| *event == ended), 1);
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(host, alice).len(), 50);
}

#[test]
fn a_guest_is_turned_away() {
    let mut world = World::new("a_guest_is_turned_away");
    let host = world.joined("host", Options::moderator());
    let alice = world.join("alice", guest());
    wait(&mut world, alice);
    world.run_for(s(1));
    let deny = Moderation::Deny;
    let done = world.ask(host, |device| device.moderate(deny, &only(&["alice"])));
    assert_eq!(done, Ok(Outcome::Moderated { participants: 1 }));
    world.run_until("she is told", s(5), |world| world.closed(alice).is_some());
    let cause = world.closed(alice).unwrap();
    assert!(
        cause == CloseCause::Closed(CloseReason::Denied)
            || cause == CloseCause::Refused(JoinRefusal::Denied),
        "{cause}"
    );
    world.run_for(s(5));
    assert_eq!(world.present("green"), ["host"]);
}

#[test]
fn a_moderator_who_comes_late_hears_the_knocking() {
    let mut world = World::new("a_moderator_who_comes_late_hears_the_knocking");
    let alice = world.join("alice", guest());
    wait(&mut world, alice);
    world.run_for(s(20));
    assert!(world.present("green").is_empty(), "a lobby is no session");
    let host = world.joined("host", Options::moderator());
    world.run_until("the host is told", s(2), |world| {
        knocked(world, host, "alice") == 1
    });
    let admit = Moderation::Admit;
    world
        .ask(host, |device| device.moderate(admit, &only(&["alice"])))
        .unwrap();
    world.run_until_agreed(&[host, alice], s(5));
    assert_eq!(world.present("green"), ["alice", "host"]);
}

#[test]
fn a_guest_who_gives_up_no_longer_waits() {
    let mut world = World::new("a_guest_who_gives_up_no_longer_waits");
    let host = world.joined("host", Options::moderator());
    let alice = world.join("alice", guest());
    let bob = world.join("bob", guest());
    wait(&mut world, alice);
    wait(&mut world, bob);
    world.run_for(s(1));
    world.leave(alice);
    world.power_off(bob);
    let ended = |name| move |event: &Event| *event == Event::KnockEnded(id(name));
    world.run_until("the host knows of alice", s(3), |world| {
        world.saw(host, ended("alice"))
    });
    world.run_until("the host knows of bob", s(90), |world| {
        world.saw(host, ended("bob"))
    });
    assert_eq!(
        world.closed(alice),
        Some(CloseCause::Closed(CloseReason::Left))
    );
    let room = RoomId::new("green").unwrap();
    assert_eq!(world.server().waiting(&room).count(), 0);
}

#[test]
fn the_application_admits() {
    let mut world = World::new("the_application_admits");
    let alice = world.join("alice", guest());
    wait(&mut world, alice);
    let room = RoomId::new("green").unwrap();
    // In the lobby, too, nobody stands who has not proven its keys.
    world.run_until("the application is told", s(1), |world| {
        let waits = |event: &server::Event| {
            matches!(event, server::Event::ParticipantWaiting { participant, .. }
                if *participant == id("alice"))
        };
        world.server_events().iter().any(|(_, event)| waits(event))
    });
    let (server, clock) = world.server_and_clock();
    server
        .moderate(clock, &room, Act::Admit, &id("alice").into())
        .unwrap();
    world.run_until("she is in", s(5), |world| world.is_joined(alice));
    world.run_until_agreed(&[alice], s(2));
}

/// Someone is turned away and does not hear of it.
fn unheard(broken: Duration) {
    let mut world = World::new("one_turned_away_who_missed_it_does_not_knock_again");
    let host = world.joined("host", Options::moderator());
    let alice = world.join("alice", guest());
    wait(&mut world, alice);
    world.run_for(s(1));
    world.partition(alice, true);
    let deny = Moderation::Deny;
    let done = world.ask(host, |device| device.moderate(deny, &only(&["alice"])));
    assert_eq!(done, Ok(Outcome::Moderated { participants: 1 }));
    world.run_for(broken);
    world.partition(alice, false);
    world.run_until("she is told", s(60), |world| world.closed(alice).is_some());
    let cause = world.closed(alice).unwrap();
    let denied = [
        CloseCause::Closed(CloseReason::Denied),
        CloseCause::Refused(JoinRefusal::Denied),
    ];
    assert!(denied.contains(&cause), "{cause}");
    world.run_for(s(10));
    assert_eq!(knocked(&world, host, "alice"), 1, "a knock came back");

    // Who comes by herself, without the ticket of that wait, may knock again.
    let again = world.join("alice", guest());
    wait(&mut world, again);
    world.run_for(s(1));
    assert_eq!(knocked(&world, host, "alice"), 2);
}

#[test]
fn one_turned_away_who_missed_it_does_not_knock_again() {
    for broken in [s(2), s(7), s(20), s(90)] {
        unheard(broken);
    }
}

#[test]
fn one_replaced_in_the_lobby_does_not_come_back() {
    let mut world = World::new("one_replaced_in_the_lobby_does_not_come_back");
    let host = world.joined("host", Options::moderator());
    let first = world.join("alice", guest());
    wait(&mut world, first);
    world.partition(first, true);
    world.run_for(s(1));
    let second = world.join("alice", guest());
    wait(&mut world, second);
    world.run_for(s(12));
    world.partition(first, false);
    world.run_until("the first is told", s(60), |world| {
        world.closed(first).is_some()
    });
    let cause = world.closed(first);
    assert_eq!(cause, Some(CloseCause::Refused(JoinRefusal::Replaced)));
    let admit = Moderation::Admit;
    world
        .ask(host, |device| device.moderate(admit, &only(&["alice"])))
        .unwrap();
    world.run_until("the second is in", s(5), |world| world.is_joined(second));
}
