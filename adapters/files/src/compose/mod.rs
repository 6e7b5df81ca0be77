//! Compositions: the recordings of a session as one file.
//!
//! ```text
//! recordings ──► Source ──► Clock: drift undone ──► Mixdown: 20 ms at a time ──► Ogg Opus or WAV
//!                                                         │
//!                                                         └──► levels ──► video: plates ──► ffmpeg ──► MP4 or WebM
//! ```
//!
//! * **Place.** A recording stands where its beginning on the session's clock says. The clocks of its publisher and of the
//!   recorder run apart, which its [anchors](Anchor) tell: an hour of two clocks that are 200 ppm apart stays within 20 ms.
//! * **Loudness** is as it was. Where the voices of a channel are louder together than 16 bits can tell, the sum is limited to
//!   that sample by sample (saturation), as it is for those who listen in the room.
//! * **Memory** does not grow with the length: only the recordings of the moment are open, each with less than a second of sound.
//! * **The file** has exactly the length that is asked for, whatever the recordings say, and never more than
//!   [`max_bytes`](Job::max_bytes). M4A, MP4 and WebM are made by the program `ffmpeg`, version 5 or later. A packet that cannot be decoded is silence. A recording that is no sound file is an error.
//!
//! ```no_run
//! use parlour_files::compose::{Audio, Format, Input, Job, compose};
//!
//! # fn example() -> Result<(), parlour_files::compose::ComposeError> {
//! let input = |path: &str, participant: &str, start_ms| Input {
//!     path: path.into(),
//!     participant: participant.to_owned(),
//!     name: String::new(),
//!     stream: "mic".to_owned(),
//!     start_ms,
//!     duration_ms: 60_000,
//!     anchors: Vec::new(),
//! };
//! let job = Job {
//!     output: "meeting.ogg".into(),
//!     format: Format::Ogg,
//!     audio: Audio::Mix,
//!     video: None,
//!     ffmpeg: "ffmpeg".into(),
//!     from_ms: 0,
//!     to_ms: 60_000,
//!     max_bytes: 1 << 30,
//!     inputs: vec![input("anna.opus", "anna", 0), input("ben.opus", "ben", 2_500)],
//! };
//! let composed = compose(&job, |done| println!("{:.0} %", done * 100.0))?;
//! println!("{} bytes", composed.size);
//! # Ok(())
//! # }
//! ```

mod clock;
mod ffmpeg;
mod mixdown;
mod output;
mod video;
mod voice;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::FileError;
pub use clock::Clock;
use mixdown::Mixdown;
use output::Output;
pub use video::{
    HEIGHTS, Layout, MAX_CELLS, MAX_REGIONS, RATES, Region, Video, VideoError, WIDTHS,
};

/// Samples that are mixed at a time: 20 ms.
const BLOCK: usize = 960;
/// Channels of a file at most.
pub const MAX_TRACKS: usize = 32;
/// How much of the work on a picture with sound the sound is.
const SOUND: f32 = 0.2;
/// The longest composition: a week.
const LONGEST_MS: i64 = 7 * 24 * 3_600_000;

/// What is to be composed. All times are in ms on the session's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The file, which must not be there.
    pub output: PathBuf,
    /// Its format.
    pub format: Format,
    /// Its channels.
    pub audio: Audio,
    /// Its picture: for MP4 and WebM.
    #[serde(default)]
    pub video: Option<Video>,
    /// The program that makes M4A, MP4 and WebM.
    #[serde(default = "ffmpeg_program")]
    pub ffmpeg: PathBuf,
    /// When it begins.
    pub from_ms: i64,
    /// When it ends.
    pub to_ms: i64,
    /// The most bytes that it may have.
    pub max_bytes: u64,
    /// The recordings, in any order.
    pub inputs: Vec<Input>,
}

/// A recording of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its file: Ogg Opus or WAV.
    pub path: PathBuf,
    /// Whose stream it is.
    pub participant: String,
    /// Its name, as others see it; without one, its id is shown.
    #[serde(default)]
    pub name: String,
    /// The stream's key.
    pub stream: String,
    /// When it begins.
    pub start_ms: i64,
    /// How long it is, in ms. Its participant is seen for so long.
    #[serde(default)]
    pub duration_ms: u64,
    /// Places in it and their times, in their order; none if they are not known.
    #[serde(default)]
    pub anchors: Vec<Anchor>,
}

fn ffmpeg_program() -> PathBuf {
    "ffmpeg".into()
}

