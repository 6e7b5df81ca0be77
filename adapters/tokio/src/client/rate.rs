//! Sample rates of the application, and their conversion from and to the codecs' rates.

use std::fmt;
use std::time::Duration;

use parlour_core::audio::codec;
use parlour_core::audio::resample::Resampler as CoreResampler;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Samples in a second of the PCM that an application writes or reads.
///
/// ```
/// use parlour_tokio::SampleRate;
/// assert_eq!(SampleRate::from_hz(44_100), Some(SampleRate::Hz44100));
/// assert_eq!(SampleRate::Hz44100.samples(20), 882);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SampleRate {
    /// 8 kHz: telephones.
    Hz8000,
    /// 16 kHz: what speech recognition wants.
    Hz16000,
    /// 24 kHz: what speech synthesis gives.
    Hz24000,
    /// 32 kHz.
    Hz32000,
    /// 44.1 kHz: music files, and some sound cards.
    Hz44100,
    /// 48 kHz: most sound cards.
    Hz48000,
}

impl SampleRate {
    /// The rate of `hz` samples per second, if it is one of the six.
    pub const fn from_hz(hz: u32) -> Option<Self> {
        match hz {
            8_000 => Some(Self::Hz8000),
            16_000 => Some(Self::Hz16000),
            24_000 => Some(Self::Hz24000),
            32_000 => Some(Self::Hz32000),
            44_100 => Some(Self::Hz44100),
            48_000 => Some(Self::Hz48000),
            _ => None,
        }
    }

    /// Samples per second.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz16000 => 16_000,
            Self::Hz24000 => 24_000,
            Self::Hz32000 => 32_000,
            Self::Hz44100 => 44_100,
            Self::Hz48000 => 48_000,
        }
    }

    /// Whole samples in `ms` milliseconds.
    pub const fn samples(self, ms: u16) -> usize {
        self.hz() as usize * ms as usize / 1_000
    }

    /// The rate at which sound of this rate is decoded.
    pub(super) const fn decoded(self) -> codec::SampleRate {
        match self {
            Self::Hz8000 | Self::Hz16000 => codec::SampleRate::Hz16000,
            Self::Hz24000 => codec::SampleRate::Hz24000,
            Self::Hz32000 | Self::Hz44100 | Self::Hz48000 => codec::SampleRate::Hz48000,
        }
    }

    /// The rate at which sound of this rate is handed to a talker.
    pub(super) const fn encoded(self) -> codec::SampleRate {
        match self {
            Self::Hz8000 => codec::SampleRate::Hz8000,
            rate => rate.decoded(),
        }
    }
}

impl From<codec::SampleRate> for SampleRate {
    fn from(rate: codec::SampleRate) -> Self {
        match rate {
            codec::SampleRate::Hz8000 => Self::Hz8000,
            codec::SampleRate::Hz16000 => Self::Hz16000,
            codec::SampleRate::Hz24000 => Self::Hz24000,
            codec::SampleRate::Hz48000 => Self::Hz48000,
        }
    }
}

/// The piece converted at a time. At all rates it is a whole number of samples.
const BLOCK_MS: u16 = 10;

/// From one rate to another, in blocks of 10 ms.
struct Resampler {
    method: Method,
    input: Vec<i16>,
    output: Vec<i16>,
    wide_input: Vec<f32>,
    wide_output: Vec<f32>,
}

enum Method {
    Core(Box<CoreResampler>),
    Fft(Box<Fft<f32>>),
}

impl Resampler {
    /// `None` where nothing is to be converted.
    fn new(from: SampleRate, to: SampleRate) -> Option<Self> {
        let core = |rate: SampleRate| {
            [rate.decoded(), rate.encoded()]
                .into_iter()
                .find(|core| core.hz() == rate.hz())
        };
        let method = match (core(from), core(to)) {
            (Some(from), Some(to)) if from == to => return None,
            (Some(from), Some(to)) => Method::Core(Box::new(CoreResampler::new(from, to))),
            _ => {
                let (from_hz, to_hz) = (from.hz() as usize, to.hz() as usize);
                let window = WindowFunction::BlackmanHarris2;
                let chunk = from.samples(BLOCK_MS);
                let fft = Fft::new_custom(from_hz, to_hz, chunk, 1, 1, window, FixedSync::Both);
                // It refuses rates of zero only.
                Method::Fft(Box::new(fft.ok()?))
            }
        };
        Some(Self {
            method,
            input: Vec::with_capacity(from.samples(BLOCK_MS)),
            output: vec![0; to.samples(BLOCK_MS)],
            wide_input: vec![0.0; from.samples(BLOCK_MS)],
            wide_output: vec![0.0; to.samples(BLOCK_MS)],
        })
    }

