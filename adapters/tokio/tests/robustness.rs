//! Wrong tickets, dropped futures, slow readers, and what the application does to a room.

mod common;

use std::time::Duration;

use common::*;
use parlour_tokio::core::room::{CloseReason, DisplayName, Grants, RoomId, StreamKey, Topic};
use parlour_tokio::core::server::{self, Config, ModerateError, Rate};
use parlour_tokio::core::signal::{JoinRefusal, Recipients, Refusal};
use parlour_tokio::core::ticket::{Ticket, TicketError};
use parlour_tokio::token::{ApiKey, Claims, LEEWAY, mint_token};
use parlour_tokio::{
    AudioCodec, AudioOptions, CloseCause, Event, JoinError, JoinOptions, Message, Messages,
    PublishError, ReadError, RequestError, Room, RoomEvent, Server, ServerConfig, WriteError,
};

fn room() -> RoomId {
    RoomId::new("room").unwrap()
}

#[tokio::test]
async fn each_kind_of_bad_ticket_has_its_answer() {
    let server = serve();
    let refused = async |token: &str| {
        let ticket = server.ticket_with(&room(), token);
        within(Room::join(&ticket)).await.unwrap_err()
    };
    let good = claims("room", "anna");
    let other_secret = ApiKey::new("app", "another secret of thirty-two bytes").unwrap();
    let other_id = ApiKey::new("other", "0123456789abcdef0123456789abcdef").unwrap();
    for token in [
        mint_token(&good, &other_secret).unwrap(),
        mint_token(&good, &other_id).unwrap(),
        "not.a.token".to_owned(),
    ] {
        assert_eq!(
            refused(&token).await,
            JoinError::Refused(JoinRefusal::InvalidToken)
        );
    }
    let expired = Claims {
        expires: 1,
        ..good.clone()
    };
    let expired = mint_token(&expired, &api_key()).unwrap();
    assert_eq!(
        refused(&expired).await,
        JoinError::Refused(JoinRefusal::TokenExpired)
    );

    let good_elsewhere = mint_token(&good, &api_key()).unwrap();
    let ticket = format!("{}#{good_elsewhere}", server.ticket_base());
    within(Room::join(&ticket)).await.unwrap();

    let error = Room::join("http://rooms.example.org").await.unwrap_err();
    assert_eq!(error, JoinError::Ticket(TicketError::Scheme));
    let text = server.ticket(&good).unwrap();
    let ticket = Ticket {
        host: "no-such-host.invalid",
        ..Ticket::parse(&text).unwrap()
    };
    let error = within(Room::join(&ticket.to_string())).await.unwrap_err();
    assert!(matches!(error, JoinError::UnknownHost { .. }), "{error}");
    assert!(error.to_string().contains("no-such-host.invalid"));

    // Another server's key: whoever answers cannot be that server.
    let key = parlour_tokio::core::secure::PublicKey([9; 32]);
    let ticket = Ticket {
        server_key: key,
        ..Ticket::parse(&text).unwrap()
    };
    let options = JoinOptions {
        timeout: Duration::from_millis(500),
        ..JoinOptions::default()
    };
    let error = within(Room::join_with(&ticket.to_string(), options))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::NoAnswer { .. }), "{error}");

    let options = JoinOptions {
        slots: 33,
        ..JoinOptions::default()
    };
    let error = Room::join_with(&text, options).await.unwrap_err();
    assert!(matches!(error, JoinError::Options(_)), "{error}");
}

#[tokio::test]
async fn a_join_that_is_given_up_leaves_nobody_behind() {
    let server = serve();
    let watcher = join(&server, "room", "watcher").await;
    let mut events = watcher.events();
    for polls in 1..6 {
        let ticket = ticket(&server, "room", "anna");
        let mut joining = Box::pin(Room::join(&ticket));
        // A few turns of the runtime, so that it is given up at different stages.
        for _ in 0..polls {
            tokio::select! {
                biased;
                joined = &mut joining => drop(joined.unwrap()),
                () = tokio::task::yield_now() => continue,
            }
            break;
        }
        drop(joining);
    }
    // The same participant can join properly and is then the only one.
    let anna = join(&server, "room", "anna").await;
    until_state(&watcher, &mut events, |state| {
        state.participant(&id("anna")).is_some()
    })
    .await;
    drop(anna);
    until_state(&watcher, &mut events, |state| {
        state.participant(&id("anna")).is_none()
    })
    .await;
    assert_eq!(server.room(&room()).await.unwrap().participants.len(), 1);
}

