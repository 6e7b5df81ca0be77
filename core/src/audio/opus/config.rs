//! The settings of an Opus encoder.

use crate::audio::codec::{FrameDuration, SampleRate};
use core::ops::RangeInclusive;
use thiserror::Error;

/// Bytes that any payload of this crate's Opus encoders fits in, so that it shares a datagram
/// with its headers on every path.
pub const MAX_PAYLOAD: usize = 1000;

/// Encoder settings. The defaults suit speech from a small device.
///
/// ```
/// use parlour_core::audio::codec::SampleRate;
/// use parlour_core::audio::opus::EncoderConfig;
///
/// let desktop = EncoderConfig {
///     sample_rate: SampleRate::Hz48000,
///     bitrate: 32_000,
///     dtx: true,
///     ..EncoderConfig::default()
/// };
/// assert_eq!(desktop.expected_loss, 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EncoderConfig {
    /// The rate of the PCM. Default: 16 kHz.
    pub sample_rate: SampleRate,
    /// Duration of one payload. Default: 20 ms.
    pub frame: FrameDuration,
    /// Mean size of the payloads in bits per second, without packet headers. Default: 24,000.
    pub bitrate: u32,
    /// Work spent on quality, 0 (least) to 10. Default: 5.
    pub complexity: u8,
    /// Expected packet loss, in percent. Above 0, each payload has a coarse copy of the previous frame within the same
    /// bit rate (in-band FEC), for [`AudioDecoder::recover`](crate::audio::codec::AudioDecoder::recover). Default: 0.
    pub expected_loss: u8,
    /// Whether silence is omitted (discontinuous transmission). Default: no.
    pub dtx: bool,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            sample_rate: SampleRate::Hz16000,
            frame: FrameDuration::Ms20,
            bitrate: 24_000,
            complexity: 5,
            expected_loss: 0,
            dtx: false,
        }
    }
}

/// Why an encoder refused its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EncoderConfigError {
    /// The encoder does not take this sample rate.
    #[error("this encoder does not take this sample rate; resample, or use another encoder")]
    SampleRate,
    /// The bit rate is outside of the encoder's supported range.
    #[error("choose a bit rate from {min} to {max} b/s")]
    Bitrate {
        /// The lowest in bits per second.
        min: u32,
        /// The highest in bits per second.
        max: u32,
    },
    /// The complexity is above 10.
    #[error("choose a complexity from 0 to 10")]
    Complexity,
    /// The expected loss is above 100 %.
    #[error("expected loss is a percentage, 0 to 100")]
    ExpectedLoss,
    /// The encoder has no discontinuous transmission.
    #[error("this encoder has no DTX; leave it off, or use the full-band encoder")]
    Dtx,
    /// The codec refused for another reason.
    #[error("the codec refused these settings")]
    Codec,
}

pub(super) fn check_bitrate(
    bitrate: u32,
    range: RangeInclusive<u32>,
) -> Result<(), EncoderConfigError> {
    if range.contains(&bitrate) {
        Ok(())
    } else {
        Err(EncoderConfigError::Bitrate {
            min: *range.start(),
            max: *range.end(),
        })
    }
}

pub(super) const fn check_complexity(complexity: u8) -> Result<(), EncoderConfigError> {
    if complexity <= 10 {
        Ok(())
    } else {
        Err(EncoderConfigError::Complexity)
    }
}

pub(super) const fn check_expected_loss(percent: u8) -> Result<(), EncoderConfigError> {
    if percent <= 100 {
        Ok(())
    } else {
        Err(EncoderConfigError::ExpectedLoss)
    }
}
