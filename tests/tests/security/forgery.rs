//! Packets that nobody sent: changed, cut, made longer, guessed.

use parlour_core::client::Event as ClientEvent;
use parlour_core::server::{Dropped, Event, Path};
use parlour_tests::network::Datagram;
use parlour_tests::{Handle, Options, World};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::{assert_undisturbed, ms, recorded, s, stranger};

const HELLO: u8 = 8;
const WELCOME: u8 = 10;
const DATA: u8 = 11;
const RESET: u8 = 12;

/// A conversation in which each has yet to hear a packet of the other's, which the attacker has taken
/// off the network: one that would be taken if it came as it is.
struct Held {
    world: World,
    alice: Handle,
    bob: Handle,
    /// One to the server, one to Alice.
    packets: Vec<Datagram>,
}

fn held(name: &'static str) -> Held {
    let mut world = World::new(name);
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small().publishing("mic"));
    world.run_for(s(2));
    world.partition(alice, true);
    world.forget_history();
    world.talk(alice, "mic", ms(10));
    world.talk(bob, "mic", ms(10));
    world.run_for(ms(30));
    let (server, address) = (world.server_address(), world.address(alice));
    let taken = |datagram: &Datagram| datagram.from == address || datagram.to == address;
    let packets: Vec<_> = recorded(&world).into_iter().filter(taken).collect();
    assert!(packets.iter().any(|packet| packet.to == server));
    assert!(packets.iter().any(|packet| packet.to == address));
    assert!(packets.iter().all(|packet| packet.bytes[0] == DATA));
    world.partition(alice, false);
    world.forget(alice);
    world.forget(bob);
    Held {
        world,
        alice,
        bob,
        packets,
    }
}

impl Held {
    fn send(&mut self, packet: &Datagram, bytes: &[u8]) {
        if packet.to == self.world.server_address() {
            self.world.inject(packet.from, bytes);
        } else {
            self.world.inject_to(self.alice, bytes);
        }
    }

    /// The packets as they are were good all the time.
    fn prove(mut self) {
        self.world.run_for(s(1));
        assert_undisturbed(&self.world, &[self.alice, self.bob], 0);
        for packet in self.packets.clone() {
            self.send(&packet, &packet.bytes);
        }
        self.world.run_for(s(1));
        assert_undisturbed(&self.world, &[self.alice, self.bob], 1);
        self.world.run_until_agreed(&[self.alice, self.bob], s(1));
    }
}

#[test]
fn every_bit_of_a_packet_counts() {
    let mut held = held("every_bit_of_a_packet_counts");
    for packet in held.packets.clone() {
        for bit in 0..packet.bytes.len() * 8 {
            let mut bytes = packet.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            held.send(&packet, &bytes);
            if bit % 64 == 0 {
                held.world.run_for(ms(1));
            }
        }
    }
    held.prove();
}

#[test]
fn no_packet_is_taken_shorter_or_longer() {
    let mut held = held("no_packet_is_taken_shorter_or_longer");
    for packet in held.packets.clone() {
        for len in 0..packet.bytes.len() {
            held.send(&packet, &packet.bytes[..len]);
            if len % 16 == 0 {
                held.world.run_for(ms(1));
            }
        }
        for more in 1..100 {
            let mut bytes = packet.bytes.clone();
            bytes.resize(packet.bytes.len() + more, more as u8);
            held.send(&packet, &bytes);
        }
        held.world.run_for(ms(30));
    }
    held.prove();
}

