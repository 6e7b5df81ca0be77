//! What was so in a room, version by version.

use std::collections::{BTreeMap, VecDeque};

use parlour_core::room::{ParticipantId, Version};
use parlour_core::time::{Duration, Instant};

use crate::facts::Facts;

/// The latest states of a session.
#[derive(Debug)]
pub(super) struct History {
    started: Instant,
    /// Never empty; the oldest first.
    states: VecDeque<State>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    version: Version,
    facts: Facts,
    /// The version that last changed something about the room as a whole, other than how many there are.
    room_changed: Version,
    /// The same of each participant.
    changed: BTreeMap<ParticipantId, Version>,
}

impl History {
    pub(super) fn new(now: Instant, version: Version, facts: Facts) -> Self {
        let changed = facts.participants.keys();
        let state = State {
            since: now,
            version,
            room_changed: version,
            changed: changed.map(|id| (id.clone(), version)).collect(),
            facts,
        };
        Self {
            started: now,
            states: VecDeque::from([state]),
        }
    }

    /// The room has changed.
    pub(super) fn push(&mut self, now: Instant, version: Version, facts: Facts) {
        let last = self.last();
        let changed = facts.participants.iter().map(|(id, participant)| {
            let is_same = last.facts.participants.get(id) == Some(participant);
            let before = last.changed.get(id).filter(|_| is_same);
            (id.clone(), before.copied().unwrap_or(version))
        });
        let is_same = last.facts.speaker == facts.speaker && last.facts.floor == facts.floor;
        let state = State {
            since: now,
            version,
            changed: changed.collect(),
            room_changed: if is_same { last.room_changed } else { version },
            facts,
        };
        self.states.push_back(state);
    }

    /// Forgets all but what was so within the last `kept`.
    pub(super) fn forget(&mut self, now: Instant, kept: Duration) {
        while (self.states.get(1)).is_some_and(|next| next.since + kept < now) {
            self.states.pop_front();
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// When the room last changed.
    pub(super) fn changed(&self) -> Instant {
        self.last().since
    }

    pub(super) fn version(&self) -> Version {
        self.last().version
    }

    fn last(&self) -> &State {
        self.states.back().expect("there is always a state")
    }

    /// What a replica that has `version` says otherwise than the room did then. One that does not track all is told whom else
    /// to track, and how many there are, after what has changed, under the same version.
    pub(super) fn disagreement(
        &self,
        version: Version,
        replica: &Facts,
        tracks_all: bool,
    ) -> Option<String> {
        // Of several changes at once only the last is known here.
        let place = self
            .states
            .binary_search_by_key(&version, |state| state.version);
        let room = &self.states.get(place.ok()?)?.facts;
        if replica.speaker != room.speaker || replica.floor != room.floor {
            return Some(format!("is wrong about the room: {replica:#?}\n{room:#?}"));
        }
        if tracks_all
            && (replica.participants.len(), replica.count) != (room.participants.len(), room.count)
        {
            return Some(format!("does not know everybody: {replica:#?}\n{room:#?}"));
        }
        let mut tracked = replica.participants.iter();
        let (id, is) = tracked.find(|(id, is)| room.participants.get(*id) != Some(is))?;
        let truth = room.participants.get(id);
        Some(format!("is wrong about {id}: {is:?}, not {truth:?}"))
    }

    /// What a replica that has `version` was not told of, `limit` after it happened.
    pub(super) fn missed(
        &self,
        version: Version,
        replica: &Facts,
        now: Instant,
        limit: Duration,
    ) -> Option<String> {
        let is_due = |state: &&State| state.since + limit <= now;
        let due = self.states.iter().rev().find(is_due)?;
        let counts = self
            .states
            .iter()
            .rev()
            .take_while(|state| state.version >= due.version);
        if counts
            .clone()
            .all(|state| state.facts.count != replica.count)
        {
            return Some(format!("counts {}, not {}", replica.count, due.facts.count));
        }
        if version >= due.version {
            return None;
        }
        if version < due.room_changed {
            return Some(format!(
                "was not told of {:?} of the room",
                due.room_changed
            ));
        }
        let mut tracked = replica.participants.keys();
        tracked.find_map(|id| match due.changed.get(id) {
            None => Some(format!(
                "was not told that {id} left before {:?}",
                due.version
            )),
            Some(changed) if version < *changed => {
                Some(format!("was not told of {changed:?} of {id}"))
            }
            Some(_) => None,
        })
    }
}
