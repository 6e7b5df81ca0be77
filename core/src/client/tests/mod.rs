//! Clients against the real server, in virtual time over a network that the test rules.

mod hostile;
mod joining;
mod media;
mod memory;
mod messages;
mod reconnecting;
mod room;
mod speaking;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::room::*;
use crate::rtp::AudioLevel;
use crate::secure::{KeyPair, PublicKey};
use crate::server::{self, Act, Admission, Path, Server};
use crate::signal::*;
use crate::ticket::Ticket;
use crate::time::{Duration, Instant};
use crate::wire::MAX_DATAGRAM;

const LEVEL: AudioLevel = AudioLevel {
    voice: true,
    level: 20,
};
/// SILK wideband, one frame of 20 ms.
const OPUS: [u8; 4] = [0x48, 1, 2, 3];
const ONE_WAY: Duration = Duration::from_millis(10);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn pid(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

fn key(name: &str) -> StreamKey {
    StreamKey::new(name).unwrap()
}

fn room_id() -> RoomId {
    RoomId::new("room").unwrap()
}

fn stream(participant: &str, stream: &str) -> StreamRef {
    StreamRef {
        participant: pid(participant),
        key: key(stream),
    }
}

fn publish(name: &str, kind: StreamKind, codec: Codec) -> Publish {
    Publish {
        key: key(name),
        kind,
        codec,
        muted: false,
    }
}

fn mic() -> Publish {
    publish("mic", StreamKind::Audio, Codec::Opus)
}

fn screen() -> Publish {
    publish("screen", StreamKind::Screen, Codec::Vp8)
}

/// A frame of sound that was received: slot, SSRC of the speaker, timestamp.
type Heard = (u8, Option<u32>, u64);

/// A client, its way to the server, and all that came out of it.
struct Node {
    client: Client<Small>,
    path: Path,
    /// Whether packets get through, in either direction.
    up: bool,
    events: Vec<Event>,
    heard: Vec<Heard>,
    /// The numbers of those frames.
    sequences: Vec<u64>,
    media: Vec<(u32, Vec<u8>)>,
    lossy: Vec<Vec<u8>>,
    sent: usize,
    timestamp: u32,
}

impl Node {
    fn has(&self, event: &Event) -> bool {
        self.events.contains(event)
    }

    fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| matches(event)).count()
    }

    fn reply(&self, request: RequestId) -> Result<Outcome, RequestFailure> {
        let mut replies = self.events.iter().filter_map(|event| match event {
            Event::Replied {
                request: answered,
                result,
            } if *answered == request => Some(*result),
            _ => None,
        });
        let reply = replies.next().expect("no reply");
        assert_eq!(replies.next(), None, "a second reply");
        reply
    }

    /// The next 20 ms of sound.
    fn speak(&mut self, now: Instant) -> Result<(), SendError> {
        self.timestamp += 960;
        (self.client).send_audio(now, &key("mic"), self.timestamp, LEVEL, &OPUS)
    }
}

struct World {
    now: Instant,
    keys: KeyPair,
    rng: ChaCha12Rng,
    server: Server,
    /// Participants without the moderator's grants have to wait in the lobby.
    lobby: bool,
    /// The refusal of every join.
    refusal: Option<JoinRefusal>,
    /// The tokens of the joins.
    tokens: Vec<String>,
    /// Whether the server's application ends each stream as soon as it is published.
    ends_streams: bool,
    /// Where every join is sent.
    redirect: Option<core::net::SocketAddr>,
    nodes: Vec<Node>,
    /// Datagrams on their way: when they arrive, whose they are, whether to the server.
    flying: Vec<(Instant, usize, bool, Vec<u8>)>,
}

impl World {
    fn new() -> Self {
        Self::with(server::Config::default())
    }

