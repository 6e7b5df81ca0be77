//! A whole room: up to five true clients, a true server, and a network that does as the input says.
//!
//! Input: one byte of configuration, then steps: commands, sounds, deliveries, losses, duplicates, reorderings, time,
//! changes of address, crashes. At the end the network heals, and two minutes pass.
//!
//! The model is small: each client's lasting wishes, known from the commands that it accepted. Always: nobody hears
//! itself, nor anything twice, nor audio of a speaker that was censored or out; messages of one sender come in order
//! and once; each request is answered once; the room is never fuller than it may be. When the network has healed:
//! each client that wants to be in the room is, publishes its wished streams and nothing else, all know the same of
//! it, and all hear each other.

#[path = "operations/network.rs"]
mod network;
#[path = "operations/outcome.rs"]
mod outcome;
#[path = "operations/party.rs"]
mod party;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlour_core::client::{Capacity, Client, Commands as _, Config};
use parlour_core::room::{MAX_WAITING, ParticipantId, StreamKind, Topic};
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::KeyPair;
use parlour_core::server::{self, Act, Path, Selection, Server};
use parlour_core::signal::{Publish, Recipients};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use parlour_fuzz::input::Input;
use parlour_fuzz::messages;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use self::party::Party;

const CLIENTS: u8 = 5;
/// As `Small`, with a place for every attribute that all may have, and for waiting participants.
type Device = Capacity<8, 2, 4, 768, 1200, 40, MAX_WAITING>;
/// Datagrams under way in one direction of one link; more are lost, the oldest first.
const UNDER_WAY: usize = 32;
const SECRET: [u8; 32] = [9; 32];

/// One frame of sound, as its payload names it.
type Sound = u16;

struct World {
    server: Server,
    config: server::Config,
    now: Instant,
    rng: ChaCha12Rng,
    parties: Vec<Option<Party>>,
    sockets: u16,
    /// The speaker of each sound, and whether it may be heard.
    sounds: Vec<(usize, bool)>,
    said: u16,
    may_wait: bool,
}

fn main() {
    parlour_fuzz::search(run);
}

/// Lives a room's life.
pub(crate) fn run(data: &[u8]) {
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
        let _ = match input.below(7) {
            0 => server
                .moderate(now, &room, Act::Kick { keep_out: true }, &whom)
                .map(drop),
            1 => server.moderate(now, &room, Act::Censor, &whom).map(drop),
            2 => server.moderate(now, &room, Act::Uncensor, &whom).map(drop),
            3 => server.moderate(now, &room, Act::Admit, &whom).map(drop),
            4 => server.moderate(now, &room, Act::Deny, &whom).map(drop),
            5 => {
                let known = server.room(&room).and_then(|room| room.session);
                let session = known.map(|(session, _)| session);
                session.map_or(Ok(()), |session| {
                    server.record(now, &room, session, input.flag())
                })
            }
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

    fn restart(&mut self) {
        let keys = KeyPair::from_secret_bytes(SECRET);
        self.server = Server::new(self.config.clone(), keys, self.now, &mut self.rng);
    }
    fn check(&self) {
        for room in self.server.rooms() {
            let present = room
                .session
                .map_or(0, |(_, state)| state.participants().count());
            assert!(present <= self.config.participants_per_room);
        }
    }
}
