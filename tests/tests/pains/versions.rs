//! Versions: old and new devices in one room, and an answer where they cannot be.
//!
//! The vectors in `core/vectors` test that the wire format stays as it is, byte by byte.

use parlour_core::client::CloseCause;
use parlour_core::wire::VERSION;
use parlour_tests::{Options, World};

use crate::{ms, s};

#[test]
fn pain_15_another_version_is_answered_and_not_left_hanging() {
    let mut world = World::new("pain_15_another_version_is_answered_and_not_left_hanging");
    let alice = world.join("alice", Options::small());
    world.run_for(ms(1));
    let hello = world.history()[0].datagram.bytes.clone();
    assert_eq!(hello[1], VERSION);
    // A later version may append anything to its Hello, or change anything in it.
    for version in [0, 2, 3, 255] {
        for len in [6, 7, 100, hello.len()] {
            let mut other = hello[..len.min(hello.len())].to_vec();
            other[1] = version;
            let stranger = "203.0.113.1:1".parse().unwrap();
            world.forget_history();
            world.inject(stranger, &other);
            world.run_for(ms(100));
            let answer = world
                .history()
                .iter()
                .find(|sent| sent.datagram.to == stranger)
                .map(|sent| sent.datagram.bytes.clone())
                .unwrap_or_else(|| panic!("version {version}, {len} bytes: no answer"));
            let mut expected = vec![9, VERSION];
            expected.extend(&hello[2..6]);
            assert_eq!(answer, expected);
        }
    }
    assert!(world.is_joined(alice));

    // And the other way round: a server of another version.
    world.crash_server();
    let bob = world.join("bob", Options::small());
    world.run_for(ms(1));
    let mut history = world.history().iter().rev();
    let hello = history.find(|sent| sent.datagram.bytes[0] == 8).unwrap();
    let mut answer = vec![9, 2];
    answer.extend(&hello.datagram.bytes[2..6]);
    for _ in 0..40 {
        world.inject_to(bob, &answer);
        world.run_for(ms(500));
    }
    let supported = CloseCause::VersionMismatch { supported: 2 };
    assert_eq!(world.closed(bob), Some(supported));
    world.run_for(s(1));
}
