//! Recorded packets are sent again, by anyone, at any time.

use parlour_core::server::{Dropped, Event as ServerEvent};
use parlour_tests::{Options, World};

use crate::{assert_undisturbed, ms, recorded, recorded_from, s, stranger};

const HELLO: u8 = 8;

#[test]
fn any_packet_at_any_time_changes_nothing() {
    let mut world = World::new("any_packet_at_any_time_changes_nothing");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.talk(alice, "mic", s(1));
    world.talk(bob, "mic", s(1));
    world.run_for(s(2));
    world.forget(alice);
    world.forget(bob);
    let server = world.server_address();
    let early = recorded(&world);
    let joins = world.server().statistics().joins;
    let resumes = world.server().statistics().resumes;
    // At once; when many more have passed; and when the window has slid over all of them.
    for round in 0..3 {
        world.talk(alice, "mic", s(30));
        world.talk(bob, "mic", s(30));
        for (number, datagram) in early.iter().enumerate() {
            if datagram.to == server {
                world.inject(datagram.from, &datagram.bytes);
                world.inject(stranger(1 + number as u16), &datagram.bytes);
            } else {
                world.inject_to(alice, &datagram.bytes);
                world.inject_to(bob, &datagram.bytes);
            }
            world.run_for(ms(20));
        }
        assert!(early.len() < 1_400, "{} do not pass in time", early.len());
        world.run_for(s(32) - ms(20) * early.len() as u32);
        assert_undisturbed(&world, &[alice, bob], 1_500 * (round + 1));
    }
    world.run_for(s(10));
    let statistics = *world.server().statistics();
    assert!(
        statistics.dropped(Dropped::Replayed) > 100,
        "{statistics:?}"
    );
    assert_eq!((statistics.joins, statistics.resumes), (joins, resumes));
    assert_eq!(statistics.roams, 0, "a repeated packet moved somebody");
    assert_eq!(world.server().accounting().half_open, 0);
    world.run_until_agreed(&[alice, bob], s(1));
}

#[test]
fn a_hello_disturbs_nobody_and_shows_nobody() {
    let mut world = World::new("a_hello_disturbs_nobody_and_shows_nobody");
    let bob = world.joined("bob", Options::default());
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let address = world.address(alice);
    world.run_for(s(1));
    let hello = recorded_from(&world, address)
        .into_iter()
        .find(|bytes| bytes[0] == HELLO)
        .unwrap();
    world.forget(alice);
    world.forget(bob);
    let told = world.server_events().len();
    world.talk(alice, "mic", s(20));
    for round in 0..100 {
        // From her own address, and from elsewhere; while her own handshake is remembered, and later.
        world.inject(address, &hello);
        world.inject(stranger(1 + round), &hello);
        world.run_for(ms(200));
    }
    world.run_for(s(6));
    assert_undisturbed(&world, &[bob], 1_000);
    assert_undisturbed(&world, &[alice], 0);
    assert_eq!(world.present("green"), ["alice", "bob"]);
    // The token is verified again, and the join refused when that is too often: that is all that happens.
    let happened = world.server_events()[told..].iter();
    let other = happened
        .filter(|(_, event)| {
            !matches!(
                event,
                ServerEvent::JoinRequested { .. }
                    | ServerEvent::JoinRefused { .. }
                    | ServerEvent::SpeakerChanged { .. }
            )
        })
        .count();
    assert_eq!(other, 0);
    assert_eq!(world.server().accounting().half_open, 0);
}

/// A Hello that anybody can repeat takes nothing of what a participant may join, so it gets back in.
#[test]
fn a_hello_keeps_nobody_out() {
    let mut world = World::new("a_hello_keeps_nobody_out");
    let alice = world.joined("alice", Options::default());
    let address = world.address(alice);
    let hello = recorded_from(&world, address)
        .into_iter()
        .find(|bytes| bytes[0] == HELLO)
        .unwrap();
    world.leave(alice);
    world.run_for(s(20));
    for round in 0..100 {
        world.inject(stranger(1 + round), &hello);
        world.run_for(ms(1));
    }
    world.joined("alice", Options::default());
}

#[test]
fn a_resuming_hello_moves_nobody() {
    let mut world = World::new("a_resuming_hello_moves_nobody");
    let bob = world.joined("bob", Options::default());
    let alice = world.joined("alice", Options::small().publishing("mic"));
    // An hour later she has changed her keys, with a Hello that shows her ticket.
    world.run_for(s(3_610));
    let address = world.address(alice);
    let hellos: Vec<_> = recorded_from(&world, address)
        .into_iter()
        .filter(|bytes| bytes[0] == HELLO)
        .collect();
    assert!(hellos.len() >= 2, "she did not resume");
    let resumes = world.server().statistics().resumes;
    world.forget(alice);
    world.forget(bob);
    world.talk(alice, "mic", s(20));
    for round in 0..100 {
        for hello in &hellos {
            world.inject(stranger(1 + round), hello);
        }
        world.run_for(ms(200));
    }
    world.run_for(s(6));
    assert_undisturbed(&world, &[bob], 1_000);
    assert_eq!(world.server().statistics().resumes, resumes);
    assert_eq!(world.server().statistics().roams, 0);
}
