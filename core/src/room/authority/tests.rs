use super::*;
use crate::room::arbitrary::{named, plain, stream};
use crate::room::{CloseReason, MAX_STREAMS, ParticipantId, StreamKey, StreamKind};

use alloc::vec::Vec;
use alloc::{format, vec};

fn room(names: &[&str]) -> Authority {
    let mut authority = Authority::new(3, 8);
    for name in names {
        authority.change(RoomUpdate::Joined(plain(name))).unwrap();
    }
    authority
}

fn speaks(who: Option<ParticipantId>) -> RoomUpdate {
    RoomUpdate::Speaker { participant: who }
}

#[test]
fn who_leaves_speaks_and_holds_no_more() {
    let mut authority = room(&["a", "b"]);
    let holder = Some(named("a"));
    authority.change(speaks(holder.clone())).unwrap();
    authority.change(RoomUpdate::Floor { holder }).unwrap();
    let before = authority.state().version();
    let left = RoomUpdate::Left {
        participant: named("a"),
        reason: CloseReason::Left,
    };
    authority.change(left.clone()).unwrap();
    assert_eq!(authority.state().active_speaker(), None);
    assert_eq!(authority.state().floor(), None);
    let changes = authority.since(before).unwrap().map(|(_, update)| update);
    let nobody = [speaks(None), RoomUpdate::Floor { holder: None }, left];
    assert!(changes.eq(&nobody));
}

#[test]
fn impossible_changes_change_nothing() {
    let mut authority = room(&["a", "b", "c"]);
    let publish = |key: usize| RoomUpdate::Published {
        participant: named("a"),
        stream: stream(&format!("k{key}"), StreamKind::Audio, 1),
    };
    for key in 0..MAX_STREAMS {
        authority.change(publish(key)).unwrap();
    }
    let before = authority.state().clone();
    for (update, error) in [
        (RoomUpdate::Joined(plain("d")), ChangeError::RoomFull),
        (publish(MAX_STREAMS), ChangeError::TooManyStreams),
        (speaks(Some(named("d"))), ChangeError::UnknownParticipant),
        (
            RoomUpdate::Floor {
                holder: Some(named("d")),
            },
            ChangeError::UnknownParticipant,
        ),
        (
            RoomUpdate::Censored {
                participant: named("d"),
                censored: true,
            },
            ChangeError::UnknownParticipant,
        ),
        (
            RoomUpdate::Hidden {
                participant: named("a"),
            },
            ChangeError::NotOfTheRoom,
        ),
        (
            RoomUpdate::Count { participants: 3 },
            ChangeError::NotOfTheRoom,
        ),
    ] {
        assert_eq!(authority.change(update), Err(error));
    }
    assert_eq!(*authority.state(), before);
    let known = RoomUpdate::Joined(plain("a"));
    assert!(authority.change(known).is_ok(), "a full room knows its own");
}

#[test]
fn the_log_forgets_the_oldest() {
    let mut authority = room(&["a"]);
    for n in 0..10 {
        let update = RoomUpdate::Published {
            participant: named("a"),
            stream: stream("mic", StreamKind::Audio, n),
        };
        authority.change(update).unwrap();
        let key = StreamKey::new("mic").unwrap();
        let participant = named("a");
        let gone = RoomUpdate::Unpublished { participant, key };
        authority.change(gone).unwrap();
    }
    let head = authority.state().version();
    assert_eq!(head, Version(21));
    let versions = |since| {
        let changes = authority.since(Version(since))?;
        Some(changes.map(|(version, _)| version.0).collect::<Vec<_>>())
    };
    // Eight ends of what is gone.
    assert_eq!(versions(4), None);
    assert_eq!(versions(5), Some(vec![7, 9, 11, 13, 15, 17, 19, 21]));
    assert_eq!(versions(6), versions(5));
    assert_eq!(versions(21), Some(vec![]));
    assert_eq!(versions(22), None, "yet to come");
}

#[test]
fn the_log_has_the_last_change_of_each_fact() {
    let mut authority = room(&["a", "b"]);
    let muted = |muted| RoomUpdate::Muted {
        participant: named("a"),
        key: StreamKey::new("mic").unwrap(),
        muted,
    };
    authority
        .change(RoomUpdate::Published {
            participant: named("a"),
            stream: stream("mic", StreamKind::Audio, 1),
        })
        .unwrap();
    let before = authority.state().version();
    for n in 0..100 {
        authority.change(muted(n % 2 == 0)).unwrap();
        let speaker = [None, Some(named("a")), Some(named("b"))][n % 3].clone();
        authority.change(speaks(speaker)).unwrap();
    }
    let changes = authority.since(before).unwrap().map(|(_, update)| update);
    assert!(changes.eq(&[muted(false), speaks(None)]));
}
