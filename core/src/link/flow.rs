//! Media flow detection: while media flows, silence of the peer is noticed sooner.

use crate::secure::Arrivals;
use crate::signal::RttEstimator;
use crate::time::{Duration, Instant};

/// A peer with which media flows is asked for a sign of life after this much silence.
const SILENCE: Duration = Duration::from_millis(500);
/// Received media counts as flowing for this long. It is less than twice [`SILENCE`], so that a talker who stops costs
/// only one ping.
const RECENT: Duration = Duration::from_secs(1);
/// Sent media counts as flowing from this many packets on since the peer was heard, so that a sender in a pause, which
/// sends few packets, rarely asks.
const MANY: u8 = 5;

/// Times in half µs, of which one and a half round trips are a whole number, and which 32 bits hold: a microcontroller
/// needs several instructions for each step with a `Duration`.
type HalfMicros = u32;

/// The time that a silent peer has to answer, or four round-trip times if that is longer.
const PATIENCE: HalfMicros = 2 * 900_000;
/// On a path that loses more than one packet in `LOSSY` the peer has three times as long, since bursts may last.
const LOSSY: u64 = 16;
const LOSSY_PATIENCE: u32 = 3;
const MAX_PATIENCE: HalfMicros = 2 * 4_000_000;
/// Repetitions of the ping within that time. One answer is enough; even on a bad path rarely all are lost.
pub(super) const REPETITIONS: u8 = 10;
/// The shortest wait for the first answer.
const LEAST_WAIT: HalfMicros = 2 * 100_000;
/// The assumed round-trip time before the first sample, in µs. Too short a guess would make a client on a slow path
/// reconnect for ever.
const UNKNOWN_ROUND_TRIP: u32 = 1_000_000;

/// How long to wait for the answer to a ping after `unanswered` pings without one. At first this is the time that an
/// answer may take, which grows with the number of `late` answers. Later it spreads [`REPETITIONS`] pings evenly over
/// the peer's remaining time.
pub(super) fn wait(rtt: &RttEstimator, arrivals: Arrivals, unanswered: u8, late: u8) -> Duration {
    let round_trip = rtt.smoothed_micros().unwrap_or(UNKNOWN_ROUND_TRIP);
    let lost = arrivals.expected.saturating_sub(arrivals.received);
    let factor = match lost > arrivals.expected / LOSSY {
        true => LOSSY_PATIENCE,
        false => 1,
    };
    // A round trip is at most a minute, and late answers at most four, so that no step overflows.
    let patience = (2 * 4 * round_trip).max(PATIENCE) * factor;
    let patience = patience.min(MAX_PATIENCE);
    let first = (3 * round_trip).max(LEAST_WAIT) << late;
    let first = first.min(patience / 2);
    let wait = match unanswered {
        0 => first,
        _ => (patience - first) / u32::from(REPETITIONS),
    };
    Duration::from_micros((wait / 2).into())
}

/// The media that flows over a link.
#[derive(Debug, Default)]
pub(super) struct Flow {
    received: Option<Instant>,
    /// Packets since the peer was last heard, at most [`MANY`].
    sent: u8,
}

impl Flow {
    /// A packet of any kind came from the peer.
    pub(super) fn heard(&mut self) {
        self.sent = 0;
    }

    #[cfg(any(feature = "client", test))]
    pub(super) fn received(&mut self, now: Instant) {
        self.received = Some(now);
    }

    #[cfg(any(feature = "client", test))]
    pub(super) fn sent(&mut self) {
        self.sent = self.sent.saturating_add(1).min(MANY);
    }

    /// Whether enough was sent to a peer last heard at `heard` that it should have been heard since.
    #[cfg(any(feature = "client", test))]
    pub(super) fn is_one_sided(&self, now: Instant, heard: Instant) -> bool {
        self.sent >= MANY && now >= heard + SILENCE
    }

    /// The time from which the silence of a peer last heard at `heard` is doubtful: media came from it, or much was
    /// sent to it and it `owes` an answer.
    pub(super) fn doubtful_from(&self, heard: Instant, owes: bool) -> Option<Instant> {
        let from = heard + SILENCE;
        let hears = self.received.is_some_and(|at| from < at + RECENT);
        (hears || owes && self.sent >= MANY).then_some(from)
    }
}
