//! Files of recordings, cut off and damaged, through their repair.
//!
//! Input: one byte, of which the lowest bit says that all pages get their true checksums, so that what is in them is looked at;
//! then the file.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};

use crc::{Algorithm, Crc};
use parlour_files::recording::{RepairError, repair};
use parlour_fuzz::input::Input;

/// The checksum of pages ([RFC 3533](https://www.rfc-editor.org/rfc/rfc3533#section-6)).
const PAGES: Crc<u32> = Crc::<u32>::new(&Algorithm {
    width: 32,
    poly: 0x04c1_1db7,
    init: 0,
    refin: false,
    refout: false,
    xorout: 0,
    check: 0x89a1_897f,
    residue: 0,
});
/// A page without packets, which ends a file that was cut off.
const LAST_PAGE: usize = 27;
/// The longest head of a WAV file.
const HEAD: usize = 58;

fn main() {
    parlour_fuzz::search(run);
}

/// Repairs a file twice.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let is_true = input.flag();
    let mut bytes = input.rest().to_vec();
    if is_true {
        seal(&mut bytes);
    }
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("a file is written");
    match repair(&mut file) {
        Ok(repaired) => {
            let after = contents(&mut file);
            assert_eq!(repaired.size, after.len() as u64);
            assert!(after.len() <= bytes.len() + LAST_PAGE);
            // But for the sizes of a WAV file, and the end, it has what it had.
            let is_wav = after.starts_with(b"RIFF");
            let (from, end) = match is_wav {
                true => (HEAD.min(after.len()), 1),
                false => (0, LAST_PAGE),
            };
            let kept = from..after.len().saturating_sub(end).max(from);
            assert_eq!(after[kept.clone()], bytes[kept]);
            assert_eq!(repair(&mut file).expect("it is whole"), repaired);
            assert_eq!(contents(&mut file), after);
        }
        Err(RepairError::NoRecording) => assert_eq!(contents(&mut file), bytes),
        Err(error) => panic!("{error}"),
    }
}

fn contents(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut bytes).expect("a file is read");
    bytes
}

/// Gives each page that is whole its true checksum.
fn seal(mut bytes: &mut [u8]) {
    while let Some(lengths) = bytes.get(26).map(|count| usize::from(*count)) {
        let packets = bytes.iter().skip(27).take(lengths);
        let packets: usize = packets.map(|length| usize::from(*length)).sum();
        let Some((page, rest)) = bytes.split_at_mut_checked(27 + lengths + packets) else {
            return;
        };
        page[22..26].fill(0);
        let checksum = PAGES.checksum(page);
        page[22..26].copy_from_slice(&checksum.to_le_bytes());
        bytes = rest;
    }
}
