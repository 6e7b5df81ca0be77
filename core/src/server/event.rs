//! The events of a server.

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
/// [`SessionEnded`](Self::SessionEnded). In between, each [`ParticipantJoined`](Self::ParticipantJoined) is followed
/// by one [`ParticipantLeft`](Self::ParticipantLeft). All other events of a participant lie between these two.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A participant asks to join. Answer with [`admit`](super::Server::admit), [`refuse`](super::Server::refuse) or
    /// [`redirect`](super::Server::redirect), soon: the join is forgotten after
    /// [`Config::join_timeout`](super::Config::join_timeout).
    JoinRequested {
        /// Stands in the answer again.
        join: JoinId,
        /// The token with identity and grants, for the embedder to verify.
        token: Secret<String>,
        /// The join's source address. It is unproven: the sender may have forged it.
        from: Path,
    },
    /// A participant shows a new token. Answer with [`refresh`](super::Server::refresh).
    RefreshRequested {
        /// Stands in the answer again.
        refresh: RefreshId,
        /// The room.
        room: RoomId,
        /// The participant.
        participant: ParticipantId,
        /// For the embedder to verify.
        token: Secret<String>,
    },
    /// A join was refused, by the embedder or by the server itself. [`Config::refusals`](super::Config::refusals)
    /// limits these events, because anyone can ask; [`Statistics::joins_refused`](super::Statistics::joins_refused)
    /// counts all.
    JoinRefused {
        /// The reason, with room and participant if known.
        refused: Refused,
        /// The join's source address. It is unproven: the sender may have forged it.
        from: Path,
    },
    /// The first participant is about to be in the room.
    SessionStarted {
        /// The room.
        room: RoomId,
        /// The new session.
        session: SessionId,
    },
    /// The session is over: the last participant is out of the room and
    /// [`RoomLimits::empty_timeout`](super::RoomLimits::empty_timeout) has passed, or all were sent out.
    SessionEnded {
        /// The room.
        room: RoomId,
        /// The session that is no more.
        session: SessionId,
        /// The reason for the end of the session, such as [`SessionEnded`](CloseReason::SessionEnded) or
        /// [`ServerShutdown`](CloseReason::ServerShutdown); otherwise the reason that the last participant left.
        reason: CloseReason,
    },
    /// A participant waits in the lobby: let it in or turn it away with
    /// [`Server::moderate`](super::Server::moderate), or let a moderator do so. It waits until it joins or
    /// [gives up](Self::ParticipantGaveUp); one that comes back under another name is told again.
    ParticipantWaiting {
        /// The room.
        room: RoomId,
        /// The participant.
        participant: ParticipantId,
        /// The name to show.
        name: DisplayName,
    },
    /// A participant no longer waits in the lobby and did not come in.
    ParticipantGaveUp {
        /// The room.
        room: RoomId,
        /// The participant.
        participant: ParticipantId,
        /// The reason.
        reason: CloseReason,
    },
    /// A participant is in the session. The streams and attributes that it has from the start are told after this.
    ParticipantJoined {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// The name shown to others.
        name: DisplayName,
        /// The participant's grants.
        grants: Grants,
        /// Whether it was in the lobby before.
        waited: bool,
        /// Whether it was silenced before.
        censored: bool,
        /// The participant's address.
        path: Path,
    },
    /// A participant continues on a new connection.
    ParticipantResumed {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// The participant's new address.
        path: Path,
    },
    /// A participant fell silent or came back.
    ParticipantConnection {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// Its state now.
        state: ConnectionState,
    },
    /// A participant is out of the session. Its streams and attributes go with it.
    ParticipantLeft {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// The reason.
        reason: CloseReason,
    },
    /// A participant may do something else than before.
    GrantsChanged {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// All that it may do.
        grants: Grants,
    },
    /// A participant was silenced by a moderator or the application, or is so no longer.
    ParticipantCensored {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// Silenced or not.
        censored: bool,
    },
    /// An attribute of a participant has another value.
    AttributeChanged {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// The attribute's key.
        key: AttributeKey,
        /// Its value; empty if there is no such attribute any more.
        value: AttributeValue,
    },
    /// A stream is published.
    StreamPublished {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// The stream.
        stream: Stream,
    },
    /// A stream is no longer published.
    StreamUnpublished {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// The stream's key.
        key: StreamKey,
    },
    /// A stream was muted or unmuted by its publisher.
    StreamMuted {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant.
        participant: ParticipantId,
        /// The stream's key.
        key: StreamKey,
        /// Silenced or not.
        muted: bool,
    },
    /// The floor has another holder, or none.
    FloorChanged {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The participant that holds it, if any.
        holder: Option<ParticipantId>,
    },
    /// Another participant, or none, is the active speaker.
    SpeakerChanged {
        /// The room.
        room: RoomId,
        /// The session.
        session: SessionId,
        /// The active speaker, if any.
        participant: Option<ParticipantId>,
    },
    /// There is more to send than the embedder sends: it has too little processor time, or its socket accepts no
    /// more. The oldest packet that waits for each receiver is dropped. This event comes at most once a second, while
    /// the overload lasts.
    Overloaded {
        /// Media packets and lossy messages that were dropped since this was last told.
        late: u64,
    },
    /// The queue was full, and events were lost at this place. [`rooms`](super::Server::rooms) shows the current
    /// state. This event has the number of the last lost one.
    EventsMissed {
        /// The number of lost events.
        count: u64,
    },
}

impl Event {
    /// Whether the event waits for an answer of the embedder. Such events are never lost: the joins and participants
    /// that they belong to are bounded themselves.
    pub(super) const fn asks(&self) -> bool {
        matches!(
            self,
            Self::JoinRequested { .. } | Self::RefreshRequested { .. }
        )
    }
}
