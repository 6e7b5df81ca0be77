//! What the bytes of a key picture tell of a stream.

use std::fmt;

use parlour_tokio::Codec;

use super::{PictureFileError, RecordedPicture, h264};

/// What all pictures of a file have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureFormat {
    codec: Codec,
    width: u32,
    height: u32,
}

impl PictureFormat {
    /// VP8, H.264 or JPEG.
    pub fn codec(self) -> Codec {
        self.codec
    }

    /// Pixels in a row.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(self) -> u32 {
        self.height
    }

    /// How the name of a file with such pictures ends: `webm`, or `mkv`.
    pub fn extension(self) -> &'static str {
        match self.codec {
            Codec::Vp8 => "webm",
            _ => "mkv",
        }
    }
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} × {}", self.codec, self.width, self.height)
    }
}

/// What a file begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) format: PictureFormat,
    /// What a decoder needs before the first picture.
    pub(super) codec_private: Option<Vec<u8>>,
}

impl Head {
    /// Reads a key picture.
    pub(super) fn of(picture: &RecordedPicture<'_>) -> Result<Self, PictureFileError> {
        let (codec, bytes) = (picture.codec, picture.bytes);
        let read = match codec {
            Codec::Vp8 => vp8_size(bytes)
                .map(|size| (size, None))
                .ok_or("is no key frame"),
            Codec::H264 => h264::ParameterSets::of(bytes)
                .and_then(|sets| Ok((sets.size()?, Some(sets.codec_private())))),
            Codec::Jpeg => jpeg_size(bytes)
                .map(|size| (size, None))
                .ok_or("does not say its size"),
            codec => return Err(PictureFileError::Unsupported { codec }),
        };
        let malformed = |problem| PictureFileError::Malformed { codec, problem };
        let ((width, height), codec_private) = read.map_err(malformed)?;
        if width == 0 || height == 0 {
            return Err(malformed("has no pixels"));
        }
        let format = PictureFormat {
            codec,
            width,
            height,
        };
        Ok(Self {
            format,
            codec_private,
        })
    }
}

/// Width and height of a key frame, by its [header](https://www.rfc-editor.org/rfc/rfc6386#section-9.1).
fn vp8_size(frame: &[u8]) -> Option<(u32, u32)> {
    let &[tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = frame.first_chunk()? else {
        return None;
    };
    // The two bits above a size are its scaling.
    let size = |low, high| u32::from(u16::from_le_bytes([low, high & 0x3F]));
    (tag & 1 == 0).then_some((size(w0, w1), size(h0, h1)))
}

/// Width and height of a file, by its frame header (ITU-T T.81, section B.2.2).
fn jpeg_size(file: &[u8]) -> Option<(u32, u32)> {
    let mut rest = file.strip_prefix(&[0xFF, 0xD8])?;
    loop {
        rest = rest.strip_prefix(&[0xFF])?;
        match rest {
            // A marker may have more than one of these before it.
            [0xFF, ..] => continue,
            // Frame headers; the others between are tables and reserved.
            [
                0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF,
                header @ ..,
            ] => {
                let &[_, _, _, h0, h1, w0, w1] = header.first_chunk()?;
                let size = |high, low| u32::from(u16::from_be_bytes([high, low]));
                return Some((size(w0, w1), size(h0, h1)));
            }
            // The picture itself, and its end.
            [0xD9 | 0xDA, ..] => return None,
            [_, segment @ ..] => {
                let len = u16::from_be_bytes(*segment.first_chunk()?);
                rest = segment.get(usize::from(len)..)?;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_vp8_frame_is_without_its_scaling() {
        let mut frame = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x42, 0x68, 0x81, 0];
        assert_eq!(vp8_size(&frame), Some((640, 360)));
        assert_eq!(vp8_size(&frame[..9]), None);
        frame[0] = 0x11;
        assert_eq!(vp8_size(&frame), None, "no key frame");
    }

    #[test]
    fn the_size_of_a_jpeg_file_is_in_its_frame_header() {
        let file = [
            &[
                0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 0xFF, 0xC0, 0xFF, 0xFF, 0xC4, 0, 2,
            ][..],
            &[0xFF, 0xC2, 0, 11, 8, 0x01, 0x68, 0x02, 0x80, 1],
        ]
        .concat();
        assert_eq!(jpeg_size(&file), Some((640, 360)));
        for len in 0..file.len() - 1 {
            assert_eq!(jpeg_size(&file[..len]), None);
        }
        assert_eq!(jpeg_size(&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 0xFF, 0xC0]), None);
    }
}
