//! Operations of the application in a room, beside moderation.

use super::Room;
use crate::room::{
    AttributeKey, AttributeValue, CloseReason, ParticipantId, SessionId, StreamKey, Topic,
};
use crate::server::ModerateError;
use crate::server::context::Context;
use crate::signal::Recipients;

impl Room {
    /// Sends a message; gives to how many.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context,
        from: ParticipantId,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<u16, ModerateError> {
        let session = self.session.as_mut().ok_or(ModerateError::UnknownRoom)?;
        let recipients = session.send(cx, None, from, to, topic, body);
        recipients.ok_or(ModerateError::UnknownParticipant)
    }

    /// Sets an attribute of a participant.
    pub(crate) fn set_attribute(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantId,
        key: &AttributeKey,
        value: Option<&AttributeValue>,
    ) -> Result<(), ModerateError> {
        let session = self.session.as_mut().ok_or(ModerateError::UnknownRoom)?;
        let value = value.cloned().unwrap_or_default();
        session.set_attribute(cx, participant.clone(), key.clone(), value)
    }

    /// Tells the participants of a session that it is recorded, or no longer is.
    pub(crate) fn record(
        &mut self,
        cx: &mut Context,
        session: SessionId,
        recorded: bool,
    ) -> Result<(), ModerateError> {
        let current = self.session.as_mut().filter(|known| known.id == session);
        let session = current.ok_or(ModerateError::UnknownRoom)?;
        session.set_recorded(cx, recorded);
        Ok(())
    }

    /// Ends a stream of a participant.
    pub(crate) fn unpublish(
        &mut self,
        cx: &mut Context,
        participant: &ParticipantId,
        stream: &StreamKey,
    ) -> Result<(), ModerateError> {
        let session = self.session.as_mut().ok_or(ModerateError::UnknownRoom)?;
        let unknown = ModerateError::UnknownParticipant;
        let who = session.find(participant).ok_or(unknown)?;
        // The publisher is there, so it can only be the stream that is not.
        let ended = session.unpublish(cx, who, stream);
        ended.map_err(|_| ModerateError::UnknownStream)?;
        Ok(())
    }

    /// Ends the session, turns away the lobby, and forgets the promises to joins under way.
    pub(crate) fn close(&mut self, cx: &mut Context, reason: CloseReason) {
        self.closings = self.closings.wrapping_add(1);
        self.end_session(cx, reason);
        self.close_lobby(cx, reason);
    }
}
