//! Streams that say a word each second, what becomes of them on the way, and where the words are in the file.

mod contents;
mod hostile;
mod places;
mod repairing;

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use ropus::{Application, Channels, Encoder};
use tempfile::TempDir;

use super::*;
use crate::Source;

/// Milliseconds of a packet.
const PACKET: u64 = 20;
/// A word is a tone that begins so long after each second, for so long.
const WORD_AT: u64 = 200;
const WORD: u64 = 100;

const CODECS: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

/// A packet on its way. Times are in ms.
#[derive(Debug, Clone)]
struct Sent {
    /// When it was spoken, since the stream began.
    spoken: u64,
    /// When it comes.
    comes: u64,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

fn is_word(ms: u64) -> bool {
    (WORD_AT..WORD_AT + WORD).contains(&(ms % 1_000))
}

/// What a publisher sends in so many seconds.
fn speech(codec: Codec, seconds: u64) -> Vec<Sent> {
    let mut encoder = Encoder::builder(48_000, Channels::Mono, Application::Audio)
        .build()
        .unwrap();
    let sample = |hz: u32, n: u64| {
        let tone = (n as f64 * TAU * 440.0 / f64::from(hz)).sin();
        let is_loud = is_word(n * 1_000 / u64::from(hz));
        if is_loud { (tone * 12_000.0) as i16 } else { 0 }
    };
    (0..seconds * 1_000 / PACKET)
        .map(|number| {
            let hz = codec.clock_rate();
            let length = u64::from(hz) * PACKET / 1_000;
            let pcm = (number * length..).take(length as usize);
            let pcm: Vec<i16> = pcm.map(|n| sample(hz, n)).collect();
            let payload = match codec {
                Codec::Opus => {
                    let mut packet = [0; 1_200];
                    let length = encoder.encode(&pcm, &mut packet).unwrap();
                    packet[..length].to_vec()
                }
                Codec::Pcmu => pcm.iter().map(|sample| Law::Mu.encode(*sample)).collect(),
                _ => pcm.iter().map(|sample| Law::A.encode(*sample)).collect(),
            };
            Sent {
                spoken: number * PACKET,
                comes: number * PACKET,
                // Both wrap soon.
                sequence: (number as u16).wrapping_sub(70),
                timestamp: ((number * length) as u32).wrapping_sub(100_000),
                payload,
            }
        })
        .collect()
}

struct Recorded {
    _folder: TempDir,
    path: PathBuf,
    finished: Finished,
}

fn create(path: &Path, codec: Codec) -> StreamFile {
    let start = FileStart {
        codec,
        serial: 77,
        comments: &[("ROOM", "green"), ("PARTICIPANT", "anna")],
    };
    let file = File::create_new(path).unwrap();
    StreamFile::create(file, &start).unwrap()
}

/// Records what comes, in that order, until so many ms have passed.
fn record(codec: Codec, mut sent: Vec<Sent>, until: u64) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let mut file = create(&path, codec);
    sent.sort_by_key(|packet| packet.comes);
    let mut ticked = 0;
    let mut tick_to = |file: &mut StreamFile, to: u64| {
        while ticked + 200 <= to {
            ticked += 200;
            file.tick(Duration::from_millis(ticked)).unwrap();
        }
    };
    for packet in sent {
        tick_to(&mut file, packet.comes);
        let recorded = RecordedPacket {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            level: Some(AudioLevel {
                voice: true,
                level: if is_word(packet.spoken) { 20 } else { 90 },
            }),
            payload: &packet.payload,
        };
        file.packet(Duration::from_millis(packet.comes), recorded)
            .unwrap();
    }
    tick_to(&mut file, until);
    let finished = file.finish(Duration::from_millis(until)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), finished.size);
    Recorded {
        _folder: folder,
        path,
        finished,
    }
}

impl Recorded {
    fn pcm(&self) -> Vec<i16> {
        let (mut source, mut pcm) = (Source::open(&self.path).unwrap(), Vec::new());
        while source.read(&mut pcm).unwrap() {}
        pcm
    }

    /// Where words begin, in ms.
    fn words(&self) -> Vec<u64> {
        let (mut words, mut quiet) = (Vec::new(), 1_000);
        for (number, millisecond) in (0..).zip(self.pcm().chunks(48)) {
            let is_loud = millisecond
                .iter()
                .any(|sample| sample.unsigned_abs() > 4_000);
            if is_loud && quiet > 300 {
                words.push(number);
            }
            quiet = if is_loud { 0 } else { quiet + 1 };
        }
        words
    }

    /// Checks that the words are where they were spoken, and nowhere else, to 20 ms.
    fn check_words(&self, spoken: impl IntoIterator<Item = u64>) {
        let (words, spoken): (Vec<_>, Vec<_>) = (self.words(), spoken.into_iter().collect());
        let is_there = |word: &u64| words.iter().any(|is| is.abs_diff(*word) <= 20);
        let missing: Vec<_> = spoken.iter().filter(|word| !is_there(word)).collect();
        assert_eq!(missing, [] as [&u64; 0], "not among {words:?}");
        assert_eq!(words.len(), spoken.len(), "{words:?} and {spoken:?}");
    }

    fn check_length(&self, ms: u64) {
        let length = self.finished.duration;
        let wrong = length.abs_diff(Duration::from_millis(ms));
        assert!(wrong <= Duration::from_millis(10), "{length:?}, not {ms}");
        let samples = self.pcm().len() as u64;
        let decoded = Duration::from_micros(samples * 1_000_000 / 48_000);
        assert!(decoded.abs_diff(length) < Duration::from_millis(1));
    }
}

/// The words of so many seconds.
fn all_words(seconds: u64) -> impl Iterator<Item = u64> {
    (0..seconds).map(|second| second * 1_000 + WORD_AT)
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}
