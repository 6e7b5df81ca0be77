//! Every packet and frame, against `core/vectors`.

use alloc::vec;
use alloc::vec::Vec;

use super::{Arrived, ConnectionId, Frame, FrameWriter, Frames, Lost, MAX_DATAGRAM, Packet};
use crate::vectors::{Vector, check};

/// Bytes, written here by hand so that they do not follow the code, and their meanings.
type Fields = Vec<(&'static [u8], &'static str)>;

const CLIENT: ConnectionId = ConnectionId(0x0102_0304);
const SERVER: ConnectionId = ConnectionId(0x0506_0708);
const CLIENT_ID: (&[u8], &str) = (&[1, 2, 3, 4], "client id");
const SERVER_ID: (&[u8], &str) = (&[5, 6, 7, 8], "server's connection id");

/// A new variant does not compile until it has a name here, and then fails until it has a vector.
macro_rules! names {
    ($all:ident, $of:ident: $type:ident { $($pattern:pat => $name:literal,)* }) => {
        const $all: &[&str] = &[$($name),*];

        fn $of(value: &$type<'_>) -> &'static str {
            match value {
                $($pattern => $name,)*
            }
        }
    };
}

names! {
    PACKETS, packet_name: Packet {
        Packet::Hello { cookie: None, .. } => "Hello",
        Packet::Hello { .. } => "Hello with a cookie",
        Packet::OtherHello { .. } => "Hello of another version",
        Packet::Retry { .. } => "Retry",
        Packet::VersionMismatch { .. } => "Retry for another version",
        Packet::Welcome { .. } => "Welcome",
        Packet::Data { .. } => "Data",
        Packet::Reset { .. } => "Reset",
    }
}

names! {
    FRAMES, frame_name: Frame {
        Frame::Media(_) => "Media",
        Frame::Report(_) => "Report",
        Frame::Signal { .. } => "Signal",
        Frame::Ack { .. } => "Ack",
        Frame::Ping { .. } => "Ping",
        Frame::Pong { .. } => "Pong",
        Frame::Message(_) => "Message",
        Frame::Nack { .. } => "Nack",
        Frame::KeyWanted { .. } => "KeyWanted",
        Frame::Arrived(_) => "Arrived",
    }
}

#[test]
fn packet_vectors_match() {
    let (cookie, token, noise) = (&[0xcc; 16], &[0x22; 16], &[0xee; 48]);
    let welcome = &[0xee; 52];
    let (noise_1, noise_2) = (
        (&noise[..], "Noise message 1"),
        (&welcome[..], "Noise message 2"),
    );
    let (kind_8, version_1) = ((&[8][..], "Hello"), (&[1][..], "version"));
    let cases = [
        (
            Packet::Hello {
                client_id: CLIENT,
                cookie: None,
                noise,
            },
            vec![
                kind_8,
                version_1,
                CLIENT_ID,
                (&[0], "cookie length"),
                noise_1,
            ],
        ),
        (
            Packet::Hello {
                client_id: CLIENT,
                cookie: Some(cookie),
                noise,
            },
            vec![
                kind_8,
                version_1,
                CLIENT_ID,
                (&[16], "cookie length"),
                (cookie, "cookie"),
                noise_1,
            ],
        ),
        (
            Packet::OtherHello {
                version: 2,
                client_id: CLIENT,
            },
            vec![kind_8, (&[2], "version"), CLIENT_ID],
        ),
        (
            Packet::Retry {
                client_id: CLIENT,
                cookie,
            },
            vec![(&[9], "Retry"), version_1, CLIENT_ID, (cookie, "cookie")],
        ),
        (
            Packet::VersionMismatch {
                client_id: CLIENT,
                supported: 2,
            },
            vec![
                (&[9], "Retry"),
                (&[2], "the version that the server speaks"),
                CLIENT_ID,
            ],
        ),
        (
            Packet::Welcome {
                client_id: CLIENT,
                noise: welcome,
            },
            vec![(&[10], "Welcome"), CLIENT_ID, noise_2],
        ),
        (
            Packet::Data {
                connection_id: SERVER,
                counter: 0x0a0b_0c0d,
                ciphertext: &[0xdd; 20],
            },
            vec![
                (&[11], "Data"),
                SERVER_ID,
                (&[10, 11, 12, 13], "low half of the counter"),
                (&[0xdd; 20], "ciphertext and tag"),
            ],
        ),
        (
            Packet::Reset {
                server_id: SERVER,
                token,
            },
            vec![(&[12], "Reset"), SERVER_ID, (token, "reset token")],
        ),
    ];
    assert!(
        cases
            .iter()
            .map(|(packet, _)| packet_name(packet))
            .eq(PACKETS.iter().copied())
    );
    let vectors: Vec<_> = cases
        .iter()
        .map(|(packet, fields)| Vector::new(packet_name(packet), fields))
        .collect();
    let about = "Packets, one datagram each. Noise messages, ciphertexts and tokens are made up.";
    let found = check("packet.hex", about, &vectors);
    for ((name, bytes), (packet, _)) in found.iter().zip(&cases) {
        assert_eq!(Packet::parse(bytes).as_ref(), Ok(packet), "{name}");
        let mut buffer = [0; MAX_DATAGRAM];
        let length = packet.encode(&mut buffer).unwrap();
        assert_eq!(buffer[..length], bytes[..], "{name}");
    }
}

#[test]
fn frame_vectors_match() {
    let cases: [(Frame<'_>, Fields); 10] = [
        (
            Frame::Media(&[0x80, 0x6f]),
            vec![
                (&[1], "Media"),
                (&[0, 2], "length"),
                (&[0x80, 0x6f], "an RTP packet (its start)"),
            ],
        ),
        (
            Frame::Report(&[0x80, 0xc8]),
            vec![
                (&[2], "Report"),
                (&[0, 2], "length"),
                (&[0x80, 0xc8], "an RTCP packet (its start)"),
            ],
        ),
        (
            Frame::Signal {
                sequence: 0x0102,
                message: &[7, 13],
            },
            vec![
                (&[3], "Signal"),
                (&[0, 4], "length"),
                (&[1, 2], "sequence"),
                (&[7, 13], "a message: request 7, Leave"),
            ],
        ),
        (
            Frame::Ack { next: 0x0103 },
            vec![
                (&[4], "Ack"),
                (&[0, 2], "length"),
                (&[1, 3], "next expected sequence"),
            ],
        ),
        (
            Frame::Ping { nonce: 0x0102_0304 },
            vec![
                (&[5], "Ping"),
                (&[0, 4], "length"),
                (&[1, 2, 3, 4], "nonce"),
            ],
        ),
        (
            Frame::Pong { nonce: 0x0102_0304 },
            vec![
                (&[6], "Pong"),
                (&[0, 4], "length"),
                (&[1, 2, 3, 4], "nonce of the Ping"),
            ],
        ),
        (
            Frame::Message(&[0, 0, 1, 9]),
            vec![
                (&[7], "Message"),
                (&[0, 4], "length"),
                (&[0, 0, 1, 9], "a lossy message: to all, no topic, body 09"),
            ],
        ),
        (
            Frame::Nack {
                ssrc: 0x0000_cafe,
                lost: Lost::parse(&[1, 2, 0, 5, 0xff, 0xff, 0, 1]).unwrap(),
            },
            vec![
                (&[8], "Nack"),
                (&[0, 12], "length"),
                (&[0, 0, 0xca, 0xfe], "SSRC"),
                (&[1, 2], "sequence 258"),
                (&[0, 5], "bitmap: 259 and 261, too"),
                (&[0xff, 0xff], "sequence 65535"),
                (&[0, 1], "bitmap: 0, too"),
            ],
        ),
        (
            Frame::KeyWanted {
                ssrc: 0x0000_cafe,
                layer: 1,
            },
            vec![
                (&[9], "KeyWanted"),
                (&[0, 5], "length"),
                (&[0, 0, 0xca, 0xfe], "SSRC"),
                (&[1], "layer"),
            ],
        ),
        (
            Frame::Arrived(Arrived {
                highest: 0x0102_0304,
                opened: 0x0102_0300,
                clock: 0x000f_4240,
            }),
            vec![
                (&[10], "Arrived"),
                (&[0, 12], "length"),
                (&[1, 2, 3, 4], "highest counter"),
                (&[1, 2, 3, 0], "packets opened"),
                (&[0, 0x0f, 0x42, 0x40], "clock, µs"),
            ],
        ),
    ];
    assert!(
        cases
            .iter()
            .map(|(frame, _)| frame_name(frame))
            .eq(FRAMES.iter().copied())
    );
    let mut vectors: Vec<_> = cases
        .iter()
        .map(|(frame, fields)| Vector::new(frame_name(frame), fields))
        .collect();
    vectors.push(Vector::new(
        "an unknown kind between two Acks is skipped",
        &[
            (&[4, 0, 2, 0, 1], "Ack of 1"),
            (&[200, 0, 1, 9], "kind 200, length 1"),
            (&[4, 0, 2, 0, 2], "Ack of 2"),
        ],
    ));
    let about = "Frames: plaintexts of Data packets. Numbers are big-endian.";
    let mut found = check("frame.hex", about, &vectors);
    let (_, several) = found.pop().unwrap();
    assert!(Frames::new(&several).eq([Ok(Frame::Ack { next: 1 }), Ok(Frame::Ack { next: 2 })]));
    for ((name, bytes), (frame, _)) in found.iter().zip(&cases) {
        assert!(Frames::new(bytes).eq([Ok(*frame)]), "{name}");
        let mut buffer = [0; MAX_DATAGRAM];
        let mut writer = FrameWriter::new(&mut buffer);
        writer.push(frame).unwrap();
        let length = writer.len();
        assert_eq!(buffer[..length], bytes[..], "{name}");
    }
}
