//! Recordings of single streams: packets are written as they came, each at its place, without being decoded.
//!
//! | codec | file |
//! |---|---|
//! | Opus | Ogg Opus ([RFC 7845](https://www.rfc-editor.org/rfc/rfc7845)), mono, in pages of at most 1 s |
//! | G.711 | WAV, format 7 (µ-law) or 6 (A-law), 8 kHz |
//!
//! Whatever is lost, muted or not sent is filled: a second of a file is a second of the stream. A file that is cut off at any
//! byte, by a crash or a full disk, is whole again after [`repair`], but for the last second.
//!
//! ```no_run
//! use std::fs::File;
//! use std::time::Instant;
//! use parlour_files::recording::{FileStart, RecordedPacket, StreamFile};
//! use parlour_tokio::{Codec, MediaTap, Tapped};
//!
//! # async fn example(mut tap: MediaTap) -> std::io::Result<()> {
//! let began = Instant::now();
//! let start = FileStart { codec: Codec::Opus, serial: 1, comments: &[("ROOM", "green-room")] };
//! let mut file = StreamFile::create(File::create_new("anna.opus")?, &start)?;
//! // One stream, to keep it short; and a timer should call `tick` where nothing comes.
//! while let Some(Tapped::Packet(packet)) = tap.next().await {
//!     let recorded = RecordedPacket {
//!         sequence: packet.sequence,
//!         timestamp: packet.timestamp,
//!         level: packet.level,
//!         payload: &packet.payload,
//!     };
//!     file.packet(began.elapsed(), recorded)?;
//!     file.tick(began.elapsed())?;
//! }
//! let finished = file.finish(began.elapsed())?;
//! println!("{:?}, of which {:?} were lost", finished.duration, finished.lost);
//! # Ok(())
//! # }
//! ```
//!
//! # Where a packet stands
//!
//! * It stands as far after the packet before as their RTP timestamps say, so that neither jitter nor drift moves it. The time
//!   of its arrival decides instead if the timestamps went backwards, or more than 1 s further than the time that passed
//!   between the two; and, after a pause of more than 1 s, if the timestamps say otherwise by more than 500 ms.
//! * It never stands before the end of what is written, nor ahead of the time that has passed by more than 1 s and 0.5 %.
//! * It waits for packets before it for up to 200 ms. Packets that come later still are dropped, and count as lost.
//! * Gaps in Opus are filled with packets of frames of no bytes, which have the decoder conceal. They are multiples of 2.5 ms;
//!   what is left of a gap is made up for in the next one. Gaps in G.711 are filled with silence.
//!
//! # Where somebody speaks
//!
//! [`Finished::speech`] is made of the levels that packets carry ([RFC 6464](https://www.rfc-editor.org/rfc/rfc6464)); nothing is
//! decoded for it.
//!
//! * A frame is sound if it has the voice bit and is [above the noise](parlour_tokio::core::audio::NoiseFloor) of its stream.
//! * A word is 60 ms of sound or more, with pauses of 200 ms at most. A click is none. Neither is what goes over into noise that is not
//!   6 dB fainter than its loudest frame: a fan is sound until the noise floor has risen to it.
//! * Words with less than 600 ms between them are one stretch. Of too many stretches, the two with the shortest pause
//!   between them become one, so that no speech is ever left out.

mod g711;
mod notes;
mod opus;
mod order;
mod placing;
mod repair;
mod speech;

use std::fs::File;
use std::io;
use std::time::Duration;

use parlour_tokio::Codec;
use parlour_tokio::core::audio::g711::Law;
use parlour_tokio::core::rtp::{AudioLevel, frame_samples};
use parlour_tokio::core::wire::MAX_DATAGRAM;

use g711::G711File;
use notes::Notes;
pub use notes::{Anchor, Gap};
use opus::OpusFile;
use order::{Order, Ordered, Pushed};
use placing::Placing;
pub use repair::{RepairError, Repaired, repair};
pub use speech::Speech;
use speech::SpeechNotes;

/// Where nothing comes for so long, the file goes on without.
const SILENT: Duration = Duration::from_secs(2);
/// How far it stays behind the present then, for what may still come.
const BEHIND: Duration = Duration::from_secs(1);

