//! A file for each stream of a room, with its frames as they came.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parlour_tokio::{Codec, EncodedFrame, ParticipantId, StreamRef};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::Instant;

use crate::FileError;
use crate::recording::{FileStart, RecordedPacket, StreamFile};

/// Files of one participant, and in all.
const FILES_OF_ONE: usize = 16;
const FILES: usize = 256;

/// How often files go on whose streams are silent.
const TICK: Duration = Duration::from_millis(200);

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
    /// When the files were last told the time, since then.
    ticked: Duration,
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
            ticked: Duration::ZERO,
            tracks: BTreeMap::new(),
        })
    }

    /// Writes a frame at its place, see [`recording`](crate::recording); one that comes too late is left out. Tells if it is
    /// the first one of a file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn write(&mut self, frame: &EncodedFrame) -> Result<Option<&Path>, FileError> {
        let packet = RecordedPacket {
            // The low bits tell those that are close to each other apart.
            sequence: frame.sequence as u16,
            // A file has the clock of its codec; a frame has that of Opus, whatever its codec.
            timestamp: match frame.codec {
                Codec::Opus => frame.timestamp,
                _ => frame.timestamp / 6,
            } as u32,
            level: None,
            payload: &frame.payload,
        };
        let at = frame.arrived.saturating_duration_since(self.started);
        if at >= self.ticked + TICK {
            self.ticked = at;
            for track in self.tracks.values_mut() {
                let ticked = track.file.tick(at);
                ticked.map_err(FileError::write(&track.path))?;
            }
        }
        self.put(&frame.stream, frame.codec, at, packet)
    }

    fn put(
        &mut self,
        stream: &StreamRef,
        codec: Codec,
        at: Duration,
        packet: RecordedPacket<'_>,
    ) -> Result<Option<&Path>, FileError> {
        let name = file_name(stream, codec);
        if !self.tracks.contains_key(&name) && !self.has_room(&stream.participant) {
            return Ok(None);
        }
        let (track, is_new) = match self.tracks.entry(name) {
            Entry::Occupied(track) => (track.into_mut(), false),
            Entry::Vacant(place) => {
                let participant = stream.participant.clone();
                let track = Track::create(&self.folder, place.key(), participant, codec)?;
                (place.insert(track), true)
            }
        };
        let written = track.file.packet(at, packet);
        written.map_err(FileError::write(&track.path))?;
        Ok(is_new.then_some(&track.path))
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
        let now = self.started.elapsed();
        let mut finished = Ok(());
        for Track { path, file, .. } in self.tracks.into_values() {
            let own = file.finish(now).map(drop);
            finished = finished.and(own.map_err(FileError::write(&path)));
        }
        finished
    }
}

/// The name of a stream's file without its number. All but letters and digits are percent-encoded, so that no two streams share
/// one.
fn file_name(stream: &StreamRef, codec: Codec) -> String {
    let encode = |name| utf8_percent_encode(name, NON_ALPHANUMERIC);
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

/// The file of one stream.
#[derive(Debug)]
struct Track {
    participant: ParticipantId,
    path: PathBuf,
    file: StreamFile,
}

impl Track {
    /// A new file; earlier recordings in the folder stay.
    fn create(
        folder: &Path,
        name: &str,
        participant: ParticipantId,
        codec: Codec,
    ) -> Result<Self, FileError> {
        let start = FileStart {
            codec,
            serial: 1,
            comments: &[],
        };
        let mut number = 1;
        loop {
            let path = folder.join(numbered(name, number));
            let file = File::create_new(&path).and_then(|file| StreamFile::create(file, &start));
            match file.map_err(FileError::write(&path)) {
                Ok(file) => {
                    return Ok(Self {
                        participant,
                        path,
                        file,
                    });
                }
                Err(FileError::Exists { .. }) => number += 1,
                Err(error) => return Err(error),
            }
        }
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

    /// Puts 20 ms of a stream that begins a second after the recording, and comes `ms` after the recording has begun.
    fn put(tracks: &mut Tracks, stream: &StreamRef, codec: Codec, ms: u64) -> bool {
        let number = (ms - 1_000) / 20;
        let packet = RecordedPacket {
            sequence: number as u16,
            timestamp: number as u32 * codec.clock_rate() / 50,
            level: None,
            payload: match codec {
                // CELT, 20 ms, mono, silent.
                Codec::Opus => &[0xf8, 0xff, 0xfe],
                _ => &[0x10; 160],
            },
        };
        let at = Duration::from_millis(ms);
        let new = tracks.put(stream, codec, at, packet);
        new.unwrap().is_some()
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
                let is_new = put(&mut tracks, &stream(), codec, ms);
                assert_eq!(is_new, ms == 1_000, "{codec:?} at {ms}");
            }
        }
        // Once more.
        put(&mut tracks, &stream(), Codec::Opus, 7_980);
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
    async fn one_participant_fills_no_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracks = Tracks::create(folder.path()).unwrap();
        let mut made = |participant: &str, key: usize| {
            let stream = StreamRef {
                participant: ParticipantId::new(participant).unwrap(),
                key: StreamKey::new(&key.to_string()).unwrap(),
            };
            put(&mut tracks, &stream, Codec::Opus, 1_000)
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
            put(&mut tracks, &stream(), Codec::Opus, 1_000);
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
