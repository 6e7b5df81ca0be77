//! An encoder with its adaptation.

use super::{Adaptation, Adapted, OpusEncoder};
use crate::audio::codec::{AdaptiveEncoder, AudioEncoder, EncodeError, Encoded, SampleRate};
use crate::time::Instant;

/// An Opus encoder whose settings can change between two frames.
pub trait Adjustable: AudioEncoder {
    /// Changes the settings from the next frame on. Unsupported settings stay unchanged.
    fn adjust(&mut self, to: Adapted);
}

impl Adjustable for OpusEncoder {
    fn adjust(&mut self, to: Adapted) {
        let _ = self.set_bitrate(to.bitrate);
        let _ = self.set_expected_loss(to.expected_loss);
    }
}

#[cfg(feature = "opus-fullband")]
impl Adjustable for super::FullbandEncoder {
    fn adjust(&mut self, to: Adapted) {
        let _ = self.set_bitrate(to.bitrate);
        let _ = self.set_expected_loss(to.expected_loss);
    }
}

/// An encoder that follows the loss of its packets by its [`Adaptation`].
#[derive(Debug)]
pub struct Adaptive<E> {
    encoder: E,
    adaptation: Adaptation,
    redundancy: bool,
}

impl<E> Adaptive<E> {
    /// `encoder` with the settings of `adaptation`; without `redundancy` only the bit rate is adapted.
    pub const fn new(encoder: E, adaptation: Adaptation, redundancy: bool) -> Self {
        Self {
            encoder,
            adaptation,
            redundancy,
        }
    }
}

impl<'e> Adaptive<&'e mut OpusEncoder> {
    /// A lent encoder. Its bit rate stays high enough for redundancy.
    pub fn lent(encoder: &'e mut OpusEncoder) -> Self {
        let least = OpusEncoder::MIN_FEC_BITRATE;
        let adaptation = Adaptation::not_below(least, encoder.bitrate());
        Self::new(encoder, adaptation, true)
    }
}

impl<E: AudioEncoder> AudioEncoder for Adaptive<E> {
    fn sample_rate(&self) -> SampleRate {
        self.encoder.sample_rate()
    }

    fn frame_samples(&self) -> usize {
        self.encoder.frame_samples()
    }

    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<Encoded, EncodeError> {
        self.encoder.encode(pcm, out)
    }
}

impl<E: Adjustable> AdaptiveEncoder for Adaptive<E> {
    fn adapt(&mut self, now: Instant, loss: impl FnOnce() -> Option<u8>) {
        let Some(mut adapted) = self.adaptation.poll(now, loss) else {
            return;
        };
        if !self.redundancy {
            adapted.expected_loss = 0;
        }
        self.encoder.adjust(adapted);
    }
}

impl<E: Adjustable> Adjustable for &mut E {
    fn adjust(&mut self, to: Adapted) {
        (**self).adjust(to);
    }
}
