//! Handshake and cipher.

use std::hint::black_box;

use parlour_core::secure::{InitiatorHandshake, KeyPair, ResponderHandshake, Transport};
use parlour_core::wire::{ConnectionId, DATA_HEADER, MAX_DATAGRAM};

use crate::{Bench, Case, case, rng};

const CLIENT: ConnectionId = ConnectionId(1);
const SERVER: ConnectionId = ConnectionId(2);
/// A Join with a JWT of usual length, and the Joined that answers it.
const JOIN: [u8; 340] = [b'j'; 340];
const JOINED: [u8; 120] = [b'a'; 120];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("seal 80 B", || Box::new(Seal::new(80))),
        case("seal 160 B", || Box::new(Seal::new(160))),
        case("open 80 B", || Box::new(Open::new(80))),
        case("open 160 B", || Box::new(Open::new(160))),
        case("Hello: client writes", || {
            let (keys, mut rng) = (KeyPair::generate(&mut rng()), rng());
            Box::new(move || {
                let mut noise = [0; MAX_DATAGRAM];
                black_box(InitiatorHandshake::start(
                    keys.public(),
                    CLIENT,
                    &mut rng,
                    &JOIN,
                    &mut noise,
                ))
                .unwrap();
            })
        }),
        case("Hello: server reads", || {
            let hello = Hello::new();
            Box::new(move || {
                let mut payload = [0; MAX_DATAGRAM];
                black_box(ResponderHandshake::read(
                    &hello.keys,
                    CLIENT,
                    &hello.noise,
                    &mut payload,
                ))
                .unwrap();
            })
        }),
        case("Welcome: server writes", || Box::new(Answer::default())),
        case("Welcome: client reads", || {
            let hello = Hello::new();
            let welcome = hello.welcome();
            Box::new(move || {
                let mut payload = [0; MAX_DATAGRAM];
                black_box(hello.client.finish(&welcome, &mut payload)).unwrap();
            })
        }),
    ]
}

struct Hello {
    keys: KeyPair,
    client: InitiatorHandshake,
    noise: Vec<u8>,
}

impl Hello {
    fn new() -> Self {
        let mut rng = rng();
        let keys = KeyPair::generate(&mut rng);
        let mut noise = [0; MAX_DATAGRAM];
        let started = InitiatorHandshake::start(keys.public(), CLIENT, &mut rng, &JOIN, &mut noise);
        let (client, len) = started.unwrap();
        Self {
            keys,
            client,
            noise: noise[..len].to_vec(),
        }
    }

    fn responder(&self) -> ResponderHandshake {
        let mut payload = [0; MAX_DATAGRAM];
        ResponderHandshake::read(&self.keys, CLIENT, &self.noise, &mut payload)
            .unwrap()
            .0
    }

    fn welcome(&self) -> Vec<u8> {
        let mut out = [0; MAX_DATAGRAM];
        let (len, _) = self
            .responder()
            .answer(&mut rng(), SERVER, &JOINED, &mut out)
            .unwrap();
        out[..len].to_vec()
    }
}

/// The two ends of an association.
fn transports() -> (Transport, Transport) {
    let hello = Hello::new();
    let mut out = [0; MAX_DATAGRAM];
    let (len, server) = hello
        .responder()
        .answer(&mut rng(), SERVER, &JOINED, &mut out)
        .unwrap();
    let mut payload = [0; MAX_DATAGRAM];
    (
        hello
            .client
            .finish(&out[..len], &mut payload)
            .unwrap()
            .transport,
        server,
    )
}

#[derive(Default)]
struct Answer {
    ready: Vec<ResponderHandshake>,
}

impl Bench for Answer {
    fn prepare(&mut self, runs: usize) {
        let hello = Hello::new();
        self.ready = (0..runs).map(|_| hello.responder()).collect();
    }

    fn run(&mut self) {
        let responder = self.ready.pop().expect("readied");
        let mut out = [0; MAX_DATAGRAM];
        black_box(responder.answer(&mut rng(), SERVER, &JOINED, &mut out)).unwrap();
    }
}

struct Seal {
    transport: Transport,
    len: usize,
    buffer: [u8; MAX_DATAGRAM],
}

impl Seal {
    fn new(len: usize) -> Self {
        Self {
            transport: transports().0,
            len,
            buffer: [7; MAX_DATAGRAM],
        }
    }
}

impl Bench for Seal {
    fn run(&mut self) {
        black_box(self.transport.seal(SERVER, self.len, &mut self.buffer)).unwrap();
    }
}

struct Open {
    sealing: Transport,
    opening: Transport,
    len: usize,
    ready: Vec<Vec<u8>>,
}

impl Open {
    fn new(len: usize) -> Self {
        let (sealing, opening) = transports();
        Self {
            sealing,
            opening,
            len,
            ready: Vec::new(),
        }
    }
}

impl Bench for Open {
    fn prepare(&mut self, runs: usize) {
        self.ready.clear();
        for _ in 0..runs {
            let mut packet = vec![7; DATA_HEADER + self.len + 16];
            self.sealing.seal(SERVER, self.len, &mut packet).unwrap();
            self.ready.push(packet);
        }
        self.ready.reverse();
    }

    fn run(&mut self) {
        let mut packet = self.ready.pop().expect("readied");
        black_box(self.opening.open(&mut packet)).unwrap();
    }
}
