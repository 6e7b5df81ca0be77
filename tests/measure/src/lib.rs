//! Finds one recording in another, and measures delay and similarity.
//!
//! **Delay.** The place of the highest cross-correlation. It is computed by FFT, in two steps: over the whole
//! recording, then again for each half second near that place, as a jitter buffer may change its delay while it plays.
//!
//! **Similarity.** The correlation of the two signals' power in each of 20 bands of the mel scale, 100 times a second,
//! after alignment. The power is logarithmic, less the mean of each band, so that neither loudness nor timbre matters.
//! Codecs and concealment change the waveform much, but this measure little: the same speech gives more than 0.8, other
//! speech about 0, and seldom 0.5 if the pauses happen to coincide.

use std::time::Duration;

use parlour_core::audio::codec::SampleRate;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// The sample rate of the comparison: speech has little above 8 kHz, and the device hears no more.
pub const RATE: SampleRate = SampleRate::Hz16000;
/// The longest delay that is searched.
pub const MAX_DELAY: Duration = Duration::from_millis(1_500);

const MAX_LAG: usize = samples(MAX_DELAY);
/// The length of one alignment step, and its largest distance from the overall alignment.
const WINDOW: usize = samples(Duration::from_millis(500));
const WANDER: usize = samples(Duration::from_millis(200));
/// Audio below this, in dBov, is no more than the edge of a word.
const QUIET: i32 = -35;
const HOP: usize = 160;
const FRAME: usize = 512;
const BANDS: usize = 20;
/// Frames over which the power in a band is averaged: 90 ms.
const SMOOTH: usize = 9;
/// Bands below the loudest one by this ratio of power count as silent.
const FLOOR: f32 = 1e-5;

const fn samples(duration: Duration) -> usize {
    duration.as_millis() as usize * 16
}

/// The match of one recording in another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The delay of the match.
    pub delay: Duration,
    /// From 0, other or no audio, to 1.
    pub similarity: f64,
}

/// Searches for `sent` in `heard`. Both are at [`RATE`] and start at the same time; `heard` should last [`MAX_DELAY`]
/// longer.
pub fn find(sent: &[i16], heard: &[i16]) -> Match {
    let lag = best_lag(sent, heard, MAX_LAG);
    let aligned = align(sent, heard, lag);
    Match {
        delay: Duration::from_micros(lag as u64 * 1_000 / 16),
        similarity: similarity(sent, &aligned),
    }
}

/// The sum of several simultaneous talkers for a listener that hears each with another delay: `sent` mixed with the
/// delays found in `heard`.
pub fn mix(sent: &[Vec<i16>], heard: &[i16]) -> Vec<i16> {
    let lags: Vec<usize> = sent
        .iter()
        .map(|sent| best_lag(sent, heard, MAX_LAG))
        .collect();
    let first = lags.iter().copied().min().unwrap_or_default();
    let mut mixed = vec![0; sent.iter().map(Vec::len).max().unwrap_or_default()];
    for (sent, lag) in sent.iter().zip(lags) {
        for (mixed, sample) in mixed.iter_mut().skip(lag - first).zip(sent) {
            *mixed = i16::saturating_add(*mixed, *sample);
        }
    }
    mixed
}

/// The level of `pcm`, in dBov: 0 is the loudest square wave, −127 digital silence.
pub fn dbov(pcm: &[i16]) -> i32 {
    -i32::from(parlour_core::audio::level::level(pcm))
}

/// The part of `heard` that matches `sent`, half a second at a time.
fn align(sent: &[i16], heard: &[i16], lag: usize) -> Vec<i16> {
    let mut aligned = Vec::with_capacity(sent.len());
    let mut current = lag;
    for (index, window) in sent.chunks(WINDOW).enumerate() {
        // Silence is the same everywhere: it stays at its neighbour's place.
        if dbov(window) > QUIET {
            let first = (index * WINDOW + lag).saturating_sub(WANDER);
            let near = heard.get(first..).unwrap_or_default();
            current = (first + best_lag(window, near, 2 * WANDER)).saturating_sub(index * WINDOW);
        }
        let found = heard.iter().skip(index * WINDOW + current);
        aligned.extend(found.chain(std::iter::repeat(&0)).take(window.len()));
    }
    aligned
}

