//! Seeds of `recording_repair`: files of each kind, whole and cut off.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use parlour_core::room::Codec;
use parlour_files::WavFile;
use parlour_files::recording::{FileStart, RecordedPacket, StreamFile};

use super::{Program, Seeds};

/// The ms of silence at the end of an Opus file.
const SILENCE: u64 = 3_000;

pub(super) fn write(seeds: &Seeds) -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("parlour-seeds-{}", std::process::id()));
    // A codec, and packets of 20 ms.
    for (name, codec, packets, payload) in [
        ("opus", Codec::Opus, 30, &[0xf8, 1, 2][..]),
        ("mu-law", Codec::Pcmu, 2, &[0x10; 7]),
        ("a-law", Codec::Pcma, 2, &[0x10; 8]),
    ] {
        let whole = recorded(&path, codec, packets, payload)?;
        let cut = |len: usize| &whole[..len];
        // With the checksums as they are; below with true ones.
        let as_it_is = Program::default().bytes(&[0]);
        for (end, input) in [
            ("whole", as_it_is.clone().bytes(&whole)),
            ("cut", as_it_is.clone().bytes(cut(whole.len() * 2 / 3))),
            ("head", as_it_is.bytes(cut(50))),
        ] {
            seeds.write("recording_repair", &format!("{name}-{end}"), &input.0)?;
        }
        if codec == Codec::Opus {
            let sealed = Program::default().bytes(&[1]).bytes(cut(whole.len() - 1));
            seeds.write("recording_repair", "opus-sealed", &sealed.0)?;
        }
    }
    // Of a sample of two bytes only one was written.
    let mut linear = WavFile::create(&path, 8_000).map_err(io::Error::other)?;
    linear.write(&[1_000; 40]).map_err(io::Error::other)?;
    linear.finish().map_err(io::Error::other)?;
    let whole = fs::read(&path)?;
    fs::remove_file(&path)?;
    let cut = Program::default()
        .bytes(&[0])
        .bytes(&whole[..whole.len() - 3]);
    seeds.write("recording_repair", "linear-cut", &cut.0)
}

/// The file of a stream that says something, and is silent then.
fn recorded(path: &Path, codec: Codec, packets: u16, payload: &[u8]) -> io::Result<Vec<u8>> {
    let start = FileStart {
        codec,
        serial: 7,
        comments: &[("ROOM", "kitchen")],
    };
    let mut file = StreamFile::create(File::create(path)?, &start)?;
    let mut now = Duration::ZERO;
    for number in 0..packets {
        now = Duration::from_millis(20) * u32::from(number);
        let packet = RecordedPacket {
            sequence: number,
            timestamp: u32::from(number) * codec.clock_rate() / 50,
            level: None,
            payload,
        };
        file.packet(now, packet)?;
        file.tick(now)?;
    }
    if codec == Codec::Opus {
        now += Duration::from_millis(SILENCE);
    }
    file.finish(now)?;
    let bytes = fs::read(path)?;
    fs::remove_file(path)?;
    Ok(bytes)
}
