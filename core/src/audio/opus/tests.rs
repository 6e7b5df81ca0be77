use super::*;
use crate::audio::codec::{
    AudioDecoder, AudioEncoder, DecodeError, EncodeError, FrameDuration, SampleRate,
};
use crate::audio::decoder::Decoder;
use crate::audio::synth::{self, power, snr};
use crate::audio::{JitterConfig, Lateness, Packet, Player};
use crate::room::Codec;
use crate::rtp::frame_samples;
use crate::time::Duration;
use proptest::prelude::*;
use std::boxed::Box;
use std::vec::Vec;

const FRAMES: [FrameDuration; 4] = [
    FrameDuration::Ms10,
    FrameDuration::Ms20,
    FrameDuration::Ms40,
    FrameDuration::Ms60,
];
const RATES: [SampleRate; 3] = [
    SampleRate::Hz16000,
    SampleRate::Hz24000,
    SampleRate::Hz48000,
];

/// Unoptimised builds copy the codecs' large states about the stack as they are made.
fn on_a_large_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    if let Err(panic) = thread.spawn(test).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// Every payload that `encoder` makes of `pcm`; `None` for silence.
fn encode_all(encoder: &mut impl AudioEncoder, pcm: &[i16]) -> Vec<Option<Vec<u8>>> {
    let mut out = [0; MAX_PAYLOAD];
    pcm.chunks_exact(encoder.frame_samples())
        .map(|frame| {
            let encoded = encoder.encode(frame, &mut out).unwrap();
            encoded.payload(&out).map(<[u8]>::to_vec)
        })
        .collect()
}

fn ms(frame: FrameDuration) -> Duration {
    Duration::from_millis(frame.ms().into())
}

fn decoder(rate: SampleRate, channels: Channels) -> Box<OpusDecoder> {
    Box::new(OpusDecoder::new(rate, channels).unwrap())
}

fn decode_all(decoder: &mut impl AudioDecoder, payloads: &[Option<Vec<u8>>]) -> Vec<i16> {
    let mut heard = Vec::new();
    let mut pcm = std::vec![0; decoder.sample_rate().samples(60)];
    let mut last = decoder.sample_rate().samples(20);
    for payload in payloads {
        match payload {
            Some(payload) => last = decoder.decode(payload, &mut pcm).unwrap(),
            None => decoder.conceal(&mut pcm[..last]),
        }
        heard.extend(&pcm[..last]);
    }
    heard
}

fn bitrate(payloads: &[Option<Vec<u8>>], frame: FrameDuration) -> u32 {
    let bytes: usize = payloads.iter().flatten().map(Vec::len).sum();
    (bytes * 8000 / (payloads.len() * usize::from(frame.ms()))) as u32
}

fn config(frame: FrameDuration, bitrate: u32) -> EncoderConfig {
    EncoderConfig {
        frame,
        bitrate,
        ..EncoderConfig::default()
    }
}

#[test]
fn speech_comes_through_at_every_frame_and_output_rate() {
    on_a_large_stack(|| {
        let said = RATES.map(|rate| synth::voice(rate, 600));
        for frame in FRAMES {
            let mut encoder = Box::new(OpusEncoder::new(config(frame, 24_000)).unwrap());
            let payloads = encode_all(&mut *encoder, &said[0]);
            let actual = bitrate(&payloads, frame);
            assert!(
                (14_000..27_000).contains(&actual),
                "{frame:?}: {actual} b/s"
            );
            for payload in payloads.iter().flatten() {
                let packet = OpusPacket::parse(payload).unwrap();
                assert_eq!(packet.duration(), ms(frame));
                assert!(!packet.is_stereo() && !packet.has_fec());
            }
            for (rate, said) in RATES.into_iter().zip(&said) {
                for channels in [Channels::Mono, Channels::Stereo] {
                    let heard = decode_all(&mut *decoder(rate, channels), &payloads);
                    let snr = snr(said, &heard, rate.samples(10));
                    // SILK is not a waveform coder, and 16 kHz PCM has nothing above 8 kHz.
                    assert!(snr > 8.0, "{frame:?} to {rate:?}, {channels:?}: {snr} dB");
                }
            }
        }
    });
}

