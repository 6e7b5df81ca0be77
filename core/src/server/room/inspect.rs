//! A room as the embedder sees it.

use alloc::vec::Vec;

use super::Room;
use crate::room::{RoomId, RoomState, Seat, SessionId};

/// A room, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct RoomView<'a> {
    /// Its name.
    pub room: &'a RoomId,
    /// The session that goes on in it and what is true there; `None` if there is only a lobby, or
    /// a join under way.
    pub session: Option<(SessionId, &'a RoomState<Vec<Seat>>)>,
    /// How many wait in its lobby.
    pub waiting: usize,
}

impl<'a> RoomView<'a> {
    pub(in crate::server) fn new(room: &'a Room) -> Self {
        let session = room.session();
        Self {
            room: &room.id,
            session: session.map(|session| (session.id, session.state())),
            waiting: room.lobby().len(),
        }
    }
}
