//! Changes that come faster than receivers can be told of them: each is told what is so, and hears what others write to it.

use parlour_core::client::{Commands as _, Event};
use parlour_core::room::Topic;
use parlour_core::server::{Config, Rate};
use parlour_core::signal::Recipients;
use parlour_core::time::Duration;
use parlour_tests::{Handle, LinkConfig, Options, World};

use crate::{key, ms, s};

/// So many that limits on what one participant does have no part in it.
const UNLIMITED: Rate = Rate {
    per_second: 100_000,
    burst: 100_000,
};

/// The time until Bob, at 50 ms round-trip time, has Alice's messages to him while `step` happens every `gap`: the
/// median, and the longest.
fn delays(
    world: &mut World,
    [alice, bob]: [Handle; 2],
    gap: Duration,
    mut step: impl FnMut(&mut World, usize),
) -> (Duration, Duration) {
    const TIME: Duration = Duration::from_secs(10);
    let topic = Topic::new("t").unwrap();
    let (mut sent, mut carol) = (Vec::new(), None);
    let (start, steps) = (world.now(), (TIME.as_micros() / gap.as_micros()) as usize);
    for number in 0..steps {
        let due = start + ms(200) * sent.len() as u32;
        if world.now() >= due {
            let body = [sent.len() as u8];
            let to = Recipients::All;
            let device = world.device(alice);
            device.send_message(&to, &topic, &body).unwrap();
            sent.push(world.now());
        }
        step(world, number);
        world.run_for(gap);
        if number == steps / 2 {
            carol = Some(world.join("carol", over_50_ms()));
        }
    }
    let carol = carol.expect("she came halfway");
    let synchronized = world.count_seen(carol, |event| *event == Event::Synchronized);
    assert_eq!(synchronized, 1, "her snapshot has not ended");
    world.run_for(s(5));
    let received = world.messages(bob);
    assert_eq!(received.len(), sent.len(), "messages were lost");
    let came = received.iter().map(|message| message.at);
    let mut delays: Vec<_> = came
        .zip(sent)
        .map(|(came, sent)| came.saturating_duration_since(sent))
        .collect();
    delays.sort();
    (delays[delays.len() / 2], delays[delays.len() - 1])
}

fn check(world: &mut World, [alice, bob]: [Handle; 2], (median, longest): (Duration, Duration)) {
    assert!(longest < s(1), "{longest:?}, {median:?} in the median");
    let synchronized = world.count_seen(bob, |event| *event == Event::Synchronized);
    assert_eq!(synchronized, 0, "Bob was told all anew");
    world.run_until_agreed(&[alice, bob], s(2));
}

fn pair(world: &mut World) -> [Handle; 2] {
    ["alice", "bob"].map(|name| world.joined(name, over_50_ms()))
}

fn over_50_ms() -> Options {
    Options::default().over(LinkConfig::with_rtt(ms(50)))
}

/// Ten others toggle their microphones twenty times a second each.
fn toggling(world: &mut World) -> ([Handle; 2], (Duration, Duration)) {
    let pair = pair(world);
    let others: Vec<_> = (0..10)
        .map(|n| world.joined(&format!("o{n}"), Options::default().publishing("mic")))
        .collect();
    world.forget(pair[1]);
    let delays = delays(world, pair, ms(5), |world, number| {
        let device = world.device(others[number % others.len()]);
        let muted = number / others.len() % 2 == 0;
        // A device takes no more than it can keep.
        let _ = device.set_muted(&key("mic"), muted);
    });
    (pair, delays)
}

#[test]
fn toggling_does_not_hold_up_messages() {
    let config = Config {
        requests: UNLIMITED,
        changes: UNLIMITED,
        ..Config::default()
    };
    let mut world = World::with_config("toggling_does_not_hold_up_messages", config);
    let (pair, delays) = toggling(&mut world);
    let told = world.count_seen(pair[0], |event| matches!(event, Event::StreamMuted { .. }));
    assert!(told > 1_000, "{told} are no storm");
    check(&mut world, pair, delays);
}

#[test]
fn toggling_is_limited_but_falling_silent_is_not() {
    let mut world = World::new("toggling_is_limited_but_falling_silent_is_not");
    let (pair, delays) = toggling(&mut world);
    let told = world.count_seen(pair[1], |event| matches!(event, Event::StreamMuted { .. }));
    // Forty at once and five a second, each there and back, of ten.
    assert!(told <= 2 * 10 * (40 + 5 * 11), "{told}");
    check(&mut world, pair, delays);
}

/// One token joins 250 times a second, and each time replaces itself.
fn coming_and_going(world: &mut World) -> ([Handle; 2], (Duration, Duration)) {
    let pair = pair(world);
    world.forget(pair[1]);
    let mut comers = Vec::new();
    let delays = delays(world, pair, ms(4), |world, _| {
        comers.push(world.join("comer", Options::small()));
        if comers.len() > 50 {
            let gone = comers.remove(0);
            world.power_off(gone);
            world.retire(gone);
        }
    });
    for comer in comers {
        world.power_off(comer);
    }
    (pair, delays)
}

#[test]
fn coming_and_going_does_not_hold_up_messages() {
    let config = Config {
        joins: UNLIMITED,
        handshakes: UNLIMITED,
        proven_handshakes: UNLIMITED,
        half_open: 10_000,
        half_open_per_address: 10_000,
        retry_threshold: 10_000,
        ..Config::default()
    };
    let mut world = World::with_config("coming_and_going_does_not_hold_up_messages", config);
    let (pair, delays) = coming_and_going(&mut world);
    assert!(world.server().statistics().joins > 2_000);
    check(&mut world, pair, delays);
}

#[test]
fn one_token_joins_a_room_so_often_and_no_more() {
    let mut world = World::new("one_token_joins_a_room_so_often_and_no_more");
    let (pair, delays) = coming_and_going(&mut world);
    let joins = world.server().statistics().joins;
    assert!(joins <= 3 + 10 + 11, "{joins} joins");
    check(&mut world, pair, delays);
    // The waiting participant gets in.
    let comer = world.joined("comer", Options::small());
    assert!(world.is_joined(comer));
}