#[tokio::test]
async fn requests_that_are_given_up_break_nothing() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let everybody = Recipients::All;
    for n in 0..60u8 {
        let body = [n];
        // Polled once: asked, and the answer not awaited. More than can be under way at a time.
        tokio::select! {
            biased;
            sent = anna.send_message(&everybody, "given-up", &body) => assert_eq!(sent, Ok(1)),
            () = std::future::ready(()) => {}
        }
        let publishing = anna.publish_audio("mic", AudioOptions::opus(RATE));
        tokio::select! {
            biased;
            published = publishing => drop(published),
            () = std::future::ready(()) => {}
        }
    }
    assert_eq!(
        within(anna.send_message(&everybody, "kept", b"!")).await,
        Ok(1)
    );
    let mut messages = ben.messages();
    loop {
        match within(messages.next()).await {
            Some(Message::Received { topic, .. }) if topic.as_str() == "kept" => break,
            other => assert!(other.is_some()),
        }
    }
    hears(&ben, &anna).await;
}

#[tokio::test]
async fn a_misleading_name_is_refused_unless_the_server_allows_it() {
    // A name that looks like "Anna", and an emoji that needs an invisible character.
    let misleading = DisplayName::new("An\u{200b}na").unwrap();
    let family = DisplayName::new("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}").unwrap();
    let as_named = |name: &DisplayName| Claims {
        name: name.clone(),
        ..claims("room", "anna")
    };
    let strict = serve();
    let lax = Server::bind(ServerConfig {
        hidden_characters: true,
        ..config()
    })
    .unwrap();
    let join = async |server: &Server, name| {
        within(Room::join(&server.ticket(&as_named(name)).unwrap())).await
    };
    let refused = join(&strict, &misleading).await.unwrap_err();
    assert_eq!(refused, JoinError::Refused(JoinRefusal::InvalidToken));
    let anna = join(&strict, &family).await.unwrap();
    // Nor can it be taken later.
    let token = mint_token(&as_named(&misleading), &api_key()).unwrap();
    let refused = within(anna.refresh_token(&token)).await;
    assert_eq!(refused, Err(RequestError::Refused(Refusal::InvalidToken)));

    let anna = join(&lax, &misleading).await.unwrap();
    let mut events = anna.events();
    until_state(&anna, &mut events, |state| {
        state.participants().any(|one| one.name == misleading)
    })
    .await;
}

#[tokio::test]
async fn messages_that_are_given_up_are_still_there() {
    let server = serve();
    let anna = join(&server, "room", "anna").await;
    let mut events = anna.events();
    let ben = join(&server, "room", "ben").await;
    until_state(&anna, &mut events, |state| state.participants().len() == 2).await;
    within(ben.send_message(&Recipients::All, "t", b"1"))
        .await
        .unwrap();
    let mut messages = anna.messages();
    let mut seen = Vec::new();
    within(async {
        while seen.is_empty() {
            // Given up again and again, until it happens to be there.
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                message = messages.next() => match message {
                    Some(Message::Received { body, .. }) => seen.push(body),
                    other => panic!("{other:?}"),
                },
            }
        }
    })
    .await;
    assert_eq!(&seen[0][..], b"1");
}

#[tokio::test]
async fn a_reader_that_sleeps_is_told_how_much_it_missed() {
    let server = Server::bind(unhurried(Config::default())).unwrap();
    let (anna, ben) = meet(&server).await;
    let mut sleeper = ben.events();
    let mut awake = ben.events();
    let sent: u64 = 400;
    for n in 0..sent {
        let key = if n % 2 == 0 { "up" } else { "" };
        within(anna.set_attribute("hand", key)).await.unwrap();
        until(&mut awake, |event| {
            matches!(event, Event::Room(RoomEvent::AttributeChanged { .. })).then_some(())
        })
        .await;
    }
    let Some(Event::Lagged { missed }) = within(sleeper.next()).await else {
        panic!("it was told nothing");
    };
    let mut read = 0;
    let mut next = async || tokio::time::timeout(Duration::from_secs(1), sleeper.next()).await;
    while let Ok(Some(_)) = next().await {
        read += 1;
    }
    assert!(
        missed + read >= sent,
        "{missed} missed and {read} read of {sent}"
    );
    assert!(read < sent);
}

/// A server that takes messages and requests at any rate.
fn unhurried(limits: Config) -> ServerConfig {
    let fast = Rate {
        per_second: 100_000,
        burst: 100_000,
    };
    ServerConfig {
        limits: Config {
            messages: fast,
            requests: fast,
            changes: fast,
            ..limits
        },
        ..config()
    }
}

