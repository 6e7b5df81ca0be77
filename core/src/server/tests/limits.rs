use proptest::prelude::*;

use super::*;

#[test]
fn half_open_joins_are_capped_and_forgotten() {
    let mut world = World::with(Config {
        half_open: 8,
        retry_threshold: 100,
        ..Config::default()
    });
    world.admits = false;
    for _ in 0..20 {
        let peer = world.add(&Hello::new("room/x"));
        world.send_hello(peer);
    }
    assert_eq!(world.server.accounting().half_open, 8);
    assert_eq!(world.server.statistics().dropped(Dropped::HalfOpenFull), 12);
    assert_eq!(world.server.statistics().handshakes, 8);
    // Questions whose asker is gone are withdrawn.
    world.now += ms(5_000);
    world.server.handle_timeout(world.now);
    assert_eq!(world.server.poll_event(), None);
    assert_eq!(world.server.accounting(), Accounting::default());
    let stale = world
        .server
        .refuse(world.now, JoinId(0), JoinRefusal::RoomFull);
    assert_eq!(stale, Err(UnknownJoin));
}

#[test]
fn rooms_and_participants_are_capped() {
    let mut world = World::with(Config {
        rooms: 2,
        participants: 3,
        ..Config::default()
    });
    for (token, fits) in [
        ("a/1", true),
        ("b/1", true),
        ("c/1", false),
        ("a/2", true),
        ("a/3", false),
    ] {
        let peer = world.join(&Hello::new(token));
        let refused = Some(Answer::Refused(JoinRefusal::Unavailable));
        assert_eq!(world.peers[peer].answer != refused, fits, "{token}");
    }
    world.advance(ms(6_000));
    assert_eq!(world.server.accounting().rooms, 2);
    assert_eq!(world.server.accounting().participants, 3);
}

#[test]
fn a_join_that_comes_too_soon_gives_its_place_back() {
    let mut world = World::with(Config {
        joins: Rate {
            per_second: 1,
            burst: 1,
        },
        participants: 3,
        ..Config::default()
    });
    let peers = [(); 3].map(|()| world.add(&Hello::new("room/anna")));
    for peer in peers {
        world.send_hello(peer);
    }
    world.run();
    assert_eq!(peers.map(|peer| world.peers[peer].resets), [0, 1, 1]);
    for token in ["room/ben", "other/carl"] {
        let peer = world.join(&Hello::new(token));
        assert!(world.peers[peer].link.is_some(), "{token}");
    }
    world.server.shutdown(world.now);
    world.advance(ms(6_000));
    assert_eq!(world.server.accounting(), Accounting::default());
}

#[test]
fn a_lobby_is_capped() {
    let mut world = World::with(Config {
        waiting_per_room: 2,
        ..Config::default()
    });
    for (name, fits) in [("a", true), ("b", true), ("c", false)] {
        let peer = world.join(&Hello::new(&alloc::format!("room/{name}/lobby")));
        let waits = matches!(world.peers[peer].answer, Some(Answer::Waiting { .. }));
        assert_eq!(waits, fits);
    }
}

#[test]
fn too_many_requests_are_refused_and_a_flood_ends_the_stay() {
    let mut world = World::with(Config {
        requests: Rate {
            per_second: 10,
            burst: 5,
        },
        ..Config::default()
    });
    let anna = world.join(&Hello::new("room/anna"));
    let mut refused = 0;
    for _ in 0..8 {
        let result = world.ask(anna, Operation::RequestFloor);
        refused += usize::from(result == Err(Refusal::RateLimited));
    }
    assert_eq!(refused, 3);
    world.advance(ms(200));
    assert_eq!(world.ask(anna, Operation::RequestFloor), Ok(Outcome::Done));
    for _ in 0..100 {
        if world.peers[anna].closed().is_some() {
            break;
        }
        world.peers[anna].request(Operation::RequestFloor);
        world.run();
    }
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::ProtocolError));
}

#[test]
fn who_does_not_wait_for_replies_is_not_listened_to() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let from = world.peers[anna].path;
    let mut message = [0; MAX_MESSAGE];
    for sequence in 0..50 {
        let id = RequestId(sequence);
        let operation = Operation::RequestFloor;
        let len = encode(&Request { id, operation }, &mut message).unwrap();
        let frame = Frame::Signal {
            sequence,
            message: &message[..len],
        };
        let mut out = [0; 1200];
        let now = world.now;
        let link = world.peers[anna].link.as_mut().unwrap();
        let composed = link.compose(now, &mut out, |writer| writer.push(&frame).unwrap());
        let len = composed.unwrap().unwrap();
        world.deliver(from, &mut out[..len]).unwrap();
    }
    assert_eq!(world.server.accounting().longest_control_queue, 16);
    // Output goes as far as the window does.
    let mut out = [0; 1200];
    while world
        .server
        .poll_transmit(world.now, &mut out)
        .unwrap()
        .is_some()
    {}
    assert_eq!(world.server.accounting().longest_control_queue, 8);
}

