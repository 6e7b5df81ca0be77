//! One signalling message, beside JSON and Protocol Buffers, and its effect on a replica.

use std::hint::black_box;

use parlour_core::room::{
    Codec, DisplayName, Participant, ParticipantId, Replica, RoomUpdate, Stream, StreamKey,
    StreamKind, Version,
};
use parlour_core::signal::{ServerMessage, decode, encode};
use prost::Message as _;

use crate::Case;

pub const CASES: &[Case] = &[
    Case {
        name: "signal/encode Joined",
        prepare: |_| {
            let message = message();
            let mut out = [0; 512];
            Box::new(move || {
                black_box(encode(black_box(&message), &mut out)).expect("it fits");
            })
        },
    },
    Case {
        name: "signal/decode Joined",
        prepare: |_| {
            let mut out = [0; 512];
            let len = encode(&message(), &mut out).expect("it fits");
            Box::new(move || {
                let message = decode::<ServerMessage<'_>>(black_box(&out[..len]));
                drop(black_box(message).expect("it is whole"));
            })
        },
    },
    Case {
        name: "signal/decode Joined, serde_json",
        prepare: |_| {
            let json = serde_json::to_vec(&message()).expect("it has a form in JSON");
            Box::new(move || {
                let message = serde_json::from_slice::<ServerMessage<'_>>(black_box(&json));
                drop(black_box(message).expect("it is whole"));
            })
        },
    },
    Case {
        name: "signal/decode Joined, prost",
        prepare: |_| {
            let bytes = proto::message().encode_to_vec();
            Box::new(move || {
                let message = proto::Update::decode(black_box(&bytes[..]));
                drop(black_box(message).expect("it is whole"));
            })
        },
    },
    Case {
        name: "room/apply Joined and Left",
        prepare: |_| {
            let mut replica = replica();
            let joined = RoomUpdate::Joined(participant("newcomer"));
            let left = RoomUpdate::Left {
                participant: id("newcomer"),
                reason: parlour_core::room::CloseReason::Left,
            };
            Box::new(move || {
                for update in [&joined, &left] {
                    let version = replica.version().next();
                    black_box(replica.apply(version, black_box(update))).expect("there is room");
                }
            })
        },
    },
    Case {
        name: "room/apply Speaker",
        prepare: |_| {
            let mut replica = replica();
            let mut number = 0;
            let speakers: [_; 2] =
                ["participant-3", "participant-90"].map(|name| RoomUpdate::Speaker {
                    participant: Some(id(name)),
                });
            Box::new(move || {
                number += 1;
                let version = replica.version().next();
                let update = black_box(&speakers[number % 2]);
                black_box(replica.apply(version, update)).expect("both are tracked");
            })
        },
    },
];

/// As many as [`replica`] holds, and one more.
const TRACKED: usize = 128;

fn id(name: &str) -> ParticipantId {
    ParticipantId::new(name).expect("a short name")
}

fn participant(name: &str) -> Participant {
    let mut participant = Participant::new(
        id(name),
        DisplayName::new("Somebody").expect("a short name"),
    );
    let stream = Stream {
        key: StreamKey::new("mic").expect("a short name"),
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        ssrc: 0x1234_5678,
        muted: false,
    };
    participant.streams.push(stream).expect("the first");
    participant
}

fn message() -> ServerMessage<'static> {
    ServerMessage::Update {
        version: Version(4_711),
        update: RoomUpdate::Joined(participant("participant-7")),
    }
}

/// A room of a hundred.
fn replica() -> Replica<TRACKED> {
    let mut replica = Replica::default();
    replica.begin_snapshot(Version(0));
    for number in 0..100 {
        let joined = RoomUpdate::Joined(participant(&format!("participant-{number}")));
        replica.apply(Version(0), &joined).expect("there is room");
    }
    replica
        .end_snapshot(Version(0), drop)
        .expect("it has begun");
    replica
}

/// The same message as Protocol Buffers would have it.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Update {
        #[prost(uint64, tag = "1")]
        pub version: u64,
        #[prost(message, optional, tag = "2")]
        pub joined: Option<Participant>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Participant {
        #[prost(string, tag = "1")]
        pub id: String,
        #[prost(string, tag = "2")]
        pub name: String,
        #[prost(uint32, tag = "3")]
        pub connection: u32,
        #[prost(bool, tag = "4")]
        pub censored: bool,
        #[prost(message, repeated, tag = "5")]
        pub streams: Vec<Stream>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Stream {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(uint32, tag = "2")]
        pub kind: u32,
        #[prost(uint32, tag = "3")]
        pub codec: u32,
        #[prost(uint32, tag = "4")]
        pub ssrc: u32,
        #[prost(bool, tag = "5")]
        pub muted: bool,
    }

    pub fn message() -> Update {
        Update {
            version: 4_711,
            joined: Some(Participant {
                id: "participant-7".into(),
                name: "Somebody".into(),
                connection: 0,
                censored: false,
                streams: vec![Stream {
                    key: "mic".into(),
                    kind: 0,
                    codec: 0,
                    ssrc: 0x1234_5678,
                    muted: false,
                }],
            }),
        }
    }
}
