//! The plaintext of a Data packet.
//!
//! ```text
//!  0       1         3
//! +-------+---------+--------------------+-------+---------+- - -
//! | kind  | length  | body               | kind  | length  |
//! | u8    | u16     | `length` bytes     | u8    | u16     |
//! +-------+---------+--------------------+-------+---------+- - -
//!
//! kind  name       body
//!  1    Media      one RTP packet
//!  2    Report     one RTCP compound packet
//!  3    Signal     sequence u16, one signalling message
//!  4    Ack        next expected sequence u16
//!  5    Ping       nonce u32
//!  6    Pong       nonce u32 of the Ping
//!  7    Message    one lossy application message
//!  8    Nack       ssrc u32, 1 to 16 × (sequence u16, bitmap u16 of the 16 that follow)
//!  9    KeyWanted  ssrc u32, layer u8
//! 10    Arrived    highest counter u32, packets opened u32, own clock in µs when the highest came u32
//! ```
//!
//! Frames of other kinds are skipped. Kind 0 will never mean anything: it is for padding.

use super::packet::{DATA_HEADER, MAX_DATAGRAM, TAG};
use super::{Arrived, Lost, put};

/// Bytes before the body of a frame.
pub const FRAME_HEADER: usize = 3;

const MEDIA: u8 = 1;
const REPORT: u8 = 2;
const SIGNAL: u8 = 3;
const ACK: u8 = 4;
const PING: u8 = 5;
const PONG: u8 = 6;
const MESSAGE: u8 = 7;
const NACK: u8 = 8;
const KEY_WANTED: u8 = 9;
const ARRIVED: u8 = 10;

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
    /// Asks for a [`Frame::Pong`], which measures the round-trip time and proves the path.
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
    /// Packets of video or screen are to be sent again.
    Nack {
        /// Of which flow.
        ssrc: u32,
        /// Their numbers.
        lost: Lost<'a>,
    },
    /// A key picture is wanted.
    KeyWanted {
        /// Of which flow.
        ssrc: u32,
        /// Of which layer.
        layer: u8,
    },
    /// What has arrived of the packets that carry pictures.
    Arrived(Arrived),
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
            Self::Nack { lost, .. } => lost.as_bytes().len().saturating_add(4),
            Self::KeyWanted { .. } => 5,
            Self::Arrived(_) => Arrived::LEN,
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
            Self::Nack { .. } => NACK,
            Self::KeyWanted { .. } => KEY_WANTED,
            Self::Arrived(_) => ARRIVED,
        }
    }

    /// `Ok(None)` for a kind that this version does not know.
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
            NACK => {
                let (ssrc, lost) = body.split_first_chunk().ok_or(FrameError::BadLength)?;
                Self::Nack {
                    ssrc: u32::from_be_bytes(*ssrc),
                    lost: Lost::parse(lost).ok_or(FrameError::BadLength)?,
                }
            }
            KEY_WANTED => {
                let (ssrc, layer) = body.split_first_chunk().ok_or(FrameError::BadLength)?;
                let &[layer] = layer else {
                    return Err(FrameError::BadLength);
                };
                Self::KeyWanted {
                    ssrc: u32::from_be_bytes(*ssrc),
                    layer,
                }
            }
            ARRIVED => {
                let body = body.try_into().map_err(|_| FrameError::BadLength)?;
                Self::Arrived(Arrived::from_bytes(body))
            }
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

