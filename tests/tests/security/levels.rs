//! A publisher reports its own level. A false level does not keep others from being heard.

use parlour_core::room::StreamKey;
use parlour_core::server::{Config, MixConfig};
use parlour_core::signal::SubscribePolicy;
use parlour_tests::{Handle, Options, World};

use crate::{ms, s};

const STREAMS: [&str; 4] = ["a", "b", "c", "d"];

/// Mallory shouts into four streams, from two seconds before three others talk until five seconds after they are done.
fn shouting(world: &mut World, listener: Options) -> (Handle, [Handle; 3], Handle) {
    let streams = STREAMS.into_iter();
    let streams = streams.fold(Options::default(), Options::publishing);
    let mallory = world.joined("mallory", streams);
    let talkers = ["anna", "ben", "cleo"].map(|name| {
        let options = Options::default().publishing("mic");
        world.joined(name, options)
    });
    let listener = world.joined("listener", listener);
    for key in STREAMS {
        world.talk_at(mallory, key, 0, s(12));
    }
    world.run_for(s(2));
    for talker in talkers {
        world.talk_at(talker, "mic", 40, s(5));
    }
    (mallory, talkers, listener)
}

#[test]
fn four_streams_as_loud_as_can_be_keep_one_slot() {
    let mut world = World::new("four_streams_as_loud_as_can_be_keep_one_slot");
    let options = Options {
        slots: Some(4),
        ..Options::small()
    };
    let (mallory, talkers, listener) = shouting(&mut world, options);
    assert_eq!(world.heard_from(listener, mallory).len(), 400);
    world.run_for(ms(500));
    world.forget(listener);
    world.run_for(s(4));
    assert_eq!(world.heard_from(listener, mallory).len(), 200);
    world.run_for(s(4));
    for talker in talkers {
        let heard = world.heard_from(listener, talker);
        assert_eq!(heard, (25..250).collect::<Vec<_>>());
    }
    // No other participant needs the slots now.
    world.forget(listener);
    world.run_for(s(1));
    assert!(world.heard_from(listener, mallory).len() >= 190);
}

#[test]
fn four_streams_as_loud_as_can_be_keep_one_place_in_a_mix() {
    let mix = MixConfig {
        talkers: 4,
        ..MixConfig::default()
    };
    let config = Config {
        mix: Some(mix),
        ..Config::default()
    };
    let name = "four_streams_as_loud_as_can_be_keep_one_place_in_a_mix";
    let mut world = World::with_config(name, config);
    let options = Options {
        policy: SubscribePolicy::MixPcmu,
        slots: Some(1),
        ..Options::small()
    };
    let (_, talkers, listener) = shouting(&mut world, options);
    world.run_for(ms(500));
    world.forget(listener);
    world.run_for(s(4));
    let mic = StreamKey::new("mic").unwrap();
    let ssrcs = talkers.map(|talker| world.device(talker).published_ssrc(&mic));
    let frames = world.mixed(listener);
    assert!(frames.len() >= 190, "{}", frames.len());
    for frame in frames {
        let mut others = ssrcs.iter().flatten();
        assert!(
            others.all(|ssrc| frame.contributors.contains(ssrc)),
            "{frame:?}"
        );
        assert_eq!(frame.contributors.len(), 4);
    }
}
