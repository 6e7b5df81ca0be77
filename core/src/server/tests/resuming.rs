use super::*;

/// Anna publishes, Ben listens; they have talked for a while.
fn talking() -> (World, usize, usize) {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    world.talk(ms(400), &[(anna, 30)]);
    (world, anna, ben)
}

#[test]
fn a_resume_while_connected_changes_nothing_for_others() {
    let (mut world, anna, ben) = talking();
    let before = world.peers[anna].joined().clone();
    let version = world.peers[ben].replica.version();
    let last = *world.peers[ben].take_media().last().unwrap();
    let hello = world.resume_hello(anna, "room/anna");
    world.rejoin(anna, &hello);
    world.run();
    let after = world.peers[anna].joined().clone();
    assert!(after.resumed);
    assert_eq!(
        (after.slot_ssrc, &after.streams),
        (before.slot_ssrc, &before.streams)
    );
    assert_eq!(after.session, before.session);
    assert_ne!(after.resume_ticket, before.resume_ticket);
    assert_ne!(after.reset_token, before.reset_token);

    world.talk(ms(40), &[(anna, 30)]);
    let next = world.peers[ben].take_media()[0];
    assert_eq!(next.0, last.0);
    assert_eq!(next.2, last.2.wrapping_add(1));
    assert_eq!(world.peers[ben].replica.version(), version);
    assert_eq!(world.left(), []);
    assert_eq!(world.server.statistics().resumes, 1);
    // The former keys' id is forgotten when they are.
    world.advance(ms(6_000));
    assert_eq!(world.server.accounting().connection_ids, 2);
}

#[test]
fn the_former_keys_still_open_what_is_on_its_way() {
    let (mut world, anna, ben) = talking();
    world.peers[anna].speak(30);
    let mut late = world.compose(anna).unwrap();
    let hello = world.resume_hello(anna, "room/anna");
    world.rejoin(anna, &hello);
    world.run();
    world.peers[ben].take_media();
    let from = world.peers[anna].path;
    assert_eq!(world.deliver(from, &mut late), Ok(()));
    world.run();
    assert_eq!(world.peers[ben].take_media().len(), 1);
}

#[test]
fn a_resume_takes_effect_with_its_first_packet_only() {
    let (mut world, anna, ben) = talking();
    let ticket = world.peers[anna].joined().resume_ticket;
    let mut hello = world.resume_hello(anna, "room/anna");
    let (_, mut replayed) = world.hello(&hello, ConnectionId(9_999));
    let attacker = World::path(99);
    world.deliver(attacker, &mut replayed).unwrap();
    world.run();
    world.talk(ms(100), &[(anna, 30)]);
    assert!(!world.peers[ben].take_media().is_empty());
    // And the ticket is still good.
    world.rejoin(anna, &hello);
    world.run();
    assert!(world.peers[anna].joined().resumed);
    // But only once that is so.
    assert_ne!(world.peers[anna].joined().resume_ticket, ticket);
    hello.token = "room/anna".to_string();
    let second = world.join(&hello);
    assert!(!world.peers[second].joined().resumed);
}

#[test]
fn a_resume_whose_first_packet_is_lost_is_resumed_itself() {
    let (mut world, anna, ben) = talking();
    let hello = world.resume_hello(anna, "room/anna");
    world.rejoin(anna, &hello);
    world.serve();
    world.serve();
    let lost = world.compose(anna).unwrap();
    let again = world.resume_hello(anna, "room/anna");
    let tickets = [&hello, &again].map(|hello| hello.resume.as_ref().unwrap().ticket);
    assert_ne!(tickets[0], tickets[1]);
    world.rejoin(anna, &again);
    world.run();
    assert!(world.peers[anna].joined().resumed);
    // The lost packet was only late: it must not bring the older keys back.
    let (from, mut lost) = (world.peers[anna].path, lost);
    assert_eq!(world.deliver(from, &mut lost), Ok(()));
    assert_eq!(world.server.statistics().resumes, 1);
    world.talk(ms(7_000), &[(anna, 30)]);
    assert!(world.peers[ben].take_media().len() > 340);
    assert_eq!(world.left(), []);
}

