//! Sound that lasts shorter or longer, at the same pitch: WSOLA, as in Liang, Färber and Girod, *Adaptive Playout
//! Scheduling and Loss Concealment for Voice Communication over IP Networks* (2003).
//!
//! A piece of sound that is like the piece one *lag* later is faded over into it, so that the time between the two is
//! left out; or one that is like the piece one lag earlier is faded over into that, so that the time is heard again.
//! In a voice the lag is one or more periods of its pitch.
//!
//! ```text
//! shorter   ──a──[fade]~~~~~~~~~~~[like]──b──      the time of `lag` between `fade` and `like` is left out
//! longer    ──a──[like]~~~~~~~~~~~[fade]──b──      it is played again from `like` on
//!                └───── lag ─────┘
//! ```

use core::ops::RangeInclusive;

use super::codec::SampleRate;

/// Samples that are faded over, in ms.
const FADE: u16 = 4;
/// The shortest lag, in ms.
const SHORTEST: u16 = 4;
/// The longest lag, in half ms: 80 Hz, a low voice.
const LONGEST_HALF: u16 = 25;
/// Samples a second at which lags are first searched, in kHz.
const COARSE: u16 = 4;
/// Of coarse samples: what is compared, and how far.
const COARSE_FADE: usize = (FADE * COARSE) as usize;
const COARSE_LONGEST: usize = (LONGEST_HALF * COARSE / 2) as usize;
/// Sound below this root mean square may be cut anywhere: −50 dBov.
const QUIET: i64 = 100;

/// How alike two pieces have to be: the least square of their correlation, in 1/64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Only where it is hardly heard: a correlation of 0.85.
    Usual = 46,
    /// Soon: a correlation of 0.5.
    Urgent = 16,
}

/// The longest lag in samples: what [`lengthen`] needs of sound that has been played.
pub(super) const fn longest(rate: SampleRate) -> usize {
    rate.samples(LONGEST_HALF) / 2
}

/// Leaves out of `pcm` up to `most` samples. Returns how many; the rest is at its front.
pub(super) fn shorten(pcm: &mut [i16], rate: SampleRate, most: usize, care: Care) -> usize {
    let fade = rate.samples(FADE);
    let most = most.min(pcm.len().saturating_sub(fade));
    let Some(lag) = find(pcm, 0, rate, most, care, Direction::Later) else {
        return 0;
    };
    let Some((front, back)) = pcm.split_at_mut_checked(lag) else {
        return 0;
    };
    // What is played is written over what is left out.
    let mut weight = Weight::new(fade);
    for (sample, &like) in front.iter_mut().zip(&*back).take(fade) {
        *sample = weight.next(*sample, like);
    }
    let end = pcm.len();
    pcm.copy_within((lag + fade).min(end)..end, fade.min(end));
    lag
}

/// Repeats up to `most` samples where `pcm[..at]` has been played and `pcm[at..end]` has not. Returns how many: `end`
/// grows by them.
pub(super) fn lengthen(
    pcm: &mut [i16],
    at: usize,
    end: usize,
    rate: SampleRate,
    most: usize,
    care: Care,
) -> usize {
    let fade = rate.samples(FADE);
    let most = most.min(at).min(pcm.len().saturating_sub(end));
    let Some(sound) = pcm.get(..end) else {
        return 0;
    };
    let Some(lag) = find(sound, at, rate, most, care, Direction::Earlier) else {
        return 0;
    };
    // Behind the fade the sound goes on as it did behind the earlier piece; a lag is no shorter than a fade.
    pcm.copy_within(at + fade - lag..end, at + fade);
    let Some((earlier, later)) = pcm.split_at_mut_checked(at) else {
        return 0;
    };
    let like = earlier.get(at - lag..).unwrap_or_default();
    let mut weight = Weight::new(fade);
    for (sample, &like) in later.iter_mut().zip(like).take(fade) {
        *sample = weight.next(*sample, like);
    }
    lag
}

/// Fades from one sound to another.
struct Weight {
    now: i32,
    step: i32,
}

impl Weight {
    const ONE: i32 = 1 << 14;

    fn new(samples: usize) -> Self {
        let step = Self::ONE / i32::try_from(samples + 1).unwrap_or(i32::MAX);
        Self { now: step, step }
    }

