//! The authority: what is true in the room, and how it came to be so.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use thiserror::Error;

use super::{Change, ParticipantId, RoomState, RoomUpdate, Seat, Version};

/// How many distinct recent speakers an [`Authority`] remembers.
pub const RECENT_SPEAKERS: usize = 32;

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
    /// Whom the change is about is not in the session.
    #[error("no such participant in the session: it must join first")]
    UnknownParticipant,
    /// `Hidden` and `Count` are about one receiver's view, not about the room.
    #[error("this is about one receiver's view: let its view say it")]
    NotOfTheRoom,
}

/// The one true state of a session's room, and its latest changes.
#[derive(Debug)]
pub struct Authority {
    state: RoomState<Vec<Seat>>,
    /// Versions are consecutive, and the last one is the state's.
    log: VecDeque<(Version, RoomUpdate)>,
    log_capacity: usize,
    room_limit: usize,
    /// Latest first.
    speakers: VecDeque<ParticipantId>,
}

impl Authority {
    /// An empty room that will take `room_limit` participants and remember `log_capacity` changes
    /// (such as 256): a receiver further behind than that gets a snapshot.
    pub fn new(room_limit: usize, log_capacity: usize) -> Self {
        Self {
            state: RoomState::origin(),
            log: VecDeque::new(),
            log_capacity,
            room_limit,
            speakers: VecDeque::new(),
        }
    }

    /// What is true now.
    pub fn state(&self) -> &RoomState<Vec<Seat>> {
        &self.state
    }

    /// How many participants the room takes.
    pub fn room_limit(&self) -> usize {
        self.room_limit
    }

    /// Who spoke lately, the latest first; each once, at most [`RECENT_SPEAKERS`].
    pub fn recent_speakers(&self) -> impl Iterator<Item = &ParticipantId> {
        self.speakers.iter()
    }

    /// Makes a change, and gives the version after it. What is so already is no change: the
    /// version stays.
    ///
    /// A participant that leaves while it is the speaker or holds the floor stops being so, by
    /// changes of their own before the `Left`.
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

    /// The changes after `version`, oldest first; `None` if some of them are gone from the log, or
    /// if `version` is yet to come.
    pub fn since(
        &self,
        version: Version,
    ) -> Option<impl Iterator<Item = (Version, &RoomUpdate)> + ExactSizeIterator> {
        let behind = self.state.version().0.checked_sub(version.0)?;
        let behind = usize::try_from(behind).ok()?;
        let first = self.log.len().checked_sub(behind)?;
        let entries = self.log.range(first..);
        Some(entries.map(|(version, update)| (*version, update)))
    }

    fn check(&self, update: &RoomUpdate) -> Result<(), ChangeError> {
        let about = match update {
            RoomUpdate::Joined(participant) => {
                let known = self.state.participant(&participant.id).is_some();
                let full = self.state.participants().len() >= self.room_limit;
                return if full && !known {
                    Err(ChangeError::RoomFull)
                } else {
                    Ok(())
                };
            }
            RoomUpdate::Hidden { .. } | RoomUpdate::Count { .. } => {
                return Err(ChangeError::NotOfTheRoom);
            }
            update => update.participant(),
        };
        match about {
            Some(id) if self.state.participant(id).is_none() => {
                Err(ChangeError::UnknownParticipant)
            }
            _ => Ok(()),
        }
    }

    /// Applies a change that may be made, and writes it down.
    fn record(&mut self, update: RoomUpdate) -> Result<(), ChangeError> {
        match self.state.apply(self.state.version(), &update) {
            Ok(Change::Nothing) => return Ok(()),
            Ok(_) => {}
            Err(_) => return Err(ChangeError::TooManyStreams),
        }
        let version = self.state.advance();
        if self.log.len() == self.log_capacity {
            self.log.pop_front();
        }
        self.log.push_back((version, update));
        Ok(())
    }
}
