//! Pings: at most one is awaited at a time.

use crate::time::{Duration, Instant};

/// Asks the peer for signs of life, and measures how long they take.
#[derive(Debug)]
pub(super) struct Pinger {
    requested: Option<u32>,
    awaited: Option<(u32, Instant)>,
    unanswered: u8,
    /// Answers in a row that came after another ping had taken their ping's place.
    late: u8,
}

/// More late answers do not make the wait any longer: 16 times as long is longer than any path.
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

    /// Has a ping sent. It takes the place of one that is still awaited.
    pub(super) fn request(&mut self, nonce: u32) {
        if self.awaited.take().is_some() {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        self.requested = Some(nonce);
    }

    /// Waits no more for a ping sent before `heard`, when the peer showed that it is there without having answered it.
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

    /// The round trip of the awaited ping, if `nonce` is its. If not, answers take longer than is waited for them.
    pub(super) fn handle_pong(&mut self, now: Instant, nonce: u32) -> Option<Duration> {
        let Some((_, sent)) = self.awaited.take_if(|(awaited, _)| *awaited == nonce) else {
            self.late = self.late.saturating_add(1).min(MAX_LATE);
            return None;
        };
        self.late = 0;
        Some(now.saturating_duration_since(sent))
    }

    /// Takes in that the peer sent something: it is there, whether or not the ping got through.
    pub(super) fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// How many pings in a row brought no sign of life, the awaited one not counted.
    pub(super) fn unanswered(&self) -> u8 {
        self.unanswered
    }

    /// When the awaited ping was sent.
    pub(super) fn awaited_since(&self) -> Option<Instant> {
        self.awaited.map(|(_, sent)| sent)
    }

    /// How long to wait for the awaited ping: for `patience`, which doubles with each that went
    /// unanswered or was answered too late, up to `most`.
    pub(super) fn wait(&self, patience: Duration, most: Duration) -> Duration {
        patience
            .saturating_mul(1 << (self.unanswered.saturating_add(self.late)).min(8))
            .min(most)
    }

    /// Answers in a row that came too late.
    pub(super) fn late(&self) -> u8 {
        self.late
    }
}
