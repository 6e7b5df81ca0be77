//! What can be looked at.

use alloc::vec::Vec;

use super::room::Room;
use super::{Accounting, ParticipantStatistics, Server, Statistics};
use crate::room::{DisplayName, ParticipantId, RoomId, RoomState, Seat, SessionId};

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
    fn new(room: &'a Room) -> Self {
        let session = room.session.as_ref();
        Self {
            room: &room.id,
            session: session.map(|session| (session.id, session.authority.state())),
            waiting: room.waiting.len(),
        }
    }
}

impl Server {
    /// All rooms, in the order of their names.
    pub fn rooms(&self) -> impl Iterator<Item = RoomView<'_>> {
        let rooms = self.rooms_by_id.values();
        rooms.filter_map(|key| self.rooms.get(key.0).map(RoomView::new))
    }

    /// The room with this name, if anybody is in it or about to be.
    pub fn room(&self, room: &RoomId) -> Option<RoomView<'_>> {
        let key = self.rooms_by_id.get(room)?;
        self.rooms.get(key.0).map(RoomView::new)
    }

    /// Those who wait in the lobby of a room, in the order of their ids.
    pub fn waiting(&self, room: &RoomId) -> impl Iterator<Item = (&ParticipantId, &DisplayName)> {
        let key = self.rooms_by_id.get(room);
        let room = key.and_then(|key| self.rooms.get(key.0));
        let keys = room.into_iter().flat_map(|room| room.waiting.values());
        keys.filter_map(|key| self.member(*key).map(|member| (&member.id, &member.name)))
    }

    /// How well a participant of a session is connected.
    pub fn participant_statistics(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Option<ParticipantStatistics> {
        let room = self.rooms_by_id.get(room)?;
        let member = self.find_member(*room, participant)?;
        Some(self.member(member)?.statistics())
    }

    /// What was counted since the server began.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// What is in memory. Goes over all participants: for tests, and now and then for metrics.
    pub fn accounting(&self) -> Accounting {
        let members = || self.members.iter().map(|(_, member)| member);
        Accounting {
            rooms: self.rooms.len(),
            participants: self.members.len(),
            half_open: self.joins.len(),
            ended: self.ended.len(),
            connection_ids: self.ids.len(),
            stateless: self.stateless.len(),
            events: self.events.len(),
            timers: self.timers.len(),
            queued_media: members().map(|member| member.media.len()).sum(),
            longest_media_queue: members()
                .map(|member| member.media.len())
                .max()
                .unwrap_or(0),
            queued_messages: members().map(|member| member.messages.len()).sum(),
            longest_message_queue: members()
                .map(|member| member.messages.len())
                .max()
                .unwrap_or(0),
            longest_control_queue: members()
                .map(|member| member.control.len())
                .max()
                .unwrap_or(0),
            media_buffers: self.pool.used(),
            media_bytes: self.pool.allocated(),
            #[cfg(feature = "opus-fullband")]
            mixes: self.mixes,
            #[cfg(feature = "opus-fullband")]
            mix_decoders: self.mix_size().voices,
            #[cfg(feature = "opus-fullband")]
            mix_encoders: self.mix_size().encoders,
            #[cfg(feature = "opus-fullband")]
            mix_bytes: self.mix_size().bytes(),
        }
    }
}
