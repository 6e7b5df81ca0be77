//! Errors, each with a remedy.

use parlour_core::audio::codec::SampleRate;
use parlour_core::client::{CloseCause, CommandError};
use parlour_core::rtp::FrameError;
use parlour_core::ticket::TicketError;
use thiserror::Error;

/// The reason that there is no [`Room`](crate::Room).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SetupError {
    /// The ticket's token is empty or too long.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The decoder cannot write PCM at that rate.
    #[error("the decoder does not write PCM at {} Hz: choose 16, 24 or 48 kHz for Opus", .0.hz())]
    OutputRate(SampleRate),
}

/// The reason that a join failed. Another [`Room::join`](crate::Room::join) may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum JoinError {
    /// The ticket's token is empty or too long.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The network stack has had no link, or no address.
    #[error("the network is not up: check cable, Wi-Fi password and DHCP")]
    NoNetwork,
    /// The name server does not know the server's name, or does not answer.
    #[error("the server's name was not found: check the ticket and the name server")]
    UnknownHost,
    /// This build has no name resolution, or not that kind of address.
    #[error(
        "this build cannot reach the ticket's server: turn on feature dns, proto-ipv4 or proto-ipv6"
    )]
    Unreachable,
    /// The server has not answered.
    #[error("the server does not answer: check that it runs and that UDP to it is let through")]
    NoAnswer,
    /// The server said no, or the room was left before it could be entered.
    #[error(transparent)]
    Closed(#[from] CloseCause),
}

/// The reason that a stream is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PublishError {
    /// The encoder's frames are not 20 ms long.
    #[error("make the encoder for frames of 20 ms")]
    FrameDuration,
    /// The client's own error.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The reason that a frame of audio was not sent. The next frame may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WriteError {
    /// The PCM is longer than the queue of packets holds.
    #[error(
        "write at most {max} samples at a time, 100 ms; longer pieces are for AudioWriter::play"
    )]
    PieceTooLong {
        /// Samples in 100 ms.
        max: usize,
    },
    /// The codec could not encode this frame.
    #[error("the codec could not encode this frame; go on with the next one")]
    Codec,
    /// The bytes are no frame of the stream's codec.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The payload does not fit into one packet.
    #[error("the payload is too long for one packet")]
    TooLong,
    /// The stream was unpublished, or its publishing was refused.
    #[error("the stream is not published: see the event PublishRefused")]
    NotPublished,
}
