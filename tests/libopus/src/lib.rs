//! Opus in Parlour beside libopus, the reference implementation.
//!
//! ```sh
//! cd tests/libopus
//! cargo test                                              # decoders: the same sound
//! cargo test every_frame -- --nocapture                   # the table of docs/TESTING.md
//! cargo test --release -- --ignored --nocapture           # encoders: the table in the docs
//! SPEECH=file cargo test --release -- --ignored --nocapture
//! ```
//!
//! The last one speaks a file, raw 16-bit little-endian mono PCM at 48 kHz, and not a synthetic
//! voice.
#![cfg(test)]

use opusic_c as libopus;
use parlour_core::audio::codec::{AudioDecoder, AudioEncoder, FrameDuration, SampleRate};
use parlour_core::audio::opus::{
    Channels, EncoderConfig, FullbandEncoder, MAX_PAYLOAD, OpusDecoder, OpusEncoder, OpusPacket,
};
use parlour_core::audio::resample::Resampler;
use std::f64::consts::TAU;
use std::time::{Duration, Instant};

const RATE: SampleRate = SampleRate::Hz48000;

/// Unoptimised builds copy the codecs' large states about the stack as they are made.
fn on_a_large_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    if let Err(panic) = thread.spawn(test).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// Syllables of a gliding pitch under two formants, with a hiss of its own between them.
fn voice(ms: u16, channels: usize) -> Vec<i16> {
    let mut phase = 0.0;
    let mut noise = 1_u32;
    (0..RATE.samples(ms))
        .flat_map(|i| {
            let time = i as f64 / f64::from(RATE.hz());
            let pitch = 120.0 + 30.0 * (time * 2.1).sin();
            phase += pitch / f64::from(RATE.hz());
            let (low, high) = (
                500.0 + 300.0 * (time * 1.7).sin(),
                1500.0 + 500.0 * (time * 2.3).cos(),
            );
            let tone: f64 = (1..60)
                .map(f64::from)
                .map(|n| {
                    let gain = 1.0 / (1.0 + ((n * pitch - low) / 150.0).powi(2))
                        + 0.5 / (1.0 + ((n * pitch - high) / 250.0).powi(2));
                    (gain + 0.01) * (TAU * phase * n).sin()
                })
                .sum();
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = f64::from(noise >> 16) / 32_768.0 - 1.0;
            let vowel = (time * 3.0 * TAU / 2.0).sin().max(0.0).sqrt();
            let fricative = (time * 5.0).sin().max(0.0).powi(4);
            let left = tone * 4000.0 * vowel + hiss * (60.0 + 900.0 * fricative);
            let right = tone * 2500.0 * vowel * (time * 0.7).cos() - hiss * 300.0;
            [left as i16, right as i16].into_iter().take(channels)
        })
        .collect()
}

fn reference_rate(rate: SampleRate) -> libopus::SampleRate {
    match rate {
        SampleRate::Hz8000 => libopus::SampleRate::Hz8000,
        SampleRate::Hz16000 => libopus::SampleRate::Hz16000,
        SampleRate::Hz24000 => libopus::SampleRate::Hz24000,
        SampleRate::Hz48000 => libopus::SampleRate::Hz48000,
    }
}

/// The output of libopus for `payload`, mixed down.
fn reference_decode(
    decoder: &mut libopus::Decoder,
    payload: &[u8],
    samples: usize,
    fec: bool,
) -> Vec<i16> {
    let channels = if decoder.channels() == libopus::Channels::Mono {
        1
    } else {
        2
    };
    let mut floats = vec![0.0; samples * channels];
    assert_eq!(
        decoder.decode_float_to_slice(payload, &mut floats, fec),
        Ok(samples)
    );
    floats
        .chunks(channels)
        .map(|frame| (frame.iter().sum::<f32>() / channels as f32 * 32_768.0).round() as i16)
        .collect()
}

