//! The server against participants driven by hand, in virtual time.

mod control;
mod deserted;
mod events;
mod history;
mod joining;
mod lasting;
mod limits;
mod managing;
mod media;
#[cfg(feature = "opus-fullband")]
mod mix;
mod pictures;
mod presence;
mod recording;
mod requests;
mod resuming;
mod tap;
mod telling;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::*;
use crate::link::{Ids, Link, Liveness, Received};
use crate::room::*;
use crate::rtp::{AudioLevel, RtpHeader, RtpPacket};
use crate::secure::{InitiatorHandshake, KeyPair, PublicKey};
use crate::signal::*;
use crate::time::{Duration, Instant};
use crate::video::Feedback;
use crate::wire::{ConnectionId, Frame, FrameWriter, Frames, LostList, Packet};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn pid(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

fn room_id(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

fn stream(participant: &str, key: &str) -> StreamRef {
    StreamRef {
        participant: pid(participant),
        key: StreamKey::new(key).unwrap(),
    }
}

fn mic() -> Publish {
    Publish {
        key: StreamKey::new("mic").unwrap(),
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        muted: false,
    }
}

fn camera() -> Publish {
    Publish {
        key: StreamKey::new("cam").unwrap(),
        kind: StreamKind::Video,
        codec: Codec::Vp8,
        muted: false,
    }
}

/// A participant's requests when it joins.
#[derive(Clone)]
struct Hello {
    token: String,
    participants: u16,
    slots: u8,
    policy: SubscribePolicy,
    publish: Vec<Publish>,
    resume: Option<Resume>,
}

impl Hello {
    /// A token names the room and the participant; the test's embedder admits it.
    fn new(token: &str) -> Self {
        Self {
            token: token.to_string(),
            participants: 16,
            slots: 4,
            policy: SubscribePolicy::All,
            publish: Vec::new(),
            resume: None,
        }
    }

    fn publishing(token: &str) -> Self {
        Self {
            publish: Vec::from([mic()]),
            ..Self::new(token)
        }
    }
}

/// The news a participant received, other than of the room.
#[derive(Debug, Clone, PartialEq)]
enum Heard {
    Reply(RequestId, Result<Outcome, Refusal>),
    Deliver(ParticipantId, Vec<u8>),
    Missed(u16),
    Admitted(Joined),
    Knock(ParticipantId, DisplayName),
    KnockEnded(ParticipantId),
    Lobby(u32),
    TokenExpiring(u16),
    Closed(CloseReason),
    GrantsChanged(Grants),
}

/// One participant's end.
struct Peer {
    path: Path,
    client_id: ConnectionId,
    handshake: InitiatorHandshake,
    hello: Vec<u8>,
    link: Option<Link>,
    answer: Option<Answer>,
    heard: Vec<Heard>,
    replica: Replica<64>,
    media: Vec<Vec<u8>>,
    reports: Vec<Vec<u8>>,
    lossy: Vec<Vec<u8>>,
    /// What it is asked for: numbers of lost packets, or a layer of which a key picture is wanted.
    feedback: Vec<(u32, Result<Vec<u16>, u8>)>,
    resets: usize,
    retries: usize,
    next_request: u16,
    /// Frames for its next datagram, beside the link's.
    outbox: Vec<(bool, Vec<u8>)>,
    /// Feedback for its next datagram, as in `feedback`.
    asks: Vec<(u32, Result<Vec<u16>, u8>)>,
    /// Media numbering.
    sequence: u16,
}

impl Peer {
    fn joined(&self) -> &Joined {
        match self.answer.as_ref() {
            Some(Answer::Joined(joined)) => joined,
            other => panic!("not joined: {other:?}"),
        }
    }

    fn ssrc(&self) -> u32 {
        self.joined().streams[0].unwrap()
    }

    fn request(&mut self, operation: Operation<'_>) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let mut buffer = [0; MAX_MESSAGE];
        let len = encode(&Request { id, operation }, &mut buffer).unwrap();
        self.link.as_mut().unwrap().send(&buffer[..len]).unwrap();
        id
    }

    fn reply(&self, id: RequestId) -> Result<Outcome, Refusal> {
        let mut replies = self.heard.iter().filter_map(|heard| match heard {
            Heard::Reply(request, result) if *request == id => Some(*result),
            _ => None,
        });
        let reply = replies.next().expect("no reply");
        assert_eq!(replies.next(), None, "a second reply");
        reply
    }

    fn closed(&self) -> Option<CloseReason> {
        self.heard.iter().find_map(|heard| match heard {
            Heard::Closed(reason) => Some(*reason),
            _ => None,
        })
    }

    /// Queues one 20 ms packet of sound.
    fn speak(&mut self, level: u8) {
        self.send_rtp(self.ssrc(), 111, level, &[7; 40]);
    }

    fn send_rtp(&mut self, ssrc: u32, payload_type: u8, level: u8, payload: &[u8]) {
        let header = RtpHeader {
            marker: false,
            payload_type,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 960,
            ssrc,
            csrcs: &[],
            audio_level: Some(AudioLevel { voice: true, level }),
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = [0; 1200];
        let len = header.write(payload, &mut bytes).unwrap();
        self.outbox.push((true, bytes[..len].to_vec()));
    }

    /// CSRCs of the packets heard since the last call.
    fn take_media(&mut self) -> Vec<(u32, Option<u32>, u16, u32)> {
        core::mem::take(&mut self.media)
            .iter()
            .map(|bytes| {
                let packet = RtpPacket::parse(bytes).unwrap();
                let csrc = packet.csrcs().next();
                (packet.ssrc(), csrc, packet.sequence(), packet.timestamp())
            })
            .collect()
    }

    fn is_caught_up(&self, world: &World, room: &str) -> bool {
        let view = world.server.room(&room_id(room)).unwrap();
        let (_, state) = view.session.unwrap();
        self.replica.is_complete() && self.replica.participants().eq(state.participants())
    }
}

/// A server, participants, and a network that loses datagrams as configured.
struct World {
    server: Server,
    server_key: PublicKey,
    now: Instant,
    rng: ChaCha12Rng,
    peers: Vec<Peer>,
    events: Vec<Event>,
    /// Whether joins are admitted at once, by their tokens.
    admits: bool,
    /// Paths on which nothing gets through.
    dead: Vec<Path>,
    /// The room limits in admissions.
    limits: Option<RoomLimits>,
    /// The number of datagrams lost of 256, either way.
    loss: u8,
    /// Bytes sent by the server, by path.
    sent: BTreeMap<Path, usize>,
    /// The longest sequence of datagrams that one batch led to, by path.
    last_batch: Vec<(Path, usize)>,
}

/// Bits of a token: everything but the lobby.
fn admission(token: &str) -> Admission {
    let mut parts = token.split('/');
    let room = parts.next().unwrap();
    let participant = parts.next().unwrap();
    let options: Vec<&str> = parts.collect();
    let mut grants = Grants::PARTICIPANT;
    if options.contains(&"moderator") {
        grants |= Grants::MODERATOR;
    }
    if options.contains(&"listener") {
        grants = Grants::SUBSCRIBE;
    }
    Admission {
        expires_in: options.contains(&"minute").then_some(ms(60_000)),
        lobby: options.contains(&"lobby"),
        on_duplicate: match options.contains(&"once") {
            true => OnDuplicate::Refuse,
            false => OnDuplicate::Replace,
        },
        attributes: match options.contains(&"hand") {
            true => Vec::from([(
                AttributeKey::new("hand").unwrap(),
                AttributeValue::new("up").unwrap(),
            )]),
            false => Vec::new(),
        },
        ..Admission::new(
            room_id(room),
            pid(participant),
            DisplayName::new(&participant.to_uppercase())
                .unwrap_or_else(|_| DisplayName::new("").unwrap()),
            grants,
        )
    }
}

impl World {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(42);
        let keys = KeyPair::generate(&mut rng);
        let now = Instant::from_micros(1_000_000);
        let server_key = *keys.public();
        Self {
            server: Server::new(config, keys, now, &mut rng),
            server_key,
            now,
            rng,
            peers: Vec::new(),
            events: Vec::new(),
            admits: true,
            dead: Vec::new(),
            limits: None,
            loss: 0,
            sent: BTreeMap::new(),
            last_batch: Vec::new(),
        }
    }

    fn path(number: usize) -> Path {
        let address = core::net::SocketAddr::from(([192, 0, 2, 1], 1000 + number as u16));
        Path::udp(address)
    }

    fn hello(&mut self, hello: &Hello, client_id: ConnectionId) -> (InitiatorHandshake, Vec<u8>) {
        let join = Join {
            token: Secret(&hello.token),
            participants: hello.participants,
            slots: hello.slots,
            policy: hello.policy,
            publish: hello.publish.iter().cloned().collect(),
            resume: hello.resume.clone(),
        };
        let mut payload = [0; MAX_MESSAGE];
        let len = encode(&join, &mut payload).unwrap();
        let mut noise = [0; 1200];
        let (handshake, len) = InitiatorHandshake::start(
            &self.server_key,
            client_id,
            &mut self.rng,
            &payload[..len],
            &mut noise,
        )
        .unwrap();
        let packet = Packet::Hello {
            client_id,
            cookie: None,
            noise: &noise[..len],
        };
        let mut bytes = [0; 1200];
        let len = packet.encode(&mut bytes).unwrap();
        (handshake, bytes[..len].to_vec())
    }

    /// A participant that has yet to send its Hello.
    fn add(&mut self, hello: &Hello) -> usize {
        let index = self.peers.len();
        let client_id = ConnectionId(100 + index as u32);
        let (handshake, bytes) = self.hello(hello, client_id);
        self.peers.push(Peer {
            path: Self::path(index),
            client_id,
            handshake,
            hello: bytes,
            link: None,
            answer: None,
            heard: Vec::new(),
            replica: Replica::default(),
            media: Vec::new(),
            reports: Vec::new(),
            lossy: Vec::new(),
            feedback: Vec::new(),
            resets: 0,
            retries: 0,
            next_request: 0,
            outbox: Vec::new(),
            asks: Vec::new(),
            sequence: 100,
        });
        index
    }

    /// A participant that joins, as far as it gets.
    fn join(&mut self, hello: &Hello) -> usize {
        let index = self.add(hello);
        self.send_hello(index);
        self.run();
        index
    }

    fn send_hello(&mut self, index: usize) {
        let (from, mut bytes) = (self.peers[index].path, self.peers[index].hello.clone());
        let _ = self.deliver(from, &mut bytes);
    }

    /// Begins another handshake over the same signalling.
    fn rejoin(&mut self, index: usize, hello: &Hello) {
        let client_id = ConnectionId(self.peers[index].client_id.0 + 1000);
        let (handshake, bytes) = self.hello(hello, client_id);
        let peer = &mut self.peers[index];
        peer.client_id = client_id;
        peer.handshake = handshake;
        peer.hello = bytes;
        self.send_hello(index);
    }

    /// The Hello with which a participant continues.
    fn resume_hello(&self, index: usize, token: &str) -> Hello {
        let peer = &self.peers[index];
        Hello {
            resume: Some(Resume {
                ticket: peer.joined().resume_ticket,
                version: peer.replica.version_for_resume(),
            }),
            ..Hello::new(token)
        }
    }

    fn deliver(&mut self, from: Path, bytes: &mut [u8]) -> Result<(), Dropped> {
        if self.dead.contains(&from) || self.is_lost() {
            return Ok(());
        }
        self.server.handle_datagram(self.now, from, bytes)
    }

    fn is_lost(&mut self) -> bool {
        (self.rng.next_u32() as u8) < self.loss
    }

    /// A participant's pending output, as one datagram.
    fn compose(&mut self, index: usize) -> Option<Vec<u8>> {
        let now = self.now;
        let peer = &mut self.peers[index];
        let link = peer.link.as_mut()?;
        let outbox = core::mem::take(&mut peer.outbox);
        let asks = core::mem::take(&mut peer.asks);
        let mut out = [0; 1200];
        let len = link
            .compose(now, &mut out, |writer| {
                for (is_media, bytes) in &outbox {
                    let frame = if *is_media {
                        Frame::Media(bytes)
                    } else {
                        Frame::Message(bytes)
                    };
                    writer.push(&frame).unwrap();
                }
                for (ssrc, asked) in &asks {
                    let mut list = LostList::new();
                    for number in asked.iter().flatten() {
                        assert!(list.push(*number));
                    }
                    let feedback = match asked {
                        Ok(_) => Feedback::Lost(list.as_lost().unwrap()),
                        Err(layer) => Feedback::KeyWanted { layer: *layer },
                    };
                    writer.push(&feedback.frame(*ssrc)).unwrap();
                }
            })
            .unwrap()?;
        Some(out[..len].to_vec())
    }

    /// Sends until no participant has anything more to send.
    fn run(&mut self) {
        for _ in 0..200 {
            let mut busy = false;
            for index in 0..self.peers.len() {
                while let Some(mut bytes) = self.compose(index) {
                    busy = true;
                    let from = self.peers[index].path;
                    let _ = self.deliver(from, &mut bytes);
                }
            }
            busy |= self.serve();
            if !busy {
                return;
            }
        }
        panic!("they never stop");
    }

    /// Lets the server do its pending work.
    fn serve(&mut self) -> bool {
        let mut busy = false;
        while let Some(event) = self.server.poll_event() {
            busy = true;
            if let Event::JoinRequested { join, token, .. } = &event
                && self.admits
            {
                let admission = Admission {
                    limits: self.limits,
                    ..admission(token)
                };
                let _ = self.server.admit(self.now, *join, admission);
            }
            self.events.push(event);
        }
        let mut out = [0; 1200];
        self.last_batch.clear();
        let mut queue = VecDeque::new();
        while let Some(sent) = self.server.poll_transmit(self.now, &mut out).unwrap() {
            busy = true;
            *self.sent.entry(sent.to).or_default() += sent.len;
            self.last_batch.push((sent.to, sent.len));
            queue.push_back((sent.to, out[..sent.len].to_vec()));
        }
        while let Some((to, mut bytes)) = queue.pop_front() {
            if self.dead.contains(&to) || self.is_lost() {
                continue;
            }
            if let Some(index) = self.peers.iter().position(|peer| peer.path == to) {
                self.receive(index, &mut bytes);
            }
        }
        busy
    }

    fn receive(&mut self, index: usize, bytes: &mut [u8]) {
        let now = self.now;
        let peer = &mut self.peers[index];
        // An answer to a Hello of another version, which another client sent from here, is not ours.
        let Ok(packet) = Packet::parse(bytes) else {
            return;
        };
        match packet {
            Packet::Welcome { client_id, noise } if client_id == peer.client_id => {
                let mut payload = [0; 1200];
                let Ok(welcomed) = peer.handshake.finish(noise, &mut payload) else {
                    return;
                };
                if peer
                    .link
                    .as_ref()
                    .is_some_and(|link| link.ids().local == client_id)
                {
                    return; // repeated
                }
                let answer: Answer = decode(welcomed.payload).unwrap();
                let ids = Ids {
                    local: client_id,
                    peer: welcomed.server_id,
                };
                match (&answer, &mut peer.link) {
                    (Answer::Joined(joined), Some(link)) if joined.resumed => {
                        link.rekey(welcomed.transport, ids, now);
                    }
                    (Answer::Joined(_) | Answer::Waiting { .. }, link) => {
                        *link = Some(Link::new(welcomed.transport, ids, Duration::MAX, now));
                    }
                    _ => {}
                }
                if let Some(link) = &mut peer.link {
                    link.ping(7);
                }
                peer.answer = Some(answer);
            }
            Packet::Data { .. } => {
                let Some(link) = &mut peer.link else { return };
                let Ok(opened) = link.open(now, bytes) else {
                    return;
                };
                let plaintext = opened.plaintext.to_vec();
                for frame in Frames::new(&plaintext) {
                    let link = peer.link.as_mut().unwrap();
                    match link.receive(now, frame.unwrap()).unwrap() {
                        Received::Signal(sequence, message) => {
                            link.accept(sequence);
                            peer.hear(message);
                        }
                        Received::Media(bytes) => peer.media.push(bytes.to_vec()),
                        Received::Report(bytes) => peer.reports.push(bytes.to_vec()),
                        Received::Message(bytes) => peer.lossy.push(bytes.to_vec()),
                        Received::Feedback(ssrc, feedback) => {
                            let asked = match feedback {
                                Feedback::Lost(lost) => Ok(lost.numbers().collect()),
                                Feedback::KeyWanted { layer } => Err(layer),
                                Feedback::Arrived(_) => continue,
                            };
                            peer.feedback.push((ssrc, asked));
                        }
                        Received::Handled | Received::Redundant | Received::Pong(_) => {}
                    }
                }
            }
            Packet::Reset { .. } => peer.resets += 1,
            Packet::Retry { cookie, .. } => {
                peer.retries += 1;
                let Ok(Packet::Hello {
                    client_id, noise, ..
                }) = Packet::parse(&peer.hello)
                else {
                    unreachable!()
                };
                let again = Packet::Hello {
                    client_id,
                    cookie: Some(cookie),
                    noise,
                };
                let mut bytes = [0; 1200];
                let len = again.encode(&mut bytes).unwrap();
                let from = peer.path;
                let _ = self.deliver(from, &mut bytes[..len]);
            }
            _ => {}
        }
    }

    /// Lets time pass, waking every party at its timeouts.
    fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.run();
        for _ in 0..100_000 {
            let mut next = end;
            let timeouts = self
                .peers
                .iter()
                .filter_map(|peer| peer.link.as_ref()?.poll_timeout());
            for at in timeouts.chain(self.server.poll_timeout()) {
                next = next.min(at.max(self.now));
            }
            self.now = next;
            for peer in &mut self.peers {
                if let Some(link) = &mut peer.link
                    && link.handle_timeout(self.now, || 9) == Liveness::Lost
                {
                    // It does not give up.
                    link.ping(9);
                }
            }
            self.server.handle_timeout(self.now);
            self.run();
            if self.now >= end {
                return;
            }
        }
        panic!("time stands still");
    }

    /// Each of `speakers` sends a packet every 20 ms.
    fn talk(&mut self, duration: Duration, speakers: &[(usize, u8)]) {
        for _ in 0..duration.as_millis() / 20 {
            for (index, level) in speakers {
                self.peers[*index].speak(*level);
            }
            self.advance(ms(20));
        }
    }

    fn ask(&mut self, index: usize, operation: Operation<'_>) -> Result<Outcome, Refusal> {
        let id = self.peers[index].request(operation);
        self.run();
        self.peers[index].reply(id)
    }

    /// The application moderates in the room.
    fn moderate(&mut self, act: Act, selection: &Selection) -> Moderated {
        let (room, now) = (room_id("room"), self.now);
        self.server.moderate(now, &room, act, selection).unwrap()
    }

    fn ids_in(&self, room: &str) -> Vec<String> {
        let Some(view) = self.server.room(&room_id(room)) else {
            return Vec::new();
        };
        view.session
            .iter()
            .flat_map(|(_, state)| state.participants())
            .map(|participant| participant.id.to_string())
            .collect()
    }

    fn left(&self) -> Vec<(String, CloseReason)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::ParticipantLeft {
                    participant,
                    reason,
                    ..
                } => Some((participant.to_string(), *reason)),
                _ => None,
            })
            .collect()
    }
}

