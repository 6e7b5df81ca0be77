//! GStreamer: elements that take RTP apart, decoders, and `rtpbin`, which keeps the statistics of RTCP.

use std::process::Command;

use parlour_core::audio::codec::FrameDuration;
use parlour_core::audio::g711::Law;
use parlour_core::room::Codec;
use parlour_core::rtp::compact_ntp;

use crate::assert_heard;
use crate::flow::{Encoder, Flow, SSRC};
use crate::peer::{Program, Sound, Tap, is_there};

const INSPECT: &str = "gst-inspect-1.0";

pub(crate) fn is_installed() -> bool {
    [
        (
            "rtpopusdepay",
            "gstreamer1.0-tools and gstreamer1.0-plugins-good",
        ),
        ("opusdec", "gstreamer1.0-plugins-base"),
    ]
    .iter()
    .all(|(element, package)| is_there(&[INSPECT, "--exists", element], package))
}

/// The other end's caps, depacketizer and decoder.
const fn elements(codec: Codec) -> (&'static str, &'static str) {
    match codec {
        Codec::Pcmu => (
            "application/x-rtp,media=audio,payload=0,clock-rate=8000,encoding-name=PCMU",
            "rtppcmudepay ! mulawdec",
        ),
        Codec::Pcma => (
            "application/x-rtp,media=audio,payload=8,clock-rate=8000,encoding-name=PCMA",
            "rtppcmadepay ! alawdec",
        ),
        _ => (
            "application/x-rtp,media=audio,payload=111,clock-rate=48000,encoding-name=OPUS",
            "rtpopusdepay ! opusdec",
        ),
    }
}

/// Starts it, and returns when it receives.
fn launch(pipeline: &str) -> Program {
    let mut command = Command::new("gst-launch-1.0");
    let mut program = Program::start(command.args(pipeline.split_ascii_whitespace()));
    // Paused, its elements have opened their sockets.
    program.await_lines("Pipeline is live", 1);
    program
}

/// GStreamer's output for `flow`.
pub(crate) fn decode(flow: &Flow) -> Vec<i16> {
    let tap = Tap::open();
    let (sound, port) = Sound::listen();
    let (caps, decoder) = elements(flow.codec);
    let mut program = launch(&format!(
        "udpsrc address=127.0.0.1 port={} caps={caps} ! {decoder} ! audioconvert ! audioresample \
         ! audio/x-raw,format=S16LE,rate=16000,channels=1 ! tcpclientsink host=127.0.0.1 port={port} sync=false",
        tap.port
    ));
    let heard = sound.of(&mut program, &tap, flow);
    program.assert_content();
    heard
}

fn decodes(encoder: Encoder) {
    if is_installed() {
        let flow = Flow::of(encoder);
        assert_heard(
            &format!("GStreamer, {encoder:?}"),
            &flow.said,
            &decode(&flow),
        );
    }
}

#[test]
fn gstreamer_decodes_opus_of_a_computer() {
    decodes(Encoder::Fullband(FrameDuration::Ms20));
}

#[test]
fn gstreamer_decodes_opus_in_long_frames() {
    decodes(Encoder::Fullband(FrameDuration::Ms60));
}

#[test]
fn gstreamer_decodes_opus_of_a_device() {
    decodes(Encoder::Wideband(FrameDuration::Ms20));
}

#[test]
fn gstreamer_decodes_g711() {
    decodes(Encoder::G711(Law::Mu));
    decodes(Encoder::G711(Law::A));
}

/// Its session answers a sender report with a receiver report, which quotes that report and counts the packets.
#[test]
fn gstreamer_takes_our_sender_reports_and_we_its_receiver_reports() {
    if !is_installed() {
        return;
    }
    let tap = Tap::open();
    let (_sound, port) = Sound::listen();
    let (caps, decoder) = elements(Codec::Pcmu);
    let mut program = launch(&format!(
        "rtpbin name=session \
         udpsrc address=127.0.0.1 port={} caps={caps} ! session.recv_rtp_sink_0 \
         session. ! {decoder} ! tcpclientsink host=127.0.0.1 port={port} sync=false \
         udpsrc address=127.0.0.1 port={} caps=application/x-rtcp ! session.recv_rtcp_sink_0 \
         session.send_rtcp_src_0 ! udpsink host=127.0.0.1 port={} sync=false async=false",
        tap.port,
        tap.port + 1,
        tap.report_port
    ));
    let flow = Flow::of(Encoder::G711(Law::Mu));
    // A second, and with it the numbers' wrap-around; the report is of the packets before it.
    let (second, (report, info)) = (&flow.packets[..50], &flow.reports[1]);
    for packet in second {
        tap.send(&packet.bytes);
    }
    tap.send_report(&report.bytes);
    let block = tap.await_report(|report| {
        report
            .blocks()
            .find(|block| block.ssrc == SSRC && block.last_sr != 0)
    });
    assert_eq!(block.last_sr, compact_ntp(info.ntp));
    // It may count a packet twice that made it believe in the flow, but it misses none.
    assert!(
        block.cumulative_lost <= 0 && block.fraction_lost == 0,
        "{block:?}"
    );
    assert_eq!(block.highest_sequence, 65_500 + 49);
    program.assert_content();
}
