use super::*;

#[test]
fn two_join_and_see_each_other() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    for index in [anna, ben] {
        assert!(world.peers[index].is_caught_up(&world, "room"));
        assert_eq!(world.peers[index].replica.participants().count(), 2);
    }
    let joined = world.peers[anna].joined();
    let anna_seen = world.peers[ben].replica.participant(&pid("anna")).unwrap();
    assert_eq!(anna_seen.streams[0].ssrc, joined.streams[0].unwrap());
    assert_eq!(anna_seen.name.as_str(), "ANNA");
    assert!(!joined.resumed);
    assert_eq!(joined.session, world.peers[ben].joined().session);
    assert!(matches!(
        &world.events[1..4],
        [
            Event::SessionStarted { .. },
            Event::ParticipantJoined { .. },
            Event::StreamPublished { .. }
        ]
    ));
    assert_eq!(world.server.statistics().joins, 2);
}

#[test]
fn nothing_happens_before_the_first_data() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.add(&Hello::new("room/ben"));
    world.dead.push(world.peers[ben].path);
    let mut hello = world.peers[ben].hello.clone();
    let from = world.peers[ben].path;
    world
        .server
        .handle_datagram(world.now, from, &mut hello)
        .unwrap();
    world.run();
    // The others learn nothing of it, though the Welcome is made and a place is reserved.
    assert_eq!(world.ids_in("room"), ["anna"]);
    assert_eq!(world.peers[anna].replica.participants().count(), 1);
    assert_eq!(world.server.accounting().half_open, 1);
    world.advance(ms(5_001));
    assert_eq!(world.server.accounting().half_open, 0);
    assert_eq!(world.server.accounting().connection_ids, 1);
}

#[test]
fn a_repeated_hello_gets_the_same_welcome_and_no_second_event() {
    let mut world = World::new();
    world.admits = false;
    let anna = world.add(&Hello::new("room/anna"));
    world.send_hello(anna);
    world.serve();
    let from = world.peers[anna].path;
    let mut again = world.peers[anna].hello.clone();
    assert_eq!(world.deliver(from, &mut again), Err(Dropped::Repeated));
    let Some(Event::JoinRequested { join, token, .. }) = world.events.first().cloned() else {
        panic!("{:?}", world.events);
    };
    world
        .server
        .admit(world.now, join, admission(&token))
        .unwrap();
    let mut out = [0; 1200];
    let first = world
        .server
        .poll_transmit(world.now, &mut out)
        .unwrap()
        .unwrap();
    let first = out[..first.len].to_vec();
    let mut again = world.peers[anna].hello.clone();
    assert_eq!(world.deliver(from, &mut again), Ok(()));
    let second = world
        .server
        .poll_transmit(world.now, &mut out)
        .unwrap()
        .unwrap();
    assert_eq!(out[..second.len], first);
    assert_eq!(world.server.statistics().handshakes, 1);
    assert_eq!(world.server.poll_event(), None);
    assert_eq!(
        world.server.admit(world.now, join, admission(&token)),
        Err(AdmitError::UnknownJoin)
    );
}

#[test]
fn at_most_three_times_the_bytes_go_to_an_unproven_address() {
    let mut world = World::new();
    // As short as a Hello gets, and an answer as long as it gets.
    let mut hello = Hello::new("r/0123456789-0123456789-0123456789-ab");
    hello.publish = Vec::new();
    let victim = world.add(&hello);
    world.dead.push(world.peers[victim].path);
    let from = world.peers[victim].path;
    let mut received = 0;
    for _ in 0..20 {
        let mut bytes = world.peers[victim].hello.clone();
        received += bytes.len();
        let _ = world.server.handle_datagram(world.now, from, &mut bytes);
        world.run();
        assert!(world.sent.get(&from).copied().unwrap_or(0) <= 3 * received);
    }
    assert!(world.sent[&from] > 0);
}

#[test]
fn a_replayed_hello_does_not_disturb_the_participant() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let mut hello = world.peers[anna].hello.clone();
    let attacker = World::path(77);
    world.deliver(attacker, &mut hello).unwrap();
    world.run();
    world.advance(ms(6_000));
    assert_eq!(world.ids_in("room"), ["anna"]);
    assert_eq!(world.peers[anna].closed(), None);
    assert_eq!(world.left(), []);
}

