//! Signalling: one message in three codecs, and what it does to the room.

use std::hint::black_box;

use parlour_core::room::{
    Codec, DisplayName, Participant, ParticipantId, Replica, RoomUpdate, Stream, StreamKey,
    StreamKind, Version,
};
use parlour_core::signal::{MAX_MESSAGE, ServerMessage, decode, encode};
use prost::Message as _;

use crate::{Case, case};

fn anna() -> Participant {
    let id = ParticipantId::new("anna-from-accounting").unwrap();
    let mut anna = Participant::new(id, DisplayName::new("Anna Björk").unwrap());
    let microphone = Stream {
        key: StreamKey::new("mic").unwrap(),
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        ssrc: 0x1234_5678,
        muted: false,
    };
    anna.streams.push(microphone).unwrap();
    anna
}

/// Somebody has joined.
fn message() -> ServerMessage<'static> {
    ServerMessage::Update {
        version: Version(1_234),
        update: RoomUpdate::Joined(anna()),
    }
}

/// The same as a protobuf schema would have it.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ServerMessage {
        #[prost(oneof = "Kind", tags = "2")]
        pub(super) kind: Option<Kind>,
    }
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Kind {
        #[prost(message, tag = "2")]
        Update(Update),
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Update {
        #[prost(uint64, tag = "1")]
        pub(super) version: u64,
        #[prost(oneof = "Change", tags = "2")]
        pub(super) change: Option<Change>,
    }
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Change {
        #[prost(message, tag = "2")]
        Joined(Participant),
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Participant {
        #[prost(string, tag = "1")]
        pub(super) id: String,
        #[prost(string, tag = "2")]
        pub(super) name: String,
        #[prost(uint32, tag = "3")]
        pub(super) connection: u32,
        #[prost(bool, tag = "4")]
        pub(super) censored: bool,
        #[prost(message, repeated, tag = "5")]
        pub(super) streams: Vec<Stream>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Stream {
        #[prost(string, tag = "1")]
        pub(super) key: String,
        #[prost(uint32, tag = "2")]
        pub(super) kind: u32,
        #[prost(uint32, tag = "3")]
        pub(super) codec: u32,
        #[prost(uint32, tag = "4")]
        pub(super) ssrc: u32,
        #[prost(bool, tag = "5")]
        pub(super) muted: bool,
    }
}

fn protobuf() -> Vec<u8> {
    let stream = proto::Stream {
        key: "mic".into(),
        ssrc: 0x1234_5678,
        ..Default::default()
    };
    let participant = proto::Participant {
        id: "anna-from-accounting".into(),
        name: "Anna Björk".into(),
        streams: vec![stream],
        ..Default::default()
    };
    let update = proto::Update {
        version: 1_234,
        change: Some(proto::Change::Joined(participant)),
    };
    let kind = Some(proto::Kind::Update(update));
    proto::ServerMessage { kind }.encode_to_vec()
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("Joined update, encode: postcard", || {
            let message = message();
            Box::new(move || {
                let mut out = [0; MAX_MESSAGE];
                black_box(encode(black_box(&message), &mut out)).unwrap();
            })
        }),
        case("Joined update, decode: postcard", || {
            let mut out = [0; MAX_MESSAGE];
            let len = encode(&message(), &mut out).unwrap();
            let bytes = out[..len].to_vec();
            Box::new(move || {
                black_box(decode::<ServerMessage<'_>>(black_box(&bytes))).unwrap();
            })
        }),
        case("Joined update, decode: serde_json", || {
            let bytes = serde_json::to_vec(&message()).unwrap();
            Box::new(move || {
                black_box(serde_json::from_slice::<ServerMessage<'_>>(black_box(
                    &bytes,
                )))
                .unwrap();
            })
        }),
        case("Joined update, decode: prost", || {
            let bytes = protobuf();
            Box::new(move || {
                black_box(proto::ServerMessage::decode(black_box(&bytes[..]))).unwrap();
            })
        }),
        case("Replica of 16: apply a Muted update", || {
            let mut replica = Replica::<16>::default();
            replica.begin_snapshot(Version(0));
            for number in 0..16 {
                let id = ParticipantId::new(&format!("participant-{number}")).unwrap();
                let participant = Participant { id, ..anna() };
                replica
                    .apply(Version(0), &RoomUpdate::Joined(participant))
                    .unwrap();
            }
            replica.end_snapshot(Version(0), drop).unwrap();
            let mut update = RoomUpdate::Muted {
                participant: ParticipantId::new("participant-9").unwrap(),
                key: StreamKey::new("mic").unwrap(),
                muted: true,
            };
            let mut version = Version(0);
            Box::new(move || {
                version = Version(version.0 + 1);
                if let RoomUpdate::Muted { muted, .. } = &mut update {
                    *muted = !*muted;
                }
                black_box(replica.apply(version, black_box(&update))).unwrap();
            })
        }),
    ]
}