/// A place in a recording, and when that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The place, in ms since the beginning of the file.
    pub place_ms: u64,
    /// The time, in ms since the recording began.
    pub at_ms: u64,
}

/// The format of a composition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Ogg Opus at 48 kHz: 64 kb/s in mono, 96 kb/s in stereo.
    Ogg,
    /// WAV at 48 kHz with 16 bits. A file holds 4 GiB: 12 hours in mono.
    Wav,
    /// AAC in MP4, with the index first: 96 kb/s in mono, 128 kb/s in stereo.
    M4a,
    /// H.264 and AAC in MP4, with the index first.
    Mp4,
    /// VP8 and Opus in WebM.
    Webm,
}

impl Format {
    /// Whether it has a picture.
    pub fn has_video(self) -> bool {
        matches!(self, Self::Mp4 | Self::Webm)
    }

    /// Whether it is made by ffmpeg.
    pub fn needs_ffmpeg(self) -> bool {
        matches!(self, Self::M4a | Self::Mp4 | Self::Webm)
    }
}

/// The channels of a composition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Audio {
    /// One channel with all.
    Mix,
    /// Two channels. Who is on both sides is heard on both, who is on neither is not heard.
    Dual {
        /// Who is on the left.
        left: Side,
        /// Who is on the right.
        right: Side,
    },
    /// A channel for each stream of each participant, in the order in which they begin: WAV, 32 at most.
    Tracks,
}

/// Who is heard on a side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// All participants.
    All,
    /// All who are not on the other side.
    Rest,
    /// These participants.
    #[serde(untagged)]
    Only(Vec<String>),
}

impl Side {
    fn has(&self, participant: &str, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) | (Self::Rest, Self::Rest) => true,
            (Self::Only(own), _) => own.iter().any(|id| id == participant),
            (Self::Rest, other) => !other.has(participant, self),
        }
    }
}

/// A file that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Composed {
    /// Its length.
    pub duration_ms: u64,
    /// Its bytes.
    pub size: u64,
}

