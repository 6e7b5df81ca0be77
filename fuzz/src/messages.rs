//! Messages from the few names that a world has, so that they meet.

use std::sync::LazyLock;

use parlour_core::room::{
    AttributeKey, AttributeValue, CloseReason, Codec, Grants, ParticipantId, RoomId, StreamKey,
    StreamKind, Topic, Version,
};
use parlour_core::signal::{
    Join, MAX_MESSAGE, Moderation, Operation, ParticipantList, Publish, Recipients, Request,
    RequestId, Resume, Secret, StreamRef, SubscribePolicy, Targets, decode, encode,
};

use crate::input::Input;

/// All reasons to close.
pub const CLOSE_REASONS: [CloseReason; 12] = [
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
];

/// One of two rooms.
pub fn room(number: u8) -> RoomId {
    RoomId::new(["hall", "attic"][usize::from(number & 1)]).expect("a room id")
}

/// One of five participants.
pub fn participant(number: u8) -> ParticipantId {
    const NAMES: [&str; 5] = ["ada", "bob", "cyd", "dan", "eve"];
    ParticipantId::new(NAMES[usize::from(number) % 5]).expect("a participant id")
}

/// One of four streams.
pub fn key(number: u8) -> StreamKey {
    StreamKey::new(["mic", "cam", "screen", "line"][usize::from(number & 3)]).expect("a stream key")
}

/// One of two topics.
pub fn topic(input: &mut Input<'_>) -> Topic {
    Topic::new(["", "chat"][usize::from(input.flag())]).expect("a topic")
}

/// Any policy.
pub fn policy(input: &mut Input<'_>) -> SubscribePolicy {
    static POLICIES: LazyLock<Vec<SubscribePolicy>> =
        LazyLock::new(|| (0..=u8::MAX).map_while(policy_of_number).collect());
    input.choose(&POLICIES)
}

/// The policy of this number on the wire: a new one is drawn without being listed here.
fn policy_of_number(number: u8) -> Option<SubscribePolicy> {
    let operation = Operation::SetSubscribePolicy(SubscribePolicy::All);
    let id = RequestId(0);
    let mut bytes = [0; 8];
    let len = encode(&Request { id, operation }, &mut bytes).expect("a request fits");
    bytes[len - 1] = number;
    match decode::<Request<'_>>(&bytes[..len]).ok()?.operation {
        Operation::SetSubscribePolicy(policy) => Some(policy),
        other => panic!("{other:?} is no policy"),
    }
}

/// A stream to publish. Kind and codec do not always suit each other.
pub fn publish(input: &mut Input<'_>) -> Publish {
    let how = input.byte();
    let (kind, codec) = match how >> 4 & 7 {
        0..=2 => (StreamKind::Audio, Codec::Opus),
        3 => (StreamKind::Audio, Codec::Pcmu),
        4 => (StreamKind::Audio, Codec::Pcma),
        5 => (StreamKind::Video, Codec::Vp8),
        6 => (StreamKind::Screen, Codec::H264),
        _ => (StreamKind::Audio, Codec::Vp8),
    };
    Publish {
        key: key(how),
        kind,
        codec,
        muted: how & 4 != 0,
    }
}

/// A stream of somebody.
pub fn stream(input: &mut Input<'_>) -> StreamRef {
    let how = input.byte();
    StreamRef {
        participant: participant(how >> 4),
        key: key(how),
    }
}

fn participants(input: &mut Input<'_>) -> ParticipantList {
    let count = input.below(4);
    let ids = (0..count).map(|_| participant(input.byte()));
    ParticipantList::of(ids).expect("at most three")
}

/// The recipients of a message.
pub fn recipients(input: &mut Input<'_>) -> Recipients {
    if input.flag() {
        Recipients::All
    } else {
        Recipients::List(participants(input))
    }
}

/// The targets of a moderation.
pub fn targets(input: &mut Input<'_>) -> Targets {
    if input.below(4) == 0 {
        Targets::All {
            except: participants(input),
        }
    } else {
        Targets::List(participants(input))
    }
}

/// A moderator's action.
pub fn moderation(input: &mut Input<'_>) -> Moderation {
    input.choose(&[
        Moderation::Censor,
        Moderation::Uncensor,
        Moderation::Kick,
        Moderation::Admit,
        Moderation::Deny,
    ])
}

/// An attribute's key: one of more than a participant may have.
pub fn attribute_key(number: u8) -> AttributeKey {
    AttributeKey::new(["a", "b", "c", "d", "e", "f", "g", "h", "i"][usize::from(number) % 9])
        .expect("an attribute key")
}

/// An attribute's value, often none.
pub fn attribute_value(input: &mut Input<'_>) -> AttributeValue {
    let bytes = input.bytes();
    AttributeValue::new(&bytes[..bytes.len().min(AttributeValue::MAX_LEN)]).expect("it fits")
}

/// Anything that a participant may ask for.
pub fn operation<'a>(input: &mut Input<'a>) -> Operation<'a> {
    let kind = input.below(16);
    operation_of(kind, input)
}

/// Anything of one of 16 kinds that a participant may ask for.
pub fn operation_of<'a>(kind: u8, input: &mut Input<'a>) -> Operation<'a> {
    match kind {
        0 | 1 => Operation::Publish(publish(input)),
        2 => Operation::Unpublish {
            key: key(input.byte()),
        },
        3 => Operation::SetMuted {
            key: key(input.byte()),
            muted: input.flag(),
        },
        4 => Operation::Subscribe(stream(input)),
        5 => Operation::Unsubscribe(stream(input)),
        6 => Operation::SetSubscribePolicy(policy(input)),
        7 => Operation::Pin(input.flag().then(|| stream(input))),
        8 => Operation::Send {
            to: recipients(input),
            topic: topic(input),
            body: input.bytes(),
        },
        9 => {
            let who = input.byte();
            Operation::SetAttribute {
                participant: (who & 0x80 != 0).then(|| participant(who)),
                key: attribute_key(who >> 3),
                value: attribute_value(input),
            }
        }
        10 => Operation::Moderate {
            action: moderation(input),
            targets: targets(input),
        },
        11 => Operation::EndSession,
        12 => Operation::RefreshToken {
            token: Secret("newer"),
        },
        13 => Operation::RequestFloor,
        14 => Operation::ReleaseFloor,
        _ => Operation::Leave,
    }
}

/// An encoded wish to join, which resumes with `ticket` if the input says so.
pub fn join(input: &mut Input<'_>, ticket: Option<[u8; 24]>) -> Vec<u8> {
    let how = input.byte();
    let publishes = (0..how & 3).map(|_| publish(input)).collect();
    let resume = match ticket {
        Some(ticket) if how & 4 != 0 => Some(Resume {
            ticket: Secret(ticket),
            version: input.flag().then(|| Version(input.byte().into())),
        }),
        _ => None,
    };
    let join = Join {
        token: Secret("token"),
        participants: input.choose(&[8, 2, 1, 0]),
        slots: input.below(40),
        policy: policy(input),
        publish: publishes,
        resume,
    };
    let mut buffer = [0; MAX_MESSAGE];
    let len = encode(&join, &mut buffer).expect("a join fits");
    buffer[..len].to_vec()
}

/// The grants of a token: mostly all, because anything not granted ends soon.
pub fn grants(bits: u16) -> Grants {
    if bits & 0x8000 == 0 {
        Grants::all()
    } else {
        Grants::from_bits_truncate(bits)
    }
}
