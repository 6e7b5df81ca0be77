//! Secrets that must not stay in memory, and that must not be printed.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt::Debug;

use parlour_core::client::{Client, Commands as _, Config, Small};
use parlour_core::room::{Grants, ParticipantId, SessionId};
use parlour_core::secure::{
    InitiatorHandshake, KeyPair, ResetKey, ResetToken, ResponderHandshake, ResumeTicket, SecretKey,
    Transport,
};
use parlour_core::signal::{Answer, Join, Joined, Operation, Request, RequestId, Resume, Secret};
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use parlour_core::wire::ConnectionId;
use parlour_tests::{Options, World};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use zeroize::ZeroizeOnDrop;

use crate::s;

const TOKEN: &str = "token-that-nobody-may-see";
const BYTE: u8 = 0xd3;

/// The number of bytes of `value` that are not 0: while it lives, and after it was dropped in place.
fn bytes_left<T>(value: T) -> (usize, usize) {
    let layout = Layout::new::<T>();
    // SAFETY: the place has the layout of `T`, is written once, read as bytes (the types below have no
    // padding), dropped once, and given back.
    unsafe {
        let place = alloc_zeroed(layout);
        assert!(!place.is_null());
        let count = || {
            let bytes = (0..layout.size()).map(|index| place.add(index).read_volatile());
            bytes.filter(|byte| *byte != 0).count()
        };
        place.cast::<T>().write(value);
        let before = count();
        place.cast::<T>().drop_in_place();
        let after = count();
        dealloc(place, layout);
        (before, after)
    }
}

fn rng() -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(1)
}

/// A handshake at both ends, and its results.
fn handshake() -> (InitiatorHandshake, ResponderHandshake, Transport, Transport) {
    let mut rng = rng();
    let keys = KeyPair::generate(&mut rng);
    let id = ConnectionId(1);
    let (mut noise, mut payload) = ([0; 500], [0; 500]);
    let (client, len) =
        InitiatorHandshake::start(keys.public(), id, &mut rng, b"join", &mut noise).unwrap();
    let (server, _) = ResponderHandshake::read(&keys, id, &noise[..len], &mut payload).unwrap();
    let (len, at_server) = server.answer(&mut rng, id, b"joined", &mut noise).unwrap();
    let at_client = client
        .finish(&noise[..len], &mut payload)
        .unwrap()
        .transport;
    (client, server, at_client, at_server)
}

#[test]
fn keys_are_wiped_when_dropped() {
    fn wiped<T: ZeroizeOnDrop>(value: T) -> (usize, usize) {
        bytes_left(value)
    }
    let mut bytes = [0; 32];
    rng().fill_bytes(&mut bytes);
    let secret = SecretKey::from_bytes(bytes);
    let reset_key = ResetKey::derive(&secret, 7);
    let token = reset_key.token(ConnectionId(5));
    let all = [
        wiped(secret),
        wiped(reset_key),
        wiped(token),
        wiped(ResetToken::from_bytes([BYTE; 16])),
        wiped(ResumeTicket::from_bytes([BYTE; 24])),
    ];
    for (number, (before, after)) in all.into_iter().enumerate() {
        assert!(before >= 14, "number {number} was never there");
        assert_eq!(after, 0, "bytes of number {number} are left");
    }
}

#[test]
fn keys_of_associations_and_handshakes_are_wiped_when_dropped() {
    let (client, server, at_client, at_server) = handshake();
    // Of a random byte one in 256 is 0 anyway. Two keys; counters and the window need not go.
    for transport in [at_client, at_server] {
        let (before, after) = bytes_left(transport);
        assert!(
            before >= 60 && before - after >= 60,
            "{before}, then {after}"
        );
        assert!(after <= 8, "{after} bytes are left");
    }
    // The chaining key, the key, and the client's ephemeral secret. Public keys may stay.
    let (before, after) = bytes_left(client);
    assert!(before - after >= 90, "{before}, then {after}");
    let (before, after) = bytes_left(server);
    assert!(before - after >= 60, "{before}, then {after}");
}

