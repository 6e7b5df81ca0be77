//! A file for each stream of a room, with its frames as they came.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use parlour_tokio::core::audio::g711::Law;
use parlour_tokio::core::rtp::frame_samples;
use parlour_tokio::{Codec, EncodedFrame, ParticipantId, StreamRef};
use tokio::time::Instant;

use crate::ogg_opus::OpusFile;
use crate::{FileError, WavFile};

/// How far ahead of its arrival a frame may stand: a second.
const SLACK: u64 = 48_000;
/// Samples of 48 kHz in one of G.711.
const G711: u64 = 6;

/// Files of one participant, and in all.
const FILES_OF_ONE: usize = 16;
const FILES: usize = 256;

/// A second of G.711's rate, to fill gaps with.
const SILENCE: [i16; 8_000] = [0; 8_000];

/// The files of a recording, one for each stream: Opus becomes Ogg Opus, G.711 becomes WAV.
///
/// All files begin when the recording begins, and pauses and losses are filled: a second of a file is a second of the room.
/// There are at most 16 files of one participant, and 256 in all: those who publish ever new streams fill no disk. What would
/// take more is not recorded.
///
/// ```no_run
/// # async fn example(room: parlour_tokio::Room) -> Result<(), parlour_files::FileError> {
/// let mut frames = room.frames();
/// let mut tracks = parlour_files::Tracks::create("recording".as_ref())?;
/// while let Some(frame) = frames.next().await {
///     if let Some(new) = tracks.write(&frame)? {
///         println!("recording {}", new.display());
///     }
/// }
/// tracks.finish()
/// # }
/// ```
#[derive(Debug)]
pub struct Tracks {
    folder: PathBuf,
    started: Instant,
    tracks: BTreeMap<String, Track>,
}

impl Tracks {
    /// A recording that begins now, in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn create(folder: &Path) -> Result<Self, FileError> {
        fs::create_dir_all(folder).map_err(FileError::write(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            started: Instant::now(),
            tracks: BTreeMap::new(),
        })
    }

    /// Writes a frame at its place; one that comes too late is left out. Tells if it is the first one of a file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn write(&mut self, frame: &EncodedFrame) -> Result<Option<&Path>, FileError> {
        let arrived = frame.arrived.saturating_duration_since(self.started);
        let piece = Piece {
            codec: frame.codec,
            timestamp: frame.timestamp,
            duration: frame.duration.into(),
            arrived: arrived.as_millis() as u64 * 48,
            payload: &frame.payload,
        };
        self.put(&frame.stream, &piece)
    }

    fn put(&mut self, stream: &StreamRef, piece: &Piece<'_>) -> Result<Option<&Path>, FileError> {
        let name = file_name(stream, piece.codec);
        if !self.tracks.contains_key(&name) && !self.has_room(&stream.participant) {
            return Ok(None);
        }
        match self.tracks.entry(name) {
            Entry::Occupied(track) => {
                track.into_mut().write(piece)?;
                Ok(None)
            }
            Entry::Vacant(place) => {
                let track = Track::create(&self.folder, place.key(), stream, piece)?;
                let track = place.insert(track);
                track.write(piece)?;
                Ok(Some(&track.path))
            }
        }
    }

    fn has_room(&self, participant: &ParticipantId) -> bool {
        let of_one = self.tracks.values();
        let of_one = of_one.filter(|track| track.participant == *participant);
        self.tracks.len() < FILES && of_one.count() < FILES_OF_ONE
    }

    /// Completes all files, also if one of them fails.
    ///
    /// # Errors
    /// The first [`FileError`].
    pub fn finish(self) -> Result<(), FileError> {
        let mut finished = Ok(());
        for track in self.tracks.into_values() {
            finished = finished.and(track.finish());
        }
        finished
    }
}

/// The name of a stream's file without its number. All but letters and digits are percent-encoded, so that no two streams share
/// one.
fn file_name(stream: &StreamRef, codec: Codec) -> String {
    let encode = |name: &str| -> String {
        let character = |byte: u8| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        name.bytes().map(character).collect()
    };
    let extension = if codec == Codec::Opus { "opus" } else { "wav" };
    let (participant, key) = (
        encode(stream.participant.as_str()),
        encode(stream.key.as_str()),
    );
    format!("{participant}-{key}.{extension}")
}

