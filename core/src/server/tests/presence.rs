use super::*;

#[test]
fn silence_is_shown_and_then_the_connection_is_lost() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    world.dead.push(world.peers[ben].path);
    let keep_alive = |world: &mut World, seconds: u64| {
        for _ in 0..seconds {
            world.peers[anna].link.as_mut().unwrap().ping(5);
            world.advance(ms(1_000));
        }
    };
    let seen = |world: &World| {
        let ben = world.peers[anna].replica.participant(&pid("ben"));
        ben.map(|ben| ben.connection)
    };
    keep_alive(&mut world, 9);
    assert_eq!(seen(&world), Some(ConnectionState::Connected));
    keep_alive(&mut world, 2);
    assert_eq!(seen(&world), Some(ConnectionState::Reconnecting));
    keep_alive(&mut world, 28);
    assert_eq!(seen(&world), Some(ConnectionState::Reconnecting));
    keep_alive(&mut world, 2);
    assert_eq!(seen(&world), None);
    assert_eq!(
        world.left(),
        [("ben".to_string(), CloseReason::ConnectionLost)]
    );
    assert_eq!(world.server.accounting().participants, 1);
    assert_eq!(world.server.accounting().connection_ids, 1);
}

#[test]
fn unanswered_signalling_shows_silence_sooner() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    world.advance(ms(1_000));
    world.dead.push(world.peers[ben].path);
    world.ask(anna, Operation::RequestFloor).unwrap();
    for _ in 0..12 {
        world.peers[anna].link.as_mut().unwrap().ping(5);
        world.advance(ms(1_000));
    }
    let seen = world.peers[anna].replica.participant(&pid("ben"));
    assert_eq!(seen.unwrap().connection, ConnectionState::Reconnecting);
}

#[test]
fn who_is_heard_again_is_back_without_a_resume() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    world.dead.push(world.peers[anna].path);
    world.advance(ms(16_000));
    let zoe = world.join(&Hello::new("room/zoe"));
    assert_eq!(
        world.peers[zoe]
            .replica
            .participant(&pid("anna"))
            .unwrap()
            .connection,
        ConnectionState::Reconnecting
    );
    world.dead.clear();
    world.peers[anna].link.as_mut().unwrap().ping(5);
    world.advance(ms(100));
    assert!(world.peers[anna].is_caught_up(&world, "room"));
    assert_eq!(
        world.peers[zoe]
            .replica
            .participant(&pid("anna"))
            .unwrap()
            .connection,
        ConnectionState::Connected
    );
}

#[test]
fn leaving_is_answered_told_and_ends_the_session_with_the_last() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let ben = world.join(&Hello::new("room/ben"));
    assert_eq!(world.ask(ben, Operation::Leave), Ok(Outcome::Done));
    assert_eq!(
        world.peers[ben].heard.last(),
        Some(&Heard::Closed(CloseReason::Left))
    );
    assert_eq!(world.peers[anna].replica.participants().count(), 1);
    // Closed was acknowledged: nothing lingers.
    assert_eq!(world.server.accounting().participants, 1);
    assert_eq!(world.ask(anna, Operation::Leave), Ok(Outcome::Done));
    let last = world.events.last().unwrap();
    assert!(matches!(
        last,
        Event::SessionEnded {
            reason: CloseReason::Left,
            ..
        }
    ));
    assert_eq!(world.server.rooms().count(), 0);
    assert_eq!(world.server.accounting(), Accounting::default());
    assert_eq!(world.server.poll_timeout(), None);
}

#[test]
fn who_does_not_hear_that_it_is_closed_is_forgotten_soon() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    world.dead.push(world.peers[anna].path);
    world.moderate(Act::Kick { keep_out: true }, &pid("anna").into());
    world.run();
    assert_eq!(world.server.accounting().participants, 1);
    world.now += Config::default().linger;
    world.server.handle_timeout(world.now);
    let remembered = Accounting {
        ended: 1,
        ..Accounting::default()
    };
    assert_eq!(world.server.accounting(), remembered);
}

