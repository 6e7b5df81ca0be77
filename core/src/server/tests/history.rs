//! Events alone tell the state: replaying them gives the content of a snapshot.

use alloc::boxed::Box;
use alloc::vec;

use proptest::prelude::*;

use super::*;

/// A participant, as the events tell it.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    name: DisplayName,
    grants: Grants,
    path: Path,
    censored: bool,
    connection: ConnectionState,
    streams: BTreeMap<StreamKey, Stream>,
    attributes: BTreeMap<AttributeKey, AttributeValue>,
}

/// A room, as the events tell it.
#[derive(Debug, Clone, PartialEq, Default)]
struct KnownRoom {
    session: Option<SessionId>,
    participants: BTreeMap<ParticipantId, Known>,
    waiting: BTreeMap<ParticipantId, DisplayName>,
    floor: Option<ParticipantId>,
}

/// All events so far, and the state that follows from them.
#[derive(Debug, Default)]
struct History {
    rooms: BTreeMap<RoomId, KnownRoom>,
    over: Vec<SessionId>,
}

impl History {
    fn of(&mut self, room: &RoomId) -> &mut KnownRoom {
        self.rooms.entry(room.clone()).or_default()
    }

    fn session(&mut self, room: &RoomId, session: SessionId) -> &mut KnownRoom {
        assert!(!self.over.contains(&session), "it is over");
        let known = self.of(room);
        assert_eq!(known.session, Some(session), "it has started");
        known
    }

    fn participant(&mut self, room: &RoomId, session: SessionId, id: &ParticipantId) -> &mut Known {
        let known = self.session(room, session).participants.get_mut(id);
        known.expect("it has joined, and has not left")
    }

    fn take_in(&mut self, event: &Event) {
        match event.clone() {
            Event::SessionStarted { room, session } => {
                let known = self.of(&room);
                assert_eq!(known.session, None, "one at a time");
                known.session = Some(session);
            }
            Event::SessionEnded { room, session, .. } => {
                let known = self.session(&room, session);
                assert_eq!(known.participants, BTreeMap::new(), "all have left before");
                known.session = None;
                known.floor = None;
                self.over.push(session);
            }
            Event::ParticipantWaiting {
                room,
                participant,
                name,
            } => {
                let before = self.of(&room).waiting.insert(participant, name.clone());
                assert_ne!(before, Some(name), "it is news");
            }
            Event::ParticipantGaveUp {
                room, participant, ..
            } => {
                let waited = self.of(&room).waiting.remove(&participant);
                assert!(waited.is_some());
            }
            Event::ParticipantJoined {
                room,
                session,
                participant,
                name,
                grants,
                waited,
                censored,
                path,
            } => {
                let known = Known {
                    name,
                    grants,
                    path,
                    censored,
                    connection: ConnectionState::Connected,
                    streams: BTreeMap::new(),
                    attributes: BTreeMap::new(),
                };
                let room = self.session(&room, session);
                let is_here = waited && room.waiting.remove(&participant).is_some();
                assert_eq!(is_here, waited, "it was there");
                let before = room.participants.insert(participant, known);
                assert_eq!(before, None, "it joins once");
            }
            Event::ParticipantLeft {
                room,
                session,
                participant,
                ..
            } => {
                let room = self.session(&room, session);
                let before = room.participants.remove(&participant);
                assert!(before.is_some(), "it leaves once");
            }
            Event::ParticipantResumed {
                room,
                session,
                participant,
                path,
            } => self.participant(&room, session, &participant).path = path,
            Event::ParticipantConnection {
                room,
                session,
                participant,
                state,
            } => self.participant(&room, session, &participant).connection = state,
            Event::GrantsChanged {
                room,
                session,
                participant,
                grants,
            } => self.participant(&room, session, &participant).grants = grants,
            Event::ParticipantCensored {
                room,
                session,
                participant,
                censored,
            } => self.participant(&room, session, &participant).censored = censored,
            Event::AttributeChanged {
                room,
                session,
                participant,
                key,
                value,
            } => {
                let known = self.participant(&room, session, &participant);
                match value.is_empty() {
                    true => known.attributes.remove(&key),
                    false => known.attributes.insert(key, value),
                };
            }
            Event::StreamPublished {
                room,
                session,
                participant,
                stream,
            } => {
                let known = self.participant(&room, session, &participant);
                let before = known.streams.insert(stream.key.clone(), stream);
                assert_eq!(before, None, "it is published once");
            }
            Event::StreamUnpublished {
                room,
                session,
                participant,
                key,
            } => {
                let known = self.participant(&room, session, &participant);
                assert!(known.streams.remove(&key).is_some());
            }
            Event::StreamMuted {
                room,
                session,
                participant,
                key,
                muted,
            } => {
                let known = self.participant(&room, session, &participant);
                known.streams.get_mut(&key).expect("it is published").muted = muted;
            }
            Event::FloorChanged {
                room,
                session,
                holder,
            } => {
                let room = self.session(&room, session);
                assert_ne!(room.floor, holder, "it is news");
                room.floor = holder;
            }
            Event::SpeakerChanged { room, session, .. } => drop(self.session(&room, session)),
            Event::EventsMissed { count } => panic!("{count} events missed"),
            Event::JoinRequested { .. }
            | Event::RefreshRequested { .. }
            | Event::JoinRefused { .. }
            | Event::Overloaded { .. } => {}
        }
    }
}

