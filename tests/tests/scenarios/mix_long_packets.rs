//! Speech in packets of 80 to 120 ms, which gateways send: heard alone and in a mix.

use std::path::Path;

use parlour_core::audio::Packet;
use parlour_core::audio::codec::{AudioEncoder as _, Encoded};
use parlour_core::audio::opus::{EncoderConfig, MAX_PAYLOAD, OpusEncoder};
use parlour_core::room::Codec;
use parlour_core::rtp::{AudioLevel, frame_samples};
use parlour_core::server::{Config, MixConfig};
use parlour_core::signal::SubscribePolicy;
use parlour_core::time::{Duration, Instant};
use parlour_examples::ear::{Ear, RATE};
use parlour_examples::{measure, wav};
use parlour_tests::tone::decode;
use parlour_tests::{Mixed, Options, World};

use crate::{key, ms, s};

/// What an encoder puts into one frame.
const FRAME_MS: u16 = 20;
/// What is the same speech through a codec is more similar than that; other speech gives about 0.
const SIMILAR: f64 = 0.8;

/// 4 s of a voice, and its frames of 20 ms in Opus.
fn speech() -> (Vec<i16>, Vec<Vec<u8>>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/assets/host.wav");
    let mut pcm = wav::read(&path, RATE).unwrap();
    pcm.truncate(RATE.samples(4_000));
    let mut encoder = Box::new(OpusEncoder::new(EncoderConfig::default()).unwrap());
    let frames = pcm.chunks_exact(RATE.samples(FRAME_MS)).map(|frame| {
        let mut out = [0; MAX_PAYLOAD];
        match encoder.encode(frame, &mut out) {
            Ok(Encoded::Payload(len)) => out[..len].to_vec(),
            other => panic!("speech is not {other:?}"),
        }
    });
    let frames = frames.collect();
    (pcm, frames)
}

/// One packet of several frames, each of which says its length
/// ([RFC 6716 section 3.2.5](https://www.rfc-editor.org/rfc/rfc6716#section-3.2.5)).
fn packet(frames: &[Vec<u8>]) -> Vec<u8> {
    let (head, count) = (frames[0][0], frames.len() as u8);
    assert!(frames.iter().all(|frame| frame[0] == head), "one mode");
    let mut packet = vec![head | 3, 0x80 | count];
    for frame in &frames[..frames.len() - 1] {
        let len = u8::try_from(frame.len() - 1).expect("24 kb/s");
        assert!(len < 252, "24 kb/s");
        packet.push(len);
    }
    packet.extend(frames.iter().flat_map(|frame| &frame[1..]));
    packet
}

/// What an ear plays of these frames from `began` on.
fn play(frames: &[Mixed], began: Instant, time: Duration) -> Vec<i16> {
    let mut ear = Ear::new().unwrap();
    let mut frames = frames.iter().peekable();
    let (mut now, mut heard) = (began, Vec::new());
    while now < began + time {
        while let Some(frame) = frames.next_if(|frame| frame.at <= now) {
            let packet = Packet {
                codec: frame.codec,
                sequence: frame.sequence,
                timestamp: frame.timestamp,
                duration: frame_samples(frame.codec, &frame.payload).unwrap(),
                marker: frame.marker,
                speaker: frame.contributors.first().copied(),
                payload: &frame.payload,
            };
            ear.push(now, packet);
        }
        let mut pcm = vec![0; RATE.samples(FRAME_MS)];
        ear.read(now, &mut pcm);
        heard.extend(pcm);
        now += ms(FRAME_MS.into());
    }
    heard
}

#[test]
fn long_packets_are_heard_alone_and_in_a_mix() {
    // Codecs are large, and a debug build moves them over the stack.
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    let test = thread.spawn(listen_to_long_packets).unwrap();
    test.join().unwrap();
}

fn listen_to_long_packets() {
    let (said, frames) = speech();
    for count in [4, 5, 6] {
        let config = Config {
            mix: Some(MixConfig::default()),
            ..Config::default()
        };
        let mut world = World::with_config("long_packets_are_heard_alone_and_in_a_mix", config);
        let talker = world.joined("gateway", Options::default().publishing("mic"));
        let alone = world.joined("alone", Options::small());
        let listening = Options {
            policy: SubscribePolicy::Mix,
            ..Options::small()
        };
        let mixed = world.joined("mixed", listening);
        let began = world.now();
        for (number, frames) in frames.chunks_exact(count).enumerate() {
            let (packet, duration) = (packet(frames), 960 * count as u32);
            assert_eq!(frame_samples(Codec::Opus, &packet), Ok(duration));
            // A packet is sent when all of it has been said.
            world.run_for(ms(20 * count as u64));
            let (clock, level) = (world.clock(talker), AudioLevel::from_byte(0x80 | 20));
            let timestamp = number as u32 * duration;
            let device = world.device(talker);
            let sent = device.send_audio(clock, &key("mic"), timestamp, level, &packet);
            sent.unwrap();
        }
        world.run_for(s(2));
        let time = world.now().saturating_duration_since(began);
        let heard = play(world.mixed(alone), began, time);
        let match_alone = measure::find(&said, &heard);
        let heard = play(world.mixed(mixed), began, time);
        let match_mixed = measure::find(&said, &heard);
        println!("{count} frames: alone {match_alone:?}, mixed {match_mixed:?}");
        assert!(match_alone.similarity > SIMILAR, "{match_alone:?}");
        assert!(match_mixed.similarity > SIMILAR, "{match_mixed:?}");
        // The mix goes on without gaps, in frames of its own.
        let (_, pcm) = decode(world.mixed(mixed));
        assert!(pcm.len() + RATE.samples(400) >= said.len(), "{}", pcm.len());
    }
}
