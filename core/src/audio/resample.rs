//! Changing the sample rate between 8, 16, 24 and 48 kHz.
//!
//! All these rates are small multiples of each other, so one kind of filter suffices: insert L−1 zeros after each
//! sample, low-pass, and keep every Mth, computing only the kept samples (a polyphase FIR filter). L:M is 2:1, 3:1,
//! 6:1, 3:2 or the reverse.
//!
//! # The filter
//!
//! With F = max(L, M), the prototype is a sinc with its cutoff at half the lower rate, in a Kaiser window (β = 8) that
//! keeps 16 of its zero crossings to either side: 32·F taps at the common rate, computed at compile time and stored in
//! 1/16384. The lowest 84 % of the lower rate's band pass within 0.1 dB; aliases from above 116 % are at least 70 dB
//! down. The filter has linear phase and delays by 16 samples of the lower rate (24 output samples from 16 to 24 kHz):
//! 2 ms at 8 kHz.

mod halfband;

use super::codec::SampleRate;
use super::mixer::clamp;
use thiserror::Error;

/// Zero crossings of the sinc to either side.
const REACH: usize = 16;
/// Taps of the longest filter, for a factor of six.
const MAX_TAPS: usize = 2 * REACH * 6;
const UNITY_BITS: u32 = 14;

/// Converts a stream of PCM from one rate to another.
///
/// ```
/// use parlour_core::audio::codec::SampleRate;
/// use parlour_core::audio::resample::Resampler;
///
/// let mut up = Resampler::new(SampleRate::Hz8000, SampleRate::Hz16000);
/// let mut out = [0; 320];
/// assert_eq!(up.process(&[0; 160], &mut out), Ok(320));
/// ```
#[derive(Debug, Clone)]
pub struct Resampler {
    filter: &'static [i16],
    /// L: output samples for every M of input.
    up: usize,
    /// M.
    down: usize,
    /// The last inputs, newest last, each written twice (`MAX_TAPS` apart) so that the last
    /// `MAX_TAPS` are always one slice.
    line: [i16; 2 * MAX_TAPS],
    /// The place of the next input in the first half of `line`.
    next: usize,
}

impl Resampler {
    /// A converter from rate `from` to rate `to`, with silence before its first input.
    pub fn new(from: SampleRate, to: SampleRate) -> Self {
        let common = gcd(from.hz(), to.hz());
        let (up, down) = ((to.hz() / common) as usize, (from.hz() / common) as usize);
        let filter: &[i16] = match up.max(down) {
            6 => &FILTER_6,
            3 => &FILTER_3,
            // `halfband` has its own taps.
            _ => &[],
        };
        Self {
            filter,
            up,
            down,
            line: [0; 2 * MAX_TAPS],
            next: 0,
        }
    }

    /// The number of output samples for `input` samples, if it is whole.
    pub fn output_len(&self, input: usize) -> Option<usize> {
        (input.is_multiple_of(self.down)).then(|| input / self.down * self.up)
    }

    /// The number of input samples for `output` samples, if it is whole.
    pub fn input_len(&self, output: usize) -> Option<usize> {
        let groups = output.checked_div(self.up)?;
        (groups * self.up == output).then_some(groups * self.down)
    }

    /// The smallest number of input samples that gives a whole number of output samples, at most six.
    pub fn group(&self) -> usize {
        self.down
    }