fn reference_encoder(
    channels: usize,
    config: EncoderConfig,
) -> impl FnMut(&[i16]) -> Option<Vec<u8>> {
    let channels = [libopus::Channels::Mono, libopus::Channels::Stereo][channels - 1];
    let rate = reference_rate(config.sample_rate);
    let mut encoder = libopus::Encoder::new(channels, rate, libopus::Application::Voip).unwrap();
    encoder
        .set_bitrate(libopus::Bitrate::Value(config.bitrate))
        .unwrap();
    encoder.set_complexity(config.complexity).unwrap();
    encoder.set_packet_loss(config.expected_loss).unwrap();
    encoder.set_dtx(config.dtx).unwrap();
    if config.expected_loss > 0 {
        encoder.set_inband_fec(libopus::InbandFec::Mode1).unwrap();
    }
    move |pcm| {
        let pcm: Vec<u16> = pcm.iter().map(|&sample| sample as u16).collect();
        let mut out = [0; MAX_PAYLOAD];
        let len = encoder.encode_to_slice(&pcm, &mut out).unwrap();
        (!config.dtx || len > 2).then(|| out[..len].to_vec())
    }
}

fn parlour_encoder(mut encoder: impl AudioEncoder) -> impl FnMut(&[i16]) -> Option<Vec<u8>> {
    move |pcm| {
        let mut out = [0; MAX_PAYLOAD];
        encoder
            .encode(pcm, &mut out)
            .unwrap()
            .payload(&out)
            .map(<[u8]>::to_vec)
    }
}

fn power(pcm: &[i16]) -> f64 {
    pcm.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / pcm.len() as f64
}

fn difference(a: &[i16], b: &[i16]) -> Vec<i16> {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| a.saturating_sub(b))
        .collect()
}

/// One payload in nine is lost, and then either rebuilt from the next or concealed.
#[test]
fn decodes_conceals_and_recovers_as_the_reference_does() {
    on_a_large_stack(|| {
        for rate in [
            SampleRate::Hz16000,
            SampleRate::Hz24000,
            SampleRate::Hz48000,
        ] {
            for (packet_channels, channels) in [
                (1, Channels::Mono),
                (1, Channels::Stereo),
                (2, Channels::Stereo),
            ] {
                let said = voice(2000, packet_channels);
                for frame in [
                    FrameDuration::Ms10,
                    FrameDuration::Ms20,
                    FrameDuration::Ms40,
                    FrameDuration::Ms60,
                ] {
                    for bitrate in [12_000, 24_000, 32_000, 64_000, 96_000] {
                        let config = EncoderConfig {
                            sample_rate: RATE,
                            frame,
                            bitrate,
                            expected_loss: 10,
                            ..EncoderConfig::default()
                        };
                        let mut encode = reference_encoder(packet_channels, config);
                        let payloads: Vec<Vec<u8>> = said
                            .chunks_exact(RATE.samples(frame.ms()) * packet_channels)
                            .map(|pcm| encode(pcm).unwrap())
                            .collect();
                        let mut decoder = Box::new(OpusDecoder::new(rate, channels).unwrap());
                        let mut reference = libopus::Decoder::new(
                            if channels == Channels::Mono {
                                libopus::Channels::Mono
                            } else {
                                libopus::Channels::Stereo
                            },
                            reference_rate(rate),
                        )
                        .unwrap();
                        let samples = rate.samples(frame.ms());
                        let (mut ours, mut theirs) = (vec![], vec![]);
                        for (i, payload) in payloads.iter().enumerate() {
                            let mut pcm = vec![0; samples];
                            let next = payloads.get(i + 1);
                            theirs.extend(match (i % 9, next) {
                                (4, Some(next)) => {
                                    decoder.recover(next, &mut pcm);
                                    reference_decode(&mut reference, next, samples, true)
                                }
                                (8, _) => {
                                    decoder.conceal(&mut pcm);
                                    reference_decode(&mut reference, &[], samples, false)
                                }
                                _ => {
                                    assert_eq!(decoder.decode(payload, &mut pcm), Ok(samples));
                                    reference_decode(&mut reference, payload, samples, false)
                                }
                            });
                            ours.extend(pcm);
                        }
                        let error = power(&difference(&ours, &theirs));
                        let snr = 10.0 * (power(&theirs) / error.max(1e-9)).log10();
                        // 16-bit rounding alone leaves the error about 60 dB down.
                        println!(
                            "{rate:?} {channels:?} of {packet_channels}, {frame:?}, {bitrate} b/s: {snr:.1} dB"
                        );
                        assert!(snr > 50.0);
                    }
                }
            }
        }
    });
}

