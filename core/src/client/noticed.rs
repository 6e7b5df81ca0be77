//! The derived facts that the application was told.

use crate::room::ParticipantId;

/// Facts that follow from others, as the application knows them.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    pub(super) presenter: Option<ParticipantId>,
    pub(super) main: Option<ParticipantId>,
    pub(super) count: u32,
}
