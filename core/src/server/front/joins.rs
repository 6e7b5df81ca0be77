//! Joins under way: from Hello to the first Data packet.
//!
//! ```text
//!  Hello ─► Asked ─ admit, refuse, redirect ─► Answered ─ first Data ─► a participant
//!             │                                  │
//!             └───────── join_timeout ───────────┴─► forgotten
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque, btree_map};
use alloc::vec::Vec;

use slab::Slab;

use crate::room::ParticipantId;
use crate::secure::ResponderHandshake;
use crate::server::keys::{JoinKey, PeerKey, RoomKey};
use crate::server::member::Reach;
use crate::server::path::Source;
use crate::server::promise::{Entry, Pending, Wish};
use crate::server::timers::Alarm;
use crate::server::{JoinId, Path};
use crate::time::Instant;
use crate::wire::ConnectionId;

/// Distinguishes a repeated Hello from a new one.
pub(crate) type HelloId = (Path, ConnectionId, [u8; 32]);

/// One join under way.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) id: JoinId,
    pub(crate) hello: HelloId,
    pub(crate) reach: Reach,
    /// Whether the Hello brought a cookie, or came over a stream.
    is_proven: bool,
    pub(crate) alarm: Alarm,
    pub(crate) stage: Stage,
    /// Whether the Welcome is to be sent.
    pub(crate) ready: bool,
    pub(crate) welcomed: Welcomed,
}

impl HalfOpen {
    pub(crate) fn client_id(&self) -> ConnectionId {
        self.hello.1
    }
}

/// The time when the Welcome was sent. If it was sent once, the answer to it gives the round-trip time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Welcomed {
    Never,
    Once(Instant),
    Repeatedly,
}

#[derive(Debug)]
pub(crate) enum Stage {
    /// The embedder is asked.
    Asked {
        handshake: Box<ResponderHandshake>,
        wish: Box<Wish>,
    },
    /// The Welcome is made; with the association that it offers, unless it is a refusal.
    Answered {
        welcome: Box<[u8]>,
        pending: Option<Box<Pending>>,
    },
}

/// All joins under way, found by their Hello, id or source.
#[derive(Debug)]
pub(crate) struct Joins {
    slab: Slab<HalfOpen>,
    by_hello: BTreeMap<HelloId, JoinKey>,
    by_id: BTreeMap<JoinId, JoinKey>,
    by_source: BTreeMap<Source, FromSource>,
    /// Those that were turned away and told so. They are kept only to be told again.
    refused: BTreeSet<JoinId>,
    next_id: u64,
    ready: VecDeque<JoinKey>,
}

/// Joins under way from one source.
#[derive(Debug, Default)]
struct FromSource {
    all: usize,
    /// Those whose Hello proved its address.
    proven: usize,
    /// Those of the proven that were turned away and told so.
    refused: BTreeSet<JoinId>,
}

