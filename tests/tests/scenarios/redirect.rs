//! Sent elsewhere: the same token, another address.

use std::net::SocketAddr;

use parlour_core::client::Event;
use parlour_core::signal::Redirect;
use parlour_tests::world::{OTHER_ADDRESS, OTHER_ADDRESS_V6};
use parlour_tests::{Options, World};

use crate::s;

fn sent_elsewhere() -> Options {
    Options {
        redirect: Some(Redirect::Address(OTHER_ADDRESS.parse().unwrap())),
        ..Options::small().publishing("mic")
    }
}

#[test]
fn a_redirected_device_joins_where_it_is_sent() {
    let mut world = World::new("a_redirected_device_joins_where_it_is_sent");
    let other = OTHER_ADDRESS.parse().unwrap();
    let bob = world.joined("bob", Options::default());
    let alice = world.joined("alice", sent_elsewhere());
    let redirected = Event::Redirected(Redirect::Address(other));
    assert_eq!(world.count_seen(alice, |event| *event == redirected), 1);
    let joins = |event: &Event| matches!(event, Event::Joined { .. });
    assert_eq!(world.count_seen(alice, joins), 1);
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(bob, alice).len(), 50);
    world.run_until_agreed(&[alice, bob], s(1));

    // What is restored later is restored there, without another detour.
    world.partition(alice, true);
    world.run_for(s(10));
    world.forget_history();
    world.partition(alice, false);
    world.run_until("she is back", s(10), |world| {
        world.saw(alice, |event| *event == Event::Joined { resumed: true })
    });
    let address = world.address(alice);
    let mut sent = world.history().iter().map(|sent| &sent.datagram);
    assert!(sent.all(|datagram| datagram.from != address || datagram.to == other));
}

/// Joins with a route of its own, and talks; gives where it joined.
fn joined_at(world: &mut World, redirect: Redirect) -> SocketAddr {
    let bob = world.joined("bob", Options::default());
    let options = Options {
        redirect: Some(redirect),
        addresses: vec![world.server_address()],
        ..Options::small().publishing("mic")
    };
    let alice = world.joined("alice", options);
    let redirected = Event::Redirected(redirect);
    assert_eq!(world.count_seen(alice, |event| *event == redirected), 1);
    world.forget_history();
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(bob, alice).len(), 50);
    world.run_until_agreed(&[alice, bob], s(1));
    let address = world.address(alice);
    let sent = world.history().iter().map(|sent| &sent.datagram);
    let mut to = sent.filter(|datagram| datagram.from == address);
    let there = to.next().expect("she talks").to;
    assert!(to.all(|datagram| datagram.to == there));
    there
}

#[test]
fn a_device_that_is_sent_to_another_port_finds_it_at_the_address_that_it_knows() {
    let name = "a_device_that_is_sent_to_another_port_finds_it_at_the_address_that_it_knows";
    let mut world = World::new(name);
    let other: SocketAddr = OTHER_ADDRESS.parse().unwrap();
    assert_eq!(joined_at(&mut world, Redirect::Port(other.port())), other);
}

#[test]
fn a_device_that_is_sent_to_either_family_joins_at_the_one_that_it_reaches() {
    let name = "a_device_that_is_sent_to_either_family_joins_at_the_one_that_it_reaches";
    let v4: SocketAddr = OTHER_ADDRESS.parse().unwrap();
    let v6: SocketAddr = OTHER_ADDRESS_V6.parse().unwrap();
    let either = Redirect::Either(
        OTHER_ADDRESS.parse().unwrap(),
        OTHER_ADDRESS_V6.parse().unwrap(),
    );
    // The family by which it came is tried first.
    for (unreachable, expected) in [(None, v4), (Some(v6), v4), (Some(v4), v6)] {
        let mut world = World::new(name);
        if let Some(address) = unreachable {
            world.cut_address(address, true);
        }
        let joined = joined_at(&mut world, either);
        assert_eq!(joined, expected, "without {unreachable:?}");
    }
}

#[test]
fn a_redirect_that_leads_nowhere_is_tried_with_patience() {
    let mut world = World::new("a_redirect_that_leads_nowhere_is_tried_with_patience");
    let options = Options {
        redirect: Some(Redirect::Address("203.0.113.99:1".parse().unwrap())),
        ..Options::small()
    };
    let alice = world.join("alice", options);
    world.run_for(s(60));
    assert!(!world.is_joined(alice));
    let address = world.address(alice);
    let sent = world
        .history()
        .iter()
        .filter(|sent| sent.datagram.from == address);
    let sent = sent.count();
    assert!((10..80).contains(&sent), "{sent} datagrams in a minute");
    world.leave(alice);
    world.run_for(s(1));
    assert!(world.closed(alice).is_some());
}
