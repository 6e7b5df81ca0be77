//! Media on its way from a worker to the application.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parlour_core::room::{RoomId, SessionId};
use parlour_core::rtp::AudioLevel;
use parlour_core::server::{ModerateError, Tapped as CoreTapped, TappedStream};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::machine::Server;

/// Packets that wait for the reader of a tap: 20 talkers' of four seconds.
const WAITING: usize = 4_096;
/// Places that packets leave to ends of streams.
const RESERVED: usize = 64;

/// What a [`MediaTap`] gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Tapped {
    /// A packet, as its publisher sent it.
    Packet(TappedPacket),
    /// A stream is unpublished, or its publisher has left. A stream that goes on when the session ends is not told of.
    Ended(TappedStream),
}

/// A packet of a tapped stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TappedPacket {
    /// Of which stream.
    pub stream: TappedStream,
    /// When it came.
    pub received: Instant,
    /// Its RTP sequence number. What is missing was lost on the way, or counted by [`MediaTap::missed`]; packets may come in
    /// another order.
    pub sequence: u16,
    /// Its RTP timestamp, by the codec's clock.
    pub timestamp: u32,
    /// Its RTP marker.
    pub marker: bool,
    /// How loud it is, by its publisher's word.
    pub level: Option<AudioLevel>,
    /// What the codec made.
    pub payload: Bytes,
}

/// The media of a session; see [`Server::tap`](crate::Server::tap). Dropped, it taps no more.
#[derive(Debug)]
pub struct MediaTap {
    session: SessionId,
    tapped: mpsc::Receiver<Tapped>,
    missed: Arc<AtomicU64>,
}

impl MediaTap {
    /// The session that is tapped.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// What comes next; `None` when the session is over. Cancellation-safe.
    pub async fn next(&mut self) -> Option<Tapped> {
        self.tapped.recv().await
    }

    /// Packets that were dropped so far because this was not read in time.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

/// Says which streams are wanted.
pub(super) type Wanted = Box<dyn Fn(&TappedStream) -> bool + Send>;

/// The worker's end of a [`MediaTap`].
struct Tap {
    room: RoomId,
    session: SessionId,
    wanted: Wanted,
    sender: mpsc::Sender<Tapped>,
    missed: Arc<AtomicU64>,
}

impl Tap {
    fn new(room: RoomId, session: SessionId, wanted: Wanted, waiting: usize) -> (Self, MediaTap) {
        let (sender, tapped) = mpsc::channel(waiting + RESERVED);
        let missed = Arc::default();
        let reader = MediaTap {
            session,
            tapped,
            missed: Arc::clone(&missed),
        };
        let tap = Self {
            room,
            session,
            wanted,
            sender,
            missed,
        };
        (tap, reader)
    }

    fn wants(&self, stream: &TappedStream) -> bool {
        self.session == stream.session && (self.wanted)(stream)
    }

    fn hand_out(&self, tapped: Tapped) {
        let is_packet = matches!(tapped, Tapped::Packet(_));
        let is_full = is_packet && self.sender.capacity() <= RESERVED;
        if is_full || self.sender.try_send(tapped).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("room", &self.room)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// All taps of one worker.
#[derive(Debug)]
pub(super) struct Taps {
    taps: Vec<Tap>,
    clock: Clock,
}

impl Taps {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            taps: Vec::new(),
            clock,
        }
    }