/// The same of a server's rooms, as they are.
fn snapshot(server: &Server) -> BTreeMap<RoomId, KnownRoom> {
    let rooms = server.rooms().map(|view| {
        let state = view.session.map(|(_, state)| state);
        let known = |participant: &Participant| {
            let attributes = state.unwrap().attributes(&participant.id);
            let streams = participant.streams.iter();
            Known {
                name: participant.name.clone(),
                grants: view.grants(&participant.id).unwrap(),
                path: view.path(&participant.id).unwrap(),
                censored: participant.censored,
                connection: participant.connection,
                streams: streams.map(|it| (it.key.clone(), it.clone())).collect(),
                attributes: (attributes.map(|(key, value)| (key.clone(), value.clone()))).collect(),
            }
        };
        let participants = state.into_iter().flat_map(RoomState::participants);
        let waiting = server.waiting(view.room);
        let room = KnownRoom {
            session: view.session.map(|(session, _)| session),
            participants: participants.map(|it| (it.id.clone(), known(it))).collect(),
            waiting: waiting
                .map(|it| (it.participant.clone(), it.name.clone()))
                .collect(),
            floor: state.and_then(|state| state.floor().cloned()),
        };
        (view.room.clone(), room)
    });
    let is_known = |(_, room): &(RoomId, KnownRoom)| *room != KnownRoom::default();
    rooms.filter(is_known).collect()
}

const NAMES: [&str; 4] = ["anna", "ben", "carl", "dora"];

