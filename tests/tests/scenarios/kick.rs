//! Removed by a moderator: out for the session, and told why.

use parlour_core::client::{CloseCause, Commands as _, Event, RequestFailure};
use parlour_core::room::{CloseReason, RoomId};
use parlour_core::server::{Act, Selection};
use parlour_core::signal::{JoinRefusal, Moderation, Outcome, Refusal};
use parlour_tests::{Options, World};

use crate::{id, only, s};

#[test]
fn a_kicked_participant_is_out_and_stays_out() {
    let mut world = World::new("a_kicked_participant_is_out_and_stays_out");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::moderator());
    let carol = world.joined("carol", Options::default());
    let kicked = world.ask(bob, |device| {
        device.moderate(Moderation::Kick, &only(&["alice"]))
    });
    assert_eq!(kicked, Ok(Outcome::Moderated { participants: 1 }));
    world.run_until("alice is told", s(2), |world| world.closed(alice).is_some());
    assert_eq!(
        world.closed(alice),
        Some(CloseCause::Closed(CloseReason::Kicked))
    );
    world.run_until_agreed(&[bob, carol], s(2));
    assert_eq!(world.present("green"), ["bob", "carol"]);
    let left = Event::ParticipantLeft {
        participant: id("alice"),
        reason: CloseReason::Kicked,
    };
    for handle in [bob, carol] {
        assert_eq!(world.count_seen(handle, |event| *event == left), 1);
    }

    // With a new device, and the same token.
    let again = world.join("alice", Options::default());
    world.run_until("she is refused", s(5), |world| {
        world.closed(again).is_some()
    });
    assert_eq!(
        world.closed(again),
        Some(CloseCause::Refused(JoinRefusal::Kicked))
    );
    world.run_for(s(5));
    assert_eq!(world.present("green"), ["bob", "carol"]);
}

#[test]
fn the_application_kicks_too() {
    let mut world = World::new("the_application_kicks_too");
    let alice = world.joined("alice", Options::default());
    let bob = world.joined("bob", Options::default());
    let (server, clock) = world.server_and_clock();
    let room = RoomId::new("green").unwrap();
    let (kick, alice_only) = (Act::Kick { keep_out: true }, Selection::from(id("alice")));
    let kicked = server.moderate(clock, &room, kick, &alice_only).unwrap();
    assert_eq!(kicked.affected, [id("alice")]);
    let again = server.moderate(clock, &room, kick, &alice_only).unwrap();
    assert_eq!(again.unknown, [id("alice")]);
    world.run_until("alice is told", s(2), |world| world.closed(alice).is_some());
    assert_eq!(
        world.closed(alice),
        Some(CloseCause::Closed(CloseReason::Kicked))
    );
    world.run_until_agreed(&[bob], s(2));
}

#[test]
fn only_moderators_kick() {
    let mut world = World::new("only_moderators_kick");
    let alice = world.joined("alice", Options::default());
    let bob = world.joined("bob", Options::default());
    let asked = world.ask(alice, |device| {
        device.moderate(Moderation::Kick, &only(&["bob"]))
    });
    assert_eq!(asked, Err(RequestFailure::Refused(Refusal::NotPermitted)));
    world.run_for(s(1));
    assert!(world.is_joined(bob));
}
