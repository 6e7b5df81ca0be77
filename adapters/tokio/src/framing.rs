//! Datagrams over TCP, where UDP is blocked.
//!
//! ```text
//!  0             2                   2 + length
//! +-------------+--------------------+-------------+---
//! | length      | one packet,        | length      | …   length: u16, big endian, 1 to 1200
//! | u16         | as UDP carries it  | u16         |
//! +-------------+--------------------+-------------+---
//! ```
//!
//! (The framing of [RFC 4571](https://www.rfc-editor.org/rfc/rfc4571), with the core's limit of a packet's length.)
//! Nothing else is in the stream; a length outside of the range ends it, since it can never be in step again.

use std::io;

use parlour_core::wire::MAX_DATAGRAM;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes before each packet.
const PREFIX: usize = 2;

/// Takes packets out of a stream.
#[derive(Debug)]
pub(crate) struct PacketReader<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Of `buffer`, what has arrived.
    filled: usize,
    /// Of that, what [`next`](Self::next) has handed out.
    taken: usize,
}

impl<R: AsyncRead + Unpin> PacketReader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: vec![0; 16 * (PREFIX + MAX_DATAGRAM)],
            filled: 0,
            taken: 0,
        }
    }

    /// The next packet, to be opened in place; `None` at the end of the stream between two packets.
    ///
    /// Cancellation-safe: what has arrived of a packet stays here.
    ///
    /// # Errors
    /// The error of the stream; `UnexpectedEof` in the middle of a packet, and `InvalidData` for an impossible length.
    pub(crate) async fn next(&mut self) -> io::Result<Option<&mut [u8]>> {
        let length = loop {
            if let Some(length) = self.complete()? {
                break length;
            }
            self.buffer.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
            let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
            self.filled += read;
            match (read, self.filled) {
                (0, 0) => return Ok(None),
                (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        };
        let start = self.taken + PREFIX;
        self.taken = start + length;
        Ok(Some(&mut self.buffer[start..start + length]))
    }

    /// The length of the packet at the front, if all of it is here.
    fn complete(&self) -> io::Result<Option<usize>> {
        let arrived = &self.buffer[self.taken..self.filled];
        let Some((prefix, rest)) = arrived.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*prefix));
        if !(1..=MAX_DATAGRAM).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((rest.len() >= length).then_some(length))
    }
}

/// Puts packets into a stream.
#[derive(Debug)]
pub(crate) struct PacketWriter<W> {
    stream: W,
    /// The bytes that the stream has not accepted yet.
    pending: Vec<u8>,
    written: usize,
}

impl<W: AsyncWrite + Unpin> PacketWriter<W> {
    pub(crate) fn new(stream: W) -> Self {
        Self {
            stream,
            pending: Vec::with_capacity(PREFIX + MAX_DATAGRAM),
            written: 0,
        }
    }

    /// Whether the stream has accepted everything.
    pub(crate) fn is_idle(&self) -> bool {
        self.written == self.pending.len()
    }

    /// Takes one packet, which [`flush`](Self::flush) then writes. Oversized packets are left out.
    pub(crate) fn put(&mut self, packet: &[u8]) {
        let Some(length) = u16::try_from(packet.len())
            .ok()
            .filter(|&length| (1..=MAX_DATAGRAM).contains(&usize::from(length)))
        else {
            return;
        };
        if self.is_idle() {
            self.pending.clear();
            self.written = 0;
        }
        self.pending.extend_from_slice(&length.to_be_bytes());
        self.pending.extend_from_slice(packet);
    }

    /// Writes what was [`put`](Self::put). Cancellation-safe: a call after one that was dropped goes on where that was.
    ///
    /// # Errors
    /// The error of the stream.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self
            .pending
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match self.stream.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.written += written,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    proptest! {
        #[test]
        fn packets_come_out_as_they_went_in_however_the_stream_is_cut(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=MAX_DATAGRAM), 0..40),
            capacity in 1usize..3_000,
        ) {
            let received = runtime().block_on(async {
                let (ours, theirs) = tokio::io::duplex(capacity);
                let sending = async {
                    let mut writer = PacketWriter::new(ours);
                    for packet in &packets {
                        writer.put(packet);
                        // Half of the time, let several packets gather.
                        if packet.len() % 2 == 0 {
                            writer.flush().await.unwrap();
                        }
                    }
                    writer.flush().await.unwrap();
                };
                let receiving = async {
                    let mut reader = PacketReader::new(theirs);
                    let mut received = Vec::new();
                    while let Some(packet) = reader.next().await.unwrap() {
                        received.push(packet.to_vec());
                    }
                    received
                };
                tokio::join!(sending, receiving).1
            });
            prop_assert_eq!(received, packets);
        }

        #[test]
        fn hostile_bytes_end_the_stream_and_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..5_000),
        ) {
            runtime().block_on(async {
                let mut reader = PacketReader::new(&bytes[..]);
                let mut total = 0;
                while let Ok(Some(packet)) = reader.next().await {
                    assert!((1..=MAX_DATAGRAM).contains(&packet.len()));
                    total += PREFIX + packet.len();
                }
                assert!(total <= bytes.len());
            });
        }
    }

    #[tokio::test]
    async fn a_cancelled_read_loses_nothing() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let mut reader = PacketReader::new(theirs);
        for part in [&[0u8][..], &[3], &[7, 8]] {
            ours.write_all(part).await.unwrap();
            let read = reader.next();
            tokio::pin!(read);
            // One poll that takes what is there, then the future is dropped.
            std::future::poll_fn(|context| {
                assert!(read.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        ours.write_all(&[9]).await.unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap(), &[7, 8, 9]);
    }

    #[tokio::test]
    async fn lengths_that_cannot_be_are_errors() {
        for length in [0u16, 1201, u16::MAX] {
            let bytes = length.to_be_bytes();
            let error = PacketReader::new(&bytes[..]).next().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let error = PacketReader::new(&[0u8, 2, 1][..])
            .next()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
