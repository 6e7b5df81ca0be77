//! A whole room: up to five true clients, a true server, and a network that does as the input says.
//!
//! Input: one byte of configuration, then steps: commands, sounds, deliveries, losses, duplicates, reorderings, time,
//! changes of address, crashes. At the end the network heals, and two minutes pass.
//!
//! The model is small: what each client wishes lastingly, which is known from the commands that it took. Always: nobody
//! hears itself, nor anything twice, nor what was said while its speaker was censored or out; messages of one sender come
//! in order and once; each request is answered once; the room is never fuller than it may be. When the network has
//! healed: who wants to be in the room is, publishes what it wishes to and nothing else, all know the same of it, and all
//! hear each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlour_core::client::{Capacity, Client, Commands as _, Config, Event, Incoming};
use parlour_core::room::{
    DisplayName, Grants, MAX_WAITING, Participant, ParticipantId, StreamKey, StreamKind, Topic,
};
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::KeyPair;
use parlour_core::server::{self, Act, Admission, Path, Selection, Server};
use parlour_core::signal::{Publish, Recipients, RequestId};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::MAX_DATAGRAM;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::input::Input;
use crate::messages;

const CLIENTS: u8 = 5;
/// As `Small`, with a place for every attribute that all may have, and for who waits.
type Device = Capacity<8, 2, 4, 768, 1200, 40, MAX_WAITING>;
/// Datagrams under way in one direction of one link; more are lost, the oldest first.
const UNDER_WAY: usize = 32;
const SECRET: [u8; 32] = [9; 32];

/// One frame of sound, as its payload names it.
type Sound = u16;

/// A datagram on its way, with the sounds that may be inside.
#[derive(Clone)]
struct Datagram {
    path: Path,
    bytes: Vec<u8>,
    sounds: Vec<Sound>,
}

/// One participant's end, and what is expected of it.
struct Party {
    client: Client<Device>,
    path: Path,
    up: VecDeque<Datagram>,
    down: VecDeque<Datagram>,
    /// The streams that it wishes to publish.
    wishes: BTreeMap<StreamKey, Publish>,
    outstanding: BTreeSet<RequestId>,
    is_over: bool,
    is_waiting: bool,
    /// It never said whom it wants to hear: it hears everybody.
    hears_all: bool,
    timestamp: u32,
    /// Sounds handed to the client that no datagram has left with yet.
    unsent: Vec<Sound>,
    heard: BTreeSet<Sound>,
    /// The last message of each sender.
    messages: BTreeMap<ParticipantId, u16>,
}

struct World {
    server: Server,
    config: server::Config,
    now: Instant,
    rng: ChaCha12Rng,
    parties: Vec<Option<Party>>,
    sockets: u16,
    /// Whose sound it is, and whether it may be heard.
    sounds: Vec<(usize, bool)>,
    said: u16,
    may_wait: bool,
}

/// Lives a room's life.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let mut world = World::new(how);
    // Sessions of a few hundred steps find what longer ones do, in less time.
    for _ in 0..400 {
        let Some(opcode) = input.opcode() else {
            break;
        };
        world.step(opcode, &mut input);
        world.settle_ends();
        world.check();
    }
    world.heal();
    world.compare();
    world.listen();
}

fn id(number: usize) -> ParticipantId {
    messages::participant(number as u8)
}

impl World {
    fn new(how: u8) -> Self {
        let mut rng = ChaCha12Rng::from_seed([how; 32]);
        let now = Instant::from_micros(1_000_000);
        let plenty = server::Rate {
            per_second: 1_000,
            burst: 10_000,
        };
        let config = server::Config {
            participants_per_room: if how & 1 == 0 { 5 } else { 3 },
            retry_threshold: if how & 2 == 0 { 64 } else { 0 },
            room_log: if how & 4 == 0 { 64 } else { 2 },
            queued_messages: if how & 8 == 0 { 64 } else { 2 },
            requests: plenty,
            messages: plenty,
            ..server::Config::default()
        };
        let keys = KeyPair::from_secret_bytes(SECRET);
        Self {
            server: Server::new(config.clone(), keys, now, &mut rng),
            config,
            now,
            rng,
            parties: (0..CLIENTS).map(|_| None).collect(),
            sockets: 0,
            sounds: Vec::new(),
            said: 0,
            may_wait: how & 16 != 0,
        }
    }

