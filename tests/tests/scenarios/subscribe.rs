//! Subscriptions: policies, explicit subscriptions, and exceptions from them.

use parlour_core::client::{Commands as _, RequestFailure};
use parlour_core::room::Grants;
use parlour_core::signal::{Outcome, Refusal, SubscribePolicy};
use parlour_tests::{Handle, Options, World, screen};

use crate::{key, s, stream};

/// The number of frames of a second of `talker`'s talk that `listener` hears.
fn hears(world: &mut World, listener: Handle, talker: Handle) -> usize {
    let before = world.heard_from(listener, talker).len();
    world.talk(talker, "mic", s(1));
    world.run_for(s(2));
    world.heard_from(listener, talker).len() - before
}

#[test]
fn with_policy_none_only_the_subscribed_is_heard() {
    let mut world = World::new("with_policy_none_only_the_subscribed_is_heard");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    let options = Options {
        policy: SubscribePolicy::None,
        ..Options::small()
    };
    let carol = world.joined("carol", options);
    assert_eq!(hears(&mut world, carol, alice), 0);

    let of_alice = stream("alice", "mic");
    assert_eq!(
        world.ask(carol, |device| device.subscribe(&of_alice)),
        Ok(Outcome::Done)
    );
    assert_eq!(hears(&mut world, carol, alice), 50);
    assert_eq!(hears(&mut world, carol, bob), 0);

    assert_eq!(
        world.ask(carol, |device| device.unsubscribe(&of_alice)),
        Ok(Outcome::Done)
    );
    assert_eq!(hears(&mut world, carol, alice), 0);
}

#[test]
fn with_policy_all_the_unsubscribed_is_not_heard() {
    let mut world = World::new("with_policy_all_the_unsubscribed_is_not_heard");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    let carol = world.joined("carol", Options::small());
    let of_alice = stream("alice", "mic");
    assert_eq!(hears(&mut world, carol, alice), 50);
    world
        .ask(carol, |device| device.unsubscribe(&of_alice))
        .unwrap();
    assert_eq!(hears(&mut world, carol, alice), 0);
    assert_eq!(hears(&mut world, carol, bob), 50);
    world
        .ask(carol, |device| device.subscribe(&of_alice))
        .unwrap();
    assert_eq!(hears(&mut world, carol, alice), 50);

    let none = SubscribePolicy::None;
    world
        .ask(carol, |device| device.set_subscribe_policy(none))
        .unwrap();
    assert_eq!(hears(&mut world, carol, bob), 0);
    assert_eq!(hears(&mut world, carol, alice), 50, "subscribed explicitly");
    let all = SubscribePolicy::All;
    world
        .ask(carol, |device| device.set_subscribe_policy(all))
        .unwrap();
    assert_eq!(hears(&mut world, carol, bob), 50);
}

#[test]
fn a_screen_is_seen_by_its_subscribers_only() {
    let mut world = World::new("a_screen_is_seen_by_its_subscribers_only");
    let options = Options {
        publish: vec![screen("screen")],
        ..Options::default()
    };
    let alice = world.joined("alice", options);
    let bob = world.joined("bob", Options::default());
    let carol = world.joined("carol", Options::default());
    let of_alice = stream("alice", "screen");
    assert_eq!(
        world.ask(bob, |device| device.subscribe(&of_alice)),
        Ok(Outcome::Done)
    );
    let ssrc = world.device(alice).published_ssrc(&key("screen")).unwrap();
    for number in 0..20u32 {
        let clock = world.clock(alice);
        let payload = [number as u8; 700];
        let timestamp = number * 3000;
        world
            .device(alice)
            .send_media(clock, &key("screen"), timestamp, true, &payload)
            .unwrap();
        world.run_for(crate::ms(33));
    }
    world.run_for(s(1));
    assert!(world.seen(carol).is_empty());
    let seen = world.seen(bob);
    assert_eq!(seen.len(), 20);
    for (number, packet) in seen.iter().enumerate() {
        assert_eq!(packet.ssrc, ssrc);
        assert_eq!(packet.payload, [number as u8; 700]);
        assert_eq!(
            packet.sequence,
            seen[0].sequence.wrapping_add(number as u16)
        );
        let step = packet.timestamp.wrapping_sub(seen[0].timestamp);
        assert_eq!(step, number as u32 * 3000);
    }
}

