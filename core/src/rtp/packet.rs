//! One RTP packet as bytes, [RFC 3550 section 5.1](https://www.rfc-editor.org/rfc/rfc3550#section-5.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                           timestamp                           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                             SSRC                              |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                  CSRC: CC times, 0 to 15                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | if X: extension's profile     | its length in 32-bit words    |
//! |                        its elements ...                       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   payload ...                 | if P: padding, its last byte  |
//! |                               | tells how many bytes it has   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! [`RtpPacket`] reads such bytes where they lie. [`RtpHeader`] writes them: without padding, and with no extension but
//! the audio level of sound or the [`PictureTag`] of video, since Parlour sends nothing else.

use thiserror::Error;

use super::extension::{ExtensionElements, ONE_BYTE_PROFILE};
use super::level::{AUDIO_LEVEL_ID, AudioLevel};
use super::picture::{PICTURE_TAG_ID, PictureTag};

/// How many contributing sources one packet can name.
pub const MAX_CSRCS: usize = 15;

const VERSION: u8 = 2;
const FIXED_LEN: usize = 12;
/// One element with its header, padded to the word that the extension's length counts in.
type Element = [u8; 4];
/// Four bytes of extension header, and one element.
const EXTENSION_LEN: usize = 4 + size_of::<Element>();

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RtpParseError {
    /// Fewer bytes than the header says that it has.
    #[error("not RTP: the bytes end before the header does")]
    Truncated,
    /// Another version than 2.
    #[error("not RTP: the version is not 2")]
    Version,
    /// The padding has no length, or one beyond the payload.
    #[error("not RTP: the padding is zero or longer than the payload")]
    Padding,
}

/// An RTP packet, read in place.
///
/// ```
/// use parlour_core::rtp::{AudioLevel, RtpHeader, RtpPacket};
///
/// let header = RtpHeader {
///     marker: true,
///     payload_type: 111,
///     sequence: 7,
///     timestamp: 960,
///     ssrc: 0xCAFE,
///     csrcs: &[0xBEEF],
///     audio_level: Some(AudioLevel { voice: true, level: 30 }),
/// };
/// let mut bytes = [0; 64];
/// let len = header.write(b"sound", &mut bytes)?;
///
/// let packet = RtpPacket::parse(&bytes[..len])?;
/// assert_eq!(packet.sequence(), 7);
/// assert_eq!(packet.csrcs().next(), Some(0xBEEF));
/// assert_eq!(packet.audio_level(), header.audio_level);
/// assert_eq!(packet.payload(), b"sound");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    marker: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    csrcs: &'a [u8],
    extension: Option<(u16, &'a [u8])>,
    payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Reads `bytes`, which must be exactly one packet.
    ///
    /// # Errors
    /// [`RtpParseError`] if the bytes are no RTP packet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpParseError> {
        let (fixed, rest) = bytes
            .split_first_chunk::<FIXED_LEN>()
            .ok_or(RtpParseError::Truncated)?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *fixed;
        if flags >> 6 != VERSION {
            return Err(RtpParseError::Version);
        }
        let (csrcs, rest) = rest
            .split_at_checked(usize::from(flags & 0x0F) * 4)
            .ok_or(RtpParseError::Truncated)?;
        let (extension, rest) = if flags & 0x10 != 0 {
            let (&[p0, p1, l0, l1], rest) =
                rest.split_first_chunk().ok_or(RtpParseError::Truncated)?;
            let (elements, rest) = rest
                .split_at_checked(usize::from(u16::from_be_bytes([l0, l1])) * 4)
                .ok_or(RtpParseError::Truncated)?;
            (Some((u16::from_be_bytes([p0, p1]), elements)), rest)
        } else {
            (None, rest)
        };
        let payload = if flags & 0x20 != 0 {
            without_padding(rest).ok_or(RtpParseError::Padding)?
        } else {
            rest
        };
        Ok(Self {
            marker: kind & 0x80 != 0,
            payload_type: kind & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
            csrcs,
            extension,
            payload,
        })
    }

    /// The marker bit: for sound, the start of a talkspurt; for video, the end of a picture.
    pub const fn marker(&self) -> bool {
        self.marker
    }

    /// The payload type, 0 to 127; see [`Codec::payload_type`](crate::room::Codec::payload_type).
    pub const fn payload_type(&self) -> u8 {
        self.payload_type
    }

    /// The packet's number in its flow, which wraps.
    pub const fn sequence(&self) -> u16 {
        self.sequence
    }

    /// When the payload's first sample was taken, in the flow's clock, which wraps.
    pub const fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// The SSRC of the flow.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The flows that contribute to this one: in a slot, the SSRC of the stream heard in it.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = u32> + Clone + use<'a> {
        self.contributors().iter()
    }

    /// The same as a value to store.
    pub fn contributors(&self) -> Contributors<'a> {
        let (words, _) = self.csrcs.as_chunks();
        Contributors(words)
    }

    /// The header extension as it stands: its profile, and its bytes (a multiple of four).
    pub const fn extension(&self) -> Option<(u16, &'a [u8])> {
        self.extension
    }

    /// The elements of the header extension; none if there is no extension of RFC 8285's kind.
    pub fn extension_elements(&self) -> ExtensionElements<'a> {
        let (profile, bytes) = self.extension.unwrap_or((ONE_BYTE_PROFILE, &[]));
        ExtensionElements::new(profile, bytes)
    }

    /// The bytes of the first extension element with `id`.
    pub fn extension_element(&self, id: u8) -> Option<&'a [u8]> {
        self.extension_elements()
            .find_map(|(found, bytes)| (found == id).then_some(bytes))
    }

    /// The audio level, if the publisher sent it.
    pub fn audio_level(&self) -> Option<AudioLevel> {
        match self.extension_element(AUDIO_LEVEL_ID) {
            Some(&[byte]) => Some(AudioLevel::from_byte(byte)),
            _ => None,
        }
    }

    /// What a packet of video says of its picture, if its publisher sent it.
    pub fn picture_tag(&self) -> Option<PictureTag> {
        let bytes = self.extension_element(PICTURE_TAG_ID)?;
        Some(PictureTag::from_bytes(*bytes.as_array()?))
    }

    /// The encoded media, without padding. May be empty.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// `bytes` without the padding whose length is the last byte; `None` if that length is invalid.
