//! The cipher and the handshake.

use std::hint::black_box;

use parlour_core::secure::{InitiatorHandshake, KeyPair, ResponderHandshake, Transport};
use parlour_core::wire::{ConnectionId, DATA_HEADER, MAX_DATAGRAM};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::Case;

pub const CASES: &[Case] = &[
    Case {
        name: "secure/seal 80 B",
        prepare: |_| seal(80),
    },
    Case {
        name: "secure/seal 160 B",
        prepare: |_| seal(160),
    },
    Case {
        name: "secure/open 80 B",
        prepare: |count| open(80, count),
    },
    Case {
        name: "secure/open 160 B",
        prepare: |count| open(160, count),
    },
    Case {
        name: "handshake/client writes Hello",
        prepare: |_| {
            let mut both = Both::new();
            Box::new(move || drop(black_box(both.hello())))
        },
    },
    Case {
        name: "handshake/server reads Hello",
        prepare: |_| {
            let mut both = Both::new();
            let (_, hello) = both.hello();
            Box::new(move || drop(black_box(both.read(&hello))))
        },
    },
    Case {
        name: "handshake/server writes Welcome",
        prepare: |_| {
            let mut both = Both::new();
            let (_, hello) = both.hello();
            let read = both.read(&hello);
            Box::new(move || drop(black_box(both.answer(&read))))
        },
    },
    Case {
        name: "handshake/client reads Welcome",
        prepare: |_| {
            let mut both = Both::new();
            let (handshake, hello) = both.hello();
            let read = both.read(&hello);
            let (welcome, _) = both.answer(&read);
            Box::new(move || drop(black_box(finish(&handshake, &welcome))))
        },
    },
];

/// Bytes of a join with a token of usual length, and of its answer.
const JOIN: [u8; 320] = [0x11; 320];
const ANSWER: [u8; 120] = [0x22; 120];
const CLIENT: ConnectionId = ConnectionId(7);
const SERVER: ConnectionId = ConnectionId(8);

struct Both {
    keys: KeyPair,
    rng: ChaCha12Rng,
}

impl Both {
    fn new() -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let keys = KeyPair::generate(&mut rng);
        Self { keys, rng }
    }

    fn hello(&mut self) -> (InitiatorHandshake, Vec<u8>) {
        let mut out = [0; MAX_DATAGRAM];
        let (handshake, len) =
            InitiatorHandshake::start(self.keys.public(), CLIENT, &mut self.rng, &JOIN, &mut out)
                .expect("it fits");
        (handshake, out[..len].to_vec())
    }

    fn read(&self, hello: &[u8]) -> ResponderHandshake {
        let mut payload = [0; MAX_DATAGRAM];
        let (handshake, _) =
            ResponderHandshake::read(&self.keys, CLIENT, hello, &mut payload).expect("it is whole");
        handshake
    }

    fn answer(&mut self, read: &ResponderHandshake) -> (Vec<u8>, Transport) {
        let mut out = [0; MAX_DATAGRAM];
        let (len, transport) = read
            .answer(&mut self.rng, SERVER, &ANSWER, &mut out)
            .expect("it fits");
        (out[..len].to_vec(), transport)
    }
}

fn finish(handshake: &InitiatorHandshake, welcome: &[u8]) -> Transport {
    let mut payload = [0; MAX_DATAGRAM];
    let welcomed = handshake
        .finish(welcome, &mut payload)
        .expect("it is whole");
    welcomed.transport
}

/// An association, seen from the client and from the server.
fn association() -> (Transport, Transport) {
    let mut both = Both::new();
    let (handshake, hello) = both.hello();
    let read = both.read(&hello);
    let (welcome, server) = both.answer(&read);
    (finish(&handshake, &welcome), server)
}

fn seal(len: usize) -> Box<dyn FnMut()> {
    let (mut client, _) = association();
    let mut datagram = vec![0; MAX_DATAGRAM];
    Box::new(move || {
        let sealed = client.seal(SERVER, len, black_box(&mut datagram));
        black_box(sealed).expect("it fits");
    })
}

/// Each is opened once: a second time it would be a replay.
fn open(len: usize, count: u64) -> Box<dyn FnMut()> {
    let (mut client, mut server) = association();
    let datagrams = (0..count).map(|_| {
        let mut datagram = vec![0; DATA_HEADER + len + 16];
        client.seal(SERVER, len, &mut datagram).expect("it fits");
        datagram
    });
    let mut datagrams = datagrams.collect::<Vec<_>>().into_iter();
    Box::new(move || {
        let mut datagram = datagrams.next().expect("one for each call");
        black_box(server.open(&mut datagram)).expect("it is whole");
    })
}