#[test]
fn a_newer_join_of_the_same_participant_replaces_the_older() {
    let mut world = World::new();
    let watcher = world.join(&Hello::new("room/zoe"));
    let old = world.join(&Hello::new("room/anna"));
    let new = world.join(&Hello::new("room/anna"));
    assert_eq!(world.peers[old].closed(), Some(CloseReason::Replaced));
    assert_eq!(world.peers[new].closed(), None);
    assert_eq!(world.ids_in("room"), ["anna", "zoe"]);
    assert_eq!(world.left(), [("anna".to_string(), CloseReason::Replaced)]);
    assert!(world.peers[watcher].is_caught_up(&world, "room"));
    world.advance(ms(2_000));
    assert_eq!(world.server.accounting().participants, 2);
    assert_eq!(world.server.accounting().connection_ids, 2);
}

#[test]
fn an_older_join_whose_first_packet_is_late_does_not_replace_the_newer() {
    let mut world = World::new();
    let old = world.add(&Hello::new("room/anna"));
    world.send_hello(old);
    world.serve();
    world.serve();
    let path = world.peers[old].path;
    world.dead.push(path);
    let new = world.join(&Hello::new("room/anna"));
    world.dead.retain(|dead| *dead != path);
    world.advance(ms(2_000));
    assert_eq!(world.peers[new].closed(), None);
    assert_eq!(world.ids_in("room"), ["anna"]);
    assert_eq!(world.left(), []);
    assert_eq!(world.server.accounting().connection_ids, 1);
}

#[test]
fn the_only_participant_is_replaced_within_the_same_session() {
    let mut world = World::new();
    let old = world.join(&Hello::new("room/anna"));
    let new = world.join(&Hello::new("room/anna"));
    assert_eq!(
        world.peers[old].joined().session,
        world.peers[new].joined().session
    );
    let ended = |event: &Event| matches!(event, Event::SessionEnded { .. });
    assert!(!world.events.iter().any(ended));
}

#[test]
fn places_are_exact() {
    let mut world = World::with(Config {
        participants_per_room: 2,
        ..Config::default()
    });
    let anna = world.join(&Hello::new("room/anna"));
    // Ben is promised a place, so Carl gets none though only Anna is there.
    let ben = world.add(&Hello::new("room/ben"));
    world.send_hello(ben);
    world.serve();
    world.serve();
    let refused = Some(Answer::Refused(JoinRefusal::RoomFull));
    world.dead.push(world.peers[ben].path);
    let carl = world.join(&Hello::new("room/carl"));
    assert_eq!(world.peers[carl].answer, refused);
    // As many joins of Ben as there may be share his place, and Anna has hers.
    let ben = world.join(&Hello::new("room/ben"));
    let again = world.join(&Hello::new("room/anna"));
    assert!(world.peers[again].link.is_some() && world.peers[ben].link.is_some());
    assert_eq!(world.ids_in("room"), ["anna", "ben"]);
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::Replaced));
    // A participant that leaves makes room.
    world.peers[ben].request(Operation::Leave);
    world.run();
    world.advance(ms(5_000));
    let dora = world.join(&Hello::new("room/dora"));
    assert!(!world.peers[dora].joined().resumed);
}

#[test]
fn refusals_and_redirects_are_told() {
    let mut world = World::new();
    world.admits = false;
    for (index, refusal) in [JoinRefusal::InvalidToken, JoinRefusal::WrongRoom]
        .into_iter()
        .enumerate()
    {
        let peer = world.join(&Hello::new("x/y"));
        let Some(Event::JoinRequested { join, .. }) = world.events.last() else {
            panic!()
        };
        world.server.refuse(world.now, *join, refusal).unwrap();
        assert_eq!(
            world.server.refuse(world.now, *join, refusal),
            Err(UnknownJoin)
        );
        world.run();
        assert_eq!(world.peers[index].answer, Some(Answer::Refused(refusal)));
        assert!(world.peers[peer].link.is_none());
    }
    let peer = world.join(&Hello::new("x/y"));
    let Some(Event::JoinRequested { join, .. }) = world.events.last() else {
        panic!()
    };
    let elsewhere = "198.51.100.1:7900".parse().unwrap();
    world
        .server
        .redirect(world.now, *join, Redirect::Address(elsewhere))
        .unwrap();
    world.run();
    assert_eq!(world.peers[peer].answer, Some(Answer::Redirect(elsewhere)));
    // A join that makes no sense is refused without asking anybody.
    let events = world.events.len();
    let peer = world.join(&Hello {
        participants: 0,
        ..Hello::new("x/y")
    });
    assert_eq!(
        world.peers[peer].answer,
        Some(Answer::Refused(JoinRefusal::Malformed))
    );
    let refused = Event::JoinRefused {
        refused: JoinRefusal::Malformed.into(),
        from: world.peers[peer].path,
    };
    assert_eq!(world.events[events..], [refused]);
    assert_eq!(world.server.statistics().joins_refused, 3);
    world.advance(ms(6_000));
    assert_eq!(world.server.accounting(), Accounting::default());
}

