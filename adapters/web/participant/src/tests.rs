//! Participants against the real server, in virtual time, by what JavaScript calls.

use std::collections::BTreeMap;

use super::*;
use parlour_core::room::{DisplayName, Grants, ParticipantId, RoomId};
use parlour_core::secure::KeyPair;
use parlour_core::server::{self, Admission, Path, Server};
use parlour_core::signal::Redirect;
use parlour_core::time::Duration;
use serde_json::{Value, json};

/// SILK wideband, one frame of 20 ms.
const OPUS: [u8; 4] = [0x48, 1, 2, 3];

struct World {
    /// In ms.
    now: f64,
    server: Server,
    keys: KeyPair,
    nodes: Vec<Node>,
}

struct Node {
    participant: Participant,
    path: Path,
    events: Vec<Value>,
    frames: Vec<u8>,
    /// The state but for the participants, and those by their ids, made of changes.
    followed: (serde_json::Map<String, Value>, BTreeMap<String, Value>),
}

impl Node {
    fn find(&self, kind: &str) -> Option<&Value> {
        self.events.iter().rev().find(|event| event["type"] == kind)
    }

    fn state(&self) -> Value {
        serde_json::to_value(self.participant.current()).unwrap()
    }

    /// Does with the changes what the page does.
    fn follow(&mut self) {
        let Value::Object(mut changes) = serde_json::from_str(&self.participant.changes()).unwrap()
        else {
            panic!();
        };
        let others = changes.remove("participants").unwrap_or(json!([]));
        let gone = changes.remove("gone").unwrap_or(json!([]));
        for id in gone.as_array().unwrap() {
            self.followed.1.remove(id.as_str().unwrap()).unwrap();
        }
        for other in others.as_array().unwrap() {
            let id = other["id"].as_str().unwrap().to_owned();
            self.followed.1.insert(id, other.clone());
        }
        self.followed.0.extend(changes);
        let mut followed = self.followed.0.clone();
        let participants: Vec<&Value> = self.followed.1.values().collect();
        followed.insert("participants".to_owned(), json!(participants));
        assert_eq!(Value::Object(followed), self.state());
    }
}

