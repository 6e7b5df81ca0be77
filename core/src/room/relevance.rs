//! Whom a receiver should know of if it cannot know all.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::{Authority, Growing, ParticipantId, RoomState, RoomUpdate, StreamKind};

/// How many recent speakers are remembered; beyond them, publishers matter whether they spoke or
/// not.
const RECENT_SPEAKERS: usize = 32;

/// The facts that make participants relevant to every receiver alike. They are updated with each change, so that no
/// view has to search a large room.
#[derive(Debug, Default)]
pub(super) struct Relevance {
    presenter: Option<ParticipantId>,
    /// Each once, the latest first.
    speakers: VecDeque<ParticipantId>,
    publishers: BTreeSet<ParticipantId>,
}

impl Relevance {
    /// Takes in `update`, which led to `state`.
    pub(super) fn note(&mut self, state: &RoomState<Growing>, update: &RoomUpdate) {
        if let RoomUpdate::Speaker {
            participant: Some(speaker),
        } = update
        {
            self.speakers.retain(|id| id != speaker);
            self.speakers.truncate(RECENT_SPEAKERS - 1);
            self.speakers.push_front(speaker.clone());
        }
        let Some(id) = update.participant() else {
            return;
        };
        match state.participant(id) {
            Some(participant) if !participant.streams.is_empty() => {
                self.publishers.insert(id.clone());
            }
            Some(_) => {
                self.publishers.remove(id);
            }
            None => {
                self.publishers.remove(id);
                self.speakers.retain(|speaker| speaker != id);
            }
        }
        // The presenter can only change if the change is about a screen, and finding it scans all participants.
        let is_of_screen = self.presenter.as_ref() == Some(id)
            || state.participant(id).is_some_and(|participant| {
                let mut streams = participant.streams.iter();
                streams.any(|stream| stream.kind == StreamKind::Screen)
            });
        if is_of_screen {
            self.presenter = state.active_presenter().cloned();
        }
    }
}

/// The `capacity` participants that matter most to `me`, the most important first:
///
/// 1. itself;
/// 2. those `wanted`, in the order given;
/// 3. the presenter;
/// 4. those who spoke lately, the latest first;
/// 5. publishers: those `tracked` already, then the others by id;
/// 6. all others: those `tracked` already, then the others by id.
///
/// So a change of speaker moves at most one participant in and one out, and only if the new
/// speaker was not among the latest; and among equals, whoever is tracked stays. Asked again with
/// what it gave as `tracked`, it gives the same participants.
pub(super) fn most_relevant<'a, 'w>(
    authority: &'a Authority,
    me: &ParticipantId,
    wanted: impl IntoIterator<Item = &'w ParticipantId>,
    tracked: &[ParticipantId],
    capacity: usize,
) -> Vec<&'a ParticipantId> {
    let state = authority.state();
    let relevance = authority.relevance();
    let find = |id: &ParticipantId| state.participant(id);
    let publishes = |id: &&ParticipantId| relevance.publishers.contains(*id);

    let ranked = find(me)
        .into_iter()
        .chain(wanted.into_iter().filter_map(find))
        .chain(relevance.presenter.iter().filter_map(find))
        .chain(relevance.speakers.iter().filter_map(find))
        .chain(tracked.iter().filter(publishes).filter_map(find))
        .chain(relevance.publishers.iter().filter_map(find))
        .chain(tracked.iter().filter_map(find))
        .chain(state.participants())
        .map(|participant| &participant.id);
    let mut chosen = Vec::new();
    let mut seen = BTreeSet::new();
    for id in ranked {
        if chosen.len() >= capacity {
            break;
        }
        // All are lent by the state, so one participant is at one place.
        if seen.insert(core::ptr::from_ref(id)) {
            chosen.push(id);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::room::CloseReason;
    use crate::room::arbitrary::{named, plain};

    fn after_speeches(names: &[&str]) -> Authority {
        let mut authority = Authority::new(100, 8);
        for name in names {
            let participant = Some(named(name));
            authority.change(RoomUpdate::Joined(plain(name))).unwrap();
            authority
                .change(RoomUpdate::Speaker { participant })
                .unwrap();
        }
        authority
    }

    #[test]
    fn so_many_speakers_are_remembered() {
        let names: Vec<_> = (0..40).map(|n| format!("p{n}")).collect();
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        let authority = after_speeches(&names);
        let latest = names.iter().rev().take(RECENT_SPEAKERS);
        let speakers = &authority.relevance().speakers;
        assert!(
            speakers
                .iter()
                .map(ParticipantId::as_str)
                .eq(latest.copied())
        );
    }

    #[test]
    fn who_comes_back_has_not_spoken() {
        let mut authority = after_speeches(&["b", "c"]);
        for update in [
            RoomUpdate::Joined(plain("a")),
            RoomUpdate::Left {
                participant: named("c"),
                reason: CloseReason::Left,
            },
            RoomUpdate::Joined(plain("c")),
        ] {
            authority.change(update).unwrap();
        }
        let relevant = most_relevant(&authority, &named("b"), [], &[], 2);
        assert_eq!(relevant, [&named("b"), &named("a")]);
    }
}