#[test]
fn under_load_an_address_must_be_proven() {
    let mut world = World::with(Config {
        retry_threshold: 0,
        ..Config::default()
    });
    let anna = world.join(&Hello::new("room/anna"));
    assert_eq!(world.peers[anna].retries, 1);
    assert_eq!(world.ids_in("room"), ["anna"]);
    assert_eq!(world.server.statistics().handshakes, 1);
    // A stream's address is proven already.
    let ben = world.add(&Hello::new("room/ben"));
    world.peers[ben].path = Path::Stream {
        id: 5,
        from: core::net::Ipv4Addr::LOCALHOST.into(),
    };
    world.send_hello(ben);
    world.run();
    assert_eq!(
        (world.peers[ben].retries, world.ids_in("room").len()),
        (0, 2)
    );
}

#[test]
fn what_is_published_with_the_join_is_checked() {
    let mut world = World::new();
    let hello = Hello {
        publish: Vec::from([mic(), mic(), camera()]),
        policy: SubscribePolicy::Mix,
        ..Hello::new("room/anna")
    };
    let anna = world.join(&hello);
    let joined = world.peers[anna].joined();
    assert!(joined.streams[0].is_ok() && joined.streams[2].is_ok());
    assert_eq!(joined.streams[1], Err(Refusal::AlreadyPublished));
    assert_eq!(joined.policy_refused, Some(Refusal::MixUnavailable));
    let listener = world.join(&Hello::publishing("room/ben/listener"));
    let joined = world.peers[listener].joined();
    assert_eq!(joined.streams[0], Err(Refusal::NotPermitted));
    assert_eq!(joined.policy_refused, None);
    assert_eq!(joined.grants, Grants::SUBSCRIBE);
}

#[test]
fn strangers_are_told_that_their_connection_is_unknown() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let token = world.peers[anna].joined().reset_token;
    world
        .server
        .end_session(world.now, &room_id("room"))
        .unwrap();
    world.advance(ms(2_000));
    world.peers[anna].link.as_mut().unwrap().ping(1);
    let mut bytes = world.compose(anna).unwrap();
    let server_id = world.peers[anna].link.as_ref().unwrap().ids().peer;
    world.deliver(world.peers[anna].path, &mut bytes).unwrap();
    let mut out = [0; 1200];
    let sent = world
        .server
        .poll_transmit(world.now, &mut out)
        .unwrap()
        .unwrap();
    assert!(sent.len < bytes.len());
    assert_eq!(
        Packet::parse(&out[..sent.len]),
        Ok(Packet::Reset {
            server_id,
            token: &token
        })
    );
    // A Hello no longer than the answer gets none.
    let mut short = [11; 21];
    let from = world.peers[anna].path;
    assert!(world.deliver(from, &mut short).is_err());
    assert_eq!(
        world.server.poll_transmit(world.now, &mut out).unwrap(),
        None
    );
}

#[test]
fn a_small_buffer_loses_nothing() {
    let mut world = World::new();
    let anna = world.add(&Hello::new("room/anna"));
    world.send_hello(anna);
    while let Some(event) = world.server.poll_event() {
        let Event::JoinRequested { join, token, .. } = event else {
            panic!()
        };
        world
            .server
            .admit(world.now, join, admission(&token))
            .unwrap();
    }
    let small = world.server.poll_transmit(world.now, &mut [0; 1199]);
    assert_eq!(small, Err(BufferTooSmall { needed: 1200 }));
    assert_eq!(world.server.poll_timeout(), Some(world.now));
    world.run();
    assert_eq!(world.ids_in("room"), ["anna"]);
}
