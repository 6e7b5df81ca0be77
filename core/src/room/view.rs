//! What one receiver has been told of the room, and what to tell it next.

use alloc::vec::Vec;

use super::{Authority, ParticipantId, RoomUpdate, Version};

/// One thing to tell a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A whole description of the room follows.
    SnapshotBegin {
        /// The state that it starts from.
        version: Version,
    },
    /// One change, or one part of a snapshot.
    Update {
        /// The state after it.
        version: Version,
        /// The change.
        update: RoomUpdate,
    },
    /// The description is complete.
    SnapshotEnd {
        /// The state that is now described.
        version: Version,
    },
}

/// What one receiver has been told.
#[derive(Debug)]
pub struct View {
    capacity: usize,
    cursor: Version,
    tracked: Vec<ParticipantId>,
}

impl View {
    /// The view of a receiver that was told nothing yet, and that can track `capacity`
    /// participants, itself among them (at least 1).
    pub fn new(authority: &Authority, capacity: u16) -> Self {
        let _ = authority;
        Self {
            capacity: usize::from(capacity.max(1)),
            cursor: Version::default(),
            tracked: Vec::new(),
        }
    }

    /// Goes on with a receiver that last applied `version` ([`RoomState::version_for_resume`]
    /// (super::RoomState::version_for_resume)): whatever it was told after that is lost.
    pub fn resume(&mut self, authority: &Authority, version: Option<Version>) {
        let _ = (authority, version);
    }

    /// Says that what [`poll`](Self::poll) is given as `wanted` is different from now on.
    pub fn wanted_changed(&mut self) {}

    /// The next thing to tell the receiver `me`; `None` if it knows all that it should. What is
    /// given out counts as told, so poll only when it can be sent, reliably and in order.
    ///
    /// `wanted` names those whom this receiver asked for or is hearing now (pinned, subscribed, in
    /// a slot), the most important first. It is read only if not everybody can be tracked.
    pub fn poll<'a>(
        &mut self,
        authority: &Authority,
        me: &ParticipantId,
        wanted: impl IntoIterator<Item = &'a ParticipantId>,
    ) -> Option<Told> {
        let _ = (
            authority,
            me,
            wanted.into_iter().next(),
            &self.tracked,
            self.capacity,
            self.cursor,
        );
        None
    }

    /// Whether the receiver knows all that it should, so that [`poll`](Self::poll) gives `None`.
    pub fn is_caught_up(&self, authority: &Authority) -> bool {
        self.cursor == authority.state().version()
    }
}
