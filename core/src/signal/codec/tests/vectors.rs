//! Every message with every value that matters, against `core/vectors`.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Debug;

use super::annotate::Annotated;
use super::*;
use crate::room::{
    AttributeKey, AttributeValue, CloseReason, Codec, ConnectionState, DisplayName, Grants,
    Participant, ParticipantId, RoomUpdate, SessionId, Stream, StreamKey, StreamKind, Topic,
    Version,
};
use crate::signal::{
    JoinRefusal, Joined, Moderation, Outcome, ParticipantList, Publish, Recipients, Refusal,
    RequestId, Resume, Secret, StreamRef, SubscribePolicy, Targets,
};
use crate::vectors::{Vector, check};

/// For each enum, the names of its variants. A variant that is missing here does not compile, and
/// one that is missing in the vectors fails the test.
macro_rules! variants {
    ($($enum:ident { $($variant:ident),* $(,)? })*) => {
        fn all_variants() -> BTreeSet<String> {
            $(
                let _ = |value: &$enum| match value {
                    $($enum::$variant { .. } => (),)*
                };
            )*
            [$($(concat!(stringify!($enum), "::", stringify!($variant)),)*)*]
                .into_iter()
                .map(String::from)
                .collect()
        }
    };
}

variants! {
    Operation {
        Publish, Unpublish, SetMuted, Subscribe, Unsubscribe, SetSubscribePolicy, Pin, Send,
        Moderate, EndSession, RefreshToken, RequestFloor, ReleaseFloor, Leave,
        SetAttribute,
    }
    Recipients { All, List }
    Targets { All, List }
    Moderation { Kick, Censor, Uncensor, Admit, Deny }
    SubscribePolicy { All, None, Mix, MixPcmu }
    StreamKind { Audio, Video, Screen }
    Codec { Opus, Pcmu, Pcma, Vp8, H264, Jpeg }
    ServerMessage {
        SnapshotBegin, Update, SnapshotEnd, Reply, Deliver, Missed, Admitted, Knock, KnockEnded,
        TokenExpiring, Closed, GrantsChanged, Lobby,
    }
    RoomUpdate {
        Joined, Left, Hidden, Connection, Published, Unpublished, Muted, Censored, Speaker, Floor,
        Count, Attribute, Recorded,
    }
    ConnectionState { Connected, Reconnecting }
    CloseReason {
        Left, Kicked, SessionEnded, Replaced, TokenExpired, RoomFull, ConnectionLost,
        ServerShutdown, ProtocolError, Denied, AloneTooLong, SessionTooLong,
    }
    Outcome { Done, Published, Sent, Moderated }
    Refusal {
        NotPermitted, UnknownParticipant, UnknownStream, AlreadyPublished, TooManyStreams,
        CodecMismatch, TooManySubscriptions, RateLimited, InvalidToken, FloorTaken, FloorNotHeld,
        MixUnavailable, MessageTooLong, TooManyAttributes,
    }
    Answer { Joined, Waiting, Refused, Redirect, RedirectPort, RedirectEither }
    JoinRefusal {
        InvalidToken, TokenExpired, WrongRoom, RoomFull, Kicked, Denied, SessionEnded, Unavailable,
        Malformed, Replaced, TooOften, UnknownRoom, RoomDisabled, Banned, TokenRevoked,
        DuplicateParticipant,
    }
}

fn participant(id: &str) -> ParticipantId {
    ParticipantId::new(id).unwrap()
}

fn key(key: &str) -> StreamKey {
    StreamKey::new(key).unwrap()
}

fn list(ids: &[&str]) -> ParticipantList {
    ParticipantList::of(ids.iter().map(|id| participant(id))).unwrap()
}

fn stream_ref(id: &str, stream: &str) -> StreamRef {
    StreamRef {
        participant: participant(id),
        key: key(stream),
    }
}

fn publish(stream: &str, kind: StreamKind, codec: Codec) -> Publish {
    Publish {
        key: key(stream),
        kind,
        codec,
        muted: false,
    }
}

