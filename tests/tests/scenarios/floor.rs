//! The floor: one holds it, asks for it, gives it back or loses it by leaving.

use parlour_core::client::{Commands as _, Event, RequestFailure};
use parlour_core::room::Grants;
use parlour_core::signal::{Outcome, Refusal};
use parlour_tests::{Options, World};

use crate::{id, s};

#[test]
fn one_at_a_time_has_the_floor() {
    let mut world = World::new("one_at_a_time_has_the_floor");
    let alice = world.joined("alice", Options::small());
    let bob = world.joined("bob", Options::small());
    let refused = |refusal| Err(RequestFailure::Refused(refusal));
    assert_eq!(
        world.ask(alice, |device| device.release_floor()),
        refused(Refusal::FloorNotHeld)
    );
    assert_eq!(
        world.ask(alice, |device| device.request_floor()),
        Ok(Outcome::Done)
    );
    assert_eq!(
        world.ask(bob, |device| device.request_floor()),
        refused(Refusal::FloorTaken)
    );
    assert_eq!(
        world.ask(bob, |device| device.release_floor()),
        refused(Refusal::FloorNotHeld)
    );
    world.run_until_agreed(&[alice, bob], s(1));
    assert_eq!(world.facts(bob).floor, Some(id("alice")));
    let told = Event::FloorChanged(Some(id("alice")));
    assert_eq!(world.count_seen(bob, |event| *event == told), 1);

    assert_eq!(
        world.ask(alice, |device| device.release_floor()),
        Ok(Outcome::Done)
    );
    assert_eq!(
        world.ask(bob, |device| device.request_floor()),
        Ok(Outcome::Done)
    );
    world.leave(bob);
    world.run_until("the floor is free", s(2), |world| {
        world.facts(alice).floor.is_none()
    });
    assert_eq!(
        world.ask(alice, |device| device.request_floor()),
        Ok(Outcome::Done)
    );

    let options = Options {
        grants: Grants::PARTICIPANT - Grants::REQUEST_FLOOR,
        ..Options::default()
    };
    let carol = world.joined("carol", options);
    assert_eq!(
        world.ask(carol, |device| device.request_floor()),
        refused(Refusal::NotPermitted)
    );
}

#[test]
fn who_is_cut_off_keeps_the_floor_from_nobody() {
    let mut world = World::new("who_is_cut_off_keeps_the_floor_from_nobody");
    let alice = world.joined("alice", Options::small());
    let bob = world.joined("bob", Options::small());
    let asked = world.ask(alice, |device| device.request_floor());
    assert_eq!(asked, Ok(Outcome::Done));
    world.partition(alice, true);
    let began = world.now();
    world.run_until("the floor is free", s(20), |world| {
        world.facts(bob).floor.is_none()
    });
    let silence = parlour_core::server::Config::default().silence;
    assert!(world.now().saturating_duration_since(began) <= silence + s(2));
    let asked = world.ask(bob, |device| device.request_floor());
    assert_eq!(asked, Ok(Outcome::Done));
    // She is the same participant when she is back, and sees whose it is.
    world.partition(alice, false);
    world.run_until_agreed(&[alice, bob], s(15));
    assert_eq!(world.facts(alice).floor, Some(id("bob")));
    let asked = world.ask(alice, |device| device.release_floor());
    let refused = RequestFailure::Refused(Refusal::FloorNotHeld);
    assert_eq!(asked, Err(refused));
}
