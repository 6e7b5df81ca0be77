//! The replica, and what the application hears of it.

use super::*;

#[test]
fn others_come_publish_mute_and_go() {
    let mut world = World::new();
    let ann = world.joined("ann");
    let bob = world.joined("bob");
    assert_eq!(world.names(ann), ["ann", "bob"]);
    assert_eq!(world.names(bob), ["ann", "bob"]);
    let node = world.node(ann);
    assert!(node.has(&Event::ParticipantJoined {
        participant: pid("bob"),
        present: false
    }));
    assert!(node.has(&Event::CountChanged(2)));
    assert!(world.node(bob).has(&Event::ParticipantJoined {
        participant: pid("ann"),
        present: true
    }));
    let node = world.node(ann);
    // One's own coming is told by `Joined`.
    assert_eq!(
        node.count(|e| matches!(e, Event::ParticipantJoined { .. })),
        1
    );

    let client = world.client_mut(bob);
    let muted = client.set_muted(&key("mic"), true).unwrap().unwrap();
    let published = client.publish(screen()).unwrap().unwrap();
    world.run(ms(100));
    let node = world.node(bob);
    assert_eq!(node.reply(muted), Ok(Outcome::Done));
    let ssrc = node.client.published_ssrc(&key("screen")).unwrap();
    assert_eq!(node.reply(published), Ok(Outcome::Published { ssrc }));
    let node = world.node(ann);
    assert!(node.has(&Event::StreamMuted {
        stream: stream("bob", "mic"),
        muted: true
    }));
    assert!(node.has(&Event::StreamPublished(stream("bob", "screen"))));
    assert!(node.has(&Event::PresenterChanged(Some(pid("bob")))));
    assert!(node.has(&Event::MainChanged(Some(pid("bob")))));
    assert_eq!(node.client.main_participant(), Some(&pid("bob")));

    let unpublished = world.client_mut(bob).unpublish(&key("screen")).unwrap();
    world.run(ms(100));
    assert_eq!(
        world.node(bob).reply(unpublished.unwrap()),
        Ok(Outcome::Done)
    );
    let node = world.node(ann);
    assert!(node.has(&Event::StreamUnpublished(stream("bob", "screen"))));
    assert!(node.has(&Event::PresenterChanged(None)));

    let now = world.now;
    world.client_mut(bob).leave(now).unwrap();
    world.run(ms(100));
    assert!(world.node(ann).has(&Event::ParticipantLeft {
        participant: pid("bob"),
        reason: CloseReason::Left
    }));
}

#[test]
fn a_stream_that_is_ended_before_the_room_shows_it_is_given_up() {
    let mut world = World::new();
    let bob = world.joined("bob");
    world.ends_streams = true;
    let published = world.client_mut(bob).publish(screen()).unwrap().unwrap();
    world.run(ms(100));
    let node = world.node(bob);
    assert!(matches!(
        node.reply(published),
        Ok(Outcome::Published { .. })
    ));
    assert!(node.has(&Event::PublishRefused {
        key: key("screen"),
        refusal: Refusal::UnknownStream
    }));
    assert_eq!(node.client.published_ssrc(&key("screen")), None);

    // One's own change of mind is none of the server's.
    world.ends_streams = false;
    world.node(bob).events.clear();
    let client = world.client_mut(bob);
    client.publish(screen()).unwrap();
    client.unpublish(&key("screen")).unwrap();
    client.publish(screen()).unwrap();
    world.run(ms(100));
    let node = world.node(bob);
    let refused = |event: &Event| matches!(event, Event::PublishRefused { .. });
    assert_eq!(node.count(refused), 0);
    let ssrc = node.client.published_ssrc(&key("screen"));
    let shown = node.client.state().participant(&pid("bob")).unwrap();
    let shown = shown.stream(&key("screen")).map(|stream| stream.ssrc);
    assert!(ssrc.is_some() && shown == ssrc);
}

