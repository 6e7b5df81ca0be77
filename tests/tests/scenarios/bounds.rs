//! Nothing grows: after a thousand joins and leaves the server holds what it held before.

use parlour_core::server::{Config, Rate};
use parlour_tests::{Handle, Options, World};

use crate::{ms, s};

#[test]
fn a_thousand_joins_and_leaves_leave_nothing_behind() {
    let config = Config {
        joins: Rate {
            per_second: 1_000,
            burst: 1_000,
        },
        ..Config::default()
    };
    let name = "a_thousand_joins_and_leaves_leave_nothing_behind";
    let mut world = World::with_config(name, config);
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.run_for(s(10));
    let before = world.server().accounting();
    for cycle in 0..1_000 {
        let alice = world.joined("alice", Options::small().publishing("mic"));
        if cycle % 10 == 0 {
            world.talk(alice, "mic", ms(60));
            world.talk(bob, "mic", ms(60));
            world.run_for(ms(100));
        }
        if cycle % 4 == 3 {
            // Gone without a word; the next one takes its place.
            world.power_off(alice);
        } else {
            world.leave(alice);
            world.run_until("she is out", s(3), |world| world.closed(alice).is_some());
        }
        world.retire(alice);
        world.forget(bob);
        world.forget_history();
    }
    world.run_for(s(90));
    let after = world.server().accounting();
    // Payload memory is pooled for reuse, and a participant that was replaced without learning of it is remembered,
    // up to a limit; everything else is as it was.
    let pooled = |accounting: parlour_core::server::Accounting| parlour_core::server::Accounting {
        media_bytes: 0,
        timers: 0,
        ended: 0,
        ..accounting
    };
    assert_eq!(pooled(before), pooled(after));
    assert!(after.ended <= 250, "{after:?}");
    assert!(after.timers <= before.timers + 2, "{before:?} {after:?}");
    assert!(after.media_bytes <= 64 * 1024, "{after:?}");
    world.run_until_agreed(&[bob], s(2));
    let _: Handle = bob;
}
