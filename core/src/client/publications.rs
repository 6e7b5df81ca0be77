//! One's own streams: what the server has been told of them, and the packets they become.

use super::errors::SendError;
use super::told::Told;
use crate::room::{Codec, StreamKey, StreamKind};
use crate::rtp::{
    AudioLevel, PacketizeError, Packetizer, RtpHeader, RtpPacket, RtpWriteError, SenderInfo, units,
};
use crate::signal::{Publish, RequestId};
use crate::time::{Instant, micros};
use crate::wire::{FRAME_HEADER, MAX_PLAINTEXT};

/// A stream of one's own.
#[derive(Debug)]
pub struct Publication {
    pub(super) publish: Publish,
    /// Whether it is to be published. If not, it is kept until the server says that it has ended it.
    pub(super) is_wanted: bool,
    /// The server's knowledge of that.
    pub(super) told: Told,
    /// Whether the server takes it for muted.
    pub(super) known_muted: bool,
    /// The server's knowledge of that, if it knows the stream.
    pub(super) mute: Told,
    flow: Option<Flow>,
}

impl Publication {
    pub(super) fn new(publish: Publish) -> Self {
        Self {
            known_muted: publish.muted,
            publish,
            is_wanted: true,
            told: Told::Untold,
            mute: Told::Known,
            flow: None,
        }
    }

    /// The server is asked to publish it, by `request` or by the handshake, which says whether it is muted.
    pub(super) fn asked(&mut self, request: Option<RequestId>) {
        self.told = Told::Asked(request);
        self.known_muted = self.publish.muted;
        self.mute = Told::Known;
    }

    /// It is no longer wanted, which the server is told by `request`, if it is told yet.
    pub(super) fn withdraw(&mut self, request: Option<RequestId>) {
        self.is_wanted = false;
        self.told = Told::by(request);
        self.flow = None;
    }

    /// Whether the server was told that it is no longer wanted, and has not answered.
    pub(super) fn is_ending(&self) -> bool {
        !self.is_wanted && self.told != Told::Untold
    }

    /// It is muted, or no longer, which the server is told by `request`, if it is told yet.
    pub(super) fn set_muted(&mut self, muted: bool, request: Option<RequestId>) {
        if request.is_some() {
            self.known_muted = muted;
        }
        self.publish.muted = muted;
        self.mute = Told::by_or(request, muted == self.known_muted);
    }

    /// It is published as `ssrc`. Numbers start at random, from `seed`
    /// ([RFC 3550 section 5.1](https://www.rfc-editor.org/rfc/rfc3550#section-5.1)).
    pub(super) fn published(&mut self, ssrc: u32, seed: u16) {
        self.told = Told::Known;
        if self.flow.as_ref().is_none_or(|flow| flow.ssrc != ssrc) {
            self.flow = Some(Flow::new(&self.publish, ssrc, seed));
        }
    }

    /// Whether this is the stream `key`, and still wanted.
    pub(super) fn is(&self, key: &StreamKey) -> bool {
        self.publish.key == *key && self.is_wanted
    }

    /// Whether it is wanted, and the server publishes it.
    pub(super) fn is_known(&self) -> bool {
        self.is_wanted && self.told == Told::Known
    }

    pub(super) fn ssrc_if(&self, key: &StreamKey) -> Option<u32> {
        let live = self.publish.key == *key && self.is_known();
        self.flow.as_ref().filter(|_| live).map(|flow| flow.ssrc)
    }

    pub(super) fn ssrc(&self) -> Option<u32> {
        self.flow.as_ref().map(|flow| flow.ssrc)
    }

    /// The flow, if packets may be sent on it now.
    pub(super) fn sendable(&mut self) -> Result<&mut Flow, SendError> {
        if self.publish.muted {
            return Err(SendError::Muted);
        }
        match (&mut self.flow, self.told) {
            (Some(flow), Told::Known) => Ok(flow),
            _ => Err(SendError::NotPublished),
        }
    }

    /// The SSRC of the flow, if it is one of pictures and packets may be sent on it now.
    pub(super) fn picture_flow(&self) -> Result<u32, SendError> {
        if self.publish.muted {
            return Err(SendError::Muted);
        }
        match (&self.flow, self.told) {
            (Some(flow), Told::Known) if matches!(flow.packets, Packets::Pictures { .. }) => {
                Ok(flow.ssrc)
            }
            (Some(_), Told::Known) => Err(SendError::WrongKind),
            _ => Err(SendError::NotPublished),
        }
    }

    /// The sender report of the flow, if packets were sent since the last call.
    pub(super) fn take_report(&mut self, now: Instant) -> Option<(u32, SenderInfo)> {
        let flow = self.flow.as_mut()?;
        core::mem::take(&mut flow.unreported).then(|| (flow.ssrc, flow.sender_info(now)))
    }

    /// Whether [`take_report`](Self::take_report) has something to tell.
    pub(super) fn has_report(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.unreported)
    }
}

