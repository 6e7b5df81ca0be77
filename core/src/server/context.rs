//! The shared parts of the server, lent to each operation: the time, the limits, the timers, the queues.

use alloc::collections::{BTreeMap, VecDeque};

use rand_core::RngCore;

use super::directory::Directory;
use super::ended::Ended;
use super::events::Events;
use super::keys::{Owner, PeerKey, Wake};
use super::limits::TokenBucket;
use super::member::{Association, Departing, Refresh};
use super::overload::Overload;
use super::pool::Pool;
use super::ssrcs::Ssrcs;
use super::tap::Taps;
use super::timers::Timers;
use super::{Config, Event, Path, Refused, Statistics};
use crate::room::SessionId;
use crate::secure::{Generator, KeyPair, ResetKey, ResumeTicket};
use crate::signal::Secret;
use crate::time::Instant;
use crate::wire::ConnectionId;

/// See the [module](self).
pub(super) struct Context {
    pub(super) config: Config,
    /// The latest time that the embedder told.
    pub(super) now: Instant,
    pub(super) rng: Generator,
    reset_key: ResetKey,
    ssrcs: Ssrcs,
    pub(super) directory: Directory,
    /// The associations being closed.
    pub(super) leaving: BTreeMap<PeerKey, Departing>,
    pub(super) ended: Ended,
    pub(super) timers: Timers<Wake>,
    /// Those that may have something to send, each once as its `ready` says.
    pub(super) ready: VecDeque<PeerKey>,
    pub(super) events: Events,
    pub(super) taps: Taps,
    refusals: TokenBucket,
    pub(super) pool: Pool,
    /// Its buffers that are kept for receivers who lose packets.
    pub(super) kept: usize,
    pub(super) statistics: Statistics,
    pub(super) overload: Overload,
    /// How busy the embedder is, in percent of the time.
    pub(super) load: u8,
    /// Sessions that are mixed.
    #[cfg(feature = "opus-fullband")]
    pub(super) mixes: usize,
}

impl Context {
    pub(super) fn new(config: Config, keys: &KeyPair, now: Instant, mut rng: Generator) -> Self {
        Self {
            now,
            reset_key: ResetKey::derive(keys.secret(), config.instance),
            ssrcs: Ssrcs::new(&mut rng),
            directory: Directory::new(),
            leaving: BTreeMap::new(),
            ended: Ended::new(config.ended),
            timers: Timers::new(),
            ready: VecDeque::new(),
            events: Events::new(config.events),
            taps: Taps::default(),
            refusals: TokenBucket::new(config.refusals, now),
            pool: Pool::new(config.media_buffers.saturating_add(config.kept_pictures)),
            kept: 0,
            statistics: Statistics::default(),
            overload: Overload::default(),
            load: 0,
            #[cfg(feature = "opus-fullband")]
            mixes: 0,
            config,
            rng,
        }
    }

    /// Counts a join that is refused, and tells the embedder.
    pub(super) fn join_refused(&mut self, from: Path, refused: Refused) {
        self.statistics.joins_refused += 1;
        if self.refusals.take(self.now) {
            self.events.push(Event::JoinRefused { refused, from });
        }
    }

    /// `count` consecutive SSRCs, by the first of them.
    pub(super) fn allocate_ssrcs(&mut self, count: u32) -> u32 {
        self.ssrcs.allocate(count, &mut self.rng)
    }

    pub(super) fn random_session_id(&mut self) -> SessionId {
        let mut id = SessionId([0; 16]);
        self.rng.fill_bytes(&mut id.0);
        id
    }

    /// An unused connection id.
    pub(super) fn random_connection_id(&mut self) -> ConnectionId {
        loop {
            let id = ConnectionId(self.rng.next_u32());
            if !self.directory.ids.contains_key(&id) {
                return id;
            }
        }
    }

    /// A ticket with a handle that no other has.
    pub(super) fn new_ticket(&mut self) -> ResumeTicket {
        let mut handle = self.rng.next_u64();
        while self.directory.tickets.contains_key(&handle) {
            handle = self.rng.next_u64();
        }
        ResumeTicket::generate(handle, &mut self.rng)
    }

    pub(super) fn reset_token(&self, local: ConnectionId) -> Secret<[u8; 16]> {
        Secret(*self.reset_key.token(local).expose_bytes())
    }

    /// Whether participants of a session, already mixed or not, may ask for a mix.
    #[cfg(feature = "opus-fullband")]
    pub(super) fn can_mix(&self, is_mixed: bool) -> bool {
        let limit = self.config.mix.map_or(0, |config| config.sessions);
        // Joins under way may take it a little beyond.
        self.config.mix.is_some() && (is_mixed || self.mixes < limit)
    }

    /// Without an encoder there is no mix.
    #[cfg(not(feature = "opus-fullband"))]
    pub(super) const fn can_mix(&self, _is_mixed: bool) -> bool {
        false
    }

    /// Schedules a participant to be asked for its outgoing datagrams.
    pub(super) fn wake(&mut self, association: &mut Association) {
        if !association.ready {
            association.ready = true;
            self.ready.push_back(association.key);
        }
    }

    /// Wakes a participant at `at` and at no other time.
    pub(super) fn rearm(&mut self, association: &mut Association, at: Option<Instant>) {
        let wake = Wake::Peer(association.key);
        self.timers.set(wake, &mut association.alarm, at);
    }

    /// The same, but leaves a timer that is set to an earlier time: it is cheaper to wake once for
    /// nothing than to move the timer with every packet.
    pub(super) fn rearm_sooner(&mut self, association: &mut Association, at: Option<Instant>) {
        let wake = Wake::Peer(association.key);
        self.timers.set_sooner(wake, &mut association.alarm, at);
    }

    /// Takes in that a participant is at another address, which has yet to be proven.
    pub(super) fn roamed(&mut self, association: &mut Association) {
        self.statistics.roams += 1;
        association.validate_path(self.rng.next_u32());
    }

    /// Former keys open nothing any more: their id is free.
    pub(super) fn forget_former_id(&mut self, association: &mut Association) {
        if association.link.former_id().is_none()
            && let Some(former) = association.former_id.take()
        {
            self.directory.ids.remove(&former);
        }
    }

    /// Withdraws a question to the embedder whose asker is gone.
    pub(super) fn retract_refresh(&mut self, refresh: &Refresh) {
        self.directory.refreshes.remove(&refresh.id);
        self.events.retract(
            |event| matches!(event, Event::RefreshRequested { refresh: asked, .. } if *asked == refresh.id),
        );
    }

    /// Counts media that was dropped because it had waited, or would have, for too long.
    pub(super) fn count_late(&mut self, late: u64) {
        self.statistics.media_late += late;
        if let Some(late) = self.overload.count(self.now, late) {
            self.events.push(Event::Overloaded { late });
        }
    }

    /// Forgets an association whose holder is nowhere any more.
    pub(super) fn forget(&mut self, mut association: Association) {
        let key = association.key;
        self.rearm(&mut association, None);
        if association.ready {
            self.ready.retain(|ready| *ready != key);
        }
        let ids = [Some(association.link.ids().local), association.former_id];
        for id in ids.into_iter().flatten() {
            if self.directory.ids.get(&id) == Some(&Owner::Peer(key)) {
                self.directory.ids.remove(&id);
            }
        }
        self.directory.remove(key);
    }
}
