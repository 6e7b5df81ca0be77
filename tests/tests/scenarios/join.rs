//! Joining: seen by all, once; through bad networks; and not by replay.

use parlour_core::client::Event;
use parlour_core::server;
use parlour_tests::{LinkConfig, Options, World};

use crate::{id, ms, s};

fn arrival(who: &str) -> Event {
    Event::ParticipantJoined {
        participant: id(who),
        present: false,
    }
}

#[test]
fn everybody_sees_a_join_once() {
    let mut world = World::new("everybody_sees_a_join_once");
    let alice = world.joined("alice", Options::default());
    let bob = world.joined("bob", Options::small());
    world.run_until_agreed(&[alice, bob], s(2));
    world.run_for(s(5));

    assert_eq!(world.present("green"), ["alice", "bob"]);
    for handle in [alice, bob] {
        let joins = world.count_seen(handle, |event| *event == Event::Joined { resumed: false });
        assert_eq!(joins, 1);
        assert_eq!(
            world.count_seen(handle, |event| *event == Event::Synchronized),
            1
        );
    }
    let arrives = |event: &Event| *event == arrival("bob");
    assert_eq!(world.count_seen(alice, arrives), 1);
    assert_eq!(world.count_seen(bob, arrives), 0, "told of itself");
    assert!(world.facts(bob).participants.contains_key(&id("alice")));
    let started = |event: &server::Event| matches!(event, server::Event::SessionStarted { .. });
    let events = world.server_events().iter();
    assert_eq!(events.filter(|(_, event)| started(event)).count(), 1);
}

#[test]
fn rooms_are_apart() {
    let mut world = World::new("rooms_are_apart");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default().in_room("blue"));
    world.talk(alice, "mic", s(1));
    world.run_for(s(3));
    assert_eq!(world.present("green"), ["alice"]);
    assert_eq!(world.present("blue"), ["bob"]);
    assert_eq!(world.facts(bob).count, 1);
    assert!(world.heard(bob).is_empty());
}

#[test]
fn a_join_gets_through_heavy_loss() {
    let mut world = World::new("a_join_gets_through_heavy_loss");
    let bad = LinkConfig {
        loss: 40,
        ..LinkConfig::WEAK
    };
    let parties: Vec<_> = (0..8)
        .map(|number| {
            let options = Options::small().publishing("mic").over(bad);
            world.join(&format!("party-{number}"), options)
        })
        .collect();
    world.run_until("all have joined", s(60), |world| {
        parties.iter().all(|party| world.is_joined(*party))
    });
    // One of the eight may be unheard for long enough to be thought lost, and has to come back: of
    // 150 seeds, 6 take longer than a minute.
    world.run_until_agreed(&parties, s(240));
    assert_eq!(world.present("green").len(), 8);
}

#[test]
fn a_join_before_any_data_shows_nobody() {
    // Nothing of Alice's beyond her Hello reaches the server, so she never proves her keys.
    let mut world = World::new("a_join_before_any_data_shows_nobody");
    let bob = world.joined("bob", Options::default());
    let mark = world.history().len();
    let alice = world.join("alice", Options::default().publishing("mic"));
    world.run_for(ms(5));
    world.power_off(alice);
    let hello = world.history()[mark].datagram.bytes.clone();
    assert_eq!(hello[0], 8, "the first datagram is a Hello");

    let from = "203.0.113.9:999".parse().unwrap();
    for _ in 0..20 {
        world.inject(from, &hello);
        world.run_for(ms(100));
    }
    let accounting = world.server().accounting();
    assert!(accounting.half_open >= 1, "{accounting:?}");
    assert_eq!(world.present("green"), ["bob"]);
    assert!(!world.saw(bob, |event| *event == arrival("alice")));

    let sent_there = world
        .history()
        .iter()
        .filter(|sent| sent.datagram.to == from);
    let bytes: usize = sent_there.map(|sent| sent.datagram.bytes.len()).sum();
    assert!(bytes <= 3 * 20 * hello.len(), "{bytes} bytes to a stranger");

    world.run_for(s(10));
    assert_eq!(world.server().accounting().half_open, 0);
    assert_eq!(world.present("green"), ["bob"]);
}

#[test]
fn a_replayed_hello_disturbs_nobody() {
    let mut world = World::new("a_replayed_hello_disturbs_nobody");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    let address = world.address(alice);
    let hello = world
        .history()
        .iter()
        .find(|sent| sent.datagram.from == address);
    let hello = hello.unwrap().datagram.bytes.clone();
    world.forget(alice);
    world.forget(bob);

    world.run_for(s(10));
    world.talk(alice, "mic", s(5));
    for from in [address, "203.0.113.9:999".parse().unwrap()] {
        for _ in 0..5 {
            world.inject(from, &hello);
            world.run_for(ms(300));
        }
    }
    world.run_for(s(10));
    assert_eq!(world.heard_from(bob, alice).len(), 250, "she was cut off");
    for handle in [alice, bob] {
        assert!(world.is_joined(handle));
        let disturbed = |event: &Event| !parlour_tests::is_about_speech(event);
        assert!(!world.saw(handle, disturbed), "{:?}", world.events(handle));
    }
}