/// Reads messages until so many are read or counted as missed; gives how many of each.
async fn tally(messages: &mut Messages, all: u64) -> (u64, u64) {
    let (mut read, mut missed) = (0, 0);
    let mut last = None;
    while read + missed < all {
        match within(messages.next()).await {
            Some(Message::Received { body, .. }) => {
                let number = u64::from_be_bytes(body[..8].try_into().unwrap());
                assert!(last < Some(number), "{number} after {last:?}");
                last = Some(number);
                read += 1;
            }
            Some(Message::Missed { count }) => missed += count,
            other => panic!("{other:?} after {read} read and {missed} missed"),
        }
    }
    let more = tokio::time::timeout(Duration::from_millis(300), messages.next()).await;
    assert!(more.is_err(), "{more:?}");
    (read, missed)
}

/// 600 messages, each answered as sent to one.
async fn send_many(room: &Room, length: usize) -> u64 {
    for n in 0..600_u64 {
        let mut body = vec![0; length];
        body[..8].copy_from_slice(&n.to_be_bytes());
        let sent = within(room.send_message(&Recipients::All, "t", &body)).await;
        assert_eq!(sent, Ok(1));
    }
    600
}

#[tokio::test]
async fn every_message_that_was_sent_is_read_or_counted_however_slow_the_reader() {
    let server = Server::bind(unhurried(Config::default())).unwrap();
    let (anna, ben) = meet(&server).await;
    let mut messages = ben.messages();
    let sent = send_many(&anna, 600).await;
    // It holds the server back, which keeps some and drops the newest: those that come through are the first.
    let (read, missed) = tally(&mut messages, sent).await;
    assert!(read > 256, "{read} read, {missed} missed");
    assert!(missed > 0, "{read} read: it was never too slow");

    // One that keeps up misses nothing.
    let reading = tokio::spawn(async move { tally(&mut messages, 600).await });
    send_many(&anna, 8).await;
    assert_eq!(within(reading).await.unwrap(), (600, 0));
}

#[tokio::test]
async fn who_reads_no_messages_holds_up_nothing_and_is_told_the_number_later() {
    let server = Server::bind(unhurried(Config {
        queued_messages: 1_000,
        ..Config::default()
    }))
    .unwrap();
    let (anna, ben) = meet(&server).await;
    let sent = send_many(&anna, 600).await;
    // Signalling behind the messages is not held up.
    within(anna.set_attribute("hand", "up")).await.unwrap();
    let mut events = ben.events();
    let sender = id("anna");
    until_state(&ben, &mut events, |state| {
        state.attributes(&sender).len() == 1
    })
    .await;
    let (read, missed) = tally(&mut ben.messages(), sent).await;
    assert_eq!(read, 256);
    assert_eq!(missed, sent - 256);
}

#[tokio::test]
async fn a_slow_reader_can_ask_for_something() {
    let server = Server::bind(unhurried(Config::default())).unwrap();
    let (anna, ben) = meet(&server).await;
    let mut messages = ben.messages();
    let sent = send_many(&anna, 600).await;
    // The answer comes behind messages that the asker itself does not read meanwhile.
    let asked = within(ben.send_message(&Recipients::All, "t", &[0; 8])).await;
    assert_eq!(asked, Ok(1));
    tally(&mut messages, sent).await;
}

#[tokio::test]
async fn the_application_moderates_too() {
    let server = serve();
    let mut happened = server.events();
    let (anna, ben) = meet(&server).await;
    let mut events = anna.events();

    within(server.censor(&room(), &id("anna"))).await.unwrap();
    until_room(
        &mut events,
        RoomEvent::Censored {
            participant: id("anna"),
            censored: true,
        },
    )
    .await;
    let topic = Topic::new("news").unwrap();
    let (room_id, from) = (room(), id("server"));
    let sent = server.send(&room_id, &from, &Recipients::All, &topic, b"hello");
    assert_eq!(within(sent).await, Ok(2));
    match within(anna.messages().next()).await {
        Some(Message::Received { from, body, .. }) => {
            assert_eq!((from, &body[..]), (id("server"), &b"hello"[..]));
        }
        other => panic!("{other:?}"),
    }
    let statistics = within(server.participant_statistics(&room(), &id("ben"))).await;
    assert!(statistics.is_some());

    let kicked = within(server.kick(&room(), &id("ben"), true)).await;
    assert_eq!(kicked.unwrap().affected, [id("ben")]);
    assert_eq!(
        within(ben.closed()).await,
        CloseCause::Closed(CloseReason::Kicked)
    );
    let unknown = within(server.kick(&room(), &id("ben"), true)).await;
    assert_eq!(unknown.unwrap().unknown, [id("ben")]);
    within(server.end_session(&room())).await.unwrap();
    assert_eq!(
        within(anna.closed()).await,
        CloseCause::Closed(CloseReason::SessionEnded)
    );
    happens(&mut happened, |event| match event {
        server::Event::SessionEnded { .. } => Some(()),
        server::Event::JoinRequested { token, .. } => panic!("told {token:?}"),
        _ => None,
    })
    .await;
    assert_eq!(
        within(server.kick(&room(), &id("anna"), true)).await,
        Err(ModerateError::UnknownRoom)
    );
}

