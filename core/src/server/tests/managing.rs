//! What a management server does: refuses, moderates in bulk, changes rights, closes rooms.

use super::*;

const ROOM: &str = "room";
const KEEP_OUT: Act = Act::Kick { keep_out: true };

fn refused(refusal: JoinRefusal) -> Option<Answer> {
    Some(Answer::Refused(refusal))
}

#[test]
fn a_room_may_want_each_participant_once() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna/once"));
    let other = world.join(&Hello::new("room/anna/once"));
    let duplicate = refused(JoinRefusal::DuplicateParticipant);
    assert_eq!(world.peers[other].answer, duplicate);
    assert_eq!(world.left(), []);
    // To resume is not to join anew.
    let back = world.resume_hello(anna, "room/anna/once");
    world.rejoin(anna, &back);
    world.run();
    assert!(world.peers[anna].joined().resumed);
    // The one that is out of touch may be the one that joins.
    world.dead.push(world.peers[anna].path);
    world.advance(ms(11_000));
    let other = world.join(&Hello::new("room/anna/once"));
    assert!(!world.peers[other].joined().resumed);
    assert_eq!(world.left(), [("anna".to_string(), CloseReason::Replaced)]);

    let guest = world.join(&Hello::new("room/ben/once/lobby"));
    assert!(matches!(
        world.peers[guest].answer,
        Some(Answer::Waiting { .. })
    ));
    let other = world.join(&Hello::new("room/ben/once/lobby"));
    assert_eq!(world.peers[other].answer, duplicate);
}

#[test]
fn of_two_joins_at_once_the_first_to_take_effect_is_in() {
    let mut world = World::new();
    let peers = [(); 2].map(|()| world.add(&Hello::new("room/anna/once")));
    for peer in peers {
        world.send_hello(peer);
    }
    world.run();
    assert_eq!(world.peers[peers[1]].resets, 1);
    assert_eq!(world.left(), []);
}

#[test]
fn attributes_are_there_from_the_start() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben/hand"));
    let hand = AttributeKey::new("hand").unwrap();
    let up = AttributeValue::new("up").unwrap();
    for peer in [anna, ben] {
        let seen = world.peers[peer].replica.attribute(&pid("ben"), &hand);
        assert_eq!(seen, Some(&up));
    }
    let told = world.events.iter().rev().find_map(|event| match event {
        Event::AttributeChanged {
            participant, value, ..
        } => Some((participant.clone(), value.clone())),
        _ => None,
    });
    assert_eq!(told, Some((pid("ben"), up.clone())));
    // From the lobby, too.
    world.join(&Hello::new("room/carl/hand/lobby"));
    world.moderate(Act::Admit, &Selection::all());
    world.run();
    let seen = world.peers[anna].replica.attribute(&pid("carl"), &hand);
    assert_eq!(seen, Some(&up));

    world.admits = false;
    let dora = world.join(&Hello::new("room/dora"));
    let Some(Event::JoinRequested { join, .. }) = world.events.last() else {
        panic!()
    };
    let keys = (0..=MAX_ATTRIBUTES).map(|n| AttributeKey::new(&n.to_string()).unwrap());
    let too_many = Admission {
        attributes: keys.map(|key| (key, up.clone())).collect(),
        ..admission("room/dora")
    };
    let admitted = world.server.admit(world.now, *join, too_many);
    assert_eq!(admitted, Err(AdmitError::TooManyAttributes));
    world.run();
    assert_eq!(world.peers[dora].answer, refused(JoinRefusal::Unavailable));
}

#[test]
fn the_embedder_says_whom_it_refuses() {
    let mut world = World::new();
    world.admits = false;
    let anna = world.join(&Hello::new("room/anna"));
    let Some(Event::JoinRequested { join, from, .. }) = world.events.last() else {
        panic!()
    };
    let (join, from) = (*join, *from);
    let banned = Refused {
        refusal: JoinRefusal::Banned,
        room: Some(room_id(ROOM)),
        participant: Some(pid("anna")),
    };
    world
        .server
        .refuse(world.now, join, banned.clone())
        .unwrap();
    world.run();
    assert_eq!(world.peers[anna].answer, refused(JoinRefusal::Banned));
    let told = Event::JoinRefused {
        refused: banned,
        from,
    };
    assert_eq!(world.events.last(), Some(&told));
}

