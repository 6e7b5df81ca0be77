//! The server forgets everything: devices notice at once and restore what they had.

use parlour_core::client::{Commands as _, Event, ReconnectCause, RequestFailure};
use parlour_core::room::Topic;
use parlour_core::signal::{Recipients, SubscribePolicy};
use parlour_tests::{Options, World, microphone};

use crate::{id, key, ms, s, stream};

#[test]
fn devices_rejoin_by_themselves_and_restore_everything() {
    let mut world = World::new("devices_rejoin_by_themselves_and_restore_everything");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let options = Options {
        policy: SubscribePolicy::None,
        ..Options::small()
    };
    let bob = world.joined("bob", options);
    let carol = world.joined("carol", Options::small());
    world
        .ask(alice, |device| device.publish(microphone("late")))
        .unwrap();
    world
        .ask(alice, |device| device.set_muted(&key("late"), true))
        .unwrap();
    world
        .ask(bob, |device| device.subscribe(&stream("alice", "mic")))
        .unwrap();
    world
        .ask(carol, |device| device.unsubscribe(&stream("alice", "mic")))
        .unwrap();
    let session = world.device(alice).session();
    world.forget(alice);
    world.forget(bob);

    world.talk(alice, "mic", s(12));
    world.run_for(s(2));
    world.restart_server();
    let restarted = world.now();
    world.run_until("alice notices", ms(500), |world| {
        let reset = Event::Reconnecting(ReconnectCause::Reset);
        world.saw(alice, |event| *event == reset)
    });
    world.run_until("alice is back", s(2), |world| {
        world.saw(alice, |event| *event == Event::Joined { resumed: false })
    });
    // Bob and Carol are silent: they notice at their next keepalive.
    world.run_until("all are back", s(25), |world| {
        world.present("green").len() == 3
    });
    world.run_until_agreed(&[alice, bob, carol], s(5));
    assert_ne!(world.device(alice).session(), session);
    let facts = world.facts(bob);
    let streams = &facts.participants[&id("alice")].streams;
    let streams: Vec<_> = streams.iter().map(|s| (s.key.as_str(), s.muted)).collect();
    assert_eq!(streams, [("mic", false), ("late", true)]);

    world.run_for(s(1));
    world.forget(bob);
    world.forget(carol);
    world.talk(alice, "mic", s(2));
    world.run_for(s(12));
    assert!(
        world.heard_from(bob, alice).len() >= 100,
        "the subscription is gone"
    );
    assert!(world.heard(carol).is_empty(), "the exception is gone");
    println!("restarted at {restarted:?}");
}

#[test]
fn unanswered_requests_fail_once_when_the_server_forgot_them() {
    let mut world = World::new("unanswered_requests_fail_once_when_the_server_forgot_them");
    let alice = world.joined("alice", Options::small());
    world.crash_server();
    let topic = Topic::new("t").unwrap();
    let all = Recipients::All;
    let requests: Vec<_> = (0..4)
        .map(|_| {
            world
                .device(alice)
                .send_message(&all, &topic, b"x")
                .unwrap()
        })
        .collect();
    world.run_for(s(3));
    world.start_server();
    world.run_until("she is back", s(40), |world| {
        world.saw(alice, |event| *event == Event::Joined { resumed: false })
    });
    world.run_for(s(3));
    for request in requests {
        let lost = Some(Err(RequestFailure::ConnectionLost));
        assert_eq!(world.reply(alice, request), lost);
    }
}

#[test]
fn a_forged_reset_is_ignored() {
    let mut world = World::new("a_forged_reset_is_ignored");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    world.forget(alice);
    world.talk(alice, "mic", s(3));
    world.run_for(s(1));
    let address = world.address(alice);
    let mut sent = world.history().iter().rev();
    let data = sent.find(|sent| sent.datagram.from == address).unwrap();
    let mut reset = vec![12];
    reset.extend(&data.datagram.bytes[1..5]);
    reset.extend([0; 16]);
    for guess in 0..50u8 {
        *reset.last_mut().unwrap() = guess;
        world.inject_to(alice, &reset);
    }
    world.run_for(s(3));
    assert!(world.is_joined(alice));
    assert!(!world.saw(alice, |event| matches!(event, Event::Reconnecting(_))));
    assert_eq!(world.heard_from(bob, alice).len(), 150);
}

#[test]
fn resets_are_smaller_than_what_they_answer() {
    let mut world = World::new("resets_are_smaller_than_what_they_answer");
    let stranger = "203.0.113.5:5".parse().unwrap();
    for len in 0..120 {
        let mut data = vec![0x5a; len];
        if let Some(first) = data.first_mut() {
            *first = 11;
        }
        world.forget_history();
        world.inject(stranger, &data);
        world.run_for(ms(100));
        let answers = world
            .history()
            .iter()
            .filter(|sent| sent.datagram.to == stranger);
        let bytes: usize = answers.map(|sent| sent.datagram.bytes.len()).sum();
        assert!(bytes < len.max(1), "{bytes} bytes answer {len}");
    }
    assert!(world.server().statistics().resets > 0);
}