#[test]
fn a_silent_participant_is_reconnecting_and_then_lost() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.node(bob).up = false;
    world.run(secs(20));
    let changed = Event::ConnectionChanged {
        participant: pid("bob"),
        state: ConnectionState::Reconnecting,
    };
    assert!(world.node(ann).has(&changed));
    world.run(secs(40));
    assert!(world.node(ann).has(&Event::ParticipantLeft {
        participant: pid("bob"),
        reason: CloseReason::ConnectionLost
    }));
}

#[test]
fn the_pinned_participant_is_the_main_one() {
    let mut world = World::new();
    let (ann, _bob) = (world.joined("ann"), world.joined("bob"));
    let client = world.client_mut(ann);
    let pinned = client.pin(Some(&stream("bob", "mic"))).unwrap().unwrap();
    assert_eq!(client.main_participant(), Some(&pid("bob")));
    world.run(ms(100));
    assert_eq!(world.node(ann).reply(pinned), Ok(Outcome::Done));
    assert!(world.node(ann).has(&Event::MainChanged(Some(pid("bob")))));

    let client = world.client_mut(ann);
    let refused = client.pin(Some(&stream("bob", "nothing"))).unwrap();
    world.run(ms(100));
    let refusal = RequestFailure::Refused(Refusal::UnknownStream);
    assert_eq!(world.node(ann).reply(refused.unwrap()), Err(refusal));
    assert_eq!(world.client_mut(ann).main_participant(), None);
}

#[test]
fn moderation_is_felt() {
    let mut world = World::new();
    let (boss, ann) = (world.joined("Boss"), world.joined("ann"));
    let targets = Targets::all();
    let client = world.client_mut(boss);
    let censored = client.moderate(Moderation::Censor, &targets).unwrap();
    world.run(ms(100));
    let outcome = Ok(Outcome::Moderated { participants: 1 });
    assert_eq!(world.node(boss).reply(censored), outcome);
    assert!(world.node(ann).has(&Event::Censored {
        participant: pid("ann"),
        censored: true
    }));
    world
        .client_mut(boss)
        .moderate(Moderation::Kick, &targets)
        .unwrap();
    world.run(ms(100));
    let cause = CloseCause::Closed(CloseReason::Kicked);
    assert_eq!(world.node(ann).events.last(), Some(&Event::Closed(cause)));

    let denied = world.client("cat");
    world.run(ms(100));
    let request = world.client_mut(denied).end_session().unwrap();
    world.run(ms(100));
    let refusal = RequestFailure::Refused(Refusal::NotPermitted);
    assert_eq!(world.node(denied).reply(request), Err(refusal));
}

#[test]
fn the_floor_is_one_participants() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let taken = world.client_mut(ann).request_floor().unwrap();
    world.run(ms(50));
    let refused = world.client_mut(bob).request_floor().unwrap();
    world.run(ms(50));
    assert_eq!(world.node(ann).reply(taken), Ok(Outcome::Done));
    let refusal = RequestFailure::Refused(Refusal::FloorTaken);
    assert_eq!(world.node(bob).reply(refused), Err(refusal));
    world.client_mut(ann).release_floor().unwrap();
    world.run(ms(50));
    assert!(world.node(bob).has(&Event::FloorChanged(Some(pid("ann")))));
    assert!(world.node(bob).has(&Event::FloorChanged(None)));
}

#[test]
fn a_crowd_is_counted_though_not_all_are_tracked() {
    let mut world = World::new();
    let ann = world.joined("ann");
    for n in 0..12 {
        world.joined(&alloc::format!("p{n}"));
    }
    world.run(ms(500));
    let state = world.nodes[ann].client.state();
    assert_eq!(state.participants().len(), Small::PARTICIPANTS);
    assert_eq!(state.participant_count(), 13);
    assert!(state.participant(&pid("ann")).is_some());
    assert!(world.node(ann).has(&Event::CountChanged(13)));
}
