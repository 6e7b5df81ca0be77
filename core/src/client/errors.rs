//! Errors of commands, packets and datagrams.

use thiserror::Error;

use crate::rtp::FrameError;

/// The reason that a command was not accepted. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CommandError {
    /// The client is closed, or is leaving.
    #[error("this client is closed: make a new one to join again")]
    Closed,
    /// There is no connection to a session now.
    #[error("not in a session now: wait for the event Joined, then try again")]
    NotJoined,
    /// Too many requests are unanswered, or their answers were not taken.
    #[error("too many requests are under way: take events, and try again when some are answered")]
    TooManyRequests,
    /// Too many bytes of requests wait to be acknowledged.
    #[error("too much signalling is unacknowledged: try again later")]
    Full,
    /// A stream with that key is published already.
    #[error("you already publish a stream with that key: unpublish it first")]
    AlreadyPublished,
    /// As many streams are published as the profile has room for.
    #[error("you publish as many streams as the profile holds: unpublish one first")]
    TooManyStreams,
    /// The codec cannot carry a stream of that kind.
    #[error("this codec cannot carry a stream of this kind")]
    CodecMismatch,
    /// No stream is published under that key.
    #[error("you publish no stream with that key")]
    UnknownStream,
    /// As many explicit subscriptions are kept as the profile has room for.
    #[error("as many explicit subscriptions as the profile holds: use a subscribe policy")]
    TooManySubscriptions,
    /// The message's body is longer than [`MAX_BODY`](crate::signal::MAX_BODY).
    #[error("the message is too long: at most 640 bytes")]
    MessageTooLong,
    /// The token is empty or longer than [`MAX_TOKEN`](crate::signal::MAX_TOKEN).
    #[error("the token is empty or too long: at most 800 bytes")]
    TokenLength,
}

/// The reason that a frame was not accepted for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// There is no connection to a session now. Go on encoding, or pause: it does not matter.
    #[error("not in a session now: drop the media, and send again after the event Joined")]
    NotJoined,
    /// No stream is published under that key.
    #[error("you publish no stream with that key: publish it first")]
    UnknownStream,
    /// The server has not said yet that the stream is published.
    #[error("the stream is not published yet: wait for the event Published")]
    NotPublished,
    /// The stream is muted.
    #[error("the stream is muted: unmute it first")]
    Muted,
    /// Sound for a stream of pictures, or the reverse.
    #[error(
        "the stream is of another kind: use send_audio for audio, else send_pictures or send_media"
    )]
    WrongKind,
    /// The bytes are not a frame of the stream's codec.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The payload does not fit into one packet, or not into the profile's memory.
    #[error("the payload is too long for one packet: at most {max} bytes")]
    TooLong {
        /// Bytes that fit.
        max: usize,
    },
    /// The packet was made for another stream.
    #[error("the packet is not of this stream: send it with the sender's own client and key")]
    NotOfThisStream,
}

/// The reason that a datagram was dropped. Nothing has changed but its bytes and a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Dropped {
    /// Not a packet of this protocol.
    #[error("the datagram is not a packet of this protocol")]
    Malformed,
    /// A packet of a connection or handshake that is not, or no longer, this client's.
    #[error("the packet belongs to no connection of this client")]
    Unexpected,
    /// Forged, damaged, or made for somebody else.
    #[error("the packet is forged or damaged")]
    Forged,
    /// It came before, or far too late.
    #[error("the packet is a repetition, or too old to tell")]
    Replayed,
    /// The client is closed.
    #[error("this client is closed")]
    Closed,
}
