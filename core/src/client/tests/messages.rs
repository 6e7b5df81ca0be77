//! Application messages, requests, tokens.

use super::*;

fn topic() -> Topic {
    Topic::new("chat").unwrap()
}

fn take(client: &mut Client<Small>) -> Vec<(ParticipantId, Vec<u8>)> {
    let mut buffer = [0; MAX_BODY];
    let mut taken = Vec::new();
    while let Some(message) = client.poll_message(&mut buffer).unwrap() {
        assert_eq!(message.topic, topic());
        taken.push((message.from, message.body.to_vec()));
    }
    taken
}

#[test]
fn messages_arrive_in_order_however_slowly_they_are_taken() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let mut body = [0; MAX_BODY];
    let mut requests = Vec::new();
    for n in 0..8 {
        body[0] = n;
        let client = world.client_mut(ann);
        requests.push(
            client
                .send_message(&Recipients::All, &topic(), &body)
                .unwrap(),
        );
        world.run(ms(100));
    }
    for request in requests {
        let outcome = Ok(Outcome::Sent { recipients: 1 });
        assert_eq!(world.node(ann).reply(request), outcome);
    }
    // The inbox holds one of these at a time; the server keeps the others.
    let mut taken = Vec::new();
    for _ in 0..8 {
        world.run(secs(4));
        let more = take(world.client_mut(bob));
        assert!(more.len() <= 1);
        taken.extend(more.into_iter().map(|(_, body)| body[0]));
    }
    assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(world.node(bob).count(|e| *e == Event::MessageReceived) >= 8);
}

#[test]
fn a_buffer_too_small_keeps_the_message() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let to = Recipients::from(pid("bob"));
    let client = world.client_mut(ann);
    client.send_message(&to, &topic(), b"hello").unwrap();
    world.run(ms(100));
    let client = world.client_mut(bob);
    let error = client.poll_message(&mut [0; 4]).unwrap_err();
    assert_eq!(error, BufferTooSmall { needed: 5 });
    assert_eq!(take(client), [(pid("ann"), b"hello".to_vec())]);
    assert_eq!(take(client), []);
}

#[test]
fn lossy_messages_are_lent_at_once() {
    let mut world = World::new();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    let client = world.client_mut(ann);
    client
        .send_lossy_message(&Recipients::All, &topic(), b"here")
        .unwrap();
    let long = [0; MAX_BODY + 1];
    let error = client.send_lossy_message(&Recipients::All, &topic(), &long);
    assert_eq!(error, Err(CommandError::MessageTooLong));
    let error = client.send_message(&Recipients::All, &topic(), &long);
    assert_eq!(error, Err(CommandError::MessageTooLong));
    world.run(ms(30));
    assert_eq!(world.node(bob).lossy, [b"here"]);
}

#[test]
fn requests_are_bounded_and_each_is_answered_once() {
    let mut world = World::new();
    let ann = world.joined("ann");
    let client = world.client_mut(ann);
    let mut requests = Vec::new();
    let error = loop {
        match client.request_floor() {
            Ok(request) => requests.push(request),
            Err(error) => break error,
        }
    };
    assert_eq!(
        (requests.len(), error),
        (MAX_OUTSTANDING, CommandError::TooManyRequests)
    );
    world.run(secs(1));
    for request in requests {
        assert!(world.node(ann).reply(request).is_ok());
    }
    assert!(world.client_mut(ann).release_floor().is_ok());
}

#[test]
fn too_many_bytes_under_way_are_refused() {
    let mut world = World::new();
    let ann = world.joined("ann");
    world.node(ann).up = false;
    let client = world.client_mut(ann);
    let mut send = || client.send_message(&Recipients::All, &topic(), &[0; MAX_BODY]);
    let results: Vec<_> = (0..4).map(|_| send().is_ok()).collect();
    assert_eq!(results, [true, true, true, false]);
    assert_eq!(send(), Err(CommandError::Full));
}

#[test]
fn nothing_is_asked_without_a_session() {
    let mut world = World::new();
    let ann = world.client("ann");
    let client = world.client_mut(ann);
    let error = Err(CommandError::NotJoined);
    assert_eq!(client.request_floor(), error);
    assert_eq!(client.send_message(&Recipients::All, &topic(), b""), error);
}

