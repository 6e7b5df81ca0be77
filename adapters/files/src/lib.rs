//! Files of sound and pictures, for programs that play to a room or record it.
//!
//! ```text
//! WAV, Ogg Opus ──► Source ──► mono PCM at 48 kHz ──► AudioWriter ──► room
//! room ──► MixedReader ──► mono PCM ──► WavFile
//! room ──► FrameReader ──► frames ──► Tracks: Ogg Opus or WAV, one file for each stream
//! server ──► MediaTap ──► packets ──► recording::StreamFile: the same
//! room ──► VideoReader ──► pictures ──► pictures::PictureFile: WebM or Matroska, one file for each stream
//! recordings of a session ──► compose::compose ──► Ogg Opus or WAV, one file for all of them
//! ```
//!
//! A [`Source`] reads as much as it is asked for, so that a file of any length needs the same memory. Written files are whole up
//! to the last second at any time: a program that is killed leaves files that can be played.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod compose;
mod error;
mod input;
mod ogg_opus;
mod ogg_page;
pub mod pictures;
pub mod recording;
mod resample;
mod riff;
mod sink;
mod source;
mod tracks;
mod wav;

pub use error::FileError;
pub use input::raw_pcm;
pub use resample::Resampler;
pub use source::Source;
pub use tracks::Tracks;
pub use wav::{WavFile, WavSource};
