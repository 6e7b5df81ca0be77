//! Records a room: a file for each stream, with its frames as they came. Opus becomes Ogg Opus
//! ([RFC 7845](https://www.rfc-editor.org/rfc/rfc7845)), G.711 becomes WAV.
//!
//! ```sh
//! cargo run --release --example recorder -- TICKET --folder target/recording
//! ```
//! All files begin when the recording begins, and pauses and losses are filled: a second of a file is a second of the room.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use ogg::{PacketWriteEndInfo, PacketWriter};
use parlour_tokio::core::audio::g711::Law;
use parlour_tokio::core::rtp::frame_samples;
use parlour_tokio::{Codec, EncodedFrame, Room, StreamRef};
use tokio::time::Instant;

/// Records all that is said in a room, until it is closed or Ctrl-C is pressed.
#[derive(Debug, Parser)]
#[command(name = "recorder", version)]
struct Options {
    /// The ticket to the room.
    #[arg(env = "PARLOUR_TICKET", hide_env_values = true)]
    ticket: String,
    /// Where the files go.
    #[arg(long, value_name = "FOLDER", default_value = "recording")]
    folder: PathBuf,
}

/// How far ahead of its arrival a frame may stand: a second.
const SLACK: u64 = 48_000;

/// The file of one stream. Places in it are in samples of 48 kHz, whatever the codec.
struct Track {
    file: Format,
    /// Where the stream's first frame stands.
    begin: u64,
    /// How far the file is written.
    end: u64,
}

enum Format {
    Opus(OggOpus),
    Wav(hound::WavWriter<BufWriter<File>>),
}

impl Track {
    fn create(path: &Path, frame: &EncodedFrame, started: Instant) -> anyhow::Result<Self> {
        let name = path.display();
        println!("recording {name}");
        let file = File::create_new(path).with_context(|| format!("cannot create {name}"))?;
        let file = BufWriter::new(file);
        let file = if frame.codec == Codec::Opus {
            Format::Opus(OggOpus::new(file)?)
        } else {
            let spec = hound::WavSpec {
                channels: 1,
                sample_rate: 8_000,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            Format::Wav(hound::WavWriter::new(file, spec)?)
        };
        let begin = arrival(frame, started);
        Ok(Self {
            file,
            begin,
            end: 0,
        })
    }

    /// Writes a frame at its place; one that comes too late is left out.
    fn write(&mut self, frame: &EncodedFrame, started: Instant) -> anyhow::Result<()> {
        // No participant can make a file longer than the recording by claiming a later time.
        let place = (self.begin + frame.timestamp).min(arrival(frame, started) + SLACK);
        match &mut self.file {
            Format::Opus(opus) => {
                // The configuration of the packet, and one frame of no bytes: the decoder conceals, or is silent.
                let silence = [frame.payload.first().map_or(0, |toc| toc & 0xfc)];
                let length = u64::from(frame_samples(Codec::Opus, &silence)?);
                while self.end + length <= place {
                    self.end += length;
                    opus.push(&silence, self.end)?;
                }
            }
            Format::Wav(wav) => {
                while self.end < place {
                    self.end += 6;
                    wav.write_sample(0i16)?;
                }
            }
        }
        if place + u64::from(frame.duration) <= self.end {
            return Ok(());
        }
        self.end += u64::from(frame.duration);
        match &mut self.file {
            Format::Opus(opus) => opus.push(&frame.payload, self.end)?,
            Format::Wav(wav) => {
                let law = if frame.codec == Codec::Pcma {
                    Law::A
                } else {
                    Law::Mu
                };
                for code in &frame.payload {
                    wav.write_sample(law.decode(*code))?;
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self.file {
            Format::Opus(opus) => opus.finish(),
            Format::Wav(wav) => Ok(wav.finalize()?),
        }
    }
}

/// When a frame came, as a place in the files.
fn arrival(frame: &EncodedFrame, started: Instant) -> u64 {
    frame.arrived.saturating_duration_since(started).as_millis() as u64 * 48
}

/// The name of a stream's file. All but letters and digits are percent-encoded, so that no two streams share one.
fn file_name(stream: &StreamRef, codec: Codec) -> String {
    let encode = |name: &str| -> String {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric();
        let character = |byte: u8| match is_plain(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        name.bytes().map(character).collect()
    };
    let extension = if codec == Codec::Opus { "opus" } else { "wav" };
    let (participant, key) = (
        encode(stream.participant.as_str()),
        encode(stream.key.as_str()),
    );
    format!("{participant}-{key}.{extension}")
}

/// Packets of Opus in Ogg. The last one waits, since it ends the stream.
struct OggOpus {
    ogg: PacketWriter<'static, BufWriter<File>>,
    waiting: Option<(Vec<u8>, u64)>,
    page: u64,
}

impl OggOpus {
    /// A page has a second at most.
    const PAGE: u64 = 48_000;

    fn new(file: BufWriter<File>) -> anyhow::Result<Self> {
        let mut ogg = PacketWriter::new(file);
        // Version 1, one channel, nothing to skip, 48 kHz, no gain, mapping 0.
        let head = b"OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00";
        let tags = b"OpusTags\x07\x00\x00\x00parlour\x00\x00\x00\x00";
        for header in [&head[..], &tags[..]] {
            ogg.write_packet(header, 1, PacketWriteEndInfo::EndPage, 0)?;
        }
        Ok(Self {
            ogg,
            waiting: None,
            page: 0,
        })
    }

    /// Appends a packet that ends at `end`.
    fn push(&mut self, packet: &[u8], end: u64) -> anyhow::Result<()> {
        if let Some((former, former_end)) = self.waiting.replace((packet.to_vec(), end)) {
            let is_full = end > self.page + Self::PAGE;
            let info = if is_full {
                PacketWriteEndInfo::EndPage
            } else {
                PacketWriteEndInfo::NormalPacket
            };
            if is_full {
                self.page = former_end;
            }
            self.ogg.write_packet(former, 1, info, former_end)?;
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if let Some((last, end)) = self.waiting.take() {
            self.ogg
                .write_packet(last, 1, PacketWriteEndInfo::EndStream, end)?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    fs::create_dir_all(&options.folder)?;
    let room = Room::join(&options.ticket).await?;
    let (mut frames, started) = (room.frames(), Instant::now());
    let mut tracks = BTreeMap::new();
    let recorded = loop {
        let frame = tokio::select! {
            frame = frames.next() => frame,
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None)?,
        };
        let Some(frame) = frame else {
            break Ok(());
        };
        let name = file_name(&frame.stream, frame.codec);
        let track = match tracks.entry(name) {
            Entry::Occupied(track) => Ok(track.into_mut()),
            Entry::Vacant(place) => {
                let path = options.folder.join(place.key());
                Track::create(&path, &frame, started).map(|track| place.insert(track))
            }
        };
        if let Err(error) = track.and_then(|track| track.write(&frame, started)) {
            break Err(error);
        }
    };
    // The files are whole, also if the disk is full.
    for (_, track) in tracks {
        track.finish()?;
    }
    recorded?;
    println!("{} frames are missing", frames.missed());
    room.leave().await;
    Ok(())
}
