use super::*;

fn list(names: &[&str]) -> ParticipantList {
    ParticipantList::of(names.iter().map(|name| pid(name))).unwrap()
}

#[test]
fn streams_come_and_go() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    let Ok(Outcome::Published { ssrc }) = world.ask(anna, Operation::Publish(mic())) else {
        panic!()
    };
    let key = mic().key;
    let seen = |world: &World| {
        let anna = world.peers[ben]
            .replica
            .participant(&pid("anna"))
            .unwrap()
            .clone();
        anna.streams
            .first()
            .map(|stream| (stream.ssrc, stream.muted))
    };
    assert_eq!(seen(&world), Some((ssrc, false)));
    let again = world.ask(anna, Operation::Publish(mic()));
    assert_eq!(again, Err(Refusal::AlreadyPublished));
    for muted in [true, true, false] {
        let set = Operation::SetMuted {
            key: key.clone(),
            muted,
        };
        assert_eq!(world.ask(anna, set), Ok(Outcome::Done));
        assert_eq!(seen(&world), Some((ssrc, muted)));
    }
    let wrong = Publish {
        codec: Codec::Vp8,
        key: StreamKey::new("x").unwrap(),
        ..mic()
    };
    assert_eq!(
        world.ask(anna, Operation::Publish(wrong)),
        Err(Refusal::CodecMismatch)
    );
    for n in 0..3 {
        let key = StreamKey::new(&alloc::format!("s{n}")).unwrap();
        let publish = Publish { key, ..camera() };
        assert!(world.ask(anna, Operation::Publish(publish)).is_ok());
    }
    let fifth = world.ask(anna, Operation::Publish(camera()));
    assert_eq!(fifth, Err(Refusal::TooManyStreams));
    let unpublish = Operation::Unpublish { key: key.clone() };
    assert_eq!(world.ask(anna, unpublish.clone()), Ok(Outcome::Done));
    assert_eq!(world.ask(anna, unpublish), Err(Refusal::UnknownStream));
    let gone = Operation::SetMuted { key, muted: true };
    assert_eq!(world.ask(anna, gone), Err(Refusal::UnknownStream));
    assert!(world.peers[ben].is_caught_up(&world, "room"));
    let unpublished = |event: &Event| matches!(event, Event::StreamUnpublished { .. });
    assert_eq!(
        world
            .events
            .iter()
            .filter(|event| unpublished(event))
            .count(),
        1
    );
}

#[test]
fn later_streams_have_higher_ssrcs() {
    let mut world = World::new();
    let hello = Hello {
        publish: Vec::from([mic(), camera()]),
        ..Hello::new("room/anna")
    };
    let mut last = 0;
    for name in ["a", "b", "c"] {
        let hello = Hello {
            token: alloc::format!("room/{name}"),
            ..hello.clone()
        };
        let peer = world.join(&hello);
        let joined = world.peers[peer].joined();
        for ssrc in [Ok(joined.slot_ssrc)].iter().chain(&joined.streams) {
            assert!(ssrc.unwrap() > last);
            last = ssrc.unwrap();
        }
    }
}

#[test]
fn without_the_grant_nothing_is_done() {
    let mut world = World::new();
    world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben/listener"));
    let moderate = |action| Operation::Moderate {
        action,
        targets: Targets::List(list(&["anna"])),
    };
    let send = Operation::Send {
        to: Recipients::All,
        topic: Topic::new("").unwrap(),
        body: b"x",
    };
    for operation in [
        Operation::Publish(mic()),
        Operation::Publish(camera()),
        Operation::RequestFloor,
        Operation::EndSession,
        moderate(Moderation::Kick),
        moderate(Moderation::Censor),
        moderate(Moderation::Admit),
        send,
    ] {
        let refused = world.ask(ben, operation.clone());
        assert_eq!(refused, Err(Refusal::NotPermitted), "{operation:?}");
    }
    assert_eq!(world.ids_in("room"), ["anna", "ben"]);
}

#[test]
fn the_floor_is_held_by_one() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    assert_eq!(
        world.ask(ben, Operation::ReleaseFloor),
        Err(Refusal::FloorNotHeld)
    );
    assert_eq!(world.ask(anna, Operation::RequestFloor), Ok(Outcome::Done));
    assert_eq!(world.ask(anna, Operation::RequestFloor), Ok(Outcome::Done));
    assert_eq!(
        world.ask(ben, Operation::RequestFloor),
        Err(Refusal::FloorTaken)
    );
    assert_eq!(world.peers[ben].replica.floor(), Some(&pid("anna")));
    assert_eq!(world.ask(anna, Operation::ReleaseFloor), Ok(Outcome::Done));
    assert_eq!(world.ask(ben, Operation::RequestFloor), Ok(Outcome::Done));
    // It is free again when its holder leaves.
    assert_eq!(world.ask(ben, Operation::Leave), Ok(Outcome::Done));
    assert_eq!(world.peers[anna].replica.floor(), None);
    assert_eq!(world.ask(anna, Operation::RequestFloor), Ok(Outcome::Done));
}

