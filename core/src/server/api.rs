//! The server's interface to its embedder: inputs and outputs.

mod application;

use core::fmt;

use rand_core::CryptoRngCore;

use super::context::Context;
use super::front::Front;
use super::joining;
use super::keys::{Owner, Wake};
use super::room::Rooms;
use super::{
    Accounting, Admission, AdmitError, BufferTooSmall, Config, Dropped, Event, JoinId,
    ParticipantStatistics, Path, RefreshError, RefreshId, Refused, RoomView, Statistics, Transmit,
    UnknownJoin,
};
use crate::room::{ParticipantId, RoomId, Waiting};
use crate::secure::{CookieJar, Generator, KeyPair};
use crate::signal::{Answer, Redirect};
use crate::time::{Instant, earlier};
use crate::wire::{Packet, PacketError};

/// Rooms full of participants, without sockets, clock or threads. See the [module](super).
///
/// ```
/// use parlour_core::rand_core::SeedableRng;
/// use parlour_core::secure::KeyPair;
/// use parlour_core::server::{Config, Dropped, Path, Server};
/// use parlour_core::time::Instant;
///
/// let mut rng = rand_chacha::ChaCha12Rng::seed_from_u64(1); // in earnest: the system's generator
/// let now = Instant::from_micros(0);
/// let keys = KeyPair::generate(&mut rng);
/// let mut server = Server::new(Config::default(), keys, now, &mut rng);
///
/// let from = Path::udp("192.0.2.1:5000".parse()?);
/// let mut datagram = *b"GET /";
/// assert_eq!(server.handle_datagram(now, from, &mut datagram), Err(Dropped::NotParlour));
/// let mut out = [0; 1200];
/// assert_eq!(server.poll_transmit(now, &mut out)?, None);
/// assert_eq!(server.poll_event(), None);
/// assert_eq!(server.poll_timeout(), None); // nobody there: sleep until a datagram comes
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    front: Front,
    pub(super) rooms: Rooms,
    pub(super) cx: Context,
}

impl Server {
    /// A server that holds the private key of `keys`, which tickets name. From `rng` it seeds its
    /// own generator, on which all secrecy then rests.
    pub fn new(config: Config, keys: KeyPair, now: Instant, rng: &mut dyn CryptoRngCore) -> Self {
        let mut rng = Generator::new(rng);
        let cookies = CookieJar::new(now, &mut rng);
        let cx = Context::new(config, &keys, now, rng);
        Self {
            front: Front::new(&cx.config, keys, cookies, now),
            rooms: Rooms::new(),
            cx,
        }
    }