#[test]
fn many_refusals_are_counted_and_some_told() {
    let mut world = World::with(Config {
        refusals: Rate {
            per_second: 1,
            burst: 3,
        },
        ..Config::default()
    });
    world.admits = false;
    for _ in 0..10 {
        world.join(&Hello::new("room/anna"));
        let Some(Event::JoinRequested { join, .. }) = world.events.last() else {
            panic!()
        };
        let refusal = JoinRefusal::InvalidToken;
        world.server.refuse(world.now, *join, refusal).unwrap();
        world.events.clear();
    }
    world.run();
    assert_eq!(world.server.statistics().joins_refused, 10);
    assert_eq!(world.server.events_happened(), 3);
}

#[test]
fn many_are_moderated_at_once_and_each_is_answered_for() {
    let mut world = World::new();
    for name in ["anna", "ben", "carl", "dora"] {
        world.join(&Hello::new(&alloc::format!("room/{name}")));
    }
    let these: Selection = ["carl", "zoe", "ben", "ben"].map(pid).into_iter().collect();
    let censored = world.moderate(Act::Censor, &these);
    let expected = Moderated {
        affected: [pid("ben"), pid("carl")].into(),
        unchanged: [].into(),
        unknown: [pid("zoe")].into(),
    };
    assert_eq!(censored, expected);
    let censored = world.moderate(Act::Censor, &Selection::all_but([pid("anna")]));
    assert_eq!(censored.affected, [pid("dora")]);
    assert_eq!(censored.unchanged, [pid("ben"), pid("carl")]);
    let lifted = world.moderate(Act::Uncensor, &Selection::all());
    assert_eq!(lifted.affected.len(), 3);
    assert_eq!(lifted.unchanged, [pid("anna")]);
    let nobody = world.moderate(Act::Deny, &Selection::all());
    assert_eq!(nobody, Moderated::default());

    let kicked = world.moderate(KEEP_OUT, &Selection::all_but([pid("anna")]));
    assert_eq!(kicked.affected, ["ben", "carl", "dora"].map(pid));
    world.run();
    assert_eq!(world.ids_in(ROOM), ["anna"]);
    let ben = world.join(&Hello::new("room/ben"));
    assert_eq!(world.peers[ben].answer, refused(JoinRefusal::Kicked));
}

#[test]
fn who_is_kicked_and_not_kept_out_may_come_back() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    world.moderate(Act::Kick { keep_out: false }, &pid("ben").into());
    world.run();
    assert_eq!(world.peers[ben].closed(), Some(CloseReason::Kicked));
    world.join(&Hello::new("room/ben"));
    assert_eq!(world.ids_in(ROOM), ["anna", "ben"]);
    assert!(world.peers[anna].is_caught_up(&world, ROOM));
}

#[test]
fn a_stream_is_ended_as_if_by_its_publisher() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    let (room, now, key) = (room_id(ROOM), world.now, mic().key);
    let end = |world: &mut World, who: &str| world.server.unpublish(now, &room, &pid(who), &key);
    assert_eq!(
        end(&mut world, "zoe"),
        Err(ModerateError::UnknownParticipant)
    );
    assert_eq!(end(&mut world, "ben"), Err(ModerateError::UnknownStream));
    assert_eq!(end(&mut world, "anna"), Ok(()));
    assert_eq!(end(&mut world, "anna"), Err(ModerateError::UnknownStream));
    world.talk(ms(100), &[(anna, 30)]);
    assert_eq!(world.peers[ben].take_media(), []);
    for peer in [anna, ben] {
        let seen = world.peers[peer].replica.participant(&pid("anna"));
        assert!(seen.unwrap().streams.is_empty());
    }
    let unpublished = |event: &&Event| matches!(event, Event::StreamUnpublished { .. });
    assert_eq!(world.events.iter().filter(unpublished).count(), 1);
    let again = world.ask(anna, Operation::Publish(mic()));
    assert!(matches!(again, Ok(Outcome::Published { .. })));
}

