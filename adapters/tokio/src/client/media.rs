//! Video and screens: RTP payloads in and out, unchanged.

use std::sync::Arc;

use bytes::Bytes;
use parlour_core::room::{Codec, StreamKey};
use parlour_core::rtp::RtpPacket;
use parlour_core::signal::StreamRef;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::WriteError;
use super::shared::{Published, Shared};

/// One published stream of pictures. Dropping it unpublishes the stream.
#[derive(Debug)]
pub struct MediaWriter {
    stream: Published,
}

impl MediaWriter {
    pub(super) fn new(stream: Published) -> Self {
        Self { stream }
    }

    /// Sends one RTP payload, packetized by the codec's own rules ([RFC 7741](https://www.rfc-editor.org/rfc/rfc7741)
    /// for VP8, [RFC 6184](https://www.rfc-editor.org/rfc/rfc6184) for H.264): `timestamp` in 1/90,000 s, `marker` for
    /// the last one of a picture. Never waits; what does not fit into the queue of packets is dropped, the oldest first.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn write(
        &mut self,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        self.stream
            .send(|client, now, key| client.send_media(now, key, timestamp, marker, payload))
    }

    /// The stream's key.
    pub fn key(&self) -> &StreamKey {
        self.stream.key()
    }
}

/// One RTP packet of a stream of pictures, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaPacket {
    /// The SSRC of the stream, as the room's state shows it.
    pub ssrc: u32,
    /// How the payload is coded; `None` if this crate does not know.
    pub codec: Option<Codec>,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, in 1/90,000 s.
    pub timestamp: u32,
    /// Whether this is the last packet of a picture.
    pub marker: bool,
    /// The payload, as its publisher packetized it.
    pub payload: Bytes,
}

impl MediaPacket {
    pub(super) fn new(packet: &RtpPacket<'_>) -> Self {
        Self {
            ssrc: packet.ssrc(),
            codec: Codec::from_payload_type(packet.payload_type()),
            sequence: packet.sequence(),
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            payload: Bytes::copy_from_slice(packet.payload()),
        }
    }
}

/// The packets of all streams of pictures that are subscribed to, in the order in which they arrive.
///
/// Bounded: to a reader that is too slow, the oldest are lost, as they might have been on their way.
#[derive(Debug)]
pub struct MediaReader {
    shared: Arc<Shared>,
    packets: Receiver<MediaPacket>,
}

impl MediaReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            packets: shared.subscribe_media(),
            shared,
        }
    }

    /// The next packet; `None` once the room is closed and all packets have been read. Cancellation-safe.
    pub async fn next(&mut self) -> Option<MediaPacket> {
        loop {
            match self.packets.recv().await {
                Ok(packet) => return Some(packet),
                Err(RecvError::Lagged(lost)) => tracing::debug!(lost, "pictures read too slowly"),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The stream of a packet, if it is still published.
    pub fn stream_of(&self, packet: &MediaPacket) -> Option<StreamRef> {
        self.shared.stream_with(packet.ssrc)
    }
}
