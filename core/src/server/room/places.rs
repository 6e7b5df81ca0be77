//! Places kept for joins under way.

use alloc::collections::BTreeMap;

use crate::room::ParticipantId;

/// For how many joins under way of each participant a place is kept, which they share.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<ParticipantId, u32>);

impl Places {
    /// Places of present participants, and of joins under way of other participants.
    pub(super) fn taken_by_others(
        &self,
        there: usize,
        is_there: impl Fn(&ParticipantId) -> bool,
        participant: &ParticipantId,
    ) -> usize {
        let arriving = self.0.keys().filter(|id| !is_there(id)).count();
        let own = is_there(participant) || self.0.contains_key(participant);
        (there + arriving).saturating_sub(usize::from(own))
    }

    pub(super) fn reserve(&mut self, participant: &ParticipantId) {
        *self.0.entry(participant.clone()).or_default() += 1;
    }

    pub(super) fn unreserve(&mut self, participant: &ParticipantId) {
        if let Some(count) = self.0.get_mut(participant) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(participant);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ParticipantId {
        ParticipantId::new(name).unwrap()
    }

    #[test]
    fn one_place_per_participant_however_many_joins() {
        let mut places = Places::default();
        let nobody = |_: &ParticipantId| false;
        places.reserve(&id("a"));
        places.reserve(&id("a"));
        places.reserve(&id("b"));
        assert_eq!(places.taken_by_others(0, nobody, &id("c")), 2);
        assert_eq!(places.taken_by_others(0, nobody, &id("a")), 1);

        let a_is_there = |other: &ParticipantId| *other == id("a");
        assert_eq!(places.taken_by_others(1, a_is_there, &id("c")), 2);
        places.unreserve(&id("a"));
        places.unreserve(&id("a"));
        assert_eq!(places.taken_by_others(1, a_is_there, &id("c")), 2);
        assert_eq!(places.taken_by_others(1, a_is_there, &id("a")), 1);
        places.unreserve(&id("b"));
        assert_eq!(places.taken_by_others(1, a_is_there, &id("c")), 1);
        assert!(places.is_empty());
    }
}
