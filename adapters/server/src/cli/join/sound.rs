//! The sound that a participant plays.

use std::f32::consts::TAU;
use std::path::{Path, PathBuf};

#[cfg(feature = "sound-card")]
use parlour_devices::Microphone;
use parlour_files::{FileError, Source, raw_pcm};
use parlour_tokio::{AudioOptions, AudioWriter, SampleRate};
use tokio::sync::mpsc;

use super::ending;
use crate::cli::failure::{Exit, Failure};

/// Samples per second.
const RATE: f32 = 48_000.0;
/// 100 ms.
const PIECE: usize = 4_800;
/// The loudness of a tone: its peak at −14 dB.
const PEAK: f32 = 0.2 * i16::MAX as f32;

/// What is said: mono PCM at 48 kHz, piece by piece, or what a microphone hears.
pub(super) enum Sound {
    File {
        file: Source,
        path: PathBuf,
        again: bool,
    },
    Tone {
        hz: f32,
        /// Of one period.
        phase: f32,
    },
    Input(mpsc::Receiver<Vec<i16>>),
    #[cfg(feature = "sound-card")]
    Microphone(Box<Microphone>),
}

impl Sound {
    /// A file, once or again and again.
    pub(super) fn file(path: &Path, again: bool) -> Result<Self, Failure> {
        let file = Source::open(path).map_err(failed)?;
        let path = path.to_owned();
        Ok(Self::File { file, path, again })
    }

    /// A tone without an end.
    pub(super) fn tone(hz: f32) -> Self {
        Self::Tone { hz, phase: 0.0 }
    }

    /// Standard input.
    pub(super) fn input() -> Self {
        Self::Input(raw_pcm(std::io::stdin()))
    }

    /// How it is sent.
    pub(super) fn options(&self) -> AudioOptions {
        match self {
            #[cfg(feature = "sound-card")]
            Self::Microphone(microphone) => microphone.audio_options(),
            // Not for voices only: a tone and music are no noise.
            _ => AudioOptions::opus(SampleRate::Hz48000),
        }
    }

    /// Plays it to its end, at its own pace.
    pub(super) async fn play(&mut self, mic: &mut AudioWriter) -> Result<(), Failure> {
        #[cfg(feature = "sound-card")]
        if let Self::Microphone(microphone) = self {
            let talked = microphone.talk(mic, |change| eprintln!("{change}")).await;
            return talked.map_err(ending::not_written);
        }
        let mut pcm = Vec::new();
        while self.next(&mut pcm).await? {
            mic.play(&pcm).await.map_err(ending::not_written)?;
        }
        Ok(())
    }

    /// Replaces `pcm` by the next piece; `false` at the end.
    async fn next(&mut self, pcm: &mut Vec<i16>) -> Result<bool, Failure> {
        pcm.clear();
        match self {
            Self::File { file, path, again } => {
                if file.read(pcm).map_err(failed)? || !*again {
                    return Ok(!pcm.is_empty());
                }
                file.rewind().map_err(failed)?;
                if !file.read(pcm).map_err(failed)? {
                    let says = format!("{} holds no sound", path.display());
                    return Err(Failure::new(Exit::Usage, says));
                }
            }
            Self::Tone { hz, phase } => {
                pcm.extend((0..PIECE).map(|_| {
                    let sample = (*phase * TAU).sin() * PEAK;
                    *phase = (*phase + *hz / RATE).fract();
                    sample as i16
                }));
            }
            Self::Input(pieces) => match pieces.recv().await {
                Some(piece) => *pcm = piece,
                None => return Ok(false),
            },
            // It has a pace of its own.
            #[cfg(feature = "sound-card")]
            Self::Microphone(_) => return Ok(false),
        }
        Ok(true)
    }
}

/// A file that is named is part of the command line.
fn failed(error: FileError) -> Failure {
    let exit = match error {
        FileError::Unsupported { .. } | FileError::Exists { .. } => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tone_goes_on_without_a_step() {
        let (mut sound, mut tone, mut pcm) = (Sound::tone(440.0), Vec::new(), Vec::new());
        for _ in 0..10 {
            assert!(sound.next(&mut pcm).await.unwrap());
            tone.append(&mut pcm);
        }
        assert_eq!(tone.len(), 48_000);
        let rises = tone.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0);
        assert!((438..=440).contains(&rises.count()));
        // The steepest that the tone is: 2π · 440 / 48000 of its peak.
        let steepest = tone.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max();
        assert!(steepest.unwrap() <= 380, "{steepest:?}");
    }
}