#[test]
fn wishes_about_one_who_left_make_room_for_others() {
    let mut world = World::with(Config {
        subscriptions: 1,
        ..Config::default()
    });
    let anna = world.join(&Hello::publishing("room/anna"));
    world.join(&Hello::publishing("room/carl"));
    let ben = world.join(&Hello::new("room/ben"));
    let subscribe =
        |world: &mut World, name| world.ask(ben, Operation::Subscribe(stream(name, "mic")));
    assert_eq!(subscribe(&mut world, "anna"), Ok(Outcome::Done));
    assert_eq!(
        subscribe(&mut world, "carl"),
        Err(Refusal::TooManySubscriptions)
    );
    world.ask(anna, Operation::Leave).unwrap();
    assert_eq!(subscribe(&mut world, "carl"), Ok(Outcome::Done));
}

#[test]
fn what_is_no_request_ends_the_stay() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let link = world.peers[anna].link.as_mut().unwrap();
    link.send(&[0, 200, 200]).unwrap();
    world.run();
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::ProtocolError));
    assert_eq!(
        world.left(),
        [("anna".to_string(), CloseReason::ProtocolError)]
    );
}

#[test]
fn subscriptions_are_limited() {
    let mut world = World::with(Config {
        subscriptions: 1,
        ..Config::default()
    });
    let hello = Hello {
        publish: Vec::from([mic(), camera()]),
        ..Hello::new("room/anna")
    };
    world.join(&hello);
    let ben = world.join(&Hello::new("room/ben"));
    let mut subscribe = |key| world.ask(ben, Operation::Subscribe(stream("anna", key)));
    assert_eq!(subscribe("mic"), Ok(Outcome::Done));
    assert_eq!(subscribe("mic"), Ok(Outcome::Done));
    assert_eq!(subscribe("cam"), Err(Refusal::TooManySubscriptions));
}

#[test]
fn a_slow_receiver_costs_no_more_than_its_queues() {
    let config = Config {
        queued_media: 16,
        queued_messages: 4,
        messages: Rate {
            per_second: 1_000,
            burst: 1_000,
        },
        requests: Rate {
            per_second: 1_000,
            burst: 1_000,
        },
        changes: Rate {
            per_second: 1_000,
            burst: 1_000,
        },
        ..Config::default()
    };
    let mut world = World::with(config);
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    let carl = world.join(&Hello::new("room/carl"));
    let path = world.peers[ben].path;
    world.dead.push(path);
    let mut sent = 0u16;
    for n in 0u8..60 {
        let body = [n];
        let send = Operation::Send {
            to: Recipients::from(pid("ben")),
            topic: Topic::new("").unwrap(),
            body: &body,
        };
        world.ask(anna, send).unwrap();
        world.ask(anna, Operation::RequestFloor).unwrap();
        world.ask(anna, Operation::ReleaseFloor).unwrap();
        sent += 1;
    }
    let accounting = world.server.accounting();
    // As many as fit, and one that counts the rest.
    assert_eq!(accounting.longest_message_queue, 5);
    assert!(world.server.statistics().messages_overflowed > 0);

    // Unpolled media: each queue keeps the newest.
    for _ in 0..50 {
        world.peers[anna].speak(30);
        let mut bytes = world.compose(anna).unwrap();
        let from = world.peers[anna].path;
        world.deliver(from, &mut bytes).unwrap();
    }
    let accounting = world.server.accounting();
    assert_eq!(accounting.longest_media_queue, 16);
    assert!(accounting.media_buffers <= 32);
    assert_eq!(world.server.statistics().media_overflowed, 2 * (50 - 16));

    // When the network is back, all is told: every message, or that it is missing, and the room.
    world.dead.clear();
    world.advance(ms(5_000));
    assert!(world.peers[ben].is_caught_up(&world, "room"));
    assert_eq!(
        world.peers[ben].replica.version(),
        world.peers[carl].replica.version()
    );
    let told: u16 = world.peers[ben]
        .heard
        .iter()
        .map(|heard| match heard {
            Heard::Deliver(..) => 1,
            Heard::Missed(count) => *count,
            _ => 0,
        })
        .sum();
    assert_eq!(told, sent);
    assert_eq!(world.server.accounting().media_buffers, 0);
}

