//! The other participants as values.

use std::collections::BTreeMap;

use parlour_core::room::{
    AttributeKey, AttributeValue, ConnectionState, DisplayName, ParticipantId, Stream,
};

use super::{Room, RoomState};
use crate::client::shared::State;

/// A participant as this one knows it, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Who it is.
    pub id: ParticipantId,
    /// What to show for it.
    pub name: DisplayName,
    /// Whether its end is in touch with the server.
    pub connection: ConnectionState,
    /// Silenced by a moderator.
    pub censored: bool,
    /// In the order of their keys.
    pub attributes: BTreeMap<AttributeKey, AttributeValue>,
    /// What it publishes, in the order of publishing.
    pub streams: Vec<Stream>,
    /// Whether it speaks, as [`SpeakingStarted`](crate::RoomEvent::SpeakingStarted) says it. Never so of oneself.
    pub speaking: bool,
    /// How loud it is, in dBov: 0 is the loudest possible, −127 is silence. `None` if nothing has been heard of it for
    /// 400 ms, and of oneself. In a mix, it is the level of the mix while this one is the loudest in it.
    pub level: Option<i8>,
}

impl Room {
    /// The others in the session, in the order of their ids. Of a session with more than 128 participants it is those
    /// that matter most: who speaks, publishes, or came first.
    ///
    /// A copy, which stays as it is. For oneself, ask [`participant`](Self::participant) for [`me`](Self::me).
    ///
    /// ```no_run
    /// # fn show(room: &parlour_tokio::Room) {
    /// for participant in room.participants() {
    ///     let mark = if participant.speaking { "*" } else { " " };
    ///     println!("{mark} {} ({} streams)", participant.name, participant.streams.len());
    /// }
    /// # }
    /// ```
    pub fn participants(&self) -> Vec<Participant> {
        let state = self.shared.lock();
        let me = state.client.me();
        let all = state.client.state().participants();
        let others = all.filter(|participant| Some(&participant.id) != me);
        others
            .map(|participant| self.describe(&state, participant))
            .collect()
    }

    /// One participant, oneself among them; `None` if it is not in the session, or not known here.
    pub fn participant(&self, id: &ParticipantId) -> Option<Participant> {
        let state = self.shared.lock();
        let participant = state.client.state().participant(id)?;
        Some(self.describe(&state, participant))
    }

    fn describe(
        &self,
        state: &State,
        participant: &parlour_core::room::Participant,
    ) -> Participant {
        let client = &state.client;
        let id = &participant.id;
        let level = client.level_of(self.shared.clock.now(), id);
        Participant {
            id: id.clone(),
            name: participant.name.clone(),
            connection: participant.connection,
            censored: participant.censored,
            attributes: attributes_of(client.state(), id),
            streams: participant.streams.to_vec(),
            speaking: client.speakers().any(|speaker| speaker == id),
            level: level
                .and_then(|level| i8::try_from(level).ok())
                .map(|level| -level),
        }
    }
}

pub(super) fn attributes_of(
    state: &RoomState,
    participant: &ParticipantId,
) -> BTreeMap<AttributeKey, AttributeValue> {
    let attributes = state.attributes(participant);
    let attributes = attributes.map(|(key, value)| (key.clone(), value.clone()));
    attributes.collect()
}
