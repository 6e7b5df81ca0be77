//! Another address, the same participant: the conversation goes on.

use parlour_core::client::Event;
use parlour_tests::{Options, World};

use crate::{ms, s};

fn noticed(event: &Event) -> bool {
    !parlour_tests::is_about_speech(event)
}

#[test]
fn a_nat_that_rebinds_mid_talk_is_not_noticed() {
    let mut world = World::new("a_nat_that_rebinds_mid_talk_is_not_noticed");
    let alice = world.joined("alice", Options::small().publishing("mic"));
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.run_for(s(1));
    world.forget(alice);
    world.forget(bob);
    world.talk(alice, "mic", s(6));
    world.talk(bob, "mic", s(6));
    for _ in 0..3 {
        world.run_for(ms(1_500));
        world.rebind(alice);
    }
    world.run_for(s(4));
    assert_eq!(world.heard_from(bob, alice).len(), 300);
    // What is sent to the old address in the meantime is lost: at most a round trip's worth.
    let back = world.heard_from(alice, bob).len();
    assert!(back >= 300 - 3 * 3, "{back}");
    assert!(!world.saw(alice, noticed) && !world.saw(bob, noticed));
    assert_eq!(world.server().statistics().roams, 3);
}

#[test]
fn a_new_socket_is_announced_at_once() {
    let mut world = World::new("a_new_socket_is_announced_at_once");
    let alice = world.joined("alice", Options::small());
    let bob = world.joined("bob", Options::default().publishing("mic"));
    world.run_for(s(1));
    world.talk(bob, "mic", s(4));
    world.run_for(s(1));
    world.forget(alice);
    // She only listens, so without this word the server would learn of it much later.
    world.new_socket(alice);
    world.run_for(s(4));
    let heard = world.heard_from(alice, bob).len();
    assert!(heard >= 150 - 3, "{heard}");
    assert!(!world.saw(alice, |event| matches!(event, Event::Reconnecting(_))));
}

#[test]
fn an_unproven_address_gets_three_times_what_came_at_most() {
    // Somebody copies one of Alice's packets and sends it first, from elsewhere.
    let mut world = World::new("an_unproven_address_gets_three_times_what_came_at_most");
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let talkers: Vec<_> = (0..3)
        .map(|number| {
            let options = Options::default().publishing("mic");
            world.joined(&format!("talker-{number}"), options)
        })
        .collect();
    for talker in &talkers {
        world.talk(*talker, "mic", s(10));
    }
    world.run_for(s(2));
    world.forget_history();
    world.partition(alice, true);
    let address = world.address(alice);
    world.talk(alice, "mic", ms(10));
    world.run_for(ms(10));
    let mut history = world.history().iter();
    let packet = history.find(|sent| sent.datagram.from == address);
    let packet = packet.expect("she says something").datagram.bytes.clone();
    let stranger = "203.0.113.7:77".parse().unwrap();
    world.inject(stranger, &packet);
    world.run_for(s(3));
    let sent = world
        .history()
        .iter()
        .filter(|sent| sent.datagram.to == stranger);
    let bytes: usize = sent.map(|sent| sent.datagram.bytes.len()).sum();
    assert!(
        bytes > 0,
        "the association did not move: the test shows nothing"
    );
    assert!(
        bytes <= 3 * packet.len(),
        "{bytes} bytes for {}",
        packet.len()
    );

    // Whatever the stranger did, Alice comes back with her next word.
    world.partition(alice, false);
    let before = world.heard(alice).len();
    world.talk(alice, "mic", s(3));
    world.run_for(s(4));
    assert!(world.heard(alice).len() > before + 300);
    assert_eq!(world.present("green").len(), 4);
}
