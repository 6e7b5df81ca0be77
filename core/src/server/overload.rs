//! More to send than is sent: the oldest is dropped, receiver by receiver, and the embedder hears of it.
//!
//! Receivers take turns, one datagram each, in all rooms: a participant of a small room gets as many as one of a
//! large room. As waiting frames share datagrams, a server that sends only a tenth of the datagrams may still send
//! all the audio.
//!
//! More may come, too, than there is time to queue for all receivers. Then the embedder says so, and large rooms lose some.

use crate::time::{Duration, Instant};

/// How often the embedder is told, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// In a session of at most this many members, nothing is put off and nothing is shed.
pub(super) const FEW: usize = 16;

/// The count of dropped packets, until the embedder is told.
#[derive(Debug, Default)]
pub(super) struct Overload {
    /// Whether more input has arrived than the embedder has time for.
    pub(super) behind: bool,
    late: u64,
    told: Option<Instant>,
}

impl Overload {
    /// Whether there is no time for a packet with this many receivers; it is dropped then.
    pub(super) fn is_shed(&self, receivers: usize) -> bool {
        self.behind && receivers > FEW
    }

    /// Counts dropped packets. Returns how many to report to the embedder now.
    pub(super) fn count(&mut self, now: Instant, late: u64) -> Option<u64> {
        self.late += late;
        if self.told.is_some_and(|told| told + INTERVAL > now) {
            return None;
        }
        self.told = Some(now);
        Some(core::mem::take(&mut self.late))
    }
}
