//! A live server between peers that hold its keys and say what they like, strangers, and an embedder that answers or
//! does not.
//!
//! Input: one byte of configuration, then steps. A peer's packets are sealed as a client's would be, since no search
//! guesses a cipher's key: what is hostile is inside of them. Beside that come arbitrary datagrams, and captured ones,
//! altered and from elsewhere.
//!
//! Always: tables and queues within their limits; no address that is not proven gets more than three times what it
//! sent; the server's messages decode; its events tell the same story as its rooms; it comes to rest. At the end, when
//! all peers are silent, it forgets everything.

#[path = "server_datagrams/packets.rs"]
mod packets;
#[path = "server_datagrams/peer.rs"]
mod peer;
#[path = "server_datagrams/story.rs"]
mod story;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlour_core::room::{DisplayName, ParticipantId, RoomId, StreamKey};
use parlour_core::secure::KeyPair;
use parlour_core::server::{
    Act, Admission, Config, JoinId, OnDuplicate, Path, Rate, RefreshId, RoomLimits, Selection,
    Server,
};
use parlour_core::signal::{JoinRefusal, Operation, Redirect, Request, RequestId, encode};
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::Frame;
use parlour_fuzz::input::Input;
use parlour_fuzz::messages::{self, CLOSE_REASONS};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use self::peer::Peer;

const PEERS: u8 = 4;
const PATHS: u8 = 6;
/// Datagrams that are remembered to be sent again.
const CAPTURED: usize = 16;

/// The traffic of an address.
#[derive(Default)]
struct Traffic {
    received: usize,
    sent: usize,
    is_proven: bool,
}

type Room = BTreeMap<ParticipantId, BTreeSet<StreamKey>>;

struct World {
    server: Server,
    config: Config,
    now: Instant,
    rng: ChaCha12Rng,
    keys: KeyPair,
    peers: Vec<Peer>,
    captured: VecDeque<(Path, Vec<u8>)>,
    asked: VecDeque<JoinId>,
    refreshes: VecDeque<RefreshId>,
    traffic: BTreeMap<Path, Traffic>,
    /// The participants of each room, by the server's events; `None` if the embedder polls events when it likes.
    model: Option<BTreeMap<RoomId, Room>>,
}

fn main() {
    parlour_fuzz::search(run);
}

/// Lives a server's life.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let mut world = World::new(how);
    while let Some(opcode) = input.opcode() {
        world.step(opcode, &mut input);
        world.check();
    }
    world.rest();
}

fn config(how: u8) -> Config {
    let rate = Rate {
        per_second: 10,
        burst: if how & 1 == 0 { 1_000 } else { 6 },
    };
    Config {
        rooms: 2,
        participants_per_room: 3,
        waiting_per_room: 2,
        participants: 5,
        half_open: 5,
        retry_threshold: if how & 2 == 0 { 4 } else { 0 },
        streams: 3,
        subscriptions: 2,
        slots: 3,
        requests: rate,
        messages: rate,
        media: rate,
        audio: Rate {
            per_second: 10_000,
            burst: 1_040 * rate.burst,
        },
        resets: rate,
        queued_messages: 3,
        queued_media: 6,
        media_buffers: 12,
        events: if how & 4 == 0 { 1_000 } else { 3 },
        room_log: if how & 8 == 0 { 64 } else { 3 },
        kicked: 2,
        ..Config::default()
    }
}

fn path(number: u8) -> Path {
    match number % PATHS {
        5 => Path::Stream {
            id: 5,
            from: core::net::Ipv4Addr::LOCALHOST.into(),
        },
        number => Path::udp(([192, 0, 2, number], 5_000).into()),
    }
}

impl World {
    fn new(how: u8) -> Self {
        let mut rng = ChaCha12Rng::from_seed([how; 32]);
        let keys = KeyPair::from_secret_bytes([9; 32]);
        let now = Instant::from_micros(1_000_000);
        let config = config(how);
        Self {
            server: Server::new(config.clone(), keys.clone(), now, &mut rng),
            model: (how & 4 == 0).then(BTreeMap::new),
            config,
            now,
            rng,
            keys,
            peers: (0..PEERS).map(|number| Peer::new(path(number))).collect(),
            captured: VecDeque::new(),
            asked: VecDeque::new(),
            refreshes: VecDeque::new(),
            traffic: BTreeMap::new(),
        }
    }

    fn step(&mut self, opcode: u8, input: &mut Input<'_>) {
        match opcode % 18 {
            0 => {
                let from = path(input.byte());
                self.deliver(from, input.bytes().to_vec());
            }
            1 => self.hello(input),
            2 => self.decide(input),
            3 => {
                let (peer, from) = self.peer(input);
                let hello = self.peers[peer].hello.clone();
                self.deliver(from, hello);
            }
            4 => {
                let (peer, from) = self.peer(input);
                let plaintext = input.long_bytes();
                let sealed = self.peers[peer].seal_bytes(plaintext);
                self.deliver_sealed(peer, from, sealed, false);
            }
            5 => {
                let (peer, from) = self.peer(input);
                let message = input.bytes();
                self.signal(peer, from, message);
            }
            6 => self.request(input),
            7 => self.media(input),
            8 => {
                let lost = input.byte();
                self.drain(lost);
            }
            9 => self.pass(input.duration()),
            10 => self.replay(input),
            11 => self.command(input),
            12 => self.answer_frames(input),
            13 => self.report(input),
            14 => {
                let (peer, from) = self.peer(input);
                let body = input.bytes();
                self.frame(peer, from, &Frame::Message(body));
            }
            15 => {
                // Everything as it should be: all that is said arrives, and is answered.
                self.drain(0);
                for peer in 0..self.peers.len() {
                    let from = self.peers[peer].home;
                    self.acknowledge(peer, from);
                }
                self.drain(0);
            }
            16 => self.events(),
            _ => self.refresh(input),
        }
        if self.model.is_some() {
            self.events();
        }
    }