    /// Converts `input` to the front of `out`; returns the number of samples there.
    ///
    /// # Errors
    ///
    /// [`ResampleError`]; then nothing has changed.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> Result<usize, ResampleError> {
        let len = self
            .output_len(input.len())
            .ok_or(ResampleError::PartialSample)?;
        let out = out
            .get_mut(..len)
            .ok_or(ResampleError::OutputTooSmall { needed: len })?;
        match (self.up, self.down) {
            (1, 1) => out
                .iter_mut()
                .zip(input)
                .for_each(|(out, sample)| *out = *sample),
            (2, 1) | (1, 2) => self.convert_by_two(input, out),
            _ => self.convert(input, out),
        }
        Ok(len)
    }

    /// Converts by two. It uses as much of `line` as that needs, in its own order.
    fn convert_by_two(&mut self, input: &[i16], out: &mut [i16]) {
        let ([first, second, ..], _) = self.line.as_chunks_mut::<{ halfband::TAPS }>() else {
            return;
        };
        match self.up {
            1 => halfband::halve(first, second, input, out),
            _ => halfband::double(first, input, out),
        }
    }

    /// Converts by any other ratio, sample by sample.
    fn convert(&mut self, input: &[i16], out: &mut [i16]) {
        for (input, out) in input.chunks(self.down).zip(out.chunks_mut(self.up)) {
            // At the common rate, input i stands at i·L and output j at j·M.
            let mut taken = 0;
            for (j, out) in out.iter_mut().enumerate() {
                let at = j * self.down;
                let newest = at / self.up;
                for &sample in input.iter().take(newest + 1).skip(taken) {
                    self.push(sample);
                }
                taken = newest + 1;
                *out = self.filtered(at % self.up);
            }
            for &sample in input.iter().skip(taken) {
                self.push(sample);
            }
        }
    }

    fn push(&mut self, sample: i16) {
        for copy in [self.next, self.next + MAX_TAPS] {
            if let Some(slot) = self.line.get_mut(copy) {
                *slot = sample;
            }
        }
        self.next = (self.next + 1) % MAX_TAPS;
    }

    /// The output `phase` common-rate samples after the newest input.
    fn filtered(&self, phase: usize) -> i16 {
        let window = self.line.get(self.next..self.next + MAX_TAPS);
        let newest_first = window.unwrap_or_default().iter().rev();
        let taps = self.filter.iter().skip(phase).step_by(self.up);
        let sum: i64 = taps
            .zip(newest_first)
            .map(|(&tap, &sample)| i64::from(i32::from(tap) * i32::from(sample)))
            .sum();
        // Every F-th tap sums to one, and L of F of them apply to each sample.
        let scale = (self.up.max(self.down) as i64) << UNITY_BITS;
        let rounded = (sum * self.up as i64 + scale / 2).div_euclid(scale);
        clamp(rounded as i32)
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Why nothing was converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ResampleError {
    /// The input does not become a whole number of samples.
    #[error("the input does not become a whole number of samples; pass whole milliseconds")]
    PartialSample,
    /// The output is too short.
    #[error("lend room for at least {needed} samples")]
    OutputTooSmall {
        /// Samples that the input becomes.
        needed: usize,
    },
}

const FILTER_2: [i16; 2 * REACH * 2] = low_pass(2);
const FILTER_3: [i16; 2 * REACH * 3] = low_pass(3);
const FILTER_6: [i16; 2 * REACH * 6] = low_pass(6);

/// The prototype for a factor of `factor`. Its centre is tap `N / 2`; tap 0 is at the edge of
/// the window and all but zero.
const fn low_pass<const N: usize>(factor: usize) -> [i16; N] {
    let mut taps = [0_i16; N];
    let mut i = 0;
    while i < N {
        let crossings = (i as f64 - (N / 2) as f64) / factor as f64;
        let tap = sinc(crossings) * kaiser(crossings / REACH as f64);
        let scaled = tap * (1 << UNITY_BITS) as f64;
        taps[i] = (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i16;
        i += 1;
    }
    taps
}

/// sin(πx) / πx.
const fn sinc(x: f64) -> f64 {
    let magnitude = if x < 0.0 { -x } else { x };
    if magnitude < 1e-9 {
        return 1.0;
    }
    // Only the distance to the nearest crossing goes into the series, for its precision.
    let crossing = (magnitude + 0.5) as i64;
    let angle = (magnitude - crossing as f64) * core::f64::consts::PI;
    let mut term = angle;
    let mut sin = 0.0;
    let mut n = 1.0;
    while n < 24.0 {
        sin += term;
        term *= -angle * angle / ((n + 1.0) * (n + 2.0));
        n += 2.0;
    }
    let sin = if crossing % 2 == 0 { sin } else { -sin };
    sin / (magnitude * core::f64::consts::PI)
}

/// The Kaiser window at `x` from −1 to 1: I₀(β√(1−x²)) / I₀(β).
const fn kaiser(x: f64) -> f64 {
    const BETA: f64 = 8.0;
    let inside = 1.0 - x * x;
    bessel_i0_of_root(BETA * BETA * if inside > 0.0 { inside } else { 0.0 })
        / bessel_i0_of_root(BETA * BETA)
}

/// I₀(√y) as its power series Σ (y/4)ᵏ / k!².
const fn bessel_i0_of_root(y: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 0.0;
    let mut k = 1.0;
    while k < 40.0 {
        sum += term;
        term *= y / (4.0 * k * k);
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests;