fn joined() -> Joined {
    Joined {
        participant: participant("ada"),
        session: SessionId(core::array::from_fn(|i| 0xa0 + u8::try_from(i).unwrap())),
        grants: Grants::PARTICIPANT | Grants::KICK,
        resumed: false,
        slot_ssrc: 0x0102_0304,
        streams: [Ok(0xdead_beef), Err(Refusal::CodecMismatch)]
            .into_iter()
            .collect(),
        policy_refused: Some(Refusal::MixUnavailable),
        resume_ticket: Secret([0x11; 24]),
        reset_token: Secret([0x22; 16]),
        keepalive: 10,
        grace: 30,
    }
}

type Named<T> = Vec<(String, T)>;

fn named<T, const N: usize>(messages: [(&str, T); N]) -> Named<T> {
    let messages = messages.into_iter();
    messages.map(|(name, m)| (name.into(), m)).collect()
}

fn requests() -> Named<Request<'static>> {
    let mut all = named([
        (
            "publish a microphone",
            Operation::Publish(Publish {
                muted: true,
                ..publish("mic", StreamKind::Audio, Codec::Opus)
            }),
        ),
        (
            "publish a camera",
            Operation::Publish(publish("camera", StreamKind::Video, Codec::Vp8)),
        ),
        (
            "publish a screen",
            Operation::Publish(publish("screen", StreamKind::Screen, Codec::H264)),
        ),
        ("unpublish", Operation::Unpublish { key: key("mic") }),
        (
            "mute",
            Operation::SetMuted {
                key: key("mic"),
                muted: true,
            },
        ),
        (
            "unmute",
            Operation::SetMuted {
                key: key("mic"),
                muted: false,
            },
        ),
        ("subscribe", Operation::Subscribe(stream_ref("bob", "mic"))),
        (
            "unsubscribe",
            Operation::Unsubscribe(stream_ref("bob", "mic")),
        ),
        ("pin", Operation::Pin(Some(stream_ref("bob", "mic")))),
        ("unpin", Operation::Pin(None)),
        (
            "send to all",
            Operation::Send {
                to: Recipients::All,
                topic: Topic::new("chat").unwrap(),
                body: b"hello",
            },
        ),
        (
            "send to some, an empty topic and body",
            Operation::Send {
                to: Recipients::List(list(&["bob", "eve"])),
                topic: Topic::new("").unwrap(),
                body: b"",
            },
        ),
        (
            "censor all but some",
            Operation::Moderate {
                action: Moderation::Censor,
                targets: Targets::All {
                    except: list(&["bob"]),
                },
            },
        ),
        ("end the session", Operation::EndSession),
        (
            "refresh the token",
            Operation::RefreshToken {
                token: Secret("ey.J.x"),
            },
        ),
        ("request the floor", Operation::RequestFloor),
        ("release the floor", Operation::ReleaseFloor),
        ("leave", Operation::Leave),
    ]);
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let publish = publish("mic", StreamKind::Audio, codec);
        all.push((format!("publish {codec:?}"), Operation::Publish(publish)));
    }
    for policy in [
        SubscribePolicy::All,
        SubscribePolicy::None,
        SubscribePolicy::Mix,
    ] {
        let operation = Operation::SetSubscribePolicy(policy);
        all.push((format!("subscribe policy {policy:?}"), operation));
    }
    for action in [
        Moderation::Kick,
        Moderation::Uncensor,
        Moderation::Admit,
        Moderation::Deny,
    ] {
        let targets = Targets::List(list(&["bob", "eve"]));
        let operation = Operation::Moderate { action, targets };
        all.push((format!("{action:?} some"), operation));
    }
    // After all that was here before it, so that they stay as they are.
    let policy = Operation::SetSubscribePolicy(SubscribePolicy::MixPcmu);
    all.push(("subscribe policy MixPcmu".into(), policy));
    all.extend(named([
        (
            "set an attribute",
            Operation::SetAttribute {
                participant: None,
                key: AttributeKey::new("hand").unwrap(),
                value: AttributeValue::new("up").unwrap(),
            },
        ),
        (
            "remove an attribute of somebody",
            Operation::SetAttribute {
                participant: Some(participant("bob")),
                key: AttributeKey::new("hand").unwrap(),
                value: AttributeValue::default(),
            },
        ),
        (
            "publish pictures of JPEG",
            Operation::Publish(publish("door", StreamKind::Video, Codec::Jpeg)),
        ),
    ]));
    all.into_iter()
        .zip([7, 127, 128, 0xffff].into_iter().cycle())
        .map(|((name, operation), id)| {
            let id = RequestId(id);
            (name, Request { id, operation })
        })
        .collect()
}

