//! An encoder with its adaptation.

use super::{Adaptation, Adapted, OpusEncoder};
use crate::audio::codec::{AdaptiveEncoder, AudioEncoder, EncodeError, Encoded, SampleRate};
use crate::time::Instant;

/// An Opus encoder that can be set anew between two frames.
pub trait Adjustable: AudioEncoder {
    /// Sets it, from the next frame on. What it does not do, it leaves as it is.
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

/// An encoder that follows the loss of its packets, as its [`Adaptation`] says.
#[derive(Debug)]
pub struct Adaptive<E> {
    encoder: E,
    adaptation: Adaptation,
    redundancy: bool,
}

impl<E> Adaptive<E> {
    /// `encoder`, which is set as `adaptation` says; without `redundancy` to other bit rates alone.
    pub const fn new(encoder: E, adaptation: Adaptation, redundancy: bool) -> Self {
        Self {
            encoder,
            adaptation,
            redundancy,
        }
    }
}

impl<'e> Adaptive<&'e mut OpusEncoder> {
    /// An encoder that is lent. Its bit rate stays where it can make redundancy.
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