#[test]
fn messages_reach_those_they_are_for() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    let carl = world.join(&Hello::new("room/carl"));
    let send = |to, body| Operation::Send {
        to,
        topic: Topic::new("chat").unwrap(),
        body,
    };
    let sent = |recipients| Ok(Outcome::Sent { recipients });
    assert_eq!(world.ask(anna, send(Recipients::All, b"all")), sent(2));
    let both = Recipients::List(list(&["ben", "ben"]));
    assert_eq!(world.ask(anna, send(both, b"ben")), sent(1));
    let nobody = Recipients::List(list(&["ben", "zoe"]));
    assert_eq!(
        world.ask(anna, send(nobody, b"no")),
        Err(Refusal::UnknownParticipant)
    );
    let delivered = |world: &World, index: usize| -> Vec<Heard> {
        let heard = world.peers[index].heard.iter();
        heard
            .filter(|heard| matches!(heard, Heard::Deliver(..)))
            .cloned()
            .collect()
    };
    let from_anna = |body: &[u8]| Heard::Deliver(pid("anna"), body.to_vec());
    assert_eq!(
        delivered(&world, ben),
        [from_anna(b"all"), from_anna(b"ben")]
    );
    assert_eq!(delivered(&world, carl), [from_anna(b"all")]);
    assert_eq!(delivered(&world, anna), []);

    let app = pid("app");
    let topic = Topic::new("news").unwrap();
    let room = room_id("room");
    let all = Recipients::All;
    assert_eq!(
        world
            .server
            .send(world.now, &room, &app, &all, &topic, b"hi"),
        Ok(3)
    );
    world.run();
    assert_eq!(
        delivered(&world, anna),
        [Heard::Deliver(app.clone(), b"hi".to_vec())]
    );
    let long = [0; MAX_BODY + 1];
    for (room, body, error) in [
        ("room", &long[..], ModerateError::MessageTooLong),
        ("moor", b"x", ModerateError::UnknownRoom),
    ] {
        let room = room_id(room);
        let sent = world
            .server
            .send(world.now, &room, &app, &all, &topic, body);
        assert_eq!(sent, Err(error));
    }
}

#[test]
fn lossy_messages_are_forwarded_as_such() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    let request = LossyRequest {
        to: Recipients::All,
        topic: Topic::new("pos").unwrap(),
        body: b"42",
    };
    let mut buffer = [0; MAX_MESSAGE];
    let len = encode(&request, &mut buffer).unwrap();
    world.peers[anna]
        .outbox
        .push((false, buffer[..len].to_vec()));
    world.peers[anna]
        .outbox
        .push((false, Vec::from(b"garbage")));
    world.run();
    let delivery: LossyDelivery = decode(&world.peers[ben].lossy[0]).unwrap();
    assert_eq!(
        (delivery.from.as_str(), delivery.body),
        ("anna", &b"42"[..])
    );
    assert_eq!(world.peers[ben].lossy.len(), 1);
    assert_eq!(world.server.accounting().media_buffers, 0);
}

#[test]
fn who_is_kicked_stays_out_of_the_session() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna/moderator"));
    let ben = world.join(&Hello::new("room/ben"));
    let carl = world.join(&Hello::new("room/carl"));
    // One of Ben's joins is under way when he is kicked.
    let under_way = world.add(&Hello::new("room/ben"));
    world.send_hello(under_way);
    world.serve();
    world.serve();
    let kick = |targets| Operation::Moderate {
        action: Moderation::Kick,
        targets,
    };
    let kicked = world.ask(anna, kick(Targets::List(list(&["ben"]))));
    assert_eq!(kicked, Ok(Outcome::Moderated { participants: 1 }));
    assert_eq!(world.peers[ben].closed(), Some(CloseReason::Kicked));
    assert_eq!(world.ids_in("room"), ["anna", "carl"]);
    world.run();
    let late = &world.peers[under_way];
    let replaced_first = late.joined().session == world.peers[anna].joined().session;
    assert!(replaced_first && late.closed() == Some(CloseReason::Kicked));
    let again = world.join(&Hello::new("room/ben"));
    assert_eq!(
        world.peers[again].answer,
        Some(Answer::Refused(JoinRefusal::Kicked))
    );
    assert_eq!(
        world.ask(anna, kick(Targets::List(list(&["anna"])))),
        Err(Refusal::UnknownParticipant)
    );
    let all = Targets::All {
        except: list(&["carl"]),
    };
    let nobody = world.ask(anna, kick(all));
    assert_eq!(nobody, Ok(Outcome::Moderated { participants: 0 }));
    assert_eq!(world.peers[carl].closed(), None);
    // The next session knows nothing of it.
    assert_eq!(world.ask(anna, Operation::EndSession), Ok(Outcome::Done));
    for index in [anna, carl] {
        assert_eq!(world.peers[index].closed(), Some(CloseReason::SessionEnded));
    }
    world.join(&Hello::new("room/ben"));
    assert_eq!(world.ids_in("room"), ["ben"]);
}

