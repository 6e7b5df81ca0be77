//! The server as its embedder sees it: what goes in, what comes out, what can be looked at.

use core::net::SocketAddr;

use rand_core::CryptoRngCore;

use super::{
    Accounting, AdmitError, BufferTooSmall, Config, Dropped, Event, JoinId, ModerateError,
    ParticipantStatistics, Path, RefreshError, RefreshId, Statistics, UnknownJoin,
};
use crate::room::{
    DisplayName, Grants, ParticipantId, RoomId, RoomState, Seat, SessionId, Topic,
};
use crate::secure::KeyPair;
use crate::signal::{JoinRefusal, Recipients};
use crate::time::{Duration, Instant};

/// Where to send what [`Server::poll_transmit`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub to: Path,
    /// Bytes, from the front of the lent buffer.
    pub len: usize,
}

/// What a valid token says: the embedder's answer to [`Event::JoinRequested`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Where.
    pub room: RoomId,
    /// Who.
    pub participant: ParticipantId,
    /// What others see of it.
    pub name: DisplayName,
    /// What it may do.
    pub grants: Grants,
    /// When the token runs out, from now; `None`: never.
    pub expires_in: Option<Duration>,
    /// Whether it has to wait until somebody lets it in. One that resumes does not.
    pub lobby: bool,
}

/// A room, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct RoomView<'a> {
    /// Its name.
    pub room: &'a RoomId,
    /// The session going on and its state, if there is one.
    pub session: Option<(SessionId, &'a RoomState<alloc::vec::Vec<Seat>>)>,
}

/// The server.
#[derive(Debug)]
pub struct Server {}

#[allow(unused_variables, missing_docs, clippy::missing_errors_doc)]
impl Server {
    pub fn new(config: Config, keys: KeyPair, now: Instant, rng: &mut dyn CryptoRngCore) -> Self { Self {} }
    pub fn handle_datagram(&mut self, now: Instant, from: Path, datagram: &mut [u8]) -> Result<(), Dropped> { Ok(()) }
    pub fn handle_timeout(&mut self, now: Instant) {}
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Result<Option<Transmit>, BufferTooSmall> { Ok(None) }
    pub fn poll_event(&mut self) -> Option<Event> { None }
    pub fn poll_timeout(&self) -> Option<Instant> { None }
    pub fn admit(&mut self, now: Instant, join: JoinId, admission: Admission) -> Result<(), AdmitError> { Ok(()) }
    pub fn refuse(&mut self, now: Instant, join: JoinId, refusal: JoinRefusal) -> Result<(), UnknownJoin> { Ok(()) }
    pub fn redirect(&mut self, now: Instant, join: JoinId, to: SocketAddr) -> Result<(), UnknownJoin> { Ok(()) }
    pub fn refresh(&mut self, now: Instant, refresh: RefreshId, answer: Result<Admission, ()>) -> Result<(), RefreshError> { Ok(()) }
    pub fn admit_waiting(&mut self, now: Instant, room: &RoomId, participant: &ParticipantId) -> Result<(), ModerateError> { Ok(()) }
    pub fn deny_waiting(&mut self, now: Instant, room: &RoomId, participant: &ParticipantId) -> Result<(), ModerateError> { Ok(()) }
    pub fn kick(&mut self, now: Instant, room: &RoomId, participant: &ParticipantId) -> Result<(), ModerateError> { Ok(()) }
    pub fn censor(&mut self, now: Instant, room: &RoomId, participant: &ParticipantId, censored: bool) -> Result<(), ModerateError> { Ok(()) }
    pub fn end_session(&mut self, now: Instant, room: &RoomId) -> Result<(), ModerateError> { Ok(()) }
    /// Returns how many participants it is for. `from` is what they see as the sender.
    pub fn send(&mut self, now: Instant, room: &RoomId, from: &ParticipantId, to: &Recipients, topic: &Topic, body: &[u8]) -> Result<u16, ModerateError> { Ok(0) }
    pub fn shutdown(&mut self, now: Instant) {}
    pub fn rooms(&self) -> impl Iterator<Item = RoomView<'_>> { core::iter::empty() }
    pub fn room(&self, room: &RoomId) -> Option<RoomView<'_>> { None }
    pub fn waiting(&self, room: &RoomId) -> impl Iterator<Item = (&ParticipantId, &DisplayName)> { core::iter::empty() }
    pub fn participant_statistics(&self, room: &RoomId, participant: &ParticipantId) -> Option<ParticipantStatistics> { None }
    pub fn statistics(&self) -> &Statistics { todo!("follows") }
    pub fn accounting(&self) -> Accounting { Accounting::default() }
}
