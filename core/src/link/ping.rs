//! Pings: at most one is awaited at a time.

use crate::time::{Duration, Instant};

/// Sends pings to a peer, and measures its answers.
#[derive(Debug)]
pub(super) struct Pinger {
    requested: Option<u32>,
    awaited: Option<(u32, Instant)>,
    unanswered: u8,
    /// Consecutive answers that came after another ping had replaced theirs.
    late: u8,
}

/// The limit for late answers: 16 times the wait exceeds the round-trip time of any path.
const MAX_LATE: u8 = 4;

impl Pinger {
    pub(super) const fn new() -> Self {
        Self {
            requested: None,
            awaited: None,
            unanswered: 0,
            late: 0,
        }
    }

    /// Requests a ping. It replaces an awaited one.
    pub(super) fn request(&mut self, nonce: u32) {
        if self.awaited.take().is_some() {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        self.requested = Some(nonce);
    }

    /// Stops waiting for a ping sent before `heard`: the peer showed without an answer that it is present.
    pub(super) fn forget_sent_before(&mut self, heard: Instant) {
        self.awaited.take_if(|(_, sent)| *sent < heard);
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.is_some()
    }

    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<u32> {
        let nonce = self.requested.take()?;
        self.awaited = Some((nonce, now));
        Some(nonce)
    }

    /// The round-trip time of the awaited ping, if `nonce` matches. If not, the answer counts as late.
    pub(super) fn handle_pong(&mut self, now: Instant, nonce: u32) -> Option<Duration> {
        let Some((_, sent)) = self.awaited.take_if(|(awaited, _)| *awaited == nonce) else {
            self.late = self.late.saturating_add(1).min(MAX_LATE);
            return None;
        };
        self.late = 0;
        Some(now.saturating_duration_since(sent))
    }

    /// Records that the peer sent something: it is present, even if the ping got lost.
    pub(super) fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// The number of consecutive pings without a sign of life, without the awaited one.
    pub(super) fn unanswered(&self) -> u8 {
        self.unanswered
    }

    /// When the awaited ping was sent.
    pub(super) fn awaited_since(&self) -> Option<Instant> {
        self.awaited.map(|(_, sent)| sent)
    }

    /// How long to wait for the awaited ping: `patience`, doubled for each unanswered ping or late answer, up to
    /// `most`.
    pub(super) fn wait(&self, patience: Duration, most: Duration) -> Duration {
        patience
            .saturating_mul(1 << (self.unanswered.saturating_add(self.late)).min(8))
            .min(most)
    }

    /// The number of consecutive late answers.
    pub(super) fn late(&self) -> u8 {
        self.late
    }
}
