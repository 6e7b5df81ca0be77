//! Handshake and transport together: both ends, and the published vectors.

use std::vec;
use std::vec::Vec;
use std::{format, println};

use clatter::bytearray::SensitiveByteArray;
use clatter::crypto::{cipher::ChaChaPoly, dh::X25519, hash::Blake2s};
use clatter::handshakepattern::noise_nk;
use clatter::traits::Handshaker;
use clatter::{KeyPair as ClatterKeyPair, NqHandshakeCore};
use proptest::prelude::*;

use super::test_rng::{FixedRng, TestRng, hex};
use super::*;
use crate::wire::{
    ConnectionId, DATA_HEADER, Frame, FrameWriter, Frames, MAX_DATAGRAM, MAX_PLAINTEXT, MIN_NOISE,
    Packet, TAG,
};

const CLIENT: ConnectionId = ConnectionId(0xc0c1_c2c3);
const SERVER: ConnectionId = ConnectionId(0x5051_5253);

/// Both ends of an association.
fn associate(seed: u64) -> (Transport, Transport) {
    let mut rng = TestRng::new(seed);
    let server = KeyPair::generate(&mut rng);
    let (mut hello, mut welcome, mut payload) = ([0; 200], [0; 200], [0; 200]);
    let (client, len) =
        InitiatorHandshake::start(server.public(), CLIENT, &mut rng, b"join", &mut hello).unwrap();
    let (responder, join) =
        ResponderHandshake::read(&server, CLIENT, &hello[..len], &mut payload).unwrap();
    assert_eq!(join, b"join");
    let (len, at_server) = responder
        .answer(&mut rng, SERVER, b"joined", &mut welcome)
        .unwrap();
    let welcomed = client.finish(&welcome[..len], &mut payload).unwrap();
    assert_eq!(
        (welcomed.server_id, welcomed.payload),
        (SERVER, &b"joined"[..])
    );
    (welcomed.transport, at_server)
}

fn sealed(transport: &mut Transport, plaintext: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; plaintext.len() + DATA_HEADER + TAG];
    datagram[DATA_HEADER..][..plaintext.len()].copy_from_slice(plaintext);
    let len = transport
        .seal(SERVER, plaintext.len(), &mut datagram)
        .unwrap();
    assert_eq!(len, datagram.len());
    datagram
}

#[test]
fn sizes_stay_small() {
    let sizes = [
        ("InitiatorHandshake", size_of::<InitiatorHandshake>(), 256),
        ("ResponderHandshake", size_of::<ResponderHandshake>(), 256),
        ("Transport", size_of::<Transport>(), 256),
        ("CookieJar", size_of::<CookieJar>(), 80),
        ("ResumeTicket", size_of::<ResumeTicket>(), 24),
    ];
    for (name, size, limit) in sizes {
        println!("{name}: {size} bytes");
        assert!(size <= limit, "{name} has grown to {size} bytes");
    }
}

#[test]
fn states_may_move_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<InitiatorHandshake>();
    assert_send::<ResponderHandshake>();
    assert_send::<Transport>();
}

/// A published vector of `Noise_NK_25519_ChaChaPoly_BLAKE2s`.
struct Vector {
    prologue: &'static str,
    static_secret: &'static str,
    static_public: &'static str,
    initiator_ephemeral: &'static str,
    responder_ephemeral: &'static str,
    /// Payload and ciphertext: message 1, message 2, then transport messages from the initiator and the responder in turn.
    messages: &'static [(&'static str, &'static str)],
}

