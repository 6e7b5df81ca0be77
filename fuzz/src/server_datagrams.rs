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

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlour_core::room::{DisplayName, ParticipantId, RoomId, StreamKey};
use parlour_core::rtp::{AudioLevel, ReportBlock, RtpHeader, write_report};
use parlour_core::secure::KeyPair;
use parlour_core::server::{
    Accounting, Act, Admission, Config, Event, JoinId, Path, Rate, RefreshId, Selection, Server,
};
use parlour_core::signal::{JoinRefusal, Operation, Redirect, Request, RequestId, encode};
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::{Frame, MAX_DATAGRAM, Packet};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::input::Input;
use crate::messages;
use crate::peer::Peer;

const PEERS: u8 = 4;
const PATHS: u8 = 6;
/// Datagrams that are remembered to be sent again.
const CAPTURED: usize = 16;

/// What is known of an address.
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
    /// Who is where by the server's events; `None` if the embedder takes them when it likes.
    model: Option<BTreeMap<RoomId, Room>>,
}

/// Lives a server's life.
pub fn run(data: &[u8]) {
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

    fn media(&mut self, input: &mut Input<'_>) {
        let (peer, from) = self.peer(input);
        let streams = self.peers[peer].streams.clone();
        let which = input.byte();
        let ssrc = match streams.get(usize::from(which & 3)) {
            Some(ssrc) => *ssrc,
            None => u32::from(which),
        };
        let level = input.byte();
        let header = RtpHeader {
            marker: which & 0x80 != 0,
            payload_type: [111, 111, 0, 8, 96, 102, 1, 127][usize::from(which >> 4 & 7)],
            sequence: input.u16(),
            timestamp: input.u32(),
            ssrc,
            csrcs: &[1, 2][..usize::from(which >> 2 & 1)],
            audio_level: (level < 0xf0).then_some(AudioLevel::from_byte(level)),
        };
        let mut bytes = [0; 400];
        let len = header.write(input.bytes(), &mut bytes).expect("it fits");
        self.frame(peer, from, &Frame::Media(&bytes[..len]));
    }

    fn report(&mut self, input: &mut Input<'_>) {
        let (peer, from) = self.peer(input);
        let block = ReportBlock {
            ssrc: self.peers[peer]
                .slot_ssrc
                .wrapping_add(input.below(5).into()),
            fraction_lost: input.byte(),
            jitter: input.u32(),
            highest_sequence: input.u32(),
            ..ReportBlock::default()
        };
        let mut bytes = [0; 64];
        let len = write_report(input.u32(), None, &[block], &mut bytes).expect("it fits");
        self.frame(peer, from, &Frame::Report(&bytes[..len]));
    }

    /// Pongs, pings and acknowledgements, right and wrong.
    fn answer_frames(&mut self, input: &mut Input<'_>) {
        let (peer, from) = self.peer(input);
        match input.below(4) {
            0 => self.acknowledge(peer, from),
            1 => {
                let nonce = input.u32();
                self.frame(peer, from, &Frame::Ping { nonce });
            }
            2 => {
                let next = input.u16();
                self.frame(peer, from, &Frame::Ack { next });
            }
            _ => {
                let nonce = input.u32();
                self.frame(peer, from, &Frame::Pong { nonce });
            }
        }
    }

    fn acknowledge(&mut self, peer: usize, from: Path) {
        let pong = self.peers[peer].pong.take();
        let proves = pong.is_some();
        let next = self.peers[peer].expected;
        let mut frames = vec![Frame::Ack { next }];
        frames.extend(pong.map(|nonce| Frame::Pong { nonce }));
        let sealed = self.peers[peer].seal(&frames);
        self.deliver_sealed(peer, from, sealed, proves);
    }

    fn frame(&mut self, peer: usize, from: Path, frame: &Frame<'_>) {
        let sealed = self.peers[peer].seal(&[*frame]);
        self.deliver_sealed(peer, from, sealed, false);
    }

    fn deliver_sealed(&mut self, peer: usize, from: Path, sealed: Option<Vec<u8>>, proves: bool) {
        let Some(sealed) = sealed else {
            return;
        };
        // Its keys come from a Welcome that was sent to its Hello's address; from there, it has proven it.
        let proves = proves || self.peers[peer].welcomed_at == Some(from);
        if self.deliver(from, sealed) && proves {
            self.traffic.entry(from).or_default().is_proven = true;
        }
    }

    fn replay(&mut self, input: &mut Input<'_>) {
        let which = usize::from(input.byte());
        let elsewhere = input.byte();
        let Some((from, bytes)) = self.captured.get(which % CAPTURED) else {
            return;
        };
        let (mut from, mut bytes) = (*from, bytes.clone());
        if elsewhere & 0x80 != 0 {
            from = path(elsewhere);
        }
        match input.below(4) {
            0 => {}
            1 => {
                let place = usize::from(input.u16()) % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << input.below(8);
                }
            }
            2 => bytes.truncate(usize::from(input.u16())),
            _ => bytes.extend_from_slice(input.bytes()),
        }
        self.deliver(from, bytes);
    }

    /// Hands the server a datagram; whether it was taken.
    fn deliver(&mut self, from: Path, mut bytes: Vec<u8>) -> bool {
        self.traffic.entry(from).or_default().received += bytes.len();
        if self.captured.len() == CAPTURED {
            self.captured.pop_front();
        }
        self.captured.push_back((from, bytes.clone()));
        self.server
            .handle_datagram(self.now, from, &mut bytes)
            .is_ok()
    }

    fn drain(&mut self, lost: u8) {
        let mut out = [0; MAX_DATAGRAM];
        for number in 0.. {
            assert!(number < 2_000, "the server goes on sending");
            let sent = self.server.poll_transmit(self.now, &mut out);
            let Some(sent) = sent.expect("the buffer is large enough") else {
                return;
            };
            let traffic = self.traffic.entry(sent.to).or_default();
            traffic.sent += sent.len;
            assert!(
                traffic.is_proven || sent.to.is_proven() || traffic.sent <= 3 * traffic.received,
                "{} bytes to {:?}, which sent {}",
                traffic.sent,
                sent.to,
                traffic.received
            );
            // The answer to a Hello of another version is not for those who speak this one.
            let is_mismatch = sent.len == 6 && out[0] == 9;
            assert!(is_mismatch || Packet::parse(&out[..sent.len]).is_ok());
            // One bit of eight datagrams each: lost or not.
            if lost & 1 << (number % 8) == 0 {
                for peer in &mut self.peers {
                    peer.receive(sent.to, &out[..sent.len]);
                }
            }
        }
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
            6 => {
                if input.byte() == 0xff {
                    server.shutdown(now);
                }
                Ok(())
            }
            _ => {
                let to = messages::recipients(input);
                let topic = messages::topic(input);
                let sent = server.send(now, &room, &participant, &to, &topic, input.bytes());
                sent.map(|_| ())
            }
        };
    }

    fn events(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match &event {
                Event::JoinRequested { join, .. } => self.asked.push_back(*join),
                Event::RefreshRequested { refresh, .. } => self.refreshes.push_back(*refresh),
                _ => {}
            }
            if let Some(model) = &mut self.model {
                tell(model, event);
            }
        }
    }

    fn check(&self) {
        let Accounting {
            rooms,
            participants,
            half_open,
            ended,
            connection_ids,
            stateless,
            events,
            longest_media_queue,
            longest_message_queue,
            media_buffers,
            ..
        } = self.server.accounting();
        let config = &self.config;
        assert!(rooms <= config.rooms);
        // Those that are being sent away are beyond the limit, for a few seconds each.
        assert!(participants <= config.participants + connection_ids);
        assert!(half_open <= config.half_open);
        assert!(ended <= config.ended);
        assert!(connection_ids <= 2 * participants + half_open);
        assert!(stateless <= 64);
        assert!(events <= config.events + config.half_open + participants);
        assert!(longest_media_queue <= config.queued_media);
        // And one place that says how many are lost.
        assert!(longest_message_queue <= config.queued_messages + 1);
        assert!(media_buffers <= config.media_buffers);
        for room in self.server.rooms() {
            let present = room
                .session
                .map_or(0, |(_, state)| state.participants().count());
            assert!(present <= config.participants_per_room);
            assert!(room.waiting <= config.waiting_per_room);
        }
        if let Some(model) = &self.model {
            assert_eq!(*model, self.truth(), "events and rooms differ");
        }
    }

    fn truth(&self) -> BTreeMap<RoomId, Room> {
        let sessions = self.server.rooms().filter_map(|room| {
            let (_, state) = room.session?;
            let present = state.participants().map(|participant| {
                let streams = participant.streams.iter().map(|stream| stream.key.clone());
                (participant.id.clone(), streams.collect())
            });
            Some((room.room.clone(), present.collect()))
        });
        sessions.collect()
    }

    /// Nobody says anything any more: the server sleeps in the end, and has forgotten all of them.
    fn rest(&mut self) {
        let mut at_once = 0;
        for number in 0.. {
            assert!(number < 3_000, "the server does not come to rest");
            self.drain(0xff);
            self.events();
            let Some(next) = self.server.poll_timeout() else {
                break;
            };
            // What is due may be due since long, as a ping is when something is said after a long silence.
            at_once = if next > self.now { 0 } else { at_once + 1 };
            assert!(at_once <= 8, "the server wakes for nothing");
            self.now = self.now.max(next);
            self.server.handle_timeout(self.now);
        }
        self.check();
        let empty = Accounting {
            media_bytes: self.server.accounting().media_bytes,
            ended: self.server.accounting().ended,
            ..Accounting::default()
        };
        assert_eq!(self.server.accounting(), empty);
    }
}

