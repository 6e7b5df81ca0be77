//! One flow of all talkers, mixed by the server.

use allocation_counter::measure;
use parlour_core::audio::opus::{EncoderConfig, FullbandEncoder, OpusState};
use parlour_core::client::{Commands as _, Event, RequestFailure};
use parlour_core::room::{Codec, RoomId, StreamKind};
use parlour_core::server::{Act, Config, MixConfig};
use parlour_core::signal::{Moderation, Outcome, Publish, Refusal, SubscribePolicy};
use parlour_tests::tone::{amplitude, decode};
use parlour_tests::{Handle, LinkConfig, Mixed, Options, World, microphone};

use crate::{id, key, ms, only, s, stream};

/// The talkers' tones: far apart, whole cycles in 20 ms, and in the band of G.711.
const TONES: [u32; 3] = [500, 850, 1_300];
/// Of a tone's amplitude of 6000, more than so much is heard, and less than so much is not.
const HEARD: f64 = 3_000.0;
const UNHEARD: f64 = 400.0;
/// Once the buffers have settled.
const SETTLED: u64 = 1_000;

fn config() -> Config {
    Config {
        mix: Some(MixConfig::default()),
        ..Config::default()
    }
}

fn listening(policy: SubscribePolicy) -> Options {
    Options {
        policy,
        slots: Some(1),
        ..Options::small()
    }
}

/// Talkers who hear a mix themselves.
fn talkers(world: &mut World) -> Vec<Handle> {
    ["anna", "ben", "cleo"]
        .map(|name| {
            let options = listening(SubscribePolicy::Mix).publishing("mic");
            world.joined(name, options)
        })
        .to_vec()
}

fn ssrc(world: &mut World, of: Handle) -> u32 {
    world.device(of).published_ssrc(&key("mic")).unwrap()
}

/// Which of the tones are in these frames.
fn tones(frames: &[Mixed]) -> Vec<u32> {
    assert!(frames.len() >= 20, "only {} frames", frames.len());
    let (rate, pcm) = decode(frames);
    // What was encoded before the first of them is not here for the decoder to go on from.
    let pcm = &pcm[pcm.len() / 4..];
    TONES
        .into_iter()
        .filter(|hz| {
            let heard = amplitude(rate, pcm, *hz);
            assert!(!(UNHEARD..HEARD).contains(&heard), "{hz} Hz: {heard}");
            heard > HEARD
        })
        .collect()
}

/// One flow without gaps in its numbers, whose time goes on as the world's does.
fn check_flow(frames: &[Mixed]) {
    for pair in frames.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1, "a gap");
        let passed = pair[1].at.saturating_duration_since(pair[0].at);
        let counted = pair[1].timestamp - pair[0].timestamp;
        let apart = ms(counted / 48).abs_diff(passed);
        assert!(apart <= ms(25), "{counted} units, {passed:?}: {pair:?}");
        assert_eq!(pair[1].marker, counted > 960, "{pair:?}");
    }
}

/// Lets time pass until the sound of before is not heard any more, and then listens.
fn listen(world: &mut World, listeners: &[Handle]) {
    world.run_for(ms(SETTLED));
    listeners
        .iter()
        .for_each(|listener| world.forget(*listener));
    world.run_for(s(1));
}

#[test]
fn one_decoder_hears_all_who_talk_at_once_and_nobody_itself() {
    let mut world = World::with_config(
        "one_decoder_hears_all_who_talk_at_once_and_nobody_itself",
        config(),
    );
    let talkers = talkers(&mut world);
    let device = world.joined("device", listening(SubscribePolicy::Mix));
    let ssrcs: Vec<u32> = talkers
        .iter()
        .map(|talker| ssrc(&mut world, *talker))
        .collect();
    for (talker, hz) in talkers.iter().zip(TONES).take(2) {
        world.sing(Codec::Opus, *talker, "mic", hz, s(8));
    }
    let all = [talkers[0], talkers[1], talkers[2], device];
    listen(&mut world, &all);
    for (listener, heard) in [
        (device, &[0, 1][..]),
        (talkers[0], &[1]),
        (talkers[1], &[0]),
        (talkers[2], &[0, 1]),
    ] {
        let frames = world.mixed(listener);
        assert!((49..=51).contains(&frames.len()), "{}", frames.len());
        check_flow(frames);
        let expected: Vec<u32> = heard.iter().map(|n| TONES[*n]).collect();
        assert_eq!(tones(frames), expected);
        for frame in frames {
            let mut contributors = frame.contributors.clone();
            contributors.sort_unstable();
            let expected: Vec<u32> = heard.iter().map(|n| ssrcs[*n]).collect();
            assert_eq!(contributors, expected);
        }
    }

    // The third one chimes in, late, and then all are silent.
    world.sing(Codec::Opus, talkers[2], "mic", TONES[2], s(6));
    listen(&mut world, &all);
    assert_eq!(tones(world.mixed(device)), TONES);
    assert_eq!(tones(world.mixed(talkers[2])), &TONES[..2]);
    talkers.iter().for_each(|talker| world.hush(*talker));
    listen(&mut world, &all);
    for listener in all {
        assert!(world.mixed(listener).is_empty(), "silence is sent");
    }
    // Nor is it calculated: the server sleeps.
    let encoded = world.server().statistics().mix_encoded;
    world.run_for(s(5));
    assert_eq!(world.server().statistics().mix_encoded, encoded);
}

