//! The lobby as this end is told of it, if it may admit.

use super::events::Event;
use super::machine::Machine;
use super::profile::Parts;
use crate::room::{DisplayName, Lobby, ParticipantId, Version, Waiting};

/// The known facts about the lobby beside the names.
#[derive(Debug, Default)]
pub(super) struct Told {
    version: Version,
    count: u32,
}

impl Machine {
    pub(super) fn knocked(
        &mut self,
        parts: &mut Parts<'_>,
        participant: ParticipantId,
        name: DisplayName,
    ) {
        parts.waiting.note(&participant, &name);
        self.events.push(Event::Knocked { participant, name });
    }

    pub(super) fn knock_ended(&mut self, parts: &mut Parts<'_>, participant: ParticipantId) {
        parts.waiting.strike(&participant);
        self.events.push(Event::KnockEnded(participant));
    }

    pub(super) fn lobby_told(&mut self, version: Version, waiting: u32) {
        self.lobby = Told {
            version,
            count: waiting,
        };
        self.events.push(Event::LobbyChanged { waiting });
    }

    /// Forgets the waiting participants, who will be told again.
    pub(super) fn forget_lobby(&mut self, parts: &mut Parts<'_>) {
        while let Some(waiting) = parts.waiting.pop() {
            self.events.push(Event::KnockEnded(waiting.participant));
        }
        if self.lobby.version != Version::default() {
            self.lobby_told(Version::default(), 0);
        }
    }

    pub(super) fn lobby<'a>(&self, waiting: &'a [Waiting]) -> Lobby<'a> {
        Lobby {
            version: self.lobby.version,
            count: self.lobby.count,
            waiting,
        }
    }
}