    fn step(&mut self, opcode: u8, input: &mut Input<'_>) {
        // The party stands in the high bits of the opcode, so that most steps are of one byte.
        let who = usize::from(opcode >> 4) % usize::from(CLIENTS);
        match opcode & 15 {
            0 => self.join(who, input),
            1 | 2 => self.command(who, input),
            3 => drop(self.say(who, input.byte())),
            4 => self.deliver_up(who, 1),
            5 => self.deliver_down(who, 1),
            6 => {
                // As the network should be: all that is under way arrives, twice over.
                for _ in 0..2 {
                    self.deliver_all();
                    self.settle_ends();
                }
            }
            7 => self.pass(input.duration()),
            8 => {
                let link = self.link(who, input.flag());
                link.and_then(VecDeque::pop_front);
            }
            9 => {
                if let Some(link) = self.link(who, input.flag())
                    && let Some(first) = link.front().cloned()
                {
                    link.push_back(first);
                }
            }
            10 => {
                if let Some(link) = self.link(who, input.flag())
                    && !link.is_empty()
                {
                    link.rotate_left(1);
                }
            }
            11 => self.rebind(who, input.flag()),
            12 => {
                self.deliver_up(who, usize::MAX);
                self.settle_ends();
                self.deliver_down(who, usize::MAX);
            }
            13 => match input.byte() {
                0xff => self.restart(),
                // Its plug is pulled: nobody is told.
                0xfe => self.parties[who] = None,
                _ => {
                    if let Some(party) = &mut self.parties[who] {
                        party.up.clear();
                        party.down.clear();
                    }
                }
            },
            14 => self.pass(Duration::from_millis(20)),
            _ => self.server_command(who, input),
        }
    }

    fn new_path(&mut self) -> Path {
        self.sockets += 1;
        Path::udp(([192, 0, 2, 1], 1_000 + self.sockets).into())
    }

    /// Joins, if it is not there or it is over.
    fn join(&mut self, who: usize, input: &mut Input<'_>) {
        let how = input.byte();
        if self.parties[who]
            .as_ref()
            .is_some_and(|party| !party.is_over)
        {
            return;
        }
        let keys = KeyPair::from_secret_bytes(SECRET);
        let token = who.to_string();
        let ticket = Ticket {
            host: "192.0.2.1",
            port: 7_900,
            server_key: *keys.public(),
            token: &token,
        };
        let config = Config {
            slots: (how & 1 != 0).then_some(1),
            rekey_after: Duration::from_secs(if how & 2 != 0 { 70 } else { 3_600 }),
            ..Config::default()
        };
        let client = Client::new(&ticket, &config, self.now, &mut self.rng);
        let path = self.new_path();
        let mut party = Party {
            client: client.expect("the ticket is good"),
            path,
            up: VecDeque::new(),
            down: VecDeque::new(),
            wishes: BTreeMap::new(),
            outstanding: BTreeSet::new(),
            is_over: false,
            is_waiting: false,
            hears_all: true,
            timestamp: 0,
            unsent: Vec::new(),
            heard: BTreeSet::new(),
            messages: BTreeMap::new(),
        };
        for _ in 0..how >> 2 & 3 {
            party.publish(messages::publish(input));
        }
        self.parties[who] = Some(party);
    }

    fn command(&mut self, who: usize, input: &mut Input<'_>) {
        self.said += 1;
        let said = self.said;
        let Some(party) = &mut self.parties[who] else {
            return;
        };
        let client = &mut party.client;
        let kind = input.below(16);
        party.hears_all &= !matches!(kind, 5..=8);
        let asked = match kind {
            0 | 1 => {
                party.publish(messages::publish(input));
                return;
            }
            2 => {
                let key = messages::key(input.byte());
                let asked = client.unpublish(&key);
                if asked.is_ok() {
                    party.wishes.remove(&key);
                }
                asked
            }
            3 | 4 => {
                let key = messages::key(input.byte());
                let muted = input.flag();
                let asked = client.set_muted(&key, muted);
                if asked.is_ok() {
                    party.wishes.get_mut(&key).expect("it is published").muted = muted;
                }
                asked
            }
            5..=8 => client.ask(messages::operation_of(kind - 1, input)),
            10 => client.ask(messages::operation_of(9, input)),
            9 => {
                let topic = Topic::new("chat").expect("a topic");
                let to = Recipients::All;
                client
                    .send_message(&to, &topic, &said.to_be_bytes())
                    .map(Some)
            }
            11 => client.ask(messages::operation_of(10, input)),
            12 | 13 => client.ask(messages::operation_of(kind + 1, input)),
            14 => client.refresh_token(&who.to_string()),
            _ => match input.byte() {
                0..0xf0 => client.leave(self.now).map(|()| None),
                _ => client.end_session().map(Some),
            },
        };
        if let Ok(Some(request)) = asked {
            assert!(
                party.outstanding.insert(request),
                "a number is used once at a time"
            );
        }
    }

