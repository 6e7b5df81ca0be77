//! The file of a composition.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};
use ropus::{Application, Bitrate, Channels, Encoder};

use super::ffmpeg::Ffmpeg;
use super::{BLOCK, ComposeError, Format, Job, removed_if_failed, reserve};
use crate::FileError;
use crate::ogg_page::{FIRST, LAST, PageWriter};

/// Samples in a second.
const HZ: u32 = 48_000;
/// Of the voices of a room, and for each of two channels less, which have much in common.
const MONO_BITRATE: u32 = 64_000;
const STEREO_BITRATE: u32 = 96_000;
/// The longest packet of Opus.
const LONGEST_PACKET: usize = 1_275;
/// More than the bytes of the head of an Ogg file.
const OGG_HEAD: u64 = 256;
/// Bytes of the head of a WAV file that are not to overflow its sizes.
const WAV_HEAD: u64 = 100;

/// A file under way, which takes blocks of interleaved samples.
pub(super) enum Output {
    Ogg(Box<OggOutput>),
    Wav(Box<WavOutput>),
    /// And the bytes of a block.
    Ffmpeg(Ffmpeg, Vec<u8>),
}

impl Output {
    /// Makes the file. It will have so many samples in each channel.
    ///
    /// # Errors
    /// If it is there already, or is too large.
    pub(super) fn create(
        job: &Job,
        path: &Path,
        format: Format,
        channels: u16,
        samples: u64,
    ) -> Result<Self, ComposeError> {
        let max_bytes = job.max_bytes;
        Ok(match format {
            Format::Ogg if max_bytes < OGG_HEAD => {
                return Err(ComposeError::TooLarge { most: max_bytes });
            }
            Format::Ogg => Self::Ogg(Box::new(OggOutput::create(path, channels, max_bytes)?)),
            Format::Wav => {
                let bytes = samples * 2 * u64::from(channels) + WAV_HEAD;
                let most = max_bytes.min(u32::MAX.into());
                if bytes > most {
                    return Err(ComposeError::TooLarge { most });
                }
                Self::Wav(Box::new(WavOutput::create(path, channels)?))
            }
            // The sound of a file with a picture is made before that.
            Format::M4a | Format::Mp4 | Format::Webm => {
                reserve(path)?;
                let ffmpeg = Ffmpeg::start(&job.ffmpeg, aac(path, channels, max_bytes));
                let ffmpeg = removed_if_failed(path, ffmpeg)?;
                Self::Ffmpeg(ffmpeg, Vec::new())
            }
        })
    }

    /// Appends a block: [`BLOCK`] samples in each channel, or fewer at the end.
    pub(super) fn write(&mut self, block: &[i16]) -> Result<(), ComposeError> {
        match self {
            Self::Ogg(ogg) => ogg.write(block),
            Self::Wav(wav) => Ok(wav.write(block)?),
            Self::Ffmpeg(ffmpeg, bytes) => {
                bytes.clear();
                bytes.extend(block.iter().flat_map(|sample| sample.to_le_bytes()));
                ffmpeg.write(bytes)
            }
        }
    }

    /// Completes the file, and has the operating system write it to the disk.
    pub(super) fn finish(self) -> Result<(), ComposeError> {
        match self {
            Self::Ogg(ogg) => ogg.finish(),
            Self::Wav(wav) => Ok(wav.finish()?),
            Self::Ffmpeg(ffmpeg, _) => ffmpeg.finish(),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ogg(_) => "Ogg",
            Self::Wav(_) => "Wav",
            Self::Ffmpeg(..) => "Ffmpeg",
        })
    }
}

/// What ffmpeg is to do: samples come on its stdin.
fn aac(path: &Path, channels: u16, max_bytes: u64) -> Vec<OsString> {
    let bitrate = if channels == 1 { "96k" } else { "128k" };
    let (hz, channels, most) = (HZ.to_string(), channels.to_string(), max_bytes.to_string());
    let mut arguments: Vec<OsString> = [
        "-f",
        "s16le",
        "-ar",
        &hz,
        "-ac",
        &channels,
        "-i",
        "pipe:0",
        "-c:a",
        "aac",
        "-b:a",
        bitrate,
        "-movflags",
        "+faststart",
        "-fs",
        &most,
        "-f",
        "mp4",
        "-y",
    ]
    .map(Into::into)
    .to_vec();
    arguments.push(path.into());
    arguments
}

/// Ogg Opus ([RFC 7845](https://www.rfc-editor.org/rfc/rfc7845)) in mono or stereo.
pub(super) struct OggOutput {
    path: PathBuf,
    file: BufWriter<File>,
    max_bytes: u64,
    written: u64,
    channels: usize,
    encoder: Encoder,
    page: PageWriter,
    packet: Vec<u8>,
    /// Samples that the decoder is to leave out at the beginning.
    skipped: u64,
    /// Samples of the packets so far, in each channel.
    encoded: u64,
    /// Samples that were given, in each channel.
    given: u64,
    in_page: u64,
    block: Vec<i16>,
}

