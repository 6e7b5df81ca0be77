//! Ogg Opus ([RFC 7845](https://www.rfc-editor.org/rfc/rfc7845)), read as PCM.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ogg::reading::OggReadError;
use ogg::{Packet, PacketReader};
use parlour_tokio::Codec;
use parlour_tokio::core::rtp::frame_samples;
use ropus::{Channels, DecodeMode, Decoder};

use crate::FileError;

/// The longest packet: 120 ms at 48 kHz.
const LONGEST: usize = 5_760;

/// An Ogg Opus file, as mono PCM at 48 kHz.
pub(crate) struct OpusSource {
    path: PathBuf,
    packets: PacketReader<BufReader<File>>,
    /// The stream that is read, of several.
    serial: u32,
    channels: usize,
    decoder: Decoder,
    buffer: Vec<i16>,
    /// Samples at the beginning that are not to be heard.
    skip: usize,
    /// Samples decoded, the skipped ones included, from where the stream's clock begins in this file.
    position: u64,
    /// Whether that beginning is known, which the first page tells.
    is_placed: bool,
    is_over: bool,
    /// Whether what cannot be decoded is silence, and no error.
    is_lenient: bool,
}

impl OpusSource {
    pub(crate) fn new(
        file: BufReader<File>,
        path: &Path,
        is_lenient: bool,
    ) -> Result<Self, FileError> {
        let mut packets = PacketReader::new(file);
        let head = loop {
            let Some(packet) = next(&mut packets, path)? else {
                let problem = "is Ogg, but has no Opus in it: convert it, for example by `ffmpeg -i FILE FILE.opus`";
                return Err(FileError::unsupported(path, problem));
            };
            if packet.first_in_stream() && packet.data.starts_with(b"OpusHead") {
                break packet;
            }
        };
        let damaged = |problem: &str| FileError::damaged(path, problem);
        let &[
            version,
            channels,
            skip_low,
            skip_high,
            _,
            _,
            _,
            _,
            gain_low,
            gain_high,
            family,
            ..,
        ] = head.data.get(8..).unwrap_or_default()
        else {
            return Err(damaged("its OpusHead is cut off"));
        };
        let channels = match (version >> 4, family, channels) {
            (0, 0, 1) => Channels::Mono,
            (0, 0, 2) => Channels::Stereo,
            _ => {
                let problem = format!("has {channels} channels: mix them down to two");
                return Err(FileError::unsupported(path, problem));
            }
        };
        let mut decoder =
            Decoder::new(48_000, channels).map_err(|error| damaged(&error.to_string()))?;
        let gain = i16::from_le_bytes([gain_low, gain_high]);
        let gained = decoder.set_gain(gain.into());
        gained.map_err(|error| damaged(&error.to_string()))?;
        let serial = head.stream_serial();
        while let Some(packet) = next(&mut packets, path)? {
            if packet.stream_serial() == serial {
                // The tags.
                break;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            packets,
            serial,
            channels: channels.count(),
            decoder,
            buffer: vec![0; LONGEST * channels.count()],
            skip: u16::from_le_bytes([skip_low, skip_high]).into(),
            position: 0,
            is_placed: false,
            is_over: false,
            is_lenient,
        })
    }

    /// Appends the next packet that is to be heard; `false` at the end.
    pub(crate) fn read(&mut self, pcm: &mut Vec<i16>) -> Result<bool, FileError> {
        let before = pcm.len();
        while pcm.len() == before {
            if self.is_over {
                return Ok(false);
            }
            match next(&mut self.packets, &self.path)? {
                None => self.is_over = true,
                Some(packet) if packet.stream_serial() == self.serial => self.take(&packet, pcm)?,
                Some(_) => {}
            }
        }
        Ok(true)
    }

    fn take(&mut self, packet: &Packet, pcm: &mut Vec<i16>) -> Result<(), FileError> {
        self.is_over = packet.last_in_stream();
        let decoded = self
            .decoder
            .decode(&packet.data, &mut self.buffer, DecodeMode::Normal);
        let samples = match decoded {
            Ok(samples) => samples,
            Err(_) if self.is_lenient => {
                let samples = frame_samples(Codec::Opus, &packet.data).unwrap_or(0);
                let samples = LONGEST.min(samples as usize);
                self.buffer.fill(0);
                samples
            }
            Err(error) => return Err(FileError::damaged(&self.path, error)),
        };
        self.position += samples as u64;
        let end = packet.absgp_page();
        let mut heard = samples;
        if packet.last_in_stream() {
            // The last page may end in the midst of its last packet.
            heard = samples.saturating_sub(self.position.saturating_sub(end) as usize);
        } else if packet.last_in_page() && !self.is_placed {
            // A recording of what had begun earlier does not begin at 0.
            self.position = self.position.max(end);
            self.is_placed = true;
        }
        let skipped = self.skip.min(samples);
        self.skip -= skipped;
        let frames = self.buffer.chunks_exact(self.channels);
        let frames = frames.take(heard).skip(skipped);
        let mean = |frame: &[i16]| {
            let sum: i32 = frame.iter().map(|sample| i32::from(*sample)).sum();
            // The mean of samples is within their range.
            (sum / frame.len() as i32) as i16
        };
        pcm.extend(frames.map(mean));
        Ok(())
    }
}

fn next(
    packets: &mut PacketReader<BufReader<File>>,
    path: &Path,
) -> Result<Option<Packet>, FileError> {
    packets.read_packet().map_err(|error| match error {
        OggReadError::ReadError(error) => FileError::read(path)(error),
        error => FileError::damaged(path, error),
    })
}

impl fmt::Debug for OpusSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusSource")
            .field("path", &self.path)
            .field("channels", &self.channels)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
