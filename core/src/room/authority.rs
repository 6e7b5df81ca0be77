//! The authority: what is true in the room, and its latest changes.

use thiserror::Error;

use super::log::Log;
use super::relevance::Relevance;
use super::{Change, Growing, RoomState, RoomUpdate, Version};

/// Why the authority did not make a change. The room is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ChangeError {
    /// The room has as many participants as it may have.
    #[error("the room is full: refuse the join")]
    RoomFull,
    /// The participant publishes [`MAX_STREAMS`](super::MAX_STREAMS) already.
    #[error("the participant publishes as many streams as it may: unpublish one first")]
    TooManyStreams,
    /// The participant has [`MAX_ATTRIBUTES`](super::MAX_ATTRIBUTES) already.
    #[error("the participant has as many attributes as it may: remove one first")]
    TooManyAttributes,
    /// The participant that the change names is not in the session.
    #[error("no such participant in the session: it must join first")]
    UnknownParticipant,
    /// `Hidden` and `Count` say what one receiver tracks, not what is true in the room.
    #[error("this update is not a fact of the room: only a receiver's view sends it")]
    NotOfTheRoom,
}

/// The one true state of a session's room, and its latest changes.
///
/// ```
/// use parlour_core::room::{Authority, DisplayName, Participant, ParticipantId, RoomUpdate, Version};
///
/// let anna = ParticipantId::new("anna").unwrap();
/// let mut authority = Authority::new(100, 256);
/// let joined = RoomUpdate::Joined(Participant::new(anna.clone(), DisplayName::new("Anna").unwrap()));
/// assert_eq!(authority.change(joined), Ok(Version(1)));
///
/// let censored = RoomUpdate::Censored { participant: anna, censored: true };
/// assert_eq!(authority.change(censored.clone()), Ok(Version(2)));
/// assert_eq!(authority.change(censored.clone()), Ok(Version(2)), "it is so already");
/// assert_eq!(authority.since(Version(1)).unwrap().next(), Some((Version(2), &censored)));
/// ```
#[derive(Debug)]
pub struct Authority {
    state: RoomState<Growing>,
    log: Log,
    room_limit: usize,
    relevance: Relevance,
}

impl Authority {
    /// An empty room that takes at most `room_limit` participants and remembers its latest
    /// `log_capacity` changes, of each fact the last: a receiver further behind gets a snapshot. Each takes about 200
    /// bytes; 256 of them cover more than the seconds that a slow receiver lags.
    pub fn new(room_limit: usize, log_capacity: usize) -> Self {
        Self {
            state: RoomState::origin(),
            log: Log::new(log_capacity),
            room_limit,
            relevance: Relevance::default(),
        }
    }

    /// The current state.
    pub fn state(&self) -> &RoomState<Growing> {
        &self.state
    }

    /// Most participants that the room takes.
    pub fn room_limit(&self) -> usize {
        self.room_limit
    }

    /// Makes a change, and returns the version after it. A change to the current value is no change, and the version
    /// stays the same.
    ///
    /// If a participant leaves that is the speaker or holds the floor, then changes of their own,
    /// before the `Left`, say that nobody does.
    ///
    /// # Errors
    /// [`ChangeError`] says why the change cannot be made.
    pub fn change(&mut self, update: RoomUpdate) -> Result<Version, ChangeError> {
        self.check(&update)?;
        if let RoomUpdate::Left { participant, .. } = &update {
            if self.state.active_speaker() == Some(participant) {
                self.record(RoomUpdate::Speaker { participant: None })?;
            }
            if self.state.floor() == Some(participant) {
                self.record(RoomUpdate::Floor { holder: None })?;
            }
        }
        self.record(update)?;
        Ok(self.state.version())
    }

    /// The changes after `version`, oldest first, but those that later ones have overtaken: of a fact that changed several
    /// times, the last. `None` if some of them are no longer remembered, or if `version` is yet to come.
    pub fn since(
        &self,
        version: Version,
    ) -> Option<impl ExactSizeIterator<Item = (Version, &RoomUpdate)>> {
        let changes = self.log.since(version, self.state.version())?;
        Some(changes.map(|change| (change.version, &change.update)))
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn relevance(&self) -> &Relevance {
        &self.relevance
    }

    fn check(&self, update: &RoomUpdate) -> Result<(), ChangeError> {
        let named = match update {
            RoomUpdate::Joined(participant) => {
                let full = self.state.participants().len() >= self.room_limit;
                if full && self.state.participant(&participant.id).is_none() {
                    return Err(ChangeError::RoomFull);
                }
                None
            }
            RoomUpdate::Hidden { .. } | RoomUpdate::Count { .. } => {
                return Err(ChangeError::NotOfTheRoom);
            }
            RoomUpdate::Speaker { participant } => participant.as_ref(),
            RoomUpdate::Floor { holder } => holder.as_ref(),
            about_one => about_one.participant(),
        };
        match named {
            Some(id) if self.state.participant(id).is_none() => {
                Err(ChangeError::UnknownParticipant)
            }
            _ => Ok(()),
        }
    }

    /// Whether a change brings somebody or something that is not here yet.
    fn is_new(&self, update: &RoomUpdate) -> bool {
        let find = |id| self.state.participant(id);
        match update {
            RoomUpdate::Joined(participant) => find(&participant.id).is_none(),
            RoomUpdate::Published {
                participant,
                stream,
            } => find(participant).is_some_and(|known| known.stream(&stream.key).is_none()),
            RoomUpdate::Attribute {
                participant, key, ..
            } => self.state.attribute(participant, key).is_none(),
            _ => false,
        }
    }

    /// Applies a checked change, and remembers it if it is one.
    fn record(&mut self, update: RoomUpdate) -> Result<(), ChangeError> {
        // A growing roster takes every participant, so only what one of them has can be too much.
        let full = match &update {
            RoomUpdate::Attribute { .. } => ChangeError::TooManyAttributes,
            _ => ChangeError::TooManyStreams,
        };
        let is_new = self.is_new(&update);
        let change = self.state.apply(self.state.version(), &update);
        if change.map_err(|_| full)? == Change::Nothing {
            return Ok(());
        }
        let version = self.state.advance();
        self.relevance.note(&self.state, &update);
        self.log.push(version, update, is_new);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
