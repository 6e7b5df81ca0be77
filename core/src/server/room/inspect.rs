//! A room as the embedder sees it.

use super::Room;
use super::session::Session;
use crate::room::{Grants, Growing, ParticipantId, RoomId, RoomState, SessionId};
use crate::server::Path;
use crate::server::member::Member;

/// A room, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct RoomView<'a> {
    /// Its name.
    pub room: &'a RoomId,
    /// The session that goes on in it and what is true there; `None` if there is only a lobby, or
    /// a join under way.
    pub session: Option<(SessionId, &'a RoomState<Growing>)>,
    /// How many wait in its lobby.
    pub waiting: usize,
    members: Option<&'a Session>,
}

impl<'a> RoomView<'a> {
    pub(in crate::server) fn new(room: &'a Room) -> Self {
        let session = room.session();
        Self {
            room: &room.id,
            session: session.map(|session| (session.id, session.state())),
            waiting: room.lobby().len(),
            members: session,
        }
    }

    /// What a participant of the session may do.
    pub fn grants(&self, participant: &ParticipantId) -> Option<Grants> {
        Some(self.member(participant)?.rights.grants)
    }

    /// Where a participant of the session is.
    pub fn path(&self, participant: &ParticipantId) -> Option<Path> {
        Some(self.member(participant)?.association.reach.path)
    }

    fn member(&self, participant: &ParticipantId) -> Option<&'a Member> {
        let session = self.members?;
        session.get(session.find(participant)?)
    }
}
