//! A meeting over real UDP on this machine.

mod common;

use common::*;
use parlour_tokio::core::room::{CloseReason, Codec, DisplayName, Grants, StreamKey, StreamKind};
use parlour_tokio::core::server;
use parlour_tokio::core::signal::{Recipients, StreamRef, Targets};
use parlour_tokio::token::Claims;
use parlour_tokio::{
    AudioOptions, CloseCause, Event, JoinError, JoinOptions, Message, Messages, Room, RoomEvent,
    TransportChoice,
};
use tokio::task::JoinSet;

#[tokio::test]
async fn two_voices_are_heard_mixed_by_a_third() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let cleo = join(&server, "room", "cleo").await;
    assert_eq!(cleo.me(), Some(id("cleo")));
    assert_eq!(cleo.session(), anna.session());

    let mut low = anna
        .publish_audio("mic", AudioOptions::opus(RATE))
        .await
        .unwrap();
    let mut high = ben
        .publish_audio("mic", AudioOptions::pcmu(RATE))
        .await
        .unwrap();
    let mut heard = cleo.mixed_audio(RATE).unwrap();
    let (mut a, mut b) = (Tone::new(440.0), Tone::new(1_000.0));
    let writers = &mut [(&mut low, &mut a), (&mut high, &mut b)];
    sing_until_heard(writers, &mut heard, &[440.0, 1_000.0]).await;

    // Nobody hears themselves.
    let mut own = anna.mixed_audio(RATE).unwrap();
    sing_until_heard(writers, &mut own, &[1_000.0]).await;
    let mut pcm = [0; 5 * FRAME];
    own.read(&mut pcm);
    assert!(amplitude(&pcm, 440.0) < 500.0);
    within(server.shutdown()).await;
}

#[tokio::test]
async fn a_stream_published_with_the_join_is_there_at_once() {
    let server = serve();
    let key = StreamKey::new("mic").unwrap();
    let options = JoinOptions {
        publish: vec![(key, AudioOptions::opus(RATE))],
        ..JoinOptions::default()
    };
    let anna = join_by(&server, "anna", options).await;
    let ben = join(&server, "room", "ben").await;
    let mut events = ben.events();
    until_state(&ben, &mut events, |state| {
        let anna = state.participant(&id("anna"));
        anna.is_some_and(|anna| anna.streams.len() == 1)
    })
    .await;

    hears(&ben, &anna).await;

    // The writer was dropped, which unpublishes.
    until_state(&ben, &mut events, |state| {
        let anna = state.participant(&id("anna"));
        anna.is_some_and(|anna| anna.streams.is_empty())
    })
    .await;
}

