//! A management server watches and acts, over real sockets.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::*;
use parlour_tokio::core::room::{SessionId, Stream};
use parlour_tokio::core::server::{Event, ModerateError, Path, Refused};
use parlour_tokio::core::signal::JoinRefusal;
use parlour_tokio::{
    AttributeKey, AttributeValue, AudioOptions, CloseCause, CloseReason, Grants, JoinError, Lagged,
    ParticipantId, Room, RoomEvent, RoomId, RoomInfo, RoomLimits, RoomState, Selection, Server,
    ServerConfig, ServerEvent, ServerEvents, Snapshot, StreamKey, WriteError,
};

/// A participant, as events tell it and as a snapshot shows it.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    name: String,
    grants: Grants,
    path: Path,
    censored: bool,
    streams: Vec<Stream>,
    attributes: BTreeMap<AttributeKey, AttributeValue>,
}

type Rooms = BTreeMap<RoomId, (SessionId, BTreeMap<ParticipantId, Known>)>;

fn replay(events: &[ServerEvent]) -> Rooms {
    let mut rooms = Rooms::new();
    for told in events {
        let participant = |rooms: &mut Rooms, room, id, change: &dyn Fn(&mut Known)| {
            let (_, participants) = rooms.get_mut(room).expect("a session");
            change(participants.get_mut(id).expect("one that has joined"));
        };
        match &told.event {
            Event::SessionStarted { room, session } => {
                let before = rooms.insert(room.clone(), (*session, BTreeMap::new()));
                assert!(before.is_none());
            }
            Event::SessionEnded { room, .. } => drop(rooms.remove(room).expect("a session")),
            Event::ParticipantJoined {
                room,
                participant,
                name,
                grants,
                censored,
                path,
                ..
            } => {
                let known = Known {
                    name: name.to_string(),
                    grants: *grants,
                    path: *path,
                    censored: *censored,
                    streams: Vec::new(),
                    attributes: BTreeMap::new(),
                };
                let (_, participants) = rooms.get_mut(room).expect("a session");
                participants.insert(participant.clone(), known);
            }
            Event::ParticipantLeft {
                room, participant, ..
            } => {
                let (_, participants) = rooms.get_mut(room).expect("a session");
                participants
                    .remove(participant)
                    .expect("one that has joined");
            }
            Event::GrantsChanged {
                room,
                participant: id,
                grants,
                ..
            } => participant(&mut rooms, room, id, &|known| known.grants = *grants),
            Event::ParticipantCensored {
                room,
                participant: id,
                censored,
                ..
            } => participant(&mut rooms, room, id, &|known| known.censored = *censored),
            Event::AttributeChanged {
                room,
                participant: id,
                key,
                value,
                ..
            } => participant(&mut rooms, room, id, &|known| {
                known.attributes.insert(key.clone(), value.clone());
            }),
            Event::StreamPublished {
                room,
                participant: id,
                stream,
                ..
            } => participant(&mut rooms, room, id, &|known| {
                known.streams.push(stream.clone());
            }),
            Event::StreamUnpublished {
                room,
                participant: id,
                key,
                ..
            } => participant(&mut rooms, room, id, &|known| {
                known.streams.retain(|stream| stream.key != *key);
            }),
            _ => {}
        }
    }
    rooms
}

fn shown(snapshot: &Snapshot) -> Rooms {
    let room = |info: &RoomInfo| {
        let participants = info.participants.iter().map(|it| {
            let participant = &it.participant;
            let known = Known {
                name: participant.name.to_string(),
                grants: it.grants,
                path: it.path,
                censored: participant.censored,
                streams: participant.streams.to_vec(),
                attributes: it.attributes.iter().cloned().collect(),
            };
            (participant.id.clone(), known)
        });
        let session = info.session.expect("a session");
        (info.room.clone(), (session, participants.collect()))
    };
    snapshot.rooms.iter().map(room).collect()
}

fn two_workers() -> Server {
    Server::bind(ServerConfig {
        workers: 2,
        ..config()
    })
    .unwrap()
}

