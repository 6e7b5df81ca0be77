//! The length of an encoded audio frame, derived from its bytes alone.

use thiserror::Error;

use super::opus;
use crate::room::Codec;

/// The longest audio in one packet, ms: Opus's limit (RFC 6716, requirement R5), applied also to G.711 so that every
/// receiver's buffers have the same bound.
pub const MAX_FRAME_MILLIS: u32 = 120;

/// Why bytes are not an audio frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// No bytes. For silence, send nothing and let time pass.
    #[error("the frame is empty: for silence, send no packet")]
    Empty,
    /// The codec is a video codec.
    #[error("the codec is not an audio codec")]
    NotAudio,
    /// Not an Opus packet as RFC 6716 section 3 has it.
    #[error("the frame is not a well-formed Opus packet")]
    Malformed,
    /// More than [`MAX_FRAME_MILLIS`].
    #[error("the frame is longer than 120 ms: send shorter frames")]
    TooLong,
}

/// Samples per channel in `payload`, in the RTP clock of `codec`
/// ([`Codec::clock_rate`]: 48 kHz for Opus, 8 kHz for G.711).
///
/// ```
/// use parlour_core::{room::Codec, rtp::frame_samples};
/// assert_eq!(frame_samples(Codec::Pcmu, &[0xFF; 160]), Ok(160)); // 20 ms
/// assert_eq!(frame_samples(Codec::Opus, &[0x48, 1, 2]), Ok(960)); // SILK wideband, 20 ms
/// ```
///
/// # Errors
/// [`FrameError`] if `payload` cannot be a frame of `codec`.
pub fn frame_samples(codec: Codec, payload: &[u8]) -> Result<u32, FrameError> {
    match codec {
        Codec::Opus => opus::packet_samples(payload),
        Codec::Pcmu | Codec::Pcma => match u32::try_from(payload.len()) {
            Ok(0) => Err(FrameError::Empty),
            Ok(samples) if samples <= codec.clock_rate() / 1000 * MAX_FRAME_MILLIS => Ok(samples),
            _ => Err(FrameError::TooLong),
        },
        Codec::Vp8 | Codec::H264 | Codec::Jpeg => Err(FrameError::NotAudio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_is_a_byte_per_sample_up_to_120_ms() {
        let bytes = [0; 961];
        for codec in [Codec::Pcmu, Codec::Pcma] {
            assert_eq!(frame_samples(codec, &[]), Err(FrameError::Empty));
            assert_eq!(frame_samples(codec, &bytes[..1]), Ok(1));
            assert_eq!(frame_samples(codec, &bytes[..960]), Ok(960));
            assert_eq!(frame_samples(codec, &bytes), Err(FrameError::TooLong));
        }
    }

    #[test]
    fn video_is_no_sound() {
        for codec in [Codec::Vp8, Codec::H264, Codec::Jpeg] {
            assert_eq!(frame_samples(codec, &[0; 10]), Err(FrameError::NotAudio));
        }
    }
}
