//! Under a flood of Hellos the server asks for proof of address, and real people still get in.

use parlour_core::server::Config;
use parlour_tests::{Options, World};

use crate::{ms, s};

#[test]
fn with_cookies_always_a_join_takes_one_more_round_trip() {
    let config = Config {
        retry_threshold: 0,
        ..Config::default()
    };
    let mut world = World::with_config(
        "with_cookies_always_a_join_takes_one_more_round_trip",
        config,
    );
    let alice = world.joined("alice", Options::small());
    let address = world.address(alice);
    let kinds: Vec<_> = world
        .history()
        .iter()
        .filter(|sent| sent.datagram.from == address || sent.datagram.to == address)
        .map(|sent| sent.datagram.bytes[0])
        .take(5)
        .collect();
    assert_eq!(
        kinds,
        [8, 9, 8, 10, 11],
        "Hello, Retry, Hello, Welcome, Data"
    );
    assert_eq!(world.server().statistics().retries, 1);
    assert_eq!(world.server().statistics().handshakes, 1);
}

#[test]
fn a_flood_costs_no_handshakes_and_keeps_nobody_out() {
    let mut world = World::new("a_flood_costs_no_handshakes_and_keeps_nobody_out");
    // Hellos that are all different, from devices without a network.
    let mark = world.history().len();
    for number in 0..400 {
        let handle = world.join(&format!("flood-{number}"), Options::small());
        world.partition(handle, true);
    }
    world.run_for(ms(1));
    let hellos: Vec<_> = world.history()[mark..]
        .iter()
        .map(|sent| sent.datagram.bytes.clone())
        .collect();
    for number in 0..400 {
        world.power_off(parlour_tests::Handle(number));
    }
    assert_eq!(hellos.len(), 400);
    let mut port = 1_000;
    for round in 0..3 {
        for hello in &hellos {
            port += 1;
            let stranger = std::net::SocketAddr::from(([203, 0, 113, 50], port));
            world.inject(stranger, hello);
        }
        world.run_for(ms(200));
        let accounting = world.server().accounting();
        assert!(accounting.half_open <= 256, "round {round}: {accounting:?}");
    }
    let statistics = *world.server().statistics();
    assert!(statistics.handshakes <= 256, "{statistics:?}");
    assert!(statistics.retries >= 400, "{statistics:?}");
    // There is no amplification: fewer bytes go to the strangers than came.
    let (mut came, mut went) = (0, 0);
    for sent in world.history() {
        let strange = |address: std::net::SocketAddr| address.ip().to_string() == "203.0.113.50";
        came += usize::from(strange(sent.datagram.from)) * sent.datagram.bytes.len();
        went += usize::from(strange(sent.datagram.to)) * sent.datagram.bytes.len();
    }
    assert!(went <= 3 * came, "{went} bytes for {came}");

    let alice = world.joined("alice", Options::small());
    assert_eq!(world.present("green"), ["alice"]);
    world.run_until_agreed(&[alice], s(2));
    world.run_for(s(10));
    assert_eq!(world.server().accounting().half_open, 0);
}

#[test]
fn a_cookie_for_another_address_is_not_taken() {
    let config = Config {
        retry_threshold: 0,
        ..Config::default()
    };
    let mut world = World::with_config("a_cookie_for_another_address_is_not_taken", config);
    let alice = world.joined("alice", Options::small());
    let address = world.address(alice);
    let mut history = world.history().iter();
    let with_cookie =
        history.rfind(|sent| sent.datagram.from == address && sent.datagram.bytes[0] == 8);
    let hello = with_cookie.unwrap().datagram.bytes.clone();
    let handshakes = world.server().statistics().handshakes;
    for port in 1..20 {
        world.inject(([203, 0, 113, 51], port).into(), &hello);
    }
    world.run_for(s(1));
    assert_eq!(world.server().statistics().handshakes, handshakes);
}