    fn server_command(&mut self, who: usize, input: &mut Input<'_>) {
        let room = messages::room(0);
        let (server, now) = (&mut self.server, self.now);
        let whom = Selection::from(&id(who));
        let _ = match input.below(6) {
            0 => server
                .moderate(now, &room, Act::Kick { keep_out: true }, &whom)
                .map(drop),
            1 => server.moderate(now, &room, Act::Censor, &whom).map(drop),
            2 => server.moderate(now, &room, Act::Uncensor, &whom).map(drop),
            3 => server.moderate(now, &room, Act::Admit, &whom).map(drop),
            4 => server.moderate(now, &room, Act::Deny, &whom).map(drop),
            _ => Ok(()),
        };
    }

    /// A frame of sound in the first stream that is not muted, if there is one.
    fn say(&mut self, who: usize, level: u8) -> Option<Sound> {
        let party = self.parties[who].as_mut()?;
        let audible = |publish: &&Publish| publish.kind == StreamKind::Audio && !publish.muted;
        let publish = party.wishes.values().find(audible)?;
        let sound = Sound::try_from(self.sounds.len()).ok()?;
        party.timestamp = party.timestamp.wrapping_add(960);
        let [high, low] = sound.to_be_bytes();
        // A frame of 20 ms of Opus or of 3 samples of G.711: nobody decodes it here.
        let payload = [0x48, high, low];
        let level = AudioLevel::from_byte(level);
        let key = publish.key.clone();
        let sent = party
            .client
            .send_audio(self.now, &key, party.timestamp, level, &payload);
        sent.ok()?;
        party.unsent.push(sound);
        self.sounds.push((who, false));
        Some(sound)
    }

    fn link(&mut self, who: usize, up: bool) -> Option<&mut VecDeque<Datagram>> {
        let party = self.parties[who].as_mut()?;
        Some(if up { &mut party.up } else { &mut party.down })
    }

    fn rebind(&mut self, who: usize, is_noticed: bool) {
        let path = self.new_path();
        if let Some(party) = &mut self.parties[who] {
            party.path = path;
            if is_noticed {
                party.client.network_changed(self.now);
            }
        }
    }

    fn restart(&mut self) {
        let keys = KeyPair::from_secret_bytes(SECRET);
        self.server = Server::new(self.config.clone(), keys, self.now, &mut self.rng);
    }

    fn deliver_all(&mut self) {
        for who in 0..self.parties.len() {
            self.deliver_up(who, usize::MAX);
        }
        self.settle_ends();
        for who in 0..self.parties.len() {
            self.deliver_down(who, usize::MAX);
        }
    }

    fn deliver_up(&mut self, who: usize, most: usize) {
        for _ in 0..most {
            let Some(mut datagram) = self.parties[who]
                .as_mut()
                .and_then(|party| party.up.pop_front())
            else {
                return;
            };
            let before = self.may_speak(who);
            let _ = self
                .server
                .handle_datagram(self.now, datagram.path, &mut datagram.bytes);
            // Whoever is silenced when its sound arrives is not heard; the first packet may bring sound and its speaker.
            if before.or(self.may_speak(who)) == Some(true) {
                for sound in &datagram.sounds {
                    self.sounds[usize::from(*sound)].1 = true;
                }
            }
        }
    }

    /// Whether the participant is not censored; `None` if it is not in the session.
    fn may_speak(&self, who: usize) -> Option<bool> {
        let (_, state) = self.server.room(&messages::room(0))?.session?;
        Some(!state.participant(&id(who))?.censored)
    }

