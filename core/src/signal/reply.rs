//! The messages from the server to a participant.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Joined, RequestId};
use crate::room::{CloseReason, DisplayName, Grants, ParticipantId, RoomUpdate, Topic, Version};

/// The result of a granted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Outcome {
    /// It is done.
    Done,
    /// The stream is published.
    Published {
        /// The SSRC to send it with.
        ssrc: u32,
    },
    /// The message is on its way.
    Sent {
        /// To so many participants.
        recipients: u16,
    },
    /// The moderation took effect.
    Moderated {
        /// On so many participants.
        participants: u16,
    },
}

/// Why the server did not do what was asked. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// The token's grants do not cover it.
    #[error("your token does not grant this: ask for one that does")]
    NotPermitted,
    /// Nobody in the session has that id.
    #[error("no such participant in the session")]
    UnknownParticipant,
    /// The participant publishes nothing under that key.
    #[error("the participant publishes no stream with that key")]
    UnknownStream,
    /// The key is in use.
    #[error("you already publish a stream with that key: unpublish it first")]
    AlreadyPublished,
    /// [`MAX_STREAMS`](crate::room::MAX_STREAMS), or the server's lower limit, is reached.
    #[error("you publish as many streams as the server allows: unpublish one first")]
    TooManyStreams,
    /// The codec cannot carry a stream of that kind.
    #[error("this codec cannot carry a stream of this kind")]
    CodecMismatch,
    /// The limit of explicit subscriptions is reached.
    #[error("you have as many subscriptions as the server allows: unsubscribe one first")]
    TooManySubscriptions,
    /// Requests or messages come faster than allowed.
    #[error("too many requests: slow down")]
    RateLimited,
    /// The token is malformed, expired, or for somebody or somewhere else.
    #[error("the token is not valid for you in this room: get a new one")]
    InvalidToken,
    /// Somebody else holds the floor.
    #[error("somebody else holds the floor: try again when it is free")]
    FloorTaken,
    /// One's own floor is not one's to release.
    #[error("you do not hold the floor")]
    FloorNotHeld,
    /// The server does not mix, or mixes as many sessions as it may.
    #[error("this server does not mix, or has no mix left: subscribe to streams instead")]
    MixUnavailable,
    /// The body is longer than [`MAX_BODY`](super::MAX_BODY).
    #[error("the message is too long: at most 640 bytes")]
    MessageTooLong,
    /// The participant has [`MAX_ATTRIBUTES`](crate::room::MAX_ATTRIBUTES) already.
    #[error("the participant has 8 attributes, as many as it may: remove one first")]
    TooManyAttributes,
}

/// One message from the server. Append-only: the order of the variants is their encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServerMessage<'a> {
    /// A whole description of the room follows, as updates; what it does not mention is gone.
    SnapshotBegin {
        /// The state that it starts from.
        version: Version,
    },
    /// One change of the room, or one part of a snapshot.
    Update {
        /// The state after this change.
        version: Version,
        /// The change.
        update: RoomUpdate,
    },
    /// The description is complete.
    SnapshotEnd {
        /// The state that is now described.
        version: Version,
    },
    /// The answer to a request.
    Reply {
        /// The request.
        request: RequestId,
        /// The result.
        result: Result<Outcome, Refusal>,
    },
    /// An application message from another participant.
    Deliver {
        /// The sender.
        from: ParticipantId,
        /// The topic.
        topic: Topic,
        /// At most [`MAX_BODY`](super::MAX_BODY) bytes.
        #[serde(borrow)]
        body: &'a [u8],
    },
    /// Messages were lost because this participant took them too slowly.
    Missed {
        /// How many.
        messages: u16,
    },
    /// Out of the lobby, into the session.
    Admitted(Joined),
    /// Somebody waits in the lobby. Told to those who may admit, of the first
    /// [`MAX_WAITING`](crate::room::MAX_WAITING), in the order in which they came.
    Knock {
        /// The participant.
        participant: ParticipantId,
        /// The display name.
        name: DisplayName,
    },
    /// One of those no longer waits: admitted, denied, or gone. Or the receiver may not admit any more.
    KnockEnded {
        /// The participant.
        participant: ParticipantId,
    },
    /// The token runs out soon: refresh it.
    TokenExpiring {
        /// The remaining time in seconds.
        seconds: u16,
    },
    /// The connection is closed; nothing follows.
    Closed {
        /// The reason.
        reason: CloseReason,
    },
    /// What the participant may do from now on, because its new token or the application at the server says so. What it
    /// published and may not publish any more has ended.
    GrantsChanged {
        /// The participant's new grants.
        grants: Grants,
    },
    /// The lobby is now as it was told by `Knock` and `KnockEnded`.
    Lobby {
        /// Which state of the lobby that is; 0 if the receiver may not admit any more.
        version: Version,
        /// How many wait in all.
        waiting: u32,
    },
}
