//! True packets in the wrong place: back to their sender, to another session, another room, another
//! participant.

use parlour_core::client::Event;
use parlour_core::room::RoomId;
use parlour_tests::{Options, World};

use crate::{assert_undisturbed, ms, recorded, recorded_from, s};

const WELCOME: u8 = 10;
const DATA: u8 = 11;

#[test]
fn what_comes_back_to_its_sender_is_nothing() {
    let mut world = World::new("what_comes_back_to_its_sender_is_nothing");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.talk(alice, "mic", s(1));
    world.talk(bob, "mic", s(1));
    world.run_for(s(2));
    world.forget(alice);
    world.forget(bob);
    let (to_alice, to_bob) = (world.address(alice), world.address(bob));
    let server = world.server_address();
    let opened = world.device(alice).statistics().received.datagrams;
    for datagram in recorded(&world) {
        // As it was, and with the id under which its sender receives.
        let mut readdressed = datagram.bytes.clone();
        let other = recorded(&world).into_iter().find(|other| {
            (other.to, other.from) == (datagram.from, datagram.to) && other.bytes[0] == DATA
        });
        if let Some(other) = other.filter(|_| datagram.bytes[0] == DATA) {
            readdressed[1..5].copy_from_slice(&other.bytes[1..5]);
        }
        for bytes in [&datagram.bytes, &readdressed] {
            if datagram.from == server {
                world.inject(datagram.to, bytes);
            } else if datagram.from == to_alice {
                world.inject_to(alice, bytes);
            } else if datagram.from == to_bob {
                world.inject_to(bob, bytes);
            }
        }
        world.run_for(ms(1));
    }
    world.run_for(ms(20));
    let dropped = world.device(alice).statistics().drops;
    assert!(dropped.forged + dropped.unexpected + dropped.replayed > 100);
    assert!(world.device(alice).statistics().received.datagrams <= opened + 20);
    assert_undisturbed(&world, &[alice, bob], 0);
    world.run_until_agreed(&[alice, bob], s(1));
}

#[test]
fn packets_of_one_session_are_nothing_in_the_next() {
    let mut world = World::new("packets_of_one_session_are_nothing_in_the_next");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    world.talk(alice, "mic", s(2));
    world.run_for(s(3));
    let first = recorded(&world);
    let room = RoomId::new("green").unwrap();
    let (server, clock) = world.server_and_clock();
    server.end_session(clock, &room).unwrap();
    world.run_for(s(6));
    world.power_off(alice);
    world.power_off(bob);
    world.forget_history();

    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    world.run_for(s(1));
    let now: Vec<_> = [alice, bob]
        .map(|handle| recorded_from(&world, world.address(handle)))
        .into_iter()
        .flatten()
        .filter(|bytes| bytes[0] == DATA)
        .map(|bytes| bytes[1..5].to_vec())
        .collect();
    world.forget(alice);
    world.forget(bob);
    let server = world.server_address();
    for datagram in first.iter().filter(|sent| sent.to == server) {
        let mut bytes = datagram.bytes.clone();
        for id in [&now[0], now.last().unwrap()] {
            for handle in [alice, bob] {
                world.inject(world.address(handle), &bytes);
            }
            // And under an id that is in use now.
            bytes[1..5].copy_from_slice(id);
        }
        world.run_for(ms(2));
    }
    world.run_for(s(7));
    assert_undisturbed(&world, &[alice, bob], 0);
    assert_eq!(world.present("green"), ["alice", "bob"]);
}

#[test]
fn packets_of_one_room_are_nothing_in_another() {
    let mut world = World::new("packets_of_one_room_are_nothing_in_another");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    let carol = world.joined("carol", Options::small().publishing("mic").in_room("blue"));
    let dave = world.joined("dave", Options::default().in_room("blue"));
    world.talk(alice, "mic", s(2));
    world.run_for(s(3));
    for handle in [alice, bob, carol, dave] {
        world.forget(handle);
    }
    let green = recorded_from(&world, world.address(alice));
    let ids: Vec<_> = [carol, dave]
        .map(|handle| {
            let sent = recorded_from(&world, world.address(handle));
            let data = sent.into_iter().find(|bytes| bytes[0] == DATA);
            data.unwrap()[1..5].to_vec()
        })
        .into();
    for bytes in green.iter().filter(|bytes| bytes[0] == DATA) {
        for (handle, id) in [carol, dave].into_iter().zip(&ids) {
            let address = world.address(handle);
            let spliced = [&bytes[..1], id, &bytes[5..]].concat();
            world.inject(address, bytes);
            world.inject(address, &spliced);
            world.inject_to(handle, bytes);
            world.inject_to(handle, &spliced);
        }
        world.run_for(ms(2));
    }
    world.run_for(s(1));
    assert_undisturbed(&world, &[alice, bob, carol, dave], 0);
    assert_eq!(world.server().statistics().roams, 0);
    // She is heard in her room, and in no other.
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_undisturbed(&world, &[bob], 50);
    assert_undisturbed(&world, &[carol, dave], 0);
}

#[test]
fn anothers_welcome_is_nothing() {
    let mut world = World::new("anothers_welcome_is_nothing");
    let bob = world.joined("bob", Options::small());
    let welcome = recorded(&world).into_iter();
    let to_bob = world.address(bob);
    let mut welcome = welcome.filter(|sent| sent.to == to_bob && sent.bytes[0] == WELCOME);
    let welcome = welcome.next().unwrap().bytes;
    let alice = world.join("alice", Options::small());
    world.run_for(ms(1));
    let address = world.address(alice);
    let hello = recorded_from(&world, address).remove(0);
    // Under Alice's id; her own Welcome is still to come.
    let spliced = [&[WELCOME][..], &hello[2..6], &welcome[5..]].concat();
    world.inject_to(alice, &spliced);
    world.run_for(ms(11));
    assert!(!world.is_joined(alice));
    world.run_until("she is in", s(2), |world| world.is_joined(alice));
    assert!(!world.saw(alice, |event| matches!(event, Event::Closed(_))));
}
