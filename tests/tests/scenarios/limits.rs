//! Too much of anything is refused or dropped, told, and hurts nobody else.

use parlour_core::client::{
    CloseCause, CommandError, Commands as _, MAX_OUTSTANDING, RequestFailure,
};
use parlour_core::room::Topic;
use parlour_core::server::{Config, Rate};
use parlour_core::signal::{Outcome, Recipients, Refusal};
use parlour_tests::{LinkConfig, Options, World};

use crate::{id, key, ms, s};

#[test]
fn every_request_of_a_flood_is_answered_once() {
    let config = Config {
        messages: Rate {
            per_second: 2,
            burst: 10,
        },
        ..Config::default()
    };
    let mut world = World::with_config("every_request_of_a_flood_is_answered_once", config);
    let alice = world.joined("alice", Options::small());
    let bob = world.joined("bob", Options::small());
    let topic = Topic::new("t").unwrap();
    let mut requests = Vec::new();
    for number in 0..40u8 {
        let sent = world
            .device(alice)
            .send_message(&Recipients::All, &topic, &[number]);
        requests.push(sent.unwrap());
        world.run_for(ms(25));
    }
    world.run_for(s(3));
    let replies: Vec<_> = requests
        .iter()
        .map(|request| world.reply(alice, *request).expect("answered"))
        .collect();
    let granted = |reply: &&_| matches!(reply, Ok(Outcome::Sent { recipients: 1 }));
    let granted = replies.iter().filter(granted).count();
    assert!((10..=14).contains(&granted), "{granted} granted");
    let limited = Err(RequestFailure::Refused(Refusal::RateLimited));
    let refused = replies.iter().filter(|reply| **reply == limited).count();
    assert_eq!(granted + refused, 40);
    assert_eq!(world.messages(bob).len(), granted);
    assert!(
        world.is_joined(alice),
        "a moderate flood is no reason to throw out"
    );
    world.run_for(s(10));
    assert_eq!(
        world.ask(alice, |device| device.request_floor()),
        Ok(Outcome::Done)
    );
    assert_eq!(world.facts(bob).floor, Some(id("alice")));
}

#[test]
fn messages_are_counted_apart_from_requests() {
    let mut world = World::new("messages_are_counted_apart_from_requests");
    let alice = world.joined("alice", Options::default());
    let bob = world.joined("bob", Options::default());
    let topic = Topic::new("t").unwrap();
    // As often as `Config::messages` says, which is more often than `Config::requests`.
    let Config {
        messages, requests, ..
    } = Config::default();
    assert!(messages.per_second > requests.per_second);
    let pause = s(1).checked_div(messages.per_second).unwrap();
    let all = messages.per_second * 20;
    let mut sent = Vec::new();
    for number in 0..all {
        let device = world.device(alice);
        let body = number.to_be_bytes();
        sent.push(
            device
                .send_message(&Recipients::All, &topic, &body)
                .unwrap(),
        );
        world.run_for(pause);
    }
    world.run_for(s(1));
    for request in sent {
        let reply = world.reply(alice, request);
        assert_eq!(reply, Some(Ok(Outcome::Sent { recipients: 1 })));
    }
    assert_eq!(world.messages(bob).len(), all as usize);

    // Nor are requests hindered by messages, or messages by requests.
    let limited = Err(RequestFailure::Refused(Refusal::RateLimited));
    while world.ask(alice, |device| device.request_floor()) != limited {}
    let sent = world.ask(alice, |device| {
        device.send_message(&Recipients::All, &topic, b"!")
    });
    assert_eq!(sent, Ok(Outcome::Sent { recipients: 1 }));
}

#[test]
fn a_device_refuses_what_it_cannot_keep() {
    let mut world = World::new("a_device_refuses_what_it_cannot_keep");
    let alice = world.joined("alice", Options::small());
    world.partition(alice, true);
    let mut taken = Vec::new();
    let refusal = loop {
        match world.device(alice).request_floor() {
            Ok(request) => taken.push(request),
            Err(refusal) => break refusal,
        }
        assert!(taken.len() <= MAX_OUTSTANDING, "more than it can keep");
    };
    assert_eq!(refusal, CommandError::TooManyRequests);
    assert_eq!(taken.len(), MAX_OUTSTANDING);
    world.partition(alice, false);
    world.run_for(s(5));
    for request in taken {
        assert!(world.reply(alice, request).is_some());
    }
    assert!(world.device(alice).release_floor().is_ok());
}

#[test]
fn a_media_flood_is_cut_and_others_are_heard() {
    let config = Config {
        media: Rate {
            per_second: 100,
            burst: 100,
        },
        ..Config::default()
    };
    let mut world = World::with_config("a_media_flood_is_cut_and_others_are_heard", config);
    let flooder = world.joined("flooder", Options::default().publishing("mic"));
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    // Ten microphones' worth in one.
    for _ in 0..10 {
        world.talk(flooder, "mic", s(4));
    }
    world.talk(alice, "mic", s(4));
    world.run_for(s(6));
    assert_eq!(world.heard_from(bob, alice).len(), 200);
    let flood = world.heard_from(bob, flooder).len();
    assert!(flood <= 600, "{flood}");
    assert!(world.server().statistics().media_rejected >= 1_300);
    let thrown_out = |cause| matches!(cause, CloseCause::Closed(_));
    assert!(!world.closed(flooder).is_some_and(thrown_out));
}

/// A tenth of the limit of pings, and of repeated signalling, is enough for a participant that does all that it may,
/// over any path.
#[test]
fn what_a_bad_network_makes_of_honest_traffic_is_no_flood() {
    let config = Config::default();
    let control = Rate {
        per_second: config.control.per_second / 10,
        burst: config.control.burst / 10,
    };
    let config = Config { control, ..config };
    for rtt in [50, 200, 600, 2_000] {
        let name = "what_a_bad_network_makes_of_honest_traffic_is_no_flood";
        let mut world = World::with_config(name, config.clone());
        let link = LinkConfig {
            loss: 13,
            duplication: 26,
            reordering: 26,
            jitter: ms(rtt / 4),
            ..LinkConfig::with_rtt(ms(rtt))
        };
        let both = ["alice", "bob"].map(|name| {
            let options = Options::default().publishing("mic").over(link);
            world.joined(name, options)
        });
        let topic = Topic::new("t").unwrap();
        for step in 0..600 {
            for handle in both {
                // Five requests and ten pings a second, a stall of two seconds in ten, and another address after each.
                let device = world.device(handle);
                if step % 2 == 0 {
                    let _ = match step % 4 {
                        0 => device.set_muted(&key("mic"), step % 8 == 0),
                        _ => device
                            .send_message(&Recipients::All, &topic, b"m")
                            .map(Some),
                    };
                }
                world.ping(handle);
                match step % 100 {
                    50 => world.partition(handle, true),
                    70 => {
                        world.partition(handle, false);
                        world.rebind(handle);
                    }
                    _ => {}
                }
            }
            world.run_for(ms(100));
        }
        for handle in both {
            assert_eq!(world.closed(handle), None, "{rtt} ms");
            assert!(world.is_joined(handle));
        }
    }
}
