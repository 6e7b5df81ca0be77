//! WAV: read as mono PCM, written second by second.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use crate::FileError;

/// The rates that are read.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// The most that a file holds, with some room for its head.
const MOST_BYTES: u64 = u32::MAX as u64 - 1_024;

/// A WAV file, as mono PCM at its own rate.
pub struct WavSource {
    path: PathBuf,
    hz: u32,
    channels: usize,
    samples: Samples,
}

enum Samples {
    Integers {
        samples: hound::WavIntoSamples<BufReader<File>, i32>,
        bits: u16,
    },
    Floats(hound::WavIntoSamples<BufReader<File>, f32>),
}

impl WavSource {
    /// Opens a file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::read(path))?;
        Self::new(BufReader::new(file), path)
    }

    pub(crate) fn new(file: BufReader<File>, path: &Path) -> Result<Self, FileError> {
        let reader = WavReader::new(file).map_err(|error| match error {
            hound::Error::IoError(error) if !is_end(&error) => FileError::read(path)(error),
            hound::Error::Unsupported => FileError::unsupported(
                path,
                "is a WAV file that is not PCM: convert it, for example by `ffmpeg -i FILE -c:a pcm_s16le OTHER.wav`",
            ),
            error => FileError::damaged(path, error),
        })?;
        let WavSpec {
            channels,
            sample_rate: hz,
            bits_per_sample: bits,
            sample_format,
        } = reader.spec();
        if !RATES.contains(&hz) {
            let problem = format!("is at {hz} Hz: resample it to 48 kHz");
            return Err(FileError::unsupported(path, problem));
        }
        if channels == 0 || bits == 0 {
            return Err(FileError::damaged(path, "it has no channels or no bits"));
        }
        let samples = match sample_format {
            SampleFormat::Float => Samples::Floats(reader.into_samples()),
            SampleFormat::Int => Samples::Integers {
                samples: reader.into_samples(),
                bits,
            },
        };
        Ok(Self {
            path: path.to_owned(),
            hz,
            channels: channels.into(),
            samples,
        })
    }

    /// Samples per second.
    pub fn hz(&self) -> u32 {
        self.hz
    }

    /// Appends the next samples to `pcm`: so many, or fewer at the end of the file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn read(&mut self, samples: usize, pcm: &mut Vec<i16>) -> Result<(), FileError> {
        for _ in 0..samples {
            let mut sum = 0;
            for _ in 0..self.channels {
                let Some(sample) = self.samples.next() else {
                    return Ok(());
                };
                match sample {
                    Ok(sample) => sum += i64::from(sample),
                    // Cut off, as by a program that was killed while it wrote.
                    Err(hound::Error::IoError(error)) if is_end(&error) => return Ok(()),
                    Err(hound::Error::IoError(error)) => {
                        return Err(FileError::read(&self.path)(error));
                    }
                    Err(error) => return Err(FileError::damaged(&self.path, error)),
                }
            }
            // The mean of samples is within their range.
            pcm.push((sum / self.channels as i64) as i16);
        }
        Ok(())
    }
}

impl Samples {
    /// The next sample, with 16 bits.
    fn next(&mut self) -> Option<hound::Result<i16>> {
        match self {
            // Saturates; no number is silence.
            Self::Floats(samples) => {
                Some(samples.next()?.map(|wide| (wide * 32_768.0).round() as i16))
            }
            Self::Integers { samples, bits } => Some(samples.next()?.map(|wide| match *bits {
                // What does not fit says its file wrongly.
                16.. => (wide >> (*bits - 16)) as i16,
                bits => (wide << (16 - bits)) as i16,
            })),
        }
    }
}

impl fmt::Debug for WavSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WavSource")
            .field("path", &self.path)
            .field("hz", &self.hz)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

/// Whether the file has ended too early. `hound` says so with an error of its own.
fn is_end(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

/// A WAV file under way: mono, 16 bits. Each second the size in its head is brought up to date.
pub struct WavFile {
    path: PathBuf,
    hz: u32,
    writer: WavWriter<BufWriter<File>>,
    unflushed: u32,
}

impl WavFile {
    /// Makes a file for `hz` samples per second; one that is there already stays as it is.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn create_new(path: &Path, hz: u32) -> Result<Self, FileError> {
        Self::new(File::create_new(path), path, hz)
    }

    /// Makes a file for `hz` samples per second, in the place of one that is there already.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn create(path: &Path, hz: u32) -> Result<Self, FileError> {
        Self::new(File::create(path), path, hz)
    }

    fn new(file: io::Result<File>, path: &Path, hz: u32) -> Result<Self, FileError> {
        let file = file.map_err(FileError::write(path))?;
        let spec = WavSpec {
            channels: 1,
            sample_rate: hz,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let writer = WavWriter::new(BufWriter::new(file), spec);
        Ok(Self {
            path: path.to_owned(),
            hz,
            writer: writer.map_err(|error| failed(path, error))?,
            unflushed: 0,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends samples.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn write(&mut self, pcm: &[i16]) -> Result<(), FileError> {
        for sample in pcm {
            if u64::from(self.writer.len()) * 2 >= MOST_BYTES {
                return Err(FileError::Full {
                    path: self.path.clone(),
                });
            }
            let written = self.writer.write_sample(*sample);
            written.map_err(|error| failed(&self.path, error))?;
            self.unflushed += 1;
        }
        if self.unflushed >= self.hz {
            self.unflushed = 0;
            let flushed = self.writer.flush();
            flushed.map_err(|error| failed(&self.path, error))?;
        }
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn finish(self) -> Result<(), FileError> {
        let finished = self.writer.finalize();
        finished.map_err(|error| failed(&self.path, error))
    }
}

impl fmt::Debug for WavFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WavFile")
            .field("path", &self.path)
            .field("samples", &self.writer.len())
            .finish_non_exhaustive()
    }
}

fn failed(path: &Path, error: hound::Error) -> FileError {
    let error = match error {
        hound::Error::IoError(error) => error,
        error => io::Error::other(error),
    };
    FileError::write(path)(error)
}
