//! How well the connection does.

use super::errors::Dropped;
use crate::time::Duration;

/// Figures about the connection, since the client was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Statistics {
    /// Smoothed time to the server and back; `None` before the first measurement.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub rtt: Option<Duration>,
    /// Datagrams sent.
    pub sent: Traffic,
    /// Datagrams that were received and not dropped.
    pub received: Traffic,
    /// Datagrams, and packets in them, that were dropped.
    pub drops: Drops,
    /// Media packets that the application sent, among them those that were dropped before they set out.
    pub media_sent: u64,
    /// Packets dropped before they were sent, because too many waited.
    pub unsent: u32,
    /// Share of this end's packets that the server lately missed, in 1/256; `None` before its first report.
    pub uplink_loss: Option<u8>,
    /// How unevenly this end's packets lately reached the server.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub uplink_jitter: Duration,
    /// Share of the server's datagrams that lately got lost on their way here, in 1/256; `None` while no media
    /// has come. Packets of talkers that were lost before the server appear in [`SlotStatistics`] only.
    pub downlink_loss: Option<u8>,
    /// The quality of the conversation by these figures, 0 (unusable) to 100 (perfect); see
    /// [`quality`](crate::rtp::quality).
    pub quality: Option<u8>,
}

/// Datagrams and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Traffic {
    /// How many.
    pub datagrams: u64,
    /// Bytes in them, without the headers of UDP and IP.
    pub bytes: u64,
}

impl Traffic {
    pub(super) fn count(&mut self, len: usize) {
        self.datagrams = self.datagrams.saturating_add(1);
        self.bytes = self.bytes.saturating_add(len as u64);
    }
}

/// Counters of drops, by reason. They saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Drops {
    /// Datagrams that are no packets of this protocol.
    pub malformed: u32,
    /// Packets of no connection of this client.
    pub unexpected: u32,
    /// Packets forged or damaged.
    pub forged: u32,
    /// Packets that came before, or far too late.
    pub replayed: u32,
    /// Frames in authentic packets that break the protocol, or that a newer server means.
    pub frames: u32,
    /// Media packets of streams that are unknown here, or not of their stream's codec.
    pub media: u32,
}

impl Drops {
    pub(super) fn count(&mut self, dropped: Dropped) {
        let counter = match dropped {
            Dropped::Malformed => &mut self.malformed,
            Dropped::Unexpected | Dropped::Closed => &mut self.unexpected,
            Dropped::Forged => &mut self.forged,
            Dropped::Replayed => &mut self.replayed,
        };
        *counter = counter.saturating_add(1);
    }
}

/// How one audio slot arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct SlotStatistics {
    /// Packets received.
    pub received: u64,
    /// Packets lost; negative if duplicates outnumber them.
    pub lost: i64,
    /// Packets that came after a later one.
    pub late: u64,
    /// Packets that came before.
    pub duplicates: u64,
    /// Smoothed difference in transit time from packet to packet.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub jitter: Duration,
    /// Share lost over the last interval of reports, in 1/256.
    pub loss: u8,
}
