//! Media that flows: while it does, silence means something, and soon.

use crate::secure::Arrivals;
use crate::signal::RttEstimator;
use crate::time::{Duration, Instant};

/// So long a silence of a peer with which media flows is looked into.
const SILENCE: Duration = Duration::from_millis(500);
/// What is received counts as flowing for so long. Less than twice as long as the silence that is looked into, so that one
/// ping is all that a talker who stops costs.
const RECENT: Duration = Duration::from_secs(1);
/// What is sent counts from so many packets on since the peer was heard, so that a sender in a pause, which sends hardly
/// anything, hardly asks.
const MANY: u8 = 5;

/// How long a peer whose silence is doubtful has to answer: so long, or as four round trips take if that is longer.
const PATIENCE: Duration = Duration::from_millis(900);
/// Three times as long on a path that loses more than an eighth, where bursts may last.
const LOSSY: u64 = 8;
const LOSSY_PATIENCE: u32 = 3;
const MAX_PATIENCE: Duration = Duration::from_secs(4);
/// How often it is asked in that time after the first time. One answer is enough, of so many that all are lost on a bad path
/// hardly ever.
pub(super) const REPETITIONS: u8 = 10;
/// The first answer is waited for at least so long.
const LEAST_WAIT: Duration = Duration::from_millis(100);
/// A round trip of which nothing is known yet: a guess that is too short has whoever is on a slow path reconnect for ever.
const UNKNOWN_ROUND_TRIP: Duration = RttEstimator::INITIAL_TIMEOUT;

/// How long to wait for the answer to a ping in doubt, after so many that went `unanswered`: at first for as long as an
/// answer may take, where of late so many came too `late`; then for as much as makes [`REPETITIONS`] of them take up the time
/// that the peer has.
pub(super) fn wait(rtt: &RttEstimator, arrivals: Arrivals, unanswered: u8, late: u8) -> Duration {
    let round_trip = rtt.smoothed().unwrap_or(UNKNOWN_ROUND_TRIP);
    let lost = arrivals.expected.saturating_sub(arrivals.received);
    let factor = match lost > arrivals.expected / LOSSY {
        true => LOSSY_PATIENCE,
        false => 1,
    };
    let patience = round_trip.saturating_mul(4).max(PATIENCE);
    let patience = patience.saturating_mul(factor);
    let patience = patience.min(MAX_PATIENCE);
    let first = round_trip.saturating_mul(3) / 2;
    let first = first.max(LEAST_WAIT);
    let first = first.saturating_mul(1 << late).min(patience / 2);
    match unanswered {
        0 => first,
        _ => patience.saturating_sub(first) / u32::from(REPETITIONS),
    }
}

/// What flows over a link.
#[derive(Debug, Default)]
pub(super) struct Flow {
    received: Option<Instant>,
    /// Packets since the peer was last heard, at most [`MANY`].
    sent: u8,
}

impl Flow {
    /// Something came, whatever it is.
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

    /// Whether so much was sent to a peer last heard at `heard` that it should have been heard since.
    #[cfg(any(feature = "client", test))]
    pub(super) fn is_one_sided(&self, now: Instant, heard: Instant) -> bool {
        self.sent >= MANY && now >= heard + SILENCE
    }

    /// From when on the silence of a peer last heard at `heard` is doubtful: because media came from it, or much was sent
    /// to it and it `owes` an answer.
    pub(super) fn doubtful_from(&self, heard: Instant, owes: bool) -> Option<Instant> {
        let from = heard + SILENCE;
        let hears = self.received.is_some_and(|at| from < at + RECENT);
        (hears || owes && self.sent >= MANY).then_some(from)
    }
}
