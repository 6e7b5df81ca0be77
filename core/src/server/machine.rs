//! The server as its embedder sees it: what goes in, what comes out.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;

use rand_core::{CryptoRngCore, RngCore};
use slab::Slab;

use super::ended::Ended;
use super::event::Events;
use super::joins::Joins;
use super::limits::{SharedBucket, TokenBucket};
use super::member::Member;
use super::overload::Overload;
use super::path::Source;
use super::pool::Pool;
use super::room::{Room, Session};
use super::timers::Timers;
use super::{Config, Dropped, Event, Path, RefreshId, Statistics};
use crate::room::{DisplayName, Grants, ParticipantId, RoomId, SessionId};
use crate::secure::{CookieJar, Generator, KeyPair, ResetKey};
use crate::time::{Duration, Instant, earlier};
use crate::wire::{ConnectionId, Packet, PacketError};

/// Answers to strangers that wait to be sent.
const MAX_STATELESS: usize = 64;
/// A Reset is sent only for packets longer than itself, so that two servers cannot go on and on.
const RESET_LEN: usize = 21;
/// An answer to a stranger: Retry, Reset or the supported version.
pub(super) type Stateless = heapless::Vec<u8, 22>;

/// What a valid token says: the embedder's answer to [`Event::JoinRequested`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Where.
    pub room: RoomId,
    /// Who.
    pub participant: ParticipantId,
    /// What others see of it.
    pub name: DisplayName,
    /// What it may do.
    pub grants: Grants,
    /// When the token runs out, from now; `None`: never.
    pub expires_in: Option<Duration>,
    /// Whether it has to wait until somebody lets it in. One that resumes does not.
    pub lobby: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberKey(pub(super) usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoomKey(pub(super) usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JoinKey(pub(super) usize);

/// Whom a connection id leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Join(JoinKey),
    Member(MemberKey),
}

/// Whom a timer wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    Join(JoinKey),
    Member(MemberKey),
    Speaker(RoomKey),
    Gather(RoomKey),
    Tell(RoomKey),
    #[cfg(feature = "opus-fullband")]
    Mix(RoomKey),
}

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
    pub(super) config: Config,
    pub(super) keys: KeyPair,
    pub(super) rng: Generator,
    pub(super) cookies: CookieJar,
    pub(super) reset_key: ResetKey,
    resets: TokenBucket,
    /// Those that anybody may have sent.
    pub(super) hellos: TokenBucket,
    pub(super) proven_hellos: SharedBucket<Source>,
    /// The latest time that the embedder told.
    pub(super) now: Instant,
    pub(super) shutting_down: bool,
    /// How busy the embedder is, in percent of the time.
    pub(super) load: u8,
    pub(super) overload: Overload,
    /// Whether more has come than the embedder has time for.
    pub(super) behind: bool,

    pub(super) ids: BTreeMap<ConnectionId, Owner>,
    pub(super) joins: Joins,
    /// Joins under way that will each become a participant of their own.
    pub(super) promised: usize,
    pub(super) members: Slab<Box<Member>>,
    pub(super) rooms: Slab<Room>,
    pub(super) rooms_by_id: BTreeMap<RoomId, RoomKey>,
    /// Whose resume ticket has this handle.
    pub(super) tickets: BTreeMap<u64, MemberKey>,
    pub(super) ended: Ended,
    pub(super) refreshes: BTreeMap<RefreshId, MemberKey>,
    pub(super) next_refresh: u64,
    pub(super) next_ssrc: u32,

    pub(super) timers: Timers<Wake>,
    /// Those that may have something to send, each once as its `ready` says.
    pub(super) ready: VecDeque<MemberKey>,
    pub(super) stateless: VecDeque<(Path, Stateless)>,
    pub(super) events: Events,
    pub(super) pool: Pool,
    /// Sessions that are mixed.
    #[cfg(feature = "opus-fullband")]
    pub(super) mixes: usize,
    pub(super) statistics: Statistics,
}