/// Frames of libopus's encoder in ms, and as Parlour takes them.
const FRAMES: [(f64, Option<FrameDuration>); 6] = [
    (2.5, None),
    (5.0, None),
    (10.0, Some(FrameDuration::Ms10)),
    (20.0, Some(FrameDuration::Ms20)),
    (40.0, Some(FrameDuration::Ms40)),
    (60.0, Some(FrameDuration::Ms60)),
];
const BITRATES: [u32; 8] = [6, 8, 12, 16, 24, 32, 48, 64];

/// Either's payloads in the other's decoder: both decoders give the same output, at some distance from the
/// audio sent. No encoder of ours makes frames below 10 ms.
#[test]
fn every_frame_and_bit_rate_crosses_over() {
    on_a_large_stack(|| {
        let said = speech();
        println!(
            "| encoder | frame, ms | {} |",
            BITRATES.map(|kbps| kbps.to_string()).join(" | ")
        );
        for (ms, frame) in FRAMES {
            crossing("libopus", ms, &said, |bitrate| {
                let config = EncoderConfig {
                    sample_rate: RATE,
                    bitrate,
                    ..EncoderConfig::default()
                };
                Some((Box::new(reference_encoder(1, config)), RATE))
            });
            let Some(frame) = frame else { continue };
            crossing("ropus", ms, &said, |bitrate| {
                let config = EncoderConfig {
                    sample_rate: RATE,
                    frame,
                    bitrate,
                    ..EncoderConfig::default()
                };
                Some((
                    Box::new(parlour_encoder(FullbandEncoder::new(config).ok()?)),
                    RATE,
                ))
            });
            crossing("opus-rs", ms, &said, |bitrate| {
                let config = EncoderConfig {
                    frame,
                    bitrate,
                    ..EncoderConfig::default()
                };
                let encoder = OpusEncoder::new(config).ok()?;
                Some((Box::new(parlour_encoder(encoder)), config.sample_rate))
            });
        }
    });
}

/// Prints a row: the spectral distance in dB of the audio heard, for each bit rate.
fn crossing(name: &str, ms: f64, said: &[i16], new: impl Fn(u32) -> Option<(Encode, SampleRate)>) {
    let cells = BITRATES.map(|kbps| {
        let Some((mut encode, rate)) = new(kbps * 1_000) else {
            return "–".to_owned();
        };
        let input = at_rate(said, rate);
        let frame = (f64::from(rate.hz()) * ms / 1_000.0) as usize;
        let samples = (f64::from(RATE.hz()) * ms / 1_000.0) as usize;
        let mut decoder = Box::new(OpusDecoder::new(RATE, Channels::Mono).unwrap());
        let mut reference =
            libopus::Decoder::new(libopus::Channels::Mono, reference_rate(RATE)).unwrap();
        let (mut ours, mut theirs) = (vec![], vec![]);
        for pcm in input.chunks_exact(frame) {
            let payload = encode(pcm).unwrap();
            theirs.extend(reference_decode(&mut reference, &payload, samples, false));
            let mut pcm = vec![0; samples];
            assert_eq!(decoder.decode(&payload, &mut pcm), Ok(samples));
            ours.extend(pcm);
        }
        let limit_hz = rate.hz() / 2;
        let error = power(&difference(&ours, &theirs));
        let snr = 10.0 * (power(&theirs) / error.max(1e-9)).log10();
        let least = if ms < 5.0 { 30.0 } else { 50.0 };
        // With too few bits for even one frame, both are silent.
        let is_same = error == 0.0 || snr > least;
        assert!(is_same, "{name}, {ms} ms, {kbps} kb/s: {snr:.1} dB");
        format!("{:.1}", spectral_distance(said, &ours, limit_hz))
    });
    println!("| {name} | {ms} | {} |", cells.join(" | "));
}

/// `said`, at 48 kHz, at another rate.
fn at_rate(said: &[i16], rate: SampleRate) -> Vec<i16> {
    let mut input = said.to_vec();
    if rate != RATE {
        let len = Resampler::new(RATE, rate)
            .process(said, &mut input)
            .unwrap();
        input.truncate(len);
    }
    input
}

