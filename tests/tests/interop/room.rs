//! The whole way: a participant speaks, the server forwards, and another participant's tap mirrors its slot.

use std::time::Duration;

use parlour_core::audio::codec::SampleRate;
use parlour_core::rtp::RtpPacket;
use parlour_core::time::Duration as CoreDuration;
use parlour_examples::measure::RATE;
use parlour_examples::wav::resample;
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{AudioOptions, Room, Server, ServerConfig};
use tokio::net::UdpSocket;

use crate::flow::{Encoder, Flow, Packet};
use crate::{assert_heard, gstreamer, tshark};

/// Frames of 20 ms that are said: 5 s, with three pauses.
const FRAMES: usize = 250;

async fn join(server: &Server, who: &str) -> Room {
    let claims = Claims::new("hall", who, Duration::from_secs(600)).unwrap();
    Room::join(&server.ticket(&claims).unwrap()).await.unwrap()
}

/// The packets of the tap while `said`, at 48 kHz, is sent at the pace of a microphone.
async fn mirrored(said: &[i16]) -> Vec<Packet> {
    let key = ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap();
    let server = Server::bind(ServerConfig::new("127.0.0.1:0".parse().unwrap(), key)).unwrap();
    let (anna, ben) = (join(&server, "anna").await, join(&server, "ben").await);
    let ears = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let _tap = ben.tap_slot(0, ears.local_addr().unwrap()).await.unwrap();
    let options = AudioOptions::opus(SampleRate::Hz48000);
    let mut mic = anna.publish_audio("mic", options).await.unwrap();
    let mut packets: Vec<Packet> = Vec::new();
    let mut frames = said.chunks_exact(960);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut bytes = [0; 1500];
    // The first frames may be said before the server knows who hears them.
    let enough = |packets: &[Packet]| {
        packets
            .last()
            .is_some_and(|last| last.at.as_millis() >= 4_900)
    };
    while !enough(&packets) {
        tokio::select! {
            received = ears.recv(&mut bytes) => {
                let bytes = bytes[..received.unwrap()].to_vec();
                let timestamp = RtpPacket::parse(&bytes).unwrap().timestamp();
                let first = packets.first().map_or(timestamp, |first| {
                    RtpPacket::parse(&first.bytes).unwrap().timestamp()
                });
                let units = timestamp.wrapping_sub(first);
                let at = CoreDuration::from_micros(u64::from(units) * 1_000 / 48);
                packets.push(Packet { at, bytes });
            }
            _ = ticks.tick() => mic.write(frames.next().unwrap_or(&[0; 960])).unwrap(),
        }
    }
    packets
}

#[tokio::test]
async fn what_a_tap_mirrors_is_rtp_to_others() {
    let said = Flow::recording(SampleRate::Hz48000)[..FRAMES * 960].to_vec();
    let packets = tokio::time::timeout(Duration::from_secs(60), mirrored(&said))
        .await
        .unwrap();
    tshark::assert_dissected(&packets);
    let speaker = |packet: &Packet| RtpPacket::parse(&packet.bytes).unwrap().csrcs().count();
    assert!(
        packets.iter().all(|packet| speaker(packet) == 1),
        "each names its speaker"
    );
    if !gstreamer::is_installed() {
        return;
    }
    let flow = Flow {
        codec: Encoder::Dtx.codec(),
        said: resample(&said, SampleRate::Hz48000, RATE),
        packets,
        reports: Vec::new(),
        levels: Vec::new(),
    };
    assert_heard(
        "GStreamer, from a tap",
        &flow.said,
        &gstreamer::decode(&flow),
    );
}
