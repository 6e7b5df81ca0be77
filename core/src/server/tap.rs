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
    /// The participant.
    pub participant: ParticipantId,
    /// Its name.
    pub key: StreamKey,
    /// The kind of the media.
    pub kind: StreamKind,
    /// The codec of its payloads.
    pub codec: Codec,
    /// Tells it from others that its publisher gives the same name, before or after.
    pub ssrc: u32,
}

/// The output of [`Server::poll_tapped`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tapped {
    /// A packet, as its publisher sent it.
    Packet {
        /// The stream.
        stream: TappedStream,
        /// The time of arrival.
        received: Instant,
        /// Its RTP sequence number. Missing numbers were lost on the way; packets may arrive in another order.
        sequence: u16,
        /// Its RTP timestamp, by the codec's clock.
        timestamp: u32,
        /// Its RTP marker.
        marker: bool,
        /// How loud it is, by its publisher's word.
        level: Option<AudioLevel>,
        /// The codec's payload.
        payload: Box<[u8]>,
    },
    /// A stream is unpublished, or its publisher has left. The end of the session is told by
    /// [`Event::SessionEnded`](super::Event::SessionEnded) alone.
    Ended(TappedStream),
}

/// The tapped packets that wait to be polled.
#[derive(Debug, Default)]
pub(super) struct Taps {
    waiting: VecDeque<Tapped>,
    /// The number of packets lost because too many waited.
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
    /// Starts or stops the tap of a room's current session: its media then also comes out of
    /// [`poll_tapped`](Self::poll_tapped), until the session ends. Returns the session. A room without a tap costs
    /// nothing.
    ///
    /// The tap contains what others may hear and see: nothing of muted streams, and no sound of censored
    /// participants.
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

    /// The next tapped packet. Call it until it returns `None`, after each batch of input: no more than 4,096 packets
    /// wait.
    pub fn poll_tapped(&mut self) -> Option<Tapped> {
        self.cx.taps.waiting.pop_front()
    }

    /// The number of tapped packets lost because they were not polled in time.
    pub fn tapped_missed(&self) -> u64 {
        self.cx.taps.missed
    }
}
