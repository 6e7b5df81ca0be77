//! How many may be in a session, and how long it lasts by itself.

use super::*;

const ROOM: &str = "room";

fn session(world: &World) -> SessionId {
    let view = world.server.room(&room_id(ROOM)).expect("a room");
    view.session.expect("a session").0
}

fn ended(world: &World) -> Option<CloseReason> {
    world.events.iter().find_map(|event| match event {
        Event::SessionEnded { reason, .. } => Some(*reason),
        _ => None,
    })
}

/// Lets time pass in which everybody shows that it is there.
fn pass(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        for link in world.peers.iter_mut().filter_map(|peer| peer.link.as_mut()) {
            link.ping(5);
        }
        world.advance(ms(1_000));
    }
}

fn limits(change: impl FnOnce(&mut RoomLimits)) -> World {
    let mut limits = RoomLimits::default();
    change(&mut limits);
    World {
        limits: Some(limits),
        ..World::new()
    }
}

#[test]
fn an_admission_says_how_many_may_be_in_the_room() {
    let mut world = limits(|limits| limits.max_participants = Some(2));
    let anna = world.join(&Hello::new("room/anna"));
    world.join(&Hello::new("room/ben"));
    let full = Some(Answer::Refused(JoinRefusal::RoomFull));
    let carl = world.join(&Hello::new("room/carl"));
    assert_eq!(world.peers[carl].answer, full);
    // Who is there has its place, by whatever association.
    world.join(&Hello::new("room/ben"));
    assert_eq!(world.ids_in(ROOM), ["anna", "ben"]);
    let refused = Event::JoinRefused {
        refused: Refused {
            refusal: JoinRefusal::RoomFull,
            room: Some(room_id(ROOM)),
            participant: Some(pid("carl")),
        },
        from: world.peers[carl].path,
    };
    assert!(world.events.contains(&refused));

    // More may come while it runs, fewer put nobody out.
    world.limits = None;
    let set = |world: &mut World, most| {
        let limits = RoomLimits {
            max_participants: Some(most),
            ..RoomLimits::default()
        };
        let (room, now) = (room_id(ROOM), world.now);
        world.server.set_room_limits(now, &room, limits).unwrap();
    };
    set(&mut world, 3);
    world.join(&Hello::new("room/carl"));
    assert_eq!(world.ids_in(ROOM), ["anna", "ben", "carl"]);
    set(&mut world, 1);
    assert_eq!(world.ids_in(ROOM), ["anna", "ben", "carl"]);
    let dora = world.join(&Hello::new("room/dora"));
    assert_eq!(world.peers[dora].answer, full);
    let guest = world.join(&Hello::new("room/guest/lobby"));
    let admitted = world.moderate(Act::Admit, &pid("guest").into());
    assert_eq!(admitted.unchanged, [pid("guest")]);
    assert!(world.peers[guest].heard.is_empty());
    world.ask(anna, Operation::Leave).unwrap();
    let nobody =
        world
            .server
            .set_room_limits(world.now, &room_id("elsewhere"), RoomLimits::default());
    assert_eq!(nobody, Err(ModerateError::UnknownRoom));
}

#[test]
fn no_room_takes_more_than_the_server_lets_any() {
    let mut world = World {
        limits: Some(RoomLimits {
            max_participants: Some(100),
            ..RoomLimits::default()
        }),
        ..World::with(Config {
            participants_per_room: 1,
            ..Config::default()
        })
    };
    world.join(&Hello::new("room/anna"));
    world.join(&Hello::new("room/ben"));
    assert_eq!(world.ids_in(ROOM), ["anna"]);
}