    fn deliver_down(&mut self, who: usize, most: usize) {
        let Some(party) = &mut self.parties[who] else {
            return;
        };
        let sounds = &self.sounds;
        let heard = &mut party.heard;
        for _ in 0..most {
            let Some(mut datagram) = party.down.pop_front() else {
                return;
            };
            if datagram.path != party.path {
                continue;
            }
            let _ = party
                .client
                .handle_datagram(self.now, &mut datagram.bytes, &mut |incoming| {
                    let Incoming::Audio { frame, .. } = incoming else {
                        return;
                    };
                    let [_, high, low] = *frame.payload else {
                        panic!("nobody said {:?}", frame.payload);
                    };
                    let sound = Sound::from_be_bytes([high, low]);
                    let (speaker, may_be_heard) = sounds[usize::from(sound)];
                    assert_ne!(speaker, who, "nobody hears itself");
                    assert!(may_be_heard, "nobody hears who is silenced or out");
                    assert!(heard.insert(sound), "nobody hears a sound twice");
                });
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
        for party in self.parties.iter_mut().flatten() {
            party.client.handle_timeout(self.now);
        }
    }

    /// Takes from all ends what they have to say.
    fn settle_ends(&mut self) {
        self.settle_server();
        let mut out = [0; MAX_DATAGRAM];
        for (who, party) in self.parties.iter_mut().enumerate() {
            let Some(party) = party else {
                continue;
            };
            party.events(who);
            for number in 0.. {
                assert!(number < 200, "the client goes on sending");
                let sent = party.client.poll_transmit(self.now, &mut out);
                let Some(len) = sent.expect("the buffer is large enough") else {
                    break;
                };
                party.up.push_back(Datagram {
                    path: party.path,
                    bytes: out[..len].to_vec(),
                    sounds: party.unsent.clone(),
                });
                if party.up.len() > UNDER_WAY {
                    party.up.pop_front();
                }
            }
            party.unsent.clear();
        }
    }

    fn settle_server(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                server::Event::JoinRequested { join, token, .. } => {
                    let admission = self.admission(&token);
                    let _ = self.server.admit(self.now, join, admission);
                }
                server::Event::RefreshRequested { refresh, token, .. } => {
                    let admission = self.admission(&token);
                    let _ = self.server.refresh(self.now, refresh, Ok(admission));
                }
                _ => {}
            }
        }
        let mut out = [0; MAX_DATAGRAM];
        for number in 0.. {
            assert!(number < 2_000, "the server goes on sending");
            let sent = self.server.poll_transmit(self.now, &mut out);
            let Some(sent) = sent.expect("the buffer is large enough") else {
                return;
            };
            let mut parties = self.parties.iter_mut().flatten();
            if let Some(party) = parties.find(|party| party.path == sent.to) {
                party.down.push_back(Datagram {
                    path: sent.to,
                    bytes: out[..sent.len].to_vec(),
                    sounds: Vec::new(),
                });
                if party.down.len() > UNDER_WAY {
                    party.down.pop_front();
                }
            }
        }
    }

    fn admission(&self, token: &str) -> Admission {
        let who: u8 = token.parse().expect("tokens are numbers here");
        let moderates = who == 0;
        Admission {
            lobby: self.may_wait && who + 1 == CLIENTS,
            ..Admission::new(
                messages::room(0),
                messages::participant(who),
                DisplayName::new(token).expect("a name"),
                if moderates {
                    Grants::all()
                } else {
                    Grants::PARTICIPANT
                },
            )
        }
    }

    fn check(&self) {
        for room in self.server.rooms() {
            let present = room
                .session
                .map_or(0, |(_, state)| state.participants().count());
            assert!(present <= self.config.participants_per_room);
        }
    }

    /// Two minutes without a loss.
    fn heal(&mut self) {
        let end = self.now + Duration::from_secs(120);
        for number in 0.. {
            assert!(number < 20_000, "the room does not come to rest");
            self.settle_ends();
            self.deliver_all();
            self.settle_ends();
            let parties = self.parties.iter().flatten();
            let is_under_way = parties
                .clone()
                .any(|party| !party.up.is_empty() || !party.down.is_empty());
            let wakes = parties.filter_map(|party| party.client.poll_timeout());
            let next = wakes.chain(self.server.poll_timeout()).min();
            let delay = Duration::from_millis(10);
            let next = match next {
                // A datagram takes 10 ms.
                _ if is_under_way => self.now + delay,
                Some(next) => next.max(self.now + delay),
                None => return,
            };
            if next > end {
                return;
            }
            self.now = next;
            self.pass(Duration::ZERO);
        }
    }

    /// What is true in the room, what its participants know of it, and what they wish.
    fn compare(&self) {
        let room = self.server.room(&messages::room(0));
        let state = room.and_then(|room| room.session).map(|(_, state)| state);
        let truth: BTreeMap<_, _> = state
            .into_iter()
            .flat_map(|state| state.participants())
            .map(|participant| (participant.id.clone(), participant.clone()))
            .collect();
        let mut expected = BTreeSet::new();
        for (who, party) in self.parties.iter().enumerate() {
            let Some(party) = party.as_ref().filter(|party| !party.is_over) else {
                continue;
            };
            assert_eq!(
                party.outstanding,
                BTreeSet::new(),
                "{who}: a request without answer"
            );
            if !party.client.is_joined() {
                assert!(party.is_waiting, "{who} wants to be in and is not");
                continue;
            }
            expected.insert(id(who));
            let me = truth
                .get(&id(who))
                .expect("the server knows who has joined");
            let published: BTreeMap<_, _> = me
                .streams
                .iter()
                .map(|stream| (stream.key.clone(), wish(stream)))
                .collect();
            assert_eq!(published, party.wishes, "{who}: published and wished");

            let known = party.client.state();
            assert!(known.is_complete(), "{who} knows the room");
            let known_participants: BTreeMap<ParticipantId, Participant> = known
                .participants()
                .map(|participant| (participant.id.clone(), participant.clone()))
                .collect();
            assert_eq!(
                known_participants, truth,
                "{who}: what it knows and what is"
            );
            let state = state.expect("there is a session");
            assert_eq!(known.active_speaker(), state.active_speaker());
            assert_eq!(known.floor(), state.floor());
            assert_eq!(known.participant_count(), state.participant_count());
            for id in known_participants.keys() {
                assert!(
                    known.attributes(id).eq(state.attributes(id)),
                    "{who} of {id}"
                );
            }
            let lobby = party.client.lobby();
            let may_know = party.client.grants().contains(Grants::ADMIT);
            let waiting = self.server.waiting(&messages::room(0));
            let waiting: Vec<_> = waiting.filter(|_| may_know).cloned().collect();
            assert_eq!(lobby.waiting, waiting, "{who}: the lobby");
            assert_eq!(lobby.count as usize, waiting.len(), "{who}: the lobby");
        }
        let present: BTreeSet<ParticipantId> = truth.into_keys().collect();
        assert_eq!(present, expected, "who is in, and who wants to be");
    }
}

