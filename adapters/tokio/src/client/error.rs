//! Errors for a participant, each with a remedy.

use parlour_core::audio::opus::EncoderConfigError;
use parlour_core::client::CommandError;
use parlour_core::room::{CloseReason, IdError, ValueTooLong};
use parlour_core::rtp::FrameError;
use parlour_core::signal::{JoinRefusal, Refusal};
use parlour_core::ticket::TicketError;
use thiserror::Error;

/// The reason that a room was not joined.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The ticket is not one.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// A value of [`JoinOptions`](crate::JoinOptions) is out of its range.
    #[error("the join options make no sense: {0}")]
    Options(&'static str),
    /// The ticket's host has no address.
    #[error("no address for {host}: {cause}; check the ticket and this machine's name service")]
    UnknownHost {
        /// The name in the ticket.
        host: String,
        /// The error of the name service.
        cause: String,
    },
    /// No address answered.
    #[error(
        "no answer from {address} (tried {tried}); check that the server runs there with the key that the ticket names (a server without a key file has a new one after each start) and that no firewall is between"
    )]
    NoAnswer {
        /// The address in the ticket.
        address: String,
        /// The addresses tried, such as `UDP to 192.0.2.1:7900, TCP to 192.0.2.1:7900 (refused)`: those of that name,
        /// and those to which the server redirected this client. Refused: the machine there reports a closed port.
        tried: String,
    },
    /// Every address says that nobody listens there, and a WebSocket cannot be had.
    #[error(
        "nobody listens at {address} (tried {tried}); check the port in the ticket, and that the server runs"
    )]
    NobodyListens {
        /// The address in the ticket.
        address: String,
        /// As in [`NoAnswer`](Self::NoAnswer).
        tried: String,
    },
    /// The server said no.
    #[error("the server refuses the join: {0}")]
    Refused(JoinRefusal),
    /// The server closed the connection before the join was complete.
    #[error("the server closed the connection: {0}")]
    Closed(CloseReason),
    /// The server speaks another version of the protocol.
    #[error(
        "the server speaks version {server} of the protocol, not {ours}; update the older of the two"
    )]
    Version {
        /// The server's.
        server: u8,
        /// This crate's.
        ours: u8,
    },
}

/// The reason that a request to the server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection was lost and made anew, and it is unknown whether the server did it.
    #[error("the connection was lost meanwhile: look at the room's state and ask again")]
    ConnectionLost,
    /// The participant is no longer in the room.
    #[error("the room is closed: join again")]
    Closed,
    /// A name is not one.
    #[error(transparent)]
    Name(#[from] IdError),
    /// The value of an attribute is too long.
    #[error(transparent)]
    Value(#[from] ValueTooLong),
    /// The request was not even sent.
    #[error(transparent)]
    Command(CommandError),
}

impl From<CommandError> for RequestError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Closed => Self::Closed,
            error => Self::Command(error),
        }
    }
}

/// The reason that a stream is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The server was not asked, or said no.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The codec does not do that.
    #[error(transparent)]
    Codec(#[from] EncoderConfigError),
}

/// The reason that audio was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The participant is no longer in the room.
    #[error("the room is closed: join again")]
    Closed,
    /// The stream is no longer published.
    #[error("the stream is not published any more: publish it again")]
    NotPublished,
    /// The bytes are not one frame of the stream's codec.
    #[error("not a frame of the stream's codec: {0}")]
    Frame(#[from] FrameError),
    /// The payload is longer than a packet.
    #[error("the payload is too long for one packet: at most {max} bytes")]
    TooLong {
        /// Bytes that fit.
        max: usize,
    },
    /// The encoder could not encode the frame; the next one may do.
    #[error("the codec could not encode this frame; go on with the next one")]
    Codec,
}

/// The reason that there is no reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No decoder gives that rate. None of [`SampleRate`](crate::SampleRate) is such a one.
    #[error("no decoder gives that rate: read at another")]
    SampleRate,
    /// There is no such slot.
    #[error("no such slot: there are as many as the join options said")]
    NoSuchSlot,
}
