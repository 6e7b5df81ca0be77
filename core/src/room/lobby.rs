//! The lobby: those who wait to be let in, as facts.
//!
//! The server tells it to participants with [`Grants::ADMIT`](super::Grants::ADMIT): the first
//! [`MAX_WAITING`] by name, in the order in which they came, and how many wait in all. It is apart from the room's state and
//! has versions of its own, so that a participant without the grant sees no gap in the room's.

#[cfg(feature = "server")]
mod list;
#[cfg(all(test, feature = "server", feature = "client"))]
mod tests;

#[cfg(feature = "server")]
pub(crate) use list::{LobbyView, Place, Told, WaitingList};

#[cfg(feature = "client")]
use heapless::VecView;

use super::{DisplayName, ParticipantId, Version};

/// How many of those who wait are told by name at a time. When one of them goes, the next is told.
pub const MAX_WAITING: usize = 32;

/// One who waits in the lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Waiting {
    /// The participant.
    pub participant: ParticipantId,
    /// The display name.
    pub name: DisplayName,
}

/// The lobby as a receiver knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lobby<'a> {
    /// The latest version that was told whole; 0 if none was, or if the receiver may not admit any more.
    pub version: Version,
    /// How many waited then, known by name or not.
    pub count: u32,
    /// Those known by name, in the order in which they came; none if the receiver has no places for them.
    pub waiting: &'a [Waiting],
}

impl Lobby<'_> {
    /// How many wait beside those known by name.
    pub fn others(&self) -> u32 {
        let known = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        self.count.saturating_sub(known)
    }
}

/// Notes one who waits, the latest. One for whom there is no place is not kept.
#[cfg(feature = "client")]
pub(crate) fn note(known: &mut VecView<Waiting>, participant: &ParticipantId, name: &DisplayName) {
    strike(known, participant);
    let _ = known.push(Waiting {
        participant: participant.clone(),
        name: name.clone(),
    });
}

/// Strikes out one who waits no longer.
#[cfg(feature = "client")]
pub(crate) fn strike(known: &mut VecView<Waiting>, participant: &ParticipantId) {
    known.retain(|waiting| waiting.participant != *participant);
}