    fn next(&mut self, from: i16, to: i16) -> i16 {
        let (from, to) = (i32::from(from), i32::from(to));
        let sample = from + ((to - from) * self.now) / Self::ONE;
        self.now += self.step;
        // Between the two.
        sample as i16
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Earlier,
    Later,
}

impl Direction {
    /// The place that is `lag` away from `at`.
    const fn place(self, at: usize, lag: usize) -> usize {
        match self {
            Self::Later => at + lag,
            Self::Earlier => at - lag,
        }
    }
}

/// The lag of at most `most` samples at which the sound is most like that at `at`, if it is enough so.
fn find(
    pcm: &[i16],
    at: usize,
    rate: SampleRate,
    most: usize,
    care: Care,
    direction: Direction,
) -> Option<usize> {
    let factor = rate.samples(1) / usize::from(COARSE);
    let fade = rate.samples(FADE);
    let most = most.min(longest(rate));
    let least = rate.samples(SHORTEST);
    if most < least || pcm.len() < at + fade {
        return None;
    }
    // What lies around `at`, at 4 kHz.
    let reach = most / factor;
    let mut coarse = [0_i16; COARSE_FADE + COARSE_LONGEST];
    let len = COARSE_FADE + reach;
    let coarse = coarse.get_mut(..len)?;
    let from = match direction {
        Direction::Later => at,
        Direction::Earlier => at.checked_sub(reach * factor)?,
    };
    decimate(pcm.get(from..)?, factor, coarse);
    let here = match direction {
        Direction::Later => 0,
        Direction::Earlier => reach,
    };
    let around = most_alike(coarse, here, least.div_ceil(factor)..=reach, direction)?;
    // To the sample. In between, the best one is found well enough in steps of a sixteenth of a ms.
    let template = pcm.get(at..at + fade)?;
    let middle = around * factor;
    let (from, to) = (
        middle.saturating_sub(factor - 1).max(least),
        (middle + factor - 1).min(most),
    );
    let energy = product(template, template);
    let (mut best, mut other, mut likeness) = (None, 0, i64::MIN);
    for lag in (from..=to).step_by((factor / 4).max(1)) {
        let start = direction.place(at, lag);
        let Some(piece) = pcm.get(start..start + fade) else {
            continue;
        };
        let piece_energy = product(piece, piece);
        let square = likeness_of(product(template, piece), energy, piece_energy);
        if square > likeness {
            (best, other, likeness) = (Some(lag), piece_energy, square);
        }
    }
    let quiet = QUIET * QUIET * fade as i64;
    let is_quiet = energy <= quiet && other <= quiet;
    best.filter(|_| is_quiet || likeness >= care as i64 * 64)
}

/// The lag at which `coarse` is most like what it is at `here`. A device searches this way in each frame until it finds a
/// place, so all sums have 32 bits, and there is no division.
fn most_alike(
    coarse: &[i16],
    here: usize,
    lags: RangeInclusive<usize>,
    direction: Direction,
) -> Option<usize> {
    let template = coarse.get(here..here + COARSE_FADE)?;
    let (mut best, mut best_square, mut best_energy) = (None, 0_i64, 1_i64);
    for lag in lags {
        let start = direction.place(here, lag);
        let piece = coarse.get(start..start + COARSE_FADE)?;
        let (mut product, mut energy) = (0_i32, 0_i32);
        for (&a, &b) in template.iter().zip(piece) {
            let (a, b) = (i32::from(a), i32::from(b));
            product += a * b;
            energy += b * b;
        }
        // Of 26 bits each; a product of three has at most 62.
        let product = i64::from(product >> 6);
        let energy = i64::from((energy >> 4).max(1));
        let square = product * product.abs();
        if best.is_none() || square * best_energy > best_square * energy {
            (best, best_square, best_energy) = (Some(lag), square, energy);
        }
    }
    best
}

/// Averages of `factor` samples each, halved until none has more than 11 bits.
fn decimate(pcm: &[i16], factor: usize, coarse: &mut [i16]) {
    let factor = factor.max(1);
    let mut bits = 0;
    for (coarse, samples) in coarse.iter_mut().zip(pcm.chunks(factor)) {
        let sum: i32 = samples.iter().copied().map(i32::from).sum();
        *coarse = (sum / factor as i32) as i16;
        bits |= coarse.unsigned_abs();
    }
    let shift = (u16::BITS - bits.leading_zeros()).saturating_sub(11);
    for coarse in coarse {
        *coarse >>= shift;
    }
}

fn product(a: &[i16], b: &[i16]) -> i64 {
    let products = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b));
    products.map(i64::from).sum()
}

