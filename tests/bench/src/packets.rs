//! RTP, beside three other libraries: an 80-byte Opus payload under a header with the audio level.

use std::hint::black_box;

use bytes::Bytes;
use parlour_core::room::Codec;
use parlour_core::rtp::{AudioLevel, Depacketizer, Packetizer, RtpHeader, RtpPacket};
use webrtc_util::marshal::{Marshal as _, Unmarshal as _};

use crate::{Case, case};

const LEVEL: AudioLevel = AudioLevel {
    voice: true,
    level: 30,
};
const SSRC: u32 = 0xCAFE;

/// 20 ms of wideband speech, by its first byte.
fn payload() -> [u8; 80] {
    let mut payload = [7; 80];
    payload[0] = 0x48;
    payload
}

fn packet() -> Vec<u8> {
    let header = RtpHeader {
        marker: false,
        payload_type: 111,
        sequence: 7,
        timestamp: 960,
        ssrc: SSRC,
        csrcs: &[1],
        audio_level: Some(LEVEL),
    };
    let mut out = [0; 200];
    let len = header.write(&payload(), &mut out).unwrap();
    out[..len].to_vec()
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("RTP write: Parlour, frame length checked", || {
            let (mut packetizer, payload) = (Packetizer::new(Codec::Opus, SSRC, 1, 1), payload());
            let mut out = [0; 200];
            Box::new(move || {
                black_box(packetizer.packetize(black_box(&payload), 960, LEVEL, &mut out)).unwrap();
            })
        }),
        case("RTP write: rtp-rs", || {
            let payload = payload();
            let mut out = [0; 200];
            Box::new(move || {
                let level = [0x10, 0x80 | 30, 0, 0];
                let written = rtp_rs::RtpPacketBuilder::new()
                    .payload_type(111)
                    .ssrc(SSRC)
                    .sequence(7.into())
                    .timestamp(960)
                    .extension(0xBEDE, &level)
                    .payload(black_box(&payload))
                    .build_into(&mut out);
                black_box(written).unwrap();
            })
        }),
        case("RTP write: rtp (webrtc-rs)", || {
            let mut packet = rtp::packet::Packet {
                header: rtp::header::Header {
                    version: 2,
                    payload_type: 111,
                    sequence_number: 7,
                    timestamp: 960,
                    ssrc: SSRC,
                    ..Default::default()
                },
                payload: Bytes::copy_from_slice(&payload()),
            };
            let level = Bytes::from_static(&[0x80 | 30]);
            packet.header.set_extension(1, level).unwrap();
            let mut out = [0; 200];
            Box::new(move || {
                black_box(black_box(&packet).marshal_to(&mut out)).unwrap();
            })
        }),
        case("RTP write: rtp-types", || {
            let payload = payload();
            let mut out = [0; 200];
            Box::new(move || {
                let level = [0x10, 0x80 | 30, 0, 0];
                let written = rtp_types::RtpPacketBuilder::new()
                    .payload_type(111)
                    .ssrc(SSRC)
                    .sequence_number(7)
                    .timestamp(960)
                    .extension(0xBEDE, &level[..])
                    .payload(black_box(&payload[..]))
                    .write_into(&mut out);
                black_box(written).unwrap();
            })
        }),
        case("RTP read: Parlour, to a frame in order and time", || {
            let (bytes, mut flow) = (packet(), Depacketizer::new(48_000));
            Box::new(move || {
                let packet = RtpPacket::parse(black_box(&bytes)).unwrap();
                black_box(flow.depacketize(&packet)).unwrap();
            })
        }),
        case("RTP read: Parlour, header only", || {
            let bytes = packet();
            Box::new(move || {
                let packet = RtpPacket::parse(black_box(&bytes)).unwrap();
                black_box((
                    packet.ssrc(),
                    packet.sequence(),
                    packet.timestamp(),
                    packet.payload(),
                ));
            })
        }),
        case("RTP read: rtp-rs", || {
            let bytes = packet();
            Box::new(move || {
                let packet = rtp_rs::RtpReader::new(black_box(&bytes)).unwrap();
                black_box((
                    packet.ssrc(),
                    packet.sequence_number(),
                    packet.timestamp(),
                    packet.payload(),
                ));
            })
        }),
        case("RTP read: rtp (webrtc-rs)", || {
            let bytes = Bytes::from(packet());
            Box::new(move || {
                let packet = rtp::packet::Packet::unmarshal(&mut black_box(bytes.clone()));
                black_box(packet).unwrap();
            })
        }),
        case("RTP read: rtp-types", || {
            let bytes = packet();
            Box::new(move || {
                let packet = rtp_types::RtpPacket::parse(black_box(&bytes)).unwrap();
                black_box((
                    packet.ssrc(),
                    packet.sequence_number(),
                    packet.timestamp(),
                    packet.payload(),
                ));
            })
        }),
    ]
}