/// From the vectors of the Haskell implementation "cacophony".
const CACOPHONY: Vector = Vector {
    prologue: "4a6f686e2047616c74",
    static_secret: "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    static_public: "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
    initiator_ephemeral: "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    responder_ephemeral: "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
    messages: &[
        (
            "4c756477696720766f6e204d69736573",
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794454ae7612d1724af42adb130160a9a94e67b5b169b4e00c189f6467cd17eb7cad",
        ),
        (
            "4d757272617920526f746862617264",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843986a5c929337e337ac8b4a074af12ab9f76318a5f18c8b599a443af07383ce",
        ),
        (
            "462e20412e20486179656b",
            "550027c7a5d450017bcb5e12b8253b1c53fd2213aeda84891d5f95",
        ),
        (
            "4361726c204d656e676572",
            "dfbce0c38210ccee35e830aca9dd8b8b3997b933e75bfc8864b759",
        ),
        (
            "4a65616e2d426170746973746520536179",
            "4c487a88330c7c65e44d430addf3d92d2a15b081a2892b96693e00b68aec0adac2",
        ),
        (
            "457567656e2042f6686d20766f6e2042617765726b",
            "471cb9f8252d8ae7b25c93f4b4aebdbf25e5baa23f14bc743559e3ef7fd065e69cfaef55ee",
        ),
    ],
};

/// From the vectors of the Rust implementation "snow".
const SNOW: Vector = Vector {
    prologue: "5468657265206973206e6f20726967687420616e642077726f6e672e2054686572652773206f6e6c792066756e20616e6420626f72696e672e",
    static_secret: "7ea1f22fc24e78a6c74c76016792c9f2dfbf56bd6c3d63d64940bf6ea40cf18a",
    static_public: "f4a122c068c5892f37d7cbd6297ab6056f6e5fdf9b127352773b36d1de03ba29",
    initiator_ephemeral: "431bdd0670c8abc40055175ec073c6f12a51e603140dd7df1fad8577b22f9810",
    responder_ephemeral: "0f0f1b1f447501576e8b7aaaa8b273aa0bb2128e289a1a0c3284a1e38dbcbdd9",
    messages: &[
        (
            "5f7b88ef8212931387fecd2baecbc62c5dccc7393d48db361c05fc27154a4e4f",
            "9cf0dc505da507f1816091968e880a5f2ec0ace67c35e514650bab61b3a0395b892accecb9548428376a96ee3879260cd4ba4b1052066de08b4958b2926a5af21eea232d1ff9368f07064ef21029baf6",
        ),
        (
            "a97772d8270843d5ed0713bf16dd7f95da7c204c88662163c355b99e15255cb9",
            "2718fa6e34cc1fc3f8ae561fe68fc42475a8aeaa58f780113f1ca4a6d79703181ea637892b0f01d43eab757eda26cd5ac1fbcd2cf41809b8f4cae3e821e78f627888e457e75bae2cb9d6cc47aacb575e",
        ),
        (
            "480533a221b0582260b4f24fe490d5c433b6fe703e925c55dc7d222f87fe3f1d",
            "672f812f831657548888d57637ae0d8d9e8ae169763eb8ab08a81ba5868a4e0f95827e04e200d08e55c31909ef3171f8",
        ),
        (
            "ef06fccf22ea1bcf74ed18e24dea0651f9d8fb1defb182ddc685a6d5ac5f92c6",
            "2c2c797327d4b95ce86c9d63ebb4a76d7cdae26a29b01fa301393900850b69de52e06bfe0b6452bd6dbeedb9ef606206",
        ),
    ],
};