/// The frame does not fit into the rest of the packet: send it in the next one.
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

    /// Writes to the plaintext's place for [`crate::secure::Transport::seal`]: behind the header, and leaves room for
    /// the tag. Uses at most [`MAX_DATAGRAM`] bytes of `datagram`; a buffer too short for any frame is a full one.
    pub fn in_datagram(datagram: &'b mut [u8]) -> Self {
        let end = datagram.len().min(MAX_DATAGRAM).saturating_sub(TAG);
        Self::new(datagram.get_mut(DATA_HEADER..end).unwrap_or_default())
    }

    /// Bytes written so far: the length of the plaintext.
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
            Frame::Nack { ssrc, lost } => {
                put(body, &ssrc.to_be_bytes()).and_then(|body| put(body, lost.as_bytes()))
            }
            Frame::KeyWanted { ssrc, layer } => {
                put(body, &ssrc.to_be_bytes()).and_then(|body| put(body, &[layer]))
            }
            Frame::Arrived(arrived) => put(body, &arrived.to_bytes()),
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

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::super::packet::MAX_PLAINTEXT;
    use super::*;

    /// A frame that owns its bytes, for proptest to generate.
    #[derive(Debug, Clone)]
    enum Owned {
        Media(Vec<u8>),
        Report(Vec<u8>),
        Signal(u16, Vec<u8>),
        Ack(u16),
        Ping(u32),
        Pong(u32),
        Message(Vec<u8>),
        Nack(u32, Vec<[u8; 4]>),
        KeyWanted(u32, u8),
        Arrived(u32, u32, u32),
    }

    impl Owned {
        fn frame(&self) -> Frame<'_> {
            match self {
                Self::Media(bytes) => Frame::Media(bytes),
                Self::Report(bytes) => Frame::Report(bytes),
                Self::Signal(sequence, message) => Frame::Signal {
                    sequence: *sequence,
                    message,
                },
                Self::Ack(next) => Frame::Ack { next: *next },
                Self::Ping(nonce) => Frame::Ping { nonce: *nonce },
                Self::Pong(nonce) => Frame::Pong { nonce: *nonce },
                Self::Message(bytes) => Frame::Message(bytes),
                Self::Nack(ssrc, pairs) => Frame::Nack {
                    ssrc: *ssrc,
                    lost: Lost::parse(pairs.as_flattened()).unwrap(),
                },
                Self::KeyWanted(ssrc, layer) => Frame::KeyWanted {
                    ssrc: *ssrc,
                    layer: *layer,
                },
                &Self::Arrived(highest, opened, clock) => Frame::Arrived(Arrived {
                    highest,
                    opened,
                    clock,
                }),
            }
        }
    }

    fn any_frame() -> impl Strategy<Value = Owned> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            bytes().prop_map(Owned::Media),
            bytes().prop_map(Owned::Report),
            (any::<u16>(), bytes()).prop_map(|(sequence, bytes)| Owned::Signal(sequence, bytes)),
            any::<u16>().prop_map(Owned::Ack),
            any::<u32>().prop_map(Owned::Ping),
            any::<u32>().prop_map(Owned::Pong),
            bytes().prop_map(Owned::Message),
            (any::<u32>(), prop::collection::vec(any::<[u8; 4]>(), 1..17))
                .prop_map(|(ssrc, pairs)| Owned::Nack(ssrc, pairs)),
            (any::<u32>(), any::<u8>()).prop_map(|(ssrc, layer)| Owned::KeyWanted(ssrc, layer)),
            any::<[u32; 3]>().prop_map(|[a, b, c]| Owned::Arrived(a, b, c)),
        ]
    }

    #[test]
    fn frames_have_the_documented_bytes() {
        let lost = [0xFF, 0xFE, 0x80, 0x01];
        let cases: [(Frame<'_>, &[u8]); 10] = [
            (Frame::Media(b"ab"), &[1, 0, 2, b'a', b'b']),
            (Frame::Report(b""), &[2, 0, 0]),
            (
                Frame::Signal {
                    sequence: 0x0102,
                    message: b"m",
                },
                &[3, 0, 3, 1, 2, b'm'],
            ),
            (Frame::Ack { next: 0x0102 }, &[4, 0, 2, 1, 2]),
            (Frame::Ping { nonce: 0x0102_0304 }, &[5, 0, 4, 1, 2, 3, 4]),
            (Frame::Pong { nonce: 0x0102_0304 }, &[6, 0, 4, 1, 2, 3, 4]),
            (
                Frame::Message(&[9; 256]),
                &[&[7, 1, 0][..], &[9; 256]].concat(),
            ),
            (
                Frame::Nack {
                    ssrc: 0x0102_0304,
                    lost: Lost::parse(&lost).unwrap(),
                },
                &[8, 0, 8, 1, 2, 3, 4, 0xFF, 0xFE, 0x80, 0x01],
            ),
            (
                Frame::KeyWanted {
                    ssrc: 0x0102_0304,
                    layer: 1,
                },
                &[9, 0, 5, 1, 2, 3, 4, 1],
            ),
            (
                Frame::Arrived(Arrived {
                    highest: 0x0102_0304,
                    opened: 0x0102_0303,
                    clock: 0xF1F2_F3F4,
                }),
                &[10, 0, 12, 1, 2, 3, 4, 1, 2, 3, 3, 0xF1, 0xF2, 0xF3, 0xF4],
            ),
        ];
        for (frame, bytes) in cases {
            let mut buffer = [0xaa; 300];
            let mut writer = FrameWriter::new(&mut buffer);
            assert!(writer.is_empty());
            writer.push(&frame).unwrap();
            assert_eq!(writer.len(), frame.encoded_len());
            assert_eq!(&buffer[..frame.encoded_len()], bytes);
            assert_eq!(Frames::new(bytes).collect::<Vec<_>>(), [Ok(frame)]);
        }
    }

    #[test]
    fn unknown_kinds_and_padding_are_skipped() {
        let bytes = [
            0, 0, 0, 99, 0, 2, 7, 7, 4, 0, 2, 0, 1, 0, 0, 1, 0, 255, 0, 0,
        ];
        assert_eq!(
            Frames::new(&bytes).collect::<Vec<_>>(),
            [Ok(Frame::Ack { next: 1 })]
        );
    }

    #[test]
    fn a_malformed_frame_ends_the_packet() {
        let cases: [(&[u8], FrameError); 15] = [
            (&[1], FrameError::Truncated),
            (&[1, 0], FrameError::Truncated),
            (&[1, 0, 1], FrameError::Truncated),
            (&[99, 255, 255], FrameError::Truncated),
            (&[3, 0, 1, 0], FrameError::BadLength),
            (&[4, 0, 1, 0], FrameError::BadLength),
            (&[4, 0, 3, 0, 0, 0], FrameError::BadLength),
            (&[5, 0, 3, 0, 0, 0], FrameError::BadLength),
            (&[6, 0, 5, 0, 0, 0, 0, 0], FrameError::BadLength),
            (&[8, 0, 4, 0, 0, 0, 0], FrameError::BadLength),
            (&[8, 0, 7, 0, 0, 0, 0, 0, 0, 0], FrameError::BadLength),
            (&[9, 0, 4, 0, 0, 0, 0], FrameError::BadLength),
            (&[9, 0, 6, 0, 0, 0, 0, 0, 0], FrameError::BadLength),
            (
                &[[10, 0, 11].as_slice(), &[0; 11]].concat(),
                FrameError::BadLength,
            ),
            (
                &[[10, 0, 13].as_slice(), &[0; 13]].concat(),
                FrameError::BadLength,
            ),
        ];
        for (malformed, error) in cases {
            let ack = [4, 0, 2, 0, 1];
            let bytes = [&ack[..], malformed].concat();
            let read: Vec<_> = Frames::new(&bytes).collect();
            assert_eq!(
                read,
                [Ok(Frame::Ack { next: 1 }), Err(error)],
                "{malformed:?}"
            );
            let bytes = [malformed, &ack[..]].concat();
            if error == FrameError::BadLength {
                assert_eq!(
                    Frames::new(&bytes).collect::<Vec<_>>(),
                    [Err(error)],
                    "{malformed:?}"
                );
            }
        }
    }

    #[test]
    fn media_can_be_built_in_place() {
        let mut buffer = [0; 10];
        let mut writer = FrameWriter::new(&mut buffer);
        writer.push_media(4).unwrap().copy_from_slice(b"rtp!");
        assert_eq!(writer.remaining(), 3);
        assert_eq!(writer.push_media(1), Err(FullError));
        assert_eq!(writer.push_media(usize::MAX), Err(FullError));
        assert_eq!(writer.push_media(0), Ok(&mut [][..]));
        assert_eq!(buffer, *b"\x01\x00\x04rtp!\x01\x00\x00");
    }

    #[test]
    fn a_body_longer_than_its_length_field_is_refused() {
        let long = vec![0; 65_536];
        let mut buffer = vec![0; 70_000];
        let mut writer = FrameWriter::new(&mut buffer);
        assert_eq!(writer.push(&Frame::Media(&long)), Err(FullError));
        assert_eq!(
            writer.push(&Frame::Signal {
                sequence: 0,
                message: &long[2..]
            }),
            Err(FullError)
        );
        assert!(writer.is_empty());
        assert_eq!(writer.push(&Frame::Media(&long[1..])), Ok(()));
    }

    #[test]
    fn a_datagram_leaves_room_for_header_and_tag() {
        assert_eq!(
            FrameWriter::in_datagram(&mut [0; 2000]).remaining(),
            MAX_PLAINTEXT
        );
        assert_eq!(FrameWriter::in_datagram(&mut [0; 100]).remaining(), 75);
        for len in 0..=25 {
            assert_eq!(FrameWriter::in_datagram(&mut vec![0; len]).remaining(), 0);
        }
        let mut datagram = [0; 100];
        FrameWriter::in_datagram(&mut datagram)
            .push(&Frame::Ack { next: 1 })
            .unwrap();
        assert_eq!(datagram[DATA_HEADER..][..5], [4, 0, 2, 0, 1]);
    }

    proptest! {
        #[test]
        fn frames_survive_their_encoding(
            frames in prop::collection::vec(any_frame(), 0..12),
            capacity in 0usize..1500,
        ) {
            let mut buffer = vec![0xaa; capacity];
            let mut writer = FrameWriter::new(&mut buffer);
            let mut accepted = Vec::new();
            for frame in &frames {
                let (len, remaining) = (writer.len(), writer.remaining());
                let fits = frame.frame().encoded_len() <= remaining;
                prop_assert_eq!(writer.push(&frame.frame()).is_ok(), fits);
                if fits {
                    accepted.push(Ok(frame.frame()));
                    prop_assert_eq!(writer.len(), len + frame.frame().encoded_len());
                } else {
                    prop_assert_eq!(writer.len(), len);
                }
                prop_assert_eq!(writer.len() + writer.remaining(), capacity);
            }
            let len = writer.len();
            prop_assert!(buffer[len..].iter().all(|&byte| byte == 0xaa));
            prop_assert_eq!(Frames::new(&buffer[..len]).collect::<Vec<_>>(), accepted);
        }

        #[test]
        fn any_bytes_can_be_read(
            bytes in prop::collection::vec(prop_oneof![0u8..11, any::<u8>()], 0..300),
        ) {
            let mut frames = Frames::new(&bytes);
            let read: Vec<_> = frames.by_ref().collect();
            let errors = read.iter().filter(|frame| frame.is_err()).count();
            prop_assert!(errors <= 1);
            prop_assert!(errors == 0 || read.last().is_some_and(|last| last.is_err()));
            let total: usize = read.iter().flatten().map(Frame::encoded_len).sum();
            prop_assert!(total <= bytes.len());
            prop_assert_eq!(frames.next(), None);
        }
    }
}