fn admission(how: u8, input: &mut Input<'_>) -> Admission {
    let bits = input.u16();
    Admission {
        expires_in: (bits & 0x4000 != 0).then_some(Duration::from_secs(20)),
        lobby: bits & 0x2000 != 0,
        ..Admission::new(
            messages::room(how >> 7),
            messages::participant(how >> 4),
            DisplayName::new("Ada").expect("a name"),
            messages::grants(bits),
        )
    }
}

/// Takes an event into the model, which panics if it cannot be.
fn tell(model: &mut BTreeMap<RoomId, Room>, event: Event) {
    match event {
        Event::SessionStarted { room, .. } => {
            assert!(
                model.insert(room, Room::new()).is_none(),
                "a session starts once"
            );
        }
        Event::SessionEnded { room, .. } => {
            let left = model
                .remove(&room)
                .expect("a session that ends has started");
            assert!(left.is_empty(), "nobody is in a session that has ended");
        }
        Event::ParticipantJoined {
            room, participant, ..
        } => {
            let room = model.get_mut(&room).expect("a session");
            assert!(
                room.insert(participant, BTreeSet::new()).is_none(),
                "it joins once"
            );
        }
        Event::ParticipantLeft {
            room, participant, ..
        } => {
            let room = model.get_mut(&room).expect("a session");
            assert!(room.remove(&participant).is_some(), "who leaves has joined");
        }
        Event::ParticipantResumed {
            room, participant, ..
        }
        | Event::ParticipantConnection {
            room, participant, ..
        }
        | Event::GrantsChanged {
            room, participant, ..
        }
        | Event::ParticipantCensored {
            room, participant, ..
        }
        | Event::AttributeChanged {
            room, participant, ..
        } => {
            assert!(model[&room].contains_key(&participant));
        }
        Event::StreamPublished {
            room,
            participant,
            stream,
            ..
        } => {
            let room = model.get_mut(&room).expect("a session");
            let streams = room.get_mut(&participant).expect("a participant");
            assert!(streams.insert(stream.key), "it is published once");
        }
        Event::StreamUnpublished {
            room,
            participant,
            key,
            ..
        } => {
            let room = model.get_mut(&room).expect("a session");
            let streams = room.get_mut(&participant).expect("a participant");
            assert!(streams.remove(&key), "what is unpublished was published");
        }
        Event::EventsMissed { count } => panic!("{count} events missed though all were taken"),
        _ => {}
    }
}
