use std::path::Path;

use parlour_core::audio::codec::{AudioDecoder as _, AudioEncoder as _};
use parlour_core::audio::opus::{Channels, EncoderConfig, MAX_PAYLOAD, OpusDecoder, OpusEncoder};
use parlour_core::audio::resample::Resampler;
use parlour_files::WavSource;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::*;

/// Speech of the examples, at [`RATE`].
fn speech(who: &str) -> Vec<i16> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/assets");
    let mut file = WavSource::open(&assets.join(format!("{who}.wav"))).unwrap();
    let from = SampleRate::from_hz(file.hz()).unwrap();
    let mut pcm = Vec::new();
    file.read(usize::MAX, &mut pcm).unwrap();
    let mut resampler = Resampler::new(from, RATE);
    let mut block = vec![0; RATE.samples(20)];
    let resampled = pcm.chunks_exact(from.samples(20)).flat_map(|pcm| {
        resampler.process(pcm, &mut block).unwrap();
        block.clone()
    });
    resampled.collect()
}

/// Three seconds of `pcm`, from `second` on.
fn turn(pcm: &[i16], second: usize) -> &[i16] {
    &pcm[second * 16_000..][..48_000]
}

fn late(pcm: &[i16], delay: usize) -> Vec<i16> {
    let mut heard = vec![0; delay];
    heard.extend_from_slice(pcm);
    heard.resize(pcm.len() + MAX_LAG, 0);
    heard
}

/// With noise at `snr` dB below.
fn noisy(pcm: &[i16], snr: f64) -> Vec<i16> {
    let power: f64 = pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64;
    // Evenly distributed from −a to a, its power is a²/3.
    let amplitude = (3.0 * power / 10f64.powf(snr / 10.0)).sqrt();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let noise = |rng: &mut ChaCha8Rng| {
        (f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0) * amplitude
    };
    pcm.iter()
        .map(|s| (f64::from(*s) + noise(&mut rng)) as i16)
        .collect()
}

/// Through Opus, every `loss`th packet lost.
fn through_opus(pcm: &[i16], loss: usize) -> Vec<i16> {
    let mut encoder = OpusEncoder::new(EncoderConfig {
        bitrate: 24_000,
        ..EncoderConfig::default()
    })
    .unwrap();
    let mut decoder = OpusDecoder::new(RATE, Channels::Stereo).unwrap();
    let mut payload = [0; MAX_PAYLOAD];
    let mut heard = Vec::new();
    for (number, frame) in pcm.chunks_exact(320).enumerate() {
        let encoded = encoder.encode(frame, &mut payload).unwrap();
        let mut decoded = [0; 320];
        if number % loss == loss - 1 {
            decoder.conceal(&mut decoded);
        } else {
            decoder
                .decode(encoded.payload(&payload).unwrap(), &mut decoded)
                .unwrap();
        }
        heard.extend_from_slice(&decoded);
    }
    heard
}

#[test]
fn a_known_delay_is_found_exactly() {
    let host = speech("host");
    for delay in [0, 1, 1_600, 7_777, MAX_LAG] {
        let found = find(turn(&host, 2), &late(turn(&host, 2), delay));
        assert_eq!(
            found.delay,
            Duration::from_micros(delay as u64 * 1_000 / 16)
        );
        assert!(found.similarity > 0.99, "{found:?}");
    }
}

#[test]
fn noise_makes_it_less_alike_and_not_later() {
    let host = speech("host");
    let mut former = 1.0;
    for snr in [30.0, 20.0, 10.0, 0.0] {
        let found = find(turn(&host, 2), &late(&noisy(turn(&host, 2), snr), 1_600));
        assert_eq!(found.delay, Duration::from_millis(100));
        assert!(
            found.similarity < former && found.similarity > 0.2,
            "{snr} dB: {found:?}"
        );
        former = found.similarity;
    }
}

#[test]
fn loudness_does_not_matter() {
    let host = speech("host");
    let quiet: Vec<i16> = turn(&host, 2).iter().map(|s| s / 8).collect();
    let found = find(turn(&host, 2), &late(&quiet, 1_600));
    assert!(found.similarity > 0.97, "{found:?}");
}

#[test]
fn a_codec_and_losses_leave_it_alike() {
    // The encoder needs a large stack, above all in unoptimised builds.
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    thread.spawn(compare_through_opus).unwrap().join().unwrap();
}

fn compare_through_opus() {
    for who in ["host", "device"] {
        let pcm = speech(who);
        for second in 0..7 {
            let turn = turn(&pcm, second);
            for loss in [usize::MAX, 10, 5] {
                let found = find(turn, &late(&through_opus(turn, loss), 1_600));
                assert!(found.similarity > 0.8, "{who} {second} {loss} {found:?}");
            }
        }
    }
}

#[test]
fn a_delay_that_changes_leaves_it_alike() {
    let host = speech("host");
    let turn = turn(&host, 2);
    // After 1.2 s, 60 ms are inserted.
    let mut heard = turn[..19_200].to_vec();
    heard.extend([0; 960]);
    heard.extend_from_slice(&turn[19_200..]);
    let found = find(turn, &late(&heard, 1_600));
    assert!(found.similarity > 0.8, "{found:?}");
}

#[test]
fn two_at_once_are_found_together_though_one_is_later() {
    let (host, device) = (speech("host"), speech("device"));
    let voices = [turn(&host, 2).to_vec(), turn(&device, 1).to_vec()];
    let mut heard = late(&voices[0], 1_600);
    for (heard, sample) in heard.iter_mut().skip(2_400).zip(&voices[1]) {
        *heard = heard.saturating_add(*sample);
    }
    let found = find(&mix(&voices, &heard), &heard);
    assert_eq!(found.delay, Duration::from_millis(100));
    assert!(found.similarity > 0.95, "{found:?}");
    // One talker alone does not match the whole.
    assert!(find(&voices[0], &heard).similarity < found.similarity - 0.1);
}

#[test]
fn other_speech_and_silence_are_not_alike() {
    let (host, device) = (speech("host"), speech("device"));
    let mut similarities = Vec::new();
    for second in 0..7 {
        // One speaker with the other's words, and with other words of the same one.
        let elsewhere = turn(&host, (second + 3) % 7);
        for (sent, heard) in [
            (&host, turn(&device, second)),
            (&device, turn(&host, second)),
            (&host, elsewhere),
        ] {
            let found = find(turn(sent, second), &late(heard, 1_600));
            assert!(found.similarity < 0.6, "{second} {found:?}");
            similarities.push(found.similarity);
        }
        let silence = vec![0; 48_000 + MAX_LAG];
        assert_eq!(find(turn(&host, second), &silence).similarity, 0.0);
    }
    let mean = similarities.iter().sum::<f64>() / similarities.len() as f64;
    assert!(mean < 0.2, "{mean}: {similarities:?}");
}

#[test]
fn levels_are_in_dbov() {
    assert_eq!(dbov(&[0; 100]), -127);
    assert_eq!(dbov(&[i16::MIN; 100]), 0);
}
