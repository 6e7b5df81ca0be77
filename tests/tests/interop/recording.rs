//! Files of recordings: FFmpeg reads them without a warning, also after a loss, a pause, a crash and a repair.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use parlour_core::audio::codec::FrameDuration;
use parlour_core::audio::g711::Law;
use parlour_core::rtp::RtpPacket;
use parlour_examples::measure::RATE;
use parlour_files::recording::{FileStart, Finished, RecordedPacket, StreamFile, repair};

use crate::assert_heard;
use crate::flow::{Encoder, Flow};
use crate::peer::is_there;

/// The pause after the sound.
const PAUSE: Duration = Duration::from_secs(4);

/// Records a flow of which each 40th packet is lost, and a pause.
fn record(flow: &Flow, path: &Path) -> Finished {
    let start = FileStart {
        codec: flow.codec,
        serial: 7,
        comments: &[("ROOM", "kitchen"), ("PARTICIPANT", "anna")],
    };
    let mut file = StreamFile::create(File::create_new(path).unwrap(), &start).unwrap();
    let mut now = Duration::ZERO;
    for (number, packet) in flow.packets.iter().enumerate() {
        now = packet.at;
        let packet = RtpPacket::parse(&packet.bytes).unwrap();
        if number % 40 != 39 {
            let recorded = RecordedPacket {
                sequence: packet.sequence(),
                timestamp: packet.timestamp(),
                level: None,
                payload: packet.payload(),
            };
            file.packet(now, recorded).unwrap();
        }
        file.tick(now).unwrap();
    }
    file.finish(now + PAUSE).unwrap()
}

/// What FFmpeg makes of a file; fails if it warns of anything.
fn decode(path: &Path) -> Vec<i16> {
    let decoded = Command::new("ffmpeg")
        .args([
            "-hide_banner",
            "-nostats",
            "-loglevel",
            "level+warning",
            "-i",
        ])
        .arg(path)
        .args(["-ac", "1", "-ar", "16000", "-f", "s16le", "-"])
        .output()
        .unwrap();
    // A WAV file of one channel says no more of it.
    let said = String::from_utf8_lossy(&decoded.stderr);
    let mut said = said.lines();
    assert_eq!(
        said.find(|line| !line.contains("Guessed Channel Layout")),
        None
    );
    let (samples, _) = decoded.stdout.as_chunks();
    samples.iter().copied().map(i16::from_le_bytes).collect()
}

fn samples(time: Duration) -> usize {
    time.as_millis() as usize * RATE.hz() as usize / 1_000
}

fn is_recorded(encoder: Encoder) {
    if !is_there(&["ffmpeg", "-version"], "ffmpeg") {
        return;
    }
    let flow = Flow::of(encoder);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anna");
    let finished = record(&flow, &path);
    let heard = decode(&path);
    assert_heard(&format!("recorded, {encoder:?}"), &flow.said, &heard);
    let length = samples(finished.duration);
    assert!(
        heard.len().abs_diff(length) <= samples(Duration::from_millis(2)),
        "{} {length}",
        heard.len()
    );

    // As a crash leaves it.
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let mut file = file.unwrap();
    file.set_len(finished.size * 2 / 3 + 1).unwrap();
    let repaired = repair(&mut file).unwrap();
    let heard = decode(&path);
    let length = samples(repaired.duration);
    assert!(
        heard.len().abs_diff(length) <= samples(Duration::from_millis(2)),
        "{} {length}",
        heard.len()
    );
    let said = flow.said.get(..heard.len().min(flow.said.len())).unwrap();
    assert_heard(&format!("repaired, {encoder:?}"), said, &heard);
}

#[test]
fn ffmpeg_reads_a_recording_of_opus() {
    is_recorded(Encoder::Fullband(FrameDuration::Ms20));
}

#[test]
fn ffmpeg_reads_a_recording_of_opus_with_silence_left_out() {
    is_recorded(Encoder::Dtx);
}

#[test]
fn ffmpeg_reads_a_recording_of_opus_of_a_device() {
    is_recorded(Encoder::Wideband(FrameDuration::Ms60));
}

#[test]
fn ffmpeg_reads_a_recording_of_a_law() {
    is_recorded(Encoder::G711(Law::A));
}

#[test]
fn ffmpeg_reads_a_recording_of_mu_law() {
    is_recorded(Encoder::G711(Law::Mu));
}
