//! Leaving: at once, seen by all, and for good.

use parlour_core::client::{CloseCause, CommandError, Event};
use parlour_core::room::CloseReason;
use parlour_core::server;
use parlour_tests::{LinkConfig, Options, World};

use crate::{id, ms, s};

#[test]
fn who_leaves_is_gone_for_all() {
    let mut world = World::new("who_leaves_is_gone_for_all");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    world.leave(alice);
    world.run_until("she is out", ms(500), |world| world.closed(alice).is_some());
    assert_eq!(
        world.closed(alice),
        Some(CloseCause::Closed(CloseReason::Left))
    );
    let (clock, device) = (world.clock(alice), world.device(alice));
    assert_eq!(device.leave(clock), Err(CommandError::Closed));
    world.run_until_agreed(&[bob], s(1));
    let left = Event::ParticipantLeft {
        participant: id("alice"),
        reason: CloseReason::Left,
    };
    assert_eq!(world.count_seen(bob, |event| *event == left), 1);
    assert_eq!(world.present("green"), ["bob"]);

    world.leave(bob);
    world.run_for(s(3));
    assert_eq!(
        world.authority("green"),
        None,
        "the last one ends the session"
    );
    let ended = |event: &server::Event| {
        matches!(
            event,
            server::Event::SessionEnded {
                reason: CloseReason::Left,
                ..
            }
        )
    };
    assert!(world.server_events().iter().any(|(_, event)| ended(event)));
    for handle in [alice, bob] {
        assert_eq!(world.device(handle).poll_timeout(), None);
    }
}

#[test]
fn leaving_gets_through_a_weak_network() {
    let mut world = World::new("leaving_gets_through_a_weak_network");
    let link = LinkConfig {
        loss: 30,
        ..LinkConfig::WEAK
    };
    let watcher = world.joined("watcher", Options::default());
    let parties: Vec<_> = (0..6)
        .map(|number| world.joined(&format!("party-{number}"), Options::small().over(link)))
        .collect();
    for party in &parties {
        world.leave(*party);
    }
    world.run_until("all think so", s(3), |world| {
        parties.iter().all(|party| world.closed(*party).is_some())
    });
    // A Leave that was lost altogether is a connection lost, later.
    world.run_until("the room is empty", s(90), |world| {
        world.present("green") == ["watcher"]
    });
    world.run_until_agreed(&[watcher], s(2));
}

#[test]
fn leaving_without_a_network_ends_within_a_second() {
    let mut world = World::new("leaving_without_a_network_ends_within_a_second");
    let alice = world.joined("alice", Options::default());
    world.partition(alice, true);
    world.leave(alice);
    world.run_until("she is out", ms(1_100), |world| {
        world.closed(alice).is_some()
    });
    assert_eq!(
        world.closed(alice),
        Some(CloseCause::Closed(CloseReason::Left))
    );
    assert_eq!(world.device(alice).poll_timeout(), None);

    let mut never = World::new("leaving_without_a_network_ends_within_a_second");
    let bob = never.join("bob", Options::default());
    never.partition(bob, true);
    never.run_for(s(3));
    never.leave(bob);
    never.run_for(ms(1));
    assert_eq!(
        never.closed(bob),
        Some(CloseCause::Closed(CloseReason::Left))
    );
}
