use std::f64::consts::TAU;
use std::fs;

use hound::{SampleFormat, WavSpec, WavWriter};
use ogg::{PacketWriteEndInfo, PacketWriter};
use ropus::{Application, Channels, Encoder};

use super::*;

const TONE: f64 = 440.0;

fn tone(hz: u32, samples: usize) -> impl Iterator<Item = f64> {
    (0..samples).map(move |n| (n as f64 * TAU * TONE / f64::from(hz)).sin() * 0.5)
}

fn read(path: &Path) -> Result<Vec<i16>, FileError> {
    let (mut source, mut pcm) = (Source::open(path)?, Vec::new());
    while source.read(&mut pcm)? {}
    assert!(!source.read(&mut pcm)?, "the end stays the end");
    Ok(pcm)
}

/// Whether it is the tone: the error is that much fainter, in dB.
fn purity(pcm: &[i16]) -> f64 {
    let (mut signal, mut error) = (0.0, 0.0);
    for (wanted, is) in tone(48_000, pcm.len()).zip(pcm) {
        let wanted = wanted * 32_768.0;
        signal += wanted * wanted;
        error += (wanted - f64::from(*is)).powi(2);
    }
    10.0 * (signal / error).log10()
}

#[test]
fn wav_of_any_rate_and_width_becomes_mono_at_48_khz() {
    let folder = tempfile::tempdir().unwrap();
    for (hz, bits, channels) in [
        (8_000, 16, 1),
        (11_025, 16, 1),
        (16_000, 8, 2),
        (22_050, 16, 1),
        (44_100, 24, 2),
        (48_000, 16, 1),
        (48_000, 32, 2),
        (96_000, 0, 1), // floats
        (22_051, 16, 1),
    ] {
        let spec = WavSpec {
            channels,
            sample_rate: hz,
            bits_per_sample: if bits == 0 { 32 } else { bits },
            sample_format: if bits == 0 {
                SampleFormat::Float
            } else {
                SampleFormat::Int
            },
        };
        let path = folder.path().join("tone.wav");
        let mut writer = WavWriter::create(&path, spec).unwrap();
        for sample in tone(hz, hz as usize * 3 / 2 + 7) {
            for _ in 0..channels {
                if bits == 0 {
                    writer.write_sample(sample as f32).unwrap();
                } else {
                    let scale = f64::from(1_u32 << (bits - 1));
                    writer.write_sample((sample * scale) as i32).unwrap();
                }
            }
        }
        writer.finalize().unwrap();
        let pcm = read(&path).unwrap();
        let expected = (f64::from(hz * 3 / 2 + 7) * 48_000.0 / f64::from(hz)).ceil();
        assert_eq!(pcm.len(), expected as usize, "{hz} Hz");
        // Both ends ring, where the tone begins and ends at once.
        let middle = purity(&pcm[..70_000]);
        // Half a sample of another place is not heard, and is 24 dB here.
        assert!(middle > 20.0, "{hz} Hz, {bits} bits: {middle} dB");
    }
}

/// The tone as Opus, with what an encoder says of the beginning, and an end in the midst of a packet.
fn opus(path: &Path, channels: Channels, frame: usize, samples: usize, first: u64) {
    let mut encoder = Encoder::builder(48_000, channels, Application::Audio)
        .build()
        .unwrap();
    let skip = encoder.lookahead() as usize;
    let count = channels.count();
    let mut pcm: Vec<i16> = tone(48_000, samples + skip)
        .flat_map(|sample| std::iter::repeat_n((sample * 32_768.0) as i16, count))
        .collect();
    pcm.resize(pcm.len().next_multiple_of(frame * count), 0);
    let mut ogg = PacketWriter::new(fs::File::create(path).unwrap());
    let mut head = b"OpusHead\x01".to_vec();
    head.push(count as u8);
    head.extend((skip as u16).to_le_bytes());
    head.extend([0x80, 0xbb, 0, 0, 0, 0, 0]);
    ogg.write_packet(head, 7, PacketWriteEndInfo::EndPage, 0)
        .unwrap();
    let tags = b"OpusTags\x00\x00\x00\x00\x00\x00\x00\x00";
    ogg.write_packet(&tags[..], 7, PacketWriteEndInfo::EndPage, 0)
        .unwrap();
    let packets = pcm.chunks(frame * count).count();
    for (n, piece) in pcm.chunks(frame * count).enumerate() {
        let mut out = [0; 4_000];
        let len = encoder.encode(piece, &mut out).unwrap();
        let end = ((n + 1) * frame) as u64;
        let (info, end) = if n + 1 == packets {
            (PacketWriteEndInfo::EndStream, (samples + skip) as u64)
        } else if n % 10 == 9 {
            (PacketWriteEndInfo::EndPage, end)
        } else {
            (PacketWriteEndInfo::NormalPacket, end)
        };
        ogg.write_packet(out[..len].to_vec(), 7, info, first + end)
            .unwrap();
    }
}

