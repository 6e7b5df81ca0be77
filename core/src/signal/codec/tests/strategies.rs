//! Arbitrary messages.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::room::{
    AttributeKey, AttributeValue, CloseReason, Codec, ConnectionState, DisplayName, Grants,
    MAX_STREAMS, Participant, ParticipantId, RoomUpdate, SessionId, Stream, StreamKey, StreamKind,
    Topic, Version,
};
use crate::signal::{
    Answer, Join, JoinRefusal, Joined, LossyDelivery, LossyRequest, MAX_BODY, MAX_TARGETS,
    MAX_TOKEN, Moderation, Operation, Outcome, ParticipantList, Publish, Recipients, Refusal,
    Request, RequestId, Resume, Secret, ServerMessage, StreamRef, SubscribePolicy, Targets,
};

fn participant_id() -> impl Strategy<Value = ParticipantId> {
    "[!-~]{1,36}".prop_map(|text| ParticipantId::new(&text).unwrap())
}

fn key() -> impl Strategy<Value = StreamKey> {
    "[!-~]{1,16}".prop_map(|text| StreamKey::new(&text).unwrap())
}

fn attribute_key() -> impl Strategy<Value = AttributeKey> {
    "[!-~]{1,16}".prop_map(|text| AttributeKey::new(&text).unwrap())
}

fn attribute_value() -> impl Strategy<Value = AttributeValue> {
    vec(any::<u8>(), 0..=AttributeValue::MAX_LEN)
        .prop_map(|bytes| AttributeValue::new(bytes).unwrap())
}

fn topic() -> impl Strategy<Value = Topic> {
    "[!-~]{0,24}".prop_map(|text| Topic::new(&text).unwrap())
}

fn name() -> impl Strategy<Value = DisplayName> {
    "\\PC{0,32}".prop_filter_map("too long", |text| DisplayName::new(&text).ok())
}

fn list() -> impl Strategy<Value = ParticipantList> {
    vec(participant_id(), 0..=MAX_TARGETS).prop_map(|ids| ParticipantList::of(ids).unwrap())
}

// Messages borrow; what a test lends them lives as long as the test program.

fn body() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..=MAX_BODY).prop_map(|body| &*body.leak())
}

fn token() -> impl Strategy<Value = &'static str> {
    "\\PC{0,900}".prop_map(|mut token| {
        while token.len() > MAX_TOKEN {
            token.pop();
        }
        &*token.leak()
    })
}

fn kind() -> impl Strategy<Value = StreamKind> {
    select(&[StreamKind::Audio, StreamKind::Video, StreamKind::Screen])
}

fn codec() -> impl Strategy<Value = Codec> {
    select(&[
        Codec::Opus,
        Codec::Pcmu,
        Codec::Pcma,
        Codec::Vp8,
        Codec::H264,
        Codec::Jpeg,
    ])
}

fn publish() -> impl Strategy<Value = Publish> {
    (key(), kind(), codec(), any::<bool>()).prop_map(|(key, kind, codec, muted)| Publish {
        key,
        kind,
        codec,
        muted,
    })
}

fn stream() -> impl Strategy<Value = Stream> {
    (publish(), any::<u32>()).prop_map(|(publish, ssrc)| Stream {
        key: publish.key,
        kind: publish.kind,
        codec: publish.codec,
        ssrc,
        muted: publish.muted,
    })
}

fn stream_ref() -> impl Strategy<Value = StreamRef> {
    (participant_id(), key()).prop_map(|(participant, key)| StreamRef { participant, key })
}

fn policy() -> impl Strategy<Value = SubscribePolicy> {
    select(&[
        SubscribePolicy::All,
        SubscribePolicy::None,
        SubscribePolicy::Mix,
        SubscribePolicy::MixPcmu,
    ])
}

fn moderation() -> impl Strategy<Value = Moderation> {
    select(&[
        Moderation::Kick,
        Moderation::Censor,
        Moderation::Uncensor,
        Moderation::Admit,
        Moderation::Deny,
    ])
}

fn targets() -> impl Strategy<Value = Targets> {
    prop_oneof![
        list().prop_map(|except| Targets::All { except }),
        list().prop_map(Targets::List),
    ]
}

fn recipients() -> impl Strategy<Value = Recipients> {
    prop_oneof![Just(Recipients::All), list().prop_map(Recipients::List)]
}

fn version() -> impl Strategy<Value = Version> {
    any::<u64>().prop_map(Version)
}

fn close_reason() -> impl Strategy<Value = CloseReason> {
    select(&[
        CloseReason::Left,
        CloseReason::Kicked,
        CloseReason::SessionEnded,
        CloseReason::Replaced,
        CloseReason::TokenExpired,
        CloseReason::RoomFull,
        CloseReason::ConnectionLost,
        CloseReason::ServerShutdown,
        CloseReason::ProtocolError,
        CloseReason::Denied,
        CloseReason::AloneTooLong,
        CloseReason::SessionTooLong,
    ])
}

