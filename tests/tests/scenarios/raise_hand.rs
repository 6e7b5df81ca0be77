//! A hand is raised and lowered: an attribute that all see, whenever they joined, and that a moderator may set, too.

use parlour_core::client::{Commands as _, Event, RequestFailure};
use parlour_core::room::{
    AttributeKey, AttributeValue, Grants, MAX_ATTRIBUTES, ParticipantId, RoomId,
};
use parlour_core::server::{Config, ModerateError, Rate};
use parlour_core::signal::{Outcome, Refusal};
use parlour_tests::{Handle, Options, World};

use crate::{id, ms, s};

fn hand() -> AttributeKey {
    AttributeKey::new("hand").unwrap()
}

fn up() -> AttributeValue {
    AttributeValue::new("up").unwrap()
}

/// The participants whose raised hands a party sees.
fn raised(world: &mut World, sees: Handle) -> Vec<ParticipantId> {
    let attributes = world.facts(sees).attributes;
    let hands = attributes
        .into_iter()
        .filter(|((_, key), _)| *key == hand());
    hands.map(|((id, _), _)| id).collect()
}

fn refused(refusal: Refusal) -> Result<Outcome, RequestFailure> {
    Err(RequestFailure::Refused(refusal))
}

#[test]
fn a_hand_is_raised_seen_and_lowered() {
    let mut world = World::new("a_hand_is_raised_seen_and_lowered");
    let alice = world.joined("alice", Options::small());
    let bob = world.joined("bob", Options::default());
    let done = world.ask(alice, |device| device.set_attribute(&hand(), &up()));
    assert_eq!(done, Ok(Outcome::Done));
    world.run_until_agreed(&[alice, bob], s(1));
    assert_eq!(raised(&mut world, bob), [id("alice")]);
    // One that keeps no attributes sets its own all the same.
    assert_eq!(raised(&mut world, alice), []);

    let carol = world.joined("carol", Options::default());
    assert_eq!(
        raised(&mut world, carol),
        [id("alice")],
        "for who comes late"
    );

    let lowered = AttributeValue::default();
    let done = world.ask(alice, |device| device.set_attribute(&hand(), &lowered));
    assert_eq!(done, Ok(Outcome::Done));
    world.run_until_agreed(&[alice, bob, carol], s(1));
    assert_eq!(raised(&mut world, bob), []);
    let changed = Event::AttributeChanged {
        participant: id("alice"),
        key: hand(),
    };
    assert_eq!(world.count_seen(bob, |event| *event == changed), 2);

    let done = world.ask(bob, |device| device.set_attribute(&hand(), &up()));
    assert_eq!(done, Ok(Outcome::Done));
    world.leave(bob);
    world.run_until("it left with its owner", s(2), |world| {
        world.facts(carol).attributes.is_empty()
    });
}

#[test]
fn a_moderator_lowers_hands_and_nobody_else() {
    let mut world = World::new("a_moderator_lowers_hands_and_nobody_else");
    let alice = world.joined("alice", Options::default());
    let host = world.joined("host", Options::moderator());
    let none = AttributeValue::default();
    let raise = world.ask(alice, |device| device.set_attribute(&hand(), &up()));
    assert_eq!(raise, Ok(Outcome::Done));
    let of_host = world.ask(alice, |device| {
        device.set_attribute_of(&id("host"), &hand(), &up())
    });
    assert_eq!(of_host, refused(Refusal::NotPermitted));
    let lower = world.ask(host, |device| {
        device.set_attribute_of(&id("alice"), &hand(), &none)
    });
    assert_eq!(lower, Ok(Outcome::Done));
    world.run_until_agreed(&[alice, host], s(1));
    assert_eq!(raised(&mut world, alice), []);
    let nobody = world.ask(host, |device| {
        device.set_attribute_of(&id("nobody"), &hand(), &up())
    });
    assert_eq!(nobody, refused(Refusal::UnknownParticipant));
    let own = world.ask(alice, |device| {
        device.set_attribute_of(&id("alice"), &hand(), &up())
    });
    assert_eq!(own, Ok(Outcome::Done), "named or not, it is one's own");
    assert!(!Options::default().grants.contains(Grants::SET_ATTRIBUTES));
}