impl Joins {
    pub(crate) const fn new() -> Self {
        Self {
            slab: Slab::new(),
            by_hello: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_source: BTreeMap::new(),
            refused: BTreeSet::new(),
            next_id: 0,
            ready: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn insert(
        &mut self,
        hello: HelloId,
        reach: Reach,
        is_proven: bool,
        stage: Stage,
    ) -> (JoinKey, JoinId) {
        let id = JoinId(self.next_id);
        self.next_id += 1;
        let key = JoinKey(self.slab.insert(HalfOpen {
            id,
            hello,
            reach,
            is_proven,
            alarm: Alarm::default(),
            stage,
            ready: false,
            welcomed: Welcomed::Never,
        }));
        self.by_hello.insert(hello, key);
        self.by_id.insert(id, key);
        let source = self.by_source.entry(hello.0.source()).or_default();
        source.all += 1;
        source.proven += usize::from(is_proven);
        (key, id)
    }

    pub(crate) fn remove(&mut self, key: JoinKey) -> Option<HalfOpen> {
        let join = self.slab.try_remove(key.0)?;
        self.by_hello.remove(&join.hello);
        self.by_id.remove(&join.id);
        self.refused.remove(&join.id);
        if let btree_map::Entry::Occupied(mut source) = self.by_source.entry(join.hello.0.source())
        {
            source.get_mut().all -= 1;
            source.get_mut().proven -= usize::from(join.is_proven);
            source.get_mut().refused.remove(&join.id);
            if source.get().all == 0 {
                source.remove();
            }
        }
        if join.ready {
            self.ready.retain(|ready| *ready != key);
        }
        Some(join)
    }

    /// The number of joins from there.
    pub(crate) fn count_from(&self, source: Source) -> usize {
        self.by_source.get(&source).map_or(0, |from| from.all)
    }

    /// The number of these that proved their address.
    pub(crate) fn count_proven_from(&self, source: Source) -> usize {
        self.by_source.get(&source).map_or(0, |from| from.proven)
    }

    pub(crate) fn get_mut(&mut self, key: JoinKey) -> Option<&mut HalfOpen> {
        self.slab.get_mut(key.0)
    }

    pub(crate) fn find(&self, hello: &HelloId) -> Option<JoinKey> {
        self.by_hello.get(hello).copied()
    }

    /// The join with this id, if it is not answered yet.
    pub(crate) fn asked(&self, id: JoinId) -> Option<JoinKey> {
        let key = *self.by_id.get(&id)?;
        let join = self.slab.get(key.0)?;
        matches!(join.stage, Stage::Asked { .. }).then_some(key)
    }

    pub(crate) fn keys(&self) -> Vec<JoinKey> {
        self.slab.iter().map(|(key, _)| JoinKey(key)).collect()
    }

    /// The oldest that was answered with a refusal or a redirect, and has been sent that.
    pub(crate) fn oldest_refused(&self) -> Option<JoinKey> {
        self.by_id.get(self.refused.first()?).copied()
    }

    /// The same, of those that proved that they are from there.
    pub(crate) fn oldest_refused_from(&self, source: Source) -> Option<JoinKey> {
        let from = self.by_source.get(&source)?;
        self.by_id.get(from.refused.first()?).copied()
    }

    /// Those of the same participant that were let in before the join `id`.
    pub(crate) fn older_of(
        &self,
        id: JoinId,
        room: RoomKey,
        participant: &ParticipantId,
    ) -> Vec<JoinKey> {
        let is_its =
            |pending: &Pending| pending.room == room && pending.participant == *participant;
        self.before(id, is_its)
    }

    /// Those that would continue the same participant, from before the join `id`.
    pub(crate) fn resumes_before(&self, id: JoinId, peer: PeerKey) -> Vec<JoinKey> {
        let resumes = |pending: &Pending| matches!(pending.entry, Entry::Resume { peer: other, .. } if other == peer);
        self.before(id, resumes)
    }

    /// Those from before the join `id` that were promised something of which `is_meant` holds.
    fn before(&self, id: JoinId, is_meant: impl Fn(&Pending) -> bool) -> Vec<JoinKey> {
        let earlier = self.by_id.range(..id).map(|(_, key)| *key);
        let is_meant = |key: &JoinKey| match self.slab.get(key.0).map(|join| &join.stage) {
            Some(Stage::Answered {
                pending: Some(pending),
                ..
            }) => is_meant(pending),
            _ => false,
        };
        earlier.filter(is_meant).collect()
    }

    /// Has the Welcome sent.
    pub(crate) fn set_ready(&mut self, key: JoinKey) {
        if let Some(join) = self.slab.get_mut(key.0)
            && !join.ready
        {
            join.ready = true;
            self.ready.push_back(key);
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// One whose Welcome is to be sent.
    pub(crate) fn pop_ready(&mut self) -> Option<&mut HalfOpen> {
        let key = self.ready.pop_front()?;
        let join = self.slab.get_mut(key.0)?;
        join.ready = false;
        if matches!(join.stage, Stage::Answered { pending: None, .. }) {
            self.refused.insert(join.id);
            if join.is_proven
                && let Some(from) = self.by_source.get_mut(&join.hello.0.source())
            {
                from.refused.insert(join.id);
            }
        }
        Some(join)
    }
}
