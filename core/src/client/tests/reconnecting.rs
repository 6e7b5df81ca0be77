//! Broken connections, restarted servers, changed networks, new keys.

use super::*;

fn is_reconnecting(event: &Event) -> bool {
    matches!(event, Event::Reconnecting(_))
}

#[test]
fn a_broken_connection_is_resumed_and_nobody_sees_it() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let ssrc = world.nodes[ann].client.published_ssrc(&key("mic"));
    let bobs = world.node(bob).events.len();
    world.node(ann).up = false;
    // Asked while nothing gets through; answered when it does.
    let asked = world.client_mut(ann).request_floor().unwrap();
    world.run(secs(20));
    assert!(
        world
            .node(ann)
            .has(&Event::Reconnecting(ReconnectCause::Silence))
    );
    assert!(!world.client_mut(ann).is_joined());
    world.node(ann).up = true;
    world.run(secs(6));
    let node = world.node(ann);
    assert!(node.has(&Event::Joined { resumed: true }));
    assert_eq!(node.reply(asked), Ok(Outcome::Done));
    assert_eq!(node.client.published_ssrc(&key("mic")), ssrc);
    assert_eq!(node.count(|e| matches!(e, Event::Joined { .. })), 2);
    let left = |e: &Event| {
        matches!(
            e,
            Event::ParticipantLeft { .. } | Event::ParticipantJoined { .. }
        )
    };
    assert!(!world.node(bob).events[bobs..].iter().any(left));
    world.speak(ann, 200);
    assert!(world.node(bob).heard.len() >= 8);
}

#[test]
fn a_resumed_replica_gets_what_it_missed() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.node(ann).up = false;
    world.client_mut(bob).set_muted(&key("mic"), true).unwrap();
    let cat = world.joined("cat");
    world.client_mut(cat).publish(screen()).unwrap();
    world.run(secs(20));
    world.node(ann).up = true;
    world.run(secs(6));
    assert_eq!(world.names(ann), ["ann", "bob", "cat"]);
    let node = world.node(ann);
    assert_eq!(node.client.main_participant(), Some(&pid("cat")));
    assert!(node.has(&Event::ParticipantJoined {
        participant: pid("cat"),
        present: false
    }));
    assert!(node.has(&Event::StreamMuted {
        stream: stream("bob", "mic"),
        muted: true
    }));
}

#[test]
fn wishes_made_while_away_come_true_on_return() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.node(ann).up = false;
    world.run(secs(20));
    let client = world.client_mut(ann);
    assert_eq!(client.unpublish(&key("mic")), Ok(None));
    assert_eq!(client.publish(screen()), Ok(None));
    assert_eq!(client.set_subscribe_policy(SubscribePolicy::None), Ok(None));
    assert_eq!(client.request_floor(), Err(CommandError::NotJoined));
    world.node(ann).up = true;
    world.run(secs(6));
    let state = world.nodes[bob].client.state();
    let ann_there = state.participant(&pid("ann")).unwrap();
    assert_eq!(ann_there.streams.len(), 1);
    assert!(ann_there.stream(&key("screen")).is_some());
    world.speak(bob, 200);
    assert!(world.node(ann).heard.is_empty());
}

#[test]
fn a_restarted_server_is_noticed_at_once_and_told_everything() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let client = world.client_mut(ann);
    client.publish(screen()).unwrap();
    client.set_muted(&key("mic"), true).unwrap();
    let policy = client.set_subscribe_policy(SubscribePolicy::None).unwrap();
    client.subscribe(&stream("bob", "mic")).unwrap();
    client.pin(Some(&stream("bob", "mic"))).unwrap();
    world.run(ms(500));
    assert_eq!(world.node(ann).reply(policy.unwrap()), Ok(Outcome::Done));
    let before = world.nodes[ann].client.session();

    world.restart_server();
    let unanswered = world.client_mut(ann).request_floor().unwrap();
    world.speak(bob, 20);
    world.run(secs(6));
    let node = world.node(ann);
    assert!(node.has(&Event::Reconnecting(ReconnectCause::Reset)));
    assert_eq!(node.reply(unanswered), Err(RequestFailure::ConnectionLost));
    assert_ne!(node.client.session(), before);
    assert_eq!(world.names(ann), ["ann", "bob"]);
    assert_eq!(world.names(bob), ["ann", "bob"]);
    let state = world.nodes[bob].client.state();
    let there = state.participant(&pid("ann")).unwrap();
    assert!(there.stream(&key("mic")).unwrap().muted);
    assert!(there.stream(&key("screen")).is_some());
    world.speak(bob, 400);
    assert!(!world.node(ann).heard.is_empty());
    assert_eq!(world.client_mut(ann).main_participant(), Some(&pid("bob")));
}