#[test]
fn who_is_the_loudest_in_a_mix_is_told_to_speak() {
    let mut world = World::with_config("who_is_the_loudest_in_a_mix_is_told_to_speak", config());
    let talkers = talkers(&mut world);
    let device = world.joined("device", listening(SubscribePolicy::Mix));
    for (talker, hz) in talkers.iter().zip(TONES).take(2) {
        world.sing(Codec::Opus, *talker, "mic", hz, s(2));
        world.run_for(s(4));
    }
    let events = world.events(device).iter();
    let speech: Vec<_> = events
        .filter_map(|(_, event)| match event {
            Event::SpeakingStarted { participant } => Some((true, participant.as_str())),
            Event::SpeakingStopped { participant } => Some((false, participant.as_str())),
            _ => None,
        })
        .collect();
    let told = [
        (true, "anna"),
        (false, "anna"),
        (true, "ben"),
        (false, "ben"),
    ];
    assert_eq!(speech, told);
}

#[test]
fn the_flow_goes_on_over_a_pause() {
    let mut world = World::with_config("the_flow_goes_on_over_a_pause", config());
    let talkers = talkers(&mut world);
    let device = world.joined("device", listening(SubscribePolicy::Mix));
    for _ in 0..3 {
        world.sing(Codec::Opus, talkers[0], "mic", TONES[0], s(1));
        world.run_for(s(4));
    }
    let frames = world.mixed(device);
    check_flow(frames);
    let starts = frames.iter().filter(|frame| frame.marker).count();
    assert_eq!(starts, 3);
}

#[test]
fn a_device_without_opus_hears_those_who_talk_opus_and_the_other_way_round() {
    let mut world = World::with_config(
        "a_device_without_opus_hears_those_who_talk_opus_and_the_other_way_round",
        config(),
    );
    let pcmu = Publish {
        codec: Codec::Pcmu,
        kind: StreamKind::Audio,
        ..microphone("mic")
    };
    let device = world.joined(
        "device",
        Options {
            publish: vec![pcmu],
            ..listening(SubscribePolicy::MixPcmu)
        },
    );
    let talkers = talkers(&mut world);
    world.sing(Codec::Pcmu, device, "mic", TONES[2], s(8));
    for (talker, hz) in talkers.iter().zip(TONES).take(2) {
        world.sing(Codec::Opus, *talker, "mic", hz, s(8));
    }
    listen(&mut world, &[device, talkers[0], talkers[2]]);
    let frames = world.mixed(device);
    assert!(frames.iter().all(|frame| frame.codec == Codec::Pcmu));
    check_flow(frames);
    assert_eq!(tones(frames), &TONES[..2]);
    let frames = world.mixed(talkers[0]);
    assert!(frames.iter().all(|frame| frame.codec == Codec::Opus));
    assert_eq!(tones(frames), &TONES[1..]);
    assert_eq!(tones(world.mixed(talkers[2])), TONES);
}