#[tokio::test]
async fn a_slot_says_who_speaks_and_a_mute_silences() {
    let server = serve();
    let anna = join(&server, "room", "anna").await;
    let ben = join_by(
        &server,
        "ben",
        JoinOptions {
            slots: 1,
            ..JoinOptions::default()
        },
    )
    .await;
    let mut mic = anna
        .publish_audio("mic", AudioOptions::opus(RATE))
        .await
        .unwrap();
    let mut slot = ben.slot_audio(0, RATE).unwrap();
    assert!(ben.slot_audio(1, RATE).is_err());
    let mut tone = Tone::new(440.0);
    let mut pcm = [0; FRAME];
    let speaker = within(async {
        loop {
            mic.write(&tone.frame()).unwrap();
            if let Some(speaker) = slot.next_frame(&mut pcm).await {
                return speaker;
            }
        }
    })
    .await;
    assert_eq!(
        (speaker.participant, speaker.key.as_str()),
        (id("anna"), "mic")
    );

    let mut events = ben.events();
    mic.set_muted(true).await.unwrap();
    let stream = StreamRef {
        participant: id("anna"),
        key: StreamKey::new("mic").unwrap(),
    };
    until_room(
        &mut events,
        RoomEvent::StreamMuted {
            stream,
            muted: true,
        },
    )
    .await;
    within(async {
        loop {
            mic.write(&tone.frame()).unwrap(); // goes nowhere
            if slot.next_frame(&mut pcm).await.is_none() && pcm.iter().all(|&s| s == 0) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_screen_is_shown_to_those_who_subscribe() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut events = ben.events();
    let sound = within(anna.publish_media("screen", StreamKind::Screen, Codec::Opus)).await;
    assert!(sound.is_err());
    let screen = anna.publish_media("screen", StreamKind::Screen, Codec::Vp8);
    let mut screen = within(screen).await.unwrap();
    let stream = StreamRef {
        participant: id("anna"),
        key: screen.key().clone(),
    };
    until_room(&mut events, RoomEvent::StreamPublished(stream.clone())).await;
    assert_eq!(ben.main_participant(), Some(id("anna")));
    let mut pictures = ben.media();
    within(ben.subscribe(&stream)).await.unwrap();

    let packet = within(async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        for n in 0.. {
            tokio::select! {
                packet = pictures.next() => return packet.unwrap(),
                _ = ticks.tick() => screen.write(n * 3_000, true, &[0x90, 7, 7]).unwrap(),
            }
        }
        unreachable!()
    })
    .await;
    assert_eq!(
        (packet.codec, &packet.payload[..]),
        (Some(Codec::Vp8), &[0x90, 7, 7][..])
    );
    assert!(packet.marker);
    assert_eq!(pictures.stream_of(&packet), Some(stream.clone()));
    assert!(screen.write(0, false, &[0; 1_200]).is_err());

    drop(screen);
    until_room(&mut events, RoomEvent::StreamUnpublished(stream)).await;
    within(ben.leave()).await;
    while within(pictures.next()).await.is_some() {}
}

#[tokio::test]
async fn messages_reach_whom_they_are_for() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let mut events = ben.events();
    let mut messages = ben.messages();
    let everybody = Recipients::All;
    for n in 0..10u8 {
        let sent = within(anna.send_message(&everybody, "count", &[n])).await;
        assert_eq!(sent, Ok(1));
    }
    let next = async |messages: &mut Messages| match within(messages.next()).await {
        Some(Message::Received { from, topic, body }) => {
            assert_eq!((from, topic.as_str()), (id("anna"), "count"));
            body[0]
        }
        other => panic!("{other:?}"),
    };
    for n in 0..10u8 {
        assert_eq!(next(&mut messages).await, n);
    }
    // More at once than may be under way: sending waits instead of failing.
    let mut sending = JoinSet::new();
    for n in 0..40u8 {
        let (anna, everybody) = (anna.clone(), everybody.clone());
        sending.spawn(async move { anna.send_message(&everybody, "count", &[n]).await });
    }
    let sent = within(sending.join_all()).await;
    assert!(sent.iter().all(|sent| *sent == Ok(1)), "{sent:?}");
    let mut received = Vec::new();
    for _ in 0..40 {
        received.push(next(&mut messages).await);
    }
    received.sort_unstable();
    assert_eq!(received, (0..40).collect::<Vec<u8>>());

    let body = within(async {
        let mut again = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tokio::select! {
                event = events.next() => if let Some(Event::LossyMessage { body, .. }) = event {
                    return body;
                },
                _ = again.tick() => anna.send_lossy_message(&everybody, "cursor", b"here").unwrap(),
            }
        }
    });
    assert_eq!(&body.await[..], b"here");
}

#[tokio::test]
async fn leaving_is_seen_and_so_is_dropping() {
    let server = serve();
    let anna = join(&server, "room", "anna").await;
    let mut events = anna.events();
    let left = |who| RoomEvent::ParticipantLeft {
        participant: id(who),
        reason: CloseReason::Left,
    };

    let ben = join(&server, "room", "ben").await;
    until_joined(&mut events, "ben").await;
    let mut bens = ben.events();
    within(ben.leave()).await;
    assert_eq!(
        within(ben.closed()).await,
        CloseCause::Closed(CloseReason::Left)
    );
    until_room(&mut events, left("ben")).await;
    // The events of a closed room come to an end.
    while within(bens.next()).await.is_some() {}
    assert!(
        ben.publish_audio("mic", AudioOptions::opus(RATE))
            .await
            .is_err()
    );

    let cleo = join(&server, "room", "cleo").await;
    until_joined(&mut events, "cleo").await;
    let clone = cleo.clone();
    drop(cleo);
    let mic = clone
        .publish_audio("mic", AudioOptions::opus(RATE))
        .await
        .unwrap();
    drop(clone); // the last handle; a writer does not count
    until_room(&mut events, left("cleo")).await;
    drop(mic);
}

