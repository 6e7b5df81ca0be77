//! The state of a room, version by version.

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
        let is_same = of_the_room(&last.facts) == of_the_room(&facts);
        let state = State {
            since: now,
            version,
            changed: changed.collect(),
            room_changed: if is_same { last.room_changed } else { version },
            facts,
        };
        self.states.push_back(state);
    }

    /// Forgets all but the states of the last `kept`.
    pub(super) fn forget(&mut self, now: Instant, kept: Duration) {
        while (self.states.get(1)).is_some_and(|next| next.since + kept < now) {
            self.states.pop_front();
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The time of the room's last change.
    pub(super) fn changed(&self) -> Instant {
        self.last().since
    }

    pub(super) fn version(&self) -> Version {
        self.last().version
    }

    fn last(&self) -> &State {
        self.states.back().expect("there is always a state")
    }

    /// The differences between a replica at `version` and the room at that version, except for things that have
    /// changed since: it may be told of those later, or never. A replica that does not track all is told, after the
    /// changes and under the same version, which others to track and how many there are.
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
        let place = place.ok()?;
        let (room, last) = (&self.states.get(place)?.facts, self.last());
        let is_settled = last.room_changed <= version;
        if is_settled && of_the_room(replica) != of_the_room(room) {
            return Some(format!("is wrong about the room: {replica:#?}\n{room:#?}"));
        }
        let is_there = |state: &State| state.facts.participants.keys().eq(room.participants.keys());
        if tracks_all
            && self.states.range(place..).all(is_there)
            && (replica.participants.len(), replica.count) != (room.participants.len(), room.count)
        {
            return Some(format!("does not know everybody: {replica:#?}\n{room:#?}"));
        }
        let mut tracked = replica.participants.iter();
        let has_stayed = |id| {
            let changed = last.changed.get(id);
            changed.is_some_and(|changed| *changed <= version)
        };
        let is_wrong = |id, is| room.participants.get(id) != Some(is);
        let (id, is) = tracked.find(|(id, is)| has_stayed(*id) && is_wrong(*id, *is))?;
        let truth = room.participants.get(id);
        Some(format!("is wrong about {id}: {is:?}, not {truth:?}"))
    }

    /// The changes that a replica at `version` was not told of, `limit` after they happened.
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

/// What is told of the room as a whole, other than how many there are.
fn of_the_room(facts: &Facts) -> (&Option<ParticipantId>, &Option<ParticipantId>, bool) {
    (&facts.speaker, &facts.floor, facts.recorded)
}

#[cfg(test)]
mod tests {
    use parlour_core::room::{ConnectionState, DisplayName, Participant};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn id(name: &str) -> ParticipantId {
        ParticipantId::new(name).unwrap()
    }

    fn facts(names: &[&str]) -> Facts {
        let participant = |name: &&str| Participant::new(id(name), DisplayName::new(name).unwrap());
        let participants = names.iter().map(|name| (id(name), participant(name)));
        Facts {
            participants: participants.collect(),
            attributes: BTreeMap::new(),
            count: names.len() as u32,
            speaker: None,
            presenter: None,
            floor: None,
            recorded: false,
            complete: true,
        }
    }

    fn reconnecting(mut facts: Facts, name: &str) -> Facts {
        let participant = facts.participants.get_mut(&id(name)).unwrap();
        participant.connection = ConnectionState::Reconnecting;
        facts
    }

    /// Anna and Ben of a room of three, in which Ben, and then Carl, loses its connection.
    fn history() -> (History, Facts) {
        let mut history = History::new(at(0), Version(3), facts(&["anna", "ben", "carl"]));
        let ben = reconnecting(facts(&["anna", "ben", "carl"]), "ben");
        history.push(at(10), Version(4), ben.clone());
        history.push(at(20), Version(5), reconnecting(ben, "carl"));
        let part = Facts {
            count: 3,
            ..facts(&["anna", "ben"])
        };
        (history, part)
    }

    #[test]
    fn a_version_is_behind_if_what_concerns_it_was_not_told_in_time() {
        let (history, part) = history();
        assert_eq!(history.missed(Version(3), &part, at(29), LIMIT), None);
        let missed = history.missed(Version(3), &part, at(30), LIMIT).unwrap();
        assert_eq!(missed, "was not told of Version(4) of ben");
        let part = reconnecting(part, "ben");
        let missed = history.missed(Version(4), &part, at(99), LIMIT);
        assert_eq!(missed, None, "Carl does not concern it");
    }

    #[test]
    fn what_is_known_was_so_at_the_version_that_is_known() {
        let (history, part) = history();
        assert_eq!(history.disagreement(Version(3), &part, false), None);
        let wrong = history.disagreement(Version(4), &part, false).unwrap();
        assert!(wrong.starts_with("is wrong about ben"), "{wrong}");
        let wrong = history.disagreement(Version(3), &part, true).unwrap();
        assert!(wrong.starts_with("does not know everybody"), "{wrong}");
        let loud = Facts {
            speaker: Some(id("carl")),
            ..part
        };
        let wrong = history.disagreement(Version(3), &loud, false).unwrap();
        assert!(wrong.starts_with("is wrong about the room"), "{wrong}");
    }

    #[test]
    fn what_has_changed_since_may_be_unknown() {
        let (mut history, part) = history();
        history.push(at(30), Version(6), facts(&["anna", "ben", "carl"]));
        // Version 4 was not told, because version 6 undid it.
        assert_eq!(history.disagreement(Version(5), &part, false), None);
        let wrong = reconnecting(part, "anna");
        let wrong = history.disagreement(Version(5), &wrong, false).unwrap();
        assert!(wrong.starts_with("is wrong about anna"), "{wrong}");
    }

    #[test]
    fn who_has_left_is_neither_tracked_nor_counted() {
        let (mut history, part) = history();
        history.push(at(30), Version(6), facts(&["anna", "carl"]));
        let ben = reconnecting(part.clone(), "ben");
        assert_eq!(history.missed(Version(4), &ben, at(49), LIMIT), None);
        let missed = history.missed(Version(4), &ben, at(50), LIMIT).unwrap();
        assert_eq!(missed, "counts 3, not 2");
        let counted = Facts { count: 2, ..ben };
        let missed = history.missed(Version(4), &counted, at(50), LIMIT).unwrap();
        assert_eq!(missed, "was not told that ben left before Version(6)");
    }

    #[test]
    fn what_was_so_in_time_is_kept() {
        let (mut history, part) = history();
        history.forget(at(40), LIMIT);
        assert_eq!(
            history.disagreement(Version(3), &part, true),
            None,
            "forgotten"
        );
        let wrong = history.disagreement(Version(4), &part, false);
        assert!(wrong.is_some(), "still so 20 s ago");
    }
}
