//! Resume tickets: who has somebody's packets but not its keys has nothing, and a ticket that was used,
//! or whose bearer has left, is void.

use parlour_core::client::Event;
use parlour_core::server::Event as ServerEvent;
use parlour_tests::{Handle, Options, World};

use crate::{assert_undisturbed, ms, recorded_from, s, stranger};

const HELLO: u8 = 8;

fn resumed(world: &World) -> usize {
    let events = world.server_events().iter();
    events
        .filter(|(_, event)| matches!(event, ServerEvent::ParticipantResumed { .. }))
        .count()
}

/// A world in which Alice has shown her ticket once, and what she then said.
fn resumed_once(name: &'static str) -> (World, Handle, Handle, Vec<Vec<u8>>) {
    let mut world = World::new(name);
    let bob = world.joined("bob", Options::default());
    let alice = world.joined("alice", Options::small().publishing("mic"));
    world.partition(alice, true);
    world.run_for(s(30));
    world.partition(alice, false);
    world.run_until("she is back", s(10), |world| {
        world.saw(alice, |event| *event == Event::Joined { resumed: true })
    });
    world.run_for(s(8));
    assert_eq!(resumed(&world), 1);
    let said = recorded_from(&world, world.address(alice));
    let shown = said.iter().filter(|bytes| bytes[0] == HELLO).count();
    assert!(shown >= 2);
    world.forget(alice);
    world.forget(bob);
    (world, alice, bob, said)
}

#[test]
fn a_ticket_that_was_shown_is_void() {
    let (mut world, alice, bob, said) = resumed_once("a_ticket_that_was_shown_is_void");
    world.talk(alice, "mic", s(30));
    for (number, bytes) in said.iter().enumerate() {
        world.inject(stranger(1 + number as u16), bytes);
        world.inject(world.address(alice), bytes);
        world.run_for(ms(100));
    }
    world.run_for(s(32) - ms(100) * said.len() as u32);
    assert_eq!(resumed(&world), 1, "somebody else resumed");
    assert_undisturbed(&world, &[bob], 1_500);
    assert_undisturbed(&world, &[alice], 0);
}

#[test]
fn a_ticket_is_void_after_its_bearer_has_left() {
    let (mut world, alice, bob, said) = resumed_once("a_ticket_is_void_after_its_bearer_has_left");
    world.leave(alice);
    world.run_for(s(10));
    world.power_off(alice);
    let told = world.server_events().len();
    world.forget(bob);
    for (number, bytes) in said.iter().enumerate() {
        world.inject(stranger(1 + number as u16), bytes);
        world.run_for(ms(20));
    }
    world.run_for(s(10));
    assert_eq!(world.present("green"), ["bob"]);
    assert_undisturbed(&world, &[bob], 0);
    let mut happened = world.server_events()[told..].iter();
    let is_harmless = |event: &ServerEvent| {
        let refused = matches!(event, ServerEvent::JoinRefused { .. });
        refused || matches!(event, ServerEvent::JoinRequested { .. })
    };
    assert!(happened.all(|(_, event)| is_harmless(event)));
}

#[test]
fn a_ticket_is_void_after_a_restart() {
    let (mut world, alice, bob, said) = resumed_once("a_ticket_is_void_after_a_restart");
    world.restart_server();
    world.run_until("both are back", s(40), |world| {
        world.present("green") == ["alice", "bob"] && world.is_joined(alice)
    });
    world.run_until_agreed(&[alice, bob], s(5));
    world.run_for(s(8));
    world.forget(alice);
    world.forget(bob);
    let resumes = resumed(&world);
    world.talk(alice, "mic", s(30));
    for (number, bytes) in said.iter().enumerate() {
        world.inject(stranger(1 + number as u16), bytes);
        world.run_for(ms(100));
    }
    world.run_for(s(32) - ms(100) * said.len() as u32);
    assert_eq!(
        resumed(&world),
        resumes,
        "the server took a ticket of before"
    );
    assert_undisturbed(&world, &[bob], 1_500);
    assert_eq!(world.present("green"), ["alice", "bob"]);
}
