//! Recordings: the sound that a participant hears, in files.

use std::path::{Path, PathBuf};

use parlour_files::{FileError, Tracks, WavFile};
use parlour_server::time::Timestamp;
use parlour_tokio::{FrameReader, Room, SampleRate};

use crate::cli::failure::{Exit, Failure};

/// The rate of the mix.
const RATE: SampleRate = SampleRate::Hz48000;

/// The recordings that the user wants.
#[derive(Debug)]
pub(super) struct Recorders {
    mix: Option<WavFile>,
    each: Option<(Tracks, Option<FrameReader>)>,
}

impl Recorders {
    /// Makes what is needed: `mix` is a WAV file or the folder for one, `each` a folder.
    pub(super) fn create(mix: Option<&Path>, each: Option<&Path>) -> Result<Self, Failure> {
        let mix = mix.map(|mix| WavFile::create_new(&place(mix)?, RATE.hz()));
        let each = each.map(|folder| Ok((Tracks::create(folder)?, None)));
        Ok(Self {
            mix: mix.transpose().map_err(failed)?,
            each: each.transpose().map_err(failed)?,
        })
    }

    /// Removes the file in which nothing is yet.
    pub(super) fn discard(self) {
        if let Some(mix) = self.mix {
            // An empty file that stays does no harm.
            let _ = std::fs::remove_file(mix.path());
        }
    }

    /// Records until a file cannot be written; for ever, if there is none.
    pub(super) async fn record(&mut self, room: &Room) -> Failure {
        let Self { mix, each } = self;
        let failed_mix = async {
            match mix {
                Some(file) => record_mix(file, room).await,
                None => std::future::pending().await,
            }
        };
        let failed_each = async {
            if let Some((tracks, frames)) = each {
                let frames = frames.insert(room.frames());
                if let Err(error) = record_each(tracks, frames).await {
                    return error;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            error = failed_mix => failed(error),
            error = failed_each => failed(error),
        }
    }

    /// Completes the files, once the room is closed.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        let mixed = self.mix.map_or(Ok(()), WavFile::finish);
        let each = match self.each {
            Some((mut tracks, frames)) => {
                let rest = match frames {
                    Some(mut frames) => record_each(&mut tracks, &mut frames).await,
                    None => Ok(()),
                };
                // Whole, also if the disk is full.
                tracks.finish().and(rest)
            }
            None => Ok(()),
        };
        mixed.and(each).map_err(failed)
    }
}

async fn record_mix(file: &mut WavFile, room: &Room) -> FileError {
    let Ok(mut heard) = room.mixed_audio(RATE) else {
        // There is a decoder for each rate.
        return std::future::pending().await;
    };
    let mut pcm = [0; RATE.samples(20)];
    loop {
        heard.next_frame(&mut pcm).await;
        if let Err(error) = file.write(&pcm) {
            return error;
        }
    }
}

/// Writes frames until the room is closed.
async fn record_each(tracks: &mut Tracks, frames: &mut FrameReader) -> Result<(), FileError> {
    while let Some(frame) = frames.next().await {
        if let Some(new) = tracks.write(&frame)? {
            eprintln!("recording {}", new.display());
        }
    }
    Ok(())
}

/// The file that is meant: in a folder, it has the time as its name.
fn place(path: &Path) -> Result<PathBuf, FileError> {
    let is_wav = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
    if is_wav && !path.is_dir() {
        return Ok(path.to_owned());
    }
    std::fs::create_dir_all(path).map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })?;
    // Without colons, which some file systems do not take.
    let time = Timestamp::now().to_string().replace(':', "");
    Ok(path.join(format!("{time}.wav")))
}

fn failed(error: FileError) -> Failure {
    let exit = match error {
        FileError::Exists { .. } => Exit::Conflict,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}
