//! What the plaintext of a Data packet holds.
//!
//! ```text
//!  0       1         3
//! +-------+---------+--------------------+-------+---------+- - -
//! | kind  | length  | body               | kind  | length  |
//! | u8    | u16     | `length` bytes     | u8    | u16     |
//! +-------+---------+--------------------+-------+---------+- - -
//!
//! kind  name     body
//!  1    Media    one RTP packet
//!  2    Report   one RTCP compound packet
//!  3    Signal   sequence u16, one signalling message
//!  4    Ack      next expected sequence u16
//!  5    Ping     nonce u32
//!  6    Pong     nonce u32 of the Ping
//!  7    Message  one lossy application message
//! ```
//!
//! Frames of other kinds are skipped. Kind 0 will never mean anything: it is for padding.

use super::packet::{DATA_HEADER, MAX_DATAGRAM, TAG};
use super::put;

/// Bytes before the body of a frame.
pub const FRAME_HEADER: usize = 3;

const MEDIA: u8 = 1;
const REPORT: u8 = 2;
const SIGNAL: u8 = 3;
const ACK: u8 = 4;
const PING: u8 = 5;
const PONG: u8 = 6;
const MESSAGE: u8 = 7;

/// One frame, as a view over its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// One RTP packet.
    Media(&'a [u8]),
    /// One RTCP compound packet.
    Report(&'a [u8]),
    /// One message of the reliable, ordered signalling.
    Signal {
        /// Its place in the order; wraps around.
        sequence: u16,
        /// The encoded message.
        message: &'a [u8],
    },
    /// All signalling before `next` has arrived.
    Ack {
        /// The next expected sequence number.
        next: u16,
    },
    /// Asks for a [`Frame::Pong`]: measures the round trip, proves the path.
    Ping {
        /// Returned in the Pong.
        nonce: u32,
    },
    /// The answer to a [`Frame::Ping`].
    Pong {
        /// The nonce of the Ping.
        nonce: u32,
    },
    /// One application message, which may get lost.
    Message(&'a [u8]),
}

impl<'a> Frame<'a> {
    /// The frame's length in bytes, with its header.
    pub const fn encoded_len(&self) -> usize {
        FRAME_HEADER.saturating_add(self.body_len())
    }

    const fn body_len(&self) -> usize {
        match self {
            Self::Media(bytes) | Self::Report(bytes) | Self::Message(bytes) => bytes.len(),
            Self::Signal { message, .. } => message.len().saturating_add(2),
            Self::Ack { .. } => 2,
            Self::Ping { .. } | Self::Pong { .. } => 4,
        }
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Media(_) => MEDIA,
            Self::Report(_) => REPORT,
            Self::Signal { .. } => SIGNAL,
            Self::Ack { .. } => ACK,
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::Message(_) => MESSAGE,
        }
    }

    /// `Ok(None)`: a kind that this version does not know.
    fn from_body(kind: u8, body: &'a [u8]) -> Result<Option<Self>, FrameError> {
        let u16_body = || {
            body.try_into()
                .map(u16::from_be_bytes)
                .map_err(|_| FrameError::BadLength)
        };
        let u32_body = || {
            body.try_into()
                .map(u32::from_be_bytes)
                .map_err(|_| FrameError::BadLength)
        };
        Ok(Some(match kind {
            MEDIA => Self::Media(body),
            REPORT => Self::Report(body),
            SIGNAL => {
                let (sequence, message) = body.split_first_chunk().ok_or(FrameError::BadLength)?;
                Self::Signal {
                    sequence: u16::from_be_bytes(*sequence),
                    message,
                }
            }
            ACK => Self::Ack { next: u16_body()? },
            PING => Self::Ping { nonce: u32_body()? },
            PONG => Self::Pong { nonce: u32_body()? },
            MESSAGE => Self::Message(body),
            _ => return Ok(None),
        }))
    }
}

/// Why the frames of a packet cannot be read to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// The plaintext ends inside a frame.
    #[error("the packet ends inside a frame")]
    Truncated,
    /// The frame's length does not suit its kind.
    #[error("the frame's length does not suit its kind")]
    BadLength,
}