    fn block(&self) -> usize {
        self.wide_input.len()
    }

    /// Converts `input`, which is one block, to `output`, which becomes one.
    fn convert(&mut self) {
        let converted = match &mut self.method {
            Method::Core(core) => core.process(&self.input, &mut self.output).is_ok(),
            Method::Fft(fft) => {
                for (wide, sample) in self.wide_input.iter_mut().zip(&self.input) {
                    *wide = f32::from(*sample);
                }
                let (from, to) = (self.wide_input.len(), self.wide_output.len());
                let input = InterleavedSlice::new(&self.wide_input[..], 1, from);
                let output = InterleavedSlice::new_mut(&mut self.wide_output[..], 1, to);
                match (input, output) {
                    (Ok(input), Ok(mut output)) => {
                        fft.process_into_buffer(&input, &mut output, None).is_ok()
                    }
                    _ => false,
                }
            }
        };
        if !converted {
            // The lengths fit, so that this cannot be; if it were, silence is right.
            self.output.fill(0);
        } else if let Method::Fft(_) = self.method {
            for (sample, wide) in self.output.iter_mut().zip(&self.wide_output) {
                // Saturates.
                *sample = wide.round() as i16;
            }
        }
        self.input.clear();
    }
}

/// Decoded sound, at the rate at which it is read.
pub(super) struct Output {
    rate: SampleRate,
    resampler: Option<Resampler>,
    /// The number of the resampler's output samples already read.
    read: usize,
}

impl Output {
    pub(super) fn new(rate: SampleRate) -> Self {
        let resampler = Resampler::new(rate.decoded().into(), rate);
        let read = resampler
            .as_ref()
            .map_or(0, |resampler| resampler.output.len());
        Self {
            rate,
            resampler,
            read,
        }
    }

    /// Fills `pcm` with the output of `pull`, which is at the rate of the decoder, and is told how much later than the
    /// first sample of `pcm` it is played.
    pub(super) fn fill(&mut self, pcm: &mut [i16], mut pull: impl FnMut(Duration, &mut [i16])) {
        let Some(resampler) = &mut self.resampler else {
            pull(Duration::ZERO, pcm);
            return;
        };
        let (whole, mut rest) = (pcm.len(), pcm);
        while !rest.is_empty() {
            if self.read >= resampler.output.len() {
                resampler.input.resize(resampler.block(), 0);
                let micros = (whole - rest.len()) as u64 * 1_000_000 / u64::from(self.rate.hz());
                pull(Duration::from_micros(micros), &mut resampler.input);
                resampler.convert();
                self.read = 0;
            }
            let ready = resampler.output.get(self.read..).unwrap_or_default();
            let len = ready.len().min(rest.len());
            let (filled, later) = rest.split_at_mut(len);
            filled.copy_from_slice(&ready[..len]);
            self.read += len;
            rest = later;
        }
    }
}

/// Sound as it is written, at the rate of the talker.
pub(super) struct Input {
    rate: SampleRate,
    resampler: Option<Resampler>,
}

impl Input {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            resampler: Resampler::new(rate, rate.encoded().into()),
        }
    }

    pub(super) fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Hands `pcm` to `take` at the rate of the talker. Less than 10 ms may stay here for the next time.
    pub(super) fn feed<E>(
        &mut self,
        pcm: &[i16],
        mut take: impl FnMut(&[i16]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(resampler) = &mut self.resampler else {
            return take(pcm);
        };
        let mut rest = pcm;
        while !rest.is_empty() {
            let missing = resampler.block() - resampler.input.len();
            let (piece, later) = rest.split_at(missing.min(rest.len()));
            resampler.input.extend_from_slice(piece);
            rest = later;
            if resampler.input.len() == resampler.block() {
                resampler.convert();
                take(&resampler.output)?;
            }
        }
        Ok(())
    }

    /// Forgets what stayed here.
    pub(super) fn clear(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.input.clear();
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
