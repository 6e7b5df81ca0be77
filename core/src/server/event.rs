//! What the server tells its embedder.

use alloc::string::String;

use super::{Path, Refused};
use crate::room::{
    AttributeKey, AttributeValue, CloseReason, ConnectionState, DisplayName, Grants, ParticipantId,
    RoomId, SessionId, Stream, StreamKey,
};
use crate::signal::Secret;

/// One join that waits for the embedder's answer. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinId(pub(super) u64);

/// One new token that waits for the embedder's answer. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefreshId(pub(super) u64);

/// Something happened that the embedder may want to act on or write down. [`JoinRequested`](Self::JoinRequested) and
/// [`RefreshRequested`](Self::RefreshRequested) are questions; all others are facts, and numbered
/// ([`Server::events_polled`](super::Server::events_polled)).
///
/// The events of one session begin with [`SessionStarted`](Self::SessionStarted) and end with
/// [`SessionEnded`](Self::SessionEnded). In between, each [`ParticipantJoined`](Self::ParticipantJoined) is followed by one
/// [`ParticipantLeft`](Self::ParticipantLeft). What else is told of a participant lies between these two.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody wants to join. Answer with [`admit`](super::Server::admit),
    /// [`refuse`](super::Server::refuse) or [`redirect`](super::Server::redirect), soon: the join
    /// is forgotten after [`Config::join_timeout`](super::Config::join_timeout).
    JoinRequested {
        /// Stands in the answer again.
        join: JoinId,
        /// Who this is and what it may do, for the embedder to verify.
        token: Secret<String>,
        /// Where it comes from. Unproven: anybody can have sent it.
        from: Path,
    },
    /// A participant shows a new token. Answer with [`refresh`](super::Server::refresh).
    RefreshRequested {
        /// Stands in the answer again.
        refresh: RefreshId,
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// For the embedder to verify.
        token: Secret<String>,
    },
    /// A join was refused, by the embedder or by the server itself. At most as many are told as
    /// [`Config::refusals`](super::Config::refusals) says, because anybody can ask; all are counted in
    /// [`Statistics::joins_refused`](super::Statistics::joins_refused).
    JoinRefused {
        /// Why, and what is known of room and participant.
        refused: Refused,
        /// Where it came from. Unproven: anybody can have sent it.
        from: Path,
    },
    /// The first participant is about to be in the room.
    SessionStarted {
        /// Where.
        room: RoomId,
        /// The new session.
        session: SessionId,
    },
    /// The session is over: the last participant is out of the room and
    /// [`RoomLimits::empty_timeout`](super::RoomLimits::empty_timeout) has passed, or all were sent out.
    SessionEnded {
        /// Where.
        room: RoomId,
        /// The session that is no more.
        session: SessionId,
        /// Why the session was ended, such as [`SessionEnded`](CloseReason::SessionEnded) or
        /// [`ServerShutdown`](CloseReason::ServerShutdown); else why the last one left.
        reason: CloseReason,
    },
    /// A participant waits in the lobby: let it in or turn it away with
    /// [`Server::moderate`](super::Server::moderate), or let a moderator do so. It waits until it joins or
    /// [gives up](Self::ParticipantGaveUp); one that comes back under another name is told again.
    ParticipantWaiting {
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// What to show for it.
        name: DisplayName,
    },
    /// A participant no longer waits in the lobby and did not come in.
    ParticipantGaveUp {
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: CloseReason,
    },
    /// A participant is in the session. The streams and attributes that it has from the start are told after this.
    ParticipantJoined {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Who.
        participant: ParticipantId,
        /// What others see of it.
        name: DisplayName,
        /// What it may do.
        grants: Grants,
        /// Whether it comes from the lobby, where it waits no longer.
        waited: bool,
        /// Whether it is silenced from before.
        censored: bool,
        /// Where it is.
        path: Path,
    },
    /// A participant continues on a new connection.
    ParticipantResumed {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Who.
        participant: ParticipantId,
        /// Where it is now.
        path: Path,
    },
    /// A participant fell silent or came back.
    ParticipantConnection {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Who.
        participant: ParticipantId,
        /// Its state now.
        state: ConnectionState,
    },
    /// A participant is out of the session. Its streams and attributes go with it.
    ParticipantLeft {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: CloseReason,
    },
    /// A participant may do something else than before.
    GrantsChanged {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// All that it may do.
        grants: Grants,
    },
    /// A participant was silenced by a moderator or the application, or is so no longer.
    ParticipantCensored {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Who.
        participant: ParticipantId,
        /// Silenced or not.
        censored: bool,
    },
    /// An attribute of a participant has another value.
    AttributeChanged {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// Which.
        key: AttributeKey,
        /// Its value; empty if there is no such attribute any more.
        value: AttributeValue,
    },
    /// A stream is published.
    StreamPublished {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// The stream.
        stream: Stream,
    },
    /// A stream is no longer published.
    StreamUnpublished {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// Which.
        key: StreamKey,
    },
    /// A stream was muted or unmuted by its publisher.
    StreamMuted {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// Which.
        key: StreamKey,
        /// Silenced or not.
        muted: bool,
    },
    /// Somebody else, or nobody, has the floor.
    FloorChanged {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Who, if anybody has it.
        holder: Option<ParticipantId>,
    },
    /// Somebody else, or nobody, is loudest.
    SpeakerChanged {
        /// Where.
        room: RoomId,
        /// Of which session.
        session: SessionId,
        /// Who, if anybody speaks.
        participant: Option<ParticipantId>,
    },
    /// There is more to send than the embedder sends: it has too little processor time, or its socket takes no more. Of what
    /// waits for each receiver the oldest is dropped. Told at most once a second, while that lasts.
    Overloaded {
        /// Media packets and lossy messages that were dropped since this was last told.
        late: u64,
    },
    /// The queue was full: so many events were lost at this place. What is true now is in
    /// [`rooms`](super::Server::rooms). It has the number of the last of them.
    EventsMissed {
        /// How many.
        count: u64,
    },
}

impl Event {
    /// Whether somebody waits for the embedder to answer it. Such events are never lost: the joins
    /// and participants that they belong to are bounded themselves.
    pub(super) const fn asks(&self) -> bool {
        matches!(
            self,
            Self::JoinRequested { .. } | Self::RefreshRequested { .. }
        )
    }
}