///
/// RTP and RTCP use the same padding.
pub(super) fn without_padding(bytes: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*bytes.last()?);
    if padding == 0 {
        return None;
    }
    bytes.get(..bytes.len().checked_sub(padding)?)
}

/// Why an RTP packet was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RtpWriteError {
    /// The output has too little room; nothing was written.
    #[error("the output is too small: lend at least {needed} bytes")]
    BufferTooSmall {
        /// Bytes that the packet takes.
        needed: usize,
    },
    /// The payload type has more than seven bits.
    #[error("the payload type must be at most 127")]
    PayloadType,
    /// More than [`MAX_CSRCS`] contributing sources.
    #[error("a packet can name at most 15 contributing sources: leave out the quietest")]
    TooManyCsrcs,
}

/// The streams that contribute to one packet's audio: one in a slot, several in a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Contributors<'a>(&'a [[u8; 4]]);

impl<'a> Contributors<'a> {
    /// Their SSRCs, the loudest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> + Clone + use<'a> {
        self.0.iter().map(|word| u32::from_be_bytes(*word))
    }
}

/// The header of a packet to be sent.
///
/// Borrows its CSRCs, so that a forwarder's header is a few words on the stack; see
/// [`RtpPacket`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader<'a> {
    /// For sound, the start of a talkspurt; for video, the end of a picture.
    pub marker: bool,
    /// The payload type, at most 127.
    pub payload_type: u8,
    /// The packet's number in its flow.
    pub sequence: u16,
    /// When the payload's first sample was taken, in the flow's clock.
    pub timestamp: u32,
    /// The SSRC of the flow.
    pub ssrc: u32,
    /// The flows that contribute to this one, at most [`MAX_CSRCS`].
    pub csrcs: &'a [u32],
    /// The audio level.
    pub audio_level: Option<AudioLevel>,
}