#[tokio::test]
async fn moderators_kick_and_end_and_others_may_not() {
    let server = serve();
    let mut happened = server.events();
    let boss = within(Room::join(&moderator(&server, "room", "boss")))
        .await
        .unwrap();
    let ben = join(&server, "room", "ben").await;
    assert!(boss.grants().contains(Grants::KICK) && !ben.grants().contains(Grants::KICK));

    assert!(within(ben.kick(Targets::all())).await.is_err());
    assert_eq!(within(boss.kick(Targets::all())).await, Ok(1));
    assert_eq!(
        within(ben.closed()).await,
        CloseCause::Closed(CloseReason::Kicked)
    );
    let back = within(Room::join(&ticket(&server, "room", "ben"))).await;
    assert!(matches!(back, Err(JoinError::Refused(_))), "{back:?}");

    within(boss.request_floor()).await.unwrap();
    assert_eq!(
        boss.with_state(|state| state.floor().cloned()),
        Some(id("boss"))
    );
    within(boss.release_floor()).await.unwrap();

    within(boss.end_session()).await.ok();
    assert_eq!(
        within(boss.closed()).await,
        CloseCause::Closed(CloseReason::SessionEnded)
    );
    let ended = |event: &server::Event| match event {
        server::Event::SessionEnded { reason, .. } => Some(*reason),
        _ => None,
    };
    assert_eq!(
        happens(&mut happened, ended).await,
        CloseReason::SessionEnded
    );
}

#[tokio::test]
async fn the_lobby_holds_until_somebody_opens() {
    let server = serve();
    let boss = within(Room::join(&moderator(&server, "room", "boss")))
        .await
        .unwrap();
    let mut events = boss.events();
    let waits = Claims {
        lobby: true,
        name: DisplayName::new("Ben").unwrap(),
        ..claims("room", "ben")
    };
    let waits = server.ticket(&waits).unwrap();
    let patient = tokio::spawn(async move { Room::join(&waits).await });
    until(&mut events, |event| match event {
        Event::Room(RoomEvent::Knocked { participant, name }) => {
            assert_eq!((participant, name.as_str()), (id("ben"), "Ben"));
            Some(())
        }
        _ => None,
    })
    .await;
    assert_eq!(
        server.rooms().await.rooms[0].waiting[0].participant,
        id("ben")
    );
    // A moderator who comes later, and has read no event, knows that too.
    let late = within(Room::join(&moderator(&server, "room", "late")))
        .await
        .unwrap();
    until(&mut late.events(), |event| match event {
        Event::Room(RoomEvent::LobbyChanged { waiting }) => (waiting == 1).then_some(()),
        _ => None,
    })
    .await;
    let lobby = late.lobby();
    assert_eq!(lobby.waiting[0].participant, id("ben"));
    assert_eq!((lobby.waiting.len(), lobby.others), (1, 0));
    assert_eq!(within(boss.admit(id("ben"))).await, Ok(1));
    let ben = within(patient).await.unwrap().unwrap();
    assert_eq!(ben.session(), boss.session());
    assert!(ben.lobby().waiting.is_empty());

    // Without patience, the room is there while one waits, and the embedder may decide, too.
    let waits = Claims {
        lobby: true,
        ..claims("room", "cleo")
    };
    let options = JoinOptions {
        wait_in_lobby: false,
        ..JoinOptions::default()
    };
    let cleo = within(Room::join_with(&server.ticket(&waits).unwrap(), options))
        .await
        .unwrap();
    assert_eq!(cleo.session(), None);
    let room = parlour_tokio::core::room::RoomId::new("room").unwrap();
    until(&mut events, |event| match event {
        Event::Room(RoomEvent::Knocked { participant, .. }) => {
            (participant == id("cleo")).then_some(())
        }
        _ => None,
    })
    .await;
    within(server.deny(&room, &id("cleo"))).await.unwrap();
    assert_eq!(
        within(cleo.closed()).await,
        CloseCause::Closed(CloseReason::Denied)
    );
}

#[tokio::test]
async fn without_a_server_the_error_says_what_was_tried() {
    // A port that nobody listens at: bound, and let go again.
    let server = serve();
    let ticket = ticket(&server, "room", "anna");
    let at = server.addresses()[0];
    within(server.shutdown()).await;
    for (transport, tried) in [
        (TransportChoice::Udp, format!("UDP to {at} (refused)")),
        (TransportChoice::Tcp, format!("TCP to {at} (refused)")),
        (
            TransportChoice::Auto,
            format!("UDP to {at} (refused), TCP to {at} (refused)"),
        ),
    ] {
        let options = JoinOptions {
            transport,
            timeout: std::time::Duration::from_millis(700),
            ..JoinOptions::default()
        };
        match within(Room::join_with(&ticket, options)).await {
            Err(JoinError::NobodyListens { tried: told, .. }) => assert_eq!(told, tried),
            other => panic!("{other:?}"),
        }
    }
}
