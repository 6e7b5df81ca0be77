//! The public face: one generic parameter, and no logic behind it but in [`Machine`].

use core::fmt;
use core::mem::MaybeUninit;

use rand_core::CryptoRngCore;

use super::commands::Commands;
use super::errors::{CommandError, Dropped, SendError};
use super::events::{Event, Incoming, Message};
use super::machine::Machine;
use super::pictures::{PictureFlow, Pictures};
use super::profile::{Lend, Profile, Small};
use super::statistics::{SlotStatistics, Statistics};
use super::voices::Voice;
use super::{BufferTooSmall, CloseCause, Config};
use crate::room::{Grants, Lobby, ParticipantId, RoomState, SessionId, StreamKey, Topic};
use crate::rtp::AudioLevel;
use crate::signal::{Operation, Recipients, Redirect, RequestId};
use crate::ticket::{Ticket, TicketError};
use crate::time::{Duration, Instant};
use crate::video::Feedback;

/// A participant; see the [module](super) for the loop that drives it.
///
/// Its commands are in the trait [`Commands`].
pub struct Client<P: Profile = Small> {
    memory: P::Memory,
    machine: Machine,
}

impl<P: Profile> Client<P> {
    /// A client that will join with `ticket`: its token and server key are copied, its address is
    /// the embedder's to resolve and send to. `rng` seeds the client's own generator; all secrecy
    /// rests on it.
    ///
    /// # Errors
    /// [`TicketError`] if the ticket, made otherwise than by [`Ticket::parse`], has a token that is
    /// empty or too long.
    pub fn new(
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Self, TicketError> {
        let machine = Machine::new(ticket, config, now, rng, P::PARTICIPANTS, P::SLOTS)?;
        Ok(Self {
            memory: P::Memory::new(),
            machine,
        })
    }

    /// Like [`new`](Self::new), in the place where the client stays: it has several KB, which a small stack should
    /// not hold too.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[inline(never)]
    pub fn new_in<'p>(
        place: &'p mut MaybeUninit<Self>,
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<&'p mut Self, TicketError> {
        let machine = Machine::new(ticket, config, now, rng, P::PARTICIPANTS, P::SLOTS)?;
        Ok(place.write(Self {
            memory: P::Memory::new(),
            machine,
        }))
    }

    /// Becomes what [`new`](Self::new) makes, in the same place: to join again after the end.
    ///
    /// # Errors
    /// As [`new`](Self::new); nothing has changed.
    #[inline(never)]
    pub fn restart(
        &mut self,
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), TicketError> {
        self.machine = Machine::new(ticket, config, now, rng, P::PARTICIPANTS, P::SLOTS)?;
        self.memory.clear();
        Ok(())
    }

    // Input

