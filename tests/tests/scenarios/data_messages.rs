//! Application messages: to all or to some, reliable and in order, or lossy.

use parlour_core::client::{CommandError, Commands as _, Event, RequestFailure};
use parlour_core::room::{Grants, RoomId, Topic};
use parlour_core::signal::{MAX_BODY, Outcome, Recipients, Refusal};
use parlour_tests::{Handle, LinkConfig, Options, World};

use crate::{id, list, ms, s};

fn topic() -> Topic {
    Topic::new("chat").unwrap()
}

fn bodies(world: &World, handle: Handle) -> Vec<Vec<u8>> {
    let messages = world.messages(handle).iter();
    messages.map(|message| message.body.clone()).collect()
}

#[test]
fn messages_go_to_all_or_to_some() {
    let mut world = World::new("messages_go_to_all_or_to_some");
    let alice = world.joined("alice", Options::small());
    let bob = world.joined("bob", Options::small());
    let carol = world.joined("carol", Options::default());
    let all = Recipients::All;
    let sent = world.ask(alice, |device| {
        device.send_message(&all, &topic(), b"to all")
    });
    assert_eq!(sent, Ok(Outcome::Sent { recipients: 2 }));
    let some = Recipients::List(list(&["carol"]));
    let sent = world.ask(alice, |device| {
        device.send_message(&some, &topic(), b"to carol")
    });
    assert_eq!(sent, Ok(Outcome::Sent { recipients: 1 }));
    world.run_for(s(1));
    assert!(world.messages(alice).is_empty());
    assert_eq!(bodies(&world, bob), [b"to all"]);
    assert_eq!(bodies(&world, carol), [&b"to all"[..], b"to carol"]);
    let first = &world.messages(bob)[0];
    assert_eq!(
        (&first.from, &first.topic, first.lossy),
        (&id("alice"), &topic(), false)
    );

    let nobody = Recipients::List(list(&["nobody"]));
    let sent = world.ask(alice, |device| device.send_message(&nobody, &topic(), b"?"));
    assert_eq!(
        sent,
        Err(RequestFailure::Refused(Refusal::UnknownParticipant))
    );
    let long = [0; MAX_BODY + 1];
    let sent = world.device(alice).send_message(&all, &topic(), &long);
    assert_eq!(sent, Err(CommandError::MessageTooLong));
    let longest = [7; MAX_BODY];
    world
        .ask(alice, |device| {
            device.send_message(&all, &topic(), &longest)
        })
        .unwrap();
    world.run_for(s(1));
    assert_eq!(bodies(&world, bob)[1], longest);
}

#[test]
fn reliable_messages_come_once_and_in_order_over_a_weak_network() {
    let mut world = World::new("reliable_messages_come_once_and_in_order_over_a_weak_network");
    let alice = world.joined("alice", Options::small().over(LinkConfig::WEAK));
    let bob = world.joined("bob", Options::small().over(LinkConfig::WEAK));
    for number in 0..60u8 {
        world
            .ask(alice, |device| {
                device.send_message(&Recipients::All, &topic(), &[number; 200])
            })
            .unwrap();
    }
    world.run_until("all have come", s(60), |world| {
        world.messages(bob).len() == 60
    });
    let expected: Vec<_> = (0..60).map(|number| vec![number; 200]).collect();
    assert_eq!(bodies(&world, bob), expected);
    world.run_for(s(10));
    assert_eq!(world.messages(bob).len(), 60);
}

#[test]
fn lossy_messages_come_at_most_once() {
    let mut world = World::new("lossy_messages_come_at_most_once");
    let link = LinkConfig {
        loss: 20,
        duplication: 20,
        ..LinkConfig::GOOD
    };
    let alice = world.joined("alice", Options::small().over(link));
    let bob = world.joined("bob", Options::small().over(link));
    for number in 0..200u8 {
        let sent = world
            .device(alice)
            .send_lossy_message(&Recipients::All, &topic(), &[number]);
        assert_eq!(sent, Ok(()));
        world.run_for(ms(50));
    }
    world.run_for(s(1));
    let mut came: Vec<_> = bodies(&world, bob).concat();
    assert!(world.messages(bob).iter().all(|message| message.lossy));
    assert!((80..180).contains(&came.len()), "{}", came.len());
    let count = came.len();
    came.sort_unstable();
    came.dedup();
    assert_eq!(came.len(), count, "some came twice");
}

#[test]
fn a_slow_reader_misses_and_is_told_how_many() {
    let mut world = World::new("a_slow_reader_misses_and_is_told_how_many");
    let alice = world.joined("alice", Options::default());
    let bob = world.joined("bob", Options::small());
    let carol = world.joined("carol", Options::small());
    world.party(bob).reads_messages = false;
    let all = Recipients::All;
    let count = 200;
    for number in 0..count {
        let body = [number as u8; 300];
        world
            .ask(alice, |device| device.send_message(&all, &topic(), &body))
            .unwrap();
        world.run_for(ms(50));
    }
    world.run_for(s(5));
    assert_eq!(world.messages(carol).len(), count, "she is not held up");
    let accounting = world.server().accounting();
    // As many as the configuration says, and the note of how many are lost.
    assert!(accounting.longest_message_queue <= 65, "{accounting:?}");
    assert!(world.is_joined(bob));

    world.party(bob).reads_messages = true;
    world.device(bob).request_floor().unwrap();
    world.run_for(s(30));
    let missed: usize = world
        .events(bob)
        .iter()
        .map(|(_, event)| match event {
            Event::MessagesMissed(missed) => usize::from(*missed),
            _ => 0,
        })
        .sum();
    assert!(missed > 0, "nothing was missed");
    assert_eq!(world.messages(bob).len() + missed, count);
    let numbers: Vec<_> = bodies(&world, bob).iter().map(|body| body[0]).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    world.run_until_agreed(&[bob], s(5));
}

#[test]
fn messages_need_a_grant_and_the_application_needs_none() {
    let mut world = World::new("messages_need_a_grant_and_the_application_needs_none");
    let options = Options {
        grants: Grants::SUBSCRIBE,
        ..Options::default()
    };
    let alice = world.joined("alice", options);
    let bob = world.joined("bob", Options::default());
    let all = Recipients::All;
    let sent = world.ask(alice, |device| device.send_message(&all, &topic(), b"hi"));
    assert_eq!(sent, Err(RequestFailure::Refused(Refusal::NotPermitted)));
    world
        .device(alice)
        .send_lossy_message(&all, &topic(), b"hi")
        .unwrap();
    world.run_for(s(1));
    assert!(world.messages(bob).is_empty());

    let room = RoomId::new("green").unwrap();
    let (server, clock) = world.server_and_clock();
    let sent = server.send(clock, &room, &id("host"), &all, &topic(), b"welcome");
    assert_eq!(sent, Ok(2));
    world.run_for(s(1));
    assert_eq!(bodies(&world, bob), [b"welcome"]);
    assert_eq!(bodies(&world, alice), [b"welcome"]);
}
