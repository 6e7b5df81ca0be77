//! Whether somebody speaks.

use std::fmt;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use crate::{RateError, samples};

/// What the neural network hears: 256 samples at 16 kHz.
const HZ: usize = 16_000;
const FRAME: usize = 256;
/// From this score on it is a voice.
const VOICE: f32 = 0.5;
/// After a voice, so many frames count as one, too: the quiet ends of words. 128 ms.
const HANGOVER: u8 = 8;

/// Finds voices in sound, and takes neither noise nor music for one.
///
/// It needs 16 to 26 ms of a voice to find it. A voice goes on for 128 ms after its last sound.
pub struct Detector {
    network: Box<earshot::Detector>,
    /// `None` for sound of 16 kHz.
    resampler: Option<Fft<f32>>,
    /// 10 ms, at both rates.
    input: Vec<f32>,
    output: Vec<f32>,
    frame: Vec<f32>,
    /// Frames for which a voice still counts.
    left: u8,
}

impl Detector {
    /// One for mono PCM of so many samples per second.
    ///
    /// # Errors
    /// [`RateError`]
    pub fn new(hz: u32) -> Result<Self, RateError> {
        let len = samples(hz)?;
        let fft = || {
            let window = WindowFunction::BlackmanHarris2;
            Fft::new_custom(hz as usize, HZ, len, 1, 1, window, FixedSync::Both)
        };
        let resampler = (hz as usize != HZ).then(fft).transpose();
        Ok(Self {
            network: earshot::Detector::default_boxed(),
            resampler: resampler.map_err(|_| RateError { hz })?,
            input: Vec::with_capacity(len),
            output: vec![0.0; HZ / 100],
            frame: Vec::with_capacity(FRAME),
            left: 0,
        })
    }

    /// Hears mono PCM of any length, and gives whether somebody speaks at its end.
    pub fn hear(&mut self, pcm: &[i16]) -> bool {
        for sample in pcm {
            self.input.push(f32::from(*sample) / 32_768.0);
            if self.input.len() == self.input.capacity() {
                self.hear_block();
            }
        }
        self.left > 0
    }

    /// Takes 10 ms of input.
    fn hear_block(&mut self) {
        if self.resample().is_none() {
            // The lengths fit, so that this cannot be; silence is no voice.
            self.output.fill(0.0);
        }
        self.input.clear();
        for sample in &self.output {
            self.frame.push(sample.clamp(-1.0, 1.0));
            if self.frame.len() == FRAME {
                let is_voice = self.network.predict_f32(&self.frame) >= VOICE;
                self.left = if is_voice {
                    HANGOVER
                } else {
                    self.left.saturating_sub(1)
                };
                self.frame.clear();
            }
        }
    }

    fn resample(&mut self) -> Option<()> {
        let Some(resampler) = &mut self.resampler else {
            self.output.copy_from_slice(&self.input);
            return Some(());
        };
        let (from, to) = (self.input.len(), self.output.len());
        let input = InterleavedSlice::new(&self.input[..], 1, from).ok()?;
        let mut output = InterleavedSlice::new_mut(&mut self.output[..], 1, to).ok()?;
        resampler
            .process_into_buffer(&input, &mut output, None)
            .ok()?;
        Some(())
    }
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector")
            .field("is_voice", &(self.left > 0))
            .finish_non_exhaustive()
    }
}