fn name_of(room: &str) -> RoomId {
    RoomId::new(room).unwrap()
}

/// All that has happened, up to the first event that `last` likes.
async fn all_until(events: &mut ServerEvents, last: impl Fn(&Event) -> bool) -> Vec<ServerEvent> {
    let mut all = Vec::new();
    within(async {
        loop {
            let told = events.next().await.expect("the server is gone").unwrap();
            let is_last = last(&told.event);
            all.push(told);
            if is_last {
                return;
            }
        }
    })
    .await;
    all
}

/// Waits until a participant is in the session: a join takes effect a moment after it has succeeded.
async fn join_and_be_there(server: &Server, room: &str, who: &str) -> Room {
    let mut events = server.events();
    let joined = join(server, room, who).await;
    all_until(&mut events, |event| {
        matches!(event, Event::ParticipantJoined { participant, .. } if *participant == id(who))
    })
    .await;
    joined
}

#[tokio::test]
async fn a_snapshot_is_what_the_events_tell() {
    let server = two_workers();
    let mut events = server.events();
    // By their hashes, these two are rooms of different workers.
    let mut people = Vec::new();
    for (room, who) in [("b", "anna"), ("b", "ben"), ("b", "carl"), ("c", "dora")] {
        people.push(join_and_be_there(&server, room, who).await);
    }
    let options = AudioOptions::opus(RATE);
    let _mic = within(people[3].publish_audio("mic", options))
        .await
        .unwrap();
    let (b, c) = (name_of("b"), name_of("c"));
    let censored = within(server.censor(&b, &id("anna"))).await.unwrap();
    assert_eq!(censored.affected, [id("anna")]);
    let (hand, up) = (
        AttributeKey::new("hand").unwrap(),
        AttributeValue::new("up").unwrap(),
    );
    within(server.set_attribute(&c, &id("dora"), &hand, Some(&up)))
        .await
        .unwrap();
    within(server.set_grants(&b, &id("ben"), Grants::SUBSCRIBE))
        .await
        .unwrap();
    let kicked = within(server.kick(&b, &id("carl"), false)).await.unwrap();
    assert_eq!(kicked.affected, [id("carl")]);

    let snapshot = within(server.rooms()).await;
    within(server.close_room(&b, CloseReason::SessionEnded))
        .await
        .unwrap();
    within(server.close_room(&c, CloseReason::SessionEnded))
        .await
        .unwrap();
    let mut ended = 0;
    let mut all = Vec::new();
    while ended < 2 {
        let over = |event: &Event| matches!(event, Event::SessionEnded { .. });
        all.extend(all_until(&mut events, over).await);
        ended += 1;
    }
    // Of each worker, each event has the next number, and none is earlier than the one before.
    for worker in 0..2 {
        let its: Vec<_> = all.iter().filter(|told| told.worker == worker).collect();
        let numbers = its.iter().map(|told| told.sequence);
        assert!(numbers.eq(1..=its.len() as u64), "{its:?}");
        assert!(!its.is_empty());
        assert!(its.is_sorted_by_key(|told| told.at));
        assert!(snapshot.sequences[worker] < its.len() as u64);
    }
    let before: Vec<_> = all
        .into_iter()
        .filter(|told| told.sequence <= snapshot.sequences[told.worker])
        .collect();
    let rooms = replay(&before);
    assert_eq!(rooms, shown(&snapshot));
    let (_, in_b) = &rooms[&b];
    let there: Vec<_> = in_b.keys().map(ParticipantId::as_str).collect();
    assert_eq!(there, ["anna", "ben"]);
    assert!(in_b[&id("anna")].censored);
    assert_eq!(in_b[&id("ben")].grants, Grants::SUBSCRIBE);
    let (_, in_c) = &rooms[&c];
    assert_eq!(in_c[&id("dora")].streams.len(), 1);
    assert_eq!(in_c[&id("dora")].attributes[&hand], up);
}

