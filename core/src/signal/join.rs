//! The messages of the handshake: the wish to join, and the answer.

use core::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Publish, Refusal, Secret, SubscribePolicy};
use crate::room::{Grants, MAX_STREAMS, ParticipantId, SessionId, Version};

/// Continues an earlier connection of the same participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The secret from [`Joined::resume_ticket`] or [`Answer::Waiting`].
    #[serde(deserialize_with = "Secret::deserialize_bytes")]
    pub ticket: Secret<[u8; 24]>,
    /// The last room version that was applied; `None` if a snapshot was under way or never came.
    pub version: Option<Version>,
}

/// The wish to join: encrypted in Hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join<'a> {
    /// Says who this is and what it may do, at most [`MAX_TOKEN`](super::MAX_TOKEN) bytes.
    #[serde(borrow)]
    pub token: Secret<&'a str>,
    /// How many participants this end can track, itself among them; at least 1.
    pub participants: u16,
    /// How many audio streams this end can decode at a time: 0 to [`MAX_SLOTS`](super::MAX_SLOTS).
    pub slots: u8,
    /// The subscribe policy from the start.
    pub policy: SubscribePolicy,
    /// The streams to publish from the start.
    pub publish: heapless::Vec<Publish, MAX_STREAMS, u8>,
    /// Continues an earlier connection, if the server still knows it; else this is a new join.
    pub resume: Option<Resume>,
}

/// A participant's place in the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The participant's id, from its token.
    pub participant: ParticipantId,
    /// The id of this run of the room.
    pub session: SessionId,
    /// The participant's grants.
    pub grants: Grants,
    /// Whether the earlier connection is continued: same streams, same subscriptions.
    pub resumed: bool,
    /// SSRC of the first audio slot; slot `n` has this plus `n`, wrapping around.
    pub slot_ssrc: u32,
    /// For each stream of [`Join::publish`], in order, its SSRC or why it is not published. When
    /// resumed: for each stream that is published, in the order of publishing.
    pub streams: heapless::Vec<Result<u32, Refusal>, MAX_STREAMS, u8>,
    /// Why [`Join::policy`] was not taken (then it is [`SubscribePolicy::None`]).
    pub policy_refused: Option<Refusal>,
    /// The secret for [`Resume::ticket`].
    #[serde(deserialize_with = "Secret::deserialize_bytes")]
    pub resume_ticket: Secret<[u8; 24]>,
    /// Proves that a Reset comes from this server.
    #[serde(deserialize_with = "Secret::deserialize_bytes")]
    pub reset_token: Secret<[u8; 16]>,
    /// Send something at least this often, in seconds.
    pub keepalive: u8,
    /// How long the server keeps the place of a silent participant, in seconds.
    pub grace: u8,
}

/// Why a join is refused. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum JoinRefusal {
    /// The token is malformed or its signature is wrong.
    #[error("the token is not valid: get a new ticket")]
    InvalidToken,
    /// The token's time is over.
    #[error("the token has expired: get a new ticket")]
    TokenExpired,
    /// The token is for a room that this server does not have.
    #[error("the token is for another room or server: get a ticket for this one")]
    WrongRoom,
    /// The room has no place left.
    #[error("the room is full: try again later")]
    RoomFull,
    /// A moderator removed this participant from the session.
    #[error("a moderator has removed you from this session")]
    Kicked,
    /// A moderator turned this participant away.
    #[error("a moderator has denied you entry")]
    Denied,
    /// The session was ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The server takes no joins now.
    #[error("the server takes no joins now: try again later")]
    Unavailable,
    /// The Join itself makes no sense (no participant tracked, too many slots).
    #[error("the join request is malformed")]
    Malformed,
    /// The same participant has joined from elsewhere since, and is there. Join anew to take its place.
    #[error("you have joined from elsewhere: this connection is over")]
    Replaced,
    /// The same participant has joined too often just now.
    #[error("you have joined too often just now: wait for a few seconds and try again")]
    TooOften,
    /// There is no room with that name.
    #[error("there is no such room: check its name, or ask for a new ticket")]
    UnknownRoom,
    /// The room is closed to everybody for now.
    #[error("the room is closed: ask its owner to open it, or try again later")]
    RoomDisabled,
    /// This participant may not join the room, whatever token it brings.
    #[error("you are banned from this room: ask its owner to lift the ban")]
    Banned,
    /// The token was taken back before its time was over.
    #[error("the token has been revoked: get a new ticket")]
    TokenRevoked,
    /// The same participant is there already, and the room wants it once.
    #[error(
        "you are in this room already, from elsewhere: leave there first, or join under another id"
    )]
    DuplicateParticipant,
}

/// Where to join instead, with the same token and server key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Redirect {
    /// At the same address, whichever the client knows, but another port: another worker of the same machine.
    Port(u16),
    /// At this address.
    Address(SocketAddr),
    /// At either of these: who has IPv6 only, or IPv4 only, finds its own.
    Either(SocketAddrV4, SocketAddrV6),
}

impl Redirect {
    /// The addresses to try, for a client that was redirected by the server at `by`.
    pub fn addresses(&self, by: SocketAddr) -> heapless::Vec<SocketAddr, 2> {
        let mut addresses = heapless::Vec::new();
        let first = match *self {
            Self::Port(port) => SocketAddr::new(by.ip(), port),
            Self::Address(address) => address,
            Self::Either(v4, _) => v4.into(),
        };
        // There is room for both.
        let _ = addresses.push(first);
        if let Self::Either(_, v6) = *self {
            let _ = addresses.push(v6.into());
        }
        addresses
    }
}

impl From<SocketAddr> for Redirect {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

/// The server's answer to [`Join`]: encrypted in Welcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// In the session.
    Joined(Joined),
    /// In the lobby; [`ServerMessage::Admitted`](super::ServerMessage::Admitted) or
    /// [`ServerMessage::Closed`](super::ServerMessage::Closed) follows.
    Waiting {
        /// Proves that a Reset comes from this server.
        #[serde(deserialize_with = "Secret::deserialize_bytes")]
        reset_token: Secret<[u8; 16]>,
        /// Send something at least this often, in seconds.
        keepalive: u8,
        /// The secret for [`Resume::ticket`]: who comes back to the lobby shows it, and is told if the
        /// waiting was ended meanwhile.
        #[serde(deserialize_with = "Secret::deserialize_bytes")]
        resume_ticket: Secret<[u8; 24]>,
    },
    /// Not admitted; there is no connection.
    Refused(JoinRefusal),
    /// Join there instead, with the same token and server key; there is no connection here.
    Redirect(SocketAddr),
    /// Join at the same address and this port instead.
    RedirectPort(u16),
    /// Join at either of these addresses instead.
    RedirectEither(SocketAddrV4, SocketAddrV6),
}

impl From<Redirect> for Answer {
    fn from(redirect: Redirect) -> Self {
        match redirect {
            Redirect::Port(port) => Self::RedirectPort(port),
            Redirect::Address(address) => Self::Redirect(address),
            Redirect::Either(v4, v6) => Self::RedirectEither(v4, v6),
        }
    }
}
