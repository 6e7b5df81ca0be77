//! The figure to beat: how many round trips until the first sound leaves.

use parlour_tests::{LinkConfig, Options, World};

use crate::{ms, s};

#[test]
fn first_audio_leaves_one_round_trip_after_hello() {
    let mut world = World::new("first_audio_leaves_one_round_trip_after_hello");
    let rtt = ms(100);
    let bob = world.joined("bob", Options::default().over(LinkConfig::with_rtt(ms(0))));
    world.forget_history();
    let alice = world.join(
        "alice",
        Options::small()
            .publishing("mic")
            .over(LinkConfig::with_rtt(rtt)),
    );
    // She talks all the time, as a microphone does; frame by frame, on a beat of its own.
    world.talk(alice, "mic", s(1));
    world.run_until("bob hears her", s(1), |world| !world.heard(bob).is_empty());

    let address = world.address(alice);
    let sent: Vec<_> = world
        .history()
        .iter()
        .filter(|sent| sent.datagram.from == address)
        .map(|sent| (sent.at, sent.datagram.bytes[0], sent.datagram.bytes.len()))
        .collect();
    let (hello_at, kind, _) = sent[0];
    assert_eq!(kind, 8, "the first datagram is the Hello: {sent:?}");
    let (data_at, kind, _) = sent[1];
    assert_eq!(kind, 11, "the second one is Data: {sent:?}");
    assert_eq!(data_at.saturating_duration_since(hello_at), rtt);

    let first = world.heard(bob)[0];
    let heard_after = first.at.saturating_duration_since(hello_at);
    println!(
        "at a round trip of {rtt:?} the first audio leaves {:?} after Hello and is heard after {heard_after:?}",
        data_at.saturating_duration_since(hello_at)
    );
    // One round trip, one way to the server, and at most one beat until a frame is spoken.
    assert!(heard_after <= rtt + rtt / 2 + ms(20), "{heard_after:?}");
    assert!(first.latency() <= rtt / 2);
}
