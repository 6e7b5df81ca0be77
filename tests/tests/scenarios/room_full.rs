//! The limit of a room is exact, however joins race.

use parlour_core::client::CloseCause;
use parlour_core::server::Config;
use parlour_core::signal::JoinRefusal;
use parlour_tests::{Options, World};

use crate::s;

#[test]
fn exactly_as_many_as_fit_get_in() {
    let config = Config {
        participants_per_room: 3,
        ..Config::default()
    };
    let mut world = World::with_config("exactly_as_many_as_fit_get_in", config);
    let parties: Vec<_> = (0..8)
        .map(|number| world.join(&format!("party-{number}"), Options::small()))
        .collect();
    world.run_until("each is in or refused", s(10), |world| {
        let mut parties = parties.iter();
        parties.all(|party| world.is_joined(*party) || world.closed(*party).is_some())
    });
    world.run_for(s(5));
    let (inside, outside): (Vec<_>, Vec<_>) = parties
        .iter()
        .copied()
        .partition(|party| world.is_joined(*party));
    assert_eq!(inside.len(), 3);
    assert_eq!(world.present("green").len(), 3);
    for party in outside {
        let full = CloseCause::Refused(JoinRefusal::RoomFull);
        assert_eq!(world.closed(party), Some(full));
        // A refused participant was never told that it had joined.
        let told = |event: &_| matches!(event, parlour_core::client::Event::Joined { .. });
        assert!(!world.saw(party, told));
    }

    world.leave(inside[0]);
    world.run_until("one has left", s(2), |world| {
        world.present("green").len() == 2
    });
    let next = world.joined("next", Options::default());
    world.run_until_agreed(&[next, inside[1], inside[2]], s(2));
}

#[test]
fn one_participant_takes_one_place_however_often_it_joins() {
    let config = Config {
        participants_per_room: 2,
        ..Config::default()
    };
    let mut world = World::with_config(
        "one_participant_takes_one_place_however_often_it_joins",
        config,
    );
    for _ in 0..5 {
        world.join("alice", Options::default());
    }
    world.run_for(s(1));
    let bob = world.joined("bob", Options::default());
    assert_eq!(world.present("green"), ["alice", "bob"]);
    world.run_until_agreed(&[bob], s(2));
}
