//! Strangers and broken networks send whatever they like, and the conversation goes on.

use parlour_core::client::Event;
use parlour_tests::{Options, World};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::{ms, s};

fn disturbed(event: &Event) -> bool {
    !parlour_tests::is_about_speech(event)
}

#[test]
fn damaged_and_repeated_datagrams_change_nothing() {
    let mut world = World::new("damaged_and_repeated_datagrams_change_nothing");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.talk(alice, "mic", s(14));
    world.talk(bob, "mic", s(14));
    world.run_for(s(2));
    world.forget(alice);
    world.forget(bob);
    let server = world.server_address();
    let recorded: Vec<_> = world
        .history()
        .iter()
        .map(|sent| sent.datagram.clone())
        .collect();
    let before = world.server().accounting();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for round in 0..2_000 {
        let pick = rng.next_u32() as usize;
        let mut datagram = recorded[pick % recorded.len()].clone();
        let place = rng.next_u32() as usize % datagram.bytes.len();
        match round % 5 {
            0 => {}
            1 => datagram.bytes[place] ^= 1 << (rng.next_u32() % 8),
            2 => datagram.bytes.truncate(place),
            3 => datagram.bytes.extend([0; 9]),
            _ => rng.fill_bytes(&mut datagram.bytes),
        }
        datagram.bytes.truncate(1_200);
        if datagram.to == server {
            let from = match round % 2 {
                0 => datagram.from,
                _ => ([203, 0, 113, 77], 1 + round % 50).into(),
            };
            world.inject(from, &datagram.bytes);
        } else {
            world.inject_to(alice, &datagram.bytes);
            world.inject_to(bob, &datagram.bytes);
        }
        world.run_for(ms(5));
    }
    world.run_for(s(12));
    for handle in [alice, bob] {
        assert!(!world.saw(handle, disturbed), "{:?}", world.events(handle));
        assert_eq!(world.heard(handle).len(), 600);
    }
    let drops = world.device(alice).statistics().drops;
    assert!(
        drops.forged > 0 && drops.replayed + drops.forged > 300,
        "{drops:?}"
    );
    let after = world.server().accounting();
    assert_eq!(after.half_open, 0);
    assert_eq!(after.connection_ids, before.connection_ids);
    world.run_until_agreed(&[alice, bob], s(1));
}

#[test]
fn all_that_was_ever_said_may_be_repeated_after_all_have_left() {
    let mut world = World::new("all_that_was_ever_said_may_be_repeated_after_all_have_left");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    world.partition(alice, true);
    world.run_for(s(20));
    world.partition(alice, false);
    world.run_for(s(10));
    world.leave(alice);
    world.run_for(s(10));
    let recorded: Vec<_> = world
        .history()
        .iter()
        .map(|sent| sent.datagram.clone())
        .filter(|datagram| datagram.to == world.server_address())
        .collect();
    world.power_off(alice);
    let events = world.server_events().len();
    for datagram in recorded {
        world.inject(datagram.from, &datagram.bytes);
        world.run_for(ms(20));
    }
    world.run_for(s(20));
    let happened = &world.server_events()[events..];
    let asked = |event: &_| matches!(event, parlour_core::server::Event::JoinRequested { .. });
    assert!(
        happened.iter().all(|(_, event)| asked(event)),
        "{happened:?}"
    );
    let accounting = world.server().accounting();
    let left = (
        accounting.rooms,
        accounting.participants,
        accounting.connection_ids,
    );
    assert_eq!(left, (0, 0, 0), "{accounting:?}");
}