#[tokio::test]
async fn a_token_that_ends_is_told_and_can_be_replaced() {
    let server = serve();
    let short = Claims {
        expires: claims("room", "anna").expires - 599,
        ..claims("room", "anna")
    };
    let anna = within(Room::join(&server.ticket(&short).unwrap()))
        .await
        .unwrap();
    let mut events = anna.events();
    let seconds = until(&mut events, |event| match event {
        Event::Room(RoomEvent::TokenExpiring { seconds }) => Some(seconds),
        _ => None,
    })
    .await;
    assert!(u64::from(seconds) <= LEEWAY);
    let newer = mint_token(&claims("room", "anna"), &api_key()).unwrap();
    assert_eq!(within(anna.refresh_token(&newer)).await, Ok(()));
    let elsewhere = mint_token(&claims("other", "anna"), &api_key()).unwrap();
    assert!(within(anna.refresh_token(&elsewhere)).await.is_err());
    assert!(within(anna.refresh_token("nonsense")).await.is_err());
}

#[tokio::test]
async fn what_makes_no_sense_is_an_error_and_changes_nothing() {
    let server = serve();
    let listener = Claims {
        grants: Grants::SUBSCRIBE,
        ..claims("room", "ben")
    };
    let anna = join(&server, "room", "anna").await;
    let ben = within(Room::join(&server.ticket(&listener).unwrap()))
        .await
        .unwrap();

    let options = AudioOptions::opus(RATE);
    let too_thin = AudioOptions {
        codec: AudioCodec::Opus {
            bitrate: 100,
            dtx: false,
            fec: false,
        },
        ..options
    };
    let refused = within(ben.publish_audio("mic", options)).await.unwrap_err();
    assert!(
        matches!(refused, PublishError::Request(RequestError::Refused(_))),
        "{refused}"
    );
    let refused = within(anna.publish_audio("mic", too_thin))
        .await
        .unwrap_err();
    assert!(matches!(refused, PublishError::Codec(_)), "{refused}");
    let refused = within(anna.publish_audio("no spaces", options))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, PublishError::Request(RequestError::Name(_))),
        "{refused}"
    );

    let mut mic = within(anna.publish_audio("mic", options)).await.unwrap();
    // Somebody else in this process who wants the same key does not take the stream away.
    let refused = within(anna.publish_audio("mic", options))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, PublishError::Request(RequestError::Command(_))),
        "{refused}"
    );
    let own = anna.with_state(|state| state.participant(&id("anna")).cloned());
    assert!(own.is_none_or(|own| own.stream(&StreamKey::new("mic").unwrap()).is_some()));
    assert!(mic.write(&[0; FRAME]).is_ok());
    let level = parlour_tokio::core::rtp::AudioLevel::SILENCE;
    assert!(matches!(
        mic.write_encoded(&[], level),
        Err(WriteError::Frame(_))
    ));
    assert!(mic.write_encoded(&[0x78, 1, 2], level).is_ok());
    assert_eq!(
        mic.write_encoded(&[0x78; 1_149], level),
        Err(WriteError::TooLong { max: 1_148 })
    );

    assert_eq!(
        anna.slot_audio(16, RATE).unwrap_err(),
        ReadError::NoSuchSlot
    );
    let too_long = within(anna.send_message(&Recipients::All, "t", &[0; 641])).await;
    assert!(too_long.is_err());

    within(anna.leave()).await;
    assert_eq!(mic.write(&[0; FRAME]), Err(WriteError::Closed));
    let closed = within(anna.send_message(&Recipients::All, "t", b"")).await;
    assert_eq!(closed, Err(RequestError::Closed));
}

#[cfg(feature = "tap")]
#[tokio::test]
async fn a_tap_mirrors_what_is_heard() {
    let server = serve();
    let (anna, ben) = meet(&server).await;
    let ears = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tap = within(ben.tap_slot(0, ears.local_addr().unwrap()))
        .await
        .unwrap();
    let mut mic = within(anna.publish_audio("mic", AudioOptions::pcmu(RATE)))
        .await
        .unwrap();
    let mut tone = Tone::new(440.0);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut packet = [0; 1500];
    let len = within(async {
        loop {
            tokio::select! {
                received = ears.recv_from(&mut packet) => return received.unwrap().0,
                _ = ticks.tick() => mic.write(&tone.frame()).unwrap(),
            }
        }
    })
    .await;
    let packet = parlour_tokio::core::rtp::RtpPacket::parse(&packet[..len]).unwrap();
    assert_eq!((packet.payload_type(), packet.payload().len()), (0, 160));
    drop(tap);
    assert!(ben.tap_slot(16, ears.local_addr().unwrap()).await.is_err());
}
