//! Participants that one message names.

use core::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::room::ParticipantId;

/// Most participants that one message names.
pub const MAX_TARGETS: usize = 8;

/// Participants named one by one, at most [`MAX_TARGETS`].
///
/// ```
/// use parlour_core::room::ParticipantId;
/// use parlour_core::signal::{MAX_TARGETS, ParticipantList, Targets, TooManyParticipants};
///
/// let anna = ParticipantId::new("anna")?;
/// let list = ParticipantList::of([anna.clone(), ParticipantId::new("ben")?])?;
/// assert_eq!((list.len(), &list[0]), (2, &anna));
/// let many = vec![anna.clone(); MAX_TARGETS + 1];
/// assert_eq!(ParticipantList::of(many), Err(TooManyParticipants));
/// assert_eq!(Targets::from(anna.clone()), Targets::List(ParticipantList::from(anna)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ParticipantList(heapless::Vec<ParticipantId, MAX_TARGETS, u8>);

/// More participants than one message can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("one message names at most 8 participants: name the others in another one")]
pub struct TooManyParticipants;

impl ParticipantList {
    /// No participant.
    pub const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// All of `ids`.
    ///
    /// # Errors
    /// If they are more than [`MAX_TARGETS`].
    pub fn of(ids: impl IntoIterator<Item = ParticipantId>) -> Result<Self, TooManyParticipants> {
        let mut list = Self::new();
        for id in ids {
            list.push(id)?;
        }
        Ok(list)
    }

    /// Adds one more.
    ///
    /// # Errors
    /// If there are [`MAX_TARGETS`] already; the list is as it was.
    pub fn push(&mut self, id: ParticipantId) -> Result<(), TooManyParticipants> {
        self.0.push(id).map_err(|_| TooManyParticipants)
    }
}

impl Deref for ParticipantList {
    type Target = [ParticipantId];

    fn deref(&self) -> &[ParticipantId] {
        &self.0
    }
}

impl From<ParticipantId> for ParticipantList {
    fn from(id: ParticipantId) -> Self {
        let mut list = Self::new();
        // There is room for one.
        let _ = list.push(id);
        list
    }
}

impl<'a> IntoIterator for &'a ParticipantList {
    type Item = &'a ParticipantId;
    type IntoIter = core::slice::Iter<'a, ParticipantId>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