impl Server {
    /// A server that holds the private key of `keys`, which tickets name. From `rng` it seeds its
    /// own generator, on which all secrecy then rests.
    pub fn new(config: Config, keys: KeyPair, now: Instant, rng: &mut dyn CryptoRngCore) -> Self {
        let mut rng = Generator::new(rng);
        Self {
            cookies: CookieJar::new(now, &mut rng),
            reset_key: ResetKey::derive(keys.secret(), config.instance),
            resets: TokenBucket::new(config.resets, now),
            hellos: TokenBucket::new(config.handshakes, now),
            proven_hellos: SharedBucket::new(config.proven_handshakes, now),
            now,
            shutting_down: false,
            load: 0,
            overload: Overload::default(),
            behind: false,
            ids: BTreeMap::new(),
            joins: Joins::new(),
            promised: 0,
            members: Slab::new(),
            rooms: Slab::new(),
            rooms_by_id: BTreeMap::new(),
            tickets: BTreeMap::new(),
            ended: Ended::new(config.ended),
            refreshes: BTreeMap::new(),
            next_refresh: 0,
            // A random start well below the end, so that numbers given out later are higher for
            // as long as any session lasts.
            next_ssrc: 1 + (rng.next_u32() >> 2),
            timers: Timers::new(),
            ready: VecDeque::new(),
            stateless: VecDeque::new(),
            events: Events::new(config.events),
            pool: Pool::new(config.media_buffers),
            #[cfg(feature = "opus-fullband")]
            mixes: 0,
            statistics: Statistics::default(),
            config,
            keys,
            rng,
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
        self.now = now;
        self.statistics.datagrams_received += 1;
        self.statistics.bytes_received += datagram.len() as u64;
        let handled = self.dispatch(now, from, datagram);
        if let Err(reason) = handled {
            self.statistics.count_dropped(reason);
        }
        handled
    }

    fn dispatch(&mut self, now: Instant, from: Path, datagram: &mut [u8]) -> Result<(), Dropped> {
        let len = datagram.len();
        let packet = Packet::parse(datagram).map_err(|error| match error {
            PacketError::NotParlour => Dropped::NotParlour,
            _ => Dropped::Malformed,
        })?;
        match packet {
            Packet::Data { connection_id, .. } => match self.ids.get(&connection_id) {
                Some(Owner::Member(key)) => self.handle_data(now, from, *key, datagram),
                Some(Owner::Join(key)) => self.handle_first_data(now, from, *key, datagram),
                None => self.send_reset(now, from, connection_id, len),
            },
            Packet::Hello {
                client_id,
                cookie,
                noise,
            } => self.handle_hello(now, from, client_id, cookie, noise, len),
            Packet::OtherHello { client_id, .. } => self.send_stateless(
                from,
                &Packet::VersionMismatch {
                    client_id,
                    supported: crate::wire::VERSION,
                },
            ),
            _ => Err(Dropped::Misdirected),
        }
    }

    /// Does what is due. Call it when [`poll_timeout`](Self::poll_timeout) has passed; earlier or
    /// later does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(wake) = self.timers.due(now) {
            match wake {
                Wake::Join(key) => self.forget_join(key),
                Wake::Member(key) => self.handle_member_timeout(now, key),
                Wake::Speaker(key) => self.decide_speaker(now, key),
                Wake::Gather(key) => self.close_window(key),
                Wake::Tell(key) => self.tell_session(key),
                #[cfg(feature = "opus-fullband")]
                Wake::Mix(key) => self.tick_mix(now, key),
            }
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), or
    /// [`poll_transmit`](Self::poll_transmit) if there is something to send already; `None`: never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let has_output =
            !self.ready.is_empty() || !self.stateless.is_empty() || self.joins.has_ready();
        earlier(has_output.then_some(self.now), self.timers.next())
    }

    /// Says that a connection is unknown, if that is no help to an attacker.
    pub(super) fn send_reset(
        &mut self,
        now: Instant,
        to: Path,
        server_id: ConnectionId,
        received: usize,
    ) -> Result<(), Dropped> {
        if received <= RESET_LEN || !self.resets.take(now) {
            return Err(Dropped::UnknownConnection);
        }
        let token = self.reset_key.token(server_id);
        let token = token.expose_bytes();
        self.send_stateless(to, &Packet::Reset { server_id, token })?;
        self.statistics.resets += 1;
        Ok(())
    }

    /// Queues an answer to a stranger.
    pub(super) fn send_stateless(&mut self, to: Path, packet: &Packet<'_>) -> Result<(), Dropped> {
        if self.stateless.len() >= MAX_STATELESS {
            return Err(Dropped::OutboxFull);
        }
        let mut bytes = Stateless::new();
        let sized = bytes.resize(packet.encoded_len(), 0);
        if sized.is_err() || packet.encode(&mut bytes).is_err() {
            return Err(Dropped::Malformed);
        }
        self.stateless.push_back((to, bytes));
        Ok(())
    }

    /// `count` consecutive SSRCs that nobody else here has, by the first of them. Later ones are
    /// higher: by that a [`RoomState`](crate::room::RoomState) tells who presents.
    pub(super) fn allocate_ssrcs(&mut self, count: u32) -> u32 {
        let first = match self.next_ssrc.checked_add(count) {
            Some(_) => self.next_ssrc,
            // After four billion of them, start over.
            None => 1,
        };
        let gap = 1 + (self.rng.next_u32() & 7);
        self.next_ssrc = first.saturating_add(count).saturating_add(gap);
        first
    }

    pub(super) fn random_session_id(&mut self) -> SessionId {
        let mut id = SessionId([0; 16]);
        self.rng.fill_bytes(&mut id.0);
        id
    }

    /// A connection id that nobody has.
    pub(super) fn random_connection_id(&mut self) -> ConnectionId {
        loop {
            let id = ConnectionId(self.rng.next_u32());
            if !self.ids.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn member(&self, key: MemberKey) -> Option<&Member> {
        self.members.get(key.0).map(|member| &**member)
    }

    pub(super) fn member_mut(&mut self, key: MemberKey) -> Option<&mut Member> {
        self.members.get_mut(key.0).map(|member| &mut **member)
    }

    /// The session that is on in a room. Where something beside it has to be borrowed, too, the room is looked up in place.
    pub(super) fn session_mut(&mut self, key: RoomKey) -> Option<&mut Session> {
        self.rooms.get_mut(key.0)?.session.as_mut()
    }

    /// Has a participant asked for what it has to send.
    pub(super) fn wake(&mut self, key: MemberKey) {
        if let Some(member) = self.members.get_mut(key.0) {
            set_ready(&mut self.ready, key, member);
        }
    }

    /// Sets a participant's timer to what it waits for now, exactly.
    pub(super) fn rearm(&mut self, key: MemberKey) {
        if let Some(member) = self.members.get_mut(key.0) {
            let at = member.next_timeout(&self.config);
            self.timers.set(Wake::Member(key), &mut member.alarm, at);
        }
    }

    /// The same, but leaves a timer that is set to an earlier time: it is cheaper to wake once for
    /// nothing than to move the timer with every packet.
    pub(super) fn rearm_sooner(&mut self, key: MemberKey) {
        if let Some(member) = self.members.get_mut(key.0) {
            let at = member.next_timeout(&self.config);
            self.timers
                .set_sooner(Wake::Member(key), &mut member.alarm, at);
        }
    }
}

/// Puts a participant into the queue of those with something to send, once.
pub(super) fn set_ready(ready: &mut VecDeque<MemberKey>, key: MemberKey, member: &mut Member) {
    if !member.ready {
        member.ready = true;
        ready.push_back(key);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("accounting", &self.accounting())
            .finish_non_exhaustive()
    }
}