#[test]
fn a_token_that_runs_out_is_announced_and_ends_the_stay() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna/minute"));
    let keep_alive = |world: &mut World, seconds: u64| {
        for _ in 0..seconds {
            if let Some(link) = world.peers[anna].link.as_mut() {
                link.ping(5);
            }
            world.advance(ms(1_000));
        }
    };
    keep_alive(&mut world, 29);
    assert_eq!(world.peers[anna].heard, []);
    keep_alive(&mut world, 2);
    assert!(matches!(
        world.peers[anna].heard[..],
        [Heard::TokenExpiring(29..=30)]
    ));

    let id = world.peers[anna].request(Operation::RefreshToken {
        token: Secret("new"),
    });
    world.run();
    let Some(Event::RefreshRequested { refresh, token, .. }) = world.events.last().cloned() else {
        panic!("{:?}", world.events.last())
    };
    assert_eq!(*token, "new");
    let answer = Ok(admission("room/anna/minute"));
    assert_eq!(world.server.refresh(world.now, refresh, answer), Ok(()));
    world.run();
    assert_eq!(world.peers[anna].reply(id), Ok(Outcome::Done));
    let again = world.server.refresh(world.now, refresh, Err(()));
    assert_eq!(again, Err(RefreshError::UnknownRefresh));

    keep_alive(&mut world, 31);
    assert_eq!(world.peers[anna].closed(), None);
    keep_alive(&mut world, 30);
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::TokenExpired));
    assert_eq!(
        world.left(),
        [("anna".to_string(), CloseReason::TokenExpired)]
    );
}

#[test]
fn a_new_token_must_be_for_the_same_participant() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    for (answer, done) in [
        (Ok(admission("room/ben")), Err(RefreshError::Mismatch)),
        (Ok(admission("other/anna")), Err(RefreshError::Mismatch)),
        (Err(()), Ok(())),
    ] {
        let id = world.peers[anna].request(Operation::RefreshToken {
            token: Secret("new"),
        });
        let second = world.peers[anna].request(Operation::RefreshToken {
            token: Secret("two"),
        });
        world.run();
        assert_eq!(world.peers[anna].reply(second), Err(Refusal::RateLimited));
        let Some(Event::RefreshRequested { refresh, .. }) = world.events.last().cloned() else {
            panic!()
        };
        assert_eq!(world.server.refresh(world.now, refresh, answer), done);
        world.run();
        assert_eq!(world.peers[anna].reply(id), Err(Refusal::InvalidToken));
    }
}

#[test]
fn shutting_down_sends_everybody_away() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna"));
    let waiting = world.join(&Hello::new("room/wim/lobby"));
    world.admits = false;
    let late = world.join(&Hello::new("room/late"));
    world.server.shutdown(world.now);
    world.run();
    assert_eq!(
        world.peers[anna].closed(),
        Some(CloseReason::ServerShutdown)
    );
    assert_eq!(
        world.peers[waiting].closed(),
        Some(CloseReason::ServerShutdown)
    );
    let refused = Some(Answer::Refused(JoinRefusal::Unavailable));
    assert_eq!(world.peers[late].answer, refused);
    let mut hello = world.peers[late].hello.clone();
    let dropped = world.deliver(World::path(90), &mut hello);
    assert_eq!(dropped, Err(Dropped::ShuttingDown));
    world.advance(ms(6_000));
    assert_eq!(world.server.accounting(), Accounting::default());
}

#[test]
fn who_was_let_in_is_told_that_its_token_runs_out() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna/minute/lobby"));
    let ben = world.join(&Hello::new("room/ben"));
    let pass = |world: &mut World, seconds: u64| {
        for _ in 0..seconds {
            for index in [anna, ben] {
                if let Some(link) = world.peers[index].link.as_mut() {
                    link.ping(5);
                }
            }
            world.advance(ms(1_000));
        }
    };
    pass(&mut world, 35);
    assert_eq!(world.peers[anna].heard, [], "nothing but being let in");
    world.moderate(Act::Admit, &pid("anna").into());
    pass(&mut world, 1);
    let told = |heard: &Heard| matches!(heard, Heard::TokenExpiring(23..=25));
    assert!(world.peers[anna].heard.iter().any(told));
    pass(&mut world, 25);
    assert_eq!(world.peers[anna].closed(), Some(CloseReason::TokenExpired));
}

#[test]
fn a_token_that_runs_out_in_the_lobby_ends_the_waiting() {
    let mut world = World::new();
    let anna = world.join(&Hello::new("room/anna/minute/lobby"));
    for _ in 0..61 {
        if let Some(link) = world.peers[anna].link.as_mut() {
            link.ping(5);
        }
        world.advance(ms(1_000));
    }
    assert_eq!(
        world.peers[anna].heard,
        [Heard::Closed(CloseReason::TokenExpired)]
    );
}
