//! Media of publishers as it comes, for an embedder that records or transcribes it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::{ModerateError, Server};
use crate::room::{Codec, ParticipantId, RoomId, SessionId, StreamKey, StreamKind};
use crate::rtp::AudioLevel;
use crate::time::Instant;

/// Most packets and ends that wait to be polled: beyond that the newest are lost. As many as an embedder takes in between two
/// looks, and more.
const MAX_WAITING: usize = 4_096;

/// A stream that is tapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TappedStream {
    /// In which session.
    pub session: SessionId,
    /// Whose.
    pub participant: ParticipantId,
    /// Its name.
    pub key: StreamKey,
    /// What it shows or lets hear.
    pub kind: StreamKind,
    /// What its payloads are.
    pub codec: Codec,
    /// Tells it from others that its publisher gives the same name, before or after.
    pub ssrc: u32,
}

/// What [`Server::poll_tapped`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tapped {
    /// A packet, as its publisher sent it.
    Packet {
        /// Of which stream.
        stream: TappedStream,
        /// When it came.
        received: Instant,
        /// Its RTP sequence number. What is missing was lost on the way; packets may come in another order.
        sequence: u16,
        /// Its RTP timestamp, by the codec's clock.
        timestamp: u32,
        /// Its RTP marker.
        marker: bool,
        /// How loud it is, by its publisher's word.
        level: Option<AudioLevel>,
        /// What the codec made.
        payload: Box<[u8]>,
    },
    /// A stream is unpublished, or its publisher has left. That the session is over is told by
    /// [`Event::SessionEnded`](super::Event::SessionEnded) alone.
    Ended(TappedStream),
}

/// What was tapped and waits to be polled.
#[derive(Debug, Default)]
pub(super) struct Taps {
    waiting: VecDeque<Tapped>,
    /// What was lost because too much waited.
    missed: u64,
}

impl Taps {
    pub(super) fn push(&mut self, tapped: Tapped) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(tapped);
        } else {
            self.missed += 1;
        }
    }
}

impl Server {
    /// Has the media of the session that goes on in a room come out of [`poll_tapped`](Self::poll_tapped), too, from now on
    /// and as long as the session lasts; or no more. Gives the session. Where nobody taps, that costs nothing.
    ///
    /// What is tapped is what others may hear and see: nothing of muted streams, and no sound of those who are censored.
    ///
    /// ```
    /// use parlour_core::room::RoomId;
    /// use parlour_core::server::{ModerateError, Server, Tapped};
    ///
    /// fn record(server: &mut Server, room: &RoomId) -> Result<(), ModerateError> {
    ///     server.set_tapped(room, true)?;
    ///     Ok(())
    /// }
    ///
    /// /// To be called after each batch of datagrams.
    /// fn write_down(server: &mut Server, mut write: impl FnMut(Tapped)) {
    ///     while let Some(tapped) = server.poll_tapped() {
    ///         write(tapped);
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`] if there is no session in the room.
    pub fn set_tapped(&mut self, room: &RoomId, tapped: bool) -> Result<SessionId, ModerateError> {
        let room = self.rooms.find_mut(room)?;
        room.set_tapped(tapped).ok_or(ModerateError::UnknownRoom)
    }

    /// The next of what was tapped. Call it until there is none, after each batch of what came in: no more than 4,096 packets
    /// wait.
    pub fn poll_tapped(&mut self) -> Option<Tapped> {
        self.cx.taps.waiting.pop_front()
    }

    /// How much of what was tapped is lost because it was not polled in time.
    pub fn tapped_missed(&self) -> u64 {
        self.cx.taps.missed
    }
}