impl World {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let keys = KeyPair::generate(&mut rng);
        let now = 1_000.0;
        let server = Server::new(server::Config::default(), keys.clone(), at(now), &mut rng);
        Self {
            now,
            server,
            keys,
            nodes: Vec::new(),
        }
    }

    fn ticket(&self, token: &str) -> String {
        let ticket = Ticket {
            host: "rooms.example.org",
            port: 7900,
            server_key: *self.keys.public(),
            token,
        };
        ticket.to_string()
    }

    /// A participant whose token is its name; a capital letter makes it a moderator.
    fn join(&mut self, name: &str) -> usize {
        let index = self.nodes.len();
        let seed = [index as u8; 32];
        let participant = Participant::create(&self.ticket(name), &seed, "{}", self.now).unwrap();
        let path = Path::udp(([192, 0, 2, 1], 5_000 + index as u16).into());
        let Value::Object(mut nothing) = serde_json::to_value(State::default()).unwrap() else {
            panic!();
        };
        nothing.remove("participants");
        self.nodes.push(Node {
            participant,
            path,
            events: Vec::new(),
            frames: Vec::new(),
            followed: (nothing, BTreeMap::new()),
        });
        self.command(index, json!({ "type": "publish", "key": "mic" }))
            .unwrap();
        self.run(200);
        index
    }

    /// The command that `type` names, with the other fields.
    fn command(&mut self, index: usize, mut fields: Value) -> Result<Option<u16>, Error> {
        let name = fields.as_object_mut().unwrap().remove("type").unwrap();
        let command = json!({ name.as_str().unwrap(): fields });
        self.nodes[index]
            .participant
            .execute(self.now, &command.to_string())
    }

    fn run(&mut self, ms: u32) {
        for _ in 0..ms {
            self.now += 1.0;
            self.server.handle_timeout(at(self.now));
            for index in 0..self.nodes.len() {
                self.drive(index);
            }
            self.answer();
            self.deliver();
        }
    }

    fn drive(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.participant.poll_timeout() <= self.now {
            node.participant.handle_timeout(self.now);
        }
        loop {
            let len = node.participant.poll_transmit(self.now);
            if len == 0 {
                break;
            }
            let mut datagram = node.participant.buffer[..len].to_vec();
            let _ = self
                .server
                .handle_datagram(at(self.now), node.path, &mut datagram);
        }
        while let Some(event) = node.participant.poll_event() {
            node.events.push(serde_json::from_str(&event).unwrap());
        }
        node.follow();
    }

    fn answer(&mut self) {
        while let Some(event) = self.server.poll_event() {
            let server::Event::JoinRequested { join, token, .. } = event else {
                continue;
            };
            let name = token.to_string();
            let moderator = name.starts_with(char::is_uppercase);
            let powers = if moderator {
                Grants::MODERATOR
            } else {
                Grants::empty()
            };
            let admission = Admission::new(
                RoomId::new("room").unwrap(),
                ParticipantId::new(&name).unwrap(),
                DisplayName::new(&name).unwrap(),
                Grants::PARTICIPANT | powers,
            );
            self.server.admit(at(self.now), join, admission).unwrap();
        }
    }

    fn deliver(&mut self) {
        let mut out = [0; MAX_DATAGRAM];
        while let Some(sent) = self.server.poll_transmit(at(self.now), &mut out).unwrap() {
            let Some(node) = self.nodes.iter_mut().find(|node| node.path == sent.to) else {
                continue;
            };
            node.participant.buffer[..sent.len].copy_from_slice(&out[..sent.len]);
            assert!(node.participant.handle_datagram(self.now, sent.len));
            node.frames.extend(node.participant.take_frames());
        }
    }
}

