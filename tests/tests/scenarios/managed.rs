//! A room under the hands of a management server, as those in it see it.

use parlour_core::client::{CloseCause, Commands as _, Event, RequestFailure};
use parlour_core::room::{CloseReason, Grants, RoomId};
use parlour_core::server::RoomLimits;
use parlour_core::signal::{JoinRefusal, Refusal};
use parlour_core::time::Duration;
use parlour_tests::{Handle, LinkConfig, Options, World, microphone};

use crate::{id, key, s};

fn green() -> RoomId {
    RoomId::new("green").unwrap()
}

fn limit(world: &mut World, limits: RoomLimits) {
    let (server, clock) = world.server_and_clock();
    server.set_room_limits(clock, &green(), limits).unwrap();
}

fn lossy() -> LinkConfig {
    LinkConfig {
        loss: 5,
        ..LinkConfig::GOOD
    }
}

#[test]
fn one_left_alone_is_sent_away_and_does_not_come_back_by_itself() {
    for breaks in [false, true] {
        let name = "one_left_alone_is_sent_away_and_does_not_come_back_by_itself";
        let mut world = World::new(name);
        let alice = world.joined("alice", Options::small().publishing("mic"));
        let bob = world.joined("bob", Options::default());
        let solo_timeout = Some(s(20));
        let alone = RoomLimits {
            solo_timeout,
            ..RoomLimits::default()
        };
        limit(&mut world, alone);
        world.run_for(s(60));
        assert!(world.is_joined(alice) && world.is_joined(bob));
        world.leave(bob);
        world.run_for(s(19));
        assert!(world.is_joined(alice));
        world.partition(alice, breaks);
        world.run_for(s(10));
        world.partition(alice, false);
        world.run_until("she is told", s(15), |world| world.closed(alice).is_some());
        let cause = world.closed(alice).unwrap();
        let expected = match breaks {
            false => CloseCause::Closed(CloseReason::AloneTooLong),
            true => CloseCause::Refused(JoinRefusal::SessionEnded),
        };
        assert_eq!(cause, expected);
        world.run_for(s(60));
        assert!(world.authority("green").is_none());
    }
}

#[test]
fn the_session_is_the_same_for_one_who_returns_in_time() {
    let mut world = World::new("the_session_is_the_same_for_one_who_returns_in_time");
    let alice = world.joined("alice", Options::default());
    let session = world.device(alice).session();
    let lasting = RoomLimits {
        empty_timeout: Some(s(60)),
        ..RoomLimits::default()
    };
    limit(&mut world, lasting);
    world.leave(alice);
    world.run_for(s(50));
    let alice = world.joined("alice", Options::default());
    assert_eq!(world.device(alice).session(), session);
    world.leave(alice);
    world.run_for(s(70));
    let alice = world.joined("alice", Options::default());
    assert_ne!(world.device(alice).session(), session);
}

/// Alice, whose stream the application ends while she is out of touch for so long, and bob.
fn ended_stream(away: Duration) -> (World, [Handle; 2]) {
    let mut world = World::new("a_stream_that_the_application_ends_is_given_up");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    world.run_until_agreed(&[alice, bob], s(3));
    for one in [alice, bob] {
        world.set_link(one, lossy());
    }
    world.partition(alice, !away.is_zero());
    world.run_for(s(1));
    let (server, clock) = world.server_and_clock();
    server
        .unpublish(clock, &green(), &id("alice"), &key("mic"))
        .unwrap();
    world.run_for(away);
    world.partition(alice, false);
    (world, [alice, bob])
}

#[test]
fn a_stream_that_the_application_ends_is_given_up() {
    for away in [s(0), s(3), s(20)] {
        let (mut world, [alice, bob]) = ended_stream(away);
        let given_up = Event::PublishRefused {
            key: key("mic"),
            refusal: Refusal::UnknownStream,
        };
        world.run_until("she knows", s(15), |world| {
            world.saw(alice, |event| *event == given_up)
        });
        assert_eq!(world.count_seen(alice, |event| *event == given_up), 1);
        assert_eq!(world.device(alice).published_ssrc(&key("mic")), None);
        world.run_until_agreed(&[alice, bob], s(5));
        // It is hers to begin anew, and to end.
        world.device(alice).publish(microphone("mic")).unwrap();
        world.run_until("it is published", s(5), |world| {
            world.device_of(alice).published_ssrc(&key("mic")).is_some()
        });
        world.device(alice).unpublish(&key("mic")).unwrap();
        world.run_for(s(3));
        world.run_until_agreed(&[alice, bob], s(5));
        assert_eq!(world.count_seen(alice, |event| *event == given_up), 1);
    }
}

#[test]
fn grants_from_the_application_outlast_a_new_connection() {
    let mut world = World::new("grants_from_the_application_outlast_a_new_connection");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::default());
    let (server, clock) = world.server_and_clock();
    let grants = Grants::SUBSCRIBE;
    server
        .set_grants(clock, &green(), &id("alice"), grants)
        .unwrap();
    world.run_until("she is told", s(3), |world| {
        world.saw(alice, |event| *event == Event::GrantsChanged(grants))
    });
    world.partition(alice, true);
    world.run_for(s(20));
    world.partition(alice, false);
    world.run_for(s(10));
    world.run_until_agreed(&[alice, bob], s(5));
    let asked = world.ask(alice, |device| device.publish(microphone("mic")));
    assert_eq!(asked, Err(RequestFailure::Refused(Refusal::NotPermitted)));
    let changes = |event: &Event| matches!(event, Event::GrantsChanged(_));
    assert_eq!(world.count_seen(alice, changes), 1);
}

#[test]
fn a_closed_room_is_closed_to_those_in_its_lobby_too() {
    let mut world = World::new("a_closed_room_is_closed_to_those_in_its_lobby_too");
    let alice = world.joined("alice", Options::default());
    let guest = Options {
        lobby: true,
        ..Options::default()
    };
    let guest = world.join("guest", guest);
    world.run_until("the guest waits", s(3), |world| {
        world.saw(guest, |event| *event == Event::Waiting)
    });
    world.run_for(s(1));
    let (server, clock) = world.server_and_clock();
    let reason = CloseReason::SessionEnded;
    server.close_room(clock, &green(), reason).unwrap();
    for one in [alice, guest] {
        world.run_until("it is told", s(3), |world| world.closed(one).is_some());
        assert_eq!(world.closed(one), Some(CloseCause::Closed(reason)));
    }
    world.run_for(s(10));
    assert_eq!(world.server().accounting().rooms, 0);
}