#[test]
fn a_silent_participant_resumes_within_its_grace() {
    let (mut world, anna, ben) = talking();
    let ask = world.ask(ben, Operation::Subscribe(stream("anna", "mic")));
    assert_eq!(ask, Ok(Outcome::Done));
    world.dead.push(world.peers[anna].path);
    for _ in 0..2 {
        world.peers[ben].link.as_mut().unwrap().ping(6);
        world.advance(ms(8_000));
    }
    let seen = world.peers[ben].replica.participant(&pid("anna")).unwrap();
    assert_eq!(seen.connection, ConnectionState::Reconnecting);

    // It comes back from elsewhere.
    world.peers[anna].path = World::path(50);
    let hello = world.resume_hello(anna, "room/anna");
    world.rejoin(anna, &hello);
    world.run();
    let seen = world.peers[ben].replica.participant(&pid("anna")).unwrap();
    assert_eq!(seen.connection, ConnectionState::Connected);
    assert!(world.peers[anna].joined().resumed);
    assert!(world.peers[anna].is_caught_up(&world, "room"));
    assert_eq!(world.left(), []);
    world.peers[ben].take_media();
    world.talk(ms(40), &[(anna, 30)]);
    assert_eq!(world.peers[ben].take_media().len(), 2);
}

#[test]
fn the_promise_of_a_resume_outlasts_the_grace() {
    let (mut world, anna, _) = talking();
    world.dead.push(world.peers[anna].path);
    let connection = |world: &World| {
        let (_, state) = world
            .server
            .room(&room_id("room"))
            .unwrap()
            .session
            .unwrap();
        state.participant(&pid("anna")).unwrap().connection
    };
    while connection(&world) == ConnectionState::Connected {
        world.advance(ms(100));
    }
    world.advance(ms(29_500));
    world.peers[anna].path = World::path(50);
    let hello = world.resume_hello(anna, "room/anna");
    world.rejoin(anna, &hello);
    world.serve();
    world.serve();
    // The grace ends between Welcome and first Data.
    world.dead.push(World::path(50));
    world.now += ms(2_000);
    world.server.handle_timeout(world.now);
    world.dead.clear();
    world.peers[anna].link.as_mut().unwrap().ping(3);
    world.run();
    assert!(world.peers[anna].joined().resumed);
    assert_eq!(world.peers[anna].resets, 0);
    assert_eq!(connection(&world), ConnectionState::Connected);
    assert!(!world.left().iter().any(|(name, _)| name == "anna"));
}

#[test]
fn a_ticket_that_nobody_knows_is_a_new_join() {
    let (mut world, anna, _) = talking();
    let mut hello = world.resume_hello(anna, "room/anna");
    hello.resume.as_mut().unwrap().ticket.0[20] ^= 1;
    let guess = world.join(&hello);
    assert!(!world.peers[guess].joined().resumed);
    // Nor does another participant's ticket help.
    let hello = world.resume_hello(guess, "room/carl");
    let carl = world.join(&hello);
    assert!(!world.peers[carl].joined().resumed);
    assert_eq!(world.ids_in("room"), ["anna", "ben", "carl"]);
}

