//! Deterministic audio for the codec tests.

use super::codec::SampleRate;
use core::f64::consts::TAU;
use std::vec::Vec;

/// Speech-like audio: harmonics of a gliding pitch under two moving formants, in syllables with pauses, over a little
/// noise.
pub(super) fn voice(rate: SampleRate, ms: u16) -> Vec<i16> {
    let hz = f64::from(rate.hz());
    let mut noise = 1_u32;
    let mut phase = 0.0;
    (0..rate.samples(ms))
        .map(|i| {
            let time = i as f64 / hz;
            let pitch = 120.0 + 30.0 * (time * 2.1).sin();
            phase += pitch / hz;
            let formants = [
                (500.0 + 300.0 * (time * 1.7).sin(), 150.0, 1.0),
                (1500.0 + 500.0 * (time * 2.3).cos(), 250.0, 0.5),
            ];
            let tone: f64 = (1..60)
                .map(f64::from)
                .take_while(|harmonic| harmonic * pitch < 0.45 * hz)
                .map(|harmonic| {
                    let gain: f64 = formants
                        .iter()
                        .map(|&(center, width, gain)| {
                            gain / (1.0 + ((harmonic * pitch - center) / width).powi(2))
                        })
                        .sum();
                    (gain + 0.01) * (TAU * phase * harmonic).sin()
                })
                .sum();
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = f64::from(noise >> 16) / 32_768.0 - 1.0;
            let syllable = (time * 3.0 * core::f64::consts::PI).sin().max(0.0).sqrt();
            (tone * 4000.0 * syllable + hiss * 60.0) as i16
        })
        .collect()
}

/// A sine of full `amplitude`.
pub(super) fn sine(rate: SampleRate, hz: f64, amplitude: f64, ms: u16) -> Vec<i16> {
    (0..rate.samples(ms))
        .map(|i| {
            let phase = i as f64 * hz / f64::from(rate.hz()) * TAU;
            (phase.sin() * amplitude).round() as i16
        })
        .collect()
}

/// The mean square of the samples.
pub(super) fn power(pcm: &[i16]) -> f64 {
    pcm.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / pcm.len().max(1) as f64
}

/// The similarity of `heard` to `said` delayed by up to `max_delay` samples: the signal-to-noise ratio in dB at the
/// best delay, from every seventh sample.
pub(super) fn snr(said: &[i16], heard: &[i16], max_delay: usize) -> f64 {
    let sampled = |from: usize, len: usize, pcm: &[i16]| -> Vec<i16> {
        pcm[from..from + len].iter().step_by(7).copied().collect()
    };
    let len = said.len().min(heard.len()) - max_delay;
    let said = sampled(0, len, said);
    let signal = power(&said);
    (0..=max_delay)
        .map(|delay| {
            let heard = sampled(delay, len, heard);
            let error: Vec<i16> = said
                .iter()
                .zip(&heard)
                .map(|(&a, &b)| a.saturating_sub(b))
                .collect();
            10.0 * (signal / power(&error).max(1e-9)).log10()
        })
        .fold(f64::NEG_INFINITY, f64::max)
}
