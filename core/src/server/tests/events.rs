//! What the embedder is told of a session, and in which order.

use super::*;

/// Events but the questions, in short.
fn told(world: &World) -> Vec<String> {
    let facts = world.events.iter().filter(|event| !event.asks());
    facts.map(short).collect()
}

fn short(event: &Event) -> String {
    let text = alloc::format!("{event:?}");
    text.split(' ').next().unwrap_or_default().to_string()
}

#[test]
fn all_that_a_history_needs_is_told_in_order() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna/moderator"));
    let key = mic().key;
    let mute = |muted| Operation::SetMuted {
        key: mic().key,
        muted,
    };
    world.ask(anna, mute(true)).unwrap();
    world.ask(anna, mute(true)).unwrap();
    world.ask(anna, mute(false)).unwrap();
    world.ask(anna, Operation::RequestFloor).unwrap();
    let hand = Operation::SetAttribute {
        participant: None,
        key: AttributeKey::new("hand").unwrap(),
        value: AttributeValue::new("up").unwrap(),
    };
    world.ask(anna, hand).unwrap();
    world.moderate(Act::Censor, &pid("anna").into());
    world.ask(anna, Operation::Unpublish { key }).unwrap();
    world.ask(anna, Operation::Leave).unwrap();
    assert_eq!(
        told(&world),
        [
            "SessionStarted",
            "ParticipantJoined",
            "StreamPublished",
            "StreamMuted",
            "StreamMuted",
            "FloorChanged",
            "AttributeChanged",
            "ParticipantCensored",
            "StreamUnpublished",
            "FloorChanged",
            "ParticipantLeft",
            "SessionEnded",
        ]
    );
    let (session, path) = (world.peers[anna].joined().session, world.peers[anna].path);
    let joined = Event::ParticipantJoined {
        room: room_id("room"),
        session,
        participant: pid("anna"),
        name: DisplayName::new("ANNA").unwrap(),
        grants: Grants::PARTICIPANT | Grants::MODERATOR,
        waited: false,
        censored: false,
        path,
    };
    assert!(world.events.contains(&joined));
    let floor_is_free = Event::FloorChanged {
        room: room_id("room"),
        session,
        holder: None,
    };
    assert!(world.events.contains(&floor_is_free));
}

#[test]
fn who_comes_back_to_the_lobby_goes_on_waiting() {
    let mut world = World::new();
    for _ in 0..2 {
        world.join(&Hello::new("room/anna/lobby"));
    }
    assert_eq!(told(&world), ["ParticipantWaiting"]);
    world.moderate(Act::Admit, &Selection::all());
    world.run();
    let after = ["ParticipantWaiting", "SessionStarted", "ParticipantJoined"];
    assert_eq!(told(&world), after);
}

#[test]
fn one_that_was_censored_is_said_to_be_so_when_it_joins_anew() {
    let mut world = World::new();
    world.join(&Hello::new("room/anna"));
    world.join(&Hello::new("room/ben"));
    world.moderate(Act::Censor, &pid("anna").into());
    world.events.clear();
    world.join(&Hello::new("room/anna"));
    let joined = |event: &Event| match event {
        Event::ParticipantJoined { censored, .. } => Some(*censored),
        _ => None,
    };
    assert_eq!(world.events.iter().find_map(joined), Some(true));
}

#[test]
fn a_resume_is_told_with_the_new_path_and_changed_grants() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    world.events.clear();
    let back = world.resume_hello(anna, "room/anna/listener");
    world.rejoin(anna, &back);
    world.run();
    let session = world.peers[anna].joined().session;
    let (room, participant) = (room_id("room"), pid("anna"));
    let resumed = Event::ParticipantResumed {
        room: room.clone(),
        session,
        participant: participant.clone(),
        path: world.peers[anna].path,
    };
    let changed = Event::GrantsChanged {
        room,
        session,
        participant,
        grants: Grants::SUBSCRIBE,
    };
    let facts = world.events.iter().filter(|event| !event.asks());
    assert!(facts.eq([&resumed, &changed]));
}