#[test]
fn a_join_under_way_to_a_session_that_ended_is_told_to_begin_anew() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.add(&Hello::new("room/ben"));
    world.send_hello(ben);
    world.serve();
    world.serve();
    assert!(world.peers[ben].link.is_some());
    world
        .server
        .end_session(world.now, &room_id("room"))
        .unwrap();
    world.run();
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::SessionEnded));
    assert_eq!(world.peers[ben].resets, 1);
    assert_eq!(world.server.statistics().dropped(Dropped::Superseded), 1);
    assert_eq!(world.server.accounting(), Accounting::default());
}

#[test]
fn the_lobby_is_opened_by_moderators_and_the_application() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna/moderator"));
    let ben = world.join(&Hello::publishing("room/ben/lobby"));
    assert!(matches!(
        world.peers[ben].answer,
        Some(Answer::Waiting { .. })
    ));
    assert_eq!(world.ids_in("room"), ["anna"]);
    let knock = Heard::Knock(pid("ben"), DisplayName::new("BEN").unwrap());
    assert_eq!(world.peers[anna].heard, [knock, Heard::Lobby(1)]);
    let refused = world.ask(ben, Operation::Publish(camera()));
    assert_eq!(refused, Err(Refusal::NotPermitted));
    let moderate = |action, targets| Operation::Moderate { action, targets };
    let ben_only = Targets::List(list(&["ben"]));
    let admit = moderate(Moderation::Admit, ben_only.clone());
    let one = Ok(Outcome::Moderated { participants: 1 });
    assert_eq!(world.ask(anna, admit.clone()), one);
    assert_eq!(world.ask(anna, admit), Err(Refusal::UnknownParticipant));
    assert_eq!(world.ids_in("room"), ["anna", "ben"]);
    assert!(world.peers[ben].is_caught_up(&world, "room"));
    assert!(
        world.peers[anna]
            .heard
            .contains(&Heard::KnockEnded(pid("ben")))
    );
    // What was wished for in the join is true now.
    let ssrc = world.peers[ben].ssrc();
    let seen = world.peers[anna].replica.participant(&pid("ben")).unwrap();
    assert_eq!(seen.streams[0].ssrc, ssrc);
    world.talk(ms(100), &[(ben, 30)]);
    assert_eq!(world.peers[anna].take_media().len(), 5);

    let carl = world.join(&Hello::new("room/carl/lobby"));
    let everybody = Targets::all();
    assert_eq!(world.ask(anna, moderate(Moderation::Deny, everybody)), one);
    assert_eq!(world.peers[carl].closed(), Some(CloseReason::Denied));
    let gave_up = |event: &Event| matches!(event, Event::ParticipantGaveUp { .. });
    assert!(world.events.iter().any(gave_up));

    let room = room_id("room");
    let dora = world.join(&Hello::new("room/dora/lobby"));
    assert_eq!(world.server.waiting(&room).count(), 1);
    let dora_only = Selection::from(pid("dora"));
    let admitted = world.moderate(Act::Admit, &dora_only);
    assert_eq!(admitted.affected, [pid("dora")]);
    world.run();
    assert!(world.peers[dora].is_caught_up(&world, "room"));
    let again = world.moderate(Act::Deny, &dora_only);
    assert_eq!(again.unknown, [pid("dora")]);
}

#[test]
fn a_full_room_leaves_the_lobby_waiting() {
    let mut world = World::with(Config {
        participants_per_room: 1,
        ..Config::default()
    });
    let anna = world.join(&Hello::new("room/anna/moderator"));
    let ben = world.join(&Hello::new("room/ben/lobby"));
    let room = room_id("room");
    let full = world.moderate(Act::Admit, &pid("ben").into());
    assert_eq!(full.unchanged, [pid("ben")]);
    world.ask(anna, Operation::Leave).unwrap();
    assert_eq!(world.server.room(&room).unwrap().waiting, 1);
    let admitted = world.moderate(Act::Admit, &pid("ben").into());
    assert_eq!(admitted.affected, [pid("ben")]);
    world.run();
    assert!(world.peers[ben].is_caught_up(&world, "room"));
}

