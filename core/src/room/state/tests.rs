use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::room::arbitrary::{any_update, ids, named, plain, stream};
use crate::room::{CloseReason, ConnectionState, MAX_ATTRIBUTES, StreamKey};

fn joined(name: &str) -> RoomUpdate {
    RoomUpdate::Joined(plain(name))
}

fn left(name: &str) -> RoomUpdate {
    RoomUpdate::Left {
        participant: named(name),
        reason: CloseReason::Kicked,
    }
}

fn published(name: &str, stream: Stream) -> RoomUpdate {
    RoomUpdate::Published {
        participant: named(name),
        stream,
    }
}

fn muted(name: &str, key: &str, muted: bool) -> RoomUpdate {
    RoomUpdate::Muted {
        participant: named(name),
        key: StreamKey::new(key).unwrap(),
        muted,
    }
}

const NEW: Result<Change, ApplyError> = Ok(Change::Joined { evicted: None });

/// Applies updates at versions counted up from the state's.
fn apply_all<const N: usize>(
    state: &mut Replica<N>,
    updates: impl IntoIterator<Item = RoomUpdate>,
) -> Vec<Result<Change, ApplyError>> {
    let updates = updates.into_iter();
    updates
        .map(|update| state.apply(state.version().next(), &update))
        .collect()
}

#[test]
fn each_change_is_named() {
    let mut state = Replica::<4>::default();
    let mic = stream("mic", StreamKind::Audio, 7);
    let mut louder = plain("b");
    louder.censored = true;
    louder.connection = ConnectionState::Reconnecting;
    let changes = apply_all(
        &mut state,
        [
            joined("b"),
            joined("a"),
            RoomUpdate::Connection {
                participant: named("a"),
                state: ConnectionState::Reconnecting,
            },
            published("a", mic.clone()),
            muted("a", "mic", true),
            RoomUpdate::Censored {
                participant: named("a"),
                censored: true,
            },
            RoomUpdate::Speaker {
                participant: Some(named("a")),
            },
            RoomUpdate::Floor {
                holder: Some(named("b")),
            },
            RoomUpdate::Count { participants: 9 },
            RoomUpdate::Joined(louder),
            RoomUpdate::Unpublished {
                participant: named("a"),
                key: mic.key,
            },
            left("a"),
            RoomUpdate::Hidden {
                participant: named("b"),
            },
        ],
    );
    assert_eq!(
        changes,
        [
            NEW,
            NEW,
            Ok(Change::Connection),
            Ok(Change::Published),
            Ok(Change::Muted),
            Ok(Change::Censored),
            Ok(Change::Speaker),
            Ok(Change::Floor),
            Ok(Change::Count),
            Ok(Change::Refreshed),
            Ok(Change::Unpublished),
            Ok(Change::Left),
            Ok(Change::Hidden),
        ]
    );
    assert_eq!(state.participants().len(), 0);
    assert_eq!(state.version(), Version(13));
}

#[test]
fn what_is_not_tracked_is_skipped() {
    let mut state = Replica::<4>::default();
    let before = state.clone();
    let updates = [
        left("a"),
        published("a", stream("mic", StreamKind::Audio, 7)),
        muted("a", "mic", true),
    ];
    let changes = apply_all(&mut state, updates);
    assert_eq!(changes, vec![Ok(Change::Nothing); 3]);
    assert_eq!(state.version(), Version(3), "skipped is not unseen");
    assert!(state.participants().eq(before.participants()));
}

#[test]
fn old_updates_are_refused() {
    let mut state = Replica::<4>::default();
    assert_eq!(state.apply(Version(5), &joined("a")), NEW);
    assert_eq!(
        state.apply(Version(4), &joined("b")),
        Err(ApplyError::Stale)
    );
    assert_eq!(state.apply(Version(5), &joined("b")), NEW);
}

#[test]
fn a_full_state_refuses_and_keeps_what_it_has() {
    let mut state = Replica::<2>::default();
    apply_all(&mut state, [joined("b"), joined("d")]);
    let before = state.clone();
    let full = Err(ApplyError::Full);
    assert_eq!(state.apply(Version(3), &joined("a")), full);
    assert_eq!(state.apply(Version(3), &joined("c")), full);
    assert_eq!(state.apply(Version(3), &joined("e")), full);
    assert_eq!(state, before);

    for (key, ssrc) in [("1", 1), ("2", 2), ("3", 3), ("4", 4)] {
        let update = published("b", stream(key, StreamKind::Audio, ssrc));
        assert_eq!(state.apply(Version(3), &update), Ok(Change::Published));
    }
    let before = state.clone();
    let fifth = published("b", stream("5", StreamKind::Audio, 5));
    assert_eq!(state.apply(Version(4), &fifth), full);
    assert_eq!(state, before);
}

