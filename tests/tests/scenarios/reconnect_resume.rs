//! Touch lost and found again: the same participant goes on, and nobody notices more than a pause.

use parlour_core::client::{CloseCause, Commands as _, Event, ReconnectCause};
use parlour_core::room::ConnectionState;
use parlour_core::room::Topic;
use parlour_core::signal::Recipients;
use parlour_tests::{LinkConfig, Options, World};

use crate::{id, key, ms, s, stream};

fn arrivals_and_departures(event: &Event) -> bool {
    matches!(
        event,
        Event::ParticipantJoined { .. }
            | Event::ParticipantLeft { .. }
            | Event::ParticipantHidden(_)
            | Event::StreamPublished(_)
            | Event::StreamUnpublished(_)
    )
}

#[test]
fn eight_seconds_without_network_are_a_pause() {
    let mut world = World::new("eight_seconds_without_network_are_a_pause");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.run_for(s(1));
    let ssrc = world.device(alice).published_ssrc(&key("mic"));
    let session = world.device(alice).session();
    world.forget(alice);
    world.forget(bob);

    world.talk(alice, "mic", s(30));
    world.talk(bob, "mic", s(30));
    world.run_for(s(2));
    world.partition(alice, true);
    world.run_for(s(8));
    world.partition(alice, false);
    let healed = world.now();
    world.run_until("they hear each other again", s(10), |world| {
        let after = |listener, talker| {
            let frames = world.heard(listener).iter().rev();
            frames
                .take(3)
                .filter(|f| f.at > healed && f.talker() == talker)
                .count()
                == 3
        };
        after(alice, bob) && after(bob, alice)
    });
    let pause = world.now().saturating_duration_since(healed);
    assert!(pause <= s(5), "back after {pause:?}");
    world.run_for(s(5));

    assert_eq!(world.device(alice).published_ssrc(&key("mic")), ssrc);
    assert_eq!(world.device(alice).session(), session);
    assert!(
        !world.saw(bob, arrivals_and_departures),
        "{:?}",
        world.events(bob)
    );
    assert!(
        !world.saw(alice, arrivals_and_departures),
        "{:?}",
        world.events(alice)
    );
    assert!(
        world
            .heard(bob)
            .iter()
            .all(|frame| Some(frame.ssrc) == ssrc)
    );
    world.run_until_agreed(&[alice, bob], s(2));
}

#[test]
fn silence_longer_than_liveness_resumes() {
    let mut world = World::new("silence_longer_than_liveness_resumes");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    let carol = world.joined("carol", Options::default());
    world
        .ask(alice, |device| device.unsubscribe(&stream("carol", "mic")))
        .ok();
    let ssrc = world.device(alice).published_ssrc(&key("mic"));
    world.forget(alice);
    world.forget(bob);
    world.partition(alice, true);
    let state = |state| Event::ConnectionChanged {
        participant: id("alice"),
        state,
    };
    world.run_until("bob is told", s(25), |world| {
        world.saw(bob, |event| *event == state(ConnectionState::Reconnecting))
    });
    world.run_until("alice notices", s(25), |world| {
        let lost = Event::Reconnecting(ReconnectCause::Silence);
        world.saw(alice, |event| *event == lost)
    });
    assert!(!world.is_joined(alice));
    // Meanwhile something happens.
    world.leave(carol);
    world.ask(bob, |device| device.request_floor()).unwrap();
    world.run_for(s(2));
    world.partition(alice, false);
    world.run_until("she is back", s(10), |world| {
        world.saw(alice, |event| *event == Event::Joined { resumed: true })
    });
    world.run_until_agreed(&[alice, bob], s(2));
    assert!(world.saw(bob, |event| *event == state(ConnectionState::Connected)));
    assert_eq!(world.device(alice).published_ssrc(&key("mic")), ssrc);
    assert_eq!(world.facts(alice).floor, Some(id("bob")));
    let of_alice = |event: &Event| match event {
        Event::ParticipantLeft { participant, .. } => *participant == id("alice"),
        Event::ParticipantJoined { participant, .. } => *participant == id("alice"),
        _ => false,
    };
    assert!(!world.saw(bob, of_alice), "{:?}", world.events(bob));
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(bob, alice).len(), 50);
}