fn check_vector(vector: &Vector) {
    let prologue = hex(vector.prologue);
    let server = KeyPair::from_secret_bytes(hex(vector.static_secret).try_into().unwrap());
    assert_eq!(server.public().0[..], hex(vector.static_public));
    let [hello, welcome, transport_messages @ ..] = vector.messages else {
        panic!("no handshake in the vector")
    };

    let mut out = [0; 200];
    let (initiator, len) = InitiatorHandshake::start_with_prologue(
        server.public(),
        &prologue,
        &mut FixedRng(hex(vector.initiator_ephemeral)),
        &hex(hello.0),
        &mut out,
    )
    .unwrap();
    assert_eq!(out[..len], hex(hello.1));

    let mut payload = [0; 200];
    let (responder, read) =
        ResponderHandshake::read_with_prologue(&server, &prologue, &hex(hello.1), &mut payload)
            .unwrap();
    assert_eq!(read, hex(hello.0));
    let mut rng = FixedRng(hex(vector.responder_ephemeral));
    let (len, at_responder) = responder
        .answer_raw(&mut rng, &hex(welcome.0), &mut out)
        .unwrap();
    assert_eq!(out[..len], hex(welcome.1));

    let (at_initiator, read) = initiator.finish_raw(&hex(welcome.1), &mut payload).unwrap();
    assert_eq!(read, hex(welcome.0));

    for (index, (plaintext, ciphertext)) in transport_messages.iter().enumerate() {
        let counter = index as u64 / 2;
        let (sender, receiver) = if index.is_multiple_of(2) {
            (&at_initiator, &at_responder)
        } else {
            (&at_responder, &at_initiator)
        };
        assert_eq!(sender.seal_bare(counter, &hex(plaintext)), hex(ciphertext));
        assert_eq!(
            receiver.open_bare(counter, &hex(ciphertext)),
            Some(hex(plaintext))
        );
    }
}

#[test]
fn agrees_with_the_cacophony_vector() {
    check_vector(&CACOPHONY);
}

#[test]
fn agrees_with_the_snow_vector() {
    check_vector(&SNOW);
}

type Plain = NqHandshakeCore<X25519, ChaChaPoly, Blake2s, TestRng>;

fn documented_prologue() -> Vec<u8> {
    [&b"parlour"[..], &[8, 1], &CLIENT.0.to_be_bytes()].concat()
}

#[test]
fn a_plain_noise_library_can_be_the_client() {
    let mut rng = TestRng::new(5);
    let server = KeyPair::generate(&mut rng);
    let rs = Some(server.public().0);
    let mut client = Plain::new(
        noise_nk(),
        &documented_prologue(),
        true,
        None,
        None,
        rs,
        None,
    )
    .unwrap();
    let (mut out, mut payload) = ([0; 500], [0; 500]);
    let len = client.write_message(b"join", &mut out).unwrap();

    let (responder, join) =
        ResponderHandshake::read(&server, CLIENT, &out[..len], &mut payload).unwrap();
    assert_eq!(join, b"join");
    let (len, _) = responder
        .answer(&mut rng, SERVER, b"joined", &mut out)
        .unwrap();

    let len = client.read_message(&out[..len], &mut payload).unwrap();
    assert_eq!(payload[..len], *b"\x50\x51\x52\x53joined");
}

#[test]
fn a_plain_noise_library_can_be_the_server() {
    let mut rng = TestRng::new(6);
    let keys = KeyPair::generate(&mut rng);
    let secret = SensitiveByteArray::new(*keys.secret().expose_bytes());
    let s = Some(ClatterKeyPair::new(keys.public().0, secret));
    let mut server = Plain::new(
        noise_nk(),
        &documented_prologue(),
        false,
        s,
        None,
        None,
        None,
    )
    .unwrap();
    let (mut out, mut payload) = ([0; 500], [0; 500]);
    let (client, len) =
        InitiatorHandshake::start(keys.public(), CLIENT, &mut rng, b"join", &mut out).unwrap();

    let len = server.read_message(&out[..len], &mut payload).unwrap();
    assert_eq!(payload[..len], *b"join");
    let len = server
        .write_message(b"\x50\x51\x52\x53joined", &mut out)
        .unwrap();

    let welcomed = client.finish(&out[..len], &mut payload).unwrap();
    assert_eq!(
        (welcomed.server_id, welcomed.payload),
        (SERVER, &b"joined"[..])
    );
}

