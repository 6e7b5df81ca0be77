use super::*;
use crate::audio::synth::{power, sine};
use proptest::prelude::*;

const RATES: [SampleRate; 4] = [
    SampleRate::Hz8000,
    SampleRate::Hz16000,
    SampleRate::Hz24000,
    SampleRate::Hz48000,
];

fn pairs() -> impl Iterator<Item = (SampleRate, SampleRate)> {
    RATES
        .into_iter()
        .flat_map(|from| RATES.into_iter().map(move |to| (from, to)))
}

/// Converts 200 ms of a sine and splits the output, its start left out, into the least-squares
/// sine of that frequency and the rest: returns (gain, signal-to-noise ratio), both in dB.
fn convert_sine(from: SampleRate, to: SampleRate, hz: f64) -> (f64, f64) {
    let amplitude = 16_000.0;
    let input = sine(from, hz, amplitude, 200);
    let mut out = std::vec![0; to.samples(200)];
    assert_eq!(
        Resampler::new(from, to).process(&input, &mut out),
        Ok(out.len())
    );
    let (mut sin_sum, mut cos_sum) = (0.0, 0.0);
    let settled = &out[to.samples(50)..to.samples(150)];
    // Rounding has no preference: a whole number of periods has no constant part.
    let mean = settled.iter().map(|&s| f64::from(s)).sum::<f64>() / settled.len() as f64;
    assert!(mean.abs() < 0.2, "{from:?} to {to:?}: {mean}");
    let angle = |i: usize| i as f64 * hz / f64::from(to.hz()) * core::f64::consts::TAU;
    for (i, &sample) in settled.iter().enumerate() {
        sin_sum += f64::from(sample) * angle(i).sin();
        cos_sum += f64::from(sample) * angle(i).cos();
    }
    let half = settled.len() as f64 / 2.0;
    let (a, b) = (sin_sum / half, cos_sum / half);
    let noise: f64 = settled
        .iter()
        .enumerate()
        .map(|(i, &s)| (f64::from(s) - a * angle(i).sin() - b * angle(i).cos()).powi(2))
        .sum();
    let signal = (a * a + b * b) * half;
    (
        10.0 * ((a * a + b * b) / amplitude.powi(2)).log10(),
        10.0 * (signal / noise.max(1e-9)).log10(),
    )
}

#[test]
fn the_pass_band_is_flat_and_clean() {
    for (from, to) in pairs() {
        let nyquist = f64::from(from.min(to).hz()) / 2.0;
        for share in [0.05, 0.25, 0.5, 0.75, 0.84] {
            // A whole number of periods in the 100 ms that are looked at.
            let hz = (nyquist * share / 10.0).round() * 10.0;
            let (gain, snr) = convert_sine(from, to, hz);
            assert!(gain.abs() < 0.1, "{from:?} to {to:?}, {hz} Hz: {gain} dB");
            assert!(snr > 70.0, "{from:?} to {to:?}, {hz} Hz: SNR {snr} dB");
        }
    }
}

#[test]
fn nothing_aliases() {
    for (from, to) in pairs().filter(|(from, to)| to < from) {
        let nyquist = f64::from(to.hz()) / 2.0;
        for share in [1.16, 1.3, 1.6, 1.9] {
            let hz = nyquist * share;
            if hz >= f64::from(from.hz()) / 2.0 {
                continue;
            }
            let input = sine(from, hz, 32_000.0, 200);
            let mut out = std::vec![0; to.samples(200)];
            Resampler::new(from, to).process(&input, &mut out).unwrap();
            let settled = &out[to.samples(50)..];
            let level = 10.0 * (power(settled) * 2.0 / 32_000.0_f64.powi(2)).log10();
            assert!(level < -70.0, "{from:?} to {to:?}, {hz} Hz: {level} dB");
        }
    }
}

#[test]
fn the_delay_is_as_documented() {
    for (from, to) in pairs().filter(|(from, to)| from != to) {
        let mut input = std::vec![0; from.samples(20)];
        input[0] = 16_000;
        let mut out = std::vec![0; to.samples(20)];
        Resampler::new(from, to).process(&input, &mut out).unwrap();
        let peak = (0..out.len()).max_by_key(|&i| out[i].unsigned_abs());
        let lower = from.min(to).hz() as usize;
        assert_eq!(
            peak,
            Some(REACH * to.hz() as usize / lower),
            "{from:?} to {to:?}"
        );
    }
}

#[test]
fn a_constant_stays_that_constant() {
    for (from, to) in pairs() {
        let mut out = std::vec![0; to.samples(20)];
        let input = std::vec![i16::MIN; from.samples(20)];
        Resampler::new(from, to).process(&input, &mut out).unwrap();
        for &sample in &out[to.samples(10)..] {
            assert!(sample <= i16::MIN + 8, "{from:?} to {to:?}: {sample}");
        }
    }
}

#[test]
fn wrong_lengths_change_nothing() {
    let mut down = Resampler::new(SampleRate::Hz48000, SampleRate::Hz16000);
    assert_eq!(
        down.process(&[1; 4], &mut [0; 4]),
        Err(ResampleError::PartialSample)
    );
    assert_eq!(
        down.process(&[1; 6], &mut [0; 1]),
        Err(ResampleError::OutputTooSmall { needed: 2 })
    );
    let mut out = [7; 2];
    assert_eq!(down.process(&[0; 6], &mut out), Ok(2));
    assert_eq!(out, [0; 2]);
    assert_eq!((down.output_len(6), down.input_len(2)), (Some(2), Some(6)));
}

/// By the way of all other ratios.
fn converted_by_two(from: SampleRate, to: SampleRate, pcm: &[i16]) -> std::vec::Vec<i16> {
    let mut resampler = Resampler {
        filter: &FILTER_2,
        ..Resampler::new(from, to)
    };
    let mut out = std::vec![0; resampler.output_len(pcm.len()).unwrap()];
    resampler.convert(pcm, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn how_the_input_is_cut_does_not_matter(
        pcm in proptest::collection::vec(any::<i16>(), 240),
        cut in 0_usize..=40,
        from in 0_usize..4,
        to in 0_usize..4,
    ) {
        let new = || Resampler::new(RATES[from], RATES[to]);
        let mut whole = std::vec![0; 240 * 6];
        let len = new().process(&pcm, &mut whole).unwrap();
        let mut cut_up = std::vec![0; 240 * 6];
        let mut resampler = new();
        let (first, second) = pcm.split_at(cut * 6);
        let middle = resampler.process(first, &mut cut_up).unwrap();
        let rest = resampler.process(second, &mut cut_up[middle..]).unwrap();
        prop_assert_eq!(middle + rest, len);
        prop_assert_eq!(whole, cut_up);
    }

    #[test]
    fn the_short_way_for_two_is_exact(
        pcm in proptest::collection::vec(prop_oneof![any::<i16>(), Just(i16::MIN), Just(i16::MAX)], 480),
        cut in 0_usize..=240,
    ) {
        for (from, to) in [
            (SampleRate::Hz8000, SampleRate::Hz16000),
            (SampleRate::Hz48000, SampleRate::Hz24000),
        ] {
            let mut resampler = Resampler::new(from, to);
            let mut out = std::vec![0; 960];
            let (first, second) = pcm.split_at(2 * cut);
            let middle = resampler.process(first, &mut out).unwrap();
            let end = middle + resampler.process(second, &mut out[middle..]).unwrap();
            prop_assert_eq!(&out[..end], converted_by_two(from, to, &pcm));
        }
    }
}
