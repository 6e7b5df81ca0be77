//! The active speaker.

use crate::audio::Dominance;
use crate::room::ParticipantId;
use crate::server::timers::Alarm;
use crate::time::{Duration, Instant};

/// How often the active speaker is decided anew, at most.
pub(super) const DECISION_INTERVAL: Duration = Duration::from_millis(20);

/// The active speaker of a session.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) dominance: Dominance<u32>,
    /// The active speaker that the embedder was last told.
    pub(super) told: Option<ParticipantId>,
    /// Not to be decided again before this.
    pub(super) next_decision: Instant,
    pub(super) alarm: Alarm,
}

impl Speaker {
    pub(super) fn new(hold: Duration) -> Self {
        Self {
            dominance: Dominance::new(hold),
            told: None,
            next_decision: Instant::from_micros(0),
            alarm: Alarm::default(),
        }
    }
}
