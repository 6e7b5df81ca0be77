//! Each part of the pipeline separately, by calls to the core.

use alloc::boxed::Box;
use core::cell::Cell;

use parlour_core::audio::codec::{AudioDecoder, AudioEncoder, FrameDuration, SampleRate};
use parlour_core::audio::g711::{G711Decoder, G711Encoder, Law};
use parlour_core::audio::level::level;
use parlour_core::audio::opus::{
    Channels, EncoderConfig, MAX_PAYLOAD, OpusDecoder, OpusEncoder, OpusMemory,
};
use parlour_core::audio::resample::Resampler;
use parlour_core::audio::{EchoFilter, JitterBuffer, JitterConfig, Lateness, Packet, Pull};
use parlour_core::client::{Client, Commands as _, Incoming};
use parlour_core::room::Codec;
use parlour_core::server::Path;
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::MAX_DATAGRAM;
use parlour_embassy::{Device, SpeechGate, TalkGate as _};

use crate::board::println;
use crate::meter::{Meter, figure};
use crate::server::{Sayings, VOICE, World, mic, publish};
use crate::speech::{FRAME, RATE, Speech};

/// The number of 20 ms frames per mean.
const FRAMES: u64 = 100;
const TWENTY_MS: Duration = Duration::from_millis(20);
const NARROW: usize = SampleRate::Hz8000.samples(20);
/// From loudspeaker to microphone: 20 ms at 8 kHz.
const DELAY: usize = NARROW;

pub fn print() {
    transport();
    jitter();
    g711();
    narrow_echo::<128, { 128 + DELAY }>("parts/echo-8-16");
    narrow_echo::<256, { 256 + DELAY }>("parts/echo-8-32");
    narrow_echo::<512, { 512 + DELAY }>("parts/echo-8-64");
    echo::<512, { 512 + 2 * DELAY }, FRAME>("parts/echo-16-32");
    speech();
}

/// Sealing and opening, as the client does them.
fn transport() {
    let mut now = Instant::from_micros(0);
    let mut world = World::new(now);
    world.invite(now, Some(Sayings::new(Codec::Pcmu)));
    let mut device: Box<Client<Device>> = Box::new(world.client("device", now));
    device
        .publish(publish(Codec::Pcmu))
        .expect("the first stream");
    let (join, send, seal, open, rest) = (
        Meter::new(),
        Meter::new(),
        Meter::new(),
        Meter::new(),
        Meter::new(),
    );
    let mut sayings = Sayings::new(Codec::Pcmu);
    let (mut datagram, mut frames, mut heard) = ([0; MAX_DATAGRAM], 0, 0);
    // Other tasks wait as long as one call takes.
    let (longest, before) = (Cell::new(0), Cell::new(0));
    let compare = || {
        let taken = join.read() - before.replace(join.read());
        longest.set(longest.get().max(taken));
    };
    while frames < FRAMES {
        let joined = device.published_ssrc(&mic()).is_some();
        let (seal, open, rest) = if joined {
            (&seal, &open, &rest)
        } else {
            (&join, &join, &join)
        };
        world.talk(now);
        if joined {
            let (timestamp, payload) = sayings.next();
            send.count(|| device.send_audio(now, &mic(), timestamp, VOICE, payload))
                .expect("joined");
            frames += 1;
        }
        rest.count(|| device.handle_timeout(now));
        compare();
        while let Ok(Some(len)) = seal.count(|| device.poll_transmit(now, &mut datagram)) {
            compare();
            let from = Path::Stream {
                id: 2,
                from: core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST),
            };
            let _ = world
                .server
                .handle_datagram(now, from, &mut datagram[..len]);
        }
        world.settle(now, |_, bytes| {
            let bytes = &mut {
                let mut copy = [0; MAX_DATAGRAM];
                copy[..bytes.len()].copy_from_slice(bytes);
                copy
            }[..bytes.len()];
            let _ = open.count(|| {
                device.handle_datagram(now, bytes, &mut |incoming| {
                    heard += u64::from(joined && matches!(incoming, Incoming::Audio { .. }));
                })
            });
            compare();
        });
        while rest.count(|| device.poll_event()).is_some() {}
        now += TWENTY_MS;
    }
    println!("figure parts/heard {heard}");
    figure("parts/join", join.read(), 1);
    figure("parts/join-longest", longest.get(), 1);
    figure("parts/packetize", send.read(), FRAMES);
    figure("parts/seal", seal.read(), FRAMES);
    figure("parts/open", open.read(), FRAMES);
    figure("parts/client-rest", rest.read(), FRAMES);
}

