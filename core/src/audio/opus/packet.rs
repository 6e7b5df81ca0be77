//! The header of an Opus payload.

use crate::audio::codec::{DecodeError, FrameDuration, SampleRate};
use crate::room::Codec;
use crate::rtp::frame_samples;
use crate::time::Duration;

/// The properties of a payload that are known before it is decoded.
///
/// ```text
///   0 1 2 3 4   5   6 7
/// +-----------+---+-----+---------------- - - -
/// |  config   | s |  c  | frame lengths, frames
/// +-----------+---+-----+---------------- - - -
/// ```
///
/// `config` gives the mode and the duration of a frame, `s` is set for stereo, and `c` gives the number of frames: one,
/// two of equal size, two, or the number in the next byte ([RFC 6716 section
/// 3](https://www.rfc-editor.org/rfc/rfc6716#section-3)).
///
/// ```
/// use parlour_core::audio::opus::OpusPacket;
/// let packet = OpusPacket::parse(&[0x48, 0x40, 0])?;
/// assert_eq!(packet.duration().as_millis(), 20);
/// assert!(!packet.is_stereo() && packet.has_fec());
/// # Ok::<(), parlour_core::audio::codec::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OpusPacket {
    mode: Mode,
    stereo: bool,
    /// The duration of a frame, in units of 2.5 ms.
    frame_units: u8,
    frames: u8,
    fec: bool,
}

/// The shortest frame is 2.5 ms long, and the others are multiples of it.
const UNIT: Duration = Duration::from_micros(2_500);
const UNITS_IN_10_MS: u8 = 4;
const MAX_UNITS: u16 = FrameDuration::MAX_MS / 10 * UNITS_IN_10_MS as u16;

/// The layers of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum Mode {
    /// Linear prediction: speech. The only layer that carries FEC.
    Silk,
    /// SILK below 8 kHz and CELT above.
    Hybrid,
    /// A transform: music, or any audio at high rates.
    Celt,
}

impl OpusPacket {
    /// Reads the head of `payload`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Empty`], [`DecodeError::Malformed`] if the lengths of the frames do not add up to the payload,
    /// and [`DecodeError::FrameTooLong`]. The contents of the frames are not checked.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let (&toc, rest) = payload.split_first().ok_or(DecodeError::Empty)?;
        let (mode, frame_units) = match (toc >> 5, (toc >> 3) & 0x03) {
            (4.., size) => (Mode::Celt, 1 << size),
            (3, 0 | 2) => (Mode::Hybrid, UNITS_IN_10_MS),
            (3, _) => (Mode::Hybrid, 2 * UNITS_IN_10_MS),
            (_, 0) => (Mode::Silk, UNITS_IN_10_MS),
            (_, size) => (Mode::Silk, 2 * UNITS_IN_10_MS * size),
        };
        let stereo = toc & 0x04 != 0;
        let (frames, first_frame) = match toc & 0x03 {
            0 => (1, Some(rest)),
            1 => (2, Some(rest)),
            2 => (2, skip_lengths(rest, 1)),
            _ => {
                let (&count, rest) = rest.split_first().ok_or(DecodeError::Malformed)?;
                let frames = count & 0x3f;
                let rest = if count & 0x40 != 0 {
                    skip_padding_length(rest)
                } else {
                    Some(rest)
                };
                let variable = count & 0x80 != 0;
                let lengths = if variable {
                    frames.saturating_sub(1)
                } else {
                    0
                };
                (frames, rest.and_then(|rest| skip_lengths(rest, lengths)))
            }
        };
        // A payload of one byte holds its frames' length but not their audio (DTX).
        let first_frame = match (payload.len(), first_frame) {
            (1, _) => &[][..],
            (_, Some(frame)) => frame,
            (_, None) => return Err(DecodeError::Malformed),
        };
        let packet = Self {
            mode,
            stereo,
            frame_units,
            frames,
            fec: mode != Mode::Celt && silk_has_fec(first_frame, frame_units, stereo),
        };
        match packet.units() {
            0 => Err(DecodeError::Malformed),
            units if units > MAX_UNITS => Err(DecodeError::FrameTooLong),
            // The codec accepts some invalid lengths, which no depacketizer lets through.
            _ if frame_samples(Codec::Opus, payload).is_err() => Err(DecodeError::Malformed),
            _ => Ok(packet),
        }
    }

    /// The duration of the payload: 2.5 to 60 ms.
    pub fn duration(&self) -> Duration {
        UNIT * u32::from(self.units())
    }

    /// Samples in the payload when it is decoded to `rate`. At 48 kHz this is the step of the RTP timestamp.
    pub const fn samples(&self, rate: SampleRate) -> usize {
        rate.samples(10 * self.units()) / UNITS_IN_10_MS as usize
    }

    const fn units(&self) -> u16 {
        self.frame_units as u16 * self.frames as u16
    }

    /// Whether there are two channels.
    pub const fn is_stereo(&self) -> bool {
        self.stereo
    }

    /// Whether the payload repeats the frame before it, so that
    /// [`recover`](crate::audio::codec::AudioDecoder::recover) can use it.
    pub const fn has_fec(&self) -> bool {
        self.fec
    }

    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }
}

/// A SILK frame begins with one bit of voice activity for each 20 ms and one that announces redundancy, then the same
/// for the side channel ([RFC 6716 section 4.2.3](https://www.rfc-editor.org/rfc/rfc6716#section-4.2.3)). They are
/// coded with even odds, so that they are plain bits of the first byte.
fn silk_has_fec(frame: &[u8], frame_units: u8, stereo: bool) -> bool {
    let [first, _, ..] = *frame else {
        return false;
    };
    let activity_bits = frame_units.div_ceil(2 * UNITS_IN_10_MS);
    let mid = 0x80 >> activity_bits;
    let side = if stereo {
        mid >> (activity_bits + 1)
    } else {
        0
    };
    first & (mid | side) != 0
}

/// `data` after `count` frame lengths of one or two bytes each.
fn skip_lengths(mut data: &[u8], count: u8) -> Option<&[u8]> {
    for _ in 0..count {
        let (&first, rest) = data.split_first()?;
        data = if first < 252 { rest } else { rest.get(1..)? };
    }
    Some(data)
}

/// `data` after the length of the padding: bytes of 255 and one that is less.
fn skip_padding_length(data: &[u8]) -> Option<&[u8]> {
    let end = data.iter().position(|&byte| byte != 255)?;
    data.get(end + 1..)
}