#[test]
fn the_numbers_of_a_restarted_servers_frames_are_far_above_those_before() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    for _ in 0..3 {
        world.speak(ann, 400);
        let last = world.node(bob).sequences.iter().copied().max().unwrap();
        world.restart_server();
        world.client_mut(ann).request_floor().unwrap();
        world.client_mut(bob).request_floor().unwrap();
        world.run(secs(6));
        world.node(bob).sequences.clear();
        world.speak(ann, 400);
        let after = world.node(bob).sequences.clone();
        assert!(after[0] > last + 65_536, "{last} {after:?}");
        assert!(after.windows(2).all(|two| two[1] == two[0] + 1));
    }
}

#[test]
fn an_unavailable_server_is_waited_for() {
    let mut world = World::new();
    let ann = world.joined("ann");
    world.restart_server();
    world.refusal = Some(JoinRefusal::Unavailable);
    world.client_mut(ann).request_floor().unwrap();
    world.run(secs(30));
    assert_eq!(world.client_mut(ann).closed(), None);
    world.refusal = None;
    world.run(secs(6));
    assert!(world.client_mut(ann).is_joined());
}

#[test]
fn a_forged_reset_is_nothing() {
    let mut world = World::new();
    let ann = world.joined("ann");
    world.client_mut(ann).request_floor().unwrap();
    world.exchange();
    let (_, _, _, data) = world.flying.last().unwrap().clone();
    let mut reset = [0; 21];
    reset[0] = 12;
    reset[1..5].copy_from_slice(&data[1..5]);
    let now = world.now;
    let client = world.client_mut(ann);
    let mut give = |reset: &mut [u8]| client.handle_datagram(now, reset, &mut |_| {});
    assert_eq!(give(&mut reset), Err(Dropped::Forged));
    reset[1] ^= 1;
    assert_eq!(give(&mut reset), Err(Dropped::Unexpected));
    assert!(client.is_joined());
    assert_eq!(client.statistics().drops.forged, 1);
}

#[test]
fn a_new_network_is_used_at_once() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.node(ann).path = Path::udp(([203, 0, 113, 9], 999).into());
    let now = world.now;
    world.client_mut(ann).network_changed(now);
    world.run(ms(100));
    world.speak(bob, 200);
    assert!(world.node(ann).heard.len() >= 8);
    assert_eq!(world.node(ann).count(is_reconnecting), 0);
}

#[test]
fn a_new_network_that_is_silent_is_resumed_over() {
    let mut world = World::new();
    let ann = world.joined("ann");
    world.node(ann).up = false;
    let now = world.now;
    world.client_mut(ann).network_changed(now);
    world.run(ms(1100));
    let cause = ReconnectCause::NetworkChanged;
    assert!(world.node(ann).has(&Event::Reconnecting(cause)));
    world.node(ann).up = true;
    let now = world.now;
    world.client_mut(ann).network_changed(now);
    world.run(ms(100));
    assert!(world.node(ann).has(&Event::Joined { resumed: true }));
}

#[test]
fn keys_are_renewed_while_the_old_ones_are_in_use() {
    let mut world = World::new();
    let config = Config {
        rekey_after: secs(5),
        ..Config::default()
    };
    let ann = world.client_with("ann", &config);
    let bob = world.joined("bob");
    world.client_mut(ann).publish(mic()).unwrap();
    world.run(ms(100));
    world.speak(ann, 20_000);
    // Bob came late by none; each frame but those still on their way arrived.
    let heard = world.node(bob).heard.clone();
    assert!(heard.len() >= 998, "{}", heard.len());
    assert!(heard.windows(2).all(|two| two[1].2 - two[0].2 == 960));
    assert_eq!(world.node(ann).count(is_reconnecting), 0);
    assert_eq!(
        world.node(ann).count(|e| matches!(e, Event::Joined { .. })),
        1
    );
    assert!((3..=4).contains(&world.server.statistics().resumes));
}

#[test]
fn new_keys_that_cannot_be_had_leave_the_old_ones() {
    let mut world = World::new();
    let config = Config {
        rekey_after: secs(5),
        ..Config::default()
    };
    let ann = world.client_with("ann", &config);
    world.run(ms(100));
    world.refusal = Some(JoinRefusal::TokenExpired);
    world.run(secs(30));
    assert!(world.client_mut(ann).is_joined());
    assert_eq!(world.server.statistics().resumes, 0);
    world.refusal = None;
    world.run(secs(40));
    assert!(world.server.statistics().resumes > 0);
    assert!(world.client_mut(ann).is_joined());
}

