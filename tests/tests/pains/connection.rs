//! Connections: they end when they should, and only then.

use parlour_core::client::{CloseCause, CommandError, Commands as _, Event, ReconnectCause};
use parlour_core::room::{CloseReason, ConnectionState, ParticipantId, RoomId, Topic};
use parlour_core::server::Act;
use parlour_core::signal::Recipients;
use parlour_tests::{LinkConfig, Options, World, microphone};

use crate::{broke, ms, s};

#[test]
fn pain_02_a_disconnect_by_the_server_is_an_event() {
    type End = fn(&mut World);
    let room = || RoomId::new("green").unwrap();
    let ends: [(CloseReason, End); 3] = [
        (CloseReason::Kicked, |world| {
            let (server, clock) = world.server_and_clock();
            let alice = ParticipantId::new("alice").unwrap();
            let room = RoomId::new("green").unwrap();
            let kick = Act::Kick { keep_out: true };
            server.moderate(clock, &room, kick, &alice.into()).unwrap();
        }),
        (CloseReason::SessionEnded, |world| {
            let (server, clock) = world.server_and_clock();
            let room = RoomId::new("green").unwrap();
            server.end_session(clock, &room).unwrap();
        }),
        (CloseReason::ServerShutdown, |world| {
            let (server, clock) = world.server_and_clock();
            server.shutdown(clock);
        }),
    ];
    assert_eq!(room().as_str(), "green");
    for (reason, end) in ends {
        let mut world = World::new("pain_02_a_disconnect_by_the_server_is_an_event");
        let alice = world.joined("alice", Options::small().publishing("mic"));
        let bob = world.joined("bob", Options::small().publishing("mic"));
        world.talk(alice, "mic", s(20));
        world.talk(bob, "mic", s(20));
        world.run_for(s(1));
        // In the middle of all kinds of things.
        let topic = Topic::new("t").unwrap();
        for _ in 0..5 {
            let device = world.device(alice);
            device
                .send_message(&Recipients::All, &topic, &[0; 300])
                .unwrap();
        }
        world.device(alice).publish(microphone("mic2")).unwrap();
        end(&mut world);
        world.run_until("she is told", s(2), |world| world.closed(alice).is_some());
        assert_eq!(world.closed(alice), Some(CloseCause::Closed(reason)));
        let closed = |event: &Event| matches!(event, Event::Closed(_));
        assert_eq!(world.count_seen(alice, closed), 1);
        // The device goes on talking and asking, and is told that it is over.
        world.run_for(s(20));
        assert!(world.party(alice).unsaid > 0);
        let late = world.device(alice).request_floor();
        assert_eq!(late, Err(CommandError::Closed));
        assert_eq!(world.device(alice).poll_timeout(), None);
    }
}

#[test]
fn pain_04_others_come_and_go_without_touching_the_device() {
    let mut world = World::new("pain_04_others_come_and_go_without_touching_the_device");
    let device = world.joined("device", Options::small().publishing("mic"));
    let host = world.joined("host", Options::default().publishing("mic"));
    world.forget(device);
    world.talk(host, "mic", s(100));
    world.talk(device, "mic", s(100));
    for number in 0..100 {
        let name = format!("guest-{}", number % 30);
        let guest = world.joined(&name, Options::default().publishing("mic"));
        match number % 3 {
            0 => world.leave(guest),
            1 => world.power_off(guest),
            _ => {}
        }
        world.run_for(ms(900));
    }
    world.run_for(s(2));
    assert!(!world.saw(device, broke), "{:?}", world.events(device));
    let heard = world.heard_from(device, host);
    assert!(heard.len() >= 4_950, "{} of 5000", heard.len());
    let heard = world.heard_from(host, device);
    assert!(heard.len() >= 4_950, "{} of 5000", heard.len());
    world.run_until_agreed(&[device, host], s(5));
}

#[test]
fn pain_06_wifi_may_vanish_at_any_moment() {
    let mut world = World::new("pain_06_wifi_may_vanish_at_any_moment");
    let bob = world.joined("bob", Options::default());
    // The moments of a join and of what follows, each a millisecond further.
    for moment in 0..60 {
        let name = format!("device-{moment}");
        let device = world.join(&name, Options::small().publishing("mic"));
        world.talk(device, "mic", s(120));
        world.run_for(ms(moment));
        world.partition(device, true);
        world.run_for(s(1));
        let topic = Topic::new("t").unwrap();
        let sent = world
            .device(device)
            .send_message(&Recipients::All, &topic, b"still there?");
        assert!(!matches!(sent, Err(CommandError::Closed)));
        world.run_for(s(20));
        world.partition(device, false);
        let awaited = format!("{name} is back");
        world.run_until(&awaited, s(10), |world| {
            let heard = world.heard_from(bob, device).len();
            world.is_joined(device) && heard > 50
        });
        assert_eq!(world.closed(device), None);
        world.hush(device);
        world.leave(device);
        world.run_for(s(2));
        world.forget(bob);
        world.forget_history();
    }
    world.run_until_agreed(&[bob], s(2));
    assert_eq!(world.present("green"), ["bob"]);
}

