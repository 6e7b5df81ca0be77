//! RTP, beside three other crates that write and read it.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use parlour_core::room::Codec;
use parlour_core::rtp::{AudioLevel, Depacketizer, Packetizer, RtpHeader, RtpPacket};
use rtp::packet::Packet as WebrtcPacket;
use webrtc_util::marshal::{Marshal as _, Unmarshal as _};

use crate::Case;

pub const CASES: &[Case] = &[
    Case {
        name: "rtp/write header and 80 B",
        prepare: |_| {
            let mut out = [0; 200];
            Box::new(move || {
                let written = black_box(&HEADER).write(black_box(&PAYLOAD), &mut out);
                black_box(written).expect("it fits");
            })
        },
    },
    Case {
        name: "rtp/write header and 80 B, rtp-rs",
        prepare: |_| {
            let mut out = [0; 200];
            Box::new(move || {
                let written = rtp_rs::RtpPacketBuilder::new()
                    .payload_type(HEADER.payload_type)
                    .sequence(HEADER.sequence.into())
                    .timestamp(HEADER.timestamp)
                    .ssrc(HEADER.ssrc)
                    .payload(black_box(&PAYLOAD))
                    .build_into(&mut out);
                black_box(written).expect("it fits");
            })
        },
    },
    Case {
        name: "rtp/write header and 80 B, rtp-types",
        prepare: |_| {
            let mut out = [0; 200];
            Box::new(move || {
                let written = rtp_types::RtpPacketBuilder::<&[u8], &[u8]>::new()
                    .payload_type(HEADER.payload_type)
                    .sequence_number(HEADER.sequence)
                    .timestamp(HEADER.timestamp)
                    .ssrc(HEADER.ssrc)
                    .payload(black_box(&PAYLOAD[..]))
                    .write_into(&mut out);
                black_box(written).expect("it fits");
            })
        },
    },
    Case {
        name: "rtp/write header and 80 B, webrtc-rs rtp",
        prepare: |_| {
            let packet = WebrtcPacket {
                header: rtp::header::Header {
                    version: 2,
                    payload_type: HEADER.payload_type,
                    sequence_number: HEADER.sequence,
                    timestamp: HEADER.timestamp,
                    ssrc: HEADER.ssrc,
                    ..Default::default()
                },
                payload: Bytes::from_static(&PAYLOAD),
            };
            let mut out = BytesMut::zeroed(200);
            Box::new(move || {
                black_box(black_box(&packet).marshal_to(&mut out)).expect("it fits");
            })
        },
    },
    Case {
        name: "rtp/parse 92 B",
        prepare: |_| {
            let packet = packet();
            Box::new(move || {
                let parsed = RtpPacket::parse(black_box(&packet)).expect("it is whole");
                black_box((parsed.sequence(), parsed.timestamp(), parsed.payload()));
            })
        },
    },
    Case {
        name: "rtp/parse 92 B, rtp-rs",
        prepare: |_| {
            let packet = packet();
            Box::new(move || {
                let parsed = rtp_rs::RtpReader::new(black_box(&packet)).expect("it is whole");
                black_box((
                    parsed.sequence_number(),
                    parsed.timestamp(),
                    parsed.payload(),
                ));
            })
        },
    },
    Case {
        name: "rtp/parse 92 B, rtp-types",
        prepare: |_| {
            let packet = packet();
            Box::new(move || {
                let parsed = rtp_types::RtpPacket::parse(black_box(&packet)).expect("it is whole");
                black_box((
                    parsed.sequence_number(),
                    parsed.timestamp(),
                    parsed.payload(),
                ));
            })
        },
    },
    Case {
        name: "rtp/parse 92 B, webrtc-rs rtp",
        prepare: |_| {
            let packet = Bytes::from(packet());
            Box::new(move || {
                let parsed = WebrtcPacket::unmarshal(&mut black_box(packet.clone()));
                black_box(parsed).expect("it is whole");
            })
        },
    },
    Case {
        name: "rtp/packetize Opus with its level",
        prepare: |_| {
            let mut packetizer = Packetizer::new(Codec::Opus, 1, 1, 0);
            let mut out = [0; 200];
            Box::new(move || {
                let packet = packetizer.packetize(black_box(&PAYLOAD), 960, LEVEL, &mut out);
                black_box(packet).expect("it fits");
            })
        },
    },
    Case {
        name: "rtp/parse and depacketize Opus with its level",
        prepare: |_| {
            let mut packetizer = Packetizer::new(Codec::Opus, 1, 1, 0);
            let mut out = [0; 200];
            let packet = packetizer.packetize(&PAYLOAD, 960, LEVEL, &mut out);
            let len = packet.expect("it fits");
            let mut depacketizer = Depacketizer::new(48_000);
            Box::new(move || {
                let parsed = RtpPacket::parse(black_box(&out[..len])).expect("it is whole");
                black_box(depacketizer.depacketize(&parsed)).expect("it is sound");
            })
        },
    },
];

/// 20 ms of fullband Opus, by its first byte.
static PAYLOAD: [u8; 80] = {
    let mut payload = [0x55; 80];
    payload[0] = 31 << 3;
    payload
};

const LEVEL: AudioLevel = AudioLevel {
    voice: true,
    level: 30,
};

const HEADER: RtpHeader<'static> = RtpHeader {
    marker: false,
    payload_type: 111,
    sequence: 1_000,
    timestamp: 960_000,
    ssrc: 0xCAFE,
    csrcs: &[],
    audio_level: None,
};

fn packet() -> Vec<u8> {
    let mut out = [0; 200];
    let len = HEADER.write(&PAYLOAD, &mut out).expect("it fits");
    out[..len].to_vec()
}