#[test]
fn the_longest_payloads_fill_a_datagram() {
    let mut rng = TestRng::new(7);
    let server = KeyPair::generate(&mut rng);
    let (mut noise, mut datagram, mut payload) = ([0; 1200], [0; 1200], [0; 1200]);
    let longest = [1; MAX_HELLO_PAYLOAD];
    let (_, len) =
        InitiatorHandshake::start(server.public(), CLIENT, &mut rng, &longest, &mut noise).unwrap();
    let hello = Packet::Hello {
        client_id: CLIENT,
        cookie: Some(&[0; 16]),
        noise: &noise[..len],
    };
    assert_eq!(hello.encode(&mut datagram), Ok(MAX_DATAGRAM));

    let (responder, _) =
        ResponderHandshake::read(&server, CLIENT, &noise[..len], &mut payload).unwrap();
    let longest = [1; MAX_WELCOME_PAYLOAD];
    let (len, _) = responder
        .answer(&mut rng, SERVER, &longest, &mut noise)
        .unwrap();
    let welcome = Packet::Welcome {
        client_id: CLIENT,
        noise: &noise[..len],
    };
    assert_eq!(welcome.encode(&mut datagram), Ok(MAX_DATAGRAM));

    let too_long = [1; MAX_DATAGRAM];
    let result = InitiatorHandshake::start(
        server.public(),
        CLIENT,
        &mut rng,
        &too_long[..MAX_HELLO_PAYLOAD + 1],
        &mut [0; 2000],
    );
    assert_eq!(result.err(), Some(WriteMessageError::PayloadTooLong));
    let payload = &too_long[..MAX_WELCOME_PAYLOAD + 1];
    let result = responder.answer(&mut rng, SERVER, payload, &mut [0; 2000]);
    assert_eq!(result.err(), Some(WriteMessageError::PayloadTooLong));
}

#[test]
fn handshake_buffers_are_checked() {
    let mut rng = TestRng::new(8);
    let server = KeyPair::generate(&mut rng);
    let mut hello = [0; 52];
    let start = |out: &mut [u8]| {
        InitiatorHandshake::start(server.public(), CLIENT, &mut TestRng::new(1), b"join", out)
    };
    let needed = WriteMessageError::BufferTooSmall { needed: 52 };
    assert_eq!(start(&mut hello[..51]).err(), Some(needed));
    let (client, _) = start(&mut hello).unwrap();

    let read = |out: &mut [u8]| {
        ResponderHandshake::read(&server, CLIENT, &hello, out).map(|(responder, _)| responder)
    };
    let needed = ReadMessageError::BufferTooSmall { needed: 4 };
    assert_eq!(read(&mut [0; 3]).err(), Some(needed));
    let responder = read(&mut [0; 4]).unwrap();

    let needed = WriteMessageError::BufferTooSmall {
        needed: MIN_NOISE + 4 + 2,
    };
    assert_eq!(
        responder
            .answer(&mut rng, SERVER, b"ok", &mut [0; 53])
            .err(),
        Some(needed)
    );
    let mut welcome = [0; 54];
    responder
        .answer(&mut rng, SERVER, b"ok", &mut welcome)
        .unwrap();
    let needed = ReadMessageError::BufferTooSmall { needed: 6 };
    assert_eq!(client.finish(&welcome, &mut [0; 5]).err(), Some(needed));
    assert!(client.finish(&welcome, &mut [0; 6]).is_ok());
}

#[test]
fn a_welcome_without_connection_id_is_refused() {
    let mut rng = TestRng::new(9);
    let server = KeyPair::generate(&mut rng);
    let mut out = [0; 100];
    let (client, len) =
        InitiatorHandshake::start(server.public(), CLIENT, &mut rng, b"", &mut out).unwrap();
    let (responder, _) =
        ResponderHandshake::read(&server, CLIENT, &out[..len], &mut [0; 8]).unwrap();
    let (len, _) = responder.answer_raw(&mut rng, b"abc", &mut out).unwrap();
    let mut payload = [0; 8];
    let result = client.finish(&out[..len], &mut payload);
    assert_eq!(result.err(), Some(ReadMessageError::Truncated));
}

