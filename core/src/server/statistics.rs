//! Counters of the server.

use super::Dropped;
use crate::time::Duration;

/// Counters of a [`Server`](super::Server) since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Datagrams handed in.
    pub datagrams_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// Datagrams given out.
    pub datagrams_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Hellos answered with a cookie, to come back with it.
    pub retries: u64,
    /// Diffie-Hellman operations done for Hellos.
    pub handshakes: u64,
    /// Joins that took effect, new ones.
    pub joins: u64,
    /// Joins that took effect, continuing an earlier connection.
    pub resumes: u64,
    /// Joins refused.
    pub joins_refused: u64,
    /// Packets for unknown connections that were answered so.
    pub resets: u64,
    /// Connections that moved to another address.
    pub roams: u64,
    /// Media packets taken from publishers.
    pub media_received: u64,
    /// Media packets queued for receivers.
    pub media_forwarded: u64,
    /// Packets of video that were queued for a receiver once more, because it had lost them.
    pub media_repaired: u64,
    /// Media packets from publishers that are not for a stream of theirs, of another codec than
    /// announced, muted, censored, or too many.
    pub media_rejected: u64,
    /// Those of them that are too many: see [`Config::media`](super::Config::media) and [`audio`](super::Config::audio).
    pub media_limited: u64,
    /// Media packets that a receiver did not get because louder streams have its slots.
    pub media_outranked: u64,
    /// Media packets and lossy messages that a receiver did not get because its queue, or the
    /// pool of payloads, was full.
    pub media_overflowed: u64,
    /// Media packets and lossy messages that a receiver did not get because they had waited for
    /// [`Config::queued_media_time`](super::Config::queued_media_time): the embedder sends less than there is to send.
    pub media_late: u64,
    /// Messages that a receiver did not get because its queue was full.
    pub messages_overflowed: u64,
    /// Talkers' sound decoded for mixes, in blocks of 20 ms.
    #[cfg(feature = "opus-fullband")]
    pub mix_decoded: u64,
    /// Packets of mixes encoded, each for all listeners of the same mix.
    #[cfg(feature = "opus-fullband")]
    pub mix_encoded: u64,
    /// Packets of mixes that a receiver did not get because the session's encoders were all in use.
    #[cfg(feature = "opus-fullband")]
    pub mix_overflowed: u64,
    dropped: [u64; Dropped::ALL.len()],
}

impl Statistics {
    /// Datagrams dropped for this reason.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.datagrams_sent += 1;
        self.bytes_sent += bytes as u64;
    }

    pub(super) fn count_dropped(&mut self, reason: Dropped) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count += 1;
        }
    }
}

/// How well one participant is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParticipantStatistics {
    /// Round trip between server and participant, if measured.
    pub round_trip: Option<Duration>,
    /// Packets of its streams that got lost on their way to the server lately, in 1/256.
    pub uplink_loss: u8,
    /// The same for packets on their way to it, as it reports. Packets that others lost before the server do not
    /// count.
    pub downlink_loss: u8,
    /// Variation of the transit time of its streams, the worst of them.
    pub jitter: Duration,
    /// Media packets received from it.
    pub media_received: u64,
    /// Media packets sent to it.
    pub media_sent: u64,
    /// Bytes of its datagrams, since it joined. A resume goes on counting.
    pub bytes_received: u64,
    /// Bytes of the datagrams to it, since it joined.
    pub bytes_sent: u64,
    /// From 0 (unusable) to 100 (as good as can be): see [`quality`](crate::rtp::quality).
    pub quality: u8,
}

/// The server's memory, table by table and queue by queue: entries, unless said otherwise. Each is bounded by
/// [`Config`](super::Config).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accounting {
    /// Rooms with a session, a lobby or a join under way.
    pub rooms: usize,
    /// Participants in session, waiting, or being closed.
    pub participants: usize,
    /// Joins under way.
    pub half_open: usize,
    /// Stays that were ended and whose participants have not acknowledged that.
    pub ended: usize,
    /// Connection ids that lead to one of those.
    pub connection_ids: usize,
    /// Answers to strangers, waiting to be sent.
    pub stateless: usize,
    /// Events waiting to be polled.
    pub events: usize,
    /// Timers armed.
    pub timers: usize,
    /// Media packets and lossy messages waiting, all receivers together.
    pub queued_media: usize,
    /// The longest of those queues.
    pub longest_media_queue: usize,
    /// Messages waiting, all receivers together.
    pub queued_messages: usize,
    /// The longest of those queues.
    pub longest_message_queue: usize,
    /// The longest queue of replies and the like.
    pub longest_control_queue: usize,
    /// Payload buffers in use.
    pub media_buffers: usize,
    /// Packets of video that are kept for receivers who lose them.
    pub kept_pictures: usize,
    /// Bytes allocated for payload buffers.
    pub media_bytes: usize,
    /// Sessions that are mixed.
    #[cfg(feature = "opus-fullband")]
    pub mixes: usize,
    /// Talkers' decoders that they have, all together.
    #[cfg(feature = "opus-fullband")]
    pub mix_decoders: usize,
    /// Encoders that they have, all together.
    #[cfg(feature = "opus-fullband")]
    pub mix_encoders: usize,
    /// Bytes that those take.
    #[cfg(feature = "opus-fullband")]
    pub mix_bytes: usize,
}
