//! Any rate to any other.

use std::fmt;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// One channel from one rate to another, without a delay: sample 0 of the output is sample 0 of the input.
///
/// ```
/// let mut resampler = parlour_files::Resampler::new(22_050, 24_000).expect("the rates differ");
/// let (mut input, mut output) = (vec![0; 22_050], Vec::new());
/// while input.len() >= resampler.wants() {
///     let rest = input.split_off(resampler.wants());
///     resampler.convert(&input, &mut output);
///     input = rest;
/// }
/// while resampler.convert(&input, &mut output) {
///     input.clear();
/// }
/// assert_eq!(output.len(), 24_000);
/// ```
pub struct Resampler {
    fft: Fft<f32>,
    from: u64,
    to: u64,
    /// Samples of the output that stand for nothing.
    delay: usize,
    taken: u64,
    given: u64,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Resampler {
    /// From `from` to `to` samples per second; `None` where nothing is to be converted.
    pub fn new(from: u32, to: u32) -> Option<Self> {
        if from == to {
            return None;
        }
        let chunk = from as usize / 20;
        // It refuses rates of zero only, which nothing here has.
        let fft = Fft::new(from as usize, to as usize, chunk, 1, FixedSync::Both).ok()?;
        Some(Self {
            from: from.into(),
            to: to.into(),
            delay: fft.output_delay(),
            taken: 0,
            given: 0,
            input: vec![0.0; fft.input_frames_next()],
            output: vec![0.0; fft.output_frames_next()],
            fft,
        })
    }

    /// How many samples [`convert`](Self::convert) takes at a time.
    pub fn wants(&self) -> usize {
        self.input.len()
    }

    /// Converts what it [wants](Self::wants), or less, at the end of the sound, and appends what comes of it. `false` when all is
    /// given; until then, ask with nothing.
    pub fn convert(&mut self, pcm: &[i16], out: &mut Vec<i16>) -> bool {
        self.taken += pcm.len() as u64;
        let owed = (self.taken * self.to).div_ceil(self.from) - self.given;
        let is_end = pcm.len() < self.input.len();
        if is_end && owed == 0 {
            return false;
        }
        self.input.fill(0.0);
        for (wide, sample) in self.input.iter_mut().zip(pcm) {
            *wide = f32::from(*sample);
        }
        let (from, to) = (self.input.len(), self.output.len());
        let input = InterleavedSlice::new(&self.input[..], 1, from);
        let output = InterleavedSlice::new_mut(&mut self.output[..], 1, to);
        let converted = match (input, output) {
            (Ok(input), Ok(mut output)) => self
                .fft
                .process_into_buffer(&input, &mut output, None)
                .is_ok(),
            _ => false,
        };
        if !converted {
            // The lengths are those that the resampler has asked for, so that this cannot be.
            self.output.fill(0.0);
        }
        let skipped = self.delay.min(to);
        self.delay -= skipped;
        let most = if is_end { owed as usize } else { to };
        // Saturates.
        let made = self.output[skipped..]
            .iter()
            .map(|wide| wide.round() as i16);
        let before = out.len();
        out.extend(made.take(most));
        self.given += (out.len() - before) as u64;
        true
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}