/// The frames of one plaintext, in order. Unknown kinds are skipped; after an error it ends.
///
/// ```
/// use parlour_core::wire::{Frame, FrameWriter, Frames};
/// let mut plaintext = [0; 100];
/// let mut writer = FrameWriter::new(&mut plaintext);
/// writer.push(&Frame::Ack { next: 3 })?;
/// writer.push(&Frame::Media(b"rtp"))?;
/// let len = writer.len();
/// let mut frames = Frames::new(&plaintext[..len]);
/// assert_eq!(frames.next(), Some(Ok(Frame::Ack { next: 3 })));
/// assert_eq!(frames.next(), Some(Ok(Frame::Media(b"rtp"))));
/// assert_eq!(frames.next(), None);
/// # Ok::<(), parlour_core::wire::FullError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Reads the plaintext of a Data packet.
    pub const fn new(plaintext: &'a [u8]) -> Self {
        Self { rest: plaintext }
    }

    fn split_first(&mut self) -> Result<(u8, &'a [u8]), FrameError> {
        let (&[kind, high, low], rest) = self
            .rest
            .split_first_chunk::<FRAME_HEADER>()
            .ok_or(FrameError::Truncated)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (body, rest) = rest.split_at_checked(length).ok_or(FrameError::Truncated)?;
        self.rest = rest;
        Ok((kind, body))
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let read = self
                .split_first()
                .and_then(|(kind, body)| Frame::from_body(kind, body));
            if read.is_err() {
                self.rest = &[];
            }
            if let Some(item) = read.transpose() {
                return Some(item);
            }
        }
        None
    }
}

impl core::iter::FusedIterator for Frames<'_> {}

/// The frame does not fit into what is left of the packet: send it in the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the frame does not fit into this packet: send it in the next one")]
pub struct FullError;

/// Appends frames to a lent buffer.
#[derive(Debug)]
pub struct FrameWriter<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> FrameWriter<'b> {
    /// Writes to the front of `plaintext`.
    pub const fn new(plaintext: &'b mut [u8]) -> Self {
        Self {
            buffer: plaintext,
            len: 0,
        }
    }

    /// Writes where [`crate::secure::Transport::seal`] looks for the plaintext: behind the place of the header, and leaves
    /// room for the tag. Uses at most [`MAX_DATAGRAM`] bytes of `datagram`; a buffer too short for any frame is a full one.
    pub fn in_datagram(datagram: &'b mut [u8]) -> Self {
        let end = datagram.len().min(MAX_DATAGRAM).saturating_sub(TAG);
        Self::new(datagram.get_mut(DATA_HEADER..end).unwrap_or_default())
    }

    /// Bytes written so far: the length of the plaintext.
    #[allow(clippy::len_without_is_empty)] // has it; the lint does not see through `const`
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes left, [`FRAME_HEADER`] of which the next frame's header takes.
    pub const fn remaining(&self) -> usize {
        self.buffer.len().saturating_sub(self.len)
    }

    /// Appends one frame.
    ///
    /// # Errors
    /// If it does not fit; nothing was written then.
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<(), FullError> {
        let body = self.reserve(frame.kind(), frame.body_len())?;
        let written = match *frame {
            Frame::Media(bytes) | Frame::Report(bytes) | Frame::Message(bytes) => put(body, bytes),
            Frame::Signal { sequence, message } => {
                put(body, &sequence.to_be_bytes()).and_then(|body| put(body, message))
            }
            Frame::Ack { next } => put(body, &next.to_be_bytes()),
            Frame::Ping { nonce } | Frame::Pong { nonce } => put(body, &nonce.to_be_bytes()),
        };
        debug_assert!(written.is_some_and(|rest| rest.is_empty()));
        Ok(())
    }

    /// Appends a [`Frame::Media`] of `len` bytes and lends its body, for the RTP packet to be built there without a copy.
    /// Every byte must be written: the body still holds what the buffer held.
    ///
    /// # Errors
    /// If it does not fit; nothing was written then.
    pub fn push_media(&mut self, len: usize) -> Result<&mut [u8], FullError> {
        self.reserve(MEDIA, len)
    }

    fn reserve(&mut self, kind: u8, len: usize) -> Result<&mut [u8], FullError> {
        let [high, low] = u16::try_from(len).map_err(|_| FullError)?.to_be_bytes();
        let free = self.buffer.get_mut(self.len..).ok_or(FullError)?;
        let frame = free
            .get_mut(..FRAME_HEADER.saturating_add(len))
            .ok_or(FullError)?;
        self.len = self.len.saturating_add(frame.len());
        put(frame, &[kind, high, low]).ok_or(FullError)
    }
}