#[test]
fn the_stereo_decoder_plays_mono_payloads_as_the_mono_one() {
    on_a_large_stack(|| {
        let said = synth::voice(SampleRate::Hz16000, 600);
        let mut encoder = Box::new(OpusEncoder::new(EncoderConfig::default()).unwrap());
        let payloads = encode_all(&mut *encoder, &said);
        let [mono, stereo] = [Channels::Mono, Channels::Stereo]
            .map(|channels| decode_all(&mut *decoder(SampleRate::Hz16000, channels), &payloads));
        assert_eq!(mono, stereo);
    });
}

#[test]
fn redundancy_rebuilds_what_concealment_cannot() {
    on_a_large_stack(|| {
        let said = synth::voice(SampleRate::Hz16000, 2000);
        let mut encoder = Box::new(
            OpusEncoder::new(EncoderConfig {
                expected_loss: 20,
                bitrate: 32_000,
                ..EncoderConfig::default()
            })
            .unwrap(),
        );
        let payloads = encode_all(&mut *encoder, &said);
        let whole = decode_all(
            &mut *decoder(SampleRate::Hz16000, Channels::Mono),
            &payloads,
        );
        let play = |recover: bool| {
            let mut decoder = decoder(SampleRate::Hz16000, Channels::Mono);
            let (mut error, mut recovered) = (0.0, 0);
            let mut pcm = [0; 320];
            for (i, payload) in payloads.iter().flatten().enumerate() {
                let truth = &whole[i * 320..][..320];
                let lost = i % 5 == 4;
                match payloads.get(i + 1) {
                    Some(Some(next)) if lost && recover => {
                        recovered += usize::from(decoder.recover(next, &mut pcm));
                    }
                    _ if lost => decoder.conceal(&mut pcm),
                    _ => drop(decoder.decode(payload, &mut pcm)),
                }
                if lost {
                    let difference: Vec<i16> = pcm
                        .iter()
                        .zip(truth)
                        .map(|(&a, &b)| a.saturating_sub(b))
                        .collect();
                    error += power(&difference);
                }
            }
            (error, recovered)
        };
        let ((concealed_error, none), (recovered_error, some)) = (play(false), play(true));
        assert_eq!(none, 0);
        assert!(
            some >= 8,
            "{some} of 20 lost frames, half of them pauses, were rebuilt"
        );
        assert!(
            recovered_error < 0.4 * concealed_error,
            "{recovered_error} against {concealed_error}"
        );
    });
}

