//! Files that were cut off, damaged or made up.

use std::io::{Read as _, Seek as _, Write as _};

use proptest::prelude::*;

use super::contents::packets;
use super::*;
use crate::ogg_page::Page;
use crate::wav::WavFile;

/// A file with these bytes.
fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn contents(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Where the pages of an Ogg file begin and end, and what is in the file up to there.
fn pages(bytes: &[u8]) -> Vec<(usize, Duration)> {
    let mut at = 0;
    let mut pages = Vec::new();
    while let Some((page, _)) = Page::parse(&bytes[at..]) {
        at += page.len;
        let end = Duration::from_micros(page.granule * 125 / 6);
        pages.push((at, end));
    }
    pages
}

#[test]
fn an_ogg_file_cut_off_at_any_byte_keeps_all_its_whole_pages() {
    let recorded = record(Codec::Opus, speech(Codec::Opus, 4), 8_000);
    let whole = std::fs::read(&recorded.path).unwrap();
    let pages = pages(&whole);
    let head = pages[1].0;
    let path = recorded.path.with_extension("cut");
    for cut in 0..=whole.len() {
        let mut file = file_of(&whole[..cut]);
        let repaired = repair(&mut file);
        let bytes = contents(file);
        if cut < head {
            assert!(matches!(repaired, Err(RepairError::NoRecording)));
            assert_eq!(bytes, whole[..cut], "left as it was");
            continue;
        }
        let repaired = repaired.unwrap();
        let (kept, duration) = *pages.iter().rfind(|(end, _)| *end <= cut).unwrap();
        assert_eq!(repaired.duration, duration, "{cut}");
        assert_eq!(repaired.size, bytes.len() as u64);
        assert_eq!(bytes[..kept], whole[..kept]);
        let mut again = file_of(&bytes);
        assert_eq!(repair(&mut again).unwrap(), repaired);
        assert_eq!(contents(again), bytes);
        if cut % 19 == 0 || pages.iter().any(|(end, _)| end.abs_diff(cut) <= 1) {
            std::fs::write(&path, &bytes).unwrap();
            let length: u64 = packets(&path)[2..]
                .iter()
                .map(|packet| u64::from(frame_samples(Codec::Opus, &packet.data).unwrap()))
                .sum();
            assert_eq!(Duration::from_micros(length * 125 / 6), duration);
            let (mut source, mut pcm) = (Source::open(&path).unwrap(), Vec::new());
            while source.read(&mut pcm).unwrap() {}
            assert_eq!(pcm.len() as u64, length);
            let last = Page::parse(&bytes[bytes.len().min(kept)..]);
            let is_ended = last.is_some_and(|(page, _)| page.flags & 4 != 0);
            assert!(is_ended || kept == whole.len());
        }
    }
}

#[test]
fn a_wav_file_cut_off_at_any_byte_keeps_all_its_samples() {
    let folder = tempfile::tempdir().unwrap();
    let linear = folder.path().join("linear.wav");
    let mut file = WavFile::create(&linear, 8_000).unwrap();
    file.write(&[1_000; 700]).unwrap();
    file.finish().unwrap();
    let law = folder.path().join("law.wav");
    let mut file = create(&law, Codec::Pcmu);
    for (sequence, timestamp) in [(0, 0), (1, 301), (2, 602)] {
        let packet = RecordedPacket {
            sequence,
            timestamp,
            level: None,
            payload: &[7; 301],
        };
        file.packet(Duration::ZERO, packet).unwrap();
    }
    file.finish(Duration::ZERO).unwrap();
    let cut_path = folder.path().join("cut.wav");
    for (path, head, width, samples) in [(linear, 44, 2, 700), (law, 58, 1, 903)] {
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            let mut file = file_of(&whole[..cut]);
            let repaired = repair(&mut file);
            if cut < head {
                assert!(matches!(repaired, Err(RepairError::NoRecording)));
                continue;
            }
            let (repaired, bytes) = (repaired.unwrap(), contents(file));
            let kept = ((cut - head) / width).min(samples) as u64;
            assert_eq!(
                repaired.duration,
                Duration::from_micros(kept * 125),
                "{cut}"
            );
            assert_eq!(bytes.len() as u64, repaired.size);
            std::fs::write(&cut_path, &bytes).unwrap();
            let (mut source, mut pcm) = (crate::WavSource::open(&cut_path).unwrap(), Vec::new());
            source.read(usize::MAX, &mut pcm).unwrap();
            assert_eq!(pcm.len() as u64, kept);
            let mut again = file_of(&bytes);
            assert_eq!(repair(&mut again).unwrap(), repaired);
            assert_eq!(contents(again), bytes);
        }
    }
}

#[test]
fn what_was_written_after_a_crash_of_the_sizes_is_found() {
    let recorded = record(Codec::Pcma, speech(Codec::Pcma, 2), 2_000);
    let mut bytes = std::fs::read(&recorded.path).unwrap();
    for size in [4, 46, 54] {
        bytes[size..size + 4].copy_from_slice(&8_000_u32.to_le_bytes());
    }
    let mut file = file_of(&bytes);
    assert_eq!(repair(&mut file).unwrap().duration, Duration::from_secs(2));
    let whole = std::fs::read(&recorded.path).unwrap();
    assert_eq!(contents(file), whole);
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let sound = |codec| {
        let recorded = record(codec, speech(codec, 1), 3_000);
        std::fs::read(recorded.path).unwrap()
    };
    let files = [sound(Codec::Opus), sound(Codec::Pcmu)];
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = proptest::collection::vec(change, 0..4);
    let damaged = (0..2_usize, changes, any::<prop::sample::Index>()).prop_map(
        move |(which, changes, cut)| {
            let mut bytes = files[which].clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            // Twice, so that pages come again.
            let mut twice = bytes.clone();
            twice.extend(&bytes);
            twice.truncate(cut.index(twice.len()));
            twice
        },
    );
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..300),
        8 => damaged,
    ]
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in hostile()) {
        let mut file = file_of(&bytes);
        let repaired = repair(&mut file);
        let after = contents(file);
        match repaired {
            Ok(repaired) => {
                prop_assert_eq!(repaired.size, after.len() as u64);
                prop_assert!(after.len() <= bytes.len() + 27);
                let mut again = file_of(&after);
                prop_assert_eq!(repair(&mut again).unwrap(), repaired);
                prop_assert_eq!(contents(again), after);
            }
            Err(error) => {
                prop_assert!(matches!(error, RepairError::NoRecording));
                prop_assert_eq!(after, bytes);
            }
        }
    }
}