    fn with(config: server::Config) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(7);
        let now = Instant::from_micros(1_000_000);
        let keys = KeyPair::generate(&mut rng);
        Self {
            now,
            server: Server::new(config, keys.clone(), now, &mut rng),
            keys,
            rng,
            lobby: false,
            refusal: None,
            tokens: Vec::new(),
            ends_streams: false,
            redirect: None,
            nodes: Vec::new(),
            flying: Vec::new(),
        }
    }

    fn restart_server(&mut self) {
        let config = server::Config::default();
        self.server = Server::new(config, self.keys.clone(), self.now, &mut self.rng);
    }

    /// A client whose token is its name; a capital letter makes it a moderator.
    fn client(&mut self, name: &str) -> usize {
        self.client_with(name, &Config::default())
    }

    fn client_with(&mut self, name: &str, config: &Config) -> usize {
        let ticket = ticket(self.keys.public(), name);
        let client = Client::new(&ticket, config, self.now, &mut self.rng).unwrap();
        let index = self.nodes.len();
        let port = 5000 + u16::try_from(index).unwrap();
        self.nodes.push(Node {
            client,
            path: Path::udp(([192, 0, 2, 1], port).into()),
            up: true,
            events: Vec::new(),
            heard: Vec::new(),
            sequences: Vec::new(),
            media: Vec::new(),
            lossy: Vec::new(),
            sent: 0,
            timestamp: 0,
        });
        index
    }

    /// A client that is in the session, with its microphone published.
    fn joined(&mut self, name: &str) -> usize {
        let index = self.client(name);
        self.nodes[index].client.publish(mic()).unwrap();
        self.run(ms(100));
        assert!(self.nodes[index].client.is_joined(), "{name}");
        index
    }

    fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    fn client_mut(&mut self, index: usize) -> &mut Client<Small> {
        &mut self.nodes[index].client
    }

    /// Lets time pass.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.exchange();
            let timeouts = self.nodes.iter().map(|node| node.client.poll_timeout());
            let arrivals = self.flying.iter().map(|(at, ..)| Some(*at));
            let next = timeouts
                .chain(arrivals)
                .chain([self.server.poll_timeout()])
                .flatten()
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.arrive();
            self.server.handle_timeout(self.now);
            for node in &mut self.nodes {
                node.client.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    /// Speaks for `millis`, in frames of 20 ms.
    fn speak(&mut self, index: usize, millis: u64) {
        for _ in 0..millis / 20 {
            let now = self.now;
            self.node(index).speak(now).unwrap();
            self.run(ms(20));
        }
    }

    fn arrive(&mut self) {
        let now = self.now;
        let flying = core::mem::take(&mut self.flying);
        let (due, later) = flying.into_iter().partition(|(at, ..)| *at <= now);
        self.flying = later;
        let mut due: Vec<_> = due;
        due.sort_by_key(|(at, ..)| *at);
        for (_, index, to_server, mut datagram) in due {
            let node = &mut self.nodes[index];
            if !node.up {
                continue;
            }
            if to_server {
                let _ = self.server.handle_datagram(now, node.path, &mut datagram);
            } else {
                let (heard, sequences) = (&mut node.heard, &mut node.sequences);
                let (media, lossy) = (&mut node.media, &mut node.lossy);
                let mut receive = |incoming: Incoming<'_>| match incoming {
                    Incoming::Audio { slot, frame } => {
                        heard.push((slot, frame.speaker, frame.timestamp));
                        sequences.push(frame.sequence);
                    }
                    Incoming::Media(packet) => {
                        media.push((packet.ssrc(), packet.payload().to_vec()));
                    }
                    Incoming::Feedback { .. } => {}
                    Incoming::Message(message) => lossy.push(message.body.to_vec()),
                };
                let _ = node
                    .client
                    .handle_datagram(now, &mut datagram, &mut receive);
            }
        }
    }

    /// Drains all outputs. It must come to an end at one moment.
    fn exchange(&mut self) {
        self.answer();
        let (now, mut out) = (self.now, [0; MAX_DATAGRAM]);
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let mut datagrams = 0;
            while let Some(len) = node.client.poll_transmit(now, &mut out).unwrap() {
                datagrams += 1;
                assert!(datagrams < 50, "a flood");
                node.sent += 1;
                let datagram = out[..len].to_vec();
                self.flying.push((now + ONE_WAY, index, true, datagram));
            }
            while let Some(event) = node.client.poll_event() {
                node.events.push(event);
            }
            let due = node.client.poll_timeout();
            assert!(due.is_none_or(|due| due > now), "nothing is sent: {due:?}");
        }
        while let Some(sent) = self.server.poll_transmit(now, &mut out).unwrap() {
            let receiver = self.nodes.iter().position(|node| node.path == sent.to);
            if let Some(index) = receiver {
                let datagram = out[..sent.len].to_vec();
                self.flying.push((now + ONE_WAY, index, false, datagram));
            }
        }
    }

    fn answer(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                server::Event::JoinRequested { join, token, .. } => {
                    let now = self.now;
                    self.tokens.push(token.to_string());
                    if let Some(refusal) = self.refusal {
                        self.server.refuse(now, join, refusal).unwrap();
                    } else if let Some(to) = self.redirect {
                        self.server.redirect(now, join, to.into()).unwrap();
                    } else {
                        let admission = self.admission(&token);
                        self.server.admit(now, join, admission).unwrap();
                    }
                }
                server::Event::StreamPublished {
                    room,
                    participant,
                    stream,
                    ..
                } if self.ends_streams => {
                    let ended = (self.server).unpublish(self.now, &room, &participant, &stream.key);
                    ended.unwrap();
                }
                server::Event::RefreshRequested { refresh, token, .. } => {
                    let admission = self.admission(&token);
                    let answer = if token.contains("bad") {
                        Err(())
                    } else {
                        Ok(admission)
                    };
                    self.server.refresh(self.now, refresh, answer).unwrap();
                }
                _ => {}
            }
        }
    }

    /// A token is a name, and whatever follows a dot.
    fn admission(&self, token: &str) -> Admission {
        let name = token.split('.').next().unwrap().to_string();
        let moderator = name.starts_with(char::is_uppercase);
        let powers = if moderator {
            Grants::MODERATOR
        } else {
            Grants::empty()
        };
        let lacking = if token.contains("audio") {
            Grants::PUBLISH_SCREEN
        } else {
            Grants::empty()
        };
        Admission {
            expires_in: token.contains("short").then_some(secs(20)),
            lobby: self.lobby && !moderator,
            ..Admission::new(
                room_id(),
                pid(&name),
                DisplayName::new(&name).unwrap(),
                (Grants::PARTICIPANT | powers) - lacking,
            )
        }
    }

    fn names(&self, index: usize) -> Vec<String> {
        let participants = self.nodes[index].client.state().participants();
        participants.map(|p| p.id.to_string()).collect()
    }
}

fn ticket<'a>(server_key: &PublicKey, token: &'a str) -> Ticket<'a> {
    Ticket {
        host: "127.0.0.1",
        port: 7900,
        server_key: *server_key,
        token,
    }
}