    /// Takes in a datagram, which is decrypted in place.
    ///
    /// # Errors
    /// [`Dropped`] says why it had no effect; the server's
    /// [`statistics`](Self::statistics) count that.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        from: Path,
        datagram: &mut [u8],
    ) -> Result<(), Dropped> {
        self.cx.now = now;
        let statistics = &mut self.cx.statistics;
        statistics.datagrams_received += 1;
        statistics.bytes_received += datagram.len() as u64;
        let handled = self.dispatch(from, datagram);
        if let Err(reason) = handled {
            self.cx.statistics.count_dropped(reason);
        }
        handled
    }

    fn dispatch(&mut self, from: Path, datagram: &mut [u8]) -> Result<(), Dropped> {
        let Self { front, rooms, cx } = self;
        let len = datagram.len();
        let packet = Packet::parse(datagram).map_err(|error| match error {
            PacketError::NotParlour => Dropped::NotParlour,
            _ => Dropped::Malformed,
        })?;
        match packet {
            Packet::Data { connection_id, .. } => match cx.directory.ids.get(&connection_id) {
                Some(Owner::Peer(peer)) => {
                    let peer = *peer;
                    rooms.handle_data(cx, peer, from, datagram)
                }
                Some(Owner::Join(key)) => {
                    let key = *key;
                    joining::handle_first_data(front, rooms, cx, key, from, datagram)
                }
                None => front.send_reset(cx, from, connection_id, len),
            },
            Packet::Hello {
                client_id,
                cookie,
                noise,
            } => front.handle_hello(cx, from, client_id, cookie, noise, len),
            Packet::OtherHello { client_id, .. } => front.send_stateless(
                from,
                &Packet::VersionMismatch {
                    client_id,
                    supported: crate::wire::VERSION,
                },
            ),
            _ => Err(Dropped::Misdirected),
        }
    }

    /// Handles expired timers. Call it when [`poll_timeout`](Self::poll_timeout) has passed; calling it earlier or
    /// later does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.cx.now = now;
        let Self { front, rooms, cx } = self;
        while let Some(wake) = cx.timers.due(now) {
            match wake {
                Wake::Join(key) => joining::forget(front, rooms, cx, key),
                Wake::Peer(peer) => rooms.handle_timeout(cx, peer),
                Wake::Speaker(key) => rooms.with_session(key, |session| session.decide_speaker(cx)),
                Wake::Gather(key) => rooms.with_session(key, |session| session.close_window(cx)),
                Wake::Tell(key) => rooms.with_session(key, |session| session.tell_all(cx)),
                Wake::Session(key) => rooms.end_in_time(cx, key),
                #[cfg(feature = "opus-fullband")]
                Wake::Mix(key) => rooms.with_session(key, |session| session.tick_mix(cx)),
            }
        }
    }

    /// The next event. [`events_polled`](Self::events_polled) says its number.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.cx.events.pop()
    }

    /// The number of the event that [`poll_event`](Self::poll_event) gave last. Events are numbered from 1 in the order in which
    /// they happened; those that were missed count, and questions do not.
    pub fn events_polled(&self) -> u64 {
        self.cx.events.polled()
    }

    /// The number of the latest event that has happened, polled or not. [`rooms`](Self::rooms) shows the state after
    /// that event; events with a higher number change it.
    pub fn events_happened(&self) -> u64 {
        self.cx.events.happened()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), or
    /// [`poll_transmit`](Self::poll_transmit) if there is something to send already; `None`: never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let has_output = !self.cx.ready.is_empty() || self.front.has_output();
        earlier(has_output.then_some(self.cx.now), self.cx.timers.next())
    }

    /// Writes the next datagram to `out`, which must have 1200 bytes; `None` if there is nothing to send. Call it
    /// until it returns `None`, after each batch of input: frames for the same receiver from one batch share one
    /// datagram.
    ///
    /// # Errors
    /// If `out` is too small. Nothing is lost then.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<Transmit>, BufferTooSmall> {
        BufferTooSmall::check(out)?;
        self.cx.now = now;
        let Self { front, rooms, cx } = self;
        // Returned from where it is made: a path has many bytes to move.
        if let Some(sent) = front.transmit(cx, out) {
            cx.statistics.count_sent(sent.len);
            return Ok(Some(sent));
        }
        while let Some(peer) = cx.ready.pop_front() {
            if let Some(sent) = rooms.transmit(cx, peer, out) {
                cx.statistics.count_sent(sent.len);
                return Ok(Some(sent));
            }
        }
        Ok(None)
    }

    /// Whether so many answers to strangers (Retry, Reset, another version) wait that they must be sent before the
    /// current batch is finished. The queue has room for twice as many; further answers are not made. While this
    /// holds, [`poll_transmit`](Self::poll_transmit) returns nothing else, so frames for the same receiver still
    /// share datagrams.
    ///
    /// ```
    /// # use parlour_core::server::{BufferTooSmall, Path, Server};
    /// # use parlour_core::time::Instant;
    /// # fn take_in(server: &mut Server, now: Instant, batch: &mut [(Path, Vec<u8>)], out: &mut [u8; 1200]) -> Result<(), BufferTooSmall> {
    /// for (from, datagram) in batch {
    ///     let _ = server.handle_datagram(now, *from, datagram);
    ///     while server.owes_answers()
    ///         && let Some(_transmit) = server.poll_transmit(now, out)?
    ///     { /* send it */ }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn owes_answers(&self) -> bool {
        self.front.is_filling_up()
    }

    /// Lets a join in. The join takes effect when the participant's first packet under the new keys arrives; a place
    /// is reserved for it until then.
    ///
    /// # Errors
    /// [`AdmitError`]. Unless the join is unknown, the participant is told the reason.
    pub fn admit(
        &mut self,
        now: Instant,
        join: JoinId,
        admission: Admission,
    ) -> Result<(), AdmitError> {
        self.cx.now = now;
        let Self { front, rooms, cx } = self;
        let key = front.asked(join).ok_or(AdmitError::UnknownJoin)?;
        joining::admit(front, rooms, cx, key, admission)
    }

    /// Turns a join away: with a [`JoinRefusal`](crate::signal::JoinRefusal), or with [`Refused`] if the embedder
    /// knows the room and participant.
    ///
    /// # Errors
    /// If it was answered before or has timed out.
    pub fn refuse(
        &mut self,
        now: Instant,
        join: JoinId,
        refused: impl Into<Refused>,
    ) -> Result<(), UnknownJoin> {
        self.cx.now = now;
        let key = self.front.asked(join).ok_or(UnknownJoin)?;
        self.front.answer_refused(&mut self.cx, key, refused.into());
        Ok(())
    }

    /// Sends a join to another server, or another worker of this one, which has the same key and takes the same tokens.
    ///
    /// # Errors
    /// If it was answered before or has timed out.
    pub fn redirect(
        &mut self,
        now: Instant,
        join: JoinId,
        to: Redirect,
    ) -> Result<(), UnknownJoin> {
        self.cx.now = now;
        let key = self.front.asked(join).ok_or(UnknownJoin)?;
        self.front
            .answer_without_connection(&mut self.cx, key, &Answer::from(to));
        Ok(())
    }

    /// Answers [`Event::RefreshRequested`] with the contents of the new token, or with `Err` if the token is not
    /// valid. Only room, participant, grants and expiry are read: the participant's identity stays. Anything that the
    /// participant may no longer do ends: its streams are unpublished, its subscriptions end, and it releases the
    /// floor.
    ///
    /// # Errors
    /// [`RefreshError`].
    #[allow(clippy::result_unit_err)]
    pub fn refresh(
        &mut self,
        now: Instant,
        refresh: RefreshId,
        answer: Result<Admission, ()>,
    ) -> Result<(), RefreshError> {
        self.cx.now = now;
        self.rooms.refresh(&mut self.cx, refresh, answer)
    }

    /// Takes in how busy the thread is that this server runs on, in percent of the time.
    ///
    /// ```
    /// # use parlour_core::server::{Config, Gather};
    /// # use parlour_core::time::Duration;
    /// let config = Config { gather: Gather::Always(Duration::from_millis(3)), ..Config::default() };
    /// ```
    pub fn set_load(&mut self, percent: u8) {
        self.cx.load = percent;
    }

    /// Says whether the embedder is behind with taking in: more has come than it has time for. While it is, media of rooms with
    /// more than 16 participants is dropped, because each packet of it is work for all of them. All else is taken in: small
    /// rooms hear each other, and signalling gets through.
    pub fn set_behind(&mut self, behind: bool) {
        self.cx.overload.behind = behind;
    }

    /// Ends all sessions and refuses all further joins. Go on polling datagrams to transmit, for [`Config::linger`]
    /// at most, so that the participants learn of it.
    pub fn shutdown(&mut self, now: Instant) {
        self.cx.now = now;
        joining::shut_down(&mut self.front, &mut self.rooms, &mut self.cx);
    }

    /// All rooms, in the order of their names.
    pub fn rooms(&self) -> impl Iterator<Item = RoomView<'_>> {
        self.rooms.iter().map(RoomView::new)
    }

    /// The room with this name, if it has participants or joins under way.
    pub fn room(&self, room: &RoomId) -> Option<RoomView<'_>> {
        self.rooms.find(room).map(RoomView::new)
    }

    /// All participants in the lobby of a room, in the order of arrival.
    pub fn waiting(&self, room: &RoomId) -> impl Iterator<Item = &Waiting> + use<'_> {
        let room = self.rooms.find(room).into_iter();
        room.flat_map(|room| room.lobby().waiting().iter())
    }

    /// How well a participant of a session is connected.
    pub fn participant_statistics(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Option<ParticipantStatistics> {
        let session = self.rooms.find(room)?.session()?;
        let member = session.get(session.find(participant)?)?;
        Some(member.statistics())
    }

    /// The counts since the server began.
    pub fn statistics(&self) -> &Statistics {
        &self.cx.statistics
    }

    /// Rooms with a session, a lobby or a join under way, as [`Accounting::rooms`]; goes over nothing.
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// Participants in session, waiting or being closed, as [`Accounting::participants`]; goes over nothing.
    pub fn participant_count(&self) -> usize {
        self.cx.directory.len()
    }

    /// Whether the server has no participant (in session, waiting or being closed) and no admitted join.
    pub fn is_deserted(&self) -> bool {
        self.participant_count() == 0 && self.rooms.promised == 0
    }

    /// The current use of memory. It visits all participants: for tests, and for occasional metrics.
    pub fn accounting(&self) -> Accounting {
        let Self { front, rooms, cx } = self;
        Accounting {
            rooms: self.room_count(),
            participants: self.participant_count(),
            half_open: front.half_open(),
            ended: cx.ended.len(),
            connection_ids: cx.directory.ids.len(),
            stateless: front.stateless(),
            events: cx.events.len(),
            timers: cx.timers.len(),
            media_buffers: cx.pool.used(),
            kept_pictures: cx.kept,
            media_bytes: cx.pool.allocated(),
            #[cfg(feature = "opus-fullband")]
            mixes: cx.mixes,
            ..rooms.accounting(&cx.leaving)
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("accounting", &self.accounting())
            .finish_non_exhaustive()
    }
}