#[test]
fn who_comes_back_in_time_finds_the_same_session() {
    let mut world = limits(|limits| limits.empty_timeout = Some(ms(60_000)));
    let anna = world.join(&Hello::new("room/anna"));
    let first = session(&world);
    world.ask(anna, Operation::Leave).unwrap();
    assert_eq!(world.ids_in(ROOM), Vec::<String>::new());
    pass(&mut world, 59);
    assert_eq!(ended(&world), None);
    let anna = world.join(&Hello::publishing("room/anna"));
    assert_eq!(session(&world), first);
    assert_eq!(world.peers[anna].joined().session, first);
    pass(&mut world, 120);
    assert_eq!(ended(&world), None, "it is not empty");

    world.ask(anna, Operation::Leave).unwrap();
    pass(&mut world, 59);
    assert_eq!(ended(&world), None);
    pass(&mut world, 2);
    assert_eq!(ended(&world), Some(CloseReason::Left));
    assert!(world.server.room(&room_id(ROOM)).is_none());
    let starts = |event: &&Event| matches!(event, Event::SessionStarted { .. });
    assert_eq!(world.events.iter().filter(starts).count(), 1);
    assert_eq!(world.server.accounting().timers, 0);
}

#[test]
fn an_empty_session_remembers_whom_it_keeps_out() {
    let mut world = limits(|limits| limits.empty_timeout = Some(ms(60_000)));
    world.join(&Hello::new("room/anna"));
    world.moderate(Act::Kick { keep_out: true }, &Selection::all());
    world.run();
    let back = world.join(&Hello::new("room/anna"));
    let kicked = Some(Answer::Refused(JoinRefusal::Kicked));
    assert_eq!(world.peers[back].answer, kicked);
    let (room, now) = (room_id(ROOM), world.now);
    world.server.end_session(now, &room).unwrap();
    world.join(&Hello::new("room/anna"));
    assert_eq!(world.ids_in(ROOM), ["anna"]);
}

#[test]
fn one_who_is_alone_for_too_long_is_sent_away() {
    let mut world = limits(|limits| limits.solo_timeout = Some(ms(30_000)));
    let anna = world.join(&Hello::new("room/anna"));
    pass(&mut world, 20);
    let ben = world.join(&Hello::new("room/ben"));
    pass(&mut world, 60);
    assert_eq!(ended(&world), None);
    world.ask(ben, Operation::Leave).unwrap();
    pass(&mut world, 29);
    assert_eq!(ended(&world), None);
    world.dead.push(world.peers[anna].path);
    pass(&mut world, 2);
    assert_eq!(ended(&world), Some(CloseReason::AloneTooLong));
    assert_eq!(
        world.left(),
        [
            ("ben".to_string(), CloseReason::Left),
            ("anna".to_string(), CloseReason::AloneTooLong),
        ]
    );
    // Who missed that does not begin it anew by itself.
    pass(&mut world, 30);
    world.dead.clear();
    let back = world.resume_hello(anna, "room/anna");
    let back = world.join(&back);
    let over = Some(Answer::Refused(JoinRefusal::SessionEnded));
    assert_eq!(world.peers[back].answer, over);
}

#[test]
fn a_session_lasts_as_long_as_its_room_allows() {
    let mut world = limits(|limits| limits.max_session = Some(ms(60_000)));
    let anna = world.join(&Hello::new("room/anna"));
    pass(&mut world, 30);
    let ben = world.join(&Hello::new("room/ben"));
    pass(&mut world, 29);
    assert_eq!(world.ids_in(ROOM), ["anna", "ben"]);
    pass(&mut world, 2);
    for peer in [anna, ben] {
        assert_eq!(
            world.peers[peer].closed(),
            Some(CloseReason::SessionTooLong)
        );
    }
    assert_eq!(ended(&world), Some(CloseReason::SessionTooLong));
    // The next one has as much time.
    let anna = world.join(&Hello::new("room/anna"));
    pass(&mut world, 59);
    assert_eq!(world.peers[anna].closed(), None);
    // A limit that has passed when it is set holds at once.
    let limits = RoomLimits {
        max_session: Some(ms(1_000)),
        ..RoomLimits::default()
    };
    let (room, now) = (room_id(ROOM), world.now);
    world.server.set_room_limits(now, &room, limits).unwrap();
    world.run();
    assert_eq!(
        world.peers[anna].closed(),
        Some(CloseReason::SessionTooLong)
    );
    pass(&mut world, 6);
    assert_eq!(world.server.accounting().timers, 0);
}
