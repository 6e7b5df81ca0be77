//! The jitter buffer, the mixer and the codecs, each for 20 ms of recorded speech.

use std::hint::black_box;

use parlour_core::audio::codec::{AudioDecoder, AudioEncoder, Encoded, FrameDuration, SampleRate};
use parlour_core::audio::g711::{G711Decoder, G711Encoder, Law};
use parlour_core::audio::mixer::Mixer;
use parlour_core::audio::opus::{
    Channels, EncoderConfig, FullbandEncoder, OpusDecoder, OpusEncoder, OpusState,
};
use parlour_core::audio::resample::Resampler;
use parlour_core::audio::{JitterBuffer, JitterConfig, Lateness, Packet};
use parlour_core::room::Codec;
use parlour_core::time::{Duration, Instant};

use crate::Case;
use crate::sound::speech;

pub const CASES: &[Case] = &[
    Case {
        name: "audio/jitter buffer, push and pull",
        prepare: |_| {
            let mut buffer = Box::new(JitterBuffer::<16, 160>::new(JitterConfig::default()));
            let mut lateness = Lateness::new();
            let (mut now, mut sequence) = (Instant::from_micros(0), 0);
            Box::new(move || {
                let packet = Packet {
                    sequence,
                    timestamp: sequence * 960,
                    duration: 960,
                    codec: Codec::Opus,
                    speaker: None,
                    marker: false,
                    payload: black_box(&[0x55; 80]),
                };
                buffer
                    .push(now, packet, &mut lateness)
                    .expect("in order and in time");
                let _ = black_box(buffer.pull(now));
                sequence += 1;
                now += Duration::from_millis(20);
            })
        },
    },
    Case {
        name: "audio/mix 3 voices, 48 kHz",
        prepare: |_| {
            let voices = speech(SampleRate::Hz48000, 3);
            let (mut sums, mut out) = (vec![0; 960], vec![0; 960]);
            Box::new(move || {
                let mut mixer = Mixer::new(&mut sums);
                for voice in black_box(&voices) {
                    mixer.add(voice).expect("blocks of one length");
                }
                black_box(mixer.finish(&mut out)).expect("blocks of one length");
            })
        },
    },
    Case {
        name: "audio/resample 16 to 8 kHz",
        prepare: |_| {
            let frame = speech(SampleRate::Hz16000, 1).remove(0);
            let mut resampler = Resampler::new(SampleRate::Hz16000, SampleRate::Hz8000);
            let mut out = [0; SampleRate::Hz8000.samples(20)];
            Box::new(move || {
                let len = resampler.process(black_box(&frame), &mut out);
                black_box(len).expect("a whole number of samples");
            })
        },
    },
    Case {
        name: "audio/G.711 encode",
        prepare: |count| {
            encode(
                G711Encoder::new(Law::Mu, FrameDuration::Ms20),
                SampleRate::Hz8000,
                count,
            )
        },
    },
    Case {
        name: "audio/G.711 decode",
        prepare: |count| {
            decode(
                G711Encoder::new(Law::Mu, FrameDuration::Ms20),
                G711Decoder::new(Law::Mu),
                SampleRate::Hz8000,
                count,
            )
        },
    },
    Case {
        name: "audio/Opus encode, 16 kHz, complexity 0",
        prepare: |count| encode(opus(0), SampleRate::Hz16000, count),
    },
    Case {
        name: "audio/Opus encode, 16 kHz, complexity 5",
        prepare: |count| encode(opus(5), SampleRate::Hz16000, count),
    },
    Case {
        name: "audio/Opus decode, 16 kHz",
        prepare: |count| {
            let decoder = OpusDecoder::<OpusState>::new(SampleRate::Hz16000, Channels::Mono);
            let decoder = decoder.expect("it is supported");
            decode(opus(0), decoder, SampleRate::Hz16000, count)
        },
    },
    Case {
        name: "audio/Opus encode, 48 kHz, complexity 5",
        prepare: |count| encode(fullband(), SampleRate::Hz48000, count),
    },
    Case {
        name: "audio/Opus decode, 48 kHz",
        prepare: |count| {
            let decoder = OpusDecoder::<OpusState>::new(SampleRate::Hz48000, Channels::Mono);
            let decoder = decoder.expect("it is supported");
            decode(fullband(), decoder, SampleRate::Hz48000, count)
        },
    },
];

fn opus(complexity: u8) -> OpusEncoder {
    let config = EncoderConfig {
        complexity,
        ..EncoderConfig::default()
    };
    OpusEncoder::new(config).expect("it is supported")
}

fn fullband() -> FullbandEncoder {
    let config = EncoderConfig {
        sample_rate: SampleRate::Hz48000,
        bitrate: 32_000,
        ..EncoderConfig::default()
    };
    FullbandEncoder::new(config).expect("it is supported")
}

fn encode(
    mut encoder: impl AudioEncoder + 'static,
    rate: SampleRate,
    count: u64,
) -> Box<dyn FnMut()> {
    let mut frames = speech(rate, count).into_iter();
    let mut out = [0; 1_500];
    Box::new(move || {
        let pcm = frames.next().expect("one for each call");
        let encoded = encoder.encode(&pcm, &mut out).expect("whole frames");
        assert!(black_box(encoded).payload(&out).is_some());
    })
}

fn decode(
    mut encoder: impl AudioEncoder,
    mut decoder: impl AudioDecoder + 'static,
    rate: SampleRate,
    count: u64,
) -> Box<dyn FnMut()> {
    let mut out = [0; 1_500];
    let payloads = speech(rate, count).into_iter().map(|pcm| {
        match encoder.encode(&pcm, &mut out).expect("whole frames") {
            Encoded::Payload(len) => out[..len].to_vec(),
            _ => unreachable!("no silence is left out"),
        }
    });
    let mut payloads = payloads.collect::<Vec<_>>().into_iter();
    let mut pcm = vec![0; 5_760];
    Box::new(move || {
        let payload = payloads.next().expect("one for each call");
        black_box(decoder.decode(&payload, &mut pcm)).expect("a payload of ours");
    })
}
