//! A guest is let in while it is out of touch: it is known by the ticket with which it waited.

use parlour_core::client::{CloseCause, Commands as _, Event};
use parlour_core::room::{CloseReason, RoomId};
use parlour_core::server::Act;
use parlour_core::signal::{JoinRefusal, Moderation};
use parlour_core::time::Duration;
use parlour_tests::{Handle, Options, World};

use crate::{id, only, s};

/// A host, and a guest who waits, loses touch for so long, and is let in after `before`.
fn let_in_while_away(world: &mut World, before: Duration, away: Duration) -> [Handle; 2] {
    let host = world.joined("host", Options::moderator());
    let lobby = Options {
        lobby: true,
        ..Options::small().publishing("mic")
    };
    let alice = world.join("alice", lobby);
    world.run_until("she waits", s(5), |world| {
        world.saw(alice, |event| *event == Event::Waiting)
    });
    world.run_for(s(1));
    world.partition(alice, true);
    world.run_for(before);
    let admit = Moderation::Admit;
    world
        .ask(host, |device| device.moderate(admit, &only(&["alice"])))
        .unwrap();
    world.run_for(away.saturating_sub(before));
    assert!(!world.is_joined(alice), "she knows already");
    [host, alice]
}

fn knocks(world: &World, host: Handle) -> usize {
    let knock = |event: &Event| matches!(event, Event::Knocked { .. });
    world.count_seen(host, knock)
}

#[test]
fn one_let_in_while_away_comes_back_as_a_participant() {
    let mut world = World::new("one_let_in_while_away_comes_back_as_a_participant");
    // Cut off for so long that she gives her connection up, and comes back with a Hello.
    let [host, alice] = let_in_while_away(&mut world, s(5), s(32));
    let resumes = world.server().statistics().resumes;
    world.partition(alice, false);
    world.run_until("she is in", s(10), |world| world.is_joined(alice));
    world.run_until_agreed(&[host, alice], s(2));
    assert_eq!(world.server().statistics().resumes, resumes + 1);
    assert_eq!(knocks(&world, host), 1, "she knocked again");
    let joined = world.count_seen(alice, |event| *event == Event::Joined { resumed: false });
    assert_eq!(joined, 1, "{:?}", world.events(alice));
    let left = world.saw(host, |event| matches!(event, Event::ParticipantLeft { .. }));
    assert!(!left, "others saw her leave");
    world.talk(alice, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(host, alice).len(), 50);
    // The ticket that `Joined` gave is the one in force, not the older one of `Admitted`.
    world.partition(alice, true);
    world.run_for(s(25));
    world.partition(alice, false);
    world.run_for(s(6));
    assert_eq!(world.server().statistics().resumes, resumes + 2);
    world.run_until_agreed(&[host, alice], s(2));
}

#[test]
fn one_let_in_while_away_hears_that_the_session_ended() {
    let mut world = World::new("one_let_in_while_away_hears_that_the_session_ended");
    let [_, alice] = let_in_while_away(&mut world, s(5), s(32));
    let room = RoomId::new("green").unwrap();
    let (server, clock) = world.server_and_clock();
    server.end_session(clock, &room).unwrap();
    world.run_for(s(6));
    world.partition(alice, false);
    world.run_until("she is told", s(10), |world| world.closed(alice).is_some());
    let cause = world.closed(alice).unwrap();
    assert!(
        cause == CloseCause::Refused(JoinRefusal::SessionEnded)
            || cause == CloseCause::Closed(CloseReason::SessionEnded),
        "{cause}"
    );
    assert_eq!(world.server().waiting(&room).count(), 0);
}

#[test]
fn one_who_knows_that_it_is_in_has_no_use_for_the_ticket_of_the_lobby() {
    let name = "one_who_knows_that_it_is_in_has_no_use_for_the_ticket_of_the_lobby";
    let mut world = World::new(name);
    let [host, alice] = let_in_while_away(&mut world, s(1), s(2));
    world.partition(alice, false);
    world.run_until_agreed(&[host, alice], s(10));
    world.run_for(s(1));
    world.new_socket(alice);
    world.run_for(s(3));
    world.run_until_agreed(&[host, alice], s(2));
    assert_eq!(world.present("green"), [id("alice").as_str(), "host"]);
    assert_eq!(knocks(&world, host), 1);
}

#[test]
fn one_let_in_on_its_way_back_to_the_lobby_is_in() {
    let mut world = World::new("one_let_in_on_its_way_back_to_the_lobby_is_in");
    let host = world.joined("host", Options::moderator());
    let lobby = Options {
        lobby: true,
        ..Options::small()
    };
    let alice = world.join("alice", lobby);
    let waited = |world: &World| world.count_seen(alice, |event| *event == Event::Waiting);
    world.run_until("she waits", s(5), |world| waited(world) == 1);
    world.run_for(s(1));
    world.partition(alice, true);
    world.run_for(s(32));
    world.partition(alice, false);
    world.run_until("she is promised to wait", s(10), |world| {
        let server = world.running_server();
        server.is_some_and(|server| server.accounting().half_open == 1)
    });
    let room = RoomId::new("green").unwrap();
    let (server, clock) = world.server_and_clock();
    server
        .moderate(clock, &room, Act::Admit, &id("alice").into())
        .unwrap();
    world.run_until("she is in", s(10), |world| world.is_joined(alice));
    world.run_until_agreed(&[host, alice], s(2));
    assert_eq!(world.server().waiting(&room).count(), 0);
}
