//! Changes of a room, one value each.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::{
    AttributeKey, AttributeValue, ConnectionState, Participant, ParticipantId, Stream, StreamKey,
};

/// Counts the changes of a session's room state, from 0 (nothing has happened). Never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Version(pub u64);

impl Version {
    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// Why a participant is no longer in the session, or a connection is no more. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CloseReason {
    /// It left of its own accord.
    Left,
    /// A moderator removed it.
    Kicked,
    /// A moderator or the application ended the session.
    SessionEnded,
    /// The same participant joined again from elsewhere.
    Replaced,
    /// Its token ran out and was not refreshed.
    TokenExpired,
    /// The room had no place for it.
    RoomFull,
    /// It was silent for longer than its grace time.
    ConnectionLost,
    /// The server is shutting down.
    ServerShutdown,
    /// It broke the protocol or its limits.
    ProtocolError,
    /// A moderator turned it away from the lobby.
    Denied,
    /// It was alone in the session for longer than the room allows, and the session ended.
    AloneTooLong,
    /// The session lasted as long as the room allows, and ended.
    SessionTooLong,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Kicked => "kicked by a moderator",
            Self::SessionEnded => "session ended",
            Self::Replaced => "replaced by a newer join of the same participant",
            Self::TokenExpired => "token expired",
            Self::RoomFull => "room full",
            Self::ConnectionLost => "connection lost",
            Self::ServerShutdown => "server shutting down",
            Self::ProtocolError => "protocol error",
            Self::Denied => "turned away from the lobby",
            Self::AloneTooLong => "alone in the session for too long",
            Self::SessionTooLong => "session as long as the room allows",
        })
    }
}

/// One change of [`RoomState`](super::RoomState). Append-only: the order of the variants is their
/// encoding.
///
/// Every variant sets a fact rather than toggling it, so that applying one twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RoomUpdate {
    /// The participant is in the session, and this is all about it.
    Joined(Participant),
    /// The participant is out of the session.
    Left {
        /// The participant.
        participant: ParticipantId,
        /// The reason.
        reason: CloseReason,
    },
    /// The participant is still in the session but no longer within what this receiver tracks.
    Hidden {
        /// The participant.
        participant: ParticipantId,
    },
    /// The participant's end fell silent or came back.
    Connection {
        /// The participant.
        participant: ParticipantId,
        /// Its state now.
        state: ConnectionState,
    },
    /// The stream is published (or published anew under the same key).
    Published {
        /// The participant.
        participant: ParticipantId,
        /// The stream.
        stream: Stream,
    },
    /// The stream is no longer published.
    Unpublished {
        /// The participant.
        participant: ParticipantId,
        /// The stream's key.
        key: StreamKey,
    },
    /// The publisher muted or unmuted its stream.
    Muted {
        /// The participant.
        participant: ParticipantId,
        /// The stream's key.
        key: StreamKey,
        /// Silenced or not.
        muted: bool,
    },
    /// A moderator censored or uncensored the participant.
    Censored {
        /// The participant.
        participant: ParticipantId,
        /// Silenced or not.
        censored: bool,
    },
    /// The active speaker changed.
    Speaker {
        /// The active speaker, if there is one.
        participant: Option<ParticipantId>,
    },
    /// The holder of the floor changed.
    Floor {
        /// The holder of the floor, if there is one.
        holder: Option<ParticipantId>,
    },
    /// How many are in the session, told to receivers that do not track all of them.
    Count {
        /// Participants, tracked or not.
        participants: u32,
    },
    /// An attribute of the participant has this value.
    Attribute {
        /// The participant.
        participant: ParticipantId,
        /// The attribute's key.
        key: AttributeKey,
        /// Its value; empty if there is no such attribute any more.
        value: AttributeValue,
    },
    /// The session is recorded from now on, or no more.
    Recorded {
        /// Recorded or not.
        recorded: bool,
    },
}

impl RoomUpdate {
    /// Whom the update is about; `None` if it is about the room as a whole (speaker, floor, count,
    /// recorded or not).
    pub fn participant(&self) -> Option<&ParticipantId> {
        match self {
            Self::Joined(participant) => Some(&participant.id),
            Self::Left { participant, .. }
            | Self::Hidden { participant }
            | Self::Connection { participant, .. }
            | Self::Published { participant, .. }
            | Self::Unpublished { participant, .. }
            | Self::Muted { participant, .. }
            | Self::Censored { participant, .. }
            | Self::Attribute { participant, .. } => Some(participant),
            Self::Speaker { .. }
            | Self::Floor { .. }
            | Self::Count { .. }
            | Self::Recorded { .. } => None,
        }
    }
}