fn refusal() -> impl Strategy<Value = Refusal> {
    select(&[
        Refusal::NotPermitted,
        Refusal::UnknownStream,
        Refusal::MessageTooLong,
        Refusal::TooManyAttributes,
    ])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done),
        any::<u32>().prop_map(|ssrc| Outcome::Published { ssrc }),
        any::<u16>().prop_map(|recipients| Outcome::Sent { recipients }),
        any::<u16>().prop_map(|participants| Outcome::Moderated { participants }),
    ]
}

fn participant() -> impl Strategy<Value = Participant> {
    let connection = select(&[ConnectionState::Connected, ConnectionState::Reconnecting]);
    let streams = vec(stream(), 0..=MAX_STREAMS);
    (participant_id(), name(), connection, any::<bool>(), streams).prop_map(
        |(id, name, connection, censored, streams)| Participant {
            id,
            name,
            connection,
            censored,
            streams: streams.into_iter().collect(),
        },
    )
}

fn update() -> impl Strategy<Value = RoomUpdate> {
    let state = select(&[ConnectionState::Connected, ConnectionState::Reconnecting]);
    prop_oneof![
        participant().prop_map(RoomUpdate::Joined),
        (participant_id(), close_reason()).prop_map(|(participant, reason)| RoomUpdate::Left {
            participant,
            reason
        }),
        participant_id().prop_map(|participant| RoomUpdate::Hidden { participant }),
        (participant_id(), state)
            .prop_map(|(participant, state)| RoomUpdate::Connection { participant, state }),
        (participant_id(), stream()).prop_map(|(participant, stream)| RoomUpdate::Published {
            participant,
            stream
        }),
        stream_ref().prop_map(|StreamRef { participant, key }| RoomUpdate::Unpublished {
            participant,
            key
        }),
        (stream_ref(), any::<bool>()).prop_map(|(stream, muted)| RoomUpdate::Muted {
            participant: stream.participant,
            key: stream.key,
            muted
        }),
        (participant_id(), any::<bool>()).prop_map(|(participant, censored)| {
            RoomUpdate::Censored {
                participant,
                censored,
            }
        }),
        option::of(participant_id()).prop_map(|participant| RoomUpdate::Speaker { participant }),
        option::of(participant_id()).prop_map(|holder| RoomUpdate::Floor { holder }),
        any::<u32>().prop_map(|participants| RoomUpdate::Count { participants }),
        any::<bool>().prop_map(|recorded| RoomUpdate::Recorded { recorded }),
        (participant_id(), attribute_key(), attribute_value()).prop_map(
            |(participant, key, value)| RoomUpdate::Attribute {
                participant,
                key,
                value
            }
        ),
    ]
}

fn joined() -> impl Strategy<Value = Joined> {
    let streams = vec(prop::result::maybe_err(any::<u32>(), refusal()), 0..=4);
    (
        (participant_id(), any::<[u8; 16]>(), grants(), any::<bool>()),
        (any::<u32>(), streams, option::of(refusal())),
        (any::<[u8; 24]>(), any::<[u8; 16]>(), any::<[u8; 2]>()),
    )
        .prop_map(
            |(
                (participant, session, grants, resumed),
                (slot_ssrc, streams, policy_refused),
                (resume_ticket, reset_token, [keepalive, grace]),
            )| Joined {
                participant,
                session: SessionId(session),
                grants,
                resumed,
                slot_ssrc,
                streams: streams.into_iter().collect(),
                policy_refused,
                resume_ticket: Secret(resume_ticket),
                reset_token: Secret(reset_token),
                keepalive,
                grace,
            },
        )
}

fn grants() -> impl Strategy<Value = Grants> {
    any::<u16>().prop_map(Grants::from_bits_truncate)
}

pub(super) fn request() -> impl Strategy<Value = Request<'static>> {
    let operation = prop_oneof![
        publish().prop_map(Operation::Publish),
        key().prop_map(|key| Operation::Unpublish { key }),
        (key(), any::<bool>()).prop_map(|(key, muted)| Operation::SetMuted { key, muted }),
        stream_ref().prop_map(Operation::Subscribe),
        stream_ref().prop_map(Operation::Unsubscribe),
        policy().prop_map(Operation::SetSubscribePolicy),
        option::of(stream_ref()).prop_map(Operation::Pin),
        (recipients(), topic(), body()).prop_map(|(to, topic, body)| Operation::Send {
            to,
            topic,
            body
        }),
        (moderation(), targets())
            .prop_map(|(action, targets)| Operation::Moderate { action, targets }),
        Just(Operation::EndSession),
        token().prop_map(|token| Operation::RefreshToken {
            token: Secret(token)
        }),
        Just(Operation::RequestFloor),
        Just(Operation::ReleaseFloor),
        Just(Operation::Leave),
        (
            option::of(participant_id()),
            attribute_key(),
            attribute_value()
        )
            .prop_map(|(participant, key, value)| Operation::SetAttribute {
                participant,
                key,
                value
            }),
    ];
    (any::<u16>(), operation).prop_map(|(id, operation)| Request {
        id: RequestId(id),
        operation,
    })
}

