//! What each packet of video says of its picture, so that nobody on its way has to know the codec.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  ID   | len=2 |S|K|D|TL |  L  |         picture number        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//!                  TL: two bits; L: two bits, and one that is 0
//! ```

/// The [RFC 8285](https://www.rfc-editor.org/rfc/rfc8285) element id under which Parlour carries the [`PictureTag`].
/// Fixed, as that of the [audio level](super::AUDIO_LEVEL_ID) is.
pub const PICTURE_TAG_ID: u8 = 2;

/// What one packet of video says of its picture. All packets of a picture say the same but for `first`, because any of
/// them may be the one that is lost; the last one has the marker bit.
///
/// ```
/// use parlour_core::rtp::PictureTag;
/// let tag = PictureTag { first: true, key: false, discardable: true, temporal_layer: 2, layer: 1, number: 515 };
/// assert_eq!(tag.to_bytes(), [0b1011_0010, 2, 3]);
/// assert_eq!(PictureTag::from_bytes(tag.to_bytes()), tag);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PictureTag {
    /// The first packet of its picture.
    pub first: bool,
    /// The picture can be decoded without any before it.
    pub key: bool,
    /// No later picture needs this one.
    pub discardable: bool,
    /// Which part of its layer's encoding the picture belongs to, 0 to 3: pictures of a temporal layer can be left out
    /// together with those of all layers above. Values over 3 are sent as 3.
    pub temporal_layer: u8,
    /// Which of the encodings of the same camera, 0 to 3; 0 is the best. Values over 3 are sent as 3.
    pub layer: u8,
    /// The picture's number in its layer, which counts up by one and wraps.
    pub number: u16,
}

impl PictureTag {
    /// Decodes the bytes of the element. The bit that is 0 may be anything.
    pub const fn from_bytes([flags, n0, n1]: [u8; 3]) -> Self {
        Self {
            first: flags & 0x80 != 0,
            key: flags & 0x40 != 0,
            discardable: flags & 0x20 != 0,
            temporal_layer: flags >> 3 & 3,
            layer: flags >> 1 & 3,
            number: u16::from_be_bytes([n0, n1]),
        }
    }

    /// Encodes the bytes of the element.
    pub fn to_bytes(self) -> [u8; 3] {
        let [n0, n1] = self.number.to_be_bytes();
        let flags = u8::from(self.first) << 7
            | u8::from(self.key) << 6
            | u8::from(self.discardable) << 5
            | self.temporal_layer.min(3) << 3
            | self.layer.min(3) << 1;
        [flags, n0, n1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{AudioLevel, RtpHeader, RtpPacket, RtpWriteError};
    use proptest::prelude::*;

    const HEADER: RtpHeader<'static> = RtpHeader {
        marker: true,
        payload_type: 96,
        sequence: 1,
        timestamp: 2,
        ssrc: 3,
        csrcs: &[4],
        audio_level: None,
    };

    #[test]
    fn layers_beyond_the_highest_are_the_highest() {
        let tag = PictureTag {
            temporal_layer: 4,
            layer: 255,
            ..PictureTag::from_bytes([0; 3])
        };
        let read = PictureTag::from_bytes(tag.to_bytes());
        assert_eq!((read.temporal_layer, read.layer), (3, 3));
        assert_eq!(read.to_bytes(), [0b0001_1110, 0, 0]);
    }

    #[test]
    fn a_picture_has_a_tag_and_no_level() {
        let header = RtpHeader {
            audio_level: Some(AudioLevel::SILENCE),
            ..HEADER
        };
        let tag = PictureTag::from_bytes([0xC0, 1, 2]);
        let mut out = [0; 40];
        let len = header.write_picture(tag, b"vp8", &mut out).unwrap();
        assert_eq!(&out[16..len], b"\xBE\xDE\0\x01\x22\xC0\x01\x02vp8");
        let packet = RtpPacket::parse(&out[..len]).unwrap();
        assert_eq!(
            (packet.picture_tag(), packet.audio_level()),
            (Some(tag), None)
        );
        assert_eq!(packet.payload(), b"vp8");

        let sound = header.write(b"opus", &mut out).unwrap();
        let packet = RtpPacket::parse(&out[..sound]).unwrap();
        assert_eq!(packet.picture_tag(), None);
    }

    #[test]
    fn an_element_of_another_length_is_no_tag() {
        let mut out = [0; 40];
        let tag = PictureTag::from_bytes([0xC0, 1, 2]);
        let len = HEADER.write_picture(tag, &[], &mut out).unwrap();
        out[20] = 0x21;
        assert_eq!(RtpPacket::parse(&out[..len]).unwrap().picture_tag(), None);
    }

    #[test]
    fn an_output_that_is_too_small_is_left_alone() {
        let tag = PictureTag::from_bytes([0xC0, 1, 2]);
        let mut out = [7; 24];
        let needed = HEADER.picture_header_len() + 1;
        let refused = Err(RtpWriteError::BufferTooSmall { needed });
        assert_eq!(HEADER.write_picture(tag, &[1], &mut out), refused);
        assert_eq!(out, [7; 24]);
        assert_eq!(HEADER.write_picture_header(tag, &mut out), Ok(24));
    }

    proptest! {
        #[test]
        fn every_tag_is_read_as_written(flags: u8, number: u16) {
            let [n0, n1] = number.to_be_bytes();
            let tag = PictureTag::from_bytes([flags, n0, n1]);
            prop_assert_eq!(tag.to_bytes(), [flags & 0xFE, n0, n1]);
            let mut out = [0; 24];
            let len = HEADER.write_picture_header(tag, &mut out).unwrap();
            prop_assert_eq!(RtpPacket::parse(&out[..len]).unwrap().picture_tag(), Some(tag));
        }
    }
}
