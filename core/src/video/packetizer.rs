//! Encoded pictures to RTP packets.

use thiserror::Error;

use super::h264;
use super::picture::{
    MAX_PICTURE, MAX_PICTURE_PACKETS, MAX_PICTURE_PAYLOAD, Picture, Unfit, is_key,
};
use super::vp8::{DESCRIPTOR_LEN, Descriptor};
use crate::room::{Codec, StreamKind};
use crate::rtp::{PictureTag, RtpHeader, RtpWriteError};

/// Layers that a stream can have.
pub(crate) const LAYERS: usize = 4;

/// Why a picture did not become packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PacketizePictureError {
    /// The stream's codec is an audio codec.
    #[error("the stream's codec is not a video codec")]
    NotVideo,
    /// The bytes are not a picture of the stream's codec.
    #[error(
        "the bytes are not a picture of the stream's codec: a VP8 frame, an H.264 access unit with start codes, or a JPEG file"
    )]
    Malformed,
    /// An H.264 key picture without SPS and PPS, so that nobody could begin to decode with it.
    #[error("the H.264 key picture has no SPS and PPS: put those of the encoder before it")]
    NoParameterSets,
    /// More than [`MAX_PICTURE`] bytes or [`MAX_PICTURE_PACKETS`] packets. The start codes of H.264 count as four bytes each,
    /// as they have when they arrive.
    #[error(
        "the picture has more than 2 MiB or 2,200 packets: encode it smaller, or in fewer slices"
    )]
    TooLong,
    /// A layer or temporal layer beyond 3.
    #[error("layers and temporal layers are numbered from 0 to 3")]
    Layer,
}

impl From<Unfit> for PacketizePictureError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Malformed => Self::Malformed,
            Unfit::NoParameterSets => Self::NoParameterSets,
            Unfit::TooLong => Self::TooLong,
        }
    }
}

/// The numbers of the next picture of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    picture: u16,
    /// Of the last picture of temporal layer 0.
    base: u8,
}

/// Cuts the pictures of one stream into RTP packets.
///
/// It gives out numbers and holds no bytes: the packets of a picture can be written for as long as its bytes are there,
/// and again for a receiver that has lost some. Whether a picture is a key picture it sees in the bytes.
///
/// ```
/// use parlour_core::room::Codec;
/// use parlour_core::rtp::RtpPacket;
/// use parlour_core::video::{Picture, PicturePacketizer};
///
/// let mut packetizer = PicturePacketizer::new(Codec::Jpeg, 0xCAFE, 7);
/// let mut file = [0x55; 2_000];
/// file[..2].copy_from_slice(&[0xFF, 0xD8]);
/// file[1_998..].copy_from_slice(&[0xFF, 0xD9]);
///
/// let picture = Picture { bytes: &file, timestamp: 90_000, discardable: true, temporal_layer: 0, layer: 0 };
/// let mut packets = packetizer.packetize(&picture)?;
/// let mut out = [0; 1_000];
/// let mut payload: Vec<u8> = Vec::new();
/// while let Some(len) = packets.write_next(&mut out)? {
///     let packet = RtpPacket::parse(&out[..len])?; // in earnest: send it
///     payload.extend(packet.payload());
/// }
/// assert_eq!(payload, file);
///
/// // Somebody asks for number 8 again.
/// let len = packets.write_again(8, &mut out)?.expect("it is of this picture");
/// assert_eq!(RtpPacket::parse(&out[..len])?.sequence(), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PicturePacketizer {
    codec: Codec,
    ssrc: u32,
    sequence: u16,
    layers: [Numbers; LAYERS],
}

impl PicturePacketizer {
    /// For the flow `ssrc` of a stream of `codec`. The first packet has `initial_sequence`.
    ///
    /// With an audio codec every picture is refused as [`PacketizePictureError::NotVideo`].
    pub const fn new(codec: Codec, ssrc: u32, initial_sequence: u16) -> Self {
        Self {
            codec,
            ssrc,
            sequence: initial_sequence,
            layers: [Numbers {
                picture: 0,
                base: 0,
            }; LAYERS],
        }
    }

