//! Into the session, by all ways; out of it.

use alloc::boxed::Box;
use core::mem::MaybeUninit;

use super::*;

#[test]
fn a_publisher_is_in_after_one_round_trip() {
    let mut world = World::new();
    let ann = world.client("ann");
    assert_eq!(world.client_mut(ann).publish(mic()), Ok(None));
    world.run(ms(20));
    let node = world.node(ann);
    let ssrc = node.client.published_ssrc(&key("mic")).unwrap();
    assert_eq!(
        node.events,
        [
            Event::Published {
                key: key("mic"),
                ssrc
            },
            Event::Joined { resumed: false },
        ]
    );
    assert!(node.client.is_joined());
    assert_eq!(node.client.me(), Some(&pid("ann")));
    assert_eq!(node.client.grants(), Grants::PARTICIPANT);
    assert_eq!(node.client.statistics().rtt, Some(ms(20)));
    world.run(ms(40));
    assert!(world.node(ann).has(&Event::Synchronized));
    let state = world.nodes[ann].client.state();
    assert_eq!(state.find_stream(ssrc).unwrap().0.id, pid("ann"));
}

#[test]
fn a_lost_hello_is_sent_again_and_again() {
    let mut world = World::new();
    let ann = world.client("ann");
    world.node(ann).up = false;
    world.run(secs(3));
    assert!((4..=6).contains(&world.node(ann).sent));
    world.node(ann).up = true;
    world.run(secs(6));
    assert!(world.client_mut(ann).is_joined());
}

#[test]
fn a_busy_server_gets_its_cookie() {
    let mut world = World::with(server::Config {
        retry_threshold: 0,
        ..server::Config::default()
    });
    let ann = world.client("ann");
    world.run(ms(40));
    assert!(world.client_mut(ann).is_joined());
}

#[test]
fn what_is_published_while_hello_is_under_way_is_published() {
    let mut world = World::new();
    let ann = world.client("ann");
    world.run(ms(5));
    let client = world.client_mut(ann);
    assert_eq!(client.publish(mic()), Ok(None));
    assert_eq!(client.publish(mic()), Err(CommandError::AlreadyPublished));
    client.publish(screen()).unwrap();
    client.unpublish(&key("mic")).unwrap();
    world.run(ms(500));
    let server_knows = |name| {
        let (_, state) = world.server.room(&room_id()).unwrap().session.unwrap();
        let ann = state.participant(&pid("ann")).unwrap();
        ann.stream(&key(name)).is_some()
    };
    assert!(server_knows("screen") && !server_knows("mic"));
    assert_eq!(world.nodes[ann].client.published_ssrc(&key("mic")), None);
}

#[test]
fn refused_and_mistaken_streams_are_named() {
    let mut world = World::new();
    let ann = world.client("ann");
    let wrong = publish("mic", StreamKind::Audio, Codec::Vp8);
    let client = world.client_mut(ann);
    assert_eq!(client.publish(wrong), Err(CommandError::CodecMismatch));
    for name in ["a", "b"] {
        client
            .publish(publish(name, StreamKind::Audio, Codec::Pcmu))
            .unwrap();
    }
    assert_eq!(client.publish(mic()), Err(CommandError::TooManyStreams));
    assert_eq!(
        client.unpublish(&key("mic")),
        Err(CommandError::UnknownStream)
    );
}

#[test]
fn a_refused_join_closes() {
    let mut world = World::new();
    world.refusal = Some(JoinRefusal::TokenExpired);
    let ann = world.client("ann");
    world.run(secs(1));
    let cause = CloseCause::Refused(JoinRefusal::TokenExpired);
    assert_eq!(world.node(ann).events, [Event::Closed(cause)]);
    let client = world.client_mut(ann);
    assert_eq!(client.closed(), Some(cause));
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(client.publish(mic()), Err(CommandError::Closed));
    assert_eq!(client.end_session(), Err(CommandError::Closed));
}

#[test]
fn a_redirected_client_says_hello_again() {
    let mut world = World::new();
    let elsewhere: core::net::SocketAddr = "198.51.100.1:7900".parse().unwrap();
    world.redirect = Some(elsewhere);
    let ann = world.client("ann");
    world.run(ms(20));
    assert_eq!(
        world.node(ann).events,
        [Event::Redirected(elsewhere.into())]
    );
    assert_eq!(
        world.client_mut(ann).redirected_to(),
        Some(elsewhere.into())
    );
    world.redirect = None;
    world.run(secs(1));
    assert!(world.client_mut(ann).is_joined());
}

#[test]
fn a_circle_of_redirects_is_followed_ever_more_slowly() {
    let mut world = World::new();
    world.redirect = Some("198.51.100.1:7900".parse().unwrap());
    let ann = world.client("ann");
    world.run(secs(60));
    assert!(
        (30..60).contains(&world.node(ann).sent),
        "{}",
        world.node(ann).sent
    );
}