    /// Processes a datagram from the server, which is decrypted in place. Its media
    /// and lossy messages is lent to `receive`, in order of arrival.
    ///
    /// # Errors
    /// [`Dropped`] says why the datagram has had no effect.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Dropped> {
        let parts = &mut self.memory.parts();
        self.machine.handle_datagram(parts, now, datagram, receive)
    }

    /// Does what is due. Call it when [`poll_timeout`](Self::poll_timeout) has passed; at other times it
    /// does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(&mut self.memory.parts(), now);
    }

    /// Says that the socket was replaced, or that the network came back: the client makes itself
    /// heard at once, so that the server sends where it now is, and restores the connection if that
    /// is not answered.
    pub fn network_changed(&mut self, now: Instant) {
        self.machine.network_changed(now);
    }

    /// Has the next packet ask the server for an answer: to see whether another way gets through, send that packet there.
    /// The server answers, and sends from then on, to where the latest packet came from. Without a connection it does
    /// nothing.
    pub fn ping(&mut self) {
        self.machine.ping();
    }

    // Output

    /// Writes the next datagram to the server into `out`, which must hold
    /// [`MAX_DATAGRAM`](crate::wire::MAX_DATAGRAM) bytes, and gives its length; `None` if there is none now.
    /// Call until then.
    ///
    /// # Errors
    /// [`BufferTooSmall`]; nothing is lost.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        self.machine
            .poll_transmit(&mut self.memory.parts(), now, out)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.machine.poll_event()
    }

    /// The next reliable message, its body copied to `buffer`; [`MAX_BODY`](crate::signal::MAX_BODY) bytes
    /// hold any.
    ///
    /// # Errors
    /// [`BufferTooSmall`]; the message stays the next one.
    pub fn poll_message<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> Result<Option<Message<'b>>, BufferTooSmall> {
        self.machine.poll_message(&mut self.memory.parts(), buffer)
    }

    /// The time to call [`handle_timeout`](Self::handle_timeout), and then [`poll_transmit`](Self::poll_transmit); it
    /// lies in the past while something waits to be sent. `None` means never.
    ///
    /// It changes with every call of any other method.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    // Commands without an answer

    /// Sends an application message that may get lost, or come out of order.
    ///
    /// # Errors
    /// [`CommandError::MessageTooLong`], [`CommandError::NotJoined`].
    pub fn send_lossy_message(
        &mut self,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<(), CommandError> {
        let parts = &mut self.memory.parts();
        self.machine.send_lossy_message(parts, to, topic, body)
    }

    /// Leaves. [`Event::Closed`] follows: when the server has said goodbye, or after a second; at once without
    /// a connection.
    ///
    /// # Errors
    /// [`CommandError::Closed`] if it is closed or leaving already.
    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        self.machine.advance(now);
        self.ask(Operation::Leave).map(drop)
    }

    // Media

    /// Sends one encoded frame of sound, whose first sample was taken at `timestamp` in the
    /// [codec's RTP clock](crate::room::Codec::clock_rate). For silence, send nothing and let the timestamps run on.
    ///
    /// If too many packets wait to be sent, the oldest are dropped.
    ///
    /// # Errors
    /// [`SendError`] says why the frame is not sent.
    pub fn send_audio(
        &mut self,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        level: AudioLevel,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let parts = &mut self.memory.parts();
        self.machine
            .send_audio(parts, now, key, timestamp, level, payload)
    }

    /// Sends one RTP payload of a Video or Screen stream, already packetized by its codec's RTP
    /// format; `marker` ends a picture.
    ///
    /// # Errors
    /// [`SendError`] says why the payload is not sent.
    pub fn send_media(
        &mut self,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let parts = &mut self.memory.parts();
        self.machine
            .send_media(parts, now, key, timestamp, marker, payload)
    }

    // Facts

    /// The state of the room, as far as this end knows.
    pub fn state(&self) -> &RoomState<P::Roster> {
        self.memory.room()
    }

    /// The participants waiting in the lobby, as far as this end may know: none without [`Grants::ADMIT`].
    pub fn lobby(&self) -> Lobby<'_> {
        self.machine.lobby(self.memory.waiting())
    }

    /// The participant's id, by its token; `None` before the first join.
    pub fn me(&self) -> Option<&ParticipantId> {
        self.machine.membership().map(|membership| &membership.me)
    }

    /// The participant's grants; none before the first join.
    pub fn grants(&self) -> Grants {
        (self.machine.membership()).map_or(Grants::empty(), |membership| membership.grants)
    }

    /// The current run of the room; `None` before the first join.
    pub fn session(&self) -> Option<SessionId> {
        self.machine
            .membership()
            .map(|membership| membership.session)
    }

    /// Whether there is a session and a connection to it.
    pub fn is_joined(&self) -> bool {
        self.machine.is_joined()
    }

    /// Whether it is in the lobby, until a moderator decides.
    pub fn is_waiting(&self) -> bool {
        self.machine.is_waiting()
    }

    /// Where to send, if the server has redirected this client; `None`: to the ticket's address.
    pub fn redirected_to(&self) -> Option<Redirect> {
        self.machine.redirected_to()
    }

    /// The reason that it is over; `None` while it is not.
    pub fn closed(&self) -> Option<CloseCause> {
        self.machine.closed()
    }

    /// The SSRC of one's own stream, once it is published.
    pub fn published_ssrc(&self, key: &StreamKey) -> Option<u32> {
        let mut publications = self.memory.publications().iter();
        publications.find_map(|publication| publication.ssrc_if(key))
    }

    /// Those of the others who speak now, as [`Event::SpeakingStarted`] says it.
    pub fn speakers(&self) -> impl Iterator<Item = &ParticipantId> {
        self.memory.voices().iter().filter_map(Voice::speaker)
    }

    /// How loud another participant is, in −dBov: 0 is the loudest, 127 is silence. `None` if nothing has been heard of it
    /// for 400 ms.
    pub fn level_of(&self, now: Instant, participant: &ParticipantId) -> Option<u8> {
        let mut voices = self.memory.voices().iter();
        let voice = voices.find(|voice| voice.is_of(participant))?;
        voice.activity.level(now)
    }

    /// The participant to show large: the publisher of the pinned stream, else the presenter, else the active
    /// speaker.
    pub fn main_participant(&self) -> Option<&ParticipantId> {
        self.state()
            .main_participant(self.machine.listening.pinned())
    }

    /// Figures about the connection.
    pub fn statistics(&self) -> Statistics {
        self.machine.statistics(self.memory.slots())
    }

    /// Figures about one audio slot; `None` if there are not as many slots.
    pub fn slot_statistics(&self, slot: u8) -> Option<SlotStatistics> {
        (self.memory.slots().get(usize::from(slot))).map(|slot| slot.statistics())
    }
}

impl<P: Profile> Commands for Client<P> {
    #[inline(always)]
    fn ask(&mut self, operation: Operation<'_>) -> Result<Option<RequestId>, CommandError> {
        self.machine.ask(&mut self.memory.parts(), &operation)
    }
}

impl<P: Profile> Pictures for Client<P> {
    fn picture_flow(&self, key: &StreamKey) -> Result<Option<PictureFlow>, SendError> {
        self.machine.picture_flow(self.memory.publications(), key)
    }

    fn send_picture_packet(
        &mut self,
        now: Instant,
        key: &StreamKey,
        packet: &[u8],
    ) -> Result<(), SendError> {
        let parts = &mut self.memory.parts();
        self.machine.send_picture_packet(parts, now, key, packet)
    }

    fn send_feedback_frame(&mut self, now: Instant, ssrc: u32, feedback: Feedback<'_>) {
        let parts = &mut self.memory.parts();
        self.machine.send_feedback_frame(parts, now, ssrc, feedback);
    }

    fn report_arrivals(&mut self, at: Instant) {
        self.machine.report_arrivals(&mut self.memory.parts(), at);
    }

    fn round_trip(&self) -> Option<Duration> {
        self.statistics().rtt
    }
}

impl<P: Profile> fmt::Debug for Client<P> {
    /// Shows neither keys nor the token, nor what is said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("status", &self.machine.status)
            .field("me", &self.me())
            .finish_non_exhaustive()
    }
}
