//! More to send than is sent: the oldest is dropped, receiver by receiver, and the embedder hears of it.
//!
//! Receivers take turns, a datagram each, whatever their rooms: who is in a small room gets as many as who is in a large one.
//! As frames that wait share datagrams, a server that sends but a tenth of the datagrams may still send all that is said.
//!
//! More may come, too, than there is time to queue for all receivers. Then the embedder says so, and large rooms lose some.

use crate::time::{Duration, Instant};

/// How often the embedder is told, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// In a session of so many, nothing is put off and nothing is shed.
pub(super) const FEW: usize = 16;

/// What was dropped, until the embedder is told.
#[derive(Debug, Default)]
pub(super) struct Overload {
    /// Whether more has come than the embedder has time for.
    pub(super) behind: bool,
    late: u64,
    told: Option<Instant>,
}

impl Overload {
    /// Whether there is no time for a packet that so many would receive; it is dropped then.
    pub(super) fn is_shed(&self, receivers: usize) -> bool {
        self.behind && receivers > FEW
    }

    /// Counts what was dropped. Gives how many the embedder is to be told of now.
    pub(super) fn count(&mut self, now: Instant, late: u64) -> Option<u64> {
        self.late += late;
        if self.told.is_some_and(|told| told + INTERVAL > now) {
            return None;
        }
        self.told = Some(now);
        Some(core::mem::take(&mut self.late))
    }
}
