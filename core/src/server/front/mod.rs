//! Datagrams of strangers, and joins under way. This module knows of no room.

mod hello;
mod joins;
mod strangers;

pub(super) use joins::{HalfOpen, Stage, Welcomed};

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use joins::Joins;

use super::context::Context;
use super::keys::{JoinKey, PeerKey, RoomKey, Wake};
use super::limits::{EachBucket, SharedBucket, TokenBucket};
use super::path::Source;
use super::promise::Pending;
use super::{Config, Event, JoinId, Path};
use crate::room::{ParticipantId, RoomId};
use crate::secure::{CookieJar, KeyPair};
use crate::signal::{JoinRefusal, Resume};
use crate::time::Instant;

/// See the [module](self).
pub(super) struct Front {
    keys: KeyPair,
    cookies: CookieJar,
    resets: TokenBucket,
    /// Hellos without a proven address.
    hellos: TokenBucket,
    proven_hellos: SharedBucket<Source>,
    /// Admitted joins, per participant.
    admissions: EachBucket<(RoomId, ParticipantId)>,
    joins: Joins,
    stateless: VecDeque<(Path, strangers::Stateless)>,
    pub(super) shutting_down: bool,
}

impl Front {
    pub(super) fn new(config: &Config, keys: KeyPair, cookies: CookieJar, now: Instant) -> Self {
        Self {
            cookies,
            resets: TokenBucket::new(config.resets, now),
            hellos: TokenBucket::new(config.handshakes, now),
            proven_hellos: SharedBucket::new(config.proven_handshakes, now),
            keys,
            admissions: EachBucket::new(config.joins, now),
            joins: Joins::new(),
            stateless: VecDeque::new(),
            shutting_down: false,
        }
    }

    /// Whether a participant may join once more. A Hello takes nothing of that: anybody can repeat it.
    pub(super) fn may_join(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> bool {
        (self.admissions).has(now, &(room.clone(), participant.clone()))
    }

    /// Counts a join whose first packet has come, and was sealed with the keys of its Hello; whether there may be that many.
    pub(super) fn take_join(
        &mut self,
        now: Instant,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> bool {
        (self.admissions).take(now, (room.clone(), participant.clone()))
    }

    /// Joins under way.
    pub(super) fn half_open(&self) -> usize {
        self.joins.len()
    }

    /// Answers to strangers that wait to be sent.
    pub(super) fn stateless(&self) -> usize {
        self.stateless.len()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.stateless.is_empty() || self.joins.has_ready()
    }

    /// The join with this id, if it is not answered yet.
    pub(super) fn asked(&self, id: JoinId) -> Option<JoinKey> {
        self.joins.asked(id)
    }

    pub(super) fn keys(&self) -> Vec<JoinKey> {
        self.joins.keys()
    }

    pub(super) fn join_mut(&mut self, key: JoinKey) -> Option<&mut HalfOpen> {
        self.joins.get_mut(key)
    }

    /// Those that would continue the same participant, from before the join `id`.
    pub(super) fn resumes_before(&self, id: JoinId, peer: PeerKey) -> Vec<JoinKey> {
        self.joins.resumes_before(id, peer)
    }

    /// Those of the same participant that were let in before the join `id`.
    pub(super) fn older_of(
        &self,
        id: JoinId,
        room: RoomKey,
        participant: &ParticipantId,
    ) -> Vec<JoinKey> {
        self.joins.older_of(id, room, participant)
    }

    /// Earlier admitted joins of the same participant, if so many joins are under way that one address could have no
    /// place left. With more room they stay: repeating another participant's Hello does not hinder the true one.
    pub(super) fn superseded(
        &self,
        cx: &Context,
        id: JoinId,
        room: RoomKey,
        participant: &ParticipantId,
    ) -> Vec<JoinKey> {
        let config = &cx.config;
        if self.joins.len() < config.half_open_per_address.min(config.half_open) {
            return Vec::new();
        }
        self.older_of(id, room, participant)
    }

    /// The stay that a join wants to go on with.
    pub(super) fn resume_of(&mut self, key: JoinKey) -> Option<Resume> {
        match &self.joins.get_mut(key)?.stage {
            Stage::Asked { wish, .. } => wish.resume.clone(),
            Stage::Answered { .. } => None,
        }
    }

    /// Takes a join out, and its timer.
    pub(super) fn remove(&mut self, cx: &mut Context, key: JoinKey) -> Option<HalfOpen> {
        let mut join = self.joins.remove(key)?;
        cx.timers.set(Wake::Join(key), &mut join.alarm, None);
        Some(join)
    }

    /// Gives up a join under way. Returns its promises, for the caller to release.
    pub(super) fn forget(&mut self, cx: &mut Context, key: JoinKey) -> Option<Box<Pending>> {
        let join = self.remove(cx, key)?;
        match join.stage {
            Stage::Asked { .. } => {
                let id = join.id;
                cx.events.retract(
                    |event| matches!(event, Event::JoinRequested { join, .. } if *join == id),
                );
                None
            }
            Stage::Answered { pending, .. } => {
                let pending = pending?;
                cx.directory.ids.remove(&pending.ids.local);
                Some(pending)
            }
        }
    }

    /// Turns away a join that is not answered. If it was answered, returns its promises, for the caller to release.
    pub(super) fn refuse_or_forget(
        &mut self,
        cx: &mut Context,
        key: JoinKey,
    ) -> Option<Box<Pending>> {
        let join = self.joins.get_mut(key)?;
        if matches!(join.stage, Stage::Asked { .. }) {
            self.answer_refused(cx, key, JoinRefusal::Unavailable.into());
            return None;
        }
        self.forget(cx, key)
    }
}
