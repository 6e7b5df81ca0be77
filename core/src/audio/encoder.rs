//! Encoding of a stream in its chosen codec: the counterpart of [`Decoder`](super::decoder::Decoder).

use core::convert::Infallible;

use super::codec::{AdaptiveEncoder, AudioEncoder, EncodeError, Encoded, SampleRate};
use super::g711::G711Encoder;
use crate::time::Instant;

/// Encodes with G.711 or with `O`: `opus::Adaptive` around an encoder (feature `opus`), or [`Infallible`] on a device
/// without Opus.
#[derive(Debug)]
pub enum Encoder<O> {
    /// G.711.
    G711(G711Encoder),
    /// Opus.
    Opus(O),
}

impl<O: AudioEncoder> AudioEncoder for Encoder<O> {
    fn sample_rate(&self) -> SampleRate {
        match self {
            Self::G711(encoder) => encoder.sample_rate(),
            Self::Opus(encoder) => encoder.sample_rate(),
        }
    }

    fn frame_samples(&self) -> usize {
        match self {
            Self::G711(encoder) => encoder.frame_samples(),
            Self::Opus(encoder) => encoder.frame_samples(),
        }
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<Encoded, EncodeError> {
        match self {
            Self::G711(encoder) => encoder.encode(pcm, out),
            Self::Opus(encoder) => encoder.encode(pcm, out),
        }
    }
}

impl<O: AdaptiveEncoder> AdaptiveEncoder for Encoder<O> {
    fn adapt(&mut self, now: Instant, loss: impl FnOnce() -> Option<u8>) {
        if let Self::Opus(encoder) = self {
            encoder.adapt(now, loss);
        }
    }
}

impl AudioEncoder for Infallible {
    fn sample_rate(&self) -> SampleRate {
        match *self {}
    }

    fn frame_samples(&self) -> usize {
        match *self {}
    }

    fn encode(&mut self, _pcm: &[i16], _out: &mut [u8]) -> Result<Encoded, EncodeError> {
        match *self {}
    }
}

impl AdaptiveEncoder for Infallible {}