#[test]
fn the_application_moderates() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    let only_anna = Selection::from(pid("anna"));
    let censored = world.moderate(Act::Censor, &only_anna);
    assert_eq!(censored.affected, [pid("anna")]);
    let again = world.moderate(Act::Censor, &only_anna);
    assert_eq!(again.unchanged, [pid("anna")]);
    world.talk(ms(100), &[(anna, 30)]);
    assert_eq!(world.peers[ben].take_media(), []);
    assert!(
        world.peers[ben]
            .replica
            .participant(&pid("anna"))
            .unwrap()
            .censored
    );
    world.moderate(Act::Uncensor, &only_anna);
    world.talk(ms(100), &[(anna, 30)]);
    assert_eq!(world.peers[ben].take_media().len(), 5);
    let kick = Act::Kick { keep_out: true };
    let unknown = world.moderate(kick, &pid("zoe").into());
    assert_eq!(unknown.unknown, [pid("zoe")]);
    let elsewhere = world.server.end_session(world.now, &room_id("x"));
    assert_eq!(elsewhere, Err(ModerateError::UnknownRoom));
    world.moderate(kick, &only_anna);
    world.run();
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::Kicked));
}

#[test]
fn who_is_censored_stays_so_when_it_joins_anew() {
    let mut world = World::new();
    world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    world.moderate(Act::Censor, &pid("anna").into());
    // Without a resume ticket: another device, or the same one that has left.
    for leaves in [false, true] {
        let anna = world.join(&Hello::publishing("room/anna"));
        world.talk(ms(100), &[(anna, 30)]);
        assert_eq!(world.peers[ben].take_media(), []);
        let seen = world.peers[ben].replica.participant(&pid("anna"));
        assert!(seen.unwrap().censored);
        if leaves {
            world.ask(anna, Operation::Leave).unwrap();
        }
    }
    let anna = world.join(&Hello::publishing("room/anna"));
    assert!(world.peers[anna].is_caught_up(&world, "room"));
    world.moderate(Act::Uncensor, &pid("anna").into());
    let anna = world.join(&Hello::publishing("room/anna"));
    world.talk(ms(100), &[(anna, 30)]);
    assert_eq!(world.peers[ben].take_media().len(), 5);
}

#[test]
fn what_a_new_token_does_not_grant_ends() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::publishing("room/ben"));
    assert_eq!(world.ask(anna, Operation::RequestFloor), Ok(Outcome::Done));
    world.talk(ms(200), &[(anna, 30), (ben, 30)]);
    world.peers[anna].take_media();
    world.peers[ben].take_media();
    let refresh = |world: &mut World, index: usize, admission: Admission| {
        let id = world.peers[index].request(Operation::RefreshToken {
            token: Secret("new"),
        });
        world.run();
        let Some(Event::RefreshRequested { refresh, .. }) = world.events.last().cloned() else {
            panic!("{:?}", world.events.last())
        };
        assert_eq!(
            world.server.refresh(world.now, refresh, Ok(admission)),
            Ok(())
        );
        world.run();
        assert_eq!(world.peers[index].reply(id), Ok(Outcome::Done));
    };
    refresh(&mut world, anna, admission("room/anna/listener"));
    let seen = world.peers[ben].replica.participant(&pid("anna")).unwrap();
    assert!(seen.streams.is_empty());
    assert_eq!(world.peers[ben].replica.floor(), None);
    world.talk(ms(100), &[(anna, 30), (ben, 30)]);
    assert_eq!(world.peers[ben].take_media(), []);
    assert_eq!(world.peers[anna].take_media().len(), 5);

    let speaks_only = Admission {
        grants: Grants::PUBLISH_AUDIO,
        ..admission("room/anna")
    };
    refresh(&mut world, anna, speaks_only.clone());
    world.talk(ms(100), &[(ben, 30)]);
    assert_eq!(world.peers[anna].take_media(), []);
    refresh(&mut world, anna, admission("room/anna"));
    assert_eq!(
        world.ask(anna, Operation::SetSubscribePolicy(SubscribePolicy::All)),
        Ok(Outcome::Done)
    );
    world.talk(ms(100), &[(ben, 30)]);
    assert_eq!(world.peers[anna].take_media().len(), 5);
}

#[test]
fn a_message_to_a_room_without_a_session_goes_nowhere() {
    let mut world = World::new();
    world.join(&Hello::new("room/anna/lobby"));
    let topic = Topic::new("chat").unwrap();
    let sent = world.server.send(
        world.now,
        &room_id("room"),
        &pid("host"),
        &Recipients::All,
        &topic,
        b"hello",
    );
    assert_eq!(sent, Err(ModerateError::UnknownRoom));
}
