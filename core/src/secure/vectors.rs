//! A whole exchange with its keys, against `core/vectors/exchange.hex`.
//!
//! The test compares our handshake and transport with a plain Noise handshake and a plain ChaCha20-Poly1305 under the
//! same keys, so that the file defines the protocol and not only this code.

use alloc::vec;
use alloc::vec::Vec;

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use clatter::crypto::cipher::ChaChaPoly;
use clatter::crypto::hash::Blake2s;
use clatter::symmetricstate::SymmetricState;

use super::test_rng::FixedRng;
use super::{InitiatorHandshake, KeyPair, ResponderHandshake, Transport};
use crate::room::{Codec, Grants, ParticipantId, SessionId, StreamKey, StreamKind, Version};
use crate::rtp::{AudioLevel, RtpHeader, RtpPacket};
use crate::signal::{
    Answer, Join, Joined, MAX_MESSAGE, Message, Publish, Secret, ServerMessage, SubscribePolicy,
    encode,
};
use crate::vectors::{Vector, check};
use crate::wire::{ConnectionId, DATA_HEADER, Frame, FrameWriter, MAX_DATAGRAM, Packet, TAG};

const CLIENT: ConnectionId = ConnectionId(0x0102_0304);
const SERVER: ConnectionId = ConnectionId(0x0506_0708);
const COOKIE: [u8; 16] = [0xcc; 16];
const SLOT_SSRC: u32 = 0x0000_1000;
const STREAM_SSRC: u32 = 0x0000_2000;

fn secret(first: u8) -> [u8; 32] {
    core::array::from_fn(|index| first + index as u8)
}