/// What a file begins with.
#[derive(Debug, Clone, Copy)]
pub struct FileStart<'a> {
    /// The codec of the stream: Opus, PCMU or PCMA.
    pub codec: Codec,
    /// Tells the stream in an Ogg file from others: any number.
    pub serial: u32,
    /// Names and values of the comments of an Ogg file, 3,000 bytes at most. A name is of ASCII without `=`. A WAV file has none.
    pub comments: &'a [(&'a str, &'a str)],
}

/// A packet of the stream.
#[derive(Debug, Clone, Copy)]
pub struct RecordedPacket<'a> {
    /// Its RTP sequence number.
    pub sequence: u16,
    /// Its RTP timestamp, by the clock of the codec.
    pub timestamp: u32,
    /// How loud it is, and whether it is a voice, by its publisher's word.
    pub level: Option<AudioLevel>,
    /// The payload. What is no frame of the codec counts as lost.
    pub payload: &'a [u8],
}

/// A file that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The length of its sound.
    pub duration: Duration,
    /// How much of that was filled for packets that did not come, or too late.
    pub lost: Duration,
    /// How much was filled because nothing was sent: muted, censored, or silent.
    pub silent: Duration,
    /// The 64 longest stretches of at least 500 ms in which nothing came, in their order.
    pub gaps: Vec<Gap>,
    /// Places and their times, every 10 s; fewer in files of more than ten minutes, 64 at most.
    pub anchors: Vec<Anchor>,
    /// Where its publisher speaks, in their order: 2,048 stretches at most.
    pub speech: Vec<Speech>,
    /// The bytes of the file.
    pub size: u64,
}

/// The file of one stream. It reads no clock: all times are since the beginning of the file. It needs at most 32 KiB of memory,
/// whatever comes.
///
/// After an error the file has all that was written before; [`repair`] completes it.
#[derive(Debug)]
pub struct StreamFile {
    codec: Codec,
    format: Format,
    order: Order,
    placing: Placing,
    notes: Notes,
    speech: SpeechNotes,
    /// The latest time that was told.
    now: Duration,
    /// When the last packet came.
    heard: Duration,
    /// Samples that were filled since the last packet.
    filled: u64,
    /// The samples of the last packet.
    last: u64,
    /// Packets that did not come since then, or were not written.
    missing: u64,
    lost: u64,
    silent: u64,
}

#[derive(Debug)]
enum Format {
    Opus(Box<OpusFile>),
    G711(G711File),
}