#[test]
fn pain_07_a_lost_connection_is_noticed_in_time() {
    let mut world = World::new("pain_07_a_lost_connection_is_noticed_in_time");
    let idle = world.joined("idle", Options::small());
    let talker = world.joined("talker", Options::small().publishing("mic"));
    let asker = world.joined("asker", Options::small());
    let watcher = world.joined("watcher", Options::default());
    world.run_for(s(5));
    world.talk(talker, "mic", s(60));
    world.run_for(s(1));
    for device in [idle, talker, asker] {
        world.partition(device, true);
    }
    let cut = world.now();
    world.device(asker).request_floor().unwrap();
    let lost = Event::Reconnecting(ReconnectCause::Silence);
    let mut noticed = Vec::new();
    for (device, limit) in [(asker, s(8)), (idle, s(16)), (talker, s(16))] {
        let left = limit.saturating_sub(world.now().saturating_duration_since(cut));
        world.run_until("the device notices", left, |world| {
            world.saw(device, |event| *event == lost)
        });
        noticed.push(world.now().saturating_duration_since(cut));
    }
    println!("asking, idle, talking: noticed after {noticed:?}");
    for name in ["idle", "talker", "asker"] {
        let silent = Event::ConnectionChanged {
            participant: ParticipantId::new(name).unwrap(),
            state: ConnectionState::Reconnecting,
        };
        let left = s(17).saturating_sub(world.now().saturating_duration_since(cut));
        world.run_until("others are told", left, |world| {
            world.saw(watcher, |event| *event == silent)
        });
    }

    // A server that was restarted says so at the first word.
    world.restart_server();
    world.forget(watcher);
    world.device(watcher).request_floor().unwrap();
    world.run_until("the watcher notices", ms(100), |world| {
        let reset = Event::Reconnecting(ReconnectCause::Reset);
        world.saw(watcher, |event| *event == reset)
    });
}

#[test]
fn pain_08_nat_bindings_are_kept_alive_and_may_change() {
    let mut world = World::new("pain_08_nat_bindings_are_kept_alive_and_may_change");
    let device = world.joined("device", Options::small());
    let host = world.joined("host", Options::default().publishing("mic"));
    world.forget(device);
    world.forget_history();
    let began = world.now();
    world.run_for(s(600));
    // A home router forgets a binding after 30 s without traffic, at the worst.
    let address = world.address(device);
    let mut last = began;
    let history = world
        .history()
        .iter()
        .map(|sent| (sent.at, sent.datagram.from));
    let sent: Vec<_> = history.filter(|(_, from)| *from == address).collect();
    for (at, _) in sent {
        let gap = at.saturating_duration_since(last);
        assert!(gap <= s(15), "silent for {gap:?}");
        last = at;
    }
    // It forgets nevertheless: the device gets another port and does not know.
    for _ in 0..5 {
        world.rebind(device);
        world.run_for(s(25));
        world.forget(device);
        world.talk(host, "mic", s(1));
        world.run_for(s(2));
        assert_eq!(world.heard_from(device, host).len(), 50);
    }
    assert!(!world.saw(device, broke));
}

#[test]
fn pain_09_the_handshake_survives_heavy_loss() {
    let loss = LinkConfig {
        loss: 30,
        ..LinkConfig::WEAK
    };
    let mut world = World::new("pain_09_the_handshake_survives_heavy_loss");
    let mut devices = Vec::new();
    for number in 0..50 {
        let options = Options::small().over(loss);
        devices.push(world.join(&format!("device-{number}"), options));
    }
    let joined = |world: &World| devices.iter().filter(|d| world.is_joined(**d)).count();
    let mut times = Vec::new();
    while times.len() < 50 {
        assert!(world.now().as_micros() < 60_000_000, "not all have joined");
        world.run_for(ms(10));
        times.resize(joined(&world), world.now().as_micros() / 1_000);
    }
    println!(
        "half in {} ms, 97 % in {} ms, all in {} ms",
        times[24], times[48], times[49]
    );
    let soon = times.iter().filter(|time| **time <= 5_000).count();
    assert!(soon >= 40, "after 5 s only {soon} of 50");
    assert!(devices.iter().all(|device| world.closed(*device).is_none()));
}

#[test]
fn pain_11_a_device_that_only_listens_stays() {
    let mut world = World::new("pain_11_a_device_that_only_listens_stays");
    let listener = world.joined("listener", Options::small());
    let host = world.joined("host", Options::default().publishing("mic"));
    let joins = |event: &Event| matches!(event, Event::Joined { resumed: false });
    world.run_for(s(6 * 3_600));
    assert!(!world.saw(listener, broke), "{:?}", world.events(listener));
    assert_eq!(world.count_seen(listener, joins), 1);
    let host_left = |event: &Event| matches!(event, Event::ParticipantLeft { .. });
    assert!(!world.saw(host, host_left));
    world.talk(host, "mic", s(1));
    world.run_for(s(2));
    assert_eq!(world.heard_from(listener, host).len(), 50);

    // Nor while all that it gets needs no answer.
    let topic = Topic::new("cursor").unwrap();
    for _ in 0..60 {
        let device = world.device(host);
        device
            .send_lossy_message(&Recipients::All, &topic, b"here")
            .unwrap();
        world.run_for(s(1));
    }
    assert_eq!(world.messages(listener).len(), 60);
    let silent = |event: &Event| matches!(event, Event::ConnectionChanged { .. });
    assert!(!world.saw(listener, broke) && !world.saw(host, silent));
}
