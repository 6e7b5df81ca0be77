//! More to send than the server can send: what is oldest is lost, nobody loses more than others, and signalling gets through.

use parlour_core::client::{Commands as _, Event};
use parlour_core::room::Topic;
use parlour_core::server;
use parlour_core::signal::{Outcome, Recipients};
use parlour_core::time::Duration;
use parlour_tests::{Handle, Options, World};

use crate::{id, key, ms, s};

/// Datagrams that the socket takes in 20 ms, where 68 would be needed.
const DATAGRAMS: usize = 3;
/// The time until all have then had their turn.
const ROUND: Duration = ms(68 / DATAGRAMS as u64 * 20 + 20);
/// The longest wait of a frame at the server.
const PATIENCE: Duration = ms(200);

/// A room with one talker and some listeners.
struct Room {
    talker: Handle,
    listeners: Vec<Handle>,
}

fn room(world: &mut World, name: &str, listeners: usize) -> Room {
    let in_it = || Options::small().in_room(name);
    let talker = world.joined(&format!("{name}-talker"), in_it().publishing("mic"));
    let listeners = (0..listeners).map(|number| world.joined(&format!("{name}-{number}"), in_it()));
    Room {
        talker,
        listeners: listeners.collect(),
    }
}

/// A large room, a small one and one of two; the socket accepts less than a twentieth of the required datagrams.
fn overloaded(name: &'static str, talk: Duration) -> (World, [Room; 3]) {
    let mut world = World::new(name);
    let rooms = [("hall", 58), ("office", 6), ("den", 1)];
    let rooms = rooms.map(|(name, listeners)| room(&mut world, name, listeners));
    world.run_for(s(2));
    world.limit_sending(Some(DATAGRAMS));
    for room in &rooms {
        world.talk(room.talker, "mic", talk);
    }
    // Until the queues are full.
    world.run_for(s(2));
    (world, rooms)
}

fn is_overloaded(event: &server::Event) -> bool {
    matches!(event, server::Event::Overloaded { .. })
}

#[test]
fn the_oldest_is_lost_and_to_all_alike() {
    let (mut world, rooms) = overloaded("the_oldest_is_lost_and_to_all_alike", s(14));
    let before = *world.server().statistics();
    for listener in rooms.iter().flat_map(|room| &room.listeners) {
        world.forget(*listener);
    }
    world.run_for(s(10));

    let mut counts = Vec::new();
    for room in &rooms {
        for listener in &room.listeners {
            let heard = world.heard(*listener);
            counts.push(heard.len());
            // 10 ms to the server, and 10 ms from there.
            let oldest = heard.iter().map(|frame| frame.latency()).max().unwrap();
            assert!(oldest <= PATIENCE + ms(20), "{oldest:?}");
            let numbers = world.heard_from(*listener, room.talker);
            assert!(numbers.is_sorted(), "overtaken");
        }
    }
    counts.sort_unstable();
    let (fewest, most) = (counts[0], counts[counts.len() - 1]);
    // All that is recent enough when their turn comes.
    let should = 500 * PATIENCE.as_micros() / ROUND.as_micros();
    assert!(fewest as u128 * 10 >= should * 9, "{fewest} of {should}");
    assert!(fewest * 10 >= most * 9, "{fewest} and {most}");

    let statistics = *world.server().statistics();
    assert!(statistics.media_late > before.media_late + 10_000);
    assert_eq!(statistics.media_overflowed, 0, "{statistics:?}");
    // Ten seconds, and it is said once in each.
    let told = world.server_events().iter();
    let told = told.filter(|(_, event)| is_overloaded(event));
    assert!((10..=13).contains(&told.count()));

    world.limit_sending(None);
    world.run_for(s(1));
    for listener in rooms.iter().flat_map(|room| &room.listeners) {
        world.forget(*listener);
    }
    world.run_for(s(2));
    for room in &rooms {
        for listener in &room.listeners {
            let numbers = world.heard_from(*listener, room.talker);
            assert!(numbers.len() >= 49, "{} after it", numbers.len());
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
        }
    }
    let accounting = world.server().accounting();
    assert_eq!(accounting.media_buffers, 0, "{accounting:?}");
}

#[test]
fn signalling_gets_through() {
    let (mut world, rooms) = overloaded("signalling_gets_through", s(60));
    let [hall, _, den] = &rooms;

    // Hello and Welcome, which wait for nobody; then the room is described, in rounds.
    let began = world.now();
    let newcomer = world.join("newcomer", Options::small().in_room("hall"));
    world.run_until("a newcomer is in", ROUND, |world| world.is_joined(newcomer));
    world.run_until("it knows the room", ROUND * 4, |world| {
        world.facts(newcomer).complete
    });
    world.run_until("it hears", ROUND * 2, |world| {
        !world.heard(newcomer).is_empty()
    });
    let took = world.now().saturating_duration_since(began);
    assert!(took <= ROUND * 5, "{took:?}");

    // A reply takes a round at most.
    for room in &rooms {
        let asked = world.now();
        let done = world.ask(room.listeners[0], |device| device.request_floor());
        assert_eq!(done, Ok(Outcome::Done));
        let took = world.now().saturating_duration_since(asked);
        assert!(took <= ROUND + ms(20), "{took:?}");
    }
    // So does what others are told.
    let muted = |event: &Event| matches!(event, Event::StreamMuted { .. });
    let talker = hall.talker;
    let request = world.device(talker).set_muted(&key("mic"), true).unwrap();
    let others: Vec<_> = hall.listeners.clone();
    world.run_until("all know that the talker is muted", ROUND * 2, |world| {
        others.iter().all(|other| world.saw(*other, muted))
    });
    assert_eq!(
        world.reply(talker, request.unwrap()),
        Some(Ok(Outcome::Done))
    );
    let topic = Topic::new("t").unwrap();
    let to = Recipients::from(id("den-talker"));
    world
        .device(den.listeners[0])
        .send_message(&to, &topic, b"still there?")
        .unwrap();
    world.run_until("a message arrives", ROUND * 2, |world| {
        world.messages(den.talker).len() == 1
    });
    // No participant was given up, or had to come back.
    assert_eq!(world.server().statistics().resumes, 0);
    assert_eq!(world.present("hall").len(), 60);
}