#[test]
fn a_refreshed_token_is_used_from_then_on() {
    let mut world = World::new();
    let ann = world.client("ann.short");
    world.run(ms(100));
    // Thirty seconds ahead is at once, if it lasts twenty.
    assert_eq!(
        world
            .node(ann)
            .count(|e| matches!(e, Event::TokenExpiring { .. })),
        1
    );
    let client = world.client_mut(ann);
    assert_eq!(client.refresh_token(""), Err(CommandError::TokenLength));
    let long = "x".repeat(MAX_TOKEN + 1);
    assert_eq!(client.refresh_token(&long), Err(CommandError::TokenLength));

    let refused = client.refresh_token("ann.bad").unwrap().unwrap();
    world.run(ms(100));
    let refusal = RequestFailure::Refused(Refusal::InvalidToken);
    assert_eq!(world.node(ann).reply(refused), Err(refusal));
    let taken = world
        .client_mut(ann)
        .refresh_token("ann.long")
        .unwrap()
        .unwrap();
    world.run(ms(100));
    assert_eq!(world.node(ann).reply(taken), Ok(Outcome::Done));
    world.run(secs(32));
    assert!(world.client_mut(ann).is_joined());
    world.restart_server();
    world.client_mut(ann).request_floor().unwrap();
    world.run(secs(1));
    assert_eq!(world.tokens, ["ann.short", "ann.long"]);
}

#[test]
fn a_token_that_runs_out_closes() {
    let mut world = World::new();
    let ann = world.client("ann.short");
    world.run(secs(25));
    let cause = CloseCause::Closed(CloseReason::TokenExpired);
    assert_eq!(world.client_mut(ann).closed(), Some(cause));
}

/// A world whose server takes two requests at once, and then one a second.
fn strict() -> World {
    World::with(server::Config {
        requests: server::Rate {
            per_second: 1,
            burst: 2,
        },
        ..server::Config::default()
    })
}

#[test]
fn wishes_told_too_fast_are_told_again() {
    let mut world = strict();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    world.node(ann).up = false;
    world.run(secs(20));
    let client = world.client_mut(ann);
    client.unpublish(&key("mic")).unwrap();
    client.publish(screen()).unwrap();
    client.set_subscribe_policy(SubscribePolicy::None).unwrap();
    client.subscribe(&stream("bob", "mic")).unwrap();
    client.pin(Some(&stream("bob", "mic"))).unwrap();
    world.node(ann).up = true;
    world.run(secs(30));
    let refused = |e: &Event| matches!(e, Event::PublishRefused { .. } | Event::PolicyRefused(_));
    assert_eq!(world.node(ann).count(refused), 0);
    assert_eq!(world.client_mut(ann).main_participant(), Some(&pid("bob")));
    let state = world.nodes[bob].client.state();
    let there = state.participant(&pid("ann")).unwrap();
    assert!(there.stream(&key("mic")).is_none());
    assert!(there.stream(&key("screen")).is_some());
    let cat = world.joined("cat");
    world.speak(cat, 400);
    assert!(world.node(ann).heard.is_empty());
    world.speak(bob, 400);
    assert!(!world.node(ann).heard.is_empty());
    // All was said: nothing but signs of life remains.
    let sent = world.node(ann).sent;
    world.run(secs(30));
    assert!(world.node(ann).sent - sent < 12);
}

#[test]
fn a_mute_or_an_end_refused_for_haste_comes_true() {
    let mut world = strict();
    let (ann, bob) = (world.joined("ann"), world.joined("bob"));
    for index in [ann, bob] {
        for _ in 0..2 {
            world.client_mut(index).request_floor().unwrap();
        }
    }
    let mute = world.client_mut(ann).set_muted(&key("mic"), true);
    let end = world.client_mut(bob).unpublish(&key("mic"));
    world.run(ms(100));
    let refusal = Err(RequestFailure::Refused(Refusal::RateLimited));
    assert_eq!(world.node(ann).reply(mute.unwrap().unwrap()), refusal);
    assert_eq!(world.node(bob).reply(end.unwrap().unwrap()), refusal);
    world.run(secs(10));
    let (_, state) = world.server.room(&room_id()).unwrap().session.unwrap();
    let streams = |name| &state.participant(&pid(name)).unwrap().streams;
    assert!(streams("ann")[0].muted);
    assert!(streams("bob").is_empty());
}
