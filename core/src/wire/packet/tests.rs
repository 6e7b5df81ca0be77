//! Packets against their documented bytes and against any bytes.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const ID: ConnectionId = ConnectionId(0x0102_0304);
const COOKIE_BYTES: [u8; 16] = [0xcc; 16];
const NOISE: [u8; MIN_NOISE] = [0xee; MIN_NOISE];

fn encoded(packet: Packet<'_>) -> Vec<u8> {
    let mut out = [0; MAX_DATAGRAM];
    let len = packet.encode(&mut out).unwrap();
    out[..len].to_vec()
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn packets_have_the_documented_bytes() {
    let cases = [
        (
            Packet::Hello {
                client_id: ID,
                cookie: None,
                noise: &NOISE,
            },
            joined(&[&[8, 1, 1, 2, 3, 4, 0], &NOISE]),
        ),
        (
            Packet::Hello {
                client_id: ID,
                cookie: Some(&COOKIE_BYTES),
                noise: &NOISE,
            },
            joined(&[&[8, 1, 1, 2, 3, 4, 16], &COOKIE_BYTES, &NOISE]),
        ),
        (
            Packet::OtherHello {
                version: 2,
                client_id: ID,
            },
            vec![8, 2, 1, 2, 3, 4],
        ),
        (
            Packet::Retry {
                client_id: ID,
                cookie: &COOKIE_BYTES,
            },
            joined(&[&[9, 1, 1, 2, 3, 4], &COOKIE_BYTES]),
        ),
        (
            Packet::VersionMismatch {
                client_id: ID,
                supported: 2,
            },
            vec![9, 2, 1, 2, 3, 4],
        ),
        (
            Packet::Welcome {
                client_id: ID,
                noise: &NOISE,
            },
            joined(&[&[10, 1, 2, 3, 4], &NOISE]),
        ),
        (
            Packet::Data {
                connection_id: ID,
                counter: 0x0506_0708,
                ciphertext: &[9; 16],
            },
            joined(&[&[11, 1, 2, 3, 4, 5, 6, 7, 8], &[9; 16]]),
        ),
        (
            Packet::Reset {
                server_id: ID,
                token: &[7; 16],
            },
            joined(&[&[12, 1, 2, 3, 4], &[7; 16]]),
        ),
    ];
    for (packet, bytes) in cases {
        assert_eq!(encoded(packet), bytes);
        assert_eq!(Packet::parse(&bytes), Ok(packet));
    }
}

#[test]
fn every_shorter_datagram_is_truncated() {
    for packet in [
        Packet::Hello {
            client_id: ID,
            cookie: None,
            noise: &NOISE,
        },
        Packet::Hello {
            client_id: ID,
            cookie: Some(&COOKIE_BYTES),
            noise: &NOISE,
        },
        Packet::Retry {
            client_id: ID,
            cookie: &COOKIE_BYTES,
        },
        Packet::Welcome {
            client_id: ID,
            noise: &NOISE,
        },
        Packet::Data {
            connection_id: ID,
            counter: 5,
            ciphertext: &[9; 16],
        },
        Packet::Reset {
            server_id: ID,
            token: &[7; 16],
        },
    ] {
        let bytes = encoded(packet);
        for len in 1..bytes.len() {
            assert_eq!(
                Packet::parse(&bytes[..len]),
                Err(PacketError::Truncated),
                "{len}"
            );
        }
    }
}

#[test]
fn packets_of_fixed_length_may_not_be_longer() {
    for packet in [
        Packet::Retry {
            client_id: ID,
            cookie: &COOKIE_BYTES,
        },
        Packet::Reset {
            server_id: ID,
            token: &[7; 16],
        },
    ] {
        let mut bytes = encoded(packet);
        bytes.push(0);
        assert_eq!(Packet::parse(&bytes), Err(PacketError::TooLong));
    }
}

#[test]
fn nothing_longer_than_a_datagram_passes() {
    let mut bytes = vec![0; MAX_DATAGRAM + 1];
    bytes[0] = DATA;
    assert_eq!(Packet::parse(&bytes), Err(PacketError::TooLong));
    assert!(Packet::parse(&bytes[..MAX_DATAGRAM]).is_ok());

    let ciphertext = vec![0; MAX_DATAGRAM - DATA_HEADER + 1];
    let packet = Packet::Data {
        connection_id: ID,
        counter: 0,
        ciphertext: &ciphertext,
    };
    assert_eq!(packet.encode(&mut [0; 2000]), Err(EncodeError::TooLong));
}

#[test]
fn other_protocols_are_told_apart() {
    assert_eq!(Packet::parse(&[]), Err(PacketError::NotParlour));
    for first in (0..8).chain(13..=255) {
        assert_eq!(
            Packet::parse(&[first; 100]),
            Err(PacketError::NotParlour),
            "{first}"
        );
    }
}

#[test]
fn a_cookie_has_16_bytes_or_none() {
    let mut bytes = encoded(Packet::Hello {
        client_id: ID,
        cookie: None,
        noise: &NOISE,
    });
    for len in (1..16).chain(17..=255) {
        bytes[6] = len;
        assert_eq!(
            Packet::parse(&bytes),
            Err(PacketError::CookieLength),
            "{len}"
        );
    }
}

#[test]
fn another_version_is_recognised_whatever_follows() {
    let hello = [HELLO, 200, 0, 0, 0, 9, 1, 2, 3];
    let expected = Packet::OtherHello {
        version: 200,
        client_id: ConnectionId(9),
    };
    assert_eq!(Packet::parse(&hello), Ok(expected));
    let retry = [RETRY, 200, 0, 0, 0, 9, 1, 2, 3];
    let expected = Packet::VersionMismatch {
        client_id: ConnectionId(9),
        supported: 200,
    };
    assert_eq!(Packet::parse(&retry), Ok(expected));
}

#[test]
fn answers_to_strangers_do_not_amplify() {
    let hello = Packet::Hello {
        client_id: ID,
        cookie: None,
        noise: &NOISE,
    };
    let retry = Packet::Retry {
        client_id: ID,
        cookie: &COOKIE_BYTES,
    };
    assert!(retry.encoded_len() < hello.encoded_len());
    let other = Packet::OtherHello {
        version: 2,
        client_id: ID,
    };
    let mismatch = Packet::VersionMismatch {
        client_id: ID,
        supported: 1,
    };
    assert!(mismatch.encoded_len() <= other.encoded_len());
    let data = Packet::Data {
        connection_id: ID,
        counter: 0,
        ciphertext: &[0; TAG],
    };
    let reset = Packet::Reset {
        server_id: ID,
        token: &[0; 16],
    };
    assert!(reset.encoded_len() < data.encoded_len());
}

/// Calls `check` with a packet of each kind, of these fields.
fn with_packets(id: u32, number: u32, bytes: &[u8], array: &[u8; 16], check: impl Fn(Packet<'_>)) {
    let client_id = ConnectionId(id);
    let other = if number as u8 == VERSION {
        0
    } else {
        number as u8
    };
    check(Packet::Hello {
        client_id,
        cookie: None,
        noise: bytes,
    });
    check(Packet::Hello {
        client_id,
        cookie: Some(array),
        noise: bytes,
    });
    check(Packet::OtherHello {
        version: other,
        client_id,
    });
    check(Packet::Retry {
        client_id,
        cookie: array,
    });
    check(Packet::VersionMismatch {
        client_id,
        supported: other,
    });
    check(Packet::Welcome {
        client_id,
        noise: bytes,
    });
    check(Packet::Data {
        connection_id: client_id,
        counter: number,
        ciphertext: bytes,
    });
    check(Packet::Reset {
        server_id: client_id,
        token: array,
    });
}

proptest! {
    #[test]
    fn packets_survive_their_encoding(
        id: u32,
        number: u32,
        bytes in prop::collection::vec(any::<u8>(), MIN_NOISE..1177),
        array: [u8; 16],
    ) {
        with_packets(id, number, &bytes, &array, |packet| {
            let datagram = encoded(packet);
            assert_eq!(datagram.len(), packet.encoded_len());
            assert_eq!(Packet::parse(&datagram), Ok(packet));
        });
    }

    #[test]
    fn a_small_buffer_is_refused_untouched(
        bytes in prop::collection::vec(any::<u8>(), MIN_NOISE..100),
        missing in 1usize..100,
    ) {
        with_packets(1, 2, &bytes, &[3; 16], |packet| {
            let needed = packet.encoded_len();
            let mut out = vec![0xaa; needed.saturating_sub(missing)];
            assert_eq!(packet.encode(&mut out), Err(EncodeError::BufferTooSmall { needed }));
            assert!(out.iter().all(|&byte| byte == 0xaa));
        });
    }

    #[test]
    fn what_parses_encodes_to_the_same_bytes(
        kind in 7u8..14,
        version in 0u8..3,
        cookie_length in prop_oneof![Just(0u8), Just(16), any::<u8>()],
        rest in prop::collection::vec(any::<u8>(), 0..1300),
    ) {
        let mut bytes = rest;
        for (index, value) in [(0, kind), (1, version), (6, cookie_length)] {
            if let Some(byte) = bytes.get_mut(index) {
                *byte = value;
            }
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            // Of another version only the first six bytes are read.
            let read = match packet {
                Packet::OtherHello { .. } | Packet::VersionMismatch { .. } => 6,
                _ => bytes.len(),
            };
            prop_assert_eq!(encoded(packet), &bytes[..read]);
        }
    }
}
