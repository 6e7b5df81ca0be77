//! A picture on either side of the network, and what its bytes tell.

use super::{h264, vp8};
use crate::room::Codec;

/// The largest payload of a packet of video, bytes: with all headers it fits a datagram of 1,024.
pub const MAX_PICTURE_PAYLOAD: usize = 960;

/// The longest packet of a picture, bytes: its header has 20, with the tag.
#[cfg(feature = "client")]
pub(crate) const MAX_PICTURE_PACKET: usize = 20 + MAX_PICTURE_PAYLOAD;

/// The largest picture, bytes; of H.264 with start codes of four bytes. A screen full of text has about 550,000.
pub const MAX_PICTURE: usize = 2 << 20;

/// The most packets of a picture. Those of VP8 and JPEG never have more; H.264 may, in many units that just do not fit a
/// packet.
pub const MAX_PICTURE_PACKETS: u16 = 2_200;

/// An encoded picture to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture<'a> {
    /// The encoder's output: a VP8 frame, an H.264 access unit with start codes, or a JPEG file.
    pub bytes: &'a [u8],
    /// When the picture was taken, in units of 1/90,000 s, modulo 2^32.
    pub timestamp: u32,
    /// No later picture refers to this one, as to those of an encoder's highest temporal layer, if it has more than one.
    /// It is not looked at for a key picture of VP8 or H.264: later ones refer to it.
    pub discardable: bool,
    /// The temporal layer that the encoder put it in, 0 to 3.
    pub temporal_layer: u8,
    /// The encoding it is of, if there are several of the same camera: 0, the best, to 3.
    pub layer: u8,
}

/// A complete picture that a decoder can decode after those given out before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssembledPicture<'a> {
    /// What the decoder takes: a VP8 frame, an H.264 access unit with start codes of four bytes, or a JPEG file.
    pub bytes: &'a [u8],
    /// The codec of the bytes. It changes at a key picture only.
    pub codec: Codec,
    /// When the picture was taken, in units of 1/90,000 s. It does not wrap: right if it is less than 2^31, 6 hours, from
    /// the highest before.
    pub timestamp: u64,
    /// It refers to no picture before it: a decoder can begin here.
    pub key: bool,
    /// No later picture refers to this one.
    pub discardable: bool,
    /// Its temporal layer, 0 to 3.
    pub temporal_layer: u8,
    /// Its layer, 0 to 3. It changes at a key picture only.
    pub layer: u8,
    /// Its number in its layer, which wraps.
    pub number: u16,
}

/// What is wrong with the bytes of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// They are not a picture of the codec.
    Malformed,
    /// An H.264 key picture without SPS and PPS before it.
    NoParameterSets,
    /// Of H.264, with start codes of four bytes longer than [`MAX_PICTURE`].
    TooLong,
}

/// Whether `bytes` are a key picture of `codec`.
pub(super) fn is_key(codec: Codec, bytes: &[u8]) -> Result<bool, Unfit> {
    match codec {
        Codec::Vp8 => vp8::is_key(bytes).ok_or(Unfit::Malformed),
        Codec::H264 => h264::is_key(bytes),
        Codec::Jpeg if is_jpeg(bytes) => Ok(true),
        _ => Err(Unfit::Malformed),
    }
}

/// Whether a file begins with the marker SOI and ends with EOI (ITU-T T.81, table B.1).
fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.len() >= 4 && bytes.starts_with(&[0xFF, 0xD8]) && bytes.ends_with(&[0xFF, 0xD9])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_file_has_a_beginning_and_an_end() {
        assert_eq!(is_key(Codec::Jpeg, b"\xFF\xD8..\xFF\xD9"), Ok(true));
        for bytes in [&b""[..], b"\xFF\xD8\xD9", b"\xFF\xD8..\xFF", b"..\xFF\xD9"] {
            assert_eq!(is_key(Codec::Jpeg, bytes), Err(Unfit::Malformed));
        }
    }

    #[test]
    fn sound_is_no_picture() {
        assert_eq!(is_key(Codec::Opus, &[0; 20]), Err(Unfit::Malformed));
    }
}