fn server_messages() -> Named<ServerMessage<'static>> {
    let stream = Stream {
        key: key("mic"),
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        ssrc: 0xdead_beef,
        muted: true,
    };
    let full = Participant {
        connection: ConnectionState::Reconnecting,
        censored: true,
        streams: [stream.clone()].into_iter().collect(),
        ..Participant::new(participant("bob"), DisplayName::new("Bob").unwrap())
    };
    let bob = participant("bob");
    let updates = named([
        ("joined", RoomUpdate::Joined(full)),
        (
            "joined without a name or streams",
            RoomUpdate::Joined(Participant::new(
                participant("eve"),
                DisplayName::new("").unwrap(),
            )),
        ),
        (
            "left",
            RoomUpdate::Left {
                participant: bob.clone(),
                reason: CloseReason::Left,
            },
        ),
        (
            "hidden",
            RoomUpdate::Hidden {
                participant: bob.clone(),
            },
        ),
        (
            "connection",
            RoomUpdate::Connection {
                participant: bob.clone(),
                state: ConnectionState::Reconnecting,
            },
        ),
        (
            "published",
            RoomUpdate::Published {
                participant: bob.clone(),
                stream,
            },
        ),
        (
            "unpublished",
            RoomUpdate::Unpublished {
                participant: bob.clone(),
                key: key("mic"),
            },
        ),
        (
            "muted",
            RoomUpdate::Muted {
                participant: bob.clone(),
                key: key("mic"),
                muted: true,
            },
        ),
        (
            "censored",
            RoomUpdate::Censored {
                participant: bob.clone(),
                censored: true,
            },
        ),
        (
            "speaker",
            RoomUpdate::Speaker {
                participant: Some(bob.clone()),
            },
        ),
        ("no speaker", RoomUpdate::Speaker { participant: None }),
        (
            "floor",
            RoomUpdate::Floor {
                holder: Some(bob.clone()),
            },
        ),
        ("free floor", RoomUpdate::Floor { holder: None }),
        (
            "count",
            RoomUpdate::Count {
                participants: 1_000_000,
            },
        ),
        (
            "attribute",
            RoomUpdate::Attribute {
                participant: bob.clone(),
                key: AttributeKey::new("battery").unwrap(),
                value: AttributeValue::new([87]).unwrap(),
            },
        ),
        (
            "no attribute",
            RoomUpdate::Attribute {
                participant: bob.clone(),
                key: AttributeKey::new("battery").unwrap(),
                value: AttributeValue::default(),
            },
        ),
        ("recorded", RoomUpdate::Recorded { recorded: true }),
    ]);
    let versions = [1, 128, u64::MAX].into_iter().cycle();
    let mut all: Named<ServerMessage> = updates
        .into_iter()
        .zip(versions)
        .map(|((name, update), version)| {
            let version = Version(version);
            let message = ServerMessage::Update { version, update };
            (format!("update: {name}"), message)
        })
        .collect();
    let version = Version(300);
    all.extend(named([
        ("snapshot begins", ServerMessage::SnapshotBegin { version }),
        ("snapshot ends", ServerMessage::SnapshotEnd { version }),
        (
            "deliver",
            ServerMessage::Deliver {
                from: bob.clone(),
                topic: Topic::new("chat").unwrap(),
                body: &[0, 127, 128, 255],
            },
        ),
        ("missed", ServerMessage::Missed { messages: 300 }),
        ("admitted", ServerMessage::Admitted(joined())),
        (
            "knock",
            ServerMessage::Knock {
                participant: bob.clone(),
                name: DisplayName::new("Zoë").unwrap(),
            },
        ),
        (
            "knock ended",
            ServerMessage::KnockEnded { participant: bob },
        ),
        (
            "token expiring",
            ServerMessage::TokenExpiring { seconds: 60 },
        ),
        (
            "grants changed",
            ServerMessage::GrantsChanged {
                grants: Grants::PARTICIPANT,
            },
        ),
        (
            "lobby",
            ServerMessage::Lobby {
                version,
                waiting: 40,
            },
        ),
    ]));
    for outcome in [
        Outcome::Done,
        Outcome::Published { ssrc: 0xdead_beef },
        Outcome::Sent { recipients: 2 },
        Outcome::Moderated { participants: 300 },
    ] {
        let (request, result) = (RequestId(7), Ok(outcome));
        let reply = ServerMessage::Reply { request, result };
        all.push((format!("reply: {outcome:?}"), reply));
    }
    for refusal in [
        Refusal::NotPermitted,
        Refusal::UnknownParticipant,
        Refusal::UnknownStream,
        Refusal::AlreadyPublished,
        Refusal::TooManyStreams,
        Refusal::CodecMismatch,
        Refusal::TooManySubscriptions,
        Refusal::RateLimited,
        Refusal::InvalidToken,
        Refusal::FloorTaken,
        Refusal::FloorNotHeld,
        Refusal::MixUnavailable,
        Refusal::MessageTooLong,
        Refusal::TooManyAttributes,
    ] {
        let (request, result) = (RequestId(300), Err(refusal));
        let reply = ServerMessage::Reply { request, result };
        all.push((format!("refusal: {refusal:?}"), reply));
    }
    for reason in [
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
    ] {
        let closed = ServerMessage::Closed { reason };
        all.push((format!("closed: {reason:?}"), closed));
    }
    all
}