#[test]
fn the_lobby_holds_back_all_but_leaving() {
    let mut world = World::new();
    world.lobby = true;
    let ann = world.client("ann");
    world.client_mut(ann).publish(mic()).unwrap();
    world.run(ms(100));
    assert_eq!(world.node(ann).events, [Event::Waiting]);
    let client = world.client_mut(ann);
    assert!(client.is_waiting());
    assert_eq!(client.end_session(), Err(CommandError::NotJoined));
    // One stream more, one less, one muted: all come true behind the door.
    assert_eq!(client.unpublish(&key("mic")), Ok(None));
    assert_eq!(client.publish(screen()), Ok(None));
    assert_eq!(client.set_muted(&key("screen"), true), Ok(None));
    assert_eq!(client.set_subscribe_policy(SubscribePolicy::None), Ok(None));
    world.run(ms(200));
    let now = world.now;
    (world.server)
        .moderate(now, &room_id(), Act::Admit, &pid("ann").into())
        .unwrap();
    world.run(ms(300));
    let node = world.node(ann);
    assert!(node.has(&Event::Joined { resumed: false }));
    assert_eq!(node.count(|e| matches!(e, Event::Replied { .. })), 0);
    let me = node.client.state().participant(&pid("ann")).unwrap();
    assert_eq!(me.streams.len(), 1);
    assert_eq!(me.streams[0].key, key("screen"));
    assert!(me.streams[0].muted);
}

#[test]
fn one_turned_away_from_the_lobby_is_told() {
    let mut world = World::new();
    let boss = world.joined("Boss");
    world.lobby = true;
    let ann = world.client("ann");
    world.run(ms(100));
    assert!(world.node(boss).has(&Event::Knocked {
        participant: pid("ann"),
        name: DisplayName::new("ann").unwrap(),
    }));
    let targets = Targets::from(pid("ann"));
    let client = world.client_mut(boss);
    let request = client.moderate(Moderation::Deny, &targets).unwrap();
    world.run(ms(100));
    let outcome = Ok(Outcome::Moderated { participants: 1 });
    assert_eq!(world.node(boss).reply(request), outcome);
    assert!(world.node(boss).has(&Event::KnockEnded(pid("ann"))));
    let cause = CloseCause::Closed(CloseReason::Denied);
    assert_eq!(world.client_mut(ann).closed(), Some(cause));
}

#[test]
fn leaving_says_goodbye_once() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let now = world.now;
    let client = world.client_mut(ann);
    client.leave(now).unwrap();
    assert_eq!(client.leave(now), Err(CommandError::Closed));
    world.run(ms(60));
    let cause = CloseCause::Closed(CloseReason::Left);
    assert_eq!(world.node(ann).events.last(), Some(&Event::Closed(cause)));
    assert_eq!(world.client_mut(ann).poll_timeout(), None);
    assert!(world.node(bob).has(&Event::ParticipantLeft {
        participant: pid("ann"),
        reason: CloseReason::Left
    }));
    // The goodbye was acknowledged, so the server has forgotten it.
    assert_eq!(world.server.accounting().participants, 1);
}

#[test]
fn leaving_without_an_answer_takes_a_second() {
    let mut world = World::new();
    let ann = world.joined("ann");
    world.node(ann).up = false;
    let now = world.now;
    world.client_mut(ann).leave(now).unwrap();
    world.run(ms(999));
    assert_eq!(world.client_mut(ann).closed(), None);
    world.run(ms(1));
    assert!(world.client_mut(ann).closed().is_some());
}

#[test]
fn leaving_before_joining_is_over_at_once() {
    let mut world = World::new();
    let ann = world.client("ann");
    let now = world.now;
    world.client_mut(ann).leave(now).unwrap();
    world.run(secs(1));
    assert_eq!(world.node(ann).sent, 0);
    assert!(world.client_mut(ann).closed().is_some());
}

#[test]
fn another_version_is_reported_only_when_no_welcome_comes() {
    let mut world = World::new();
    let ann = world.client("ann");
    world.node(ann).up = false;
    world.run(ms(1));
    let (_, _, _, hello) = world.flying[0].clone();
    let mut mismatch = [9, 2, hello[2], hello[3], hello[4], hello[5]];
    let now = world.now;
    let client = world.client_mut(ann);
    assert_eq!(
        client.handle_datagram(now, &mut mismatch, &mut |_| {}),
        Ok(())
    );
    world.run(secs(1));
    assert_eq!(world.client_mut(ann).closed(), None);
    world.run(secs(5));
    let cause = CloseCause::VersionMismatch { supported: 2 };
    assert_eq!(world.client_mut(ann).closed(), Some(cause));
}

/// As an adapter does that opens a new socket for each redirect.
#[test]
fn a_new_socket_for_each_redirect_does_not_hurry_a_circle_of_them() {
    let mut world = World::new();
    world.redirect = Some("198.51.100.1:7900".parse().unwrap());
    let ann = world.client("ann");
    let mut followed = 0;
    for _ in 0..3_000 {
        world.run(ms(10));
        let redirected = world.node(ann).events.len();
        if redirected > followed {
            followed = redirected;
            let now = world.now;
            world.client_mut(ann).network_changed(now);
        }
    }
    let sent = world.node(ann).sent;
    assert!((15..=32).contains(&sent), "{sent} in 30 s");
}