fn message(message: &impl Message) -> Vec<u8> {
    let mut buffer = [0; MAX_MESSAGE];
    let len = encode(message, &mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn datagram(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len()];
    packet.encode(&mut bytes).unwrap();
    bytes
}

/// The state of `Noise_NK` before the first message, by its specification.
fn noise(prologue: &[u8], server: &KeyPair) -> SymmetricState<ChaChaPoly, Blake2s> {
    let mut symmetric = SymmetricState::new("Noise_NK_25519_ChaChaPoly_BLAKE2s");
    symmetric.mix_hash(prologue);
    symmetric.mix_hash(&server.public().0);
    symmetric
}

/// `e`, then `es` or `ee`, then the payload.
fn noise_message(
    symmetric: &mut SymmetricState<ChaChaPoly, Blake2s>,
    ephemeral: &KeyPair,
    peer: &KeyPair,
    payload: &[u8],
) -> Vec<u8> {
    let public = ephemeral.public().0;
    symmetric.mix_hash(&public);
    symmetric.mix_key(&*ephemeral.secret().diffie_hellman(peer.public()));
    let mut ciphertext = vec![0; payload.len() + TAG];
    symmetric
        .encrypt_and_hash(payload, &mut ciphertext)
        .unwrap();
    [&public[..], &ciphertext].concat()
}

/// The first Data packet of one direction, with all its inputs.
fn data_vector(
    name: &str,
    transport: &mut Transport,
    key: &[u8; 32],
    to: ConnectionId,
    frames: &[Frame<'_>],
    meaning: &str,
) -> Vector {
    let mut buffer = [0; MAX_DATAGRAM];
    let mut writer = FrameWriter::in_datagram(&mut buffer);
    for frame in frames {
        writer.push(frame).unwrap();
    }
    let len = writer.len();
    let plaintext = buffer[DATA_HEADER..][..len].to_vec();
    let len = transport.seal(to, len, &mut buffer).unwrap();
    let (header, sealed) = buffer[..len].split_at(DATA_HEADER);

    let nonce = [0; 12];
    let mut plain = plaintext.clone();
    let tag = ChaCha20Poly1305::new(key.into())
        .encrypt_in_place_detached(Nonce::from_slice(&nonce), header, &mut plain)
        .unwrap();
    plain.extend_from_slice(&tag);
    assert_eq!(plain, sealed, "{name}");
    Vector::new(
        name,
        &[
            (&plaintext, meaning),
            (&nonce, "nonce: the counter is 0"),
            (header, "associated data, and the start of the packet"),
            (sealed, "ciphertext and tag, the rest of the packet"),
        ],
    )
}

#[test]
fn exchange_vectors_match() {
    let server = KeyPair::from_secret_bytes(secret(0x00));
    let client_ephemeral = KeyPair::from_secret_bytes(secret(0x20));
    let server_ephemeral = KeyPair::from_secret_bytes(secret(0x40));
    let prologue = [&b"parlour"[..], &[8, 1], &CLIENT.0.to_be_bytes()].concat();

    let mic = StreamKey::new("mic").unwrap();
    let publish = Publish {
        key: mic,
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        muted: false,
    };
    let join = message(&Join {
        token: Secret("ey.J.x"),
        participants: 8,
        slots: 1,
        policy: SubscribePolicy::All,
        publish: [publish].into_iter().collect(),
        resume: None,
    });
    let joined = message(&Answer::Joined(Joined {
        participant: ParticipantId::new("anna").unwrap(),
        session: SessionId([0x55; 16]),
        grants: Grants::PARTICIPANT,
        resumed: false,
        slot_ssrc: SLOT_SSRC,
        streams: [Ok(STREAM_SSRC)].into_iter().collect(),
        policy_refused: None,
        resume_ticket: Secret([0x11; 24]),
        reset_token: Secret([0x22; 16]),
        keepalive: 10,
        grace: 30,
    }));

    // Our own handshake, from both ends.
    let mut buffer = [0; MAX_DATAGRAM];
    let mut rng = FixedRng(secret(0x20).to_vec());
    let (initiator, len) =
        InitiatorHandshake::start(server.public(), CLIENT, &mut rng, &join, &mut buffer).unwrap();
    let noise_1 = buffer[..len].to_vec();
    let mut payload = [0; MAX_DATAGRAM];
    let (responder, read) =
        ResponderHandshake::read(&server, CLIENT, &noise_1, &mut payload).unwrap();
    assert_eq!(read, join);
    let answer = |answer: &[u8]| {
        let mut rng = FixedRng(secret(0x40).to_vec());
        let mut buffer = [0; MAX_DATAGRAM];
        let (len, transport) = responder
            .answer(&mut rng, SERVER, answer, &mut buffer)
            .unwrap();
        (buffer[..len].to_vec(), transport)
    };
    let (noise_2, mut at_server) = answer(&joined);
    let welcomed = initiator.finish(&noise_2, &mut payload).unwrap();
    assert_eq!((welcomed.server_id, welcomed.payload), (SERVER, &*joined));
    let mut at_client = welcomed.transport;
    let elsewhere = message(&Answer::Redirect("192.0.2.1:7900".parse().unwrap()));
    let (noise_redirect, _) = answer(&elsewhere);

    // The same by Noise alone.
    let mut symmetric = noise(&prologue, &server);
    let plain_1 = noise_message(&mut symmetric, &client_ephemeral, &server, &join);
    assert_eq!(plain_1, noise_1);
    let with_id = |payload: &[u8]| [&SERVER.0.to_be_bytes()[..], payload].concat();
    let (mut redirecting, peer) = (symmetric.clone(), &client_ephemeral);
    let plain_2 = noise_message(&mut symmetric, &server_ephemeral, peer, &with_id(&joined));
    assert_eq!(plain_2, noise_2);
    let redirect = with_id(&elsewhere);
    let plain_redirect = noise_message(&mut redirecting, &server_ephemeral, peer, &redirect);
    assert_eq!(plain_redirect, noise_redirect);
    let keys = symmetric.split().unwrap();
    let (up, _) = keys.initiator_to_responder.take();
    let (down, _) = keys.responder_to_initiator.take();

    let hello = |cookie| Packet::Hello {
        client_id: CLIENT,
        cookie,
        noise: &noise_1,
    };
    let welcome = |noise| Packet::Welcome {
        client_id: CLIENT,
        noise,
    };
    let retry = Packet::Retry {
        client_id: CLIENT,
        cookie: &COOKIE,
    };
    let snapshot = message(&ServerMessage::SnapshotBegin {
        version: Version::default(),
    });
    let ping = Frame::Ping { nonce: 0x0a0b_0c0d };
    let begin = Frame::Signal {
        sequence: 0,
        message: &snapshot,
    };
    let vectors = [
        Vector::new(
            "keys",
            &[
                (server.secret().expose_bytes(), "server's static secret"),
                (&server.public().0, "its public key, as in the ticket"),
                (
                    client_ephemeral.secret().expose_bytes(),
                    "participant's ephemeral secret",
                ),
                (&client_ephemeral.public().0, "its public key"),
                (
                    server_ephemeral.secret().expose_bytes(),
                    "server's ephemeral secret",
                ),
                (&server_ephemeral.public().0, "its public key"),
            ],
        ),
        Vector::new("prologue", &[(&prologue, "\"parlour\", 8, 1, client id")]),
        Vector::new("payload of Noise message 1", &[(&join, "Join")]),
        Vector::new(
            "Hello",
            &[(&datagram(&hello(None)), "with Noise message 1 from byte 7")],
        ),
        Vector::new(
            "payload of Noise message 2",
            &[
                (&SERVER.0.to_be_bytes(), "server's connection id"),
                (&joined, "Answer: Joined"),
            ],
        ),
        Vector::new(
            "Welcome",
            &[(
                &datagram(&welcome(&noise_2)),
                "with Noise message 2 from byte 5",
            )],
        ),
        Vector::new(
            "keys of Data packets",
            &[
                (&*up, "participant to server"),
                (&*down, "server to participant"),
            ],
        ),
        data_vector(
            "first Data packet of the participant",
            &mut at_client,
            &up,
            SERVER,
            &[ping],
            "frames: a Ping, as there is nothing else to say",
        ),
        data_vector(
            "first Data packet of the server",
            &mut at_server,
            &down,
            CLIENT,
            &[Frame::Pong { nonce: 0x0a0b_0c0d }, begin],
            "frames: the Pong, and Signal 0: SnapshotBegin of version 0",
        ),
        Vector::new(
            "a busy server: Retry to the Hello above",
            &[(&datagram(&retry), "with a cookie")],
        ),
        Vector::new(
            "a busy server: the Hello again",
            &[(
                &datagram(&hello(Some(&COOKIE))),
                "with the cookie, and the same Noise message 1 from byte 23",
            )],
        ),
        Vector::new(
            "a redirect: payload of Noise message 2",
            &[
                (&SERVER.0.to_be_bytes(), "a connection id, of no use here"),
                (&elsewhere, "Answer: Redirect to 192.0.2.1:7900"),
            ],
        ),
        Vector::new(
            "a redirect: Welcome to the Hello above",
            &[(
                &datagram(&welcome(&noise_redirect)),
                "with Noise message 2 from byte 5",
            )],
        ),
        slot_packet(),
    ];
    let about = "A whole exchange, to be computed again from its keys. The cookie, the tickets and the token are made up.";
    check("exchange.hex", about, &vectors);
}

/// An RTP packet as a receiver gets it in its first slot.
fn slot_packet() -> Vector {
    let fields: [(&[u8], &str); 9] = [
        (&[0x91], "version 2, an extension, one CSRC"),
        (
            &[0xef],
            "marker: another stream has the slot; payload type 111",
        ),
        (&[0x12, 0x34], "sequence number of the slot"),
        (&[0x00, 0x00, 0x03, 0xc0], "timestamp, of 48 kHz"),
        (&[0x00, 0x00, 0x10, 0x00], "SSRC: slot 0"),
        (&[0x00, 0x00, 0x20, 0x00], "CSRC: the stream that is heard"),
        (&[0xbe, 0xde, 0x00, 0x01], "extension of RFC 8285, one word"),
        (
            &[0x10, 0x9e, 0x00, 0x00],
            "element 1: voice, level 30; padding",
        ),
        (&[0xf8, 0xff, 0xfe], "payload"),
    ];
    let slot = Vector::new("RTP packet of a slot", &fields);
    let header = RtpHeader {
        marker: true,
        payload_type: 111,
        sequence: 0x1234,
        timestamp: 960,
        ssrc: SLOT_SSRC,
        csrcs: &[STREAM_SSRC],
        audio_level: Some(AudioLevel {
            voice: true,
            level: 30,
        }),
    };
    let mut buffer = [0; 100];
    let len = header.write(&[0xf8, 0xff, 0xfe], &mut buffer).unwrap();
    assert_eq!(buffer[..len], slot.bytes());
    let packet = RtpPacket::parse(&buffer[..len]).unwrap();
    assert!(packet.csrcs().eq([STREAM_SSRC]));
    slot
}