fn jitter() {
    let mut buffer = Box::new(JitterBuffer::<12, 160>::new(JitterConfig::default()));
    let mut lateness = Lateness::new();
    let mut now = Instant::from_micros(0);
    let (push, pull) = (Meter::new(), Meter::new());
    let mut played = 0;
    for sequence in 0..FRAMES {
        let packet = Packet {
            sequence,
            timestamp: sequence * 960,
            duration: 960,
            codec: Codec::Pcmu,
            speaker: Some(7),
            marker: sequence == 0,
            payload: &[0x80; NARROW],
        };
        push.count(|| buffer.push(now, packet, &mut lateness))
            .expect("in order");
        pull.count(|| played += u64::from(matches!(buffer.pull(now), Pull::Frame(_))));
        now += TWENTY_MS;
    }
    println!("figure parts/played {played}");
    figure("parts/jitter-push", push.read(), FRAMES);
    figure("parts/jitter-pull", pull.read(), FRAMES);
}

fn g711() {
    let mut encoder = G711Encoder::new(Law::Mu, FrameDuration::Ms20);
    let mut decoder = G711Decoder::new(Law::Mu);
    let mut down = Resampler::new(RATE, SampleRate::Hz8000);
    let mut up = Resampler::new(SampleRate::Hz8000, RATE);
    let meters = [const { Meter::new() }; 5];
    let [encode, decode, narrow, widen, loudness] = &meters;
    let mut speech = Speech::new(RATE);
    for _ in 0..FRAMES {
        let (mut wide, mut pcm, mut payload) = ([0; FRAME], [0; NARROW], [0; NARROW]);
        speech.read(&mut wide);
        let _ = loudness.count(|| core::hint::black_box(level(&wide)));
        narrow
            .count(|| down.process(&wide, &mut pcm))
            .expect("whole frames");
        let _ = encode
            .count(|| encoder.encode(&pcm, &mut payload))
            .expect("whole frames");
        decode
            .count(|| decoder.decode(&payload, &mut pcm))
            .expect("whole frames");
        widen
            .count(|| up.process(&pcm, &mut wide))
            .expect("whole frames");
        core::hint::black_box(&wide);
    }
    for (name, meter) in [
        ("parts/g711-encode", encode),
        ("parts/g711-decode", decode),
        ("parts/resample-16-to-8", narrow),
        ("parts/resample-8-to-16", widen),
        ("parts/level", loudness),
    ] {
        figure(name, meter.read(), FRAMES);
    }
}

fn narrow_echo<const TAPS: usize, const HISTORY: usize>(name: &str) {
    echo::<TAPS, HISTORY, NARROW>(name);
}

/// A far end that talks without end, and its echo: no sample is spared.
fn echo<const TAPS: usize, const HISTORY: usize, const SAMPLES: usize>(name: &str) {
    let mut filter = Box::new(EchoFilter::<TAPS, HISTORY>::new());
    let rate = SampleRate::from_hz(50 * SAMPLES as u32).expect("8 or 16 kHz");
    let (mut speech, cost) = (Speech::new(rate), Meter::new());
    let (mut played, mut before) = ([0; SAMPLES], [0; SAMPLES]);
    for _ in 0..FRAMES {
        speech.read(&mut played);
        let mut microphone = before.map(|sample: i16| sample / 2);
        cost.count(|| filter.process(&mut microphone, &played));
        core::hint::black_box(&microphone);
        before = played;
    }
    figure(name, cost.read(), FRAMES);
}

fn speech() {
    let mut gate = Box::new(SpeechGate::new(RATE));
    let (mut speech, cost, mut frame) = (Speech::new(RATE), Meter::new(), [0; FRAME]);
    let mut open = 0;
    for _ in 0..FRAMES {
        speech.read(&mut frame);
        open += u64::from(cost.count(|| gate.is_open(&frame)));
    }
    println!("figure parts/speech-open {open}");
    figure("parts/speech", cost.read(), FRAMES);
}

/// Opus at 16 kHz and 24 kb/s.
pub fn print_opus() {
    let mut memory = Box::new(OpusMemory::new());
    let mut decoder = OpusDecoder::new_in(&mut memory, RATE, Channels::Mono).expect("supported");
    for complexity in [0, 2, 5] {
        let config = EncoderConfig {
            sample_rate: RATE,
            complexity,
            ..EncoderConfig::default()
        };
        let mut encoder = Box::new(OpusEncoder::new(config).expect("supported"));
        let (encode, decode) = (Meter::new(), Meter::new());
        let (mut speech, mut bytes) = (Speech::new(RATE), 0);
        for _ in 0..FRAMES {
            let (mut pcm, mut out) = ([0; FRAME], [0; MAX_PAYLOAD]);
            speech.read(&mut pcm);
            let encoded = encode
                .count(|| encoder.encode(&pcm, &mut out))
                .expect("whole frames");
            let payload = encoded.payload(&out).expect("no DTX");
            bytes += payload.len() as u64;
            decode
                .count(|| decoder.decode(payload, &mut pcm))
                .expect("its own");
        }
        println!("figure opus/{complexity}/bytes {}", bytes / FRAMES);
        println!("figure opus/{complexity}/encode {}", encode.read() / FRAMES);
        println!("figure opus/{complexity}/decode {}", decode.read() / FRAMES);
    }
}