/// Prints a table, and asserts nothing: what is good enough is for the reader to say.
#[test]
#[ignore = "measures; see the top of this file"]
fn encoders_beside_the_reference() {
    on_a_large_stack(|| {
        let said = speech();
        println!(
            "| rate | encoder | kb/s asked | kb/s | µs per 20 ms | of libopus | spectral distance, dB | the same, 10 % lost | FEC used | sent in silence |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        for (sample_rate, bitrates) in [
            (
                SampleRate::Hz48000,
                &[16_000, 24_000, 32_000, 48_000, 64_000][..],
            ),
            (SampleRate::Hz16000, &[12_000, 16_000, 24_000, 32_000]),
        ] {
            for &bitrate in bitrates {
                let config = EncoderConfig {
                    sample_rate,
                    bitrate,
                    ..EncoderConfig::default()
                };
                let reference = measure("libopus", &said, config, |config| {
                    Some(Box::new(reference_encoder(1, config)))
                });
                reference.print(&reference);
                let fullband = measure("FullbandEncoder", &said, config, |config| {
                    Some(Box::new(parlour_encoder(
                        FullbandEncoder::new(config).ok()?,
                    )))
                });
                fullband.print(&reference);
                if sample_rate == SampleRate::Hz16000 {
                    let wideband = measure("OpusEncoder", &said, config, |config| {
                        Some(Box::new(parlour_encoder(OpusEncoder::new(config).ok()?)))
                    });
                    wideband.print(&reference);
                }
            }
        }
    });
}

type Encode = Box<dyn FnMut(&[i16]) -> Option<Vec<u8>>>;

struct Measured {
    name: &'static str,
    config: EncoderConfig,
    bitrate: f64,
    time: Duration,
    distance: f64,
    distance_with_loss: f64,
    recovered: usize,
    lost: usize,
    sent_in_silence: Option<usize>,
}

fn measure(
    name: &'static str,
    said: &[i16],
    config: EncoderConfig,
    new: impl Fn(EncoderConfig) -> Option<Encode>,
) -> Measured {
    let input = at_rate(said, config.sample_rate);
    let frame = config.sample_rate.samples(20);
    // The best of three runs: other work on the machine only ever slows it.
    let mut payloads = vec![];
    let mut time = Duration::MAX;
    for _ in 0..3 {
        let mut encode = new(config).unwrap();
        payloads.clear();
        #[allow(clippy::disallowed_methods, reason = "measures")]
        let start = Instant::now();
        payloads.extend(input.chunks_exact(frame).map(|pcm| encode(pcm).unwrap()));
        time = time.min(start.elapsed());
    }
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    let (heard, _, _) = listen(&payloads, None);

    let with_fec = EncoderConfig {
        expected_loss: 10,
        ..config
    };
    let mut encode = new(with_fec).unwrap();
    let protected: Vec<Vec<u8>> = input
        .chunks_exact(frame)
        .map(|pcm| encode(pcm).unwrap())
        .collect();
    let (heard_with_loss, recovered, lost) = listen(&protected, Some(10));

    let sent_in_silence = new(EncoderConfig {
        dtx: true,
        ..config
    })
    .map(|mut encode| {
        for pcm in input.chunks_exact(frame).take(100) {
            drop(encode(pcm));
        }
        (0..500).filter_map(|_| encode(&vec![0; frame])).count()
    });
    let limit_hz = config.sample_rate.hz() / 2;
    Measured {
        name,
        config,
        bitrate: (bytes * 8) as f64 / (payloads.len() as f64 * 0.02),
        time: time / payloads.len() as u32,
        distance: spectral_distance(said, &heard, limit_hz),
        distance_with_loss: spectral_distance(said, &heard_with_loss, limit_hz),
        recovered,
        lost,
        sent_in_silence,
    }
}

impl Measured {
    fn print(&self, reference: &Self) {
        println!(
            "| {} kHz | {} | {} | {:.1} | {} | {:.2} | {:.2} | {:.2} | {} of {} | {} |",
            self.config.sample_rate.hz() / 1000,
            self.name,
            self.config.bitrate / 1000,
            self.bitrate / 1000.0,
            self.time.as_micros(),
            self.time.as_secs_f64() / reference.time.as_secs_f64(),
            self.distance,
            self.distance_with_loss,
            self.recovered,
            self.lost,
            self.sent_in_silence
                .map_or("–".into(), |sent| format!("{sent} of 500")),
        );
    }
}