#[test]
fn a_lobby_survives_a_broken_connection() {
    let mut world = World::new();
    world.lobby = true;
    let ann = world.client("ann");
    world.client_mut(ann).publish(mic()).unwrap();
    world.run(ms(100));
    world.node(ann).up = false;
    world.run(secs(40));
    assert_eq!(world.node(ann).count(is_reconnecting), 1);
    world.node(ann).up = true;
    world.run(secs(6));
    let now = world.now;
    (world.server)
        .moderate(now, &room_id(), Act::Admit, &pid("ann").into())
        .unwrap();
    world.run(ms(100));
    assert!(world.client_mut(ann).is_joined());
    assert!(
        world.nodes[ann]
            .client
            .published_ssrc(&key("mic"))
            .is_some()
    );
}

#[test]
fn leaving_while_away_is_over_at_once() {
    let mut world = World::new();
    let ann = world.joined("ann");
    world.node(ann).up = false;
    world.run(secs(30));
    let now = world.now;
    world.client_mut(ann).leave(now).unwrap();
    assert!(world.client_mut(ann).closed().is_some());
}

#[test]
fn who_comes_back_too_late_starts_over() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.node(ann).up = false;
    world.run(secs(90));
    assert_eq!(world.names(bob), ["bob"]);
    world.node(ann).up = true;
    world.run(secs(6));
    let node = world.node(ann);
    assert_eq!(node.count(|e| *e == Event::Joined { resumed: false }), 2);
    assert_eq!(world.names(ann), ["ann", "bob"]);
    assert_eq!(world.names(bob), ["ann", "bob"]);
}

#[test]
fn who_is_admitted_while_coming_back_to_the_lobby_is_in() {
    let mut world = World::with(server::Config {
        // The server has not noticed yet.
        silence: secs(15),
        ..server::Config::default()
    });
    world.lobby = true;
    let ann = world.client("ann");
    world.client_mut(ann).publish(mic()).unwrap();
    world.run(ms(100));
    world.node(ann).up = false;
    while world.node(ann).count(is_reconnecting) == 0 {
        world.run(ms(100));
    }
    let now = world.now;
    (world.server)
        .moderate(now, &room_id(), Act::Admit, &pid("ann").into())
        .unwrap();
    world.exchange();
    world.node(ann).up = true;
    world.run(ONE_WAY);
    assert!(world.client_mut(ann).is_joined());
    world.run(secs(30));
    let node = world.node(ann);
    assert!(node.client.published_ssrc(&key("mic")).is_some());
    assert_eq!(node.count(is_reconnecting), 1);
    assert_eq!(node.count(|e| matches!(e, Event::Joined { .. })), 1);
    assert_eq!(node.count(|e| *e == Event::Waiting), 1);
    assert_eq!(world.names(ann), ["ann"]);
}

#[test]
fn a_stream_refused_during_a_handshake_does_not_take_another_with_it() {
    let mut world = World::new();
    let config = Config {
        rekey_after: secs(5),
        ..Config::default()
    };
    let ann = world.client_with("ann.audio", &config);
    world.run(ms(20));
    world.run(ms(4995));
    let now = world.now;
    let client = world.client_mut(ann);
    assert!(client.is_joined());
    client.publish(screen()).unwrap().unwrap();
    client.publish(mic()).unwrap().unwrap();
    // It has been silent for longer than one waits for an acknowledgement.
    client.handle_timeout(now);
    // Hello, made after 5 s, asks for both; the refusal is on its way when the server restarts.
    world.run(ms(13));
    world.restart_server();
    world.run(secs(1));
    let node = world.node(ann);
    assert!(node.has(&Event::PublishRefused {
        key: key("screen"),
        refusal: Refusal::NotPermitted
    }));
    assert_eq!(
        node.count(|e| *e == Event::Joined { resumed: false }),
        2,
        "{:?}",
        node.events
    );
    assert!(node.client.published_ssrc(&key("mic")).is_some());
}

#[test]
fn a_policy_refused_during_a_handshake_does_not_come_back() {
    let mut world = World::new();
    let bob = world.joined("bob");
    let config = Config {
        rekey_after: secs(5),
        ..Config::default()
    };
    let ann = world.client_with("ann", &config);
    world.run(ms(20));
    world.run(ms(4995));
    let now = world.now;
    let client = world.client_mut(ann);
    let mixed = client.set_subscribe_policy(SubscribePolicy::Mix);
    client.handle_timeout(now);
    // As above: Hello asks for what is refused, and then somebody else answers it.
    world.run(ms(13));
    world.restart_server();
    world.run(secs(1));
    let node = world.node(ann);
    let refusal = Err(RequestFailure::Refused(Refusal::MixUnavailable));
    assert_eq!(node.reply(mixed.unwrap().unwrap()), refusal);
    assert_eq!(node.count(|e| *e == Event::Joined { resumed: false }), 2);
    assert_eq!(node.count(|e| matches!(e, Event::PolicyRefused(_))), 0);
    // Which shows bob that the server is another.
    world.speak(bob, 20);
    world.run(secs(6));
    world.speak(bob, 400);
    assert!(!world.node(ann).heard.is_empty());
}