#[test]
fn a_stream_published_anew_is_the_newest() {
    let mut state = Replica::<2>::default();
    let (old, other) = (
        stream("mic", StreamKind::Audio, 1),
        stream("file", StreamKind::Audio, 2),
    );
    apply_all(
        &mut state,
        [
            joined("a"),
            published("a", old.clone()),
            published("a", other),
        ],
    );
    let ssrcs = |state: &Replica<2>| -> Vec<u32> {
        let streams = &state.participant(&named("a")).unwrap().streams;
        streams.iter().map(|stream| stream.ssrc).collect()
    };
    let same = Stream { muted: true, ..old };
    apply_all(&mut state, [published("a", same.clone())]);
    assert_eq!(ssrcs(&state), [1, 2], "the same stream keeps its place");
    let new = Stream { ssrc: 3, ..same };
    apply_all(&mut state, [published("a", new)]);
    assert_eq!(ssrcs(&state), [2, 3]);
    assert!(state.find_stream(1).is_none());
    let (publisher, found) = state.find_stream(3).unwrap();
    assert_eq!(publisher.id, named("a"));
    assert_eq!(found.key.as_str(), "mic");
}

#[test]
fn the_presenter_shares_the_newest_screen_that_is_not_muted() {
    let mut state = Replica::<4>::default();
    let changes = [
        joined("a"),
        joined("b"),
        published("a", stream("s", StreamKind::Screen, 20)),
        published("a", stream("mic", StreamKind::Audio, 40)),
        published("b", stream("s", StreamKind::Screen, 30)),
    ];
    apply_all(&mut state, changes);
    assert_eq!(state.active_presenter(), Some(&named("b")));
    apply_all(&mut state, [muted("b", "s", true)]);
    assert_eq!(state.active_presenter(), Some(&named("a")));
    let censored = RoomUpdate::Censored {
        participant: named("a"),
        censored: true,
    };
    apply_all(&mut state, [censored]);
    assert_eq!(state.active_presenter(), Some(&named("a")), "only audio");
    apply_all(&mut state, [muted("b", "s", false)]);
    assert_eq!(state.active_presenter(), Some(&named("b")));
    apply_all(&mut state, [left("b"), left("a")]);
    assert_eq!(state.active_presenter(), None);
}

#[test]
fn the_main_participant_is_pinned_or_presents_or_speaks() {
    let mut state = Replica::<4>::default();
    let speaks = RoomUpdate::Speaker {
        participant: Some(named("a")),
    };
    apply_all(&mut state, [joined("a"), joined("b"), joined("c"), speaks]);
    assert_eq!(state.main_participant(None), Some(&named("a")));
    let screen = stream("s", StreamKind::Screen, 1);
    apply_all(&mut state, [published("b", screen)]);
    assert_eq!(state.main_participant(None), Some(&named("b")));
    assert_eq!(state.main_participant(Some(&named("c"))), Some(&named("c")));
    apply_all(&mut state, [left("c")]);
    assert_eq!(
        state.main_participant(Some(&named("c"))),
        Some(&named("b")),
        "whoever is gone cannot be shown"
    );
}

#[test]
fn a_snapshot_replaces_what_it_does_not_mention() {
    let mut state = Replica::<4>::default();
    assert_eq!(state.version_for_resume(), None, "nothing came yet");
    apply_all(&mut state, [joined("a"), joined("b"), joined("c")]);
    apply_all(&mut state, [RoomUpdate::Count { participants: 90 }]);
    assert_eq!(state.participant_count(), 90);

    state.begin_snapshot(Version(10));
    assert_eq!(state.participant_count(), 3, "to be told again");
    assert_eq!(state.version_for_resume(), None);
    assert_eq!(
        state.apply(Version(10), &joined("b")),
        Ok(Change::Nothing),
        "as it was"
    );
    assert_eq!(state.apply(Version(11), &joined("d")), NEW);
    assert_eq!(state.participants().len(), 4, "nobody is hidden meanwhile");

    let mut gone = Vec::new();
    assert_eq!(
        state.end_snapshot(Version(9), |id| gone.push(id)),
        Err(ApplyError::Stale)
    );
    assert!(gone.is_empty() && !state.is_complete());
    assert_eq!(state.end_snapshot(Version(11), |id| gone.push(id)), Ok(()));
    assert_eq!(gone, [named("a"), named("c")]);
    assert_eq!(ids(state.participants()), [named("b"), named("d")]);
    assert_eq!(state.version_for_resume(), Some(Version(11)));
    assert_eq!(
        state.end_snapshot(Version(11), |_| ()),
        Err(ApplyError::NoSnapshot)
    );
}