/// The audio heard when every `loss`-th payload is lost, the number of rebuilt losses, and the number of losses.
fn listen(payloads: &[Vec<u8>], loss: Option<usize>) -> (Vec<i16>, usize, usize) {
    let mut decoder = Box::new(OpusDecoder::new(RATE, Channels::Mono).unwrap());
    let (mut heard, mut recovered, mut lost) = (vec![], 0, 0);
    for (i, payload) in payloads.iter().enumerate() {
        let mut pcm = vec![0; RATE.samples(20)];
        match (loss, payloads.get(i + 1)) {
            (Some(every), Some(next)) if i % every == every - 1 => {
                assert!(OpusPacket::parse(next).is_ok());
                recovered += usize::from(decoder.recover(next, &mut pcm));
                lost += 1;
            }
            _ => drop(decoder.decode(payload, &mut pcm).unwrap()),
        }
        heard.extend(pcm);
    }
    (heard, recovered, lost)
}

/// 48 kHz mono.
fn speech() -> Vec<i16> {
    match std::env::var("SPEECH") {
        Ok(path) => std::fs::read(path)
            .unwrap()
            .chunks_exact(2)
            .map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]))
            .collect(),
        Err(_) => voice(10_000, 1),
    }
}

/// The root mean square difference of the levels of 21 bands below `limit_hz`, in dB, over all
/// blocks of 20 ms that are not silent, once the codec's delay is taken out.
fn spectral_distance(said: &[i16], heard: &[i16], limit_hz: u32) -> f64 {
    let max_delay = RATE.samples(20);
    let len = said.len().min(heard.len()) - max_delay;
    let delay = (0..max_delay)
        .max_by_key(|&delay| {
            let products = said[..len].iter().zip(&heard[delay..]).step_by(7);
            products
                .map(|(&a, &b)| i64::from(a) * i64::from(b))
                .sum::<i64>()
        })
        .unwrap();
    let block = RATE.samples(20);
    let (mut sum, mut count) = (0.0, 0_u32);
    for (said, heard) in said[..len]
        .chunks_exact(block)
        .zip(heard[delay..].chunks_exact(block))
    {
        if power(said) < 1000.0 {
            continue;
        }
        for (said, heard) in band_levels(said, limit_hz).zip(band_levels(heard, limit_hz)) {
            sum += (said - heard).powi(2);
            count += 1;
        }
    }
    (sum / f64::from(count)).sqrt()
}

fn band_levels(block: &[i16], limit_hz: u32) -> impl Iterator<Item = f64> {
    const BANDS: u32 = 21;
    let wave: Vec<f64> = (0..block.len())
        .map(|i| (TAU * i as f64 / block.len() as f64).cos())
        .collect();
    let windowed: Vec<f64> = wave
        .iter()
        .zip(block)
        .map(|(wave, &sample)| f64::from(sample) * (0.5 - 0.5 * wave))
        .collect();
    // Bins are 50 Hz apart. From 100 Hz up, each band is as much wider than the one below as it is
    // higher; of the wide ones, a sample of the bins will do.
    let edge = move |band: u32| {
        let ratio = f64::from(limit_hz) / 100.0;
        (2.0 * ratio.powf(f64::from(band) / f64::from(BANDS))) as usize
    };
    (0..BANDS).map(move |band| {
        let bins = edge(band)..edge(band + 1).max(edge(band) + 1);
        let stride = bins.len().div_ceil(8);
        let energy: f64 = bins
            .step_by(stride)
            .map(|bin| {
                let (mut re, mut im) = (0.0, 0.0);
                let (mut cos, mut sin) = (0, wave.len() - wave.len() / 4);
                for sample in &windowed {
                    re += sample * wave[cos];
                    im += sample * wave[sin];
                    cos = (cos + bin) % wave.len();
                    sin = (sin + bin) % wave.len();
                }
                (re * re + im * im) * stride as f64
            })
            .sum();
        // Nothing below half a bit is heard.
        10.0 * (energy / windowed.len() as f64 + 1000.0).log10()
    })
}