#[test]
fn what_was_under_way_arrives_after_a_resume_once() {
    let mut world = World::new("what_was_under_way_arrives_after_a_resume_once");
    let alice = world.joined("alice", Options::default());
    let bob = world.joined("bob", Options::default());
    let topic = Topic::new("chat").unwrap();
    let all = Recipients::All;
    for round in 0..3u8 {
        world.partition(alice, true);
        let request = world
            .device(alice)
            .send_message(&all, &topic, &[2 * round])
            .unwrap();
        world
            .device(bob)
            .send_message(&all, &topic, &[2 * round + 1])
            .unwrap();
        world.run_for(s(22));
        world.partition(alice, false);
        world.run_until("both have come", s(15), |world| {
            world.reply(alice, request).is_some()
                && world.messages(alice).len() == usize::from(round) + 1
        });
        assert!(world.reply(alice, request).unwrap().is_ok());
    }
    world.run_for(s(5));
    let bodies = |handle| {
        let messages = world.messages(handle).iter();
        messages.map(|message| message.body[0]).collect::<Vec<_>>()
    };
    assert_eq!(bodies(bob), [0, 2, 4]);
    assert_eq!(bodies(alice), [1, 3, 5]);
}

#[test]
fn keys_change_every_hour_and_nobody_notices() {
    let mut world = World::new("keys_change_every_hour_and_nobody_notices");
    // Far enough for something to be under way at any moment.
    let far = LinkConfig::with_rtt(ms(70));
    let alice = world.joined("alice", Options::small().publishing("mic").over(far));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.run_for(s(3_600 - 20));
    world.forget(bob);
    let hellos = |world: &World| {
        let history = world.history().iter();
        history.filter(|sent| sent.datagram.bytes[0] == 8).count()
    };
    let before = hellos(&world);
    world.talk(alice, "mic", s(60));
    world.talk(bob, "mic", s(60));
    world.run_for(s(62));
    assert!(hellos(&world) > before, "no handshake");
    assert_eq!(world.heard_from(bob, alice).len(), 3_000, "sound was lost");
    // What was under way under the former keys, too.
    assert_eq!(world.heard_from(alice, bob).len(), 3_000);
    assert!(!world.saw(bob, arrivals_and_departures));
    let lost = |event: &Event| matches!(event, Event::Reconnecting(_));
    assert!(!world.saw(alice, lost) && !world.saw(bob, lost));
}

#[test]
fn who_has_left_cannot_resume() {
    // The Leave arrives, and all answers are lost; then an old Hello that resumes comes by.
    let mut world = World::new("who_has_left_cannot_resume");
    let alice = world.joined("alice", Options::small());
    let bob = world.joined("bob", Options::default());
    let address = world.address(alice);
    world.partition(alice, true);
    world.run_for(s(25));
    let mark = world.history().len();
    world.run_for(s(10));
    let resumes = world.history()[mark..].iter();
    let mut resumes =
        resumes.filter(|sent| sent.datagram.from == address && sent.datagram.bytes[0] == 8);
    let hello = resumes
        .next_back()
        .expect("she tries")
        .datagram
        .bytes
        .clone();
    world.partition(alice, false);
    world.run_until("she is back", s(10), |world| world.is_joined(alice));
    world.leave(alice);
    world.run_until("she is out", s(3), |world| {
        world.present("green") == ["bob"]
    });
    world.run_until_agreed(&[bob], s(1));
    world.forget(bob);
    world.inject(address, &hello);
    world.inject("203.0.113.9:999".parse().unwrap(), &hello);
    world.run_for(s(10));
    assert_eq!(world.present("green"), ["bob"]);
    assert!(!world.saw(bob, arrivals_and_departures));
}

#[test]
fn reconnecting_goes_on_until_the_application_leaves() {
    let mut world = World::new("reconnecting_goes_on_until_the_application_leaves");
    let alice = world.joined("alice", Options::small());
    world.partition(alice, true);
    world.run_for(s(600));
    assert_eq!(world.closed(alice), None);
    let (history, now) = (world.history().len(), world.now());
    world.run_for(s(600));
    let tries = world.history().len() - history;
    assert!(tries >= 60, "{tries} tries since {now:?}");
    assert!(tries <= 700, "{tries} tries: no backing off");
    world.leave(alice);
    world.run_for(ms(1));
    assert!(matches!(world.closed(alice), Some(CloseCause::Closed(_))));
}

#[test]
fn an_unstable_network_never_shows_a_departure() {
    let mut world = World::new("an_unstable_network_never_shows_a_departure");
    let alice = world.joined(
        "alice",
        Options::small().publishing("mic").over(LinkConfig::WEAK),
    );
    let bob = world.joined("bob", Options::default());
    world.forget(bob);
    world.talk(alice, "mic", s(300));
    for round in 0..10 {
        world.partition(alice, true);
        world.run_for(s(2 + round * 2));
        world.partition(alice, false);
        world.run_for(s(12));
    }
    world.run_until_agreed(&[alice, bob], s(20));
    assert!(
        !world.saw(bob, arrivals_and_departures),
        "{:?}",
        world.events(bob)
    );
}