#[test]
fn the_application_sets_them_from_outside() {
    let mut world = World::new("the_application_sets_them_from_outside");
    let alice = world.joined("alice", Options::default());
    let role = AttributeKey::new("role").unwrap();
    let host = AttributeValue::new("host").unwrap();
    let room = RoomId::new("green").unwrap();
    let set = |world: &mut World, participant: &str, value: Option<&AttributeValue>| {
        let (server, clock) = world.server_and_clock();
        server.set_attribute(clock, &room, &id(participant), &role, value)
    };
    assert_eq!(set(&mut world, "alice", Some(&host)), Ok(()));
    assert_eq!(
        set(&mut world, "bob", Some(&host)),
        Err(ModerateError::UnknownParticipant)
    );
    world.run_until_agreed(&[alice], s(1));
    let attributes = world.facts(alice).attributes;
    assert_eq!(attributes[&(id("alice"), role.clone())], host);
    assert_eq!(set(&mut world, "alice", None), Ok(()));
    world.run_until_agreed(&[alice], s(1));
    assert!(world.facts(alice).attributes.is_empty());
}

#[test]
fn a_hand_stays_up_over_a_resume_and_is_swept_after_a_snapshot() {
    let config = Config {
        room_log: 2,
        ..Config::default()
    };
    let mut world = World::with_config("a_hand_stays_up_over_a_resume", config);
    let alice = world.joined("alice", Options::default());
    let bob = world.joined("bob", Options::default());
    let raise = world.ask(alice, |device| device.set_attribute(&hand(), &up()));
    assert_eq!(raise, Ok(Outcome::Done));
    world.run_until_agreed(&[alice, bob], s(1));
    // Bob is away while more happens than is remembered: the hand goes down, and others go up.
    world.partition(bob, true);
    world.run_for(ms(300));
    let none = AttributeValue::default();
    for (name, value) in [
        ("hand", &none),
        ("a", &host()),
        ("b", &host()),
        ("c", &host()),
    ] {
        let key = AttributeKey::new(name).unwrap();
        let done = world.ask(alice, |device| device.set_attribute(&key, value));
        assert_eq!(done, Ok(Outcome::Done));
    }
    world.partition(bob, false);
    world.run_until_agreed(&[alice, bob], s(40));
    assert_eq!(raised(&mut world, bob), []);
    assert_eq!(world.facts(bob).attributes.len(), 3);
    let lowered = Event::AttributeChanged {
        participant: id("alice"),
        key: hand(),
    };
    assert_eq!(world.count_seen(bob, |event| *event == lowered), 2);
}

fn host() -> AttributeValue {
    AttributeValue::new("host").unwrap()
}

#[test]
fn there_are_at_most_eight_and_not_too_many_at_once() {
    let config = Config {
        requests: Rate {
            per_second: 1,
            burst: 20,
        },
        ..Config::default()
    };
    let mut world = World::with_config("there_are_at_most_eight", config);
    let alice = world.joined("alice", Options::default());
    let set = |world: &mut World, number: usize| {
        let key = AttributeKey::new(&format!("k{number}")).unwrap();
        world.ask(alice, |device| device.set_attribute(&key, &up()))
    };
    for number in 0..MAX_ATTRIBUTES {
        assert_eq!(set(&mut world, number), Ok(Outcome::Done));
    }
    assert_eq!(set(&mut world, 8), refused(Refusal::TooManyAttributes));
    assert_eq!(set(&mut world, 0), Ok(Outcome::Done));
    let results: Vec<_> = (0..20).map(|_| set(&mut world, 1)).collect();
    assert!(
        results.contains(&refused(Refusal::RateLimited)),
        "{results:?}"
    );
    world.run_for(s(20));
    assert_eq!(set(&mut world, 1), Ok(Outcome::Done));
}