impl StreamFile {
    /// Begins a file. Nothing may have been written to it.
    ///
    /// # Errors
    /// Those of the file. [`InvalidInput`](io::ErrorKind::InvalidInput) if the codec is of video, or the comments are too long.
    pub fn create(file: File, start: &FileStart<'_>) -> io::Result<Self> {
        let (format, hz) = match start.codec {
            Codec::Opus => {
                let opus = OpusFile::new(file, start.serial, start.comments)?;
                (Format::Opus(Box::new(opus)), opus::HZ)
            }
            Codec::Pcmu => (Format::G711(G711File::new(file, Law::Mu)?), g711::HZ),
            Codec::Pcma => (Format::G711(G711File::new(file, Law::A)?), g711::HZ),
            _ => {
                let message = "only streams of sound are recorded: Opus, PCMU, PCMA";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        };
        Ok(Self {
            codec: start.codec,
            format,
            order: Order::default(),
            placing: Placing::new(hz),
            notes: Notes::new(),
            speech: SpeechNotes::new(),
            now: Duration::ZERO,
            heard: Duration::ZERO,
            filled: 0,
            last: 0,
            missing: 0,
            lost: 0,
            silent: 0,
        })
    }

    /// Takes in a packet that came `at` this time.
    ///
    /// # Errors
    /// Those of the file. [`FileTooLarge`](io::ErrorKind::FileTooLarge) if a WAV file has 4 GiB, which are six days.
    pub fn packet(&mut self, at: Duration, packet: RecordedPacket<'_>) -> io::Result<()> {
        self.now = self.now.max(at);
        if packet.payload.len() > MAX_DATAGRAM {
            return Ok(());
        }
        if self.order.push(self.now, &packet) == Pushed::Anew {
            self.write_all()?;
            self.order.restart();
            self.placing.restart();
            self.order.push(self.now, &packet);
        }
        self.heard = self.now;
        self.write_due(self.now)
    }

    /// Lets time pass: writes what has waited long enough, and goes on where nothing comes. To be called about every 200 ms.
    ///
    /// # Errors
    /// As [`packet`](Self::packet).
    pub fn tick(&mut self, now: Duration) -> io::Result<()> {
        self.now = self.now.max(now);
        self.write_due(self.now)?;
        if self.now.saturating_sub(self.heard) >= SILENT {
            let behind = self.placing.samples(BEHIND);
            let to = self.placing.present(self.now).saturating_sub(behind);
            let step = self.placing.samples(Duration::from_millis(120));
            self.fill(to - to.saturating_sub(self.end()) % step)?;
        }
        match &mut self.format {
            Format::Opus(file) => file.tick(self.now),
            Format::G711(file) => file.tick(self.now),
        }
    }

    /// Has the operating system write to the disk all that the file has.
    ///
    /// # Errors
    /// Those of the file.
    pub fn sync(&mut self) -> io::Result<()> {
        match &self.format {
            Format::Opus(file) => file.sync(),
            Format::G711(file) => file.sync(),
        }
    }

    /// Completes the file, which then reaches up to `now`.
    ///
    /// # Errors
    /// As [`packet`](Self::packet).
    pub fn finish(mut self, now: Duration) -> io::Result<Finished> {
        self.now = self.now.max(now);
        self.write_all()?;
        self.fill(self.placing.present(self.now))?;
        self.note_gap();
        let end = self.end();
        let size = match self.format {
            Format::Opus(file) => file.finish()?,
            Format::G711(file) => file.finish()?,
        };
        let mut gaps = self.notes.gaps;
        gaps.sort_unstable_by_key(|gap| gap.place);
        Ok(Finished {
            duration: self.placing.time(end),
            lost: self.placing.time(self.lost),
            silent: self.placing.time(self.silent),
            gaps,
            anchors: self.notes.anchors,
            speech: self.speech.finish(),
            size,
        })
    }

    /// The samples that are written.
    fn end(&self) -> u64 {
        match &self.format {
            Format::Opus(file) => file.end(),
            Format::G711(file) => file.end(),
        }
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        let format = match &self.format {
            Format::Opus(file) => size_of::<OpusFile>() + file.size(),
            Format::G711(file) => file.size(),
        };
        size_of::<Self>() + format + self.order.size() + self.notes.size() + self.speech.size()
    }

    fn write_due(&mut self, now: Duration) -> io::Result<()> {
        while let Some(packet) = self.order.pop(now) {
            self.write(&packet)?;
        }
        Ok(())
    }

    /// Writes what waits without waiting any longer.
    fn write_all(&mut self) -> io::Result<()> {
        self.write_due(Duration::MAX)
    }

    fn write(&mut self, packet: &Ordered) -> io::Result<()> {
        self.missing += u64::from(packet.missing);
        let Ok(samples) = frame_samples(self.codec, &packet.payload) else {
            self.missing += 1;
            return Ok(());
        };
        let place = self.placing.place(packet.timestamp, packet.at);
        self.fill(place)?;
        if self.end() > self.placing.limit(self.now) {
            self.missing += 1;
            return Ok(());
        }
        self.note_gap();
        self.last = samples.into();
        let place = self.placing.time(self.end());
        let at = packet.at;
        self.notes.anchor(Anchor { place, at });
        let end = self.placing.time(self.end() + self.last);
        self.speech.hear(place, end, packet.level);
        match &mut self.format {
            Format::Opus(file) => file.packet(self.now, &packet.payload, self.last),
            Format::G711(file) => file.packet(self.now, &packet.payload),
        }
    }

    fn fill(&mut self, place: u64) -> io::Result<()> {
        let before = self.end();
        match &mut self.format {
            Format::Opus(file) => file.fill(place)?,
            Format::G711(file) => file.fill(place)?,
        }
        self.filled += self.end() - before;
        Ok(())
    }

    /// Sound follows on what was filled, or the end of the file.
    fn note_gap(&mut self) {
        let filled = std::mem::take(&mut self.filled);
        let lost = (std::mem::take(&mut self.missing) * self.last).min(filled);
        self.lost += lost;
        self.silent += filled - lost;
        self.notes.gap(Gap {
            place: self.placing.time(self.end() - filled),
            length: self.placing.time(filled),
        });
    }
}

#[cfg(test)]
mod tests;