#[test]
fn ogg_opus_is_read_from_its_first_sample_to_its_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tone.opus");
    for (channels, frame, first) in [
        (Channels::Mono, 960, 0),
        (Channels::Stereo, 960, 0),
        (Channels::Stereo, 2_880, 48_000),
        (Channels::Mono, 120, 1_000_000),
    ] {
        opus(&path, channels, frame, 70_001, first);
        let pcm = read(&path).unwrap();
        assert_eq!(pcm.len(), 70_001, "{frame}");
        let middle = purity(&pcm[..60_000]);
        assert!(middle > 10.0, "{frame}: {middle} dB");
    }
}

#[test]
fn a_source_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tone.opus");
    opus(&path, Channels::Mono, 960, 9_600, 0);
    let (mut source, mut pcm) = (Source::open(&path).unwrap(), Vec::new());
    for _ in 0..3 {
        while source.read(&mut pcm).unwrap() {}
        source.rewind().unwrap();
    }
    assert_eq!(pcm.len(), 3 * 9_600);
    assert_eq!(pcm[..9_600], pcm[9_600..2 * 9_600]);
}

#[test]
fn what_is_not_played_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let good = folder.path().join("good.opus");
    opus(&good, Channels::Mono, 960, 96_000, 0);
    let good = fs::read(good).unwrap();
    let mut five = good.clone();
    five[28 + 9] = 5;
    // Its checksum is wrong now, too: what is said of it is that.
    let mut broken = good.clone();
    broken[5_000] ^= 1;
    for (path, says) in [
        (folder.path().join("nowhere.wav"), "cannot read"),
        (file("empty.wav", b""), "neither WAV nor Ogg Opus"),
        (file("some.mp3", b"ID3\x04and so on"), "ffmpeg -i"),
        (file("short.wav", b"RIFF\x04\x00\x00\x00WAVE"), "damaged"),
        (file("five.opus", &five), "damaged"),
        (file("broken.opus", &broken), "damaged"),
        (file("cut.ogg", &good[..20]), "damaged"),
        (file("vorbis.ogg", &vorbis()), "no Opus in it"),
        (
            file("many.opus", &head(&[1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1])),
            "6 channels",
        ),
        (file("headless.opus", &head(&[1, 1, 0])), "cut off"),
    ] {
        let error = read(&path).unwrap_err().to_string();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(error.contains(says) && error.contains(name), "{error}");
    }
}

fn page(packet: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut ogg = PacketWriter::new(&mut bytes);
    ogg.write_packet(packet.to_vec(), 1, PacketWriteEndInfo::EndStream, 0)
        .unwrap();
    drop(ogg);
    bytes
}

fn vorbis() -> Vec<u8> {
    page(b"\x01vorbis and so on")
}

fn head(rest: &[u8]) -> Vec<u8> {
    page(&[b"OpusHead", rest].concat())
}

#[test]
fn a_file_that_is_cut_off_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tone.wav");
    let mut file = crate::WavFile::create_new(&path, 48_000).unwrap();
    let pcm: Vec<i16> = tone(48_000, 96_000)
        .map(|sample| (sample * 1e4) as i16)
        .collect();
    file.write(&pcm[..60_000]).unwrap();
    // As a program that is killed now leaves it.
    assert_eq!(read(&path).unwrap(), pcm[..60_000]);
    file.write(&pcm[60_000..]).unwrap();
    file.finish().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1_001]).unwrap();
    assert_eq!(read(&path).unwrap(), pcm[..95_499]);
    let error = crate::WavFile::create_new(&path, 48_000).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
}
