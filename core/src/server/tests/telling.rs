use super::*;

/// A participant that can track more than there are here.
fn hello(name: &str) -> Hello {
    Hello {
        participants: 64,
        ..Hello::new(&alloc::format!("room/{name}"))
    }
}

/// A large room with a join just now, so that further joins are told later.
fn just_told() -> (World, usize) {
    let mut world = World::new();
    let anna = world.join(&hello("anna"));
    for number in 0..15 {
        world.join(&hello(&alloc::format!("crowd{number}")));
        assert!(
            world.peers[anna].is_caught_up(&world, "room"),
            "few: at once"
        );
    }
    world.advance(ms(1_000));
    world.join(&hello("ben"));
    assert!(world.peers[anna].is_caught_up(&world, "room"), "at once");
    (world, anna)
}

#[test]
fn who_comes_soon_after_another_is_told_together() {
    let (mut world, anna) = just_told();
    let path = world.peers[anna].path;
    let sent = world.sent[&path];
    let others: Vec<_> = (0..10)
        .map(|number| world.join(&hello(&alloc::format!("guest{number}"))))
        .collect();
    // A participant that joins knows everything at once.
    assert!(world.peers[others[9]].is_caught_up(&world, "room"));
    world.peers[others[3]].request(Operation::Leave);
    world.advance(ms(249));
    assert_eq!(world.sent[&path], sent, "told one by one");
    assert!(!world.peers[anna].is_caught_up(&world, "room"));
    world.advance(ms(1));
    assert!(world.peers[anna].is_caught_up(&world, "room"));
    assert_eq!(world.peers[anna].replica.participant_count(), 26);
    assert!(world.peers[others[0]].is_caught_up(&world, "room"));
    // Nothing is left to be told, and the next one is told of at once again.
    world.advance(ms(250));
    world.join(&hello("late"));
    assert!(world.peers[anna].is_caught_up(&world, "room"));
}

#[test]
fn who_is_told_otherwise_is_told_of_those_who_came() {
    let (mut world, anna) = just_told();
    world.join(&hello("cem"));
    assert!(!world.peers[anna].is_caught_up(&world, "room"));
    world.ask(anna, Operation::RequestFloor).unwrap();
    assert!(world.peers[anna].is_caught_up(&world, "room"));
}

#[test]
fn a_message_comes_after_its_sender() {
    let (mut world, anna) = just_told();
    let cem = world.join(&hello("cem"));
    assert!(!world.peers[anna].is_caught_up(&world, "room"));
    let send = Operation::Send {
        to: Recipients::All,
        topic: Topic::new("t").unwrap(),
        body: b"hello",
    };
    world.ask(cem, send).unwrap();
    let heard = Heard::Deliver(pid("cem"), b"hello".to_vec());
    assert!(world.peers[anna].heard.contains(&heard));
    assert!(world.peers[anna].is_caught_up(&world, "room"));
}

#[test]
fn who_is_heard_is_known() {
    let (mut world, anna) = just_told();
    let cem = world.join(&Hello {
        publish: Vec::from([mic()]),
        ..hello("cem")
    });
    assert!(!world.peers[anna].is_caught_up(&world, "room"));
    world.peers[cem].speak(30);
    world.run();
    assert_eq!(world.peers[anna].take_media().len(), 1);
    assert!(world.peers[anna].is_caught_up(&world, "room"));
}

#[test]
fn who_is_behind_leaves_out_what_is_work_for_many() {
    let (mut world, anna) = just_told();
    let ben = world.join(&Hello::publishing("room/speaker"));
    let [zoe, yan] =
        [Hello::publishing("small/zoe"), Hello::new("small/yan")].map(|hello| world.join(&hello));
    world.advance(ms(500));
    world.server.set_behind(true);
    for talker in [ben, zoe] {
        world.peers[talker].speak(30);
    }
    world.run();
    let mute = Operation::SetMuted {
        key: mic().key,
        muted: true,
    };
    world.ask(ben, mute).unwrap();
    assert_eq!(world.peers[anna].take_media(), []);
    assert_eq!(world.peers[yan].take_media().len(), 1);
    // 17 others in the room.
    assert_eq!(world.server.statistics().media_late, 17);
    world.run();
    assert!(world.events.contains(&Event::Overloaded { late: 17 }));
    world.server.set_behind(false);
    world
        .ask(
            ben,
            Operation::SetMuted {
                key: mic().key,
                muted: false,
            },
        )
        .unwrap();
    world.peers[ben].speak(30);
    world.run();
    assert_eq!(world.peers[anna].take_media().len(), 1);
}
