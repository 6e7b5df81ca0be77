//! What a slot receives, mirrored as plain RTP, for Wireshark, ffmpeg or another program that speaks no Parlour.
//!
//! The payload is what the server sent, undecoded: Opus as payload type 111, G.711 as 0 or 8, with the timestamps of
//! the codec's own clock and the speaker's SSRC as the contributing source. For ffmpeg, say so in a file
//! `slot.sdp`, then `ffplay -protocol_whitelist file,udp,rtp slot.sdp`:
//!
//! ```text
//! v=0
//! o=- 0 0 IN IP4 127.0.0.1
//! s=Parlour
//! c=IN IP4 127.0.0.1
//! t=0 0
//! m=audio 5004 RTP/AVP 111
//! a=rtpmap:111 opus/48000/2
//! ```
//!
//! Nothing protects these packets: mirror to this machine, or where everybody may listen.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parlour_core::rtp::AUDIO_LEVEL_ID;
use rtp_rs::{RtpPacketBuildError, RtpPacketBuilder, Seq};
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::client::{Shared, SlotFrame};

/// RTP timestamp units per second in a slot.
const SLOT_CLOCK: u64 = 48_000;
/// The profile of one-byte header extensions ([RFC 8285](https://www.rfc-editor.org/rfc/rfc8285#section-4.2)).
const ONE_BYTE: u16 = 0xBEDE;

/// Why there is no tap.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TapError {
    /// There is no such slot.
    #[error("no such slot: there are as many as the join options said")]
    NoSuchSlot,
    /// No socket could be made.
    #[error("cannot open a socket to mirror from: {0}")]
    Socket(#[from] std::io::Error),
}

/// Mirrors one slot until it is dropped, or the room is closed.
#[derive(Debug)]
pub struct Tap {
    task: JoinHandle<()>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tap {
    pub(crate) async fn open(
        shared: &Arc<Shared>,
        slot: u8,
        to: SocketAddr,
    ) -> Result<Self, TapError> {
        if slot >= shared.slots() {
            return Err(TapError::NoSuchSlot);
        }
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        let mut frames = shared.subscribe_frames();
        let task = tokio::spawn(async move {
            loop {
                match frames.recv().await {
                    Ok(frame) if frame.slot == slot => mirror(&socket, to, &frame).await,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Ok(Self { task })
    }
}

async fn mirror(socket: &UdpSocket, to: SocketAddr, frame: &SlotFrame) {
    match packet(frame) {
        Ok(packet) => {
            // Who listens may not have started yet.
            let _ = socket.send_to(&packet, to).await;
        }
        Err(error) => tracing::debug!(?error, "frame not mirrored"),
    }
}

fn packet(frame: &SlotFrame) -> Result<Vec<u8>, RtpPacketBuildError> {
    let ratio = SLOT_CLOCK / u64::from(frame.codec.clock_rate()).clamp(1, SLOT_CLOCK);
    let level = frame
        .level
        .map(|level| [AUDIO_LEVEL_ID << 4, level.to_byte(), 0, 0]);
    let builder = RtpPacketBuilder::new()
        .payload_type(frame.codec.payload_type())
        .marked(frame.marker)
        // RTP counts modulo 2^16 and 2^32: truncations are what is meant.
        .sequence(Seq::from(frame.sequence as u16))
        .timestamp((frame.timestamp / ratio) as u32)
        .ssrc(u32::from(frame.slot) + 1)
        .payload(&frame.payload);
    let builder = match frame.speaker {
        Some(speaker) => builder.add_csrc(speaker),
        None => builder,
    };
    match &level {
        Some(level) => builder.extension(ONE_BYTE, level).build(),
        None => builder.build(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parlour_core::room::Codec;
    use parlour_core::rtp::{AudioLevel, RtpPacket};
    use parlour_core::time::Instant;

    use super::*;

    #[test]
    fn the_packet_says_what_the_frame_said_in_the_codecs_own_clock() {
        let level = AudioLevel {
            voice: true,
            level: 30,
        };
        for (codec, timestamp) in [(Codec::Opus, 96_000), (Codec::Pcmu, 16_000)] {
            let frame = SlotFrame {
                arrived: Instant::from_micros(0),
                slot: 3,
                codec,
                sequence: 0x1_0002,
                timestamp: 0x1_0000_0000 * 6 + 96_000,
                duration: 960,
                level: Some(level),
                marker: true,
                speaker: Some(0xCAFE),
                mixed: false,
                payload: Bytes::from_static(&[1, 2, 3]),
            };
            let bytes = packet(&frame).unwrap();
            let packet = RtpPacket::parse(&bytes).unwrap();
            assert_eq!((packet.ssrc(), packet.sequence()), (4, 2));
            assert_eq!(packet.timestamp(), timestamp);
            assert_eq!(packet.payload_type(), codec.payload_type());
            assert_eq!(packet.csrcs().collect::<Vec<_>>(), [0xCAFE]);
            assert_eq!((packet.audio_level(), packet.marker()), (Some(level), true));
            assert_eq!(packet.payload(), [1, 2, 3]);
        }
    }
}
