//! WAV: read as mono PCM, written second by second.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec};
use parlour_tokio::core::audio::g711::Law;

use crate::FileError;
use crate::riff::{Coding, Head, RiffFile};

/// The rates that are read.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;

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
    G711 {
        samples: io::Bytes<io::Take<BufReader<File>>>,
        law: Law,
    },
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

    pub(crate) fn new(mut file: BufReader<File>, path: &Path) -> Result<Self, FileError> {
        let g711 = G711::find(&mut file).map_err(FileError::read(path))?;
        if let Some(G711 {
            law,
            channels,
            hz,
            bytes,
        }) = g711
        {
            let samples = Samples::G711 {
                samples: file.take(bytes.into()).bytes(),
                law,
            };
            return Self::of(samples, channels, hz, path);
        }
        file.rewind().map_err(FileError::read(path))?;
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
        if bits == 0 {
            return Err(FileError::damaged(path, "it has no bits"));
        }
        let samples = match sample_format {
            SampleFormat::Float => Samples::Floats(reader.into_samples()),
            SampleFormat::Int => Samples::Integers {
                samples: reader.into_samples(),
                bits,
            },
        };
        Self::of(samples, channels, hz, path)
    }

    fn of(samples: Samples, channels: u16, hz: u32, path: &Path) -> Result<Self, FileError> {
        if !RATES.contains(&hz) {
            let problem = format!("is at {hz} Hz: resample it to 48 kHz");
            return Err(FileError::unsupported(path, problem));
        }
        if channels == 0 {
            return Err(FileError::damaged(path, "it has no channels"));
        }
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
            Self::G711 { samples, law } => {
                let code = samples.next()?.map_err(hound::Error::IoError);
                Some(code.map(|code| law.decode(code)))
            }
        }
    }
}

/// What the head of a WAV file with G.711 says. `hound` does not read these.
struct G711 {
    law: Law,
    channels: u16,
    hz: u32,
    /// How many bytes of samples follow.
    bytes: u32,
}

impl G711 {
    /// Looks for the samples; `None` if they are of another kind, or there are none.
    fn find(file: &mut BufReader<File>) -> io::Result<Option<Self>> {
        let mut found = None;
        let Some(_riff) = read_exactly::<12>(file)? else {
            return Ok(None);
        };
        while let Some([a, b, c, d, size @ ..]) = read_exactly::<8>(file)? {
            let size = u32::from_le_bytes(size);
            let mut rest = i64::from(size) + i64::from(size % 2);
            match &[a, b, c, d] {
                b"data" => {
                    return Ok(found.map(|(law, channels, hz)| Self {
                        law,
                        channels,
                        hz,
                        bytes: size,
                    }));
                }
                b"fmt " => {
                    let Some([tag, tag_high, channels, channels_high, hz @ ..]) =
                        read_exactly::<8>(file)?
                    else {
                        return Ok(None);
                    };
                    let Some(Coding::G711(law)) =
                        Coding::of_tag(u16::from_le_bytes([tag, tag_high]))
                    else {
                        return Ok(None);
                    };
                    let channels = u16::from_le_bytes([channels, channels_high]);
                    found = Some((law, channels, u32::from_le_bytes(hz)));
                    rest -= 8;
                }
                _ => {}
            }
            file.seek_relative(rest)?;
        }
        Ok(None)
    }
}

/// The next bytes; `None` if there are not so many.
fn read_exactly<const N: usize>(file: &mut BufReader<File>) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
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

/// A WAV file under way: mono, 16 bits. Each second the sizes in its head are brought up to date.
#[derive(Debug)]
pub struct WavFile {
    path: PathBuf,
    file: RiffFile,
    hz: u32,
    unflushed: usize,
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
        let coding = Coding::Pcm16;
        let file = file.and_then(|file| RiffFile::new(file, Head { coding, hz }));
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(FileError::write(path))?,
            hz,
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
        let mut bytes = [0; 1_024];
        for piece in pcm.chunks(bytes.len() / 2) {
            let places = bytes.chunks_exact_mut(2);
            for (place, sample) in places.zip(piece) {
                place.copy_from_slice(&sample.to_le_bytes());
            }
            let written = self.file.write(&bytes[..piece.len() * 2]);
            written.map_err(FileError::write(&self.path))?;
        }
        self.unflushed += pcm.len();
        if self.unflushed >= self.hz as usize {
            self.unflushed = 0;
            self.file.flush().map_err(FileError::write(&self.path))?;
        }
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    /// [`FileError`]
    pub fn finish(self) -> Result<(), FileError> {
        let finished = self.file.finish();
        finished.map(drop).map_err(FileError::write(&self.path))
    }
}
