//! A recording: everybody is told, whenever they join and whatever their network does.

use parlour_core::client::Event;
use parlour_tests::{LinkConfig, Options, World};

use crate::s;

#[test]
fn everybody_is_told_of_a_recording() {
    let mut world = World::new("everybody_is_told_of_a_recording");
    let alice = world.joined("alice", Options::small());
    let bob = world.joined("bob", Options::default());
    world.set_link(alice, LinkConfig::WEAK);
    world.partition(bob, true);
    world.run_for(s(20));
    world.set_recorded("green", true);
    let carol = world.joined("carol", Options::small());
    world.partition(bob, false);
    world.run_for(s(15));
    let told = |recorded| move |event: &Event| *event == Event::RecordingChanged(recorded);
    world.run_until_agreed(&[alice, bob, carol], s(10));
    for one in [alice, bob, carol] {
        assert!(world.facts(one).recorded);
        assert_eq!(world.count_seen(one, told(true)), 1);
    }
    // In a snapshot again, and no news.
    world.partition(bob, true);
    world.run_for(s(60));
    world.partition(bob, false);
    world.run_for(s(15));
    assert!(world.facts(bob).recorded);
    assert_eq!(world.count_seen(bob, told(true)), 1);

    // Not in a snapshot any more.
    world.partition(alice, true);
    world.run_for(s(30));
    world.set_recorded("green", false);
    world.run_for(s(30));
    world.partition(alice, false);
    world.run_for(s(15));
    world.run_until_agreed(&[alice, bob, carol], s(10));
    for one in [alice, bob, carol] {
        assert!(!world.facts(one).recorded);
        assert_eq!(world.count_seen(one, told(true)), 1);
        assert_eq!(world.count_seen(one, told(false)), 1);
    }
}
