//! More talkers than decoders: the loudest are heard, and over time everybody.

use parlour_core::client::Commands as _;
use parlour_core::signal::Outcome;
use parlour_tests::{Handle, Options, World};

use crate::{ms, s, stream};

fn room(world: &mut World, talkers: usize, slots: u8) -> (Vec<Handle>, Handle) {
    let talkers = (0..talkers)
        .map(|number| {
            let name = format!("talker-{number}");
            world.joined(&name, Options::default().publishing("mic"))
        })
        .collect();
    let options = Options {
        slots: Some(slots),
        ..Options::small()
    };
    (talkers, world.joined("listener", options))
}

/// Each slot is one flow without gaps whose time goes on as the world's does.
fn check_flows(world: &World, listener: Handle, slots: u8) {
    for slot in 0..slots {
        let flow: Vec<_> = world
            .heard(listener)
            .iter()
            .filter(|frame| frame.slot == slot)
            .collect();
        for pair in flow.windows(2) {
            assert_eq!(
                pair[1].sequence,
                pair[0].sequence + 1,
                "a gap in slot {slot}"
            );
            let passed = pair[1].at.saturating_duration_since(pair[0].at);
            let counted = pair[1].timestamp - pair[0].timestamp;
            let counted = ms(counted / 48);
            let apart = counted.abs_diff(passed);
            assert!(
                apart <= ms(25),
                "{counted:?} told, {passed:?} passed: {pair:?}"
            );
            let changed = pair[1].ssrc != pair[0].ssrc;
            assert!(!changed || pair[1].marker, "a change without marker");
        }
    }
    assert!(world.heard(listener).iter().all(|frame| frame.slot < slots));
}

#[test]
fn one_decoder_hears_the_whole_room_over_time() {
    let mut world = World::new("one_decoder_hears_the_whole_room_over_time");
    let (talkers, listener) = room(&mut world, 6, 1);
    for talker in &talkers {
        world.talk(*talker, "mic", s(2));
        world.run_for(s(3));
    }
    for talker in &talkers {
        assert_eq!(world.heard_from(listener, *talker).len(), 100);
    }
    check_flows(&world, listener, 1);
}

#[test]
fn the_loudest_are_heard_when_all_talk_at_once() {
    let mut world = World::new("the_loudest_are_heard_when_all_talk_at_once");
    let (talkers, listener) = room(&mut world, 6, 2);
    for (talker, level) in talkers.iter().zip([60, 20, 55, 25, 50, 65]) {
        world.talk_at(*talker, "mic", level, s(6));
    }
    world.run_for(s(2));
    world.forget(listener);
    world.run_for(s(5));
    let counts: Vec<_> = talkers
        .iter()
        .map(|talker| world.heard_from(listener, *talker).len())
        .collect();
    assert!(counts[1] >= 190 && counts[3] >= 190, "{counts:?}");
    let others: usize = counts.iter().sum::<usize>() - counts[1] - counts[3];
    assert_eq!(others, 0, "{counts:?}");
    check_flows(&world, listener, 2);
    assert!(world.server().statistics().media_outranked > 0);
}

#[test]
fn a_louder_one_takes_the_only_slot_and_gives_it_back() {
    let mut world = World::new("a_louder_one_takes_the_only_slot_and_gives_it_back");
    let (talkers, listener) = room(&mut world, 2, 1);
    world.talk_at(talkers[0], "mic", 50, s(6));
    world.run_for(s(2));
    world.talk_at(talkers[1], "mic", 15, s(2));
    world.run_for(s(6));
    let first = world.heard_from(listener, talkers[0]);
    let second = world.heard_from(listener, talkers[1]);
    // Three frames tell its voice from a click.
    assert_eq!(second, (2..100).collect::<Vec<_>>());
    assert!((185..=215).contains(&first.len()), "{}", first.len());
    assert_eq!(first.last(), Some(&299), "it came back");
    check_flows(&world, listener, 1);
}

#[test]
fn a_pinned_stream_keeps_its_slot() {
    let mut world = World::new("a_pinned_stream_keeps_its_slot");
    let (talkers, listener) = room(&mut world, 4, 1);
    let pinned = stream("talker-2", "mic");
    assert_eq!(
        world.ask(listener, |device| device.pin(Some(&pinned))),
        Ok(Outcome::Done)
    );
    for (talker, level) in talkers.iter().zip([20, 20, 70, 20]) {
        world.talk_at(*talker, "mic", level, s(4));
    }
    world.run_for(s(5));
    assert_eq!(world.heard_from(listener, talkers[2]).len(), 200);
    // The slot is taken from others with the first packet of the pinned stream.
    assert!(world.heard(listener).len() <= 203, "others were heard, too");

    check_flows(&world, listener, 1);

    assert_eq!(
        world.ask(listener, |device| device.pin(None)),
        Ok(Outcome::Done)
    );
    world.forget(listener);
    world.talk_at(talkers[0], "mic", 20, s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(listener, talkers[0]).len(), 50);
    check_flows(&world, listener, 1);
}

#[test]
fn an_endpoint_without_decoders_hears_nothing_and_lives() {
    let mut world = World::new("an_endpoint_without_decoders_hears_nothing_and_lives");
    let (talkers, listener) = room(&mut world, 1, 0);
    world.talk(talkers[0], "mic", s(60));
    world.run_for(s(61));
    assert!(world.heard(listener).is_empty());
    assert!(world.is_joined(listener));
    world.run_until_agreed(&[listener], s(1));
}