impl OggOutput {
    fn create(path: &Path, channels: u16, max_bytes: u64) -> Result<Self, ComposeError> {
        let (layout, bitrate) = match channels {
            1 => (Channels::Mono, MONO_BITRATE),
            2 => (Channels::Stereo, STEREO_BITRATE),
            _ => return Err(ComposeError::TracksNeedWav),
        };
        let encoder = Encoder::builder(HZ, layout, Application::Audio)
            .bitrate(Bitrate::Bits(bitrate))
            .build()
            .map_err(|error| ComposeError::Encoder(error.to_string()))?;
        let file = File::create_new(path).map_err(FileError::write(path))?;
        // 6.5 ms: it fits.
        let skipped = encoder.lookahead() as u16;
        let mut output = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            max_bytes,
            written: 0,
            channels: layout.count(),
            encoder,
            // The only stream of its file needs no number of its own.
            page: PageWriter::new(1, 0),
            packet: vec![0; LONGEST_PACKET],
            skipped: skipped.into(),
            encoded: 0,
            given: 0,
            in_page: 0,
            block: Vec::new(),
        };
        let mut head = b"OpusHead\x01".to_vec();
        head.push(output.channels as u8);
        head.extend(skipped.to_le_bytes());
        head.extend(HZ.to_le_bytes());
        // No gain, mapping 0.
        head.extend([0, 0, 0]);
        output.page.push(&head);
        output.end_page(0, FIRST)?;
        output
            .page
            .push(b"OpusTags\x07\x00\x00\x00parlour\x00\x00\x00\x00");
        output.end_page(0, 0)?;
        Ok(output)
    }

    fn write(&mut self, block: &[i16]) -> Result<(), ComposeError> {
        self.given += (block.len() / self.channels) as u64;
        self.block.clear();
        self.block.extend_from_slice(block);
        self.encode()
    }

    /// Encodes what is in the block, with silence behind it.
    fn encode(&mut self) -> Result<(), ComposeError> {
        self.block.resize(BLOCK * self.channels, 0);
        let encoded = self.encoder.encode(&self.block, &mut self.packet);
        let len = encoded.map_err(|error| ComposeError::Encoder(error.to_string()))?;
        let packet = self.packet.get(..len).unwrap_or_default();
        if self.in_page >= HZ.into() || !self.page.fits(packet.len()) {
            self.end_page(self.encoded, 0)?;
        }
        self.page.push(self.packet.get(..len).unwrap_or_default());
        self.in_page += BLOCK as u64;
        self.encoded += BLOCK as u64;
        Ok(())
    }

    fn end_page(&mut self, granule: u64, flags: u8) -> Result<(), ComposeError> {
        self.in_page = 0;
        let page = self.page.take(granule, flags);
        self.written += page.len() as u64;
        if self.written > self.max_bytes {
            let most = self.max_bytes;
            return Err(ComposeError::TooLarge { most });
        }
        let written = self.file.write_all(&page);
        Ok(written.map_err(FileError::write(&self.path))?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), ComposeError> {
        let end = self.skipped + self.given;
        while self.encoded < end {
            self.block.clear();
            self.encode()?;
        }
        self.end_page(end, LAST)?;
        let write = FileError::write(&self.path);
        let file = self.file.into_inner();
        let file = file.map_err(|error| write(error.into_error()))?;
        Ok(file.sync_all().map_err(&write)?)
    }
}

/// WAV with any number of channels, of 16 bits.
pub(super) struct WavOutput {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    file: File,
}

impl WavOutput {
    fn create(path: &Path, channels: u16) -> Result<Self, FileError> {
        let write = FileError::write(path);
        let file = File::create_new(path).map_err(&write)?;
        let spec = WavSpec {
            channels,
            sample_rate: HZ,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let own = file.try_clone().map_err(&write)?;
        let writer = WavWriter::new(BufWriter::new(own), spec);
        Ok(Self {
            path: path.to_owned(),
            writer: writer.map_err(|error| write(io_error(error)))?,
            file,
        })
    }

    fn write(&mut self, block: &[i16]) -> Result<(), FileError> {
        // It has the length that it says.
        let mut writer = self.writer.get_i16_writer(block.len() as u32);
        for sample in block {
            writer.write_sample(*sample);
        }
        let flushed = writer.flush();
        flushed.map_err(|error| FileError::write(&self.path)(io_error(error)))
    }

    fn finish(self) -> Result<(), FileError> {
        let write = FileError::write(&self.path);
        let finished = self.writer.finalize();
        finished.map_err(|error| write(io_error(error)))?;
        self.file.sync_all().map_err(&write)
    }
}

fn io_error(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        error => io::Error::other(error),
    }
}
