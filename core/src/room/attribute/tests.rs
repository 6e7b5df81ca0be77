use alloc::format;
use alloc::vec::Vec;

use super::*;
use crate::room::arbitrary::{named, plain};
use crate::room::{ApplyError, Change, CloseReason, Replica, RoomUpdate, Version};

fn key(key: &str) -> AttributeKey {
    AttributeKey::new(key).unwrap()
}

fn value(value: &str) -> AttributeValue {
    AttributeValue::new(value).unwrap()
}

fn attribute(participant: &str, name: &str, text: &str) -> RoomUpdate {
    RoomUpdate::Attribute {
        participant: named(participant),
        key: key(name),
        value: value(text),
    }
}

fn apply<const N: usize, const A: usize>(
    state: &mut Replica<N, A>,
    update: &RoomUpdate,
) -> Result<Change, ApplyError> {
    state.apply(state.version().next(), update)
}

fn with<const A: usize>(participants: &[&str]) -> Replica<4, A> {
    let mut state = Replica::default();
    for name in participants {
        apply(&mut state, &RoomUpdate::Joined(plain(name))).unwrap();
    }
    state
}

/// Keys and values of a participant.
fn all<const A: usize>(state: &Replica<4, A>, participant: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let participant = named(participant);
    let attributes = state.attributes(&participant);
    let bytes = |(key, value): (&AttributeKey, &AttributeValue)| {
        (key.as_str().into(), value.as_bytes().into())
    };
    attributes.map(bytes).collect()
}

#[test]
fn a_value_has_at_most_64_bytes() {
    assert!(AttributeValue::new([7; 64]).is_ok());
    assert_eq!(AttributeValue::new([7; 65]), Err(ValueTooLong));
    assert_eq!(AttributeValue::new([0xff]).unwrap().as_str(), None);
    assert!(AttributeKey::new("seventeen-letters").is_err());
}

#[test]
fn setting_changing_and_removing_are_changes() {
    let mut state = with::<8>(&["a", "b"]);
    let cases = [
        (attribute("a", "hand", "up"), Change::Attribute),
        (attribute("a", "hand", "up"), Change::Nothing),
        (attribute("a", "hand", "down"), Change::Attribute),
        (attribute("a", "battery", "9"), Change::Attribute),
        (attribute("b", "hand", ""), Change::Nothing),
        (attribute("c", "hand", "up"), Change::Nothing),
    ];
    for (update, change) in cases {
        assert_eq!(apply(&mut state, &update), Ok(change), "{update:?}");
    }
    let expected = [("battery", "9"), ("hand", "down")].map(|(k, v)| (k.into(), v.into()));
    assert_eq!(all(&state, "a"), expected);
    assert_eq!(
        state.attribute(&named("a"), &key("hand")),
        Some(&value("down"))
    );
    let removed = apply(&mut state, &attribute("a", "hand", ""));
    assert_eq!(removed, Ok(Change::Attribute));
    assert_eq!(state.attribute(&named("a"), &key("hand")), None);
    assert!(all(&state, "b").is_empty() && all(&state, "c").is_empty());
}

#[test]
fn a_ninth_is_refused_and_changes_nothing() {
    let mut state = with::<20>(&["a"]);
    for number in 0..MAX_ATTRIBUTES {
        apply(&mut state, &attribute("a", &format!("k{number}"), "v")).unwrap();
    }
    let before = state.clone();
    let ninth = apply(&mut state, &attribute("a", "k9", "v"));
    assert_eq!(ninth, Err(ApplyError::Full));
    assert_eq!(state, before);
    let changed = apply(&mut state, &attribute("a", "k0", "w"));
    assert_eq!(changed, Ok(Change::Attribute));
}

#[test]
fn what_there_is_no_place_for_is_not_kept() {
    let mut none = with::<0>(&["a"]);
    assert_eq!(
        apply(&mut none, &attribute("a", "hand", "up")),
        Ok(Change::Nothing)
    );
    let mut one = with::<1>(&["a", "b"]);
    apply(&mut one, &attribute("a", "hand", "up")).unwrap();
    assert_eq!(
        apply(&mut one, &attribute("b", "hand", "up")),
        Ok(Change::Nothing)
    );
    assert_eq!(one.version(), Version(4), "not kept is not unseen");
    apply(&mut one, &attribute("a", "hand", "")).unwrap();
    assert_eq!(
        apply(&mut one, &attribute("b", "hand", "up")),
        Ok(Change::Attribute)
    );
}

#[test]
fn who_goes_takes_its_attributes_along() {
    let mut state = with::<8>(&["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        apply(&mut state, &attribute(name, "hand", "up")).unwrap();
    }
    let left = RoomUpdate::Left {
        participant: named("a"),
        reason: CloseReason::Left,
    };
    apply(&mut state, &left).unwrap();
    let hidden = RoomUpdate::Hidden {
        participant: named("c"),
    };
    apply(&mut state, &hidden).unwrap();
    for name in ["a", "c"] {
        apply(&mut state, &RoomUpdate::Joined(plain(name))).unwrap();
        assert!(all(&state, name).is_empty());
    }
    assert_eq!(all(&state, "b").len(), 1);
}

#[test]
fn a_snapshot_replaces_what_it_does_not_mention() {
    let mut state = with::<2>(&["a", "b"]);
    apply(&mut state, &attribute("a", "hand", "up")).unwrap();
    apply(&mut state, &attribute("b", "hand", "up")).unwrap();

    state.begin_snapshot(Version(9));
    let a = RoomUpdate::Joined(plain("a"));
    assert_eq!(state.apply(Version(9), &a), Ok(Change::Nothing));
    assert_eq!(all(&state, "a").len(), 1, "visible meanwhile");
    let role = attribute("a", "role", "host");
    assert_eq!(state.apply(Version(9), &role), Ok(Change::Attribute));
    assert!(all(&state, "a").len() == 1, "another one made room");
    let b = RoomUpdate::Joined(plain("b"));
    state.apply(Version(9), &b).unwrap();
    let mut gone = Vec::new();
    let ended = state.end_snapshot_with(Version(9), &mut |what| match what {
        Gone::Attribute(participant, key) => gone.push((participant, key)),
        Gone::Participant(id) => panic!("{id}"),
        Gone::Recording => panic!("there was none"),
    });
    ended.unwrap();
    assert_eq!(gone, [(named("b"), key("hand"))]);
    assert_eq!(all(&state, "a"), [("role".into(), "host".into())]);
    assert!(all(&state, "b").is_empty());
}