pub(super) fn server_message() -> impl Strategy<Value = ServerMessage<'static>> {
    let result = prop::result::maybe_err(outcome(), refusal());
    prop_oneof![
        version().prop_map(|version| ServerMessage::SnapshotBegin { version }),
        (version(), update())
            .prop_map(|(version, update)| ServerMessage::Update { version, update }),
        version().prop_map(|version| ServerMessage::SnapshotEnd { version }),
        (any::<u16>(), result).prop_map(|(request, result)| ServerMessage::Reply {
            request: RequestId(request),
            result
        }),
        (participant_id(), topic(), body())
            .prop_map(|(from, topic, body)| ServerMessage::Deliver { from, topic, body }),
        any::<u16>().prop_map(|messages| ServerMessage::Missed { messages }),
        joined().prop_map(ServerMessage::Admitted),
        (participant_id(), name())
            .prop_map(|(participant, name)| ServerMessage::Knock { participant, name }),
        participant_id().prop_map(|participant| ServerMessage::KnockEnded { participant }),
        any::<u16>().prop_map(|seconds| ServerMessage::TokenExpiring { seconds }),
        close_reason().prop_map(|reason| ServerMessage::Closed { reason }),
        grants().prop_map(|grants| ServerMessage::GrantsChanged { grants }),
        (version(), any::<u32>())
            .prop_map(|(version, waiting)| ServerMessage::Lobby { version, waiting }),
    ]
}

pub(super) fn join() -> impl Strategy<Value = Join<'static>> {
    let resume = (any::<[u8; 24]>(), option::of(version())).prop_map(|(ticket, version)| Resume {
        ticket: Secret(ticket),
        version,
    });
    let publish = vec(publish(), 0..=MAX_STREAMS);
    (
        token(),
        any::<u16>(),
        any::<u8>(),
        policy(),
        publish,
        option::of(resume),
    )
        .prop_map(
            |(token, participants, slots, policy, publish, resume)| Join {
                token: Secret(token),
                participants,
                slots,
                policy,
                publish: publish.into_iter().collect(),
                resume,
            },
        )
}

pub(super) fn answer() -> impl Strategy<Value = Answer> {
    let refusal = select(&[
        JoinRefusal::InvalidToken,
        JoinRefusal::TooOften,
        JoinRefusal::UnknownRoom,
        JoinRefusal::DuplicateParticipant,
    ]);
    prop_oneof![
        joined().prop_map(Answer::Joined),
        (any::<[u8; 16]>(), any::<u8>(), any::<[u8; 24]>()).prop_map(
            |(reset_token, keepalive, resume_ticket)| Answer::Waiting {
                reset_token: Secret(reset_token),
                keepalive,
                resume_ticket: Secret(resume_ticket),
            }
        ),
        refusal.prop_map(Answer::Refused),
        any::<([u8; 4], u16)>().prop_map(|address| Answer::Redirect(SocketAddr::from(address))),
        any::<([u8; 16], u16)>().prop_map(|address| Answer::Redirect(SocketAddr::from(address))),
        any::<u16>().prop_map(Answer::RedirectPort),
        any::<([u8; 4], [u8; 16], u16)>().prop_map(|(v4, v6, port)| {
            let v6 = SocketAddrV6::new(v6.into(), port, 0, 0);
            Answer::RedirectEither(SocketAddrV4::new(v4.into(), port), v6)
        }),
    ]
}

pub(super) fn lossy_request() -> impl Strategy<Value = LossyRequest<'static>> {
    (recipients(), topic(), body()).prop_map(|(to, topic, body)| LossyRequest { to, topic, body })
}

pub(super) fn lossy_delivery() -> impl Strategy<Value = LossyDelivery<'static>> {
    (participant_id(), topic(), body()).prop_map(|(from, topic, body)| LossyDelivery {
        from,
        topic,
        body,
    })
}

/// Bytes that no codec made, or that one made and something spoilt.
pub(super) fn bytes(encoded: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let spoilt = (
        encoded,
        // Small ones are flags, variants and lengths.
        vec(
            (
                any::<prop::sample::Index>(),
                prop_oneof![any::<u8>(), 0_u8..4],
            ),
            1..4,
        ),
    )
        .prop_map(|(mut bytes, changes)| {
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes
        });
    prop_oneof![1 => vec(any::<u8>(), 0..80), 1 => vec(0_u8..4, 0..80), 4 => spoilt]
}
