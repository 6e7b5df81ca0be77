//! Participants with good tokens and bad manners: limited, told, cut off, and nobody else notices.

use parlour_core::client::{CloseCause, Commands as _, Event, RequestFailure};
use parlour_core::room::{CloseReason, ParticipantId, Topic};
use parlour_core::server::{Config, Rate};
use parlour_core::signal::{Recipients, Refusal};
use parlour_tests::{Device, Handle, Options, World, microphone};

use crate::{assert_undisturbed, ms, s};

const CUT_OFF: CloseCause = CloseCause::Closed(CloseReason::ProtocolError);

/// Alice talks to Bob; Mallory is about to do something.
fn conversation(name: &'static str, config: Config) -> (World, [Handle; 3]) {
    let mut world = World::with_config(name, config);
    let mallory = world.joined("mallory", Options::default().publishing("mic"));
    let alice = world.joined("alice", Options::default().publishing("mic"));
    let bob = world.joined("bob", Options::small());
    world.run_for(s(2));
    world.forget(alice);
    world.forget(bob);
    (world, [mallory, alice, bob])
}

/// Alice and Bob were told of Mallory's end and of nothing else; and Bob heard her all the time.
fn check_others(world: &mut World, all: [Handle; 3], frames: usize) {
    check_others_but(world, all, frames, |_| false);
}

/// The same, but they may have been told what `is_fair` says.
fn check_others_but(
    world: &mut World,
    [mallory, alice, bob]: [Handle; 3],
    frames: usize,
    is_fair: impl Fn(&Event) -> bool,
) {
    assert_eq!(world.closed(mallory), Some(CUT_OFF));
    world.run_for(s(2));
    assert_eq!(world.present("green"), ["alice", "bob"]);
    assert_eq!(world.heard_from(bob, alice).len(), frames);
    let id = ParticipantId::new("mallory").unwrap();
    for handle in [alice, bob] {
        let told = world
            .events(handle)
            .iter()
            .filter(|(_, event)| crate::disturbed(event));
        let about_others = told.filter(|(_, event)| !format!("{event:?}").contains(id.as_str()));
        let about_others: Vec<_> = about_others
            .filter(|(_, event)| {
                !matches!(event, Event::CountChanged(_) | Event::FloorChanged(None))
            })
            .filter(|(_, event)| !is_fair(event))
            .collect();
        assert!(about_others.is_empty(), "{about_others:?}");
    }
    world.run_until_agreed(&[alice, bob], s(1));
}

#[test]
fn ten_times_too_many_requests_end_the_stay() {
    let config = Config {
        requests: Rate {
            per_second: 5,
            burst: 5,
        },
        ..Config::default()
    };
    let (mut world, all) = conversation("ten_times_too_many_requests_end_the_stay", config);
    let [mallory, alice, _] = all;
    world.talk(alice, "mic", s(10));
    let mut asked = Vec::new();
    for round in 0..500 {
        // Publishes and their ends, floors and their ends.
        let device = world.device(mallory);
        let request = match round % 2 {
            0 => device.publish(microphone("more")),
            _ => device.unpublish(&microphone("more").key),
        };
        asked.extend(request.ok().flatten());
        asked.extend(world.device(mallory).request_floor().ok());
        world.run_for(ms(20));
        if world.closed(mallory).is_some() {
            break;
        }
    }
    let limited = Some(Err(RequestFailure::Refused(Refusal::RateLimited)));
    let told = asked
        .iter()
        .filter(|id| world.reply(mallory, **id) == limited);
    assert!(told.count() >= 5, "limited without a word");
    world.run_for(s(10));
    check_others(&mut world, all, 500);
}

/// One writes ten times as many messages as it may, by `send`; the others may be told what `is_fair` says.
fn write_too_much(
    name: &'static str,
    send: impl Fn(&mut Device, &Recipients, &Topic, &[u8]),
    is_fair: impl Fn(&Event) -> bool,
) {
    let config = Config {
        messages: Rate {
            per_second: 20,
            burst: 20,
        },
        ..Config::default()
    };
    let (mut world, all) = conversation(name, config);
    let [mallory, alice, bob] = all;
    world.talk(alice, "mic", s(10));
    let topic = Topic::new("t").unwrap();
    let started = world.now();
    for _ in 0..2_000 {
        send(world.device(mallory), &Recipients::All, &topic, b"spam");
        world.run_for(ms(5));
        if world.closed(mallory).is_some() {
            break;
        }
    }
    let took = world.now().saturating_duration_since(started).as_secs() as usize;
    let delivered = world.messages(bob).len();
    assert!(delivered <= 20 + 20 * (took + 1), "{delivered} in {took} s");
    world.run_for(s(10));
    check_others_but(&mut world, all, 500, is_fair);
}

#[test]
fn ten_times_too_many_messages_end_the_stay() {
    let name = "ten_times_too_many_messages_end_the_stay";
    let send = |device: &mut Device, to: &_, topic: &_, body: &_| {
        let _ = device.send_lossy_message(to, topic, body);
    };
    write_too_much(name, send, |_| false);
}