#[test]
fn what_is_not_there_or_not_granted_is_refused() {
    let mut world = World::new("what_is_not_there_or_not_granted_is_refused");
    let _alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    let refused = |refusal| Err(RequestFailure::Refused(refusal));
    let of_nobody = stream("nobody", "mic");
    let asked = world.ask(bob, |device| device.subscribe(&of_nobody));
    assert_eq!(asked, refused(Refusal::UnknownParticipant));
    let of_nothing = stream("alice", "cam");
    let asked = world.ask(bob, |device| device.subscribe(&of_nothing));
    assert_eq!(asked, refused(Refusal::UnknownStream));
    let mix = SubscribePolicy::Mix;
    let asked = world.ask(bob, |device| device.set_subscribe_policy(mix));
    assert_eq!(asked, refused(Refusal::MixUnavailable));

    let options = Options {
        grants: Grants::PARTICIPANT - Grants::SUBSCRIBE,
        ..Options::default()
    };
    let carol = world.joined("carol", options);
    let asked = world.ask(carol, |device| device.subscribe(&stream("alice", "mic")));
    assert_eq!(asked, refused(Refusal::NotPermitted));
    assert_eq!(hears(&mut world, carol, parlour_tests::Handle(0)), 0);
}

#[test]
fn to_pin_nothing_takes_no_grant() {
    let mut world = World::new("to_pin_nothing_takes_no_grant");
    let options = Options {
        grants: Grants::PUBLISH_AUDIO,
        ..Options::default()
    };
    let alice = world.joined("alice", options.publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    let request = world.device(alice).pin(Some(&stream("bob", "mic")));
    let request = request.unwrap().unwrap();
    world.run_for(s(1));
    let refused = Some(Err(RequestFailure::Refused(Refusal::NotPermitted)));
    assert_eq!(world.reply(alice, request), refused);
    let unpinned = world.ask(alice, |device| device.pin(None));
    assert_eq!(unpinned, Ok(Outcome::Done));
    world.run_until_agreed(&[alice, bob], s(1));
}

/// Alice's device reboots: she leaves, and comes back after a while.
fn reboot(world: &mut World, alice: Handle) -> Handle {
    world.leave(alice);
    world.run_for(s(5));
    world.joined("alice", Options::default().publishing("mic"))
}

#[test]
fn who_is_muted_for_one_listener_stays_so_when_it_comes_back() {
    let mut world = World::new("who_is_muted_for_one_listener_stays_so_when_it_comes_back");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    let carol = world.joined("carol", Options::small());
    let of_alice = stream("alice", "mic");
    world
        .ask(carol, |device| device.unsubscribe(&of_alice))
        .unwrap();
    let alice = reboot(&mut world, alice);
    assert_eq!(hears(&mut world, carol, alice), 0);
    assert_eq!(hears(&mut world, bob, alice), 50);
    // A server that knows nothing of it is told.
    world.restart_server();
    world.run_for(s(20));
    let alice = reboot(&mut world, alice);
    assert_eq!(hears(&mut world, carol, alice), 0);
    // It can be taken back while she is away.
    world.leave(alice);
    world.run_for(s(5));
    let back = world.ask(carol, |device| device.subscribe(&of_alice));
    assert_eq!(back, Ok(Outcome::Done));
    let alice = world.joined("alice", Options::default().publishing("mic"));
    assert_eq!(hears(&mut world, carol, alice), 50);
    // And it is over when carol leaves.
    world
        .ask(carol, |device| device.unsubscribe(&of_alice))
        .unwrap();
    world.leave(carol);
    world.run_for(s(2));
    let carol = world.joined("carol", Options::small());
    assert_eq!(hears(&mut world, carol, alice), 50);
}

#[test]
fn who_is_subscribed_explicitly_is_heard_when_it_comes_back() {
    let mut world = World::new("who_is_subscribed_explicitly_is_heard_when_it_comes_back");
    let mut alice = world.joined("alice", Options::default().publishing("mic"));
    let carol = Options {
        policy: SubscribePolicy::None,
        ..Options::small()
    };
    let carol = world.joined("carol", carol);
    let of_alice = stream("alice", "mic");
    world
        .ask(carol, |device| device.subscribe(&of_alice))
        .unwrap();
    for _ in 0..3 {
        alice = reboot(&mut world, alice);
        assert_eq!(hears(&mut world, carol, alice), 50);
    }
}

#[test]
fn a_full_table_of_wishes_has_room_for_those_who_are_there() {
    let mut world = World::new("a_full_table_of_wishes_has_room_for_those_who_are_there");
    let carol = world.joined("carol", Options::small());
    for number in 0..40 {
        let name = format!("guest-{number}");
        let guest = world.joined(&name, Options::small().publishing("mic"));
        let its = stream(&name, "mic");
        let muted = world.ask(carol, |device| device.unsubscribe(&its));
        assert_eq!(muted, Ok(Outcome::Done), "{number}");
        assert_eq!(hears(&mut world, carol, guest), 0);
        world.leave(guest);
        world.run_for(s(2));
    }
}