#[test]
fn every_bit_of_a_handshake_message_counts() {
    let mut rng = TestRng::new(10);
    let server = KeyPair::generate(&mut rng);
    let (mut hello, mut welcome, mut payload) = ([0; 52], [0; 54], [0; 8]);
    let (client, _) =
        InitiatorHandshake::start(server.public(), CLIENT, &mut rng, b"join", &mut hello).unwrap();
    let (responder, _) = ResponderHandshake::read(&server, CLIENT, &hello, &mut payload).unwrap();
    responder
        .answer(&mut rng, SERVER, b"ok", &mut welcome)
        .unwrap();

    for bit in 0..hello.len() * 8 {
        let mut altered = hello;
        altered[bit / 8] ^= 1 << (bit % 8);
        let result = ResponderHandshake::read(&server, CLIENT, &altered, &mut payload);
        assert_eq!(result.err(), Some(ReadMessageError::Rejected), "bit {bit}");
    }
    for bit in 0..welcome.len() * 8 {
        let mut altered = welcome;
        altered[bit / 8] ^= 1 << (bit % 8);
        let result = client.finish(&altered, &mut payload);
        assert_eq!(result.err(), Some(ReadMessageError::Rejected), "bit {bit}");
    }
    // After all those forgeries the true Welcome is still accepted.
    assert!(client.finish(&welcome, &mut payload).is_ok());
}

#[test]
fn a_hello_is_bound_to_its_connection_id_and_its_server() {
    let mut rng = TestRng::new(11);
    let server = KeyPair::generate(&mut rng);
    let mut hello = [0; 52];
    InitiatorHandshake::start(server.public(), CLIENT, &mut rng, b"join", &mut hello).unwrap();
    let mut payload = [0; 4];
    let other_id = ConnectionId(CLIENT.0 ^ 1);
    let result = ResponderHandshake::read(&server, other_id, &hello, &mut payload);
    assert_eq!(result.err(), Some(ReadMessageError::Rejected));
    let other_server = KeyPair::generate(&mut rng);
    let result = ResponderHandshake::read(&other_server, CLIENT, &hello, &mut payload);
    assert_eq!(result.err(), Some(ReadMessageError::Rejected));
}

#[test]
fn a_hello_is_recognised_by_its_ephemeral_key() {
    let mut rng = TestRng::new(12);
    let server = KeyPair::generate(&mut rng);
    let (mut first, mut second) = ([0; 52], [0; 52]);
    InitiatorHandshake::start(server.public(), CLIENT, &mut rng, b"join", &mut first).unwrap();
    InitiatorHandshake::start(server.public(), CLIENT, &mut rng, b"join", &mut second).unwrap();
    assert_eq!(
        ephemeral_key(&first),
        Some(PublicKey(*first.first_chunk().unwrap()))
    );
    assert_ne!(ephemeral_key(&first), ephemeral_key(&second));
    assert_eq!(ephemeral_key(&first[..31]), None);
}

#[test]
fn frames_travel_both_ways_in_place() {
    let (mut client, mut server) = associate(1);
    for counter in 0..3 {
        send_ping(&mut client, &mut server, SERVER, counter);
        send_ping(&mut server, &mut client, CLIENT, counter);
    }
}

fn send_ping(from: &mut Transport, to: &mut Transport, receiver: ConnectionId, expected: u64) {
    let mut datagram = [0; MAX_DATAGRAM];
    let mut writer = FrameWriter::in_datagram(&mut datagram);
    writer.push(&Frame::Ping { nonce: 7 }).unwrap();
    let len = writer.len();
    let len = from.seal(receiver, len, &mut datagram).unwrap();
    assert_eq!(from.sent(), expected + 1);

    let Ok(Packet::Data {
        connection_id,
        counter,
        ..
    }) = Packet::parse(&datagram[..len])
    else {
        panic!("not a Data packet")
    };
    assert_eq!((connection_id, u64::from(counter)), (receiver, expected));

    let opened = to.open(&mut datagram[..len]).unwrap();
    assert_eq!((opened.counter, opened.is_newest), (expected, true));
    let frames: Vec<_> = Frames::new(opened.plaintext).collect();
    assert_eq!(frames, [Ok(Frame::Ping { nonce: 7 })]);
}