#[tokio::test]
async fn many_are_kicked_at_once_and_kept_out() {
    let server = serve();
    let mut people = Vec::new();
    for who in ["anna", "ben", "carl"] {
        people.push(join_and_be_there(&server, "room", who).await);
    }
    let room = name_of("room");
    let all_but_anna = Selection::all_but([id("anna")]);
    let kicked = within(server.kick(&room, all_but_anna, true))
        .await
        .unwrap();
    assert_eq!(kicked.affected, [id("ben"), id("carl")]);
    for gone in &people[1..] {
        let cause = within(gone.closed()).await;
        assert_eq!(cause, CloseCause::Closed(CloseReason::Kicked));
    }
    let these: Selection = ["anna", "ben"].map(id).into_iter().collect();
    let censored = within(server.censor(&room, these.clone())).await.unwrap();
    assert_eq!(censored.affected, [id("anna")]);
    assert_eq!(censored.unknown, [id("ben")]);
    let again = within(server.censor(&room, &id("anna"))).await.unwrap();
    assert_eq!(again.unchanged, [id("anna")]);
    let lifted = within(server.uncensor(&room, Selection::all()))
        .await
        .unwrap();
    assert_eq!(lifted.affected, [id("anna")]);

    let mut events = server.events();
    let back = within(Room::join(&ticket(&server, "room", "ben"))).await;
    assert!(
        matches!(back, Err(JoinError::Refused(JoinRefusal::Kicked))),
        "{back:?}"
    );
    let told = happens(&mut events, |event| match event {
        Event::JoinRefused { refused, .. } => Some(refused.clone()),
        _ => None,
    });
    let expected = Refused {
        refusal: JoinRefusal::Kicked,
        room: Some(room.clone()),
        participant: Some(id("ben")),
    };
    assert_eq!(told.await, expected);
    let nowhere = within(server.kick(&name_of("elsewhere"), Selection::all(), true)).await;
    assert_eq!(nowhere, Err(ModerateError::UnknownRoom));
}