#[test]
fn one_that_comes_back_by_itself_puts_out_nobody_who_came_while_it_did() {
    let (mut world, anna, _) = talking();
    let stale = world.resume_hello(anna, "room/anna");
    world.peers[anna].request(Operation::Leave);
    world.advance(ms(6_000));
    // A laptop is let in, as the room is empty, and then a phone joins.
    let laptop = world.add(&stale);
    world.send_hello(laptop);
    world.serve();
    world.serve();
    assert!(!world.peers[laptop].joined().resumed);
    world.dead.push(world.peers[laptop].path);
    world.advance(ms(1_000));
    let phone = world.join(&Hello::new("room/anna"));
    world.dead.clear();
    world.peers[laptop].link.as_mut().unwrap().ping(3);
    world.run();
    assert_eq!(world.peers[laptop].resets, 1);
    assert_eq!(world.peers[phone].closed(), None);
    let again = world.resume_hello(laptop, "room/anna");
    world.rejoin(laptop, &again);
    world.run();
    let refused = Some(Answer::Refused(JoinRefusal::Replaced));
    assert_eq!(world.peers[laptop].answer, refused);
    assert_eq!(world.ids_in("room"), ["anna", "ben"]);
}

#[test]
fn one_whose_join_was_answered_and_came_to_nothing_is_no_other() {
    let (mut world, anna, _) = talking();
    // The same device begins anew, having lost everything; its packets after the answer get lost.
    let anew = world.add(&Hello::new("room/anna"));
    world.send_hello(anew);
    world.serve();
    world.serve();
    let promised = world.resume_hello(anew, "room/anna");
    world.dead.push(world.peers[anew].path);
    world.advance(ms(6_000));
    world.dead.clear();
    world.rejoin(anew, &promised);
    world.run();
    assert!(!world.peers[anew].joined().resumed);
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::Replaced));
}

#[test]
fn requests_under_way_are_answered_once_over_a_resume() {
    let (mut world, anna, _) = talking();
    // The request arrives, its reply does not.
    let id = world.peers[anna].request(Operation::RequestFloor);
    let mut bytes = world.compose(anna).unwrap();
    let path = world.peers[anna].path;
    world.deliver(path, &mut bytes).unwrap();
    world.dead.push(path);
    world.serve();
    world.peers[anna].path = World::path(51);
    let hello = world.resume_hello(anna, "room/anna");
    world.rejoin(anna, &hello);
    world.advance(ms(500));
    assert_eq!(world.peers[anna].reply(id), Ok(Outcome::Done));
    assert!(world.peers[anna].is_caught_up(&world, "room"));
}

#[test]
fn a_lost_replica_is_told_all_again() {
    let (mut world, anna, _) = talking();
    world.peers[anna].replica = Replica::default();
    let hello = world.resume_hello(anna, "room/anna");
    assert_eq!(hello.resume.as_ref().unwrap().version, None);
    world.rejoin(anna, &hello);
    world.run();
    assert!(world.peers[anna].is_caught_up(&world, "room"));
}

#[test]
fn many_resumes_leave_nothing_behind() {
    let (mut world, anna, _) = talking();
    for _ in 0..20 {
        let hello = world.resume_hello(anna, "room/anna");
        world.rejoin(anna, &hello);
        world.advance(ms(100));
        assert!(world.peers[anna].joined().resumed);
    }
    assert!(world.server.accounting().connection_ids <= 3);
    world.advance(ms(6_000));
    assert_eq!(world.server.accounting().connection_ids, 2);
    assert_eq!(world.server.accounting().half_open, 0);
}

#[test]
fn a_move_to_another_address_is_followed_and_checked() {
    let (mut world, anna, ben) = talking();
    let from = world.peers[ben].path;
    let elsewhere = World::path(60);
    // Ben's packets come from another address now, to which nothing gets through yet.
    world.dead.push(elsewhere);
    world.peers[ben].link.as_mut().unwrap().ping(1);
    let mut bytes = world.compose(ben).unwrap();
    world
        .server
        .handle_datagram(world.now, elsewhere, &mut bytes)
        .unwrap();
    world.peers[ben].path = elsewhere;
    for _ in 0..50 {
        world.peers[anna].speak(30);
        world.run();
    }
    assert!(world.sent[&elsewhere] <= 3 * bytes.len());
    assert!(world.sent[&elsewhere] > 0);
    // Once it has answered, all goes there and nothing to where it was.
    world.dead.clear();
    let before = world.sent[&from];
    world.peers[ben].link.as_mut().unwrap().ping(2);
    world.advance(ms(3_000));
    world.peers[ben].take_media();
    world.talk(ms(200), &[(anna, 30)]);
    assert_eq!(world.peers[ben].take_media().len(), 10);
    assert_eq!(world.sent[&from], before);
    assert_eq!(world.server.statistics().roams, 1);
}