/// Why nothing is composed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// It would end before it begins, or last longer than a week.
    #[error(
        "it is from {from_ms} to {to_ms} ms: it has to end behind its beginning, and within a week of it"
    )]
    Window {
        /// Its beginning.
        from_ms: i64,
        /// Its end.
        to_ms: i64,
    },
    /// Both sides are the rest of the other.
    #[error("both sides are `rest`: name those who are on one of them")]
    BothRest,
    /// There are more streams than a file has tracks.
    #[error(
        "there are {0} streams, and a file has {MAX_TRACKS} tracks: choose a shorter time, or `mix`"
    )]
    TooManyTracks(usize),
    /// Tracks are for WAV only.
    #[error("tracks need the format `wav`")]
    TracksNeedWav,
    /// The file has or would have more bytes than it may.
    #[error(
        "the file would have more than {most} bytes: choose a shorter time, fewer channels, or `ogg`"
    )]
    TooLarge {
        /// The most that it may have.
        most: u64,
    },
    /// The encoder refuses, which it never does for the sound that it is given here.
    #[error("the encoder has failed: {0}")]
    Encoder(String),
    /// The format has a picture, and the job says nothing of it.
    #[error("a file with a picture needs `video`")]
    NoVideo,
    /// The job has a picture, and the format has none.
    #[error("the format has no picture: choose `mp4` or `webm`")]
    NoPicture,
    /// The picture cannot be made so.
    #[error("the picture cannot be made: {0}")]
    Video(#[from] VideoError),
    /// `ffmpeg` is not there, or has failed: it says why on the stderr of this process.
    #[error("ffmpeg has failed: {0}")]
    Ffmpeg(String),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Samples in a time.
fn samples(ms: i64) -> i64 {
    ms.saturating_mul(48)
}

impl Job {
    /// How many channels there are, and in which of them each input is heard.
    fn channels(&self) -> Result<(usize, Vec<Vec<usize>>), ComposeError> {
        let inputs = self.inputs.iter();
        match &self.audio {
            Audio::Mix => Ok((1, inputs.map(|_| vec![0]).collect())),
            Audio::Dual { left, right } => {
                if (left, right) == (&Side::Rest, &Side::Rest) {
                    return Err(ComposeError::BothRest);
                }
                let of = inputs.map(|input| {
                    let sides = [(left, right), (right, left)].into_iter().enumerate();
                    let heard =
                        sides.filter(|(_, (own, other))| own.has(&input.participant, other));
                    heard.map(|(channel, _)| channel).collect()
                });
                Ok((2, of.collect()))
            }
            Audio::Tracks if self.format != Format::Wav => Err(ComposeError::TracksNeedWav),
            Audio::Tracks => {
                let mut begins: Vec<_> = inputs.collect();
                begins.sort_by_key(|input| (input.start_ms, &input.participant, &input.stream));
                let mut tracks: Vec<(&str, &str)> = Vec::new();
                for input in begins {
                    let stream = (input.participant.as_str(), input.stream.as_str());
                    if !tracks.contains(&stream) {
                        tracks.push(stream);
                    }
                }
                if tracks.len() > MAX_TRACKS {
                    return Err(ComposeError::TooManyTracks(tracks.len()));
                }
                let of = self.inputs.iter().map(|input| {
                    let stream = (input.participant.as_str(), input.stream.as_str());
                    tracks
                        .iter()
                        .position(|track| *track == stream)
                        .into_iter()
                        .collect()
                });
                // Without an input there is silence.
                Ok((tracks.len().max(1), of.collect()))
            }
        }
    }
}

/// Composes a file. `progress` is told how much is done, from 0 to 1, after each second.
///
/// # Errors
/// [`ComposeError`]; there is no file then.
pub fn compose(job: &Job, mut progress: impl FnMut(f32)) -> Result<Composed, ComposeError> {
    let length = job.to_ms.saturating_sub(job.from_ms);
    if !(1..=LONGEST_MS).contains(&length) {
        return Err(ComposeError::Window {
            from_ms: job.from_ms,
            to_ms: job.to_ms,
        });
    }
    let (channels, of) = job.channels()?;
    let total = samples(length).unsigned_abs();
    let hear = |path: &Path, format, progress: &mut dyn FnMut(f32)| {
        // At most 32.
        let output = Output::create(job, path, format, channels as u16, total)?;
        let heard = write(Mixdown::new(job, channels, &of), output, total, progress);
        removed_if_failed(path, heard)
    };
    match (&job.video, job.format) {
        (None, Format::Mp4 | Format::Webm) => return Err(ComposeError::NoVideo),
        (None, format) => hear(&job.output, format, &mut progress)?,
        (Some(_), Format::Ogg | Format::Wav | Format::M4a) => return Err(ComposeError::NoPicture),
        (Some(video), format) => {
            video.check()?;
            let sound = video::beside(&job.output, "sound");
            let of_sound = match format {
                Format::Webm => Format::Ogg,
                _ => Format::M4a,
            };
            hear(&sound, of_sound, &mut |done| progress(done * SOUND))?;
            let filmed = reserve(&job.output).and_then(|()| {
                let progress = |done: f32| progress(SOUND + done * (1.0 - SOUND));
                let filmed = video::film(job, video, &sound, progress);
                removed_if_failed(&job.output, filmed)
            });
            // It is in the file.
            let _ = fs::remove_file(&sound);
            filmed?;
        }
    }
    let about = fs::metadata(&job.output).map_err(FileError::read(&job.output));
    let size = about.map(|about| about.len())?;
    // ffmpeg ends a file before the packet with which it would be too large.
    if job.format.needs_ffmpeg() && size.saturating_add(size / 64) >= job.max_bytes {
        let most = job.max_bytes;
        return removed_if_failed(&job.output, Err(ComposeError::TooLarge { most }));
    }
    Ok(Composed {
        duration_ms: length.unsigned_abs(),
        size,
    })
}

/// Makes a file that another program writes, unless it is there.
fn reserve(path: &Path) -> Result<(), ComposeError> {
    let made = fs::File::create_new(path).map_err(FileError::write(path));
    Ok(made.map(drop)?)
}

/// Removes a file that is not whole.
fn removed_if_failed<T>(path: &Path, done: Result<T, ComposeError>) -> Result<T, ComposeError> {
    let is_own = !matches!(done, Err(ComposeError::File(FileError::Exists { .. })));
    if done.is_err() && is_own {
        // The first error is the one to tell.
        let _ = fs::remove_file(path);
    }
    done
}

fn write(
    mut mixdown: Mixdown<'_>,
    mut output: Output,
    total: u64,
    progress: &mut dyn FnMut(f32),
) -> Result<(), ComposeError> {
    let mut block = Vec::new();
    let mut blocks: u64 = 0;
    while mixdown.next(&mut block)? {
        output.write(&block)?;
        blocks += 1;
        if blocks.is_multiple_of(50) {
            progress((blocks * BLOCK as u64) as f32 / total as f32);
        }
    }
    output.finish()
}

#[cfg(test)]
mod tests;