#[test]
fn idle_participants_cost_one_timer_each_and_no_work() {
    let mut world = World::new();
    for n in 0..30 {
        world.join(&Hello::new(&alloc::format!("room{n}/anna")));
    }
    world.advance(ms(1_000));
    assert_eq!(world.server.accounting().timers, 30);
    let at = world.server.poll_timeout().unwrap();
    assert!(at > world.now);
    let mut out = [0; 1200];
    assert_eq!(world.server.poll_transmit(world.now, &mut out), Ok(None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Arbitrary input from any sender, alone or mixed into a conversation: no panic, and the room does not notice.
    #[test]
    fn hostile_datagrams_do_nothing(
        datagrams in prop::collection::vec(
            (8u8..13, prop::collection::vec(any::<u8>(), 0..200), any::<bool>()),
            0..60,
        ),
    ) {
        let mut world = World::new();
        let anna = world.join(&Hello::publishing("room/anna"));
        let ben = world.join(&Hello::new("room/ben"));
        let server_id = world.peers[anna].link.as_ref().unwrap().ids().peer.0;
        for (kind, mut bytes, aimed) in datagrams {
            bytes.insert(0, kind);
            if aimed && bytes.len() > 5 {
                bytes[1..5].copy_from_slice(&server_id.to_be_bytes());
            }
            let from = if aimed { world.peers[anna].path } else { World::path(200) };
            let _ = world.deliver(from, &mut bytes);
        }
        world.run();
        world.talk(ms(60), &[(anna, 30)]);
        prop_assert_eq!(world.peers[ben].take_media().len(), 3);
        prop_assert_eq!(world.ids_in("room").len(), 2);
    }

    /// Authentic participants may send anything: no panic, and the others go on.
    #[test]
    fn hostile_participants_harm_only_themselves(
        frames in prop::collection::vec(
            (0u8..7, any::<u16>(), prop::collection::vec(any::<u8>(), 0..120)),
            0..60,
        ),
    ) {
        let mut world = World::new();
        let anna = world.join(&Hello::publishing("room/anna"));
        let ben = world.join(&Hello::new("room/ben"));
        let mallory = world.join(&Hello::publishing("room/mallory/moderator"));
        let from = world.peers[mallory].path;
        for (kind, number, bytes) in frames {
            let frame = match kind {
                0 => Frame::Media(&bytes),
                1 => Frame::Report(&bytes),
                2 => Frame::Message(&bytes),
                3 => Frame::Signal { sequence: number % 4, message: &bytes },
                4 => Frame::Ack { next: number },
                5 => Frame::Ping { nonce: number.into() },
                _ => Frame::Pong { nonce: number.into() },
            };
            let mut out = [0; 1200];
            let now = world.now;
            let link = world.peers[mallory].link.as_mut().unwrap();
            let len = link
                .compose(now, &mut out, |writer| writer.push(&frame).unwrap())
                .unwrap()
                .unwrap();
            let _ = world.deliver(from, &mut out[..len]);
            while world.server.poll_transmit(world.now, &mut out).unwrap().is_some() {}
        }
        world.advance(ms(300));
        world.peers[ben].take_media();
        world.talk(ms(60), &[(anna, 30)]);
        let anna_ssrc = world.peers[anna].ssrc();
        let from_anna = world.peers[ben].take_media();
        let from_anna = from_anna.iter().filter(|packet| packet.1 == Some(anna_ssrc));
        prop_assert_eq!(from_anna.count(), 3);
        prop_assert!(world.peers[ben].is_caught_up(&world, "room"));
    }
}

#[test]
fn a_frame_that_cannot_be_read_ends_the_reading_of_its_packet_only() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    let mut rtp = [0; 100];
    let header = RtpHeader {
        marker: false,
        payload_type: 111,
        sequence: 1,
        timestamp: 0,
        ssrc: world.peers[anna].ssrc(),
        csrcs: &[],
        audio_level: None,
    };
    let len = header.write(b"sound", &mut rtp).unwrap();
    let server = &world.server;
    let session = server.rooms.find(&room_id("room")).unwrap().session();
    let member = session.and_then(|session| session.get(session.find(&pid("anna"))?));
    let peer = member.unwrap().association.key;
    // An Ack of one byte, and a frame that the packet cuts off.
    for rest in [[4, 0, 1, 0], [1, 0, 9, 9]] {
        let mut plaintext = [0; 200];
        let mut writer = FrameWriter::new(&mut plaintext);
        writer.push(&Frame::Media(&rtp[..len])).unwrap();
        let end = writer.len();
        plaintext[end..][..4].copy_from_slice(&rest);
        let Server { rooms, cx, .. } = &mut world.server;
        rooms.receive(cx, peer, &mut Frames::new(&plaintext[..end + 4]));
        world.run();
        assert_eq!(world.peers[ben].take_media().len(), 1);
        assert_eq!(world.peers[anna].closed(), None);
    }
    // Acknowledging something that was never sent is another matter.
    let ack = [4, 0, 2, 0x40, 0];
    let Server { rooms, cx, .. } = &mut world.server;
    rooms.receive(cx, peer, &mut Frames::new(&ack));
    world.run();
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::ProtocolError));
}

