//! A file as PCM, whatever its format.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use crate::FileError;
use crate::ogg_opus::OpusSource;
use crate::resample::Resampler;
use crate::wav::WavSource;

/// Samples per second of what a [`Source`] gives.
const RATE: u32 = 48_000;

/// A WAV or Ogg Opus file, read piece by piece as mono PCM at 48 kHz.
///
/// WAV may have 8 to 192 kHz, 8 to 32 bits or floats, and any number of channels, which are averaged. Ogg Opus may be mono or
/// stereo.
///
/// ```no_run
/// # fn example() -> Result<(), parlour_files::FileError> {
/// let mut source = parlour_files::Source::open("welcome.opus".as_ref())?;
/// let mut pcm = Vec::new();
/// while source.read(&mut pcm)? {}
/// println!("{} s", pcm.len() as f32 / 48_000.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    format: Format,
    is_lenient: bool,
}

#[derive(Debug)]
enum Format {
    Wav {
        file: Box<WavSource>,
        resampler: Option<Box<Resampler>>,
        piece: Vec<i16>,
    },
    Opus(Box<OpusSource>),
}

impl Source {
    /// Opens a file, and looks what it is.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::open_as(path, false)
    }

    /// Opens a recording of what others have sent. A packet of theirs that cannot be decoded is silence for as long as it says
    /// that it lasts: nobody makes the whole file unreadable by sending one.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open_recording(path: &Path) -> Result<Self, FileError> {
        Self::open_as(path, true)
    }

    fn open_as(path: &Path, is_lenient: bool) -> Result<Self, FileError> {
        let read = FileError::read(path);
        let mut file = BufReader::new(File::open(path).map_err(&read)?);
        let mut magic = [0; 4];
        match file.read_exact(&mut magic) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(read(error)),
        }
        file.rewind().map_err(&read)?;
        let format = match &magic {
            b"RIFF" => {
                let file = Box::new(WavSource::new(file, path)?);
                Format::Wav {
                    resampler: Resampler::new(file.hz(), RATE).map(Box::new),
                    file,
                    piece: Vec::new(),
                }
            }
            b"OggS" => Format::Opus(Box::new(OpusSource::new(file, path, is_lenient)?)),
            _ => {
                let problem = "is neither WAV nor Ogg Opus: convert it, for example by `ffmpeg -i FILE FILE.opus`";
                return Err(FileError::unsupported(path, problem));
            }
        };
        let path = path.to_owned();
        Ok(Self {
            path,
            format,
            is_lenient,
        })
    }

    /// Appends the next piece, about 100 ms, to `pcm`: `false` at the end of the file, with nothing appended.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn read(&mut self, pcm: &mut Vec<i16>) -> Result<bool, FileError> {
        let before = pcm.len();
        match &mut self.format {
            Format::Opus(file) => return file.read(pcm),
            Format::Wav {
                file,
                resampler: None,
                ..
            } => file.read(RATE as usize / 10, pcm)?,
            Format::Wav {
                file,
                resampler: Some(resampler),
                piece,
            } => loop {
                piece.clear();
                file.read(resampler.wants(), piece)?;
                let is_more = resampler.convert(piece, pcm);
                if !is_more || pcm.len() > before {
                    break;
                }
            },
        }
        Ok(pcm.len() > before)
    }

    /// Begins anew.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn rewind(&mut self) -> Result<(), FileError> {
        *self = Self::open_as(&self.path, self.is_lenient)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
