//! Our handshake and our packets against `snow`, an independent implementation of Noise, in both roles.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use parlour_core::secure::{InitiatorHandshake, KeyPair, ResponderHandshake, Transport};
use parlour_core::wire::ConnectionId;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

const CLIENT: ConnectionId = ConnectionId(0xc0c1_c2c3);
const SERVER: ConnectionId = ConnectionId(0x5051_5253);
/// docs/PROTOCOL.md, section 3.1.
const PROLOGUE: &[u8] = b"parlour\x08\x01\xc0\xc1\xc2\xc3";

fn builder() -> snow::Builder<'static> {
    let name = "Noise_NK_25519_ChaChaPoly_BLAKE2s";
    let builder = snow::Builder::new(name.parse().unwrap());
    builder.prologue(PROLOGUE).unwrap()
}

/// Packets of `transport` are sealed and opened with these keys, as section 3.2 says.
fn check_packets(transport: &mut Transport, sends_with: [u8; 32], receives_with: [u8; 32]) {
    let nonce = |counter: u64| {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter.to_le_bytes());
        nonce
    };
    let sending = ChaCha20Poly1305::new(&sends_with.into());
    let receiving = ChaCha20Poly1305::new(&receives_with.into());
    for counter in 0..3u64 {
        let mut datagram = [0; 100];
        datagram[9..14].copy_from_slice(b"hello");
        let len = transport.seal(SERVER, 5, &mut datagram).unwrap();
        let header = [
            &b"\x0b\x50\x51\x52\x53"[..],
            &(counter as u32).to_be_bytes(),
        ]
        .concat();
        assert_eq!(datagram[..9], header);
        let (msg, aad) = (&datagram[9..len], &header[..]);
        let opened = sending.decrypt(&nonce(counter).into(), Payload { msg, aad });
        assert_eq!(opened.unwrap(), b"hello");

        let payload = Payload {
            msg: b"answer",
            aad: &header,
        };
        let sealed = receiving.encrypt(&nonce(counter).into(), payload).unwrap();
        let mut datagram = [header, sealed].concat();
        assert_eq!(transport.open(&mut datagram).unwrap().plaintext, b"answer");
    }
}

#[test]
fn snow_joins_our_server() {
    let mut rng = ChaCha12Rng::seed_from_u64(5);
    let keys = KeyPair::generate(&mut rng);
    let builder = builder().remote_public_key(&keys.public().0).unwrap();
    let mut client = builder.build_initiator().unwrap();
    let (mut message, mut payload) = ([0; 500], [0; 500]);
    let len = client.write_message(b"join", &mut message).unwrap();

    let (server, join) =
        ResponderHandshake::read(&keys, CLIENT, &message[..len], &mut payload).unwrap();
    assert_eq!(join, b"join");
    let (len, mut transport) = server
        .answer(&mut rng, SERVER, b"joined", &mut message)
        .unwrap();

    let len = client.read_message(&message[..len], &mut payload).unwrap();
    assert_eq!(payload[..len], *b"\x50\x51\x52\x53joined");
    let (to_server, to_client) = client.dangerously_get_raw_split();
    check_packets(&mut transport, to_client, to_server);
}

#[test]
fn our_client_joins_snow() {
    let mut rng = ChaCha12Rng::seed_from_u64(6);
    let keys = KeyPair::generate(&mut rng);
    let builder = builder()
        .local_private_key(keys.secret().expose_bytes())
        .unwrap();
    let mut server = builder.build_responder().unwrap();
    let (mut message, mut payload) = ([0; 500], [0; 500]);
    let (client, len) =
        InitiatorHandshake::start(keys.public(), CLIENT, &mut rng, b"join", &mut message).unwrap();

    let len = server.read_message(&message[..len], &mut payload).unwrap();
    assert_eq!(payload[..len], *b"join");
    let answer = b"\x50\x51\x52\x53joined";
    let len = server.write_message(answer, &mut message).unwrap();

    let mut welcomed = client.finish(&message[..len], &mut payload).unwrap();
    assert_eq!(
        (welcomed.server_id, welcomed.payload),
        (SERVER, &b"joined"[..])
    );
    let (to_server, to_client) = server.dangerously_get_raw_split();
    check_packets(&mut welcomed.transport, to_server, to_client);
}

#[test]
fn a_server_with_another_key_gets_nothing_out() {
    let mut rng = ChaCha12Rng::seed_from_u64(7);
    let (meant, other) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    let mut message = [0; 500];
    let (client, len) =
        InitiatorHandshake::start(meant.public(), CLIENT, &mut rng, b"join", &mut message).unwrap();
    let builder = builder()
        .local_private_key(other.secret().expose_bytes())
        .unwrap();
    let mut impostor = builder.build_responder().unwrap();
    let mut payload = [0; 500];
    assert!(
        impostor
            .read_message(&message[..len], &mut payload)
            .is_err()
    );
    // Nor can it answer in the other's name.
    let mut ours = [0; 500];
    let read = ResponderHandshake::read(&other, CLIENT, &message[..len], &mut ours);
    assert!(read.is_err());
    assert!(client.finish(&message[..len], &mut payload).is_err());
}
