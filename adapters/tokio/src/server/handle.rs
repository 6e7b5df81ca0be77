//! What the application holds of a running server.
#![allow(unused_variables)]

use std::net::SocketAddr;

use parlour_core::room::{DisplayName, Participant, ParticipantId, RoomId, SessionId, Topic};
use parlour_core::secure::PublicKey;
use parlour_core::server::{ModerateError, ParticipantStatistics, Statistics};
use parlour_core::signal::Recipients;

use super::{BindError, ServerConfig, ServerEvent, TicketError};
use crate::token::Claims;

/// A running server. Dropping it shuts it down in the background; [`shutdown`](Self::shutdown) waits for that.
#[derive(Debug)]
pub struct Server {}

/// One room, as it was when asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its id.
    pub room: RoomId,
    /// The session going on, if there is one.
    pub session: Option<SessionId>,
    /// Who takes part.
    pub participants: Vec<Participant>,
    /// Who waits in the lobby.
    pub waiting: Vec<(ParticipantId, DisplayName)>,
}

/// What happens on a server, all rooms together. Bounded: who does not read loses the oldest and is told so by
/// [`ServerEvent::EventsMissed`].
#[derive(Debug)]
pub struct ServerEvents {}

impl ServerEvents {
    /// The next event; `None` once the server is shut down and all events have been read. Cancellation-safe.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        todo!()
    }
}

impl Server {
    /// Starts a server. Needs no runtime: the workers have their own.
    ///
    /// # Errors
    /// [`BindError`]
    pub fn bind(config: ServerConfig) -> Result<Self, BindError> {
        todo!()
    }

    /// Where each worker listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        todo!()
    }

    /// The key that tickets pin.
    pub fn public_key(&self) -> PublicKey {
        todo!()
    }

    /// A ticket with a token that says `claims`: all that joining needs, as one string.
    ///
    /// # Errors
    /// [`TicketError`]
    pub fn ticket(&self, claims: &Claims) -> Result<String, TicketError> {
        todo!()
    }

    /// What happens from now on.
    pub fn events(&self) -> ServerEvents {
        todo!()
    }

    /// The rooms with a session or somebody waiting for one.
    pub async fn rooms(&self) -> Vec<RoomInfo> {
        todo!()
    }

    /// One room.
    pub async fn room(&self, room: &RoomId) -> Option<RoomInfo> {
        todo!()
    }

    /// How well a participant is connected.
    pub async fn participant_statistics(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Option<ParticipantStatistics> {
        todo!()
    }

    /// What each worker has counted since it began.
    pub async fn statistics(&self) -> Vec<Statistics> {
        todo!()
    }

    /// Removes a participant from the session.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn kick(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        todo!()
    }

    /// Silences a participant, or lifts that.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn censor(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
        censored: bool,
    ) -> Result<(), ModerateError> {
        todo!()
    }

    /// Lets a participant in from the lobby.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn admit(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        todo!()
    }

    /// Turns a participant in the lobby away.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn deny(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Result<(), ModerateError> {
        todo!()
    }

    /// Ends the session in a room for everybody.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn end_session(&self, room: &RoomId) -> Result<(), ModerateError> {
        todo!()
    }

    /// Sends a message to participants, with `from` as the sender that they see; says to how many.
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
        todo!()
    }

    /// Tells everybody that the server shuts down, waits at most a second until they know, and ends all workers.
    pub async fn shutdown(self) {
        todo!()
    }
}