#[test]
fn who_may_not_be_heard_or_is_not_wanted_is_out_of_the_mix_at_once() {
    let mut world = World::with_config(
        "who_may_not_be_heard_or_is_not_wanted_is_out_of_the_mix_at_once",
        config(),
    );
    let talkers = talkers(&mut world);
    let moderator = world.joined("moderator", Options::moderator());
    let device = world.joined("device", listening(SubscribePolicy::Mix));
    let other = world.joined("other", listening(SubscribePolicy::Mix));
    for (talker, hz) in talkers.iter().zip(TONES) {
        world.sing(Codec::Opus, *talker, "mic", hz, s(60));
    }
    listen(&mut world, &[device, other]);
    assert_eq!(tones(world.mixed(device)), TONES);

    let unsubscribed = world.ask(device, |device| device.unsubscribe(&stream("anna", "mic")));
    assert_eq!(unsubscribed, Ok(Outcome::Done));
    listen(&mut world, &[device, other]);
    assert_eq!(tones(world.mixed(device)), &TONES[1..]);
    assert_eq!(
        tones(world.mixed(other)),
        TONES,
        "another's wish is its own"
    );
    let subscribed = world.ask(device, |device| device.subscribe(&stream("anna", "mic")));
    assert_eq!(subscribed, Ok(Outcome::Done));
    listen(&mut world, &[device]);
    assert_eq!(tones(world.mixed(device)), TONES);

    // What left the server before takes 10 ms: nothing that left it later has the voice of the censored.
    let censored = ssrc(&mut world, talkers[1]);
    let (server, clock) = world.server_and_clock();
    let room = RoomId::new("green").unwrap();
    server
        .moderate(clock, &room, Act::Censor, &id("ben").into())
        .unwrap();
    world.run_for(LinkConfig::GOOD.delay);
    world.forget(device);
    world.run_for(s(1));
    let frames = world.mixed(device);
    assert!(
        frames
            .iter()
            .all(|frame| !frame.contributors.contains(&censored))
    );
    assert_eq!(tones(frames), [TONES[0], TONES[2]]);

    let muted = world.ask(talkers[0], |device| device.set_muted(&key("mic"), true));
    assert_eq!(muted, Ok(Outcome::Done));
    listen(&mut world, &[device]);
    assert_eq!(tones(world.mixed(device)), [TONES[2]]);

    let kicked = world.ask(moderator, |device| {
        device.moderate(Moderation::Kick, &only(&["cleo"]))
    });
    assert_eq!(kicked, Ok(Outcome::Moderated { participants: 1 }));
    listen(&mut world, &[device]);
    assert!(world.mixed(device).is_empty());
    let uncensored = world.ask(moderator, |device| {
        device.moderate(Moderation::Uncensor, &only(&["ben"]))
    });
    assert_eq!(uncensored, Ok(Outcome::Moderated { participants: 1 }));
    listen(&mut world, &[device]);
    assert_eq!(tones(world.mixed(device)), [TONES[1]]);
    world.leave(talkers[1]);
    listen(&mut world, &[device]);
    assert!(world.mixed(device).is_empty());
}

#[test]
fn a_hundred_listeners_and_three_talkers_take_three_decoders_and_four_encoders() {
    let mut world = World::with_config(
        "a_hundred_listeners_and_three_talkers_take_three_decoders_and_four_encoders",
        config(),
    );
    let talkers = talkers(&mut world);
    let listeners: Vec<Handle> = (0..100)
        .map(|n| world.joined(&format!("listener-{n}"), listening(SubscribePolicy::Mix)))
        .collect();
    for (talker, hz) in talkers.iter().zip(TONES) {
        world.sing(Codec::Opus, *talker, "mic", hz, s(3));
    }
    world.run_for(s(1));
    let before = *world.server().statistics();
    world.run_for(s(1));
    let after = *world.server().statistics();
    assert_eq!(after.mix_decoded - before.mix_decoded, 3 * 50);
    assert_eq!(after.mix_encoded - before.mix_encoded, 4 * 50);
    assert_eq!(after.media_forwarded - before.media_forwarded, 103 * 50);
    let accounting = world.server().accounting();
    assert_eq!(accounting.mixes, 1);
    assert_eq!((accounting.mix_decoders, accounting.mix_encoders), (3, 4));
    assert!(accounting.mix_bytes > 3 * 170_000 && accounting.mix_bytes < 2_000_000);

    // All of it is given back when nobody listens.
    world.run_for(s(3));
    for listener in listeners.iter().chain(&talkers) {
        world.leave(*listener);
    }
    world.run_for(s(3));
    let accounting = world.server().accounting();
    assert_eq!((accounting.mixes, accounting.mix_bytes), (0, 0));
    assert_eq!(accounting.media_buffers, 0);
}

