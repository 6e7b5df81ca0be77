use super::*;
use crate::room::arbitrary::{named, plain, stream};
use crate::room::{CloseReason, MAX_STREAMS, ParticipantId, StreamKind};

use alloc::format;

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
        let speaker = (n % 2 == 0).then(|| named("a"));
        authority.change(speaks(speaker)).unwrap();
    }
    let head = authority.state().version();
    assert_eq!(head, Version(11));
    assert!(authority.since(Version(2)).is_none());
    let versions = authority.since(Version(3)).unwrap().map(|(v, _)| v.0);
    assert!(versions.eq(4..=11));
    assert_eq!(authority.since(head).unwrap().len(), 0);
    assert!(authority.since(head.next()).is_none(), "yet to come");
}
