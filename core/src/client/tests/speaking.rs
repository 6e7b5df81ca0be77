//! Who speaks, as the others are told it.

use super::*;

fn started(name: &str) -> Event {
    Event::SpeakingStarted {
        participant: pid(name),
    }
}

fn stopped(name: &str) -> Event {
    Event::SpeakingStopped {
        participant: pid(name),
    }
}

/// What a node was told of anybody's speech, in its order.
fn told(world: &mut World, index: usize) -> Vec<Event> {
    let events = world.node(index).events.iter();
    let speech = events.filter(|event| {
        matches!(
            event,
            Event::SpeakingStarted { .. } | Event::SpeakingStopped { .. }
        )
    });
    speech.cloned().collect()
}

fn speakers(world: &World, index: usize) -> Vec<String> {
    let speakers = world.nodes[index].client.speakers();
    speakers.map(ToString::to_string).collect()
}

#[test]
fn speech_is_told_from_its_third_frame_until_400_ms_after_its_last() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.speak(ann, 40);
    world.run(ms(20));
    assert_eq!(told(&mut world, bob), []);
    world.speak(ann, 20);
    world.run(ms(20));
    assert_eq!(told(&mut world, bob), [started("ann")]);
    assert_eq!(speakers(&world, bob), ["ann"]);
    let now = world.now;
    assert_eq!(world.nodes[bob].client.level_of(now, &pid("ann")), Some(20));
    world.run(ms(340));
    assert_eq!(told(&mut world, bob), [started("ann")]);
    world.run(ms(80));
    assert_eq!(told(&mut world, bob), [started("ann"), stopped("ann")]);
    assert_eq!(speakers(&world, bob), [""; 0]);
    let now = world.now;
    assert_eq!(world.nodes[bob].client.level_of(now, &pid("ann")), None);
    // Of oneself nothing is told.
    assert_eq!(told(&mut world, ann), []);
}

#[test]
fn who_comes_later_is_told_who_speaks_already() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.speak(ann, 1_000);
    let cat = world.client("cat");
    world.speak(ann, 300);
    assert_eq!(told(&mut world, cat), [started("ann")]);
    assert_eq!(told(&mut world, bob), [started("ann")]);
}

#[test]
fn everybody_may_speak_at_once() {
    let mut world = World::new();
    let (ann, bob, cat) = (
        world.joined("ann"),
        world.joined("bob"),
        world.joined("cat"),
    );
    for _ in 0..10 {
        world.speak(ann, 20);
        world.speak(bob, 20);
    }
    assert_eq!(speakers(&world, cat), ["ann", "bob"]);
    world.run(secs(1));
    let told = told(&mut world, cat);
    assert_eq!(
        told,
        [
            started("ann"),
            started("bob"),
            stopped("ann"),
            stopped("bob")
        ]
    );
}

#[test]
fn who_is_muted_or_censored_or_gone_has_stopped_before_that_is_told() {
    let muted = Event::StreamMuted {
        stream: stream("ann", "mic"),
        muted: true,
    };
    let censored = Event::Censored {
        participant: pid("ann"),
        censored: true,
    };
    let unpublished = Event::StreamUnpublished(stream("ann", "mic"));
    let left = Event::ParticipantLeft {
        participant: pid("ann"),
        reason: CloseReason::Left,
    };
    for (silencing, event) in [muted, censored, unpublished, left].into_iter().enumerate() {
        let mut world = World::new();
        let (ann, boss) = (world.joined("ann"), world.joined("Boss"));
        world.speak(ann, 200);
        assert_eq!(told(&mut world, boss), [started("ann")]);
        // What is on its way when it is told must not be taken for speech.
        let now = world.now;
        world.node(ann).speak(now).unwrap();
        match silencing {
            0 => drop(world.client_mut(ann).set_muted(&key("mic"), true).unwrap()),
            1 => drop(
                (world.client_mut(boss))
                    .moderate(Moderation::Censor, &Targets::all())
                    .unwrap(),
            ),
            2 => drop(world.client_mut(ann).unpublish(&key("mic")).unwrap()),
            _ => world.client_mut(ann).leave(now).unwrap(),
        }
        world.run(ms(100));
        assert_eq!(told(&mut world, boss), [started("ann"), stopped("ann")]);
        let events = &world.node(boss).events;
        let place = |wanted: &Event| events.iter().position(|event| event == wanted);
        assert!(place(&stopped("ann")) < place(&event), "{event:?}");
        assert!(place(&event).is_some(), "{event:?}");
    }
}

#[test]
fn what_comes_behind_the_news_that_its_sender_is_muted_is_no_speech() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.speak(ann, 200);
    let now = world.now;
    for _ in 0..5 {
        world.node(ann).speak(now).unwrap();
    }
    world.run(ms(12));
    let mut delayed = 0;
    for (at, index, to_server, _) in &mut world.flying {
        if *index == bob && !*to_server {
            *at += ms(200);
            delayed += 1;
        }
    }
    assert!(delayed > 0);
    let muted = world.client_mut(ann).set_muted(&key("mic"), true);
    assert!(muted.is_ok());
    world.run(ms(400));
    assert!(world.node(bob).heard.len() >= 15, "they came");
    assert_eq!(told(&mut world, bob), [started("ann"), stopped("ann")]);
}

#[test]
fn a_broken_connection_or_the_end_stops_all_speech() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.speak(ann, 200);
    world.node(bob).up = false;
    world.run(ms(500));
    assert_eq!(told(&mut world, bob), [started("ann"), stopped("ann")]);
    world.node(bob).up = true;
    world.run(secs(20));
    world.speak(ann, 200);
    assert_eq!(speakers(&world, bob), ["ann"]);
    let now = world.now;
    world.client_mut(bob).leave(now).unwrap();
    world.run(ms(100));
    assert_eq!(speakers(&world, bob), [""; 0]);
    let events = &world.node(bob).events;
    let last = events.get(events.len() - 2..).unwrap();
    let cause = CloseCause::Closed(CloseReason::Left);
    assert_eq!(last, [stopped("ann"), Event::Closed(cause)]);
}

#[test]
fn silence_without_pauses_is_no_speech() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    for frame in 0..50 {
        let now = world.now;
        let client = world.client_mut(ann);
        let sent = client.send_audio(now, &key("mic"), frame * 960, AudioLevel::SILENCE, &OPUS);
        assert_eq!(sent, Ok(()));
        world.run(ms(20));
    }
    assert_eq!(told(&mut world, bob), []);
    let now = world.now;
    let level = world.nodes[bob].client.level_of(now, &pid("ann"));
    assert_eq!(level, Some(127));
}
