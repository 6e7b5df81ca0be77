//! Recordings of pictures: what a camera or a screen sends is written as it came, without being decoded.
//!
//! | codec | file | track |
//! |---|---|---|
//! | VP8 | WebM | `V_VP8` |
//! | H.264 | Matroska ([RFC 9559](https://www.rfc-editor.org/rfc/rfc9559)) | `V_MPEG4/ISO/AVC`: units with their lengths, SPS and PPS in the head and in each key picture |
//! | JPEG | Matroska | `V_MJPEG` |
//!
//! A file that is cut off at any byte can be played up to there: it loses the picture that was being written, and no other. For
//! that, the segment and its clusters have no length, and each picture is handed on to the sink as soon as it is pushed. A
//! cluster begins at each key picture, and 1 s after the one before.
//!
//! **What a file does not have:** a duration and an index (Cues), not even when it is [finished](PictureFile::finish). Players
//! find out both by reading the file. `ffmpeg -i film.webm -c copy other.webm` makes a file that has them.
//!
//! ```
//! use parlour_files::pictures::{PictureFile, RecordedPicture};
//! use parlour_tokio::Codec;
//!
//! # fn main() -> Result<(), parlour_files::pictures::PictureFileError> {
//! // A frame of VP8 of 640 × 360, as far as a file looks into it.
//! let frame = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 0];
//! let mut file = PictureFile::new(Vec::new());
//! for number in 0..3 {
//!     file.push(&RecordedPicture {
//!         codec: Codec::Vp8,
//!         timestamp: 90_000 * number,
//!         key: true,
//!         discardable: false,
//!         bytes: &frame,
//!     })?;
//! }
//! let bytes = file.finish()?;
//! assert!(bytes.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]));
//! # Ok(())
//! # }
//! ```

mod format;
mod h264;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use parlour_tokio::{Codec, EncodedPicture};
use thiserror::Error;
use webm_iterable::WebmWriter;
use webm_iterable::WriteOptions;
use webm_iterable::errors::TagWriterError;
use webm_iterable::matroska_spec::{Master, MatroskaSpec, SimpleBlock};

use format::Head;
pub use format::PictureFormat;

/// Units of [`RecordedPicture::timestamp`] in a millisecond, in which a file has its times.
const PER_MS: u64 = 90;
/// How long a cluster is at most, ms. What is relative to its beginning has 15 bits.
const CLUSTER_MS: u64 = 1_000;
/// The number of the only track.
const TRACK: u64 = 1;

/// A picture of the stream.
#[derive(Debug, Clone, Copy)]
pub struct RecordedPicture<'a> {
    /// VP8, H.264 or JPEG.
    pub codec: Codec,
    /// When it was taken, in units of 1/90,000 s, from any beginning. It does not wrap.
    pub timestamp: u64,
    /// A decoder can begin here.
    pub key: bool,
    /// No later picture needs this one.
    pub discardable: bool,
    /// What a decoder takes: a VP8 frame, an H.264 access unit with start codes, or a JPEG file.
    pub bytes: &'a [u8],
}

impl<'a> From<&'a EncodedPicture> for RecordedPicture<'a> {
    fn from(picture: &'a EncodedPicture) -> Self {
        Self {
            codec: picture.codec,
            timestamp: picture.timestamp,
            key: picture.key,
            discardable: picture.discardable,
            bytes: &picture.bytes,
        }
    }
}

/// Why a picture is not written. Each text says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureFileError {
    /// The sink has failed, and nothing can follow what is half written.
    #[error(
        "the pictures cannot be written: {0}; what is written before can be played: go on in a new file"
    )]
    Write(#[source] io::Error),
    /// It has failed before.
    #[error("the pictures could not be written before: go on in a new file, from a key picture on")]
    Failed,
    /// No picture of the codec can be in such a file.
    #[error(
        "{codec:?} is no codec of pictures: write VP8, H.264 or JPEG here, and sound to a file of its own"
    )]
    Unsupported {
        /// The codec.
        codec: Codec,
    },
    /// The picture is of another codec or size than the file. It is not written, and the file can be finished.
    #[error(
        "the pictures are {now} now, and the file is {file}: finish it, and go on in a new one with this picture"
    )]
    Changed {
        /// The pictures of the file.
        file: PictureFormat,
        /// The picture.
        now: PictureFormat,
    },
    /// The codec is another one at a picture with which no file can begin. It is not written.
    #[error(
        "the pictures are {now:?} now, and the file is {file}: finish it, and go on in a new one with the next key picture"
    )]
    ChangedAmid {
        /// The pictures of the file.
        file: PictureFormat,
        /// The codec of the picture.
        now: Codec,
    },
    /// It is no picture of its codec. It is not written, and the next can be.
    #[error("a picture of {codec:?} {problem}: leave it out, and go on with the next key picture")]
    Malformed {
        /// The codec.
        codec: Codec,
        /// What is wrong.
        problem: &'static str,
    },
}