#[test]
fn who_asks_another_address_of_the_server_is_answered_from_there_and_stays_proven() {
    let (mut world, anna, ben) = talking();
    let Path::Udp { remote, .. } = world.peers[ben].path else {
        panic!("by UDP");
    };
    let asked = Path::Udp {
        remote,
        local: Some("203.0.113.2".parse().unwrap()),
    };
    world.peers[ben].link.as_mut().unwrap().ping(1);
    let mut bytes = world.compose(ben).unwrap();
    world
        .server
        .handle_datagram(world.now, asked, &mut bytes)
        .unwrap();
    world.peers[ben].path = asked;
    let before = world.sent.get(&asked).copied().unwrap_or_default();
    // Far more than three times the bytes received.
    world.talk(ms(1_000), &[(anna, 30)]);
    assert!(world.peers[ben].take_media().len() >= 50);
    assert!(world.sent[&asked] - before > 6 * bytes.len());
    assert_eq!(world.server.statistics().roams, 0);
}

#[test]
fn an_older_packet_from_elsewhere_moves_nothing() {
    let (mut world, anna, _) = talking();
    world.peers[anna].link.as_mut().unwrap().ping(1);
    let mut older = world.compose(anna).unwrap();
    world.peers[anna].link.as_mut().unwrap().ping(2);
    let mut newer = world.compose(anna).unwrap();
    let from = world.peers[anna].path;
    world.deliver(from, &mut newer).unwrap();
    let mut copy = newer.clone();
    assert!(world.deliver(World::path(61), &mut copy).is_err());
    world.deliver(World::path(61), &mut older).unwrap();
    world.run();
    assert_eq!(world.server.statistics().roams, 0);
    assert!(!world.sent.contains_key(&World::path(61)));
}

#[test]
fn a_first_packet_from_elsewhere_joins_but_proves_nothing() {
    let mut world = World::new();
    let anna = world.join(&Hello::publishing("room/anna"));
    let ben = world.add(&Hello::new("room/ben"));
    world.send_hello(ben);
    world.serve();
    world.serve();
    let victim = World::path(70);
    world.peers[ben].path = victim;
    world.dead.push(victim);
    let mut bytes = world.compose(ben).unwrap();
    world
        .server
        .handle_datagram(world.now, victim, &mut bytes)
        .unwrap();
    world.run();
    assert_eq!(world.ids_in("room"), ["anna", "ben"]);
    world.talk(ms(2_000), &[(anna, 30)]);
    assert!(world.sent[&victim] <= 3 * bytes.len());
    world.dead.clear();
    world.advance(ms(3_000));
    assert!(world.peers[ben].is_caught_up(&world, "room"));
}