fn joins() -> Named<Join<'static>> {
    let streams = [
        publish("mic", StreamKind::Audio, Codec::Opus),
        publish("screen", StreamKind::Screen, Codec::Vp8),
    ];
    let least = Join {
        token: Secret(""),
        participants: 1,
        slots: 0,
        policy: SubscribePolicy::None,
        publish: heapless::Vec::new(),
        resume: None,
    };
    let resume = |version| {
        let ticket = Secret([0x11; 24]);
        Some(Resume { ticket, version })
    };
    named([
        (
            "join",
            Join {
                token: Secret("ey.J.x"),
                participants: 300,
                slots: 2,
                policy: SubscribePolicy::All,
                publish: streams.into_iter().collect(),
                resume: None,
            },
        ),
        (
            "resume",
            Join {
                resume: resume(Some(Version(300))),
                ..least.clone()
            },
        ),
        (
            "resume without a version",
            Join {
                resume: resume(None),
                ..least.clone()
            },
        ),
        ("the least", least),
    ])
}

fn answers() -> Named<Answer> {
    let mut all = named([
        ("joined", Answer::Joined(joined())),
        (
            "resumed",
            Answer::Joined(Joined {
                resumed: true,
                streams: heapless::Vec::new(),
                policy_refused: None,
                ..joined()
            }),
        ),
        (
            "waiting",
            Answer::Waiting {
                reset_token: Secret([0x22; 16]),
                keepalive: 10,
                resume_ticket: Secret([0x11; 24]),
            },
        ),
        (
            "redirect to IPv4",
            Answer::Redirect("192.0.2.1:4433".parse().unwrap()),
        ),
        (
            "redirect to IPv6",
            Answer::Redirect("[2001:db8::1]:4433".parse().unwrap()),
        ),
    ]);
    for refusal in [
        JoinRefusal::InvalidToken,
        JoinRefusal::TokenExpired,
        JoinRefusal::WrongRoom,
        JoinRefusal::RoomFull,
        JoinRefusal::Kicked,
        JoinRefusal::Denied,
        JoinRefusal::SessionEnded,
        JoinRefusal::Unavailable,
        JoinRefusal::Malformed,
        JoinRefusal::Replaced,
        JoinRefusal::TooOften,
        JoinRefusal::UnknownRoom,
        JoinRefusal::RoomDisabled,
        JoinRefusal::Banned,
        JoinRefusal::TokenRevoked,
        JoinRefusal::DuplicateParticipant,
    ] {
        all.push((format!("refused: {refusal:?}"), Answer::Refused(refusal)));
    }
    let v4 = "192.0.2.1:4433".parse().unwrap();
    let v6 = "[2001:db8::1]:4433".parse().unwrap();
    all.extend(named([
        ("redirect to a port", Answer::RedirectPort(4433)),
        ("redirect to either", Answer::RedirectEither(v4, v6)),
    ]));
    all
}