    /// Taps the session that goes on in a room.
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`] if there is none.
    pub(super) fn open(
        &mut self,
        server: &mut Server,
        room: RoomId,
        wanted: Wanted,
    ) -> Result<MediaTap, ModerateError> {
        let session = server.set_tapped(&room, true)?;
        let (tap, reader) = Tap::new(room, session, wanted, WAITING);
        self.taps.push(tap);
        Ok(reader)
    }

    /// Hands out what was tapped. To be called after each batch of datagrams.
    pub(super) fn hand_out(&mut self, server: &mut Server) {
        if self.taps.is_empty() {
            return;
        }
        while let Some(tapped) = server.poll_tapped() {
            let tapped = self.in_own_terms(tapped);
            let stream = match &tapped {
                Tapped::Packet(packet) => &packet.stream,
                Tapped::Ended(stream) => stream,
            };
            for tap in self.taps.iter().filter(|tap| tap.wants(stream)) {
                tap.hand_out(tapped.clone());
            }
        }
        self.keep(server, |tap| !tap.sender.is_closed());
    }

    /// Closes the taps of a session that is over.
    pub(super) fn session_ended(&mut self, session: SessionId) {
        self.taps.retain(|tap| tap.session != session);
    }

    /// Closes the taps of all sessions that are over.
    pub(super) fn sessions_ended(&mut self, server: &Server) {
        self.taps.retain(|tap| {
            let room = server.room(&tap.room);
            let session = room.and_then(|room| room.session);
            session.is_some_and(|(session, _)| session == tap.session)
        });
    }

    /// Closes those taps for which `is_kept` does not hold. A session without any is tapped no more.
    fn keep(&mut self, server: &mut Server, is_kept: impl Fn(&Tap) -> bool) {
        if self.taps.iter().all(&is_kept) {
            return;
        }
        let rooms = |taps: &[Tap]| -> BTreeSet<RoomId> {
            taps.iter().map(|tap| tap.room.clone()).collect()
        };
        let before = rooms(&self.taps);
        self.taps.retain(is_kept);
        for room in before.difference(&rooms(&self.taps)) {
            // An error means that its session is over.
            let _ = server.set_tapped(room, false);
        }
    }

    fn in_own_terms(&self, tapped: CoreTapped) -> Tapped {
        match tapped {
            CoreTapped::Packet {
                stream,
                received,
                sequence,
                timestamp,
                marker,
                level,
                payload,
            } => Tapped::Packet(TappedPacket {
                stream,
                received: self.clock.at(received).into_std(),
                sequence,
                timestamp,
                marker,
                level,
                payload: payload.into(),
            }),
            CoreTapped::Ended(stream) => Tapped::Ended(stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use parlour_core::room::{Codec, ParticipantId, StreamKey, StreamKind};

    use super::*;

    fn stream(session: u8, who: &str) -> TappedStream {
        TappedStream {
            session: SessionId([session; 16]),
            participant: ParticipantId::new(who).unwrap(),
            key: StreamKey::new("mic").unwrap(),
            kind: StreamKind::Audio,
            codec: Codec::Opus,
            ssrc: 7,
        }
    }

    fn packet(sequence: u16) -> Tapped {
        Tapped::Packet(TappedPacket {
            stream: stream(1, "anna"),
            received: tokio::time::Instant::now().into_std(),
            sequence,
            timestamp: 0,
            marker: false,
            level: None,
            payload: Bytes::new(),
        })
    }

    fn tap(wanted: impl Fn(&TappedStream) -> bool + Send + 'static) -> (Tap, MediaTap) {
        let room = RoomId::new("room").unwrap();
        Tap::new(room, SessionId([1; 16]), Box::new(wanted), 4)
    }

    #[tokio::test]
    async fn a_slow_reader_misses_packets_and_no_end() {
        let (tap, mut reader) = tap(|_| true);
        for sequence in 0..7 {
            tap.hand_out(packet(sequence));
        }
        tap.hand_out(Tapped::Ended(stream(1, "anna")));
        assert_eq!(reader.missed(), 3);
        for expected in 0..4 {
            let Some(Tapped::Packet(packet)) = reader.next().await else {
                panic!("no packet {expected}");
            };
            assert_eq!(packet.sequence, expected);
        }
        assert!(matches!(reader.next().await, Some(Tapped::Ended(_))));
        tap.hand_out(packet(7));
        assert!(
            matches!(reader.next().await, Some(Tapped::Packet(packet)) if packet.sequence == 7)
        );
        assert_eq!(reader.missed(), 3);
        drop(tap);
        assert!(reader.next().await.is_none());
    }

    #[test]
    fn only_what_is_wanted_of_the_session_is_tapped() {
        let (tap, _reader) = tap(|stream| stream.participant.as_str() == "anna");
        assert!(tap.wants(&stream(1, "anna")));
        assert!(!tap.wants(&stream(1, "ben")));
        assert!(!tap.wants(&stream(2, "anna")));
    }
}