impl Peer {
    fn hear(&mut self, message: &[u8]) {
        assert_eq!(self.closed(), None, "something follows Closed");
        let heard = match decode::<ServerMessage<'_>>(message).unwrap() {
            ServerMessage::SnapshotBegin { version } => {
                self.replica.begin_snapshot(version);
                return;
            }
            ServerMessage::Update { version, update } => {
                self.replica.apply(version, &update).unwrap();
                return;
            }
            ServerMessage::SnapshotEnd { version } => {
                self.replica.end_snapshot(version, |_| ()).unwrap();
                return;
            }
            ServerMessage::Reply { request, result } => Heard::Reply(request, result),
            ServerMessage::Deliver { from, body, .. } => Heard::Deliver(from, body.to_vec()),
            ServerMessage::Missed { messages } => Heard::Missed(messages),
            ServerMessage::Admitted(joined) => {
                self.answer = Some(Answer::Joined(joined.clone()));
                Heard::Admitted(joined)
            }
            ServerMessage::Knock { participant, name } => Heard::Knock(participant, name),
            ServerMessage::KnockEnded { participant } => Heard::KnockEnded(participant),
            ServerMessage::TokenExpiring { seconds } => Heard::TokenExpiring(seconds),
            ServerMessage::Closed { reason } => Heard::Closed(reason),
            ServerMessage::GrantsChanged { grants } => Heard::GrantsChanged(grants),
            ServerMessage::Lobby { waiting, .. } => Heard::Lobby(waiting),
        };
        self.heard.push(heard);
    }
}