impl RtpHeader<'_> {
    /// Bytes that the header takes.
    pub const fn header_len(&self) -> usize {
        self.len_with(self.audio_level.is_some())
    }

    /// Bytes that the header takes with the tag of a picture.
    pub const fn picture_header_len(&self) -> usize {
        self.len_with(true)
    }

    /// Writes header and `payload` to the start of `out`; returns how many bytes that took.
    ///
    /// # Errors
    /// [`RtpWriteError`] if the header is invalid, or `out` is too small for it and the payload; `out` is then
    /// unchanged.
    pub fn write(&self, payload: &[u8], out: &mut [u8]) -> Result<usize, RtpWriteError> {
        self.write_with(self.level_element(), payload, out)
    }

    /// Writes only the header, of [`header_len`](Self::header_len) bytes, to the start of `out`,
    /// for a payload that already lies or will lie behind it. Returns the header's length.
    ///
    /// # Errors
    /// [`RtpWriteError`] if the header is invalid, or `out` is too small for it; `out` is then unchanged.
    pub fn write_header(&self, out: &mut [u8]) -> Result<usize, RtpWriteError> {
        self.write_header_with(self.level_element(), out)
    }

    /// [`write`](Self::write) for a packet of video: with `tag` in the place of an audio level.
    ///
    /// # Errors
    /// As those of [`write`](Self::write).
    pub fn write_picture(
        &self,
        tag: PictureTag,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, RtpWriteError> {
        self.write_with(Some(tag_element(tag)), payload, out)
    }

    /// [`write_header`](Self::write_header) for a packet of video: of
    /// [`picture_header_len`](Self::picture_header_len) bytes, with `tag` in the place of an audio level.
    ///
    /// # Errors
    /// As those of [`write_header`](Self::write_header).
    pub fn write_picture_header(
        &self,
        tag: PictureTag,
        out: &mut [u8],
    ) -> Result<usize, RtpWriteError> {
        self.write_header_with(Some(tag_element(tag)), out)
    }

    const fn len_with(&self, has_element: bool) -> usize {
        let extension = if has_element { EXTENSION_LEN } else { 0 };
        FIXED_LEN + size_of_val(self.csrcs) + extension
    }

    fn level_element(&self) -> Option<Element> {
        let level = self.audio_level?;
        Some([AUDIO_LEVEL_ID << 4, level.to_byte(), 0, 0])
    }

    fn write_with(
        &self,
        element: Option<Element>,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, RtpWriteError> {
        let header_len = self.len_with(element.is_some());
        let needed = header_len.saturating_add(payload.len());
        let too_small = RtpWriteError::BufferTooSmall { needed };
        let out = out.get_mut(..needed).ok_or(too_small)?;
        self.write_header_with(element, out)?;
        let body = out.get_mut(header_len..);
        body.filter(|body| body.len() == payload.len())
            .ok_or(too_small)?
            .copy_from_slice(payload);
        Ok(needed)
    }

    fn write_header_with(
        &self,
        element: Option<Element>,
        out: &mut [u8],
    ) -> Result<usize, RtpWriteError> {
        if self.payload_type > 0x7F {
            return Err(RtpWriteError::PayloadType);
        }
        let csrc_count = match u8::try_from(self.csrcs.len()) {
            Ok(count) if usize::from(count) <= MAX_CSRCS => count,
            _ => return Err(RtpWriteError::TooManyCsrcs),
        };
        let needed = self.len_with(element.is_some());
        let too_small = RtpWriteError::BufferTooSmall { needed };
        let out = out.get_mut(..needed).ok_or(too_small)?;

        let (fixed, rest) = out.split_first_chunk_mut::<FIXED_LEN>().ok_or(too_small)?;
        let flags = VERSION << 6 | u8::from(element.is_some()) << 4 | csrc_count;
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [r0, r1, r2, r3] = self.ssrc.to_be_bytes();
        *fixed = [
            flags,
            u8::from(self.marker) << 7 | self.payload_type,
            s0,
            s1,
            t0,
            t1,
            t2,
            t3,
            r0,
            r1,
            r2,
            r3,
        ];
        let (csrcs, extension) = rest
            .split_at_mut_checked(size_of_val(self.csrcs))
            .ok_or(too_small)?;
        for (word, csrc) in csrcs.as_chunks_mut().0.iter_mut().zip(self.csrcs) {
            *word = csrc.to_be_bytes();
        }
        if let Some([e0, e1, e2, e3]) = element {
            let [p0, p1] = ONE_BYTE_PROFILE.to_be_bytes();
            *extension
                .first_chunk_mut::<EXTENSION_LEN>()
                .ok_or(too_small)? = [p0, p1, 0, 1, e0, e1, e2, e3];
        }
        Ok(needed)
    }
}

fn tag_element(tag: PictureTag) -> Element {
    let [flags, n0, n1] = tag.to_bytes();
    [PICTURE_TAG_ID << 4 | 2, flags, n0, n1]
}

/// The header fields that a forwarder changes for each receiver of a packet.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) marker: bool,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
}

#[cfg(feature = "server")]
impl Stamp {
    /// Overwrites the marker, number, timestamp and SSRC of a packet; `None` if it is too short to be one.
    pub(crate) fn write_to(&self, packet: &mut [u8]) -> Option<()> {
        let fixed = packet.first_chunk_mut::<FIXED_LEN>()?;
        let [_, payload_type, rest @ ..] = fixed;
        *payload_type = u8::from(self.marker) << 7 | *payload_type & 0x7F;
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [r0, r1, r2, r3] = self.ssrc.to_be_bytes();
        *rest = [s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
        Some(())
    }
}

#[cfg(test)]
mod tests;