mod over_a_bad_network {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever gets lost, and whoever resumes or moves meanwhile: each request is answered exactly once, each
        /// message arrives exactly once and in order, nobody is seen to leave, and when the network heals all know
        /// the current state.
        #[test]
        fn all_heals(
            steps in prop::collection::vec((0u8..8, 0usize..3, 0u64..400), 1..40),
            loss in 0u8..120,
            seed: u64,
        ) {
            let mut world = World::new();
            world.rng = ChaCha12Rng::seed_from_u64(seed);
            let names = ["anna", "ben", "carl"];
            for name in names {
                world.join(&Hello::publishing(&alloc::format!("room/{name}")));
            }
            world.loss = loss;
            let mut asked: Vec<(usize, RequestId)> = Vec::new();
            let mut sent = 0u8;
            let mut moves = 100;
            for (step, index, gap) in steps {
                let under_way = asked.iter().filter(|(asker, _)| *asker == index).count();
                let replies = world.peers[index].heard.iter();
                let replied = replies.filter(|heard| matches!(heard, Heard::Reply(..))).count();
                let may_ask = under_way - replied < 4;
                let operation = match step {
                    0 => Some(Operation::RequestFloor),
                    1 => Some(Operation::ReleaseFloor),
                    2 => Some(Operation::SetMuted { key: mic().key, muted: gap % 2 == 0 }),
                    3 if index == 0 && may_ask => {
                        sent += 1;
                        let request = world.peers[0].request(Operation::Send {
                            to: Recipients::All,
                            topic: Topic::new("").unwrap(),
                            body: &[sent - 1],
                        });
                        asked.push((0, request));
                        None
                    }
                    4 => {
                        let hello = world.resume_hello(index, &alloc::format!("room/{}", names[index]));
                        world.rejoin(index, &hello);
                        None
                    }
                    5 => {
                        moves += 1;
                        world.peers[index].path = World::path(moves);
                        world.peers[index].link.as_mut().unwrap().ping(8);
                        None
                    }
                    6 => {
                        world.peers[index].speak(30);
                        None
                    }
                    _ => None,
                };
                if let Some(operation) = operation && may_ask {
                    let request = world.peers[index].request(operation);
                    asked.push((index, request));
                }
                world.advance(ms(gap));
            }
            world.loss = 0;
            for _ in 0..2 {
                for peer in &mut world.peers {
                    peer.link.as_mut().unwrap().ping(6);
                }
                world.advance(ms(6_000));
            }
            for (index, request) in asked {
                world.peers[index].reply(request).ok();
            }
            for index in [1, 2] {
                let delivered = world.peers[index].heard.iter().filter_map(|heard| match heard {
                    Heard::Deliver(_, body) => Some(body[0]),
                    _ => None,
                });
                prop_assert_eq!(delivered.collect::<Vec<_>>(), (0..sent).collect::<Vec<_>>());
            }
            for index in 0..3 {
                prop_assert!(world.peers[index].is_caught_up(&world, "room"));
            }
            prop_assert_eq!(world.left(), []);
            prop_assert_eq!(world.server.accounting().media_buffers, 0);
            prop_assert_eq!(world.server.accounting().connection_ids, 3);
        }
    }
}

#[test]
fn a_hello_that_is_repeated_for_ever_keeps_nobody() {
    let (mut world, anna, _) = talking();
    world.dead.push(world.peers[anna].path);
    world.advance(ms(20_000));
    // An attacker has recorded her last Hello, and sends it from ever new addresses.
    for n in 0..20 {
        world.peers[anna].path = World::path(100 + n);
        let hello = world.resume_hello(anna, "room/anna");
        world.rejoin(anna, &hello);
        world.dead.push(world.peers[anna].path);
        world.advance(ms(4_000));
    }
    let lost = ("anna".to_string(), CloseReason::ConnectionLost);
    assert!(world.left().contains(&lost), "{:?}", world.left());
}

#[test]
fn servers_with_the_same_key_do_not_know_each_others_reset_tokens() {
    let mut tokens = Vec::new();
    for instance in [0, 1, 0] {
        let mut world = World::with(Config {
            instance,
            ..Config::default()
        });
        // The same connection id for all, which none of them knows.
        let packet = Packet::Data {
            connection_id: ConnectionId(7),
            counter: 0,
            ciphertext: &[0; 40],
        };
        let mut bytes = [0; 100];
        let len = packet.encode(&mut bytes).unwrap();
        let _ = world.deliver(World::path(1), &mut bytes[..len]);
        let mut out = [0; 1200];
        let sent = world
            .server
            .poll_transmit(world.now, &mut out)
            .unwrap()
            .unwrap();
        let Ok(Packet::Reset { token, .. }) = Packet::parse(&out[..sent.len]) else {
            panic!("no reset")
        };
        tokens.push(*token);
    }
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(tokens[0], tokens[2], "after a restart");
}