/// The next step, and its target.
#[derive(Debug, Clone)]
enum Step {
    Join(Vec<&'static str>),
    Resume,
    Ask(Box<Operation<'static>>),
    Moderate(Act, bool),
    SetGrants(Grants),
    Unpublish,
    EndSession,
    CloseRoom,
    Record(bool),
    Limit(RoomLimits),
    Die,
    Live,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let options = ["lobby", "moderator", "listener", "hand", "once", "minute"];
    let operations = [
        Operation::Publish(mic()),
        Operation::Publish(camera()),
        Operation::Unpublish { key: mic().key },
        Operation::SetMuted {
            key: mic().key,
            muted: true,
        },
        Operation::SetMuted {
            key: mic().key,
            muted: false,
        },
        Operation::RequestFloor,
        Operation::ReleaseFloor,
        Operation::Leave,
        Operation::SetAttribute {
            participant: None,
            key: AttributeKey::new("hand").unwrap(),
            value: AttributeValue::default(),
        },
        Operation::EndSession,
        Operation::Moderate {
            action: Moderation::Kick,
            targets: Targets::all(),
        },
    ];
    let acts = [
        Act::Kick { keep_out: true },
        Act::Kick { keep_out: false },
        Act::Censor,
        Act::Uncensor,
        Act::Admit,
        Act::Deny,
    ];
    let grants = [
        Grants::PARTICIPANT,
        Grants::SUBSCRIBE,
        Grants::empty(),
        Grants::all(),
    ];
    let time = || prop::option::of((5u64..60).prop_map(Duration::from_secs));
    let limits = (prop::option::of(1usize..4), time(), time(), time()).prop_map(
        |(max_participants, empty_timeout, solo_timeout, max_session)| RoomLimits {
            max_participants,
            empty_timeout,
            solo_timeout,
            max_session,
        },
    );
    let step = prop_oneof![
        8 => prop::sample::subsequence(options.to_vec(), 0..3).prop_map(Step::Join),
        2 => Just(Step::Resume),
        6 => prop::sample::select(operations.to_vec()).prop_map(|it| Step::Ask(Box::new(it))),
        3 => (prop::sample::select(acts.to_vec()), any::<bool>())
            .prop_map(|(act, all)| Step::Moderate(act, all)),
        1 => prop::sample::select(grants.to_vec()).prop_map(Step::SetGrants),
        1 => Just(Step::Unpublish),
        1 => Just(Step::EndSession),
        1 => Just(Step::CloseRoom),
        1 => any::<bool>().prop_map(Step::Record),
        1 => limits.prop_map(Step::Limit),
        1 => Just(Step::Die),
        1 => Just(Step::Live),
        3 => prop_oneof![Just(1u64), Just(12), Just(45)].prop_map(Step::Pass),
    ];
    prop::collection::vec((0..NAMES.len(), step), 1..40)
}

fn take(world: &mut World, peers: &mut [Option<usize>], who: usize, step: Step) {
    let (room, now, id) = (room_id("room"), world.now, pid(NAMES[who]));
    let server = &mut world.server;
    match step {
        Step::Join(options) => {
            let token = [&["room", NAMES[who]], &options[..]].concat().join("/");
            peers[who] = Some(world.join(&Hello::publishing(&token)));
        }
        Step::Resume => {
            let Some(peer) = peers[who] else { return };
            let answer = &world.peers[peer].answer;
            if matches!(answer, Some(Answer::Joined(_))) && world.peers[peer].closed().is_none() {
                let hello = world.resume_hello(peer, &["room", NAMES[who]].join("/"));
                world.rejoin(peer, &hello);
            }
        }
        Step::Ask(operation) => {
            let Some(peer) = peers[who] else { return };
            let peer = &mut world.peers[peer];
            let link = peer.link.as_ref();
            if peer.closed().is_none() && link.is_some_and(|link| link.free_window() > 0) {
                peer.request(*operation);
            }
        }
        Step::Moderate(act, all) => {
            let whom = if all { Selection::all() } else { id.into() };
            let _ = server.moderate(now, &room, act, &whom);
        }
        Step::SetGrants(grants) => drop(server.set_grants(now, &room, &id, grants)),
        Step::Unpublish => drop(server.unpublish(now, &room, &id, &mic().key)),
        Step::EndSession => drop(server.end_session(now, &room)),
        Step::CloseRoom => drop(server.close_room(now, &room, CloseReason::SessionEnded)),
        Step::Record(recorded) => {
            let known = server.room(&room).and_then(|room| room.session);
            if let Some((session, _)) = known {
                server.record(now, &room, session, recorded).unwrap();
            }
        }
        Step::Limit(limits) => drop(server.set_room_limits(now, &room, limits)),
        Step::Die => {
            let path = peers[who].map(|peer| world.peers[peer].path);
            world.dead.extend(path);
        }
        Step::Live => world.dead.clear(),
        Step::Pass(seconds) => world.advance(Duration::from_secs(seconds)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn events_tell_what_a_snapshot_shows(steps in steps()) {
        let mut world = World::with(Config {
            joins: Rate { per_second: 100, burst: 1_000 },
            ..Config::default()
        });
        let mut history = History::default();
        let mut peers = [None; NAMES.len()];
        let mut sequence = 0;
        for (who, step) in steps {
            take(&mut world, &mut peers, who, step);
            world.run();
            for event in world.events.drain(..) {
                sequence += u64::from(!event.asks());
                history.take_in(&event);
            }
            prop_assert_eq!(sequence, world.server.events_polled());
            prop_assert_eq!(sequence, world.server.events_happened());
            history.rooms.retain(|_, room| *room != KnownRoom::default());
            prop_assert_eq!(&history.rooms, &snapshot(&world.server));
        }
        // All participants have left, and nothing is left behind.
        world.server.shutdown(world.now);
        world.run();
        for event in world.events.drain(..) {
            history.take_in(&event);
        }
        history.rooms.retain(|_, room| *room != KnownRoom::default());
        prop_assert_eq!(history.rooms.len(), 0);
    }
}

#[test]
fn a_snapshot_says_which_events_it_takes_into_account() {
    let mut world = World::new();
    world.join(&Hello::publishing("room/anna"));
    world.join(&Hello::new("room/ben"));
    let (room, now) = (room_id("room"), world.now);
    world.server.end_session(now, &room).unwrap();
    let (shown, until) = (snapshot(&world.server), world.server.events_happened());
    assert!(
        world.server.events_polled() < until,
        "some are yet to be read"
    );
    world.run();
    world.join(&Hello::new("room/carl"));
    let mut history = History::default();
    let mut sequence = 0;
    for event in world.events.iter().filter(|event| !event.asks()) {
        history.take_in(event);
        sequence += 1;
        if sequence == until {
            break;
        }
    }
    history
        .rooms
        .retain(|_, room| *room != KnownRoom::default());
    assert_eq!(history.rooms, shown);
}
