//! Operations of the application in rooms.

use super::Server;
use crate::room::{
    AttributeKey, AttributeValue, CloseReason, Grants, ParticipantId, RoomId, SessionId, StreamKey,
    Topic,
};
use crate::server::context::Context;
use crate::server::room::Room;
use crate::server::{Act, Gather, ModerateError, Moderated, RoomLimits, Selection};
use crate::signal::{MAX_BODY, Recipients};
use crate::time::Instant;

impl Server {
    /// Removes, silences, lets in or turns away any number of participants, and returns the outcome for each.
    ///
    /// ```
    /// # use parlour_core::room::{ParticipantId, RoomId};
    /// # use parlour_core::server::{Act, ModerateError, Selection, Server};
    /// # use parlour_core::time::Instant;
    /// # fn clear(server: &mut Server, now: Instant, room: &RoomId, host: ParticipantId) -> Result<(), ModerateError> {
    /// let all_others = Selection::all_but([host]);
    /// let kicked = server.moderate(now, room, Act::Kick { keep_out: true }, &all_others)?;
    /// assert!(kicked.unknown.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub fn moderate(
        &mut self,
        now: Instant,
        room: &RoomId,
        act: Act,
        selection: &Selection,
    ) -> Result<Moderated, ModerateError> {
        self.in_room(now, room, |room, cx| Ok(room.moderate(cx, act, selection)))
    }

    /// Ends a stream of a participant, as if its publisher had.
    ///
    /// # Errors
    /// [`ModerateError`]; nothing has changed.
    pub fn unpublish(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
        stream: &StreamKey,
    ) -> Result<(), ModerateError> {
        self.in_room(now, room, |room, cx| {
            room.unpublish(cx, participant, stream)
        })
    }

    /// Sets the grants of a participant for the rest of its stay; they replace those of its tokens. Anything that it
    /// may no longer do ends, as with [`refresh`](Self::refresh), and it is told.
    ///
    /// # Errors
    /// [`ModerateError`]; nothing has changed.
    pub fn set_grants(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
        grants: Grants,
    ) -> Result<(), ModerateError> {
        self.in_room(now, room, |room, cx| {
            room.set_grants(cx, participant, grants)
        })
    }

    /// Gives an attribute of a participant a value, or removes it.
    ///
    /// # Errors
    /// [`ModerateError`]; nothing has changed.
    pub fn set_attribute(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
        key: &AttributeKey,
        value: Option<&AttributeValue>,
    ) -> Result<(), ModerateError> {
        self.in_room(now, room, |room, cx| {
            room.set_attribute(cx, participant, key, value)
        })
    }

    /// Tells all participants of a session, and those that join it later, that the application records it, or no longer
    /// does. With the session that ends by itself.
    ///
    /// Call it before a recording begins: the server records nothing itself, and does not connect this with
    /// [`set_tapped`](Self::set_tapped), which also serves what is no recording.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`] if that session is not under way in the room.
    pub fn record(
        &mut self,
        now: Instant,
        room: &RoomId,
        session: SessionId,
        recorded: bool,
    ) -> Result<(), ModerateError> {
        self.in_room(now, room, |room, cx| room.record(cx, session, recorded))
    }

    /// Ends the current session of a room for all its participants. Those in the lobby go on waiting.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`] if there is none.
    pub fn end_session(&mut self, now: Instant, room: &RoomId) -> Result<(), ModerateError> {
        self.in_room(now, room, |room, cx| {
            room.session().ok_or(ModerateError::UnknownRoom)?;
            room.end_session(cx, CloseReason::SessionEnded);
            Ok(())
        })
    }

    /// Ends the current session of a room and turns away all participants in the lobby: they are told this reason. Joins
    /// under way are voided, and their clients join anew: refuse them, where joins are admitted, before this call.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`] if the room is empty.
    pub fn close_room(
        &mut self,
        now: Instant,
        room: &RoomId,
        reason: CloseReason,
    ) -> Result<(), ModerateError> {
        self.in_room(now, room, |room, cx| {
            room.close(cx, reason);
            Ok(())
        })
    }

    /// Sets the limits of a room, as long as anything keeps it.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub fn set_room_limits(
        &mut self,
        now: Instant,
        room: &RoomId,
        limits: RoomLimits,
    ) -> Result<(), ModerateError> {
        self.in_room(now, room, |room, cx| {
            room.set_limits(cx, limits);
            Ok(())
        })
    }

    /// Sends a message to participants, reliably and in order; returns the number of recipients. They see `from` as
    /// the sender, which need not be a participant of the session.
    ///
    /// # Errors
    /// [`ModerateError`]; nobody receives the message then.
    pub fn send(
        &mut self,
        now: Instant,
        room: &RoomId,
        from: &ParticipantId,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<u16, ModerateError> {
        if body.len() > MAX_BODY {
            return Err(ModerateError::MessageTooLong);
        }
        self.in_room(now, room, |room, cx| {
            room.send(cx, from.clone(), to, topic, body)
        })
    }

    /// Sets how long frames wait for each other in one room, until the room is empty; `None`: as the
    /// [`Config`](crate::server::Config) says.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub fn set_gather(
        &mut self,
        room: &RoomId,
        gather: Option<Gather>,
    ) -> Result<(), ModerateError> {
        self.rooms.find_mut(room)?.gather = gather;
        Ok(())
    }

    /// Has something done in a room.
    fn in_room<T>(
        &mut self,
        now: Instant,
        room: &RoomId,
        then: impl FnOnce(&mut Room, &mut Context) -> Result<T, ModerateError>,
    ) -> Result<T, ModerateError> {
        self.cx.now = now;
        let done = then(self.rooms.find_mut(room)?, &mut self.cx);
        self.rooms.drop_if_idle(room);
        done
    }
}
