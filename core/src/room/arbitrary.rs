//! Rooms for property tests: few names and few SSRCs, so that they often meet.

use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::{
    AttributeKey, AttributeValue, CloseReason, Codec, ConnectionState, DisplayName, MAX_STREAMS,
    Participant, ParticipantId, RoomUpdate, Stream, StreamKey, StreamKind,
};

pub(super) fn named(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

/// A participant `name` that publishes nothing.
pub(super) fn plain(name: &str) -> Participant {
    Participant::new(named(name), DisplayName::new("").unwrap())
}

pub(super) fn stream(key: &str, kind: StreamKind, ssrc: u32) -> Stream {
    Stream {
        key: StreamKey::new(key).unwrap(),
        kind,
        codec: Codec::Opus,
        ssrc,
        muted: false,
    }
}

/// One of ten ids.
pub(super) fn any_id() -> impl Strategy<Value = ParticipantId> {
    (0..10_u8).prop_map(|n| named(&format!("p{n}")))
}

/// One of more keys than a participant may use at a time.
fn any_key() -> impl Strategy<Value = StreamKey> {
    (0..=MAX_STREAMS).prop_map(|n| StreamKey::new(&format!("k{n}")).unwrap())
}

fn any_stream() -> impl Strategy<Value = Stream> {
    let kind = prop_oneof![Just(StreamKind::Audio), Just(StreamKind::Screen)];
    (any_key(), kind, 0..12_u32, any::<bool>()).prop_map(|(key, kind, ssrc, muted)| Stream {
        key,
        kind,
        codec: Codec::Opus,
        ssrc,
        muted,
    })
}

/// One of three, so that they are often changed and removed.
fn any_attribute() -> impl Strategy<Value = AttributeKey> {
    (0..3_u8).prop_map(|n| AttributeKey::new(&format!("a{n}")).unwrap())
}

/// None as often as any other.
fn any_value() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![Just(""), Just("one"), Just("two")]
        .prop_map(|value| AttributeValue::new(value).unwrap())
}

fn any_connection() -> impl Strategy<Value = ConnectionState> {
    prop_oneof![
        Just(ConnectionState::Connected),
        Just(ConnectionState::Reconnecting)
    ]
}

pub(super) fn any_participant() -> impl Strategy<Value = Participant> {
    let streams = proptest::collection::vec(any_stream(), 0..=2);
    (any_id(), any_connection(), any::<bool>(), streams).prop_map(
        |(id, connection, censored, streams)| {
            let mut participant = Participant::new(id, DisplayName::new("").unwrap());
            participant.connection = connection;
            participant.censored = censored;
            for stream in streams {
                if participant.stream(&stream.key).is_none() {
                    participant.streams.push(stream).unwrap();
                }
            }
            participant
        },
    )
}

/// A change as it may happen in a room, possible there or not.
pub(super) fn any_change() -> impl Strategy<Value = RoomUpdate> {
    prop_oneof![
        4 => any_participant().prop_map(RoomUpdate::Joined),
        2 => any_id().prop_map(|participant| RoomUpdate::Left {
            participant,
            reason: CloseReason::Left,
        }),
        1 => (any_id(), any_connection())
            .prop_map(|(participant, state)| RoomUpdate::Connection { participant, state }),
        3 => (any_id(), any_stream())
            .prop_map(|(participant, stream)| RoomUpdate::Published { participant, stream }),
        1 => (any_id(), any_key())
            .prop_map(|(participant, key)| RoomUpdate::Unpublished { participant, key }),
        1 => (any_id(), any_key(), any::<bool>())
            .prop_map(|(participant, key, muted)| RoomUpdate::Muted { participant, key, muted }),
        1 => (any_id(), any::<bool>())
            .prop_map(|(participant, censored)| RoomUpdate::Censored { participant, censored }),
        2 => proptest::option::of(any_id())
            .prop_map(|participant| RoomUpdate::Speaker { participant }),
        1 => proptest::option::of(any_id()).prop_map(|holder| RoomUpdate::Floor { holder }),
        1 => any::<bool>().prop_map(|recorded| RoomUpdate::Recorded { recorded }),
        8 => (any_id(), any_attribute(), any_value())
            .prop_map(|(participant, key, value)| RoomUpdate::Attribute { participant, key, value }),
    ]
}

/// Anything that a receiver may be sent.
pub(crate) fn any_update() -> impl Strategy<Value = RoomUpdate> {
    prop_oneof![
        8 => any_change(),
        1 => any_id().prop_map(|participant| RoomUpdate::Hidden { participant }),
        1 => (0..20_u32).prop_map(|participants| RoomUpdate::Count { participants }),
    ]
}

pub(super) fn ids<'a>(
    participants: impl IntoIterator<Item = &'a Participant>,
) -> Vec<ParticipantId> {
    let ids = participants.into_iter().map(|p| p.id.clone());
    ids.collect()
}