/// So the figures of the accounting, which the core cannot measure, are true.
#[test]
fn the_accounting_tells_what_is_allocated() {
    let mut encoder = None;
    let settings = EncoderConfig::default();
    let of_encoder = measure(|| encoder = FullbandEncoder::new(settings).ok().map(Box::new))
        .bytes_current as usize;
    let mut world = World::with_config("the_accounting_tells_what_is_allocated", config());
    let talker = world.joined("talker", listening(SubscribePolicy::Mix).publishing("mic"));
    let _device = world.joined("device", listening(SubscribePolicy::Mix));
    let before = world.server().accounting().mix_bytes;
    world.sing(Codec::Opus, talker, "mic", TONES[0], s(1));
    world.run_for(s(1));
    let told = world.server().accounting();
    assert_eq!((before, told.mix_decoders, told.mix_encoders), (0, 1, 1));
    let of_decoder = size_of::<OpusState>() + 16 * 1_175;
    let allocated = of_encoder + of_decoder;
    let apart = told.mix_bytes.abs_diff(allocated);
    assert!(
        apart * 10 < allocated,
        "{} told, {allocated} allocated: {of_encoder} for the encoder",
        told.mix_bytes
    );
}

#[test]
fn loss_and_jitter_are_made_up_for_once() {
    let mut world = World::with_config("loss_and_jitter_are_made_up_for_once", config());
    let weak = listening(SubscribePolicy::Mix)
        .publishing("mic")
        .over(LinkConfig::WEAK);
    let talker = world.joined("talker", weak);
    let device = world.joined("device", listening(SubscribePolicy::Mix));
    world.sing(Codec::Opus, talker, "mic", TONES[0], s(30));
    world.run_for(s(5));
    world.forget(device);
    world.run_for(s(20));
    let frames = world.mixed(device);
    // The talker's losses are concealed by the server and are none to the listener.
    check_flow(frames);
    assert!(frames.len() >= 960, "{} of 1000", frames.len());
    assert_eq!(tones(frames), [TONES[0]]);
}

#[test]
fn who_changes_its_mind_keeps_its_flow() {
    let mut world = World::with_config("who_changes_its_mind_keeps_its_flow", config());
    let talkers = talkers(&mut world);
    let device = world.joined("device", listening(SubscribePolicy::All));
    for (talker, hz) in talkers.iter().zip(TONES).take(2) {
        world.sing(Codec::Opus, *talker, "mic", hz, s(60));
    }
    world.run_for(s(2));
    for policy in [
        SubscribePolicy::Mix,
        SubscribePolicy::All,
        SubscribePolicy::MixPcmu,
    ] {
        let asked = world.ask(device, |device| device.set_subscribe_policy(policy));
        assert_eq!(asked, Ok(Outcome::Done));
        world.run_for(s(2));
    }
    let frames = world.mixed(device);
    for pair in frames.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1, "{pair:?}");
        assert!(pair[1].timestamp > pair[0].timestamp, "{pair:?}");
    }
    let several = frames.iter().filter(|frame| frame.contributors.len() == 2);
    assert!((180..=205).contains(&several.count()));
    assert_eq!(frames.last().map(|frame| frame.codec), Some(Codec::Pcmu));
}

#[test]
fn a_server_that_does_not_mix_says_so() {
    let mut world = World::new("a_server_that_does_not_mix_says_so");
    let device = world.joined("device", Options::small());
    for policy in [SubscribePolicy::Mix, SubscribePolicy::MixPcmu] {
        let asked = world.ask(device, |device| device.set_subscribe_policy(policy));
        assert_eq!(asked, Err(RequestFailure::Refused(Refusal::MixUnavailable)));
    }
}

#[test]
fn no_more_sessions_are_mixed_than_the_operator_allows() {
    let mix = MixConfig {
        sessions: 1,
        ..MixConfig::default()
    };
    let config = Config {
        mix: Some(mix),
        ..Config::default()
    };
    let mut world = World::with_config(
        "no_more_sessions_are_mixed_than_the_operator_allows",
        config,
    );
    let first = world.joined("first", listening(SubscribePolicy::Mix).in_room("one"));
    let same = world.joined("same", listening(SubscribePolicy::Mix).in_room("one"));
    let second = world.joined("second", Options::small().in_room("two"));
    let mix = SubscribePolicy::Mix;
    let asked = world.ask(second, |device| device.set_subscribe_policy(mix));
    assert_eq!(asked, Err(RequestFailure::Refused(Refusal::MixUnavailable)));
    for party in [first, same] {
        let asked = world.ask(party, |device| {
            device.set_subscribe_policy(SubscribePolicy::All)
        });
        assert_eq!(asked, Ok(Outcome::Done));
    }
    let asked = world.ask(second, |device| device.set_subscribe_policy(mix));
    assert_eq!(asked, Ok(Outcome::Done));
}