    /// Takes back the numbers of the last so many packets, which were not sent.
    #[cfg(feature = "client")]
    pub(super) const fn take_back(&mut self, packets: u64) {
        // Modulo 2^16, as numbers are.
        self.sequence = self.sequence.wrapping_sub(packets as u16);
    }

    /// Gives the picture its number in its layer, and its packets theirs in the flow. Of H.264 it reads the picture two to
    /// three times, to find its units; of others only the beginning and the end.
    ///
    /// # Errors
    /// [`PacketizePictureError`] if `picture` is not one of the stream's codec, or too long, or of a layer that there is
    /// not; no number is then used.
    pub fn packetize<'a>(
        &mut self,
        picture: &Picture<'a>,
    ) -> Result<PicturePackets<'a>, PacketizePictureError> {
        if !self.codec.carries(StreamKind::Video) {
            return Err(PacketizePictureError::NotVideo);
        }
        if picture.bytes.len() > MAX_PICTURE {
            return Err(PacketizePictureError::TooLong);
        }
        if picture.temporal_layer > 3 {
            return Err(PacketizePictureError::Layer);
        }
        let numbers = self.layers.get_mut(usize::from(picture.layer));
        let numbers = numbers.ok_or(PacketizePictureError::Layer)?;
        let key = is_key(self.codec, picture.bytes)?;
        // Of a key picture that would be wrong: what follows refers to it. JPEG has no other pictures.
        let discardable = picture.discardable && (!key || self.codec == Codec::Jpeg);
        let base = numbers
            .base
            .wrapping_add(u8::from(picture.temporal_layer == 0));
        let payloads = match self.codec {
            Codec::H264 => {
                let units = h264::Units::new(picture.bytes);
                let units = units.ok_or(PacketizePictureError::Malformed)?;
                Payloads::H264(h264::Payloads::new(units))
            }
            Codec::Vp8 => Payloads::slices(
                picture.bytes,
                Some(Descriptor {
                    discardable,
                    picture_id: numbers.picture & 0x7FFF,
                    tl0_pic_idx: base,
                    temporal_layer: picture.temporal_layer,
                }),
            ),
            _ => Payloads::slices(picture.bytes, None),
        };
        let count = u16::try_from(payloads.clone().count())
            .ok()
            .filter(|&count| count <= MAX_PICTURE_PACKETS)
            .ok_or(PacketizePictureError::TooLong)?;
        let packets = PicturePackets {
            header: RtpHeader {
                marker: false,
                payload_type: self.codec.payload_type(),
                sequence: self.sequence,
                timestamp: picture.timestamp,
                ssrc: self.ssrc,
                csrcs: &[],
                audio_level: None,
            },
            tag: PictureTag {
                first: false,
                key,
                discardable,
                temporal_layer: picture.temporal_layer,
                layer: picture.layer,
                number: numbers.picture,
            },
            all: payloads.clone(),
            ahead: payloads,
            written: 0,
            count,
        };
        *numbers = Numbers {
            picture: numbers.picture.wrapping_add(1),
            base,
        };
        self.sequence = self.sequence.wrapping_add(count);
        Ok(packets)
    }
}

/// The packets of one picture, which are cut from its bytes when they are written.
///
/// Made by [`PicturePacketizer::packetize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PicturePackets<'a> {
    /// Of the first packet; the others differ in number and marker.
    header: RtpHeader<'static>,
    tag: PictureTag,
    all: Payloads<'a>,
    /// Those that are not written yet.
    ahead: Payloads<'a>,
    written: u16,
    count: u16,
}