#[test]
fn an_end_does_not_open_its_own_packets() {
    let (mut client, _) = associate(2);
    let mut datagram = sealed(&mut client, b"frames");
    assert_eq!(client.open(&mut datagram), Err(OpenError::Forged));
}

#[test]
fn a_forgery_changes_nothing() {
    let (mut client, mut server) = associate(3);
    let first = sealed(&mut client, b"first");
    for bit in 0..first.len() * 8 {
        let mut altered = first.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 8 {
            OpenError::NotData
        } else {
            OpenError::Forged
        };
        assert_eq!(server.open(&mut altered), Err(expected), "bit {bit}");
    }
    let opened = server.open(&mut first.clone()).unwrap().counter;
    assert_eq!(opened, 0);
    assert_eq!(server.open(&mut first.clone()), Err(OpenError::Replayed));
}

#[test]
fn datagrams_of_the_wrong_length_are_no_data() {
    let (mut client, mut server) = associate(4);
    let datagram = sealed(&mut client, b"");
    assert_eq!(datagram.len(), 25);
    for len in 0..25 {
        assert_eq!(
            server.open(&mut datagram.clone()[..len]),
            Err(OpenError::NotData)
        );
    }
    assert_eq!(
        server.open(&mut [11; MAX_DATAGRAM + 1]),
        Err(OpenError::NotData)
    );
    assert!(
        server
            .open(&mut datagram.clone())
            .unwrap()
            .plaintext
            .is_empty()
    );
}

#[test]
fn what_cannot_be_sealed_costs_no_counter() {
    let (mut client, mut server) = associate(5);
    let mut buffer = [0xaa; 2000];
    for (len, room, error) in [
        (MAX_PLAINTEXT + 1, 2000, SealError::TooLong),
        (usize::MAX, 2000, SealError::TooLong),
        (10, 34, SealError::BufferTooSmall),
        (0, 0, SealError::BufferTooSmall),
    ] {
        assert_eq!(client.seal(SERVER, len, &mut buffer[..room]), Err(error));
    }
    assert!(buffer.iter().all(|&byte| byte == 0xaa));
    assert_eq!(client.sent(), 0);
    assert_eq!(
        client.seal(SERVER, MAX_PLAINTEXT, &mut buffer),
        Ok(MAX_DATAGRAM)
    );
    let opened = server.open(&mut buffer[..MAX_DATAGRAM]).unwrap();
    assert_eq!(
        (opened.counter, opened.plaintext),
        (0, &mut [0xaa; MAX_PLAINTEXT][..])
    );
}

#[test]
fn counters_end_before_the_one_that_noise_reserves() {
    let (mut client, mut server) = associate(6);
    client.skip_to(u64::MAX - 1);
    server.expect(u64::MAX - 1);
    let mut last = sealed(&mut client, b"last");
    assert_eq!(server.open(&mut last).unwrap().counter, u64::MAX - 1);
    let mut buffer = [0; 100];
    assert_eq!(
        client.seal(SERVER, 4, &mut buffer),
        Err(SealError::Exhausted)
    );
    assert_eq!(buffer, [0; 100]);
    // The receiver has no next counter left to guess: no arithmetic may overflow.
    for low in [0, 1, u32::MAX - 1, u32::MAX] {
        let mut forged = [0; 30];
        forged[0] = 11;
        forged[5..9].copy_from_slice(&low.to_be_bytes());
        assert!(server.open(&mut forged).is_err());
    }
}

