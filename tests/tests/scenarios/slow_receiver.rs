//! A receiver that cannot keep up holds up nobody, and is told the outcome instead of the way.

use parlour_core::client::{Commands as _, Event};
use parlour_core::server::{Config, Rate};
use parlour_tests::{LinkConfig, Options, World, microphone};

use crate::{key, ms, s};

#[test]
fn a_slow_receiver_gets_a_snapshot() {
    let config = Config {
        room_log: 16,
        changes: Rate {
            per_second: 100,
            burst: 100,
        },
        ..Config::default()
    };
    let mut world = World::with_config("a_slow_receiver_gets_a_snapshot", config);
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let slow = LinkConfig {
        loss: 50,
        delay: ms(700),
        ..LinkConfig::GOOD
    };
    let bob = world.joined("bob", Options::default());
    let carol = world.joined("carol", Options::default());
    world.run_for(s(1));
    world.forget(bob);
    world.forget(carol);
    world.set_link(bob, slow);
    // The ends of all removed streams are remembered.
    for _ in 0..50 {
        let music = microphone("music");
        world.ask(alice, |device| device.publish(music)).unwrap();
        world.run_for(ms(60));
        let music = key("music");
        world.ask(alice, |device| device.unpublish(&music)).unwrap();
        world.run_for(ms(60));
    }
    // So that where he ends differs from all that he passes.
    world.ask(alice, |device| device.request_floor()).unwrap();
    let ends = |event: &Event| matches!(event, Event::StreamUnpublished { .. });
    world.run_until("carol knows of all", s(1), |world| {
        world.count_seen(carol, ends) == 50
    });
    world.run_until_agreed(&[alice, bob, carol], s(90));
    assert!(world.count_seen(bob, ends) < 50, "he was told each step");
    let again = world.count_seen(bob, |event| *event == Event::Synchronized);
    assert!(again >= 1, "no snapshot");
}

#[test]
fn audio_for_a_receiver_that_takes_none_is_bounded() {
    let mut world = World::new("audio_for_a_receiver_that_takes_none_is_bounded");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    let carol = world.joined("carol", Options::small());
    world.partition(bob, true);
    world.talk(alice, "mic", s(40));
    for _ in 0..40 {
        world.run_for(s(1));
        let accounting = world.server().accounting();
        assert!(accounting.longest_media_queue <= 128, "{accounting:?}");
        assert!(accounting.media_buffers <= 8_192, "{accounting:?}");
    }
    world.run_for(s(1));
    assert_eq!(world.heard_from(carol, alice).len(), 2_000);
    let accounting = world.server().accounting();
    assert_eq!(
        (accounting.queued_media, accounting.media_buffers),
        (0, 0),
        "{accounting:?}"
    );
}