#[test]
fn a_snapshot_that_begins_again_forgets_the_first() {
    let mut state = Replica::<4>::default();
    state.begin_snapshot(Version(3));
    state.apply(Version(3), &joined("a")).unwrap();
    state.begin_snapshot(Version(8));
    state.apply(Version(8), &joined("b")).unwrap();
    let mut gone = Vec::new();
    state.end_snapshot(Version(8), |id| gone.push(id)).unwrap();
    assert_eq!(gone, [named("a")]);
}

#[test]
fn in_a_full_state_a_snapshot_evicts_the_unmentioned() {
    let mut state = Replica::<3>::default();
    apply_all(&mut state, [joined("a"), joined("m"), joined("z")]);
    state.begin_snapshot(Version(3));
    state.apply(Version(3), &joined("a")).unwrap();
    let mut evicted = Vec::new();
    for new in ["b", "y"] {
        match state.apply(Version(3), &joined(new)).unwrap() {
            Change::Joined { evicted: who } => evicted.extend(who),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(evicted, [named("m"), named("z")]);
    let before = state.clone();
    assert_eq!(state.apply(Version(3), &joined("c")), Err(ApplyError::Full));
    assert_eq!(state, before);
    state.end_snapshot(Version(3), |id| panic!("{id}")).unwrap();
    assert_eq!(
        ids(state.participants()),
        [named("a"), named("b"), named("y")]
    );
}

#[derive(Debug, Clone)]
enum Input {
    Update(u64, RoomUpdate),
    Begin(u64),
    End(u64),
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        12 => (0..3_u64, any_update()).prop_map(|(v, update)| Input::Update(v, update)),
        1 => (0..3_u64).prop_map(Input::Begin),
        1 => (0..3_u64).prop_map(Input::End),
    ]
}

proptest! {
    /// For any input in any order: the list stays sorted, errors change nothing, the same
    /// fact again is no change, and the reported changes are all that happens to the list.
    #[test]
    fn the_reducer_keeps_its_promises(inputs in prop::collection::vec(any_input(), 0..60)) {
        let mut state = Replica::<5>::default();
        let mut shown = BTreeMap::new();
        for input in inputs {
            let before = state.clone();
            // Around the present version: behind it, at it, after it.
            let version = |offset: u64| Version((before.version().0 + offset).saturating_sub(1));
            let mut failed = false;
            match input {
                Input::Begin(offset) => state.begin_snapshot(version(offset)),
                Input::End(offset) => {
                    let ended = state.end_snapshot(version(offset), |id| {
                        assert!(shown.remove(&id).is_some());
                    });
                    failed = ended.is_err();
                }
                Input::Update(offset, update) => match state.apply(version(offset), &update) {
                    Err(_) => failed = true,
                    Ok(change) => {
                        let again = state.clone();
                        prop_assert_eq!(
                            state.apply(version(offset), &update),
                            Ok(Change::Nothing)
                        );
                        prop_assert_eq!(&state, &again);
                        let id = update.participant().cloned();
                        match change {
                            Change::Joined { evicted } => {
                                if let Some(id) = evicted {
                                    prop_assert!(shown.remove(&id).is_some());
                                }
                                prop_assert!(shown.insert(id.unwrap(), ()).is_none());
                            }
                            Change::Left | Change::Hidden => {
                                prop_assert!(shown.remove(&id.unwrap()).is_some());
                            }
                            Change::Nothing => {
                                prop_assert!(state.participants().eq(before.participants()));
                            }
                            _ => {}
                        }
                    }
                },
            }
            if failed {
                prop_assert_eq!(&state, &before);
            }
            let attributes = state.roster.attributes();
            let place = |known: &attribute::Attribute| (known.participant.clone(), known.key.clone());
            prop_assert!(attributes.is_sorted_by(|a, b| place(a) < place(b)));
            for known in attributes {
                prop_assert!(state.participant(&known.participant).is_some());
                prop_assert!(!known.value.is_empty());
                prop_assert!(state.attributes(&known.participant).len() <= MAX_ATTRIBUTES);
            }
            let shown: Vec<_> = shown.keys().cloned().collect();
            prop_assert_eq!(ids(state.participants()), shown);
        }
    }
}