#[test]
fn every_bit_of_a_handshake_counts() {
    let mut world = World::new("every_bit_of_a_handshake_counts");
    let alice = world.join("alice", Options::small());
    world.party(alice).is_deaf = true;
    world.run_for(ms(30));
    world.party(alice).is_deaf = false;
    let address = world.address(alice);
    let crossed = recorded(&world);
    let hello = crossed.iter().find(|sent| sent.from == address);
    let welcome = crossed.iter().find(|sent| sent.to == address);
    let (hello, welcome) = (hello.unwrap(), welcome.unwrap());
    assert_eq!((hello.bytes[0], welcome.bytes[0]), (HELLO, WELCOME));

    for bit in 0..welcome.bytes.len() * 8 {
        let mut bytes = welcome.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        world.inject_to(alice, &bytes);
    }
    world.run_for(ms(20));
    assert!(!world.is_joined(alice), "a changed Welcome was taken");
    assert_eq!(world.closed(alice), None);
    world.inject_to(alice, &welcome.bytes);
    world.run_for(ms(20));
    assert!(world.is_joined(alice));

    let asked = |world: &World| {
        let events = world.server_events().iter();
        events
            .filter(|(_, event)| matches!(event, Event::JoinRequested { .. }))
            .count()
    };
    assert_eq!(asked(&world), 1);
    for bit in 0..hello.bytes.len() * 8 {
        let mut bytes = hello.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        world.inject(stranger(1 + bit as u16), &bytes);
        // Too few at a time for the server to ask for cookies.
        world.run_for(ms(10));
    }
    assert_eq!(asked(&world), 1, "a changed Hello was read");
    assert!(world.server().statistics().dropped(Dropped::BadHandshake) > 500);
    world.inject(stranger(1), &hello.bytes);
    world.run_for(ms(20));
    assert_eq!(asked(&world), 2, "the true one was good");
}

#[test]
fn a_reset_must_hold_the_connections_own_token() {
    let mut world = World::new("a_reset_must_hold_the_connections_own_token");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    let mallory = world.joined("mallory", Options::small());
    world.talk(alice, "mic", ms(10));
    world.run_for(s(1));
    let id_at_server = |world: &World, handle| {
        let address = world.address(handle);
        let sent = recorded(world).into_iter();
        let mut data = sent.filter(|sent| sent.from == address && sent.bytes[0] == DATA);
        data.next_back().unwrap().bytes[1..5].to_vec()
    };
    let ids = [id_at_server(&world, alice), id_at_server(&world, mallory)];
    world.forget(alice);
    world.forget(bob);

    // A server with these keys and without connections sends the tokens to anyone that asks with a packet for the id.
    // Another instance has other tokens; those of his own instance do not help Mallory.
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut tokens = vec![[0; 16], [0xff; 16]];
    tokens.extend((0..1_000).map(|_| {
        let mut token = [0; 16];
        rng.fill_bytes(&mut token);
        token
    }));
    for id in &ids {
        for token in &tokens {
            let reset = [&[RESET][..], id, token].concat();
            world.inject_to(alice, &reset);
        }
    }
    // While the server knows the id, nobody is told its token.
    let probe = [&[DATA][..], &ids[0], &[0; 60]].concat();
    for _ in 0..50 {
        world.inject(stranger(7), &probe);
        world.run_for(ms(20));
    }
    let resets = recorded(&world)
        .into_iter()
        .filter(|sent| sent.bytes[0] == RESET && sent.to == stranger(7));
    assert_eq!(resets.count(), 0, "the server gave a token away");
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert!(!world.saw(alice, |event| matches!(event, ClientEvent::Reconnecting(_))));
    assert_eq!(world.heard_from(bob, alice).len(), 50);
}

#[test]
fn guessing_connection_ids_leads_nowhere() {
    let mut world = World::new("guessing_connection_ids_leads_nowhere");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    world.run_for(s(1));
    world.forget(alice);
    world.forget(bob);
    world.talk(alice, "mic", s(2));
    let mut data = recorded(&world).into_iter().rev();
    let address = world.address(alice);
    let data = data.find(|sent| sent.from == address && sent.bytes[0] == DATA);
    let right = data.unwrap().bytes[1..5].to_vec();
    // A hundred thousand guesses of ids, and as many packets for the right one.
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (server, clock) = world.server_and_clock();
    let before = *server.statistics();
    let mut out = [0; 1200];
    for round in 0..100_000 {
        let mut guess = [0; 60];
        rng.fill_bytes(&mut guess);
        guess[0] = DATA;
        if round % 2 == 0 {
            guess[1..5].copy_from_slice(&right);
        }
        let from = Path::udp(stranger(1 + round as u16 / 2));
        let _ = server.handle_datagram(clock, from, &mut guess);
        while server.poll_transmit(clock, &mut out).unwrap().is_some() {}
    }
    let statistics = *server.statistics();
    assert_eq!(statistics.roams, before.roams);
    // Resets are limited: an attacker that guesses ids gets at most this many answers.
    assert!(statistics.resets - before.resets <= 100);
    world.run_for(s(3));
    assert_undisturbed(&world, &[bob], 100);
    assert_undisturbed(&world, &[alice], 0);
}