/// The square of the correlation in 1/2^12 of pieces with these energies; negative if they are opposite.
fn likeness_of(product: i64, energy: i64, other: i64) -> i64 {
    // 192 samples at the most: sums below 2^38.
    let (product, energy, other) = (product / 128, energy / 128, other / 128);
    let scale = (energy / 64).max(1) * (other / 64).max(1);
    (product * product.abs()).checked_div(scale).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::synth;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const RATES: [SampleRate; 4] = [
        SampleRate::Hz8000,
        SampleRate::Hz16000,
        SampleRate::Hz24000,
        SampleRate::Hz48000,
    ];

    /// A voice of steady pitch: 8 ms.
    fn voiced(rate: SampleRate, ms: u16) -> Vec<i16> {
        let period = rate.samples(8);
        let sample = |n: usize| {
            let phase = core::f64::consts::TAU * (n % period) as f64 / period as f64;
            let sum = phase.sin() + 0.6 * (3.0 * phase).sin() + 0.4 * (5.0 * phase + 1.0).cos();
            (sum * 6_000.0) as i16
        };
        (0..rate.samples(ms)).map(sample).collect()
    }

    fn noise(rate: SampleRate, ms: u16, amplitude: i32) -> Vec<i16> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as i32 * 2 * amplitude / 65_536 - amplitude) as i16
        };
        (0..rate.samples(ms)).map(|_| next()).collect()
    }

    fn steepest(pcm: &[i16]) -> i32 {
        let steps = pcm
            .windows(2)
            .map(|pair| i32::from(pair[0]) - i32::from(pair[1]));
        steps.map(i32::abs).max().unwrap()
    }

    #[test]
    fn whole_periods_of_a_voice_are_left_out_and_put_in() {
        for rate in RATES {
            let before = voiced(rate, 40);
            let most = rate.samples(10);
            let mut shorter = before.clone();
            let lag = shorten(&mut shorter, rate, most, Care::Usual);
            assert!(lag.abs_diff(rate.samples(8)) <= 2, "{rate:?}: {lag}");
            shorter.truncate(before.len() - lag);
            // To the ear the same sound: each sample is as before.
            let same = |pcm: &[i16]| {
                pcm.iter()
                    .zip(&before)
                    .all(|(a, b)| (i32::from(*a) - i32::from(*b)).abs() <= 600)
            };
            assert!(same(&shorter), "{rate:?}");

            let mut longer = before.clone();
            longer.resize(before.len() + rate.samples(20), 0);
            let lag = lengthen(
                &mut longer,
                rate.samples(20),
                before.len(),
                rate,
                most,
                Care::Usual,
            );
            assert!(lag.abs_diff(rate.samples(8)) <= 2, "{rate:?}: {lag}");
            longer.truncate(before.len() + lag);
            assert!(same(&longer), "{rate:?}");
            assert!(steepest(&longer) <= steepest(&before) + 4);
        }
    }

    #[test]
    fn speech_has_no_clicks_afterwards() {
        for rate in RATES {
            let said = synth::voice(rate, 2_000);
            let most = steepest(&said) * 5 / 4;
            let (mut changed, frame) = (0, rate.samples(20));
            let mut heard = Vec::new();
            for frame in said.chunks_exact(frame) {
                let mut pcm = frame.to_vec();
                let lag = shorten(&mut pcm, rate, rate.samples(10), Care::Usual);
                pcm.truncate(frame.len() - lag);
                changed += usize::from(lag > 0);
                heard.extend(pcm);
            }
            assert!(changed > 10, "{rate:?}: {changed}");
            assert!(steepest(&heard) <= most, "{rate:?}: {}", steepest(&heard));
        }
    }

    #[test]
    fn loud_noise_is_left_alone_and_quiet_noise_is_not() {
        for rate in RATES {
            let cut = |amplitude| {
                shorten(
                    &mut noise(rate, 20, amplitude),
                    rate,
                    rate.samples(10),
                    Care::Usual,
                )
            };
            assert_eq!(cut(8_000), 0, "{rate:?}");
            assert!(cut(80) >= rate.samples(4), "{rate:?}");
        }
    }

    proptest! {
        #[test]
        fn any_sound_of_any_length_is_survived(
            pcm in proptest::collection::vec(any::<i16>(), 0..1_500),
            rate in prop::sample::select(&RATES[..]),
            (at, end, most) in (0_usize..1_500, 0_usize..1_500, 0_usize..2_000),
            urgent in any::<bool>(),
        ) {
            let care = if urgent { Care::Urgent } else { Care::Usual };
            let (at, end) = (at.min(pcm.len()), end.min(pcm.len()));
            let (at, end) = (at.min(end), at.max(end));
            let mut shorter = pcm.clone();
            let lag = shorten(&mut shorter, rate, most, care);
            prop_assert!(lag <= most && lag < pcm.len().max(1));
            if lag == 0 {
                prop_assert_eq!(&shorter, &pcm);
            }
            let mut longer = pcm.clone();
            let lag = lengthen(&mut longer, at, end, rate, most, care);
            prop_assert!(lag <= most && end + lag <= pcm.len());
            // What was played stays, and the sound ends as it did.
            prop_assert_eq!(&longer[..at], &pcm[..at]);
            if lag > 0 {
                let fade = rate.samples(FADE);
                prop_assert_eq!(&longer[at + fade..end + lag], &pcm[at + fade - lag..end]);
            }
        }
    }
}
