//! Moderation by the application.

use parlour_core::room::{
    AttributeKey, AttributeValue, CloseReason, Grants, ParticipantId, RoomId, SessionId, StreamKey,
    Topic,
};
use parlour_core::server::{Act, ModerateError, Moderated, Selection};
use parlour_core::signal::Recipients;

use super::Server;

/// Moderation names one participant, any number, or all but some, and says what came of it for each:
///
/// ```no_run
/// use parlour_tokio::{ParticipantId, RoomId, Selection, Server};
///
/// # async fn example(server: &Server) -> Result<(), Box<dyn std::error::Error>> {
/// let (room, anna) = (RoomId::new("green-room")?, ParticipantId::new("anna")?);
/// server.censor(&room, &anna).await?;
/// let kicked = server.kick(&room, Selection::all_but([anna]), true).await?;
/// println!("{:?} were put out", kicked.affected);
/// # Ok(())
/// # }
/// ```
impl Server {
    /// Removes participants from the session. With `keep_out` they cannot come back to this session, whatever tokens they bring.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub async fn kick(
        &self,
        room: &RoomId,
        whom: impl Into<Selection>,
        keep_out: bool,
    ) -> Result<Moderated, ModerateError> {
        self.moderate(room, Act::Kick { keep_out }, whom.into())
            .await
    }

    /// Silences participants of the session, also when they join it anew.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub async fn censor(
        &self,
        room: &RoomId,
        whom: impl Into<Selection>,
    ) -> Result<Moderated, ModerateError> {
        self.moderate(room, Act::Censor, whom.into()).await
    }

    /// Lifts that.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub async fn uncensor(
        &self,
        room: &RoomId,
        whom: impl Into<Selection>,
    ) -> Result<Moderated, ModerateError> {
        self.moderate(room, Act::Uncensor, whom.into()).await
    }

    /// Lets participants in from the lobby. Those for whom the room has no place go on waiting: they are unchanged.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub async fn admit(
        &self,
        room: &RoomId,
        whom: impl Into<Selection>,
    ) -> Result<Moderated, ModerateError> {
        self.moderate(room, Act::Admit, whom.into()).await
    }

    /// Turns participants in the lobby away.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub async fn deny(
        &self,
        room: &RoomId,
        whom: impl Into<Selection>,
    ) -> Result<Moderated, ModerateError> {
        self.moderate(room, Act::Deny, whom.into()).await
    }

    async fn moderate(
        &self,
        room: &RoomId,
        act: Act,
        selection: Selection,
    ) -> Result<Moderated, ModerateError> {
        let id = room.clone();
        self.in_room(room, move |server, now| {
            server.moderate(now, &id, act, &selection)
        })
        .await
    }

    /// Ends a stream of a participant, as if its publisher had.
    ///
    /// ```no_run
    /// # use parlour_tokio::{ParticipantId, RoomId, Server, StreamKey};
    /// # async fn example(server: &Server, room: &RoomId, anna: &ParticipantId) -> Result<(), Box<dyn std::error::Error>> {
    /// server.unpublish(room, anna, &StreamKey::new("screen")?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn unpublish(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
        stream: &StreamKey,
    ) -> Result<(), ModerateError> {
        let (id, participant, stream) = (room.clone(), participant.clone(), stream.clone());
        self.in_room(room, move |server, now| {
            server.unpublish(now, &id, &participant, &stream)
        })
        .await
    }

    /// Sets the grants of a participant for the rest of its stay; they replace those of its tokens. Anything that it
    /// may no longer do ends at once, and it is told.
    ///
    /// ```no_run
    /// # use parlour_tokio::{Grants, ParticipantId, RoomId, Server};
    /// # async fn example(server: &Server, room: &RoomId, anna: &ParticipantId) -> Result<(), Box<dyn std::error::Error>> {
    /// server.set_grants(room, anna, Grants::SUBSCRIBE).await?; // she only listens from now on
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn set_grants(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
        grants: Grants,
    ) -> Result<(), ModerateError> {
        let (id, participant) = (room.clone(), participant.clone());
        self.in_room(room, move |server, now| {
            server.set_grants(now, &id, &participant, grants)
        })
        .await
    }

    /// Gives an attribute of a participant a value, or removes it.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn set_attribute(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
        key: &AttributeKey,
        value: Option<&AttributeValue>,
    ) -> Result<(), ModerateError> {
        let (id, participant) = (room.clone(), participant.clone());
        let (key, value) = (key.clone(), value.cloned());
        self.in_room(room, move |server, now| {
            server.set_attribute(now, &id, &participant, &key, value.as_ref())
        })
        .await
    }

    /// Tells all participants of a session, and those that join it later, that you record it, or no longer do. With the
    /// session that ends by itself.
    ///
    /// Call it before you open a [tap](Self::tap) to record: the server records nothing itself.
    ///
    /// ```no_run
    /// # use parlour_tokio::{RoomId, Server};
    /// # async fn example(server: &Server) -> Result<(), Box<dyn std::error::Error>> {
    /// let room = RoomId::new("green-room")?;
    /// if let Some(session) = server.room(&room).await.and_then(|room| room.session) {
    ///     server.record(&room, session, true).await?;
    ///     let tap = server.tap(&room, |_| true).await?;
    ///     assert_eq!(tap.session(), session);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`] if that session is not under way in the room.
    pub async fn record(
        &self,
        room: &RoomId,
        session: SessionId,
        recorded: bool,
    ) -> Result<(), ModerateError> {
        let id = room.clone();
        self.in_room(room, move |server, now| {
            server.record(now, &id, session, recorded)
        })
        .await
    }

    /// Ends the session in a room for everybody. Those in the lobby go on waiting.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn end_session(&self, room: &RoomId) -> Result<(), ModerateError> {
        let id = room.clone();
        self.in_room(room, move |server, now| server.end_session(now, &id))
            .await
    }

    /// Ends the session in a room, and turns away its lobby: they are told `reason`. Joins under way are voided, and
    /// their clients join anew: have the [`Doorkeeper`](crate::Doorkeeper) refuse them before this call.
    ///
    /// ```no_run
    /// # use parlour_tokio::{CloseReason, RoomId, Server};
    /// # async fn example(server: &Server) -> Result<(), Box<dyn std::error::Error>> {
    /// server.close_room(&RoomId::new("green-room")?, CloseReason::SessionEnded).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub async fn close_room(
        &self,
        room: &RoomId,
        reason: CloseReason,
    ) -> Result<(), ModerateError> {
        let id = room.clone();
        self.in_room(room, move |server, now| server.close_room(now, &id, reason))
            .await
    }

    /// Sends a message of at most 640 bytes to participants, with `from` as the sender that they see; says to how many.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn send(
        &self,
        room: &RoomId,
        from: &ParticipantId,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<u16, ModerateError> {
        let (id, from, to) = (room.clone(), from.clone(), to.clone());
        let (topic, body) = (topic.clone(), body.to_owned());
        self.in_room(room, move |server, now| {
            server.send(now, &id, &from, &to, &topic, &body)
        })
        .await
    }
}