#[test]
fn one_participant_has_one_place_in_the_lobby() {
    let mut world = World::with(Config {
        waiting_per_room: 2,
        ..Config::default()
    });
    let waits = |world: &World, index: usize| {
        matches!(world.peers[index].answer, Some(Answer::Waiting { .. }))
    };
    // Joins under way that are never completed.
    for _ in 0..10 {
        let peer = world.add(&Hello::new("room/a/lobby"));
        world.send_hello(peer);
        world.serve();
        world.serve();
        world.peers[peer].link = None;
    }
    let ben = world.join(&Hello::new("room/b/lobby"));
    assert!(waits(&world, ben));
    let carl = world.join(&Hello::new("room/c/lobby"));
    assert!(!waits(&world, carl), "two places, for a and b");
    // A full lobby lets its own guests come back.
    let again = world.join(&Hello::new("room/b/lobby"));
    assert!(waits(&world, again));
    assert_eq!(world.peers[ben].closed(), Some(CloseReason::Replaced));
    world.advance(ms(6_000));
    let carl = world.join(&Hello::new("room/c/lobby"));
    assert!(waits(&world, carl));
}

#[test]
fn those_turned_away_keep_nobody_out() {
    let mut world = World::with(Config {
        half_open: 8,
        retry_threshold: 100,
        ..Config::default()
    });
    world.admits = false;
    for _ in 0..20 {
        let peer = world.add(&Hello::new("room/x"));
        world.send_hello(peer);
        world.serve();
        let Some(Event::JoinRequested { join, .. }) = world.events.pop() else {
            panic!("not asked")
        };
        let refused = world
            .server
            .refuse(world.now, join, JoinRefusal::InvalidToken);
        assert_eq!(refused, Ok(()));
        world.run();
        let answer = Some(Answer::Refused(JoinRefusal::InvalidToken));
        assert_eq!(world.peers[peer].answer, answer);
    }
    assert_eq!(world.server.accounting().half_open, 8);
    world.admits = true;
    world.join(&Hello::new("room/anna"));
    assert_eq!(world.ids_in("room"), ["anna"]);
}

#[test]
fn many_hellos_must_prove_their_address_even_if_they_are_garbage() {
    let mut world = World::with(Config {
        handshakes: Rate {
            per_second: 10,
            burst: 5,
        },
        ..Config::default()
    });
    let garbage = |world: &mut World, number: u8| {
        let packet = Packet::Hello {
            client_id: ConnectionId(number.into()),
            cookie: None,
            noise: &[number; 100],
        };
        let mut bytes = [0; 200];
        let len = packet.encode(&mut bytes).unwrap();
        let _ = world.deliver(World::path(200), &mut bytes[..len]);
    };
    for number in 1..=20 {
        garbage(&mut world, number);
    }
    let statistics = *world.server.statistics();
    assert_eq!(statistics.dropped(Dropped::BadHandshake), 5);
    assert_eq!(statistics.retries, 15);
    world.now += ms(1_000);
    world.join(&Hello::new("room/anna"));
    assert_eq!(world.ids_in("room"), ["anna"]);
}

#[test]
fn every_hello_of_a_long_batch_is_answered() {
    let mut world = World::with(Config {
        retry_threshold: 0,
        ..Config::default()
    });
    let path = |n: u16| Path::udp(([203, 0, 113, 9], n).into());
    let stranger = world.add(&Hello::new("room/anna"));
    let hello = world.peers[stranger].hello.clone();
    let mut out = [0; 1200];
    let mut answers = 0;
    for n in 1..=1_000 {
        let _ = world
            .server
            .handle_datagram(world.now, path(n), &mut hello.clone());
        while world.server.owes_answers() {
            let sent = world
                .server
                .poll_transmit(world.now, &mut out)
                .unwrap()
                .unwrap();
            answers += u32::from(matches!(
                Packet::parse(&out[..sent.len]),
                Ok(Packet::Retry { .. })
            ));
        }
    }
    while world
        .server
        .poll_transmit(world.now, &mut out)
        .unwrap()
        .is_some()
    {
        answers += 1;
    }
    let statistics = world.server.statistics();
    assert_eq!((answers, statistics.retries), (1_000, 1_000));
    assert_eq!(statistics.dropped(Dropped::OutboxFull), 0);
}