#[test]
fn a_server_that_is_gone_is_not_asked_more_for_more_addresses() {
    let mut world = World::new();
    let ann = world.client("ann");
    world.node(ann).up = false;
    for _ in 0..10 {
        let now = world.now;
        world.client_mut(ann).network_changed(now);
        world.run(secs(1));
    }
    let before = world.node(ann).sent;
    for _ in 0..15 {
        let now = world.now;
        world.client_mut(ann).network_changed(now);
        world.run(secs(4));
    }
    let sent = world.node(ann).sent - before;
    assert!((30..=50).contains(&sent), "{sent} in a minute");
}

#[test]
fn a_redirect_that_leads_nowhere_is_given_up() {
    let mut world = World::new();
    let elsewhere: core::net::SocketAddr = "198.51.100.1:7900".parse().unwrap();
    world.redirect = Some(elsewhere);
    let ann = world.client("ann");
    world.run(ms(20));
    world.redirect = None;
    world.node(ann).up = false;
    world.run(secs(7));
    assert_eq!(
        world.client_mut(ann).redirected_to(),
        Some(elsewhere.into())
    );
    world.run(secs(6));
    assert_eq!(world.client_mut(ann).redirected_to(), None);
    let told = [Event::Redirected(elsewhere.into()), Event::RedirectEnded];
    assert_eq!(world.node(ann).events, told);
    world.node(ann).up = true;
    world.run(secs(6));
    assert!(world.client_mut(ann).is_joined());
}

#[test]
fn a_client_asked_to_be_restless_is_not() {
    let mut world = World::new();
    let config = Config {
        keepalive: Duration::ZERO,
        rekey_after: Duration::ZERO,
        ..Config::default()
    };
    let ann = world.client_with("ann", &config);
    world.run(secs(10));
    assert!(world.client_mut(ann).is_joined());
    let sent = world.node(ann).sent;
    assert!((10..60).contains(&sent), "{sent}");
}

#[test]
fn retries_without_end_do_not_hurry_a_client() {
    let mut world = World::with(server::Config {
        retry_threshold: 0,
        ..server::Config::default()
    });
    let ann = world.client("ann");
    // Behind something that gives every packet another source: no cookie ever suits.
    for port in 10_000..13_000 {
        world.node(ann).path = Path::udp(([192, 0, 2, 1], port).into());
        world.run(ms(10));
    }
    let sent = world.node(ann).sent;
    assert!((15..=25).contains(&sent), "{sent}");
    world.run(secs(12));
    assert!(world.client_mut(ann).is_joined());
}

#[test]
fn on_another_network_another_cookie_is_obeyed_at_once() {
    let mut world = World::with(server::Config {
        retry_threshold: 0,
        ..server::Config::default()
    });
    let ann = world.client("ann");
    // The Retry is on its way to the client, and Hello with its cookie will come from elsewhere.
    world.run(ms(20));
    world.node(ann).path = Path::udp(([203, 0, 113, 9], 999).into());
    let now = world.now;
    world.client_mut(ann).network_changed(now);
    world.run(ms(50));
    assert!(world.client_mut(ann).is_joined());
}

/// The first datagram tells all that a client knows.
#[test]
fn a_client_made_in_place_or_restarted_is_as_a_new_one() {
    let mut world = World::new();
    world.joined("bob");
    let ann = world.joined("ann");
    world.speak(ann, 100);
    let now = world.now;
    world.client_mut(ann).leave(now).unwrap();
    world.run(secs(1));

    let now = world.now;
    let server_key = *world.keys.public();
    let ticket = ticket(&server_key, "ann");
    let config = Config::default();
    let rng = || ChaCha12Rng::seed_from_u64(9);
    let hello = |client: &mut Client<Small>| {
        client.publish(mic()).unwrap();
        let mut out = [0; MAX_DATAGRAM];
        let len = client.poll_transmit(now, &mut out).unwrap().unwrap();
        out[..len].to_vec()
    };
    let mut new = Client::new(&ticket, &config, now, &mut rng()).unwrap();
    let expected = hello(&mut new);
    let mut place = Box::new(MaybeUninit::uninit());
    let made = Client::new_in(&mut place, &ticket, &config, now, &mut rng()).unwrap();
    assert_eq!(hello(made), expected);

    let client = world.client_mut(ann);
    assert!(client.closed().is_some() && client.state().participants().count() > 0);
    client.restart(&ticket, &config, now, &mut rng()).unwrap();
    assert_eq!(client.closed(), None);
    assert_eq!(client.state().participants().count(), 0);
    assert_eq!(client.published_ssrc(&key("mic")), None);
    assert_eq!(hello(client), expected);
    world.node(ann).events.clear();
    world.run(secs(3));
    assert!(world.node(ann).has(&Event::Joined { resumed: false }));
}
