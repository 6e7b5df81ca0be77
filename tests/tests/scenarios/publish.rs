//! Publishing: with the join or later, within what is granted, until it is taken back.

use parlour_core::client::{CommandError, Commands as _, Event, RequestFailure};
use parlour_core::room::{Codec, Grants, StreamKind};
use parlour_core::signal::{Outcome, Publish, Refusal};
use parlour_tests::{Options, World, microphone, screen};

use crate::{id, key, s, stream};

#[test]
fn what_is_published_with_the_join_is_heard() {
    let mut world = World::new("what_is_published_with_the_join_is_heard");
    let bob = world.joined("bob", Options::small());
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let ssrc = world.device(alice).published_ssrc(&key("mic")).unwrap();
    assert!(world.saw(alice, |event| *event
        == Event::Published {
            key: key("mic"),
            ssrc
        }));

    world.talk(alice, "mic", s(2));
    world.run_for(s(3));
    assert_eq!(world.heard_from(bob, alice), (0..100).collect::<Vec<_>>());
    assert!(world.heard(bob).iter().all(|frame| frame.ssrc == ssrc));
    assert!(world.heard(alice).is_empty());
    world.run_until_agreed(&[alice, bob], s(1));
}

#[test]
fn what_is_published_later_is_heard() {
    let mut world = World::new("what_is_published_later_is_heard");
    let bob = world.joined("bob", Options::small());
    let alice = world.joined("alice", Options::small());
    let outcome = world.ask(alice, |device| device.publish(microphone("mic")));
    let ssrc = world.device(alice).published_ssrc(&key("mic")).unwrap();
    assert_eq!(outcome, Ok(Outcome::Published { ssrc }));
    world.run_until("bob knows", s(1), |world| {
        world.saw(bob, |event| {
            *event == Event::StreamPublished(stream("alice", "mic"))
        })
    });
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(bob, alice).len(), 50);

    // Taken back, it is gone for all, and the key is free again.
    assert_eq!(
        world.ask(alice, |device| device.unpublish(&key("mic"))),
        Ok(Outcome::Done)
    );
    world.run_until_agreed(&[alice, bob], s(1));
    assert!(
        world.facts(bob).participants[&id("alice")]
            .streams
            .is_empty()
    );
    assert!(world.saw(bob, |event| {
        *event == Event::StreamUnpublished(stream("alice", "mic"))
    }));
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(
        world.heard_from(bob, alice).len(),
        50,
        "heard without publishing"
    );
    let again = world.ask(alice, |device| device.publish(microphone("mic")));
    assert!(matches!(again, Ok(Outcome::Published { .. })));
}

#[test]
fn telephone_sound_is_heard_in_the_same_slots() {
    let mut world = World::new("telephone_sound_is_heard_in_the_same_slots");
    let bob = world.joined("bob", Options::small());
    let phone = Publish {
        codec: Codec::Pcma,
        ..microphone("phone")
    };
    let options = Options {
        publish: vec![phone],
        ..Options::small()
    };
    let alice = world.joined("alice", options);
    world.talk_in(Codec::Pcma, alice, "phone", 30, s(1));
    world.run_for(s(2));
    let heard = world.heard(bob);
    assert_eq!(heard.len(), 50);
    for pair in heard.windows(2) {
        let step = pair[1].timestamp - pair[0].timestamp;
        assert_eq!(step, 960, "slots count 48 kHz");
    }
}

#[test]
fn grants_bound_what_may_be_published() {
    let mut world = World::new("grants_bound_what_may_be_published");
    let options = Options {
        grants: Grants::SUBSCRIBE | Grants::PUBLISH_SCREEN,
        publish: vec![microphone("mic"), screen("screen")],
        ..Options::default()
    };
    let alice = world.joined("alice", options);
    assert!(world.saw(alice, |event| *event
        == Event::PublishRefused {
            key: key("mic"),
            refusal: Refusal::NotPermitted
        }));
    assert_eq!(world.device(alice).published_ssrc(&key("mic")), None);
    assert!(world.device(alice).published_ssrc(&key("screen")).is_some());
    let later = world.ask(alice, |device| device.publish(microphone("mic2")));
    assert_eq!(later, Err(RequestFailure::Refused(Refusal::NotPermitted)));
    assert_eq!(world.facts(alice).presenter, Some(id("alice")));
    world.run_until_agreed(&[alice], s(1));
}

#[test]
fn impossible_streams_are_not_published() {
    let mut world = World::new("impossible_streams_are_not_published");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let odd = Publish {
        kind: StreamKind::Video,
        ..microphone("cam")
    };
    let device = world.device(alice);
    assert_eq!(device.publish(odd), Err(CommandError::CodecMismatch));
    let twice = device.publish(microphone("mic"));
    assert_eq!(twice, Err(CommandError::AlreadyPublished));
    device.publish(microphone("mic2")).unwrap();
    let third = device.publish(microphone("mic3"));
    assert_eq!(third, Err(CommandError::TooManyStreams));
    world.run_for(s(1));
    assert_eq!(
        world.facts(alice).participants[&id("alice")].streams.len(),
        2
    );
}
