//! The pace at which members are told of changes.

use crate::room::Version;
use crate::server::timers::Alarm;
use crate::time::Instant;

/// The part of a session's changes that members are told.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Members behind this version are told up to it; later changes wait.
    pub(super) through: Version,
    /// The time when `through` last advanced.
    pub(super) at: Option<Instant>,
    /// The time of its next advance.
    pub(super) alarm: Alarm,
}

impl Pace {
    /// Whether a member at `told` knows everything it should know by now.
    pub(super) fn is_done(&self, told: Option<Version>) -> bool {
        told.is_some_and(|told| told >= self.through)
    }
}