/// Neither as text nor as a list of bytes, nor a key that follows from the seed of the test's generator.
fn assert_silent(value: &dyn Debug) {
    let printed = format!("{value:?} {value:#?}");
    let byte = BYTE.to_string();
    assert!(!printed.contains(TOKEN), "{printed}");
    assert!(!printed.contains(&format!("{byte}, {byte}")), "{printed}");
    assert!(!printed.contains("d3d3"), "{printed}");
    let numbers = printed.split(|c: char| !c.is_ascii_digit() && c != ',' && c != ' ');
    let longest = numbers.map(|list| list.matches(',').count()).max();
    assert!(longest < Some(12), "a list of bytes: {printed}");
}

#[test]
fn debug_shows_no_secret() {
    let (client, server, at_client, at_server) = handshake();
    for state in [&client as &dyn Debug, &server, &at_client, &at_server] {
        assert_silent(state);
    }
    let secret = SecretKey::from_bytes([BYTE; 32]);
    let reset_key = ResetKey::derive(&secret, 7);
    let keys = KeyPair::from_secret(secret.clone());
    let printed = format!("{keys:?}");
    assert!(printed.contains("SecretKey(..)"), "{printed}");
    let ticket = Ticket {
        host: "192.0.2.1",
        port: 7900,
        server_key: *keys.public(),
        token: TOKEN,
    };
    assert!(!format!("{ticket:?}").contains(TOKEN));
    for secret in [
        &secret as &dyn Debug,
        &reset_key,
        &reset_key.token(ConnectionId(1)),
        &ResetToken::from_bytes([BYTE; 16]),
        &ResumeTicket::from_bytes([BYTE; 24]),
    ] {
        assert_silent(secret);
    }
    let resume = Some(Resume {
        ticket: Secret([BYTE; 24]),
        version: None,
    });
    let join = Join {
        token: Secret(TOKEN),
        participants: 1,
        slots: 0,
        policy: Default::default(),
        publish: Default::default(),
        resume,
    };
    let joined = Joined {
        participant: ParticipantId::new("alice").unwrap(),
        session: SessionId([0; 16]),
        grants: Grants::all(),
        resumed: false,
        slot_ssrc: 0,
        streams: Default::default(),
        policy_refused: None,
        resume_ticket: Secret([BYTE; 24]),
        reset_token: Secret([BYTE; 16]),
        keepalive: 0,
        grace: 0,
    };
    let printed = format!("{joined:?}");
    assert!(!printed.contains("211, 211"), "{printed}");
    let waiting = Answer::Waiting {
        reset_token: Secret([BYTE; 16]),
        keepalive: 0,
        resume_ticket: Secret([BYTE; 24]),
    };
    let request = Request {
        id: RequestId(1),
        operation: Operation::RefreshToken {
            token: Secret(TOKEN),
        },
    };
    for message in [&join as &dyn Debug, &waiting, &request] {
        assert_silent(message);
    }
    let now = Instant::from_micros(0);
    let client = Client::<Small>::new(&ticket, &Config::default(), now, &mut rng()).unwrap();
    assert_silent(&client);
}

#[test]
fn what_a_server_tells_and_is_shows_no_secret() {
    let mut world = World::new("what_a_server_tells_and_is_shows_no_secret");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let fresh = "green/alice?expires=600";
    world
        .ask(alice, |device| device.refresh_token(fresh))
        .unwrap();
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    let tokens = ["green/alice", "expires=600"];
    let mut printed = format!("{:?}", world.server());
    printed += &format!("{:?}", world.device(alice));
    printed += &format!("{:?} {:?}", world.server_events(), world.events(alice));
    assert!(printed.contains("JoinRequested") && printed.contains("RefreshRequested"));
    for token in tokens {
        assert!(!printed.contains(token), "{token} in {printed}");
    }
}
