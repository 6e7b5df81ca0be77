//! Put out over a link that loses half of everything, or all of it for a while: whoever is out learns
//! why, and never comes back by itself.

use parlour_core::client::{CloseCause, Event};
use parlour_core::room::{CloseReason, RoomId};
use parlour_core::server::{self, Act};
use parlour_core::signal::JoinRefusal;
use parlour_core::time::Duration;
use parlour_tests::{Handle, LinkConfig, Options, World};

use crate::{id, ms, s};

const SEEDS: u64 = 50;

/// Loses half of what crosses it, either way.
const AWFUL: LinkConfig = LinkConfig {
    loss: 50,
    ..LinkConfig::WEAK
};

/// What a moderator, or another device, does to alice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Kick,
    Session,
    Replace,
}

impl End {
    fn reason(self) -> CloseReason {
        match self {
            Self::Kick => CloseReason::Kicked,
            Self::Session => CloseReason::SessionEnded,
            Self::Replace => CloseReason::Replaced,
        }
    }

    fn refusal(self) -> JoinRefusal {
        match self {
            Self::Kick => JoinRefusal::Kicked,
            Self::Session => JoinRefusal::SessionEnded,
            Self::Replace => JoinRefusal::Replaced,
        }
    }

    /// Does it; returns who is in the session thereafter.
    fn perform(self, world: &mut World) -> &'static [&'static str] {
        let room = RoomId::new("green").unwrap();
        let (server, clock) = world.server_and_clock();
        match self {
            Self::Kick => {
                let kick = Act::Kick { keep_out: true };
                server
                    .moderate(clock, &room, kick, &id("alice").into())
                    .unwrap();
            }
            Self::Session => server.end_session(clock, &room).unwrap(),
            Self::Replace => {
                world.joined("alice", Options::default());
            }
        }
        match self {
            Self::Kick => &["bob"],
            Self::Session => &[],
            Self::Replace => &["alice", "bob"],
        }
    }
}

fn world(seed: u64) -> (World, Handle) {
    let mut world = World::with_seed("lost_closed", server::Config::default(), seed);
    world.joined("bob", Options::default());
    let alice = world.joined("alice", Options::small().publishing("mic"));
    world.talk(alice, "mic", s(200));
    world.run_for(s(1));
    (world, alice)
}

/// Alice knows that she is out, and why, and the session is as if she had known at once.
fn check(world: &mut World, alice: Handle, end: End, present: &[&str], limit: Duration) {
    world.run_until("alice knows that she is out", limit, |world| {
        world.closed(alice).is_some()
    });
    let expected = [
        CloseCause::Closed(end.reason()),
        CloseCause::Refused(end.refusal()),
    ];
    let cause = world.closed(alice).unwrap();
    assert!(expected.contains(&cause), "{end:?}: {cause:?}");
    world.run_for(s(20));
    let came_back = |event: &Event| matches!(event, Event::Joined { .. });
    assert_eq!(world.count_seen(alice, came_back), 1, "{end:?}: came back");
    assert_eq!(world.present("green"), present, "{end:?}");
    let joins = world.server_events().iter().filter(|(_, event)| {
        matches!(event, server::Event::ParticipantJoined { participant, .. } if *participant == id("alice"))
    });
    let expected = if end == End::Replace { 2 } else { 1 };
    assert_eq!(joins.count(), expected, "{end:?}: joined again");
}

fn over_an_awful_link(end: End) {
    for seed in 0..SEEDS {
        let (mut world, alice) = world(seed);
        world.set_link(alice, AWFUL);
        let present = end.perform(&mut world);
        check(&mut world, alice, end, present, s(60));
    }
}

/// Nothing crosses the link for longer than the server lingers; then everything does.
fn over_a_broken_link(end: End) {
    for (seed, broken) in [s(3), s(7), s(12), s(40), s(90)].into_iter().enumerate() {
        let (mut world, alice) = world(seed as u64);
        world.partition(alice, true);
        world.run_for(ms(100));
        let present = end.perform(&mut world);
        world.run_for(broken);
        world.partition(alice, false);
        check(&mut world, alice, end, present, s(60));
    }
}

#[test]
fn a_kick_over_an_awful_link() {
    over_an_awful_link(End::Kick);
}

#[test]
fn the_end_of_a_session_over_an_awful_link() {
    over_an_awful_link(End::Session);
}

#[test]
fn a_newer_join_over_an_awful_link() {
    over_an_awful_link(End::Replace);
}

#[test]
fn a_kick_over_a_broken_link() {
    over_a_broken_link(End::Kick);
}

#[test]
fn the_end_of_a_session_over_a_broken_link() {
    over_a_broken_link(End::Session);
}

#[test]
fn a_newer_join_over_a_broken_link() {
    over_a_broken_link(End::Replace);
}
