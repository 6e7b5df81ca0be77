//! FFmpeg: what an SDP file describes is received and decoded.

use std::fs;
use std::process::Command;

use parlour_core::audio::codec::FrameDuration;
use parlour_core::audio::g711::Law;
use parlour_core::room::Codec;

use crate::assert_heard;
use crate::flow::{Encoder, Flow};
use crate::peer::{Program, Sound, Tap, is_there};

/// Its log message, at this level, when it has bound a socket.
const BOUND: &str = "end receive buffer size";

/// How the tap of the tokio adapter says to describe what it sends.
fn sdp(codec: Codec, port: u16) -> String {
    let (payload_type, map) = match codec {
        Codec::Pcmu => (0, "PCMU/8000"),
        Codec::Pcma => (8, "PCMA/8000"),
        _ => (111, "opus/48000/2"),
    };
    format!(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=Parlour\nc=IN IP4 127.0.0.1\nt=0 0\n\
         m=audio {port} RTP/AVP {payload_type}\na=rtpmap:{payload_type} {map}\n"
    )
}

/// FFmpeg's output for `flow`; fails if it warns of anything, sender reports included.
fn decode(flow: &Flow) -> Vec<i16> {
    let tap = Tap::open();
    let directory = tempfile::tempdir().unwrap();
    let description = directory.path().join("flow.sdp");
    fs::write(&description, sdp(flow.codec, tap.port)).unwrap();
    let (sound, port) = Sound::listen();
    let mut program = Program::start(
        Command::new("ffmpeg")
            .args(["-hide_banner", "-nostats", "-loglevel", "level+debug"])
            // Takes what the description says for granted, and looks at no sound before it decodes.
            .args(["-probesize", "32", "-analyzeduration", "0"])
            .args(["-protocol_whitelist", "file,udp,rtp", "-i"])
            .arg(&description)
            .args([
                "-ac",
                "1",
                "-ar",
                "16000",
                "-f",
                "s16le",
                "-flush_packets",
                "1",
            ])
            .arg(format!("tcp://127.0.0.1:{port}")),
    );
    program.await_lines(BOUND, 2);
    let heard = sound.of(&mut program, &tap, flow);
    program.assert_content();
    heard
}

fn decodes(encoder: Encoder) {
    if is_there(&["ffmpeg", "-version"], "ffmpeg") {
        let flow = Flow::of(encoder);
        assert_heard(&format!("FFmpeg, {encoder:?}"), &flow.said, &decode(&flow));
    }
}

#[test]
fn ffmpeg_decodes_opus_of_a_computer() {
    decodes(Encoder::Fullband(FrameDuration::Ms20));
}

#[test]
fn ffmpeg_decodes_opus_in_short_frames() {
    decodes(Encoder::Fullband(FrameDuration::Ms10));
}

#[test]
fn ffmpeg_decodes_opus_of_a_device() {
    decodes(Encoder::Wideband(FrameDuration::Ms60));
}

#[test]
fn ffmpeg_decodes_a_law() {
    decodes(Encoder::G711(Law::A));
}

#[test]
fn ffmpeg_decodes_mu_law() {
    decodes(Encoder::G711(Law::Mu));
}