#[test]
fn ten_times_too_many_reliable_messages_end_the_stay() {
    let name = "ten_times_too_many_reliable_messages_end_the_stay";
    let send = |device: &mut Device, to: &_, topic: &_, body: &_| {
        let _ = device.send_message(to, topic, body);
    };
    // Those that it may write arrive.
    write_too_much(name, send, |event| *event == Event::MessageReceived);
}

#[test]
fn ten_times_too_many_pings_end_the_stay() {
    let (mut world, all) = conversation("ten_times_too_many_pings_end_the_stay", Config::default());
    let [mallory, alice, _] = all;
    world.talk(alice, "mic", s(10));
    for _ in 0..4_000 {
        world.ping(mallory);
        world.run_for(ms(2));
        if world.closed(mallory).is_some() {
            break;
        }
    }
    world.run_for(s(10));
    check_others(&mut world, all, 500);
}

#[test]
fn ten_times_too_much_media_ends_the_stay() {
    let config = Config {
        media: Rate {
            per_second: 100,
            burst: 100,
        },
        ..Config::default()
    };
    let (mut world, all) = conversation("ten_times_too_much_media_ends_the_stay", config);
    let [mallory, alice, bob] = all;
    world.talk(alice, "mic", s(10));
    for _ in 0..20 {
        world.talk(mallory, "mic", s(10));
    }
    world.run_until("mallory is out", s(8), |world| {
        world.closed(mallory).is_some()
    });
    // Dropped packets show in the server's reports, as loss.
    let flood = world.heard_from(bob, mallory).len();
    assert!(flood <= 900, "{flood} frames got through");
    assert!(world.server().statistics().media_rejected > 200);
    world.run_for(s(12));
    check_others(&mut world, all, 500);
}

#[test]
fn twice_too_much_media_is_limited_and_shows_as_loss() {
    let config = Config {
        media: Rate {
            per_second: 100,
            burst: 100,
        },
        ..Config::default()
    };
    let name = "twice_too_much_media_is_limited_and_shows_as_loss";
    let (mut world, [mallory, alice, bob]) = conversation(name, config);
    world.talk(alice, "mic", s(10));
    for _ in 0..4 {
        world.talk(mallory, "mic", s(10));
    }
    world.run_for(s(9));
    let loss = world.device(mallory).statistics().uplink_loss;
    assert!(loss.is_some_and(|loss| loss > 100), "{loss:?}/256");
    world.run_for(s(3));
    assert!(world.is_joined(mallory));
    assert_eq!(world.heard_from(bob, alice).len(), 500);
}

#[test]
fn one_who_never_acknowledges_costs_no_more_than_its_queues() {
    // Slow-loris: Mallory's packets arrive and keep him in the session, but he takes nothing in.
    let (mut world, [mallory, alice, bob]) = conversation(
        "one_who_never_acknowledges_costs_no_more_than_its_queues",
        Config::default(),
    );
    world.deafen(mallory);
    world.talk(mallory, "mic", s(120));
    world.talk(alice, "mic", s(120));
    let topic = Topic::new("t").unwrap();
    let (mut longest, mut timers) = (0, 0);
    for round in 0..240u32 {
        let to = Recipients::All;
        let _ = world
            .device(alice)
            .send_message(&to, &topic, &round.to_be_bytes());
        let _ = world.device(bob).request_floor();
        world.run_for(ms(500));
        let accounting = world.server().accounting();
        longest = longest.max(accounting.longest_message_queue);
        timers = timers.max(accounting.timers);
        assert!(accounting.longest_control_queue <= 16, "{accounting:?}");
        assert!(accounting.longest_media_queue <= 128, "{accounting:?}");
        assert!(accounting.media_buffers <= 256, "{accounting:?}");
    }
    // 64 messages wait, and one that says how many do not.
    assert!(longest <= 65, "{longest}");
    assert!(timers <= 4 + 2, "{timers}");
    assert_eq!(world.heard_from(bob, alice).len(), 6_000);
    assert_eq!(world.messages(bob).len(), 240, "others wait for nobody");
    world.run_until_agreed(&[alice, bob], s(2));
}

#[test]
fn one_who_joins_and_says_nothing_more_is_forgotten() {
    let mut world = World::new("one_who_joins_and_says_nothing_more_is_forgotten");
    let bob = world.joined("bob", Options::default());
    let before = world.server().accounting();
    for number in 0..200 {
        let name = format!("mute-{number}");
        let handle = world.joined(&name, Options::small().publishing("mic"));
        world.power_off(handle);
    }
    world.run_for(s(60));
    assert_eq!(world.present("green"), ["bob"]);
    let after = world.server().accounting();
    assert_eq!(after.participants, before.participants);
    assert_eq!(after.connection_ids, before.connection_ids);
    world.forget(bob);
    world.run_for(s(1));
    assert_undisturbed(&world, &[bob], 0);
}
