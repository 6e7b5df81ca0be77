//! Codecs, jitter buffer, mixer: 20 ms at a time.

use std::hint::black_box;

use parlour_core::audio::codec::{AudioDecoder as _, AudioEncoder as _, FrameDuration, SampleRate};
use parlour_core::audio::g711::{G711Decoder, G711Encoder, Law};
use parlour_core::audio::mixer::Mixer;
use parlour_core::audio::opus::{
    Channels, EncoderConfig, FullbandEncoder, MAX_PAYLOAD, OpusDecoder, OpusEncoder,
};
use parlour_core::audio::resample::Resampler;
use parlour_core::audio::{JitterBuffer, JitterConfig, Packet};
use parlour_core::room::Codec;
use parlour_core::time::{Duration, Instant};

use crate::{Bench, Case, case};

/// Speech, 16 kHz, mono.
const SPEECH: &[u8] = include_bytes!("../../../examples/assets/device.wav");
const WAV_HEADER: usize = 44;
pub(crate) const FRAME: usize = SampleRate::Hz16000.samples(20);

pub(crate) fn speech() -> Vec<i16> {
    let (samples, _) = SPEECH[WAV_HEADER..].as_chunks();
    samples
        .iter()
        .map(|bytes| i16::from_le_bytes(*bytes))
        .collect()
}

/// Five seconds of the speech, in Opus.
pub(crate) fn payloads() -> Vec<Vec<u8>> {
    let mut encoder = FullbandEncoder::new(EncoderConfig::default()).unwrap();
    let mut out = [0; MAX_PAYLOAD];
    let frames = speech();
    let frames = frames.chunks_exact(FRAME).take(250);
    frames
        .map(|frame| {
            encoder
                .encode(frame, &mut out)
                .unwrap()
                .payload(&out)
                .unwrap()
                .to_vec()
        })
        .collect()
}

/// Goes round and round.
pub(crate) struct Cycle<T> {
    items: Vec<T>,
    next: usize,
}

impl<T> Cycle<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self { items, next: 0 }
    }

    pub(crate) fn next(&mut self) -> &T {
        self.next = (self.next + 1) % self.items.len();
        &self.items[self.next]
    }
}

fn frames() -> Cycle<Vec<i16>> {
    Cycle::new(speech().chunks_exact(FRAME).map(<[i16]>::to_vec).collect())
}

fn encode_full(complexity: u8) -> Box<dyn Bench> {
    let config = EncoderConfig {
        complexity,
        ..EncoderConfig::default()
    };
    let (mut encoder, mut frames) = (FullbandEncoder::new(config).unwrap(), frames());
    Box::new(move || {
        let mut out = [0; MAX_PAYLOAD];
        let _ = black_box(encoder.encode(frames.next(), &mut out)).unwrap();
    })
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("G.711 encode", || {
            let (mut encoder, mut frames) =
                (G711Encoder::new(Law::Mu, FrameDuration::Ms20), frames());
            Box::new(move || {
                let mut out = [0; 160];
                let _ = black_box(encoder.encode(&frames.next()[..160], &mut out)).unwrap();
            })
        }),
        case("G.711 decode", || {
            let mut decoder = G711Decoder::new(Law::Mu);
            Box::new(move || {
                let mut pcm = [0; 160];
                black_box(decoder.decode(black_box(&[0x35; 160]), &mut pcm)).unwrap();
            })
        }),
        case("resample 16 to 8 kHz", || {
            let mut narrow = Resampler::new(SampleRate::Hz16000, SampleRate::Hz8000);
            let mut frames = frames();
            Box::new(move || {
                let mut pcm = [0; 160];
                black_box(narrow.process(frames.next(), &mut pcm)).unwrap();
            })
        }),
        case("Opus encode 16 kHz: ropus, complexity 5", || encode_full(5)),
        case("Opus encode 16 kHz: ropus, complexity 0", || encode_full(0)),
        case("Opus encode 16 kHz: opus-rs, complexity 5", || {
            let encoder = OpusEncoder::new(EncoderConfig::default()).unwrap();
            let (mut encoder, mut frames) = (Box::new(encoder), frames());
            Box::new(move || {
                let mut out = [0; MAX_PAYLOAD];
                let _ = black_box(encoder.encode(frames.next(), &mut out)).unwrap();
            })
        }),
        case("Opus decode to 16 kHz", || {
            let decoder = OpusDecoder::boxed(SampleRate::Hz16000, Channels::Stereo);
            let (mut decoder, mut payloads) = (decoder.unwrap(), Cycle::new(payloads()));
            Box::new(move || {
                let mut pcm = [0; FRAME];
                black_box(decoder.decode(payloads.next(), &mut pcm)).unwrap();
            })
        }),
        case("mix 3 voices at 16 kHz", || {
            let mut frames = frames();
            Box::new(move || {
                let (mut sums, mut mixed) = ([0; FRAME], [0; FRAME]);
                let mut mixer = Mixer::new(&mut sums);
                for _ in 0..3 {
                    mixer.add(frames.next()).unwrap();
                }
                black_box(mixer.finish(&mut mixed)).unwrap();
            })
        }),
        case("jitter buffer: push and pull 20 ms", || {
            let mut jitter = JitterBuffer::<16, 160>::new(JitterConfig::default());
            let mut sequence = 0;
            Box::new(move || {
                let now = Instant::from_micros(0) + Duration::from_millis(20 * sequence);
                let packet = Packet {
                    sequence,
                    timestamp: sequence * 960,
                    duration: 960,
                    codec: Codec::Opus,
                    speaker: Some(7),
                    marker: false,
                    payload: &[0x48; 80],
                };
                jitter.push(now, packet).unwrap();
                sequence += 1;
                let mut left = 960_u32;
                while left > 0 {
                    left = left.saturating_sub(black_box(jitter.pull(now)).samples());
                }
            })
        }),
    ]
}