/// The packets of one stream.
#[derive(Debug)]
pub(super) struct Flow {
    ssrc: u32,
    codec: Codec,
    packets: Packets,
    /// When the last packet was sent, and its timestamp.
    last: (Instant, u32),
    /// Packets were sent since the last report.
    unreported: bool,
}

#[derive(Debug)]
enum Packets {
    Sound(Packetizer),
    /// Packetized by the application.
    Pictures {
        sequence: u16,
        packets: u32,
        octets: u32,
    },
}

impl Flow {
    fn new(publish: &Publish, ssrc: u32, seed: u16) -> Self {
        Self {
            ssrc,
            codec: publish.codec,
            packets: match publish.kind {
                StreamKind::Audio => Packets::Sound(Packetizer::new(publish.codec, ssrc, seed, 0)),
                StreamKind::Video | StreamKind::Screen => Packets::Pictures {
                    sequence: seed,
                    packets: 0,
                    octets: 0,
                },
            },
            last: (Instant::from_micros(0), 0),
            unreported: false,
        }
    }

    /// Writes the packet of a frame of sound; gives its length.
    pub(super) fn write_audio(
        &mut self,
        now: Instant,
        timestamp: u32,
        level: AudioLevel,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let len = out.len().min(MAX_AUDIO_PACKET);
        let out = out.get_mut(..len).unwrap_or_default();
        let max = out.len().saturating_sub(AUDIO_HEADER);
        let Packets::Sound(packetizer) = &mut self.packets else {
            return Err(SendError::WrongKind);
        };
        let written = packetizer.packetize_at(payload, timestamp, level, out);
        let len = written.map_err(|error| match error {
            PacketizeError::Frame(error) => SendError::Frame(error),
            _ => SendError::TooLong { max },
        })?;
        self.sent(now, timestamp);
        Ok(len)
    }

    /// Writes the packet of a payload that the application made; gives its length.
    pub(super) fn write_media(
        &mut self,
        now: Instant,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let max = out.len().saturating_sub(MEDIA_HEADER);
        let Packets::Pictures {
            sequence,
            packets,
            octets,
        } = &mut self.packets
        else {
            return Err(SendError::WrongKind);
        };
        let header = RtpHeader {
            marker,
            payload_type: self.codec.payload_type(),
            sequence: *sequence,
            timestamp,
            ssrc: self.ssrc,
            csrcs: &[],
            audio_level: None,
        };
        let written = header.write(payload, out);
        let len = written.map_err(|_: RtpWriteError| SendError::TooLong { max })?;
        *sequence = sequence.wrapping_add(1);
        *packets = packets.wrapping_add(1);
        // Modulo 2^32, as the field of the report is.
        *octets = octets.wrapping_add(payload.len() as u32);
        self.sent(now, timestamp);
        Ok(len)
    }

    /// Writes a packet that a [`PictureSender`](crate::video::PictureSender) made for this flow; gives its length.
    pub(super) fn write_packet(
        &mut self,
        now: Instant,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let Packets::Pictures {
            packets, octets, ..
        } = &mut self.packets
        else {
            return Err(SendError::WrongKind);
        };
        let read = RtpPacket::parse(packet).map_err(|_| SendError::NotOfThisStream)?;
        if read.ssrc() != self.ssrc || read.payload_type() != self.codec.payload_type() {
            return Err(SendError::NotOfThisStream);
        }
        let max = out.len();
        let out = out.get_mut(..packet.len());
        out.ok_or(SendError::TooLong { max })?
            .copy_from_slice(packet);
        *packets = packets.wrapping_add(1);
        // Modulo 2^32, as the field of the report is.
        *octets = octets.wrapping_add(read.payload().len() as u32);
        self.sent(now, read.timestamp());
        Ok(packet.len())
    }

    fn sent(&mut self, now: Instant, timestamp: u32) {
        self.last = (now, timestamp);
        self.unreported = true;
    }

    fn sender_info(&self, now: Instant) -> SenderInfo {
        let ntp = crate::rtp::ntp_timestamp(now);
        let (then, timestamp) = self.last;
        let since = micros(now.saturating_duration_since(then));
        let timestamp = timestamp.wrapping_add(units(since, self.codec.clock_rate()));
        match &self.packets {
            Packets::Sound(packetizer) => packetizer.sender_info(ntp, timestamp),
            Packets::Pictures {
                packets, octets, ..
            } => SenderInfo {
                ntp,
                rtp_timestamp: timestamp,
                packets: *packets,
                octets: *octets,
            },
        }
    }
}

/// Bytes before the payload of a packet of sound: with the audio level.
const AUDIO_HEADER: usize = 20;
/// The longest packet of sound: in a datagram the server adds four bytes to it, which say whose it is.
const MAX_AUDIO_PACKET: usize = MAX_PLAINTEXT - FRAME_HEADER - 4;
/// Bytes of the longest frame of sound that fits into a datagram. A [`Profile`](super::Profile) with less memory for packets
/// takes less.
pub const MAX_AUDIO_PAYLOAD: usize = MAX_AUDIO_PACKET - AUDIO_HEADER;
/// Bytes before the payload of any other packet.
const MEDIA_HEADER: usize = 12;