#[test]
fn redundancy_spoils_nothing_at_any_bit_rate() {
    on_a_large_stack(|| {
        let said = synth::voice(SampleRate::Hz16000, 2000);
        let heard = |bitrate, expected_loss| {
            let config = EncoderConfig {
                expected_loss,
                ..config(FrameDuration::Ms20, bitrate)
            };
            let mut encoder = Box::new(OpusEncoder::new(config).unwrap());
            let payloads = encode_all(&mut *encoder, &said);
            decode_all(
                &mut *decoder(SampleRate::Hz16000, Channels::Mono),
                &payloads,
            )
        };
        let energy = |pcm: &mut dyn Iterator<Item = f64>| pcm.map(|s| s * s).sum::<f64>();
        for bitrate in (12_000..=40_000).step_by(1_000) {
            let plain = heard(bitrate, 0);
            let whole = energy(&mut plain.iter().map(|s| f64::from(*s)));
            for loss in [10, 30] {
                let redundant = heard(bitrate, loss);
                let pairs = plain.iter().zip(&redundant);
                let off = energy(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
                assert!(off < whole, "{off} of {whole} at {bitrate} b/s, {loss} %");
            }
        }
    });
}

#[test]
fn has_fec_is_what_the_codec_finds() {
    on_a_large_stack(|| {
        // `recover` says true exactly if the rebuilt frame differs from a concealed one.
        for expected_loss in [0, 25] {
            let mut encoder = Box::new(
                OpusEncoder::new(EncoderConfig {
                    expected_loss,
                    ..EncoderConfig::default()
                })
                .unwrap(),
            );
            let payloads = encode_all(&mut *encoder, &synth::voice(SampleRate::Hz16000, 400));
            let mut with = 0;
            for pair in payloads.windows(2).skip(3) {
                let [mut rebuilding, mut concealing] =
                    [(); 2].map(|()| decoder(SampleRate::Hz16000, Channels::Mono));
                let (mut rebuilt, mut concealed) = ([0; 320], [0; 320]);
                rebuilding
                    .decode(pair[0].as_ref().unwrap(), &mut rebuilt)
                    .unwrap();
                concealing
                    .decode(pair[0].as_ref().unwrap(), &mut concealed)
                    .unwrap();
                let next = pair[1].as_ref().unwrap();
                let found = rebuilding.recover(next, &mut rebuilt);
                concealing.conceal(&mut concealed);
                assert_eq!(found, OpusPacket::parse(next).unwrap().has_fec());
                assert_eq!(found, rebuilt != concealed);
                with += usize::from(found);
            }
            assert_eq!(with > 0, expected_loss > 0);
        }
    });
}

#[test]
fn a_long_gap_fades() {
    on_a_large_stack(|| {
        let said = synth::voice(SampleRate::Hz16000, 200);
        let mut encoder = Box::new(OpusEncoder::new(EncoderConfig::default()).unwrap());
        let payloads = encode_all(&mut *encoder, &said);
        for rate in RATES {
            let mut decoder = decoder(rate, Channels::Stereo);
            decode_all(&mut *decoder, &payloads);
            let mut gap = std::vec![0; rate.samples(1000)];
            decoder.conceal(&mut gap);
            let start = power(&gap[..rate.samples(20)]);
            let end = power(&gap[rate.samples(900)..]);
            assert!(start > 1000.0 && end < start / 1000.0, "{start}, {end}");
        }
    });
}

#[test]
fn any_length_is_concealed() {
    on_a_large_stack(|| {
        let mut encoder = Box::new(OpusEncoder::new(EncoderConfig::default()).unwrap());
        let payloads = encode_all(&mut *encoder, &synth::voice(SampleRate::Hz16000, 200));
        let mut decoder = decoder(SampleRate::Hz16000, Channels::Mono);
        decode_all(&mut *decoder, &payloads);
        // The codec goes by 2.5 ms, 40 samples.
        let mut pcm = [7; 433];
        decoder.conceal(&mut pcm[..100]);
        assert!(power(&pcm[60..80]) > 100.0);
        assert_eq!(pcm[80..101], [[0; 20].as_slice(), &[7]].concat());
        decoder.conceal(&mut pcm);
        assert!(power(&pcm[380..400]) > 100.0);
        assert_eq!(pcm[400..], [0; 33]);
        decoder.conceal(&mut []);
    });
}

#[test]
fn no_redundancy_is_used_right_after_music() {
    on_a_large_stack(|| {
        let (music, speech) = ([0x98, 1, 2, 3, 4], [0x48, 0x40, 1, 2, 3]);
        let mut decoder = decoder(SampleRate::Hz16000, Channels::Mono);
        let mut pcm = [0; 320];
        assert_eq!(decoder.decode(&music, &mut pcm), Ok(320));
        assert!(!decoder.recover(&speech, &mut pcm));
        assert_eq!(decoder.decode(&speech, &mut pcm), Ok(320));
        assert!(decoder.recover(&speech, &mut pcm));
        assert!(!decoder.recover(&speech, &mut pcm[..319]));
        assert!(!decoder.recover(&[], &mut pcm));
    });
}

/// A packet of all frames of `payloads`, each of which has one, with `padding`
/// ([RFC 6716 section 3.2.5](https://www.rfc-editor.org/rfc/rfc6716#section-3.2.5)).
fn joined(payloads: &[Option<Vec<u8>>], padding: u8) -> Vec<u8> {
    let frames: Vec<_> = payloads
        .iter()
        .flatten()
        .map(|payload| &payload[1..])
        .collect();
    let head = payloads[0].as_ref().unwrap()[0];
    let mut packet = std::vec![head | 3, 0xC0 | frames.len() as u8, padding];
    for frame in &frames[..frames.len() - 1] {
        match frame.len() {
            len @ ..252 => packet.push(len as u8),
            len => packet.extend([252 + len as u8 % 4, ((len - 252 - len % 4) / 4) as u8]),
        }
    }
    packet.extend(frames.concat());
    packet.resize(packet.len() + usize::from(padding), 0);
    packet
}

#[test]
fn packets_of_80_to_120_ms_are_heard_as_the_frames_in_them() {
    on_a_large_stack(|| {
        let said = synth::voice(SampleRate::Hz16000, 1_200);
        for (frame, count) in [
            (FrameDuration::Ms10, 12),
            (FrameDuration::Ms20, 4),
            (FrameDuration::Ms40, 2),
            (FrameDuration::Ms20, 5),
            (FrameDuration::Ms20, 6),
            (FrameDuration::Ms60, 2),
        ] {
            let mut encoder = Box::new(OpusEncoder::new(config(frame, 40_000)).unwrap());
            let payloads = encode_all(&mut *encoder, &said);
            let rate = SampleRate::Hz16000;
            let frames = decode_all(&mut *decoder(rate, Channels::Mono), &payloads);

            let opus = decoder(rate, Channels::Mono);
            // Whatever the network does, so that nothing is stretched.
            let jitter = JitterConfig {
                min_delay: JitterConfig::default().start_delay,
                ..JitterConfig::default()
            };
            let mut player = Box::new(Player::<_, 12, 800, 960>::new(Decoder::new(*opus), jitter));
            let mut lateness = Lateness::new();
            let (mut heard, ms) = (Vec::new(), u64::from(frame.ms()) * count as u64);
            for (sequence, payloads) in payloads.chunks_exact(count).enumerate() {
                let payload = joined(payloads, sequence as u8);
                let sequence = sequence as u64;
                let now = crate::time::Instant::from_micros(sequence * ms * 1_000);
                let duration = frame_samples(Codec::Opus, &payload).unwrap();
                assert_eq!(u64::from(duration), ms * 48);
                let packet = Packet {
                    sequence,
                    timestamp: sequence * u64::from(duration),
                    duration,
                    codec: Codec::Opus,
                    speaker: None,
                    marker: sequence == 0,
                    payload: &payload,
                };
                player.push(now, packet, &mut lateness).unwrap();
                let mut pcm = std::vec![0; rate.samples(ms as u16)];
                player.read(now, &mut pcm);
                heard.extend(pcm);
            }
            // Delayed by the jitter buffer, sample for sample the same.
            let start = heard.iter().position(|sample| *sample != 0).unwrap();
            let skipped = frames.iter().position(|sample| *sample != 0).unwrap();
            let heard = &heard[start..];
            assert!(heard.len() > rate.samples(600), "{frame:?} × {count}");
            assert!(
                heard == &frames[skipped..skipped + heard.len()],
                "{frame:?} × {count}"
            );
        }
    });
}

#[test]
fn heads_say_what_is_inside() {
    for (payload, duration, stereo) in [
        (&[0x40, 1, 2][..], 10_000, false),   // SILK wideband, 10 ms
        (&[0x5c, 1, 2], 60_000, true),        // SILK wideband, 60 ms, stereo
        (&[0x60, 1], 10_000, false),          // hybrid, 10 ms
        (&[0x7d, 1, 2], 40_000, true),        // hybrid, 2 × 20 ms
        (&[0x98, 1], 20_000, false),          // CELT, 20 ms
        (&[0x92, 1, 7, 8], 20_000, false),    // CELT, 2 × 10 ms of given size
        (&[0x9b, 3, 1, 2, 3], 60_000, false), // CELT, 3 × 20 ms
        (&[0x9b, 0xc2, 1, 1, 7, 8, 0], 40_000, false), // the same with padding, sizes given
        (&[0x80, 1], 2_500, false),           // CELT, 2.5 ms
        (&[0x8f, 3, 1, 2, 3], 15_000, true),  // CELT, 3 × 5 ms, stereo
        (&[0x83, 24], 60_000, false),         // CELT, 24 × 2.5 ms, all paused
        (&[0x48], 20_000, false),             // SILK, paused
    ] {
        let packet = OpusPacket::parse(payload).unwrap();
        assert_eq!(
            packet.duration(),
            Duration::from_micros(duration),
            "{payload:x?}"
        );
        assert_eq!(packet.is_stereo(), stereo, "{payload:x?}");
    }
    for (payload, error) in [
        (&[][..], DecodeError::Empty),
        (&[0x59, 1, 2], DecodeError::FrameTooLong),
        (&[0x9b, 4, 1, 2], DecodeError::FrameTooLong),
        (&[0x83, 25, 1], DecodeError::FrameTooLong),
        (&[0x9b], DecodeError::Malformed),
        (&[0x9b, 0, 1], DecodeError::Malformed),
        (&[0x9b, 0x41, 255], DecodeError::Malformed),
        (&[0x92, 252], DecodeError::Malformed),
        // Two frames of one size cannot have an odd number of bytes.
        (&[0x01, 0x66], DecodeError::Malformed),
    ] {
        assert_eq!(OpusPacket::parse(payload), Err(error), "{payload:x?}");
    }
    // Activity of one to three SILK frames, then the redundancy's bit, then the side's.
    for (payload, fec) in [
        ([0x48, 0x40, 0], true),
        ([0x48, 0xbf, 0], false),
        ([0x50, 0x20, 0], true),
        ([0x58, 0x10, 0], true),
        ([0x58, 0xef, 0], false),
        ([0x4c, 0x10, 0], true),
        ([0x5c, 0x01, 0], true),
        ([0x5c, 0xee, 0], false),
        ([0x98, 0xff, 0], false),
    ] {
        let packet = OpusPacket::parse(&payload).unwrap();
        assert_eq!(packet.has_fec(), fec, "{payload:x?}");
    }
}

#[test]
fn outside_of_the_envelope_is_an_error() {
    on_a_large_stack(|| {
        let encoder = |change: fn(&mut EncoderConfig)| {
            let mut config = EncoderConfig::default();
            change(&mut config);
            OpusEncoder::new(config).err()
        };
        use EncoderConfigError as E;
        let bitrates = E::Bitrate {
            min: 12_000,
            max: 40_000,
        };
        assert_eq!(encoder(|_| ()), None);
        assert_eq!(
            encoder(|c| c.sample_rate = SampleRate::Hz48000),
            Some(E::SampleRate)
        );
        assert_eq!(
            encoder(|c| c.sample_rate = SampleRate::Hz8000),
            Some(E::SampleRate)
        );
        assert_eq!(encoder(|c| c.bitrate = 11_999), Some(bitrates));
        assert_eq!(encoder(|c| c.bitrate = 40_001), Some(bitrates));
        assert_eq!(encoder(|c| c.complexity = 11), Some(E::Complexity));
        assert_eq!(encoder(|c| c.expected_loss = 101), Some(E::ExpectedLoss));
        assert_eq!(encoder(|c| c.dtx = true), Some(E::Dtx));
        assert_eq!(
            OpusDecoder::new(SampleRate::Hz8000, Channels::Mono).err(),
            Some(UnsupportedRate)
        );

        let mut encoder = Box::new(OpusEncoder::new(EncoderConfig::default()).unwrap());
        assert_eq!(
            encoder.encode(&[0; 160], &mut [0; MAX_PAYLOAD]),
            Err(EncodeError::FrameLength { needed: 320 })
        );
        assert_eq!(
            encoder.encode(&[0; 320], &mut [0; 999]),
            Err(EncodeError::OutputTooSmall { needed: 1000 })
        );
        let mut decoder = decoder(SampleRate::Hz48000, Channels::Mono);
        let mut pcm = [0; 960];
        assert_eq!(
            decoder.decode(&[0x4c, 1, 2], &mut pcm),
            Err(DecodeError::Stereo)
        );
        assert_eq!(
            decoder.decode(&[0x48, 1, 2], &mut pcm[..959]),
            Err(DecodeError::OutputTooSmall { needed: 960 })
        );
        // A pause of unknown sender: nothing was heard, so silence.
        assert_eq!(decoder.decode(&[0x48], &mut pcm), Ok(960));
        assert_eq!(pcm, [0; 960]);
    });
}

#[test]
fn settings_change_while_running() {
    on_a_large_stack(|| {
        let said = synth::voice(SampleRate::Hz16000, 1000);
        let mut encoder = Box::new(OpusEncoder::new(config(FrameDuration::Ms20, 36_000)).unwrap());
        let high = bitrate(&encode_all(&mut *encoder, &said), FrameDuration::Ms20);
        encoder.set_bitrate(12_000).unwrap();
        assert!(encoder.set_bitrate(0).is_err());
        let low = bitrate(&encode_all(&mut *encoder, &said), FrameDuration::Ms20);
        assert!(low < 15_000 && low * 2 < high, "{low} after {high}");
        encoder.set_expected_loss(30).unwrap();
        encoder.set_bitrate(30_000).unwrap();
        let payloads = encode_all(&mut *encoder, &said);
        assert!(
            payloads
                .iter()
                .flatten()
                .any(|p| OpusPacket::parse(p).unwrap().has_fec())
        );
    });
}

#[test]
fn lent_memory_can_be_used_again() {
    on_a_large_stack(|| {
        let mut memory = Box::new(OpusMemory::new());
        let said = synth::voice(SampleRate::Hz16000, 200);
        let mut encoder = Box::new(OpusEncoder::new(EncoderConfig::default()).unwrap());
        let payloads = encode_all(&mut *encoder, &said);
        let mut play = || {
            let mut decoder =
                OpusDecoder::new_in(&mut memory, SampleRate::Hz16000, Channels::Mono).unwrap();
            decode_all(&mut decoder, &payloads)
        };
        let first = play();
        assert_eq!(first, play());
        let owned = decode_all(
            &mut *decoder(SampleRate::Hz16000, Channels::Mono),
            &payloads,
        );
        assert_eq!(first, owned);
    });
}

/// The sizes that the docs state.
#[test]
fn states_are_as_large_as_documented() {
    let kb = |bytes: usize| bytes.div_ceil(1000);
    assert_eq!(kb(size_of::<OpusDecoder>()), 179);
    assert_eq!(kb(size_of::<OpusEncoder>()), 310);
    assert_eq!(size_of::<OpusMemory>(), size_of::<OpusState>());
    assert!(size_of::<OpusDecoder<&mut OpusState>>() <= 16);
}

#[derive(Debug, Clone)]
enum Step {
    Decode(Vec<u8>),
    Recover(Vec<u8>, usize),
    Conceal(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Half of the payloads begin as sane ones do, to get deeper.
    let payload = || {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            (
                prop::sample::select(
                    &[
                        0x00_u8, 0x08, 0x28, 0x48, 0x4c, 0x50, 0x58, 0x5c, 0x68, 0x78, 0x7c, 0x98,
                        0xb8, 0xd8, 0xf8, 0xfc, 0xf1, 0xf9, 0xfa
                    ][..]
                ),
                proptest::collection::vec(any::<u8>(), 1..300)
            )
                .prop_map(|(toc, mut bytes)| {
                    bytes.insert(0, toc);
                    bytes
                }),
        ]
    };
    let len = || prop_oneof![0_usize..3000, (0_usize..7).prop_map(|tens| tens * 160)];
    proptest::collection::vec(
        prop_oneof![
            4 => payload().prop_map(Step::Decode),
            1 => (payload(), len()).prop_map(|(payload, len)| Step::Recover(payload, len)),
            1 => len().prop_map(Step::Conceal),
        ],
        1..12,
    )
}

#[test]
fn hostile_payloads_do_no_harm() {
    on_a_large_stack(|| {
        proptest!(ProptestConfig::with_cases(256), |(
            steps in steps(),
            rate in 0_usize..3,
            stereo in any::<bool>(),
        )| {
            let channels = if stereo { Channels::Stereo } else { Channels::Mono };
            let mut decoder = decoder(RATES[rate], channels);
            let mut pcm = [0; 3000];
            for step in steps {
                match step {
                    Step::Decode(payload) => {
                        let parsed = OpusPacket::parse(&payload);
                        if let Ok(samples) = decoder.decode(&payload, &mut pcm) {
                            prop_assert_eq!(samples, parsed.unwrap().samples(RATES[rate]));
                        }
                    }
                    Step::Recover(payload, len) => {
                        decoder.recover(&payload, &mut pcm[..len]);
                    }
                    Step::Conceal(len) => decoder.conceal(&mut pcm[..len]),
                }
            }
        })
    });
}

#[test]
fn any_sound_can_be_encoded() {
    on_a_large_stack(|| {
        proptest!(ProptestConfig::with_cases(128), |(
            pcm in proptest::collection::vec(any::<i16>(), 960),
            frame in 0_usize..4,
            bitrate in 12_000_u32..=40_000,
            complexity in 0_u8..=10,
            expected_loss in 0_u8..=100,
        )| {
            let config = EncoderConfig {
                frame: FRAMES[frame],
                bitrate,
                complexity,
                expected_loss,
                ..EncoderConfig::default()
            };
            let mut encoder = Box::new(OpusEncoder::new(config).unwrap());
            for payload in encode_all(&mut *encoder, &pcm).iter().flatten() {
                let packet = OpusPacket::parse(payload).unwrap();
                prop_assert_eq!(packet.duration(), ms(FRAMES[frame]));
            }
        })
    });
}

#[cfg(feature = "opus-fullband")]
mod fullband {
    use super::*;

    fn encoder(config: EncoderConfig) -> FullbandEncoder {
        FullbandEncoder::new(config).unwrap()
    }

    fn desktop() -> EncoderConfig {
        EncoderConfig {
            sample_rate: SampleRate::Hz48000,
            bitrate: 32_000,
            ..EncoderConfig::default()
        }
    }

    #[test]
    fn speech_comes_through_at_every_rate() {
        on_a_large_stack(|| {
            for sample_rate in RATES {
                let said = synth::voice(sample_rate, 600);
                for frame in FRAMES {
                    let payloads = encode_all(
                        &mut encoder(EncoderConfig {
                            sample_rate,
                            frame,
                            ..desktop()
                        }),
                        &said,
                    );
                    let actual = bitrate(&payloads, frame);
                    assert!(
                        (15_000..40_000).contains(&actual),
                        "{frame:?}: {actual} b/s"
                    );
                    let heard = decode_all(&mut *decoder(sample_rate, Channels::Stereo), &payloads);
                    let snr = snr(&said, &heard, sample_rate.samples(10));
                    assert!(snr > 8.0, "{frame:?} at {sample_rate:?}: {snr} dB");
                }
            }
        });
    }

    #[test]
    fn silence_is_not_sent_and_speech_is() {
        on_a_large_stack(|| {
            let mut said = synth::voice(SampleRate::Hz48000, 500);
            said.resize(SampleRate::Hz48000.samples(2500), 0);
            said.extend(synth::voice(SampleRate::Hz48000, 500));
            let mut encoder = encoder(EncoderConfig {
                dtx: true,
                ..desktop()
            });
            let payloads = encode_all(&mut encoder, &said);
            let sent =
                |from: usize, to: usize| payloads[from / 20..to / 20].iter().flatten().count();
            assert_eq!(sent(0, 300), 15, "speech");
            assert!(
                (1..=8).contains(&sent(1000, 2500)),
                "a sign of life every 400 ms"
            );
            assert!(sent(2540, 2840) >= 14, "speech again");
            // Without DTX all is sent.
            let without = encode_all(&mut super::fullband::encoder(desktop()), &said);
            assert!(without.iter().all(Option::is_some));
        });
    }

    #[test]
    fn expected_loss_brings_redundancy() {
        on_a_large_stack(|| {
            let said = synth::voice(SampleRate::Hz48000, 1000);
            let mut encoder = encoder(desktop());
            let with_fec = |payloads: &[Option<Vec<u8>>]| {
                let payloads = payloads.iter().flatten();
                payloads
                    .filter(|p| OpusPacket::parse(p).unwrap().has_fec())
                    .count()
            };
            assert_eq!(with_fec(&encode_all(&mut encoder, &said)), 0);
            encoder.set_expected_loss(15).unwrap();
            let payloads = encode_all(&mut encoder, &said);
            assert!(with_fec(&payloads) > 10);
            let mut decoder = decoder(SampleRate::Hz48000, Channels::Mono);
            let mut pcm = [0; 960];
            let recovered = payloads
                .iter()
                .flatten()
                .filter(|p| decoder.recover(p, &mut pcm));
            assert!(recovered.count() > 10);
            encoder.set_bitrate(16_000).unwrap();
            let low = bitrate(&encode_all(&mut encoder, &said), FrameDuration::Ms20);
            assert!(low < 21_000, "{low}");
        });
    }

    #[test]
    fn outside_of_the_envelope_is_an_error() {
        on_a_large_stack(|| {
            let refused = |change: fn(&mut EncoderConfig)| {
                let mut config = desktop();
                change(&mut config);
                FullbandEncoder::new(config).err()
            };
            use EncoderConfigError as E;
            assert_eq!(
                refused(|c| c.sample_rate = SampleRate::Hz8000),
                Some(E::SampleRate)
            );
            let bitrates = E::Bitrate {
                min: 6_000,
                max: 128_000,
            };
            assert_eq!(refused(|c| c.bitrate = 5_999), Some(bitrates));
            assert_eq!(refused(|c| c.complexity = 11), Some(E::Complexity));
            assert_eq!(refused(|c| c.expected_loss = 101), Some(E::ExpectedLoss));
            assert_eq!(refused(|_| ()), None);
        });
    }

    #[test]
    fn any_sound_can_be_encoded() {
        on_a_large_stack(|| {
            proptest!(ProptestConfig::with_cases(64), |(
                pcm in proptest::collection::vec(any::<i16>(), 2880),
                frame in 0_usize..4,
                rate in 0_usize..3,
                bitrate in 6_000_u32..=128_000,
                complexity in 0_u8..=10,
                expected_loss in 0_u8..=100,
                dtx in any::<bool>(),
            )| {
                let mut encoder = encoder(EncoderConfig {
                    sample_rate: RATES[rate],
                    frame: FRAMES[frame],
                    bitrate,
                    complexity,
                    expected_loss,
                    dtx,
                });
                for payload in encode_all(&mut encoder, &pcm).iter().flatten() {
                    let packet = OpusPacket::parse(payload).unwrap();
                    prop_assert_eq!(packet.duration(), ms(FRAMES[frame]));
                }
            })
        });
    }
}