#[test]
fn grants_hold_for_the_stay_whatever_tokens_say() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    world.ask(anna, Operation::RequestFloor).unwrap();
    let set = |world: &mut World, grants| {
        let (room, now) = (room_id(ROOM), world.now);
        world.server.set_grants(now, &room, &pid("anna"), grants)
    };
    set(&mut world, Grants::SUBSCRIBE).unwrap();
    world.run();
    let told = Heard::GrantsChanged(Grants::SUBSCRIBE);
    assert_eq!(world.peers[anna].heard.last(), Some(&told));
    let seen = world.peers[ben].replica.participant(&pid("anna")).unwrap();
    assert!(seen.streams.is_empty());
    assert_eq!(world.peers[ben].replica.floor(), None);
    let publish = Operation::Publish(mic());
    let no = Err(Refusal::NotPermitted);
    assert_eq!(world.ask(anna, publish.clone()), no);

    // Its token, shown again or renewed, says otherwise.
    let back = world.resume_hello(anna, "room/anna");
    world.rejoin(anna, &back);
    world.run();
    assert!(world.peers[anna].joined().resumed);
    assert_eq!(world.peers[anna].joined().grants, Grants::SUBSCRIBE);
    let token = Secret("room/anna");
    let id = world.peers[anna].request(Operation::RefreshToken { token });
    world.run();
    let Some(Event::RefreshRequested { refresh, .. }) = world.events.last() else {
        panic!()
    };
    let answer = Ok(admission("room/anna"));
    world.server.refresh(world.now, *refresh, answer).unwrap();
    world.run();
    assert_eq!(world.peers[anna].reply(id), Ok(Outcome::Done));
    assert_eq!(world.ask(anna, publish.clone()), no);
    let changes = |event: &&Event| matches!(event, Event::GrantsChanged { .. });
    assert_eq!(world.events.iter().filter(changes).count(), 1);

    set(&mut world, Grants::PARTICIPANT).unwrap();
    assert!(world.ask(anna, publish).is_ok());
    let view = world.server.room(&room_id(ROOM)).unwrap();
    assert_eq!(view.grants(&pid("anna")), Some(Grants::PARTICIPANT));
    assert_eq!(view.path(&pid("anna")), Some(world.peers[anna].path));
    assert_eq!(view.grants(&pid("zoe")), None);
    // A new stay begins with what the token says.
    world.ask(anna, Operation::Leave).unwrap();
    world.join(&Hello::new("room/anna/listener"));
    let view = world.server.room(&room_id(ROOM)).unwrap();
    assert_eq!(view.grants(&pid("anna")), Some(Grants::SUBSCRIBE));
    let unknown = world
        .server
        .set_grants(world.now, &room_id(ROOM), &pid("zoe"), Grants::all());
    assert_eq!(unknown, Err(ModerateError::UnknownParticipant));
}

#[test]
fn a_room_is_closed_for_all_who_are_there_wait_or_are_on_their_way() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben/lobby"));
    let on_their_way = ["room/carl", "room/dora/lobby"].map(|token| world.add(&Hello::new(token)));
    for peer in on_their_way {
        world.send_hello(peer);
    }
    world.serve();
    world.serve();
    let (room, now) = (room_id(ROOM), world.now);
    let reason = CloseReason::SessionEnded;
    world.server.close_room(now, &room, reason).unwrap();
    world.admits = false;
    world.run();
    for peer in [anna, ben] {
        assert_eq!(world.peers[peer].closed(), Some(reason));
    }
    for peer in on_their_way {
        assert_eq!(world.peers[peer].resets, 1, "what it was promised is gone");
    }
    assert!(world.server.room(&room).is_none());
    let closed = world.server.close_room(world.now, &room, reason);
    assert_eq!(closed, Err(ModerateError::UnknownRoom));
    let gave_up = |event: &&Event| matches!(event, Event::ParticipantGaveUp { .. });
    assert_eq!(world.events.iter().filter(gave_up).count(), 1);
    world.admits = true;
    world.join(&Hello::new("room/anna"));
    assert_eq!(world.ids_in(ROOM), ["anna"]);
}