#[test]
fn two_see_each_other_and_the_one_hears_the_other() {
    let mut world = World::new();
    let (anna, ben) = (world.join("anna"), world.join("ben"));
    let state = world.nodes[ben].state();
    assert_eq!(state["connection"], "joined");
    assert_eq!(state["me"], "ben");
    assert_eq!(state["count"], 2);
    let stream = json!({ "key": "mic", "kind": "audio", "codec": "opus", "muted": false });
    assert_eq!(state["participants"][0]["streams"], json!([stream]));
    assert!(
        state["grants"]
            .as_array()
            .unwrap()
            .contains(&json!("publishAudio"))
    );
    let joined = json!({ "type": "participantJoined", "participant": "anna", "present": true });
    assert_eq!(world.nodes[ben].find("participantJoined"), Some(&joined));

    for n in 0..10 {
        let now = world.now;
        (world.nodes[anna].participant)
            .speak(now, "mic", n * 960, 20, &OPUS)
            .unwrap();
        world.run(20);
    }
    let frames = &world.nodes[ben].frames;
    assert_eq!(frames.len(), 10 * (32 + OPUS.len()));
    let (head, payload) = frames[..36].split_at(32);
    assert_eq!((head[1], payload), (111, &OPUS[..]));
    assert_eq!(head[4..8], 960_u32.to_le_bytes());
    assert_eq!(head[12..16], 4_u32.to_le_bytes());
    let now = world.now;
    let participant = &mut world.nodes[ben].participant;
    let mut levels = |after: f64, own| participant.levels(now + after, own);
    assert_eq!(levels(0.0, 127).unwrap(), r#"{"anna":-20}"#);
    assert_eq!(levels(0.0, 30).unwrap(), r#"{"anna":-20,"ben":-30}"#);
    assert_eq!(levels(5_000.0, 127).unwrap(), "{}");
    assert_eq!(levels(5_000.0, 127), None);
    let ben = &mut world.nodes[ben].participant;
    assert_eq!(ben.changes(), "{}", "what is told is not told again");
}

#[test]
fn a_page_knows_whether_it_is_recorded() {
    let mut world = World::new();
    let anna = world.join("anna");
    let room = RoomId::new("room").unwrap();
    let mut record = |recorded| {
        let (session, _) = world.server.room(&room).unwrap().session.unwrap();
        let told = (world.server).record(at(world.now), &room, session, recorded);
        told.unwrap();
        world.run(100);
        let event = json!({ "type": "recordingChanged", "recorded": recorded });
        assert_eq!(world.nodes[anna].find("recordingChanged"), Some(&event));
        assert_eq!(world.nodes[anna].state()["recorded"], recorded);
    };
    record(true);
    record(false);
    record(true);
    let ben = world.join("ben");
    assert_eq!(world.nodes[ben].state()["recorded"], true);
}

#[test]
fn requests_are_answered_by_number_with_what_they_did() {
    let mut world = World::new();
    let (anna, ben) = (world.join("Anna"), world.join("ben"));
    let censor = json!({ "type": "moderate", "action": "censor", "participants": ["ben"] });
    let request = world.command(anna, censor).unwrap().unwrap();
    world.run(100);
    let answer = json!({ "type": "replied", "request": request, "affected": 1, "error": null });
    assert_eq!(world.nodes[anna].find("replied"), Some(&answer));
    assert_eq!(world.nodes[ben].find("censored").unwrap()["censored"], true);

    let request = world
        .command(ben, json!({ "type": "endSession" }))
        .unwrap()
        .unwrap();
    world.run(100);
    let refused = world.nodes[ben].find("replied").unwrap();
    assert_eq!(
        (&refused["request"], &refused["error"]["code"]),
        (&json!(request), &json!("notPermitted"))
    );

    world
        .command(
            anna,
            json!({ "type": "moderate", "action": "kick", "participants": ["ben"] }),
        )
        .unwrap();
    world.run(100);
    let closed = world.nodes[ben].find("closed").unwrap();
    assert_eq!(
        (&closed["cause"], &closed["reason"]),
        (&json!("closed"), &json!("kicked"))
    );
    assert_eq!(world.nodes[ben].state()["connection"], "closed");
    assert_eq!(
        world.nodes[anna].find("participantLeft").unwrap()["reason"],
        "kicked"
    );
}

#[test]
fn messages_and_attributes_arrive_as_they_were_given() {
    let mut world = World::new();
    let (anna, ben) = (world.join("anna"), world.join("ben"));
    let participant = &mut world.nodes[anna].participant;
    participant
        .tell(&[], "chat", "hällo".as_bytes(), true)
        .unwrap();
    participant
        .tell(&["ben".to_owned()], "ping", &[0, 255], false)
        .unwrap();
    world
        .command(
            anna,
            json!({ "type": "setAttribute", "key": "hand", "value": "raised" }),
        )
        .unwrap();
    world.run(100);
    let participant = &mut world.nodes[ben].participant;
    let got: Vec<Message> = std::iter::from_fn(|| participant.poll_message()).collect();
    assert_eq!(got.len(), 2);
    assert_eq!(
        (got[0].from(), got[0].topic(), got[0].reliable()),
        ("anna".into(), "chat".into(), true)
    );
    assert_eq!(got[0].body(), "hällo".as_bytes());
    assert_eq!((got[1].body(), got[1].reliable()), (vec![0, 255], false));
    assert_eq!(
        world.nodes[ben].state()["participants"][0]["attributes"],
        json!({ "hand": "raised" })
    );
}

#[test]
fn what_a_page_gives_is_checked() {
    let mut world = World::new();
    let ticket = world.ticket("anna");
    let create = |ticket: &str, seed: &[u8], options: &str| {
        Participant::create(ticket, seed, options, f64::NAN)
            .map(drop)
            .map_err(|error| error.code)
    };
    assert_eq!(
        create("http://here", &[0; 32], "{}"),
        Err("invalidTicket".into())
    );
    assert_eq!(
        create(&ticket, &[0; 31], "{}"),
        Err("invalidArgument".into())
    );
    assert_eq!(
        create(&ticket, &[0; 32], r#"{"polic":"all"}"#),
        Err("invalidArgument".into())
    );
    assert_eq!(
        create(&ticket, &[0; 32], r#"{"policy":"mix","slots":255}"#),
        Ok(())
    );

    let anna = world.join("anna");
    for (command, code) in [
        (json!({ "type": "explode" }), "invalidArgument"),
        (
            json!({ "type": "publish", "key": "a key that is too long" }),
            "invalidArgument",
        ),
        (
            json!({ "type": "publish", "key": "mic" }),
            "alreadyPublished",
        ),
        (
            json!({ "type": "setMuted", "key": "cam", "muted": true }),
            "unknownStream",
        ),
        (
            json!({ "type": "refreshToken", "token": "" }),
            "invalidToken",
        ),
        (
            json!({ "type": "setAttribute", "key": "k", "value": "x".repeat(65) }),
            "invalidArgument",
        ),
        (
            json!({ "type": "moderate", "action": "kick", "participants": vec!["x"; 9] }),
            "invalidArgument",
        ),
    ] {
        assert_eq!(
            world
                .command(anna, command.clone())
                .map_err(|error| error.code),
            Err(code.into()),
            "{command}"
        );
    }
    let participant = &mut world.nodes[anna].participant;
    let long = participant.tell(&[], "chat", &[0; 641], true);
    assert_eq!(long.unwrap_err().code, "messageTooLong");
    let muted = participant.speak(f64::INFINITY, "cam", 0, 255, &OPUS);
    assert_eq!(muted.unwrap_err().code, "unknownStream");
    assert!(!participant.handle_datagram(world.now, 1_201));
    assert!(!participant.handle_datagram(world.now, 0));
}

#[test]
fn a_silent_network_is_told_and_a_changed_one_heals_it() {
    let mut world = World::new();
    let anna = world.join("anna");
    // Another way, as when a WebSocket is opened anew: the server knows the participant by its packets.
    world.nodes[anna].path = Path::udp(([198, 51, 100, 1], 9).into());
    let now = world.now;
    world.nodes[anna].participant.network_changed(now);
    world.run(500);
    assert_eq!(world.nodes[anna].state()["connection"], "joined");
    assert!(world.nodes[anna].find("closed").is_none());

    world.command(anna, json!({ "type": "leave" })).unwrap();
    world.run(100);
    assert_eq!(world.nodes[anna].find("closed").unwrap()["reason"], "left");
    let duration = Duration::from_millis(0);
    assert_eq!(at(f64::NEG_INFINITY) + duration, Instant::from_micros(0));
}

#[test]
fn the_address_of_a_ticket_is_one_of_a_url() {
    let world = World::new();
    assert_eq!(
        address_of(&world.ticket("a")),
        Ok("rooms.example.org:7900".to_owned())
    );
}

#[test]
fn a_redirect_names_where_to_connect() {
    let told = |redirect: Redirect| {
        let event = Event::from(parlour_core::client::Event::Redirected(redirect));
        serde_json::to_value(event).unwrap()["to"].take()
    };
    assert_eq!(
        told(Redirect::Port(7901)),
        json!([{ "host": null, "port": 7901 }])
    );
    let (v4, v6) = ("192.0.2.7:7900", "[2001:db8::7]:7901");
    assert_eq!(
        told(Redirect::Address(v4.parse().unwrap())),
        json!([{ "host": "192.0.2.7", "port": 7900 }])
    );
    assert_eq!(
        told(Redirect::Either(v4.parse().unwrap(), v6.parse().unwrap())),
        json!([{ "host": "192.0.2.7", "port": 7900 }, { "host": "[2001:db8::7]", "port": 7901 }])
    );
}

mod video;
