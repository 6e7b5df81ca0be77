//! Two versions of the protocol meet: both ends say so, nobody hangs, nobody is fooled.

use parlour_core::client::CloseCause;
use parlour_tests::{LinkConfig, Options, World};

use crate::{ms, s};

#[test]
fn a_hello_of_another_version_is_told_which_one_is_spoken() {
    let mut world = World::new("a_hello_of_another_version_is_told_which_one_is_spoken");
    let alice = world.join("alice", Options::default());
    world.run_for(ms(1));
    let mut hello = world.history()[0].datagram.bytes.clone();
    hello[1] = 9;
    let stranger = "203.0.113.1:1".parse().unwrap();
    world.forget_history();
    world.inject(stranger, &hello);
    world.run_for(s(1));
    let answers = world
        .history()
        .iter()
        .filter(|sent| sent.datagram.to == stranger);
    let answers: Vec<_> = answers.map(|sent| &sent.datagram.bytes).collect();
    let mut expected = vec![9, 1];
    expected.extend(&hello[2..6]);
    assert_eq!(
        answers,
        [&expected],
        "Retry without a cookie, with our version"
    );
    assert!(world.is_joined(alice));
    assert_eq!(world.present("green"), ["alice"]);
}

/// The server's word that it speaks version 7, for the client whose Hello is in the history.
fn mismatch(world: &World) -> Vec<u8> {
    let mut history = world.history().iter();
    let hello = history.find(|sent| sent.datagram.bytes[0] == 8).unwrap();
    let mut retry = vec![9, 7];
    retry.extend(&hello.datagram.bytes[2..6]);
    retry
}

#[test]
fn a_client_reports_the_mismatch() {
    let mut world = World::new("a_client_reports_the_mismatch");
    let alice = world.join("alice", Options::small());
    world.partition(alice, true);
    world.run_for(ms(1));
    let retry = mismatch(&world);
    world.partition(alice, false);
    world.crash_server();
    let mut waited = 0;
    while world.closed(alice).is_none() {
        waited += 1;
        assert!(waited < 120, "it waits for ever");
        world.inject_to(alice, &retry);
        world.run_for(ms(500));
    }
    let supported = CloseCause::VersionMismatch { supported: 7 };
    assert_eq!(world.closed(alice), Some(supported));
}

#[test]
fn a_forged_mismatch_keeps_nobody_out() {
    let mut world = World::new("a_forged_mismatch_keeps_nobody_out");
    // So far away that she asks several times before the true answer comes.
    let far = LinkConfig::with_rtt(s(3));
    let alice = world.join("alice", Options::small().over(far));
    world.run_for(ms(1));
    let retry = mismatch(&world);
    world.inject_to(alice, &retry);
    world.run_until("she has joined", s(5), |world| world.is_joined(alice));
    world.inject_to(alice, &retry);
    world.run_for(s(30));
    assert!(world.is_joined(alice));
}