/// A WebM or Matroska file with the pictures of one stream.
///
/// The sink gets each picture with few calls of [`Write::write_all`], and then [`Write::flush`]: a [`File`](std::fs::File)
/// needs no buffer. What a program has written to a file outlives the program; that it outlives the machine, too, takes
/// [`File::sync_data`](std::fs::File::sync_data), by [`get_ref`](Self::get_ref), as often as wanted.
pub struct PictureFile<W: Write> {
    writer: WebmWriter<W>,
    /// `None` before the first key picture.
    track: Option<Track>,
    failed: bool,
}

struct Track {
    format: PictureFormat,
    /// The timestamp of the first picture.
    began: u64,
    /// The time of the last picture, ms.
    last: u64,
    /// When the cluster begins, ms; `None` before the first one.
    cluster: Option<u64>,
}

impl<W: Write> PictureFile<W> {
    /// A file in `sink`, which is to be empty. Nothing is written before the first key picture.
    pub fn new(sink: W) -> Self {
        Self {
            writer: WebmWriter::new(sink),
            track: None,
            failed: false,
        }
    }

    /// What the file is written to.
    pub fn get_ref(&self) -> &W {
        self.writer.get_ref()
    }

    /// What the pictures are, once there is one.
    pub fn format(&self) -> Option<PictureFormat> {
        self.track.as_ref().map(|track| track.format)
    }

    /// Appends a picture. Says whether it is in the file: what comes before the first key picture is left out.
    ///
    /// Its time in the file is that since the first picture, in ms; if timestamps go backwards, that of the picture before. A
    /// gap in the pictures needs nothing but that the next one can be decoded, which who watches a stream sees to.
    ///
    /// # Errors
    /// [`PictureFileError`]. After [`PictureFileError::Write`] the file takes no more pictures.
    pub fn push(&mut self, picture: &RecordedPicture<'_>) -> Result<bool, PictureFileError> {
        if self.failed {
            return Err(PictureFileError::Failed);
        }
        let head = picture.key.then(|| Head::of(picture)).transpose()?;
        let format = match (&self.track, &head) {
            (Some(track), Some(head)) if track.format != head.format => {
                let (file, now) = (track.format, head.format);
                return Err(PictureFileError::Changed { file, now });
            }
            (Some(track), None) if track.format.codec() != picture.codec => {
                let (file, now) = (track.format, picture.codec);
                return Err(PictureFileError::ChangedAmid { file, now });
            }
            (Some(track), _) => track.format,
            (None, Some(head)) => head.format,
            (None, None) => return Ok(false),
        };
        let data = data(picture)?;
        let begun = match (&mut self.track, head) {
            (None, Some(head)) => write_head(&mut self.writer, &head),
            _ => Ok(()),
        };
        let track = self.track.get_or_insert(Track {
            format,
            began: picture.timestamp,
            last: 0,
            cluster: None,
        });
        let written = begun.and_then(|()| write(&mut self.writer, track, picture, &data));
        self.failed = written.is_err();
        written.map(|()| true).map_err(write_error)
    }

    /// Completes the file, and gives back the sink. A file without a key picture is empty.
    ///
    /// # Errors
    /// [`PictureFileError::Write`]; [`PictureFileError::Failed`] if it has failed before.
    pub fn finish(self) -> Result<W, PictureFileError> {
        if self.failed {
            return Err(PictureFileError::Failed);
        }
        self.writer.into_inner().map_err(write_error)
    }
}