impl World {
    /// One after the other says something, and whoever is to hear it does.
    fn listen(&mut self) {
        for who in 0..self.parties.len() {
            let is_joined = |party: &Party| !party.is_over && party.client.is_joined();
            if !self.parties[who].as_ref().is_some_and(is_joined) {
                continue;
            }
            let wishes = &self.parties[who].as_ref().expect("it is there").wishes;
            let audible = |publish: &Publish| publish.kind == StreamKind::Audio && !publish.muted;
            let can_speak = wishes.values().any(audible);
            let sound = self.say(who, 0x90);
            assert_eq!(
                sound.is_some(),
                can_speak,
                "{who} is published: it may speak"
            );
            for _ in 0..2 {
                self.settle_ends();
                self.deliver_all();
            }
            if let Some(sound) = sound.filter(|sound| self.sounds[usize::from(*sound)].1) {
                for (listener, party) in self.parties.iter().enumerate() {
                    if let Some(party) = party.as_ref().filter(|party| is_joined(party))
                        && listener != who
                        && party.hears_all
                    {
                        assert!(party.heard.contains(&sound), "{listener} hears {who}");
                    }
                }
            }
            // The slots are free for the next.
            self.pass(Duration::from_secs(1));
            self.settle_ends();
            self.deliver_all();
        }
    }
}

fn wish(stream: &parlour_core::room::Stream) -> Publish {
    Publish {
        key: stream.key.clone(),
        kind: stream.kind,
        codec: stream.codec,
        muted: stream.muted,
    }
}

impl Party {
    fn publish(&mut self, publish: Publish) {
        if let Ok(request) = self.client.publish(publish.clone()) {
            self.wishes.insert(publish.key.clone(), publish);
            if let Some(request) = request {
                assert!(
                    self.outstanding.insert(request),
                    "a number is used once at a time"
                );
            }
        }
    }

    fn events(&mut self, who: usize) {
        while let Some(event) = self.client.poll_event() {
            assert!(!self.is_over, "{event:?} after the end");
            match event {
                Event::Replied { request, .. } => {
                    assert!(self.outstanding.remove(&request), "an answer too many");
                }
                Event::Waiting => self.is_waiting = true,
                Event::Joined { .. } => self.is_waiting = false,
                Event::PublishRefused { key, refusal } => {
                    panic!("{who}: {key} is refused, though all is granted: {refusal}");
                }
                Event::Closed(_) => {
                    assert_eq!(self.outstanding, BTreeSet::new(), "without an answer");
                    self.is_over = true;
                }
                _ => {}
            }
        }
        let mut buffer = [0; 640];
        while let Ok(Some(message)) = self.client.poll_message(&mut buffer) {
            let number = message.body.try_into().map(u16::from_be_bytes);
            let number = number.expect("all messages are numbers here");
            let last = self.messages.insert(message.from.clone(), number);
            assert!(last.is_none_or(|last| last < number), "once, and in order");
            assert_ne!(message.from, id(who), "nobody tells itself");
        }
    }
}