    fn peer(&self, input: &mut Input<'_>) -> (usize, Path) {
        let byte = input.byte();
        let peer = usize::from(byte % PEERS);
        // From where it always is, as a rule.
        let from = match byte >> 4 {
            0..8 => self.peers[peer].home,
            other => path(other),
        };
        (peer, from)
    }

    fn hello(&mut self, input: &mut Input<'_>) {
        let (peer, from) = self.peer(input);
        let payload = if input.flag() {
            messages::join(input, self.peers[peer].ticket)
        } else {
            input.bytes().to_vec()
        };
        let id = input.byte();
        let hello = self.peers[peer].greet(self.keys.public(), id, &payload, &mut self.rng);
        self.deliver(from, hello);
    }

    fn decide(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let Some(join) = self.asked.pop_front() else {
            return;
        };
        match how & 7 {
            0 => {
                let _ = self
                    .server
                    .refuse(self.now, join, JoinRefusal::InvalidToken);
            }
            1 => {
                let to = Redirect::Address(([198, 51, 100, 2], 7_900).into());
                let _ = self.server.redirect(self.now, join, to);
            }
            _ => {
                let admission = admission(how, input);
                let _ = self.server.admit(self.now, join, admission);
            }
        }
    }

    fn refresh(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        if let Some(refresh) = self.refreshes.pop_front() {
            let answer = if how & 1 == 0 {
                Ok(admission(how, input))
            } else {
                Err(())
            };
            let _ = self.server.refresh(self.now, refresh, answer);
        }
    }

    fn request(&mut self, input: &mut Input<'_>) {
        let (peer, from) = self.peer(input);
        let id = RequestId(input.byte().into());
        let operation: Operation<'_> = messages::operation(input);
        let mut buffer = [0; 1024];
        if let Ok(len) = encode(&Request { id, operation }, &mut buffer) {
            self.signal(peer, from, &buffer[..len]);
        }
    }

    fn signal(&mut self, peer: usize, from: Path, message: &[u8]) {
        let sequence = self.peers[peer].next_signal();
        self.frame(peer, from, &Frame::Signal { sequence, message });
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
    }

    fn command(&mut self, input: &mut Input<'_>) {
        let how = input.byte();
        let room = messages::room(how >> 7);
        let participant = messages::participant(how >> 4);
        let (server, now) = (&mut self.server, self.now);
        let whom = Selection::from(&participant);
        let _ = match how & 7 {
            0 => server
                .moderate(now, &room, Act::Kick { keep_out: true }, &whom)
                .map(drop),
            1 => server.moderate(now, &room, Act::Censor, &whom).map(drop),
            2 => server.moderate(now, &room, Act::Uncensor, &whom).map(drop),
            3 => server.moderate(now, &room, Act::Admit, &whom).map(drop),
            4 => server.moderate(now, &room, Act::Deny, &whom).map(drop),
            5 => server.end_session(now, &room),
            6 => match input.byte() {
                0xff => {
                    server.shutdown(now);
                    Ok(())
                }
                0xf0.. => server.close_room(now, &room, input.choose(&CLOSE_REASONS)),
                what => match what & 3 {
                    0 => server.unpublish(now, &room, &participant, &messages::key(what >> 2)),
                    1 => {
                        let grants = messages::grants(input.u16());
                        server.set_grants(now, &room, &participant, grants)
                    }
                    2 => server.set_room_limits(now, &room, limits(what)),
                    _ => Ok(()),
                },
            },
            _ => {
                let to = messages::recipients(input);
                let topic = messages::topic(input);
                let sent = server.send(now, &room, &participant, &to, &topic, input.bytes());
                sent.map(|_| ())
            }
        };
    }
}

fn admission(how: u8, input: &mut Input<'_>) -> Admission {
    let bits = input.u16();
    let name = DisplayName::new("Ada").expect("a name");
    let (room, who) = (messages::room(how >> 7), messages::participant(how >> 4));
    Admission {
        expires_in: (bits & 0x4000 != 0).then_some(Duration::from_secs(20)),
        lobby: bits & 0x2000 != 0,
        limits: (bits & 0x1000 != 0).then(|| limits(how)),
        on_duplicate: match bits & 0x0800 {
            0 => OnDuplicate::Replace,
            _ => OnDuplicate::Refuse,
        },
        ..Admission::new(room, who, name, messages::grants(bits))
    }
}

fn limits(how: u8) -> RoomLimits {
    let seconds = |bit: u8, seconds| (how & bit != 0).then_some(Duration::from_secs(seconds));
    RoomLimits {
        max_participants: (how & 4 != 0).then_some(2),
        empty_timeout: seconds(8, 2),
        solo_timeout: seconds(16, 10),
        max_session: seconds(32, 30),
    }
}