impl<W: Write> fmt::Debug for PictureFile<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PictureFile")
            .field("format", &self.format())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

fn write_error(error: TagWriterError) -> PictureFileError {
    PictureFileError::Write(match error {
        TagWriterError::WriteError { source } => source,
        // Of elements that are where they do not belong: not those of a file.
        error => io::Error::other(error),
    })
}

/// The bytes of a picture as they are in a file.
fn data<'a>(picture: &RecordedPicture<'a>) -> Result<Cow<'a, [u8]>, PictureFileError> {
    let (codec, bytes) = (picture.codec, picture.bytes);
    let malformed = |problem| PictureFileError::Malformed { codec, problem };
    match codec {
        _ if bytes.is_empty() => Err(malformed("has no bytes")),
        Codec::H264 => h264::with_lengths(bytes).map(Cow::Owned).map_err(malformed),
        _ => Ok(Cow::Borrowed(bytes)),
    }
}

/// Everything before the first cluster.
fn write_head<W: Write>(writer: &mut WebmWriter<W>, head: &Head) -> Result<(), TagWriterError> {
    use MatroskaSpec as Tag;
    let format = head.format;
    let (doc_type, codec) = match format.codec() {
        Codec::Vp8 => ("webm", "V_VP8"),
        Codec::H264 => ("matroska", "V_MPEG4/ISO/AVC"),
        // A head is of no other codec.
        _ => ("matroska", "V_MJPEG"),
    };
    writer.write(&Tag::Ebml(Master::Full(vec![
        Tag::EbmlVersion(1),
        Tag::EbmlReadVersion(1),
        Tag::EbmlMaxIdLength(4),
        Tag::EbmlMaxSizeLength(8),
        Tag::DocType(doc_type.to_owned()),
        Tag::DocTypeVersion(4),
        Tag::DocTypeReadVersion(2),
    ])))?;
    let segment = Tag::Segment(Master::Start);
    writer.write_advanced(&segment, WriteOptions::is_unknown_sized_element())?;
    writer.write(&Tag::Info(Master::Full(vec![
        Tag::TimestampScale(1_000_000),
        Tag::MuxingApp("parlour".to_owned()),
        Tag::WritingApp("parlour".to_owned()),
    ])))?;
    let mut entry = vec![
        Tag::TrackNumber(TRACK),
        Tag::TrackUID(TRACK),
        // Video.
        Tag::TrackType(1),
        Tag::FlagLacing(0),
        Tag::CodecID(codec.to_owned()),
    ];
    if let Some(private) = &head.codec_private {
        entry.push(Tag::CodecPrivate(private.clone()));
    }
    entry.push(Tag::Video(Master::Full(vec![
        Tag::PixelWidth(format.width().into()),
        Tag::PixelHeight(format.height().into()),
    ])));
    let entry = Tag::TrackEntry(Master::Full(entry));
    writer.write(&Tag::Tracks(Master::Full(vec![entry])))
}

/// A picture, in a new cluster if it is time for one.
fn write<W: Write>(
    writer: &mut WebmWriter<W>,
    track: &mut Track,
    picture: &RecordedPicture<'_>,
    data: &[u8],
) -> Result<(), TagWriterError> {
    let since = picture.timestamp.saturating_sub(track.began);
    let time = (since.saturating_add(PER_MS / 2) / PER_MS).max(track.last);
    track.last = time;
    let cluster = match track.cluster {
        Some(began) if !picture.key && time - began < CLUSTER_MS => began,
        open => {
            if open.is_some() {
                writer.write(&MatroskaSpec::Cluster(Master::End))?;
            }
            let cluster = MatroskaSpec::Cluster(Master::Start);
            writer.write_advanced(&cluster, WriteOptions::is_unknown_sized_element())?;
            writer.write(&MatroskaSpec::Timestamp(time))?;
            track.cluster = Some(time);
            time
        }
    };
    // Less than `CLUSTER_MS`.
    let relative = (time - cluster) as i16;
    let (discardable, key) = (picture.discardable, picture.key);
    let block = SimpleBlock::new_uncheked(data, TRACK, relative, false, None, discardable, key);
    writer.write::<MatroskaSpec>(&block.into())
}