#[test]
fn keys_ask_to_be_replaced() {
    let (mut client, mut server) = associate(7);
    client.skip_to(REKEY_AFTER_PACKETS - 1);
    assert!(!client.needs_rekey());
    let mut datagram = sealed(&mut client, b"frames");
    assert!(client.needs_rekey());
    server.expect(REKEY_AFTER_PACKETS - 1);
    assert!(!server.needs_rekey());
    server.open(&mut datagram).unwrap();
    assert!(server.needs_rekey());
}

#[test]
fn the_counter_survives_the_end_of_its_32_bits() {
    let (mut client, mut server) = associate(8);
    let start = (5 << 32) - 3;
    client.skip_to(start);
    server.expect(start);
    let mut datagrams: Vec<_> = (0..6).map(|_| sealed(&mut client, b"frames")).collect();
    for index in [1, 0, 4, 2, 5, 3] {
        let opened = server.open(&mut datagrams[index]).unwrap();
        assert_eq!(opened.counter, start + index as u64);
    }
}

#[test]
fn states_print_no_secrets() {
    let mut rng = TestRng::new(13);
    let server = KeyPair::generate(&mut rng);
    let mut hello = [0; 48];
    let (client, _) =
        InitiatorHandshake::start(server.public(), CLIENT, &mut rng, b"", &mut hello).unwrap();
    let (responder, _) = ResponderHandshake::read(&server, CLIENT, &hello, &mut []).unwrap();
    assert_eq!(format!("{client:?}"), "InitiatorHandshake(..)");
    assert_eq!(format!("{responder:?}"), "ResponderHandshake(..)");
    assert_eq!(
        format!("{:?}", associate(1).0),
        "Transport { sent: 0, received: 0, .. }"
    );
}

proptest! {
    #[test]
    fn handshake_messages_of_any_bytes_are_refused(
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let server = KeyPair::from_secret_bytes([3; 32]);
        let expected = if noise.len() < MIN_NOISE {
            ReadMessageError::Truncated
        } else {
            ReadMessageError::Rejected
        };
        let mut payload = [0; 200];
        let result = ResponderHandshake::read(&server, CLIENT, &noise, &mut payload);
        prop_assert_eq!(result.err(), Some(expected));
        let mut hello = [0; 48];
        let (client, _) = InitiatorHandshake::start(
            server.public(), CLIENT, &mut TestRng::new(1), b"", &mut hello,
        ).unwrap();
        prop_assert_eq!(client.finish(&noise, &mut payload).err(), Some(expected));
    }

    #[test]
    fn datagrams_of_any_bytes_are_refused(
        is_data: bool,
        mut bytes in prop::collection::vec(any::<u8>(), 0..1300),
    ) {
        let (_, mut server) = associate(9);
        if let (true, Some(first)) = (is_data, bytes.first_mut()) {
            *first = 11;
        }
        prop_assert!(server.open(&mut bytes).is_err());
    }

    /// Loss, reordering and duplication: each packet is opened once, with its own counter and contents.
    #[test]
    fn a_bad_network_delivers_each_packet_once_at_most(
        deliveries in prop::collection::vec(0usize..40, 0..120),
        start in prop_oneof![0u64..10, u64::from(u32::MAX) - 20..u64::from(u32::MAX) + 20],
    ) {
        let (mut client, mut server) = associate(10);
        client.skip_to(start);
        server.expect(start);
        let datagrams: Vec<_> = (0..40u8).map(|index| sealed(&mut client, &[index; 9])).collect();
        let mut delivered = std::collections::BTreeSet::new();
        for index in deliveries {
            let newest = delivered.last().is_none_or(|&highest| index > highest);
            let mut datagram = datagrams[index].clone();
            let result = server.open(&mut datagram);
            if delivered.insert(index) {
                let opened = result.unwrap();
                prop_assert_eq!(opened.counter, start + index as u64);
                prop_assert_eq!(opened.is_newest, newest);
                prop_assert_eq!(&*opened.plaintext, &[index as u8; 9][..]);
            } else {
                prop_assert_eq!(result, Err(OpenError::Replayed));
            }
        }
    }
}