/// `name` with a number, for those after the first.
fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if number > 1 => format!("{stem}-{number}.{extension}"),
        _ => name.to_owned(),
    }
}

/// A frame. Times are in samples of 48 kHz.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    codec: Codec,
    /// Counted from the stream's first frame.
    timestamp: u64,
    duration: u64,
    /// Counted from the beginning of the recording.
    arrived: u64,
    payload: &'a [u8],
}

/// The file of one stream. Places in it are in samples of 48 kHz, whatever the codec.
struct Track {
    participant: ParticipantId,
    path: PathBuf,
    file: Format,
    /// Where the stream's first frame stands.
    begin: u64,
    /// How far the file is written.
    end: u64,
}

enum Format {
    Opus(OpusFile),
    Wav(WavFile),
}

impl Track {
    /// A new file that begins with this piece; earlier recordings in the folder stay.
    fn create(
        folder: &Path,
        name: &str,
        stream: &StreamRef,
        first: &Piece<'_>,
    ) -> Result<Self, FileError> {
        let mut number = 1;
        loop {
            let path = folder.join(numbered(name, number));
            match Format::create(&path, first.codec) {
                Err(FileError::Exists { .. }) => number += 1,
                file => {
                    return Ok(Self {
                        participant: stream.participant.clone(),
                        file: file?,
                        path,
                        begin: first.arrived,
                        end: 0,
                    });
                }
            }
        }
    }

    fn write(&mut self, piece: &Piece<'_>) -> Result<(), FileError> {
        // No participant can make a file longer than the recording by claiming a later time.
        let place = self.begin.saturating_add(piece.timestamp);
        let place = place.min(piece.arrived + SLACK);
        let failed = FileError::write(&self.path);
        match &mut self.file {
            Format::Opus(opus) => {
                // The configuration of the packet, and one frame of no bytes: the decoder conceals, or is silent.
                let silence = [piece.payload.first().map_or(0, |toc| toc & 0xfc)];
                let length = frame_samples(Codec::Opus, &silence);
                let length = u64::from(length.map_err(|error| failed(io::Error::other(error)))?);
                while self.end + length <= place {
                    self.end += length;
                    opus.push(&silence, self.end).map_err(&failed)?;
                }
            }
            Format::Wav(wav) => {
                while self.end < place {
                    let missing = (place - self.end).div_ceil(G711);
                    let some = missing.min(SILENCE.len() as u64);
                    wav.write(&SILENCE[..some as usize])?;
                    self.end += some * G711;
                }
            }
        }
        if place + piece.duration <= self.end {
            return Ok(());
        }
        self.end += piece.duration;
        match &mut self.file {
            Format::Opus(opus) => opus.push(piece.payload, self.end).map_err(&failed),
            Format::Wav(wav) => {
                let law = if piece.codec == Codec::Pcma {
                    Law::A
                } else {
                    Law::Mu
                };
                let pcm: Vec<i16> = piece.payload.iter().map(|code| law.decode(*code)).collect();
                wav.write(&pcm)
            }
        }
    }

    fn finish(self) -> Result<(), FileError> {
        match self.file {
            Format::Opus(opus) => opus.finish().map_err(FileError::write(&self.path)),
            Format::Wav(wav) => wav.finish(),
        }
    }
}

impl Format {
    fn create(path: &Path, codec: Codec) -> Result<Self, FileError> {
        if codec != Codec::Opus {
            return Ok(Self::Wav(WavFile::create_new(path, 8_000)?));
        }
        let file = File::create_new(path).map_err(FileError::write(path))?;
        let file = OpusFile::new(BufWriter::new(file));
        Ok(Self::Opus(file.map_err(FileError::write(path))?))
    }
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track")
            .field("path", &self.path)
            .field("begin", &self.begin)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use parlour_tokio::StreamKey;

    use super::*;
    use crate::{Source, WavSource};

    fn stream() -> StreamRef {
        StreamRef {
            participant: ParticipantId::new("anna/b").unwrap(),
            key: StreamKey::new("mic").unwrap(),
        }
    }