#[tokio::test]
async fn what_may_not_go_on_ends_at_once_and_is_told() {
    let server = serve();
    let anna = join_and_be_there(&server, "room", "anna").await;
    let (room, mic_key) = (name_of("room"), StreamKey::new("mic").unwrap());
    let mut mic = within(anna.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap();
    mic.write(&[0; FRAME]).unwrap();
    within(server.unpublish(&room, &id("anna"), &mic_key))
        .await
        .unwrap();
    let ended = within(async {
        loop {
            if let Err(error) = mic.write(&[0; FRAME]) {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(ended.await, WriteError::NotPublished);
    let again = within(server.unpublish(&room, &id("anna"), &mic_key)).await;
    assert_eq!(again, Err(ModerateError::UnknownStream));
    // She may begin another one, until she may not. The end of the former writer does not end its successor's stream.
    let mut next = within(anna.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap();
    assert_eq!(mic.write(&[0; FRAME]), Err(WriteError::NotPublished));
    drop(mic);
    for _ in 0..5 {
        next.write(&[0; FRAME]).unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let info = within(server.room(&room)).await.unwrap();
    assert_eq!(info.participants[0].participant.streams.len(), 1);
    within(server.set_grants(&room, &id("anna"), Grants::SUBSCRIBE))
        .await
        .unwrap();
    within(async {
        while anna.grants() != Grants::SUBSCRIBE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let info = within(server.room(&room)).await.unwrap();
    assert!(info.participants[0].participant.streams.is_empty());

    // A limit that has passed when it is set holds at once.
    let short = RoomLimits {
        max_session: Some(Duration::ZERO),
        ..RoomLimits::default()
    };
    within(server.set_room_limits(&room, short)).await.unwrap();
    let cause = within(anna.closed()).await;
    assert_eq!(cause, CloseCause::Closed(CloseReason::SessionTooLong));
}

#[tokio::test]
async fn participants_are_told_that_they_are_recorded() {
    let server = serve();
    let mut happened = server.events();
    let room = RoomId::new("room").unwrap();
    let anna = within(Room::join(&ticket(&server, "room", "anna")))
        .await
        .unwrap();
    let mut events = anna.events();
    let started = |event: &Event| match event {
        Event::SessionStarted { session, .. } => Some(*session),
        _ => None,
    };
    let session = happens(&mut happened, started).await;
    within(server.record(&room, session, true)).await.unwrap();
    until_room(&mut events, RoomEvent::RecordingChanged(true)).await;
    let ben = within(Room::join(&ticket(&server, "room", "ben")))
        .await
        .unwrap();
    until_state(&ben, &mut ben.events(), RoomState::is_recorded).await;
    assert!(anna.with_state(RoomState::is_recorded));
    within(server.record(&room, session, false)).await.unwrap();
    until_room(&mut events, RoomEvent::RecordingChanged(false)).await;
    let other = within(server.record(&room, SessionId([7; 16]), true)).await;
    assert_eq!(other, Err(ModerateError::UnknownRoom));
}

#[tokio::test]
async fn a_reader_that_sleeps_is_told_how_many_events_it_missed() {
    let server = serve();
    let mut events = server.events();
    let _anna = join_and_be_there(&server, "room", "anna").await;
    let (room, anna) = (name_of("room"), id("anna"));
    let key = AttributeKey::new("n").unwrap();
    for n in 0..5_000 {
        let value = AttributeValue::new(n.to_string()).unwrap();
        let set = server.set_attribute(&room, &anna, &key, Some(&value));
        within(set).await.unwrap();
    }
    let happened = within(server.rooms()).await.sequences[0];
    let Some(Err(Lagged(missed))) = within(events.next()).await else {
        panic!("nothing missed");
    };
    let next = within(events.next()).await.unwrap().unwrap();
    assert_eq!(next.sequence, missed + 1);
    let mut last = next.sequence;
    while last < happened {
        let told = within(events.next()).await.unwrap().unwrap();
        assert_eq!(told.sequence, last + 1);
        last = told.sequence;
    }
}

/// The figures of all participants, of rooms on several workers, agree with what is asked for each.
#[tokio::test]
async fn the_figures_of_all_sessions_are_those_of_each_participant() {
    let config = ServerConfig {
        workers: 3,
        ..config()
    };
    let server = Server::bind(config).unwrap();
    let mut rooms = Vec::new();
    for number in 0..6 {
        for who in ["anna", "ben"] {
            rooms.push(join_and_be_there(&server, &format!("room-{number}"), who).await);
        }
    }
    // A participant knows of its place before the server has its first packet.
    let mut sessions = within(async {
        loop {
            let sessions = server.session_statistics().await;
            let mut all = sessions.iter().flat_map(|session| &session.participants);
            if all.all(|(.., figures)| figures.bytes_received > 0 && figures.bytes_sent > 0) {
                return sessions;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    sessions.sort_by(|a, b| a.room.cmp(&b.room));
    assert_eq!(sessions.len(), 6);
    for (number, session) in sessions.iter().enumerate() {
        assert_eq!(session.room.as_str(), format!("room-{number}"));
        assert_eq!(Some(session.session), rooms[2 * number].session());
        assert_eq!(session.speaker, None);
        let ids: Vec<_> = session
            .participants
            .iter()
            .map(|(id, ..)| id.as_str())
            .collect();
        assert_eq!(ids, ["anna", "ben"]);
        for (id, path, figures) in &session.participants {
            assert!(matches!(path, Path::Udp { .. }));
            let later = server
                .participant_statistics(&session.room, id)
                .await
                .unwrap();
            assert!(
                (1..=later.bytes_received).contains(&figures.bytes_received),
                "{figures:?}"
            );
            assert!(
                (1..=later.bytes_sent).contains(&figures.bytes_sent),
                "{figures:?}"
            );
            assert_eq!(figures.quality, 100);
        }
    }
    let counted = server.statistics().await;
    let of_all = sessions.iter().flat_map(|session| &session.participants);
    let of_all: u64 = of_all.map(|(.., figures)| figures.bytes_received).sum();
    // What the workers received beside that were handshakes and what has come since.
    assert!(of_all < counted.iter().map(|worker| worker.bytes_received).sum());
}