/// The lag, up to `most`, by which `heard` correlates best with `sent`.
fn best_lag(sent: &[i16], heard: &[i16], most: usize) -> usize {
    let heard = heard.get(..sent.len() + most).unwrap_or(heard);
    let size = (sent.len() + most).next_power_of_two();
    let mut planner = RealFftPlanner::<f32>::new();
    let forward = planner.plan_fft_forward(size);
    let spectrum = |pcm: &[i16]| {
        let mut padded = vec![0.0; size];
        for (padded, sample) in padded.iter_mut().zip(pcm) {
            *padded = f32::from(*sample);
        }
        let mut spectrum = forward.make_output_vec();
        // The vectors have the planner's own lengths, so this cannot fail.
        forward.process(&mut padded, &mut spectrum).ok();
        spectrum
    };
    let mut product: Vec<Complex<f32>> = spectrum(sent)
        .iter()
        .zip(spectrum(heard))
        .map(|(sent, heard)| sent.conj() * heard)
        .collect();
    // The inverse transform requires real values here.
    for edge in [0, size / 2] {
        product[edge].im = 0.0;
    }
    let inverse = planner.plan_fft_inverse(size);
    let mut correlation = inverse.make_output_vec();
    inverse.process(&mut product, &mut correlation).ok();
    let lags = correlation.iter().take(most + 1).enumerate();
    lags.max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map_or(0, |(lag, _)| lag)
}

/// The similarity of two recordings of the same length, from 0 to 1.
fn similarity(sent: &[i16], heard: &[i16]) -> f64 {
    let (sent, heard) = (bands(sent), bands(heard));
    let pairs = || sent.iter().flatten().zip(heard.iter().flatten());
    let sum = |of: fn(f64, f64) -> f64| -> f64 {
        pairs()
            .map(|(sent, heard)| of(f64::from(*sent), f64::from(*heard)))
            .sum()
    };
    let (said, came) = (sum(|sent, _| sent * sent), sum(|_, heard| heard * heard));
    // Silence differs from its mean by rounding errors only.
    if said.min(came) < 1e-3 {
        return 0.0;
    }
    (sum(|sent, heard| sent * heard) / (said * came).sqrt()).clamp(0.0, 1.0)
}

/// The logarithms of the power in each band, frame by frame, less each band's mean.
fn bands(pcm: &[i16]) -> Vec<[f32; BANDS]> {
    let forward = RealFftPlanner::<f32>::new().plan_fft_forward(FRAME);
    let mut frame = forward.make_input_vec();
    let mut spectrum = forward.make_output_vec();
    let mut powers = Vec::new();
    for pcm in pcm.windows(FRAME).step_by(HOP) {
        for (n, (sample, frame)) in pcm.iter().zip(&mut frame).enumerate() {
            let phase = std::f32::consts::TAU * n as f32 / FRAME as f32;
            *frame = f32::from(*sample) * (0.5 - 0.5 * phase.cos());
        }
        forward.process(&mut frame, &mut spectrum).ok();
        powers.push(std::array::from_fn(|band| {
            let bins = spectrum.get(edge(band)..edge(band + 1)).unwrap_or_default();
            bins.iter().map(Complex::norm_sqr).sum::<f32>()
        }));
    }
    let powers = smooth(&powers);
    let loudest = powers.iter().flatten().copied().fold(0.0, f32::max);
    let floor = (loudest * FLOOR).max(f32::MIN_POSITIVE);
    let mut logs = powers;
    for power in logs.iter_mut().flatten() {
        *power = (*power + floor).log10();
    }
    for band in 0..BANDS {
        let mean = logs.iter().map(|frame| frame[band]).sum::<f32>() / logs.len().max(1) as f32;
        for frame in &mut logs {
            frame[band] -= mean;
        }
    }
    logs
}

/// The mean of [`SMOOTH`] frames around each frame: 20 ms of concealment or shift are inaudible.
fn smooth(powers: &[[f32; BANDS]]) -> Vec<[f32; BANDS]> {
    let around = |n: usize| {
        let near = powers.get(n.saturating_sub(SMOOTH / 2)..(n + SMOOTH / 2 + 1).min(powers.len()));
        let near = near.unwrap_or_default();
        std::array::from_fn(|band| {
            near.iter().map(|frame| frame[band]).sum::<f32>() / near.len() as f32
        })
    };
    (0..powers.len()).map(around).collect()
}

/// The first bin of a band: 100 Hz to 7 kHz in equal steps of the mel scale.
fn edge(band: usize) -> usize {
    let mel = |hz: f32| 2595.0 * (1.0 + hz / 700.0).log10();
    let (low, high) = (mel(100.0), mel(7_000.0));
    let at = low + (high - low) * band as f32 / BANDS as f32;
    let hz = 700.0 * (10f32.powf(at / 2595.0) - 1.0);
    (hz * FRAME as f32 / RATE.hz() as f32).round() as usize
}

#[cfg(test)]
mod tests;
