//! How far those in a session are told what has changed.

use crate::room::Version;
use crate::server::timers::Alarm;
use crate::time::Instant;

/// What of a session's changes is being told.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What is so at this version is told to who does not know it; what came later waits.
    pub(super) through: Version,
    /// When that was last moved on.
    pub(super) at: Option<Instant>,
    /// When it is to be, next.
    pub(super) alarm: Alarm,
}

impl Pace {
    /// Whether who knows all that it should at `told` has nothing to be told now.
    pub(super) fn is_done(&self, told: Option<Version>) -> bool {
        told.is_some_and(|told| told >= self.through)
    }
}