    /// 20 ms of a stream that begins a second after the recording; it comes `ms` after the recording has begun.
    fn piece(codec: Codec, ms: u64) -> Piece<'static> {
        Piece {
            codec,
            timestamp: (ms - 1_000) * 48,
            duration: 960,
            arrived: ms * 48,
            payload: match codec {
                // CELT, 20 ms, mono, silent.
                Codec::Opus => &[0xf8, 0xff, 0xfe],
                _ => &[0x10; 160],
            },
        }
    }

    fn length(path: &Path) -> usize {
        let (mut source, mut pcm) = (Source::open(path).unwrap(), Vec::new());
        while source.read(&mut pcm).unwrap() {}
        pcm.len()
    }

    #[tokio::test]
    async fn a_second_of_a_file_is_a_second_of_the_room() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracks = Tracks::create(folder.path()).unwrap();
        // After 3 s a pause of 4 s.
        for ms in (1_000..3_000).chain(7_000..8_000).step_by(20) {
            for codec in [Codec::Opus, Codec::Pcmu] {
                let new = tracks.put(&stream(), &piece(codec, ms)).unwrap();
                assert_eq!(new.is_some(), ms == 1_000, "{codec:?} at {ms}");
            }
        }
        // Once more.
        tracks.put(&stream(), &piece(Codec::Opus, 7_980)).unwrap();
        tracks.finish().unwrap();
        let opus = folder.path().join("anna%2Fb-mic.opus");
        assert_eq!(length(&opus), 8 * 48_000);
        let wav = folder.path().join("anna%2Fb-mic.wav");
        let (mut source, mut pcm) = (WavSource::open(&wav).unwrap(), Vec::new());
        source.read(usize::MAX, &mut pcm).unwrap();
        assert_eq!(pcm.len(), 8 * 8_000);
        let loud = |second: usize| {
            pcm[second * 8_000..][..8_000]
                .iter()
                .all(|sample| *sample != 0)
        };
        assert_eq!(
            [0, 1, 2, 3, 6, 7].map(loud),
            [false, true, true, false, false, true]
        );
    }

    #[tokio::test]
    async fn no_frame_makes_a_file_longer_than_the_recording() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracks = Tracks::create(folder.path()).unwrap();
        let first = piece(Codec::Pcma, 1_000);
        tracks.put(&stream(), &first).unwrap();
        let ahead = Piece {
            timestamp: u64::MAX,
            ..first
        };
        tracks.put(&stream(), &ahead).unwrap();
        tracks.finish().unwrap();
        let samples = length(&folder.path().join("anna%2Fb-mic.wav"));
        assert!(
            (2 * 48_000..2 * 48_000 + 1_000).contains(&samples),
            "{samples}"
        );
    }

    #[tokio::test]
    async fn one_participant_fills_no_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracks = Tracks::create(folder.path()).unwrap();
        let mut made = |participant: &str, key: usize| {
            let stream = StreamRef {
                participant: ParticipantId::new(participant).unwrap(),
                key: StreamKey::new(&key.to_string()).unwrap(),
            };
            let new = tracks.put(&stream, &piece(Codec::Opus, 1_000));
            new.unwrap().is_some()
        };
        let of_anna = (0..100).filter(|key| made("anna", *key)).count();
        assert_eq!(of_anna, FILES_OF_ONE);
        assert!(made("ben", 0));
        // What has a file goes on.
        assert!(!made("anna", 0));
        tracks.finish().unwrap();
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            FILES_OF_ONE + 1
        );
    }

    #[tokio::test]
    async fn earlier_recordings_stay() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let mut tracks = Tracks::create(folder.path()).unwrap();
            tracks.put(&stream(), &piece(Codec::Opus, 1_000)).unwrap();
            tracks.finish().unwrap();
        }
        for name in [
            "anna%2Fb-mic.opus",
            "anna%2Fb-mic-2.opus",
            "anna%2Fb-mic-3.opus",
        ] {
            assert_eq!(length(&folder.path().join(name)), 48_960, "{name}");
        }
    }
}