impl PicturePackets<'_> {
    /// How many packets the picture has, written ones included.
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// The number of the first packet; those of the others follow, and wrap.
    pub const fn first_sequence(&self) -> u16 {
        self.header.sequence
    }

    /// What the packets say of their picture; of them the first one says that it is that.
    pub const fn tag(&self) -> PictureTag {
        self.tag
    }

    /// Writes the next packet to the start of `out`; returns its length, or `None` behind the last one. 980 bytes are
    /// enough for any.
    ///
    /// # Errors
    /// [`RtpWriteError::BufferTooSmall`]: the packet is written by the next call with a larger `out`.
    pub fn write_next(&mut self, out: &mut [u8]) -> Result<Option<usize>, RtpWriteError> {
        let mut ahead = self.ahead.clone();
        let Some(payload) = ahead.next() else {
            return Ok(None);
        };
        let len = self.write(self.written, &payload, out)?;
        self.ahead = ahead;
        self.written = self.written.wrapping_add(1);
        Ok(Some(len))
    }

    /// Writes the packet with number `sequence`, the same bytes as before; `None` if it is not of this picture. Those
    /// before it are cut once more, too: of H.264 that reads the picture up to it.
    ///
    /// # Errors
    /// [`RtpWriteError::BufferTooSmall`] as [`write_next`](Self::write_next).
    pub fn write_again(
        &self,
        sequence: u16,
        out: &mut [u8],
    ) -> Result<Option<usize>, RtpWriteError> {
        let n = sequence.wrapping_sub(self.header.sequence);
        let Some(payload) = self.all.clone().nth(usize::from(n)) else {
            return Ok(None);
        };
        self.write(n, &payload, out).map(Some)
    }

    fn write(&self, n: u16, payload: &Payload<'_>, out: &mut [u8]) -> Result<usize, RtpWriteError> {
        let header = RtpHeader {
            marker: n.wrapping_add(1) == self.count,
            sequence: self.header.sequence.wrapping_add(n),
            ..self.header
        };
        let tag = PictureTag {
            first: n == 0,
            ..self.tag
        };
        let needed = header.picture_header_len() + payload.len();
        let too_small = RtpWriteError::BufferTooSmall { needed };
        let out = out.get_mut(..needed).ok_or(too_small)?;
        let header_len = header.write_picture_header(tag, out)?;
        let body = out.get_mut(header_len..).ok_or(too_small)?;
        payload.write(body).ok_or(too_small)?;
        Ok(needed)
    }
}

/// The payloads of one picture, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Payloads<'a> {
    H264(h264::Payloads<'a>),
    /// Parts of equal length; each behind a descriptor if it is VP8.
    Slices {
        descriptor: Option<Descriptor>,
        first: bool,
        rest: &'a [u8],
        each: usize,
    },
}

impl<'a> Payloads<'a> {
    fn slices(bytes: &'a [u8], descriptor: Option<Descriptor>) -> Self {
        let before = descriptor.map_or(0, |_| DESCRIPTOR_LEN);
        let count = bytes.len().div_ceil(MAX_PICTURE_PAYLOAD - before);
        Self::Slices {
            descriptor,
            first: true,
            rest: bytes,
            each: bytes.len().div_ceil(count.max(1)),
        }
    }
}

impl<'a> Iterator for Payloads<'a> {
    type Item = Payload<'a>;

    fn next(&mut self) -> Option<Payload<'a>> {
        match self {
            Self::H264(payloads) => payloads.next().map(Payload::H264),
            Self::Slices {
                descriptor,
                first,
                rest,
                each,
            } => {
                let (slice, behind) = rest.split_at_checked(*each).unwrap_or((*rest, &[]));
                *rest = behind;
                let descriptor = descriptor.map(|descriptor| descriptor.to_bytes(*first));
                *first = false;
                (!slice.is_empty()).then_some(Payload::Slice { descriptor, slice })
            }
        }
    }
}

enum Payload<'a> {
    H264(h264::Payload<'a>),
    Slice {
        descriptor: Option<[u8; DESCRIPTOR_LEN]>,
        slice: &'a [u8],
    },
}

impl Payload<'_> {
    fn len(&self) -> usize {
        match self {
            Self::H264(payload) => payload.len(),
            Self::Slice { descriptor, slice } => {
                slice.len() + descriptor.map_or(0, |_| DESCRIPTOR_LEN)
            }
        }
    }

    /// Writes the payload to `out`, which has its length.
    fn write(&self, out: &mut [u8]) -> Option<()> {
        match self {
            Self::H264(payload) => payload.write(out),
            Self::Slice { descriptor, slice } => {
                let mut body = out;
                if let Some(descriptor) = descriptor {
                    let (head, rest) = body.split_first_chunk_mut()?;
                    *head = *descriptor;
                    body = rest;
                }
                (body.len() == slice.len()).then(|| body.copy_from_slice(slice))
            }
        }
    }
}

#[cfg(test)]
mod tests;