fn lossy_requests() -> Named<LossyRequest<'static>> {
    let topic = Topic::new("cursor").unwrap();
    named([
        (
            "to all",
            LossyRequest {
                to: Recipients::All,
                topic: topic.clone(),
                body: &[0, 128],
            },
        ),
        (
            "to some",
            LossyRequest {
                to: Recipients::List(list(&["bob", "eve"])),
                topic,
                body: b"",
            },
        ),
    ])
}

fn lossy_deliveries() -> Named<LossyDelivery<'static>> {
    named([(
        "delivery",
        LossyDelivery {
            from: participant("ada"),
            topic: Topic::new("cursor").unwrap(),
            body: &[0, 128],
        },
    )])
}

/// Compares a file with what the codec makes of `messages`, and the other way round. Returns the
/// variants in it.
fn check_messages<T>(file: &str, what: &str, messages: Named<T>) -> BTreeSet<String>
where
    T: Message + for<'a> Decodes<'a> + PartialEq + Debug,
{
    let mut variants = BTreeSet::new();
    let mut vectors = vec![];
    for (name, message) in &messages {
        let annotated = Annotated::of(message);
        variants.extend(annotated.variants);
        vectors.push(Vector {
            name: name.clone(),
            fields: annotated.fields,
        });
    }
    let about = format!(
        "{what}, as postcard encodes them.\n\
         Each vector is one message; after # stands what the bytes mean."
    );
    let found = check(file, &about, &vectors);
    for ((name, bytes), (_, message)) in found.iter().zip(&messages) {
        let mut buffer = [0; MAX_MESSAGE];
        let length = encode(message, &mut buffer).unwrap();
        assert_eq!(buffer[..length], bytes[..], "{file} [{name}]");
        assert!(T::decodes(bytes, message), "{file} [{name}]");
    }
    variants
}

/// `T` with any lifetime, decoded from `bytes`, equals a given one.
trait Decodes<'a> {
    fn decodes(bytes: &'a [u8], to: &Self) -> bool;
}

macro_rules! decodes {
    ($($type:ty as $any:ty),*) => {
        $(impl<'a> Decodes<'a> for $type {
            fn decodes(bytes: &'a [u8], to: &Self) -> bool {
                decode::<$any>(bytes).as_ref() == Ok(to)
            }
        })*
    };
}

decodes!(
    Request<'static> as Request<'_>,
    ServerMessage<'static> as ServerMessage<'_>,
    Join<'static> as Join<'_>,
    Answer as Answer,
    LossyRequest<'static> as LossyRequest<'_>,
    LossyDelivery<'static> as LossyDelivery<'_>
);

#[test]
fn vectors_match_and_miss_no_variant() {
    let mut found = BTreeSet::new();
    found.extend(check_messages(
        "request.hex",
        "Requests (client to server, in Signal frames)",
        requests(),
    ));
    found.extend(check_messages(
        "server_message.hex",
        "Server messages (server to client, in Signal frames)",
        server_messages(),
    ));
    found.extend(check_messages(
        "join.hex",
        "Joins (client to server, encrypted in Hello)",
        joins(),
    ));
    found.extend(check_messages(
        "answer.hex",
        "Answers to a join (server to client, encrypted in Welcome)",
        answers(),
    ));
    found.extend(check_messages(
        "lossy_request.hex",
        "Lossy messages (client to server, in Message frames)",
        lossy_requests(),
    ));
    found.extend(check_messages(
        "lossy_delivery.hex",
        "Lossy messages (server to client, in Message frames)",
        lossy_deliveries(),
    ));
    let missing: Vec<_> = all_variants().difference(&found).cloned().collect();
    assert!(missing.is_empty(), "no vector has {missing:?}");
}
