//! While people talk, the server allocates nothing: what it needed, it has.

use std::net::SocketAddr;

use parlour_core::client::{self, Client, Commands as _, Incoming, Small};
use parlour_core::room::{
    Codec, DisplayName, Grants, ParticipantId, RoomId, StreamKey, StreamKind,
};
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::KeyPair;
use parlour_core::server::{Admission, Config, Event, Gather, Path, Server};
use parlour_core::signal::Publish;
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

const TALKERS: usize = 3;
const EVERYBODY: usize = 12;
/// How often the world is looked at, and how often a talker talks.
const STEP: Duration = Duration::from_millis(5);
const FRAME_STEPS: u64 = 4;

struct World {
    now: Instant,
    server: Server,
    clients: Vec<Client<Small>>,
    mic: StreamKey,
    heard: u64,
}

impl World {
    fn new(gather: Gather) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let now = Instant::from_micros(0);
        let keys = KeyPair::generate(&mut rng);
        let server_key = *keys.public();
        let config = Config {
            gather,
            ..Config::default()
        };
        let server = Server::new(config, keys, now, &mut rng);
        let mic = StreamKey::new("mic").unwrap();
        let clients = (0..EVERYBODY).map(|n| {
            let ticket = Ticket {
                host: "memory",
                port: 1,
                server_key,
                token: &format!("p{n}"),
            };
            let config = client::Config::default();
            let mut client = Client::new(&ticket, &config, now, &mut rng).unwrap();
            if n < TALKERS {
                let (key, kind, codec) = (mic.clone(), StreamKind::Audio, Codec::Opus);
                let publish = Publish {
                    key,
                    kind,
                    codec,
                    muted: false,
                };
                client.publish(publish).unwrap();
            }
            client
        });
        Self {
            now,
            server,
            clients: clients.collect(),
            mic,
            heard: 0,
        }
    }

    /// Where participant `n` is, or who is there.
    fn address(n: usize) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], n as u16))
    }

    fn run_for(&mut self, time: Duration, talking: bool) {
        let end = self.now + time;
        let mut datagram = [0; 1200];
        while self.now < end {
            let (now, server) = (self.now, &mut self.server);
            for (n, client) in self.clients.iter_mut().enumerate() {
                client.handle_timeout(now);
                // Each at a time of its own.
                let step = now.as_micros() / STEP.as_micros() as u64 + n as u64;
                if talking && n < TALKERS && step.is_multiple_of(FRAME_STEPS) {
                    let timestamp = (now.as_micros() * 48 / 1000) as u32;
                    let (level, payload) = (AudioLevel::from_byte(0x80 | 20), [0x78; 80]);
                    client
                        .send_audio(now, &self.mic, timestamp, level, &payload)
                        .unwrap();
                }
                while let Some(len) = client.poll_transmit(now, &mut datagram).unwrap() {
                    let from = Path::udp(Self::address(n));
                    server
                        .handle_datagram(now, from, &mut datagram[..len])
                        .unwrap();
                }
                while client.poll_event().is_some() {}
            }
            server.handle_timeout(now);
            while let Some(event) = server.poll_event() {
                if let Event::JoinRequested { join, token, .. } = event {
                    let admission = Admission::new(
                        RoomId::new("room").unwrap(),
                        ParticipantId::new(&token).unwrap(),
                        DisplayName::new("").unwrap(),
                        Grants::PARTICIPANT,
                    );
                    server.admit(now, join, admission).unwrap();
                }
            }
            while let Some(sent) = server.poll_transmit(now, &mut datagram).unwrap() {
                let Path::Udp { remote: to, .. } = sent.to else {
                    panic!("{sent:?}");
                };
                let client = &mut self.clients[usize::from(to.port())];
                let bytes = &mut datagram[..sent.len];
                client
                    .handle_datagram(now, bytes, &mut |incoming| {
                        self.heard += u64::from(matches!(incoming, Incoming::Audio { .. }));
                    })
                    .unwrap();
            }
            self.now += STEP;
        }
    }
}

fn talking_allocates_nothing(gather: Gather) {
    let mut world = World::new(gather);
    world.run_for(Duration::from_secs(1), false);
    assert!(world.clients.iter().all(Client::is_joined));
    // Queues and buffers grow to what talking takes.
    world.run_for(Duration::from_secs(10), true);
    let before = world.heard;
    let allocated = allocation_counter::measure(|| world.run_for(Duration::from_secs(5), true));
    let heard = world.heard - before;
    // Each of three talkers is heard by all others.
    assert_eq!(heard, 5 * 50 * (TALKERS * (EVERYBODY - 1)) as u64);
    assert_eq!(allocated.count_total, 0, "for {heard} frames");
}

#[test]
fn forwarding_allocates_nothing() {
    talking_allocates_nothing(Gather::Always(Duration::ZERO));
}

#[test]
fn gathering_allocates_nothing() {
    talking_allocates_nothing(Gather::Always(Duration::from_millis(5)));
}
