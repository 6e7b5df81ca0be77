//! A server and its participants in one thread, with datagrams carried by hand and time that stands still.

use parlour_core::client::{self, Client, Commands as _, Profile, Small};
use parlour_core::room::{
    Codec, DisplayName, Grants, ParticipantId, RoomId, StreamKey, StreamKind,
};
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::{KeyPair, PublicKey};
use parlour_core::server::{self, Admission, MixConfig, Path, Rate, Server};
use parlour_core::signal::{Publish, SubscribePolicy};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::MAX_DATAGRAM;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// Bytes of sound in a frame: 32 kbit/s.
pub const PAYLOAD: usize = 80;
/// 48 kHz samples in 20 ms.
const SAMPLES: u32 = 960;

/// No limit that a measurement would reach.
const UNLIMITED: Rate = Rate {
    per_second: u32::MAX,
    burst: u32::MAX,
};

/// One room, with all that takes part in it.
pub struct Room {
    pub server: Server,
    pub clients: Vec<Client<Small>>,
    pub now: Instant,
    server_key: PublicKey,
    rng: ChaCha12Rng,
    mic: StreamKey,
    /// What is said, over and over.
    frames: Vec<Vec<u8>>,
    timestamp: u32,
    datagram: Vec<u8>,
}

impl Room {
    /// A room with so many who talk, who come first, and so many who only listen.
    pub fn new(talkers: usize, listeners: usize) -> Self {
        Self::with(
            talkers,
            listeners,
            SubscribePolicy::All,
            vec![FRAME.to_vec()],
        )
    }

    /// The same, in which all hear by `policy` and `frames` are said.
    pub fn with(
        talkers: usize,
        listeners: usize,
        policy: SubscribePolicy,
        frames: Vec<Vec<u8>>,
    ) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let now = Instant::from_micros(1_000_000);
        let keys = KeyPair::generate(&mut rng);
        let server_key = *keys.public();
        let config = server::Config {
            // No limit to joins, and room for those that come while it is measured.
            participants_per_room: 10_000,
            half_open: usize::MAX,
            half_open_per_address: usize::MAX,
            retry_threshold: usize::MAX,
            join_timeout: Duration::from_secs(3_600),
            handshakes: UNLIMITED,
            proven_handshakes: UNLIMITED,
            media: UNLIMITED,
            mix: Some(MixConfig::default()),
            // Those who listen say nothing while they are measured.
            silence: Duration::from_secs(3_600),
            ..server::Config::default()
        };
        let mic = StreamKey::new("mic").expect("a short name");
        let mut room = Self {
            server: Server::new(config, keys, now, &mut rng),
            server_key,
            rng,
            clients: Vec::new(),
            now,
            mic,
            frames,
            timestamp: 0,
            datagram: vec![0; MAX_DATAGRAM],
        };
        for number in 0..talkers + listeners {
            room.add(policy);
            if number < talkers {
                let publish = Publish {
                    key: room.mic.clone(),
                    kind: StreamKind::Audio,
                    codec: Codec::Opus,
                    muted: false,
                };
                let published = room.clients[number].publish(publish);
                published.expect("there is room for one");
            }
        }
        room.settle();
        assert!(room.clients.iter().all(Client::is_joined));
        room
    }

    /// One more participant, which has yet to say Hello.
    fn add(&mut self, policy: SubscribePolicy) {
        let name = format!("participant-{}", self.clients.len());
        let ticket = Ticket {
            host: "memory",
            port: 1,
            server_key: self.server_key,
            token: &name,
        };
        let client = new_client::<Small>(&ticket, policy, self.now, &mut self.rng);
        self.clients.push(client);
    }

    /// So many more participants, up to the answer to their Hello. Gives the number of the first one.
    pub fn knock(&mut self, count: usize) -> usize {
        let first = self.clients.len();
        for number in first..first + count {
            self.add(SubscribePolicy::All);
            self.carry_from(number);
            self.admit();
            self.deliver();
        }
        first
    }

    /// Carries datagrams and admits whoever asks, for three seconds.
    fn settle(&mut self) {
        for _ in 0..300 {
            self.exchange();
            self.now += Duration::from_millis(10);
            for client in &mut self.clients {
                client.handle_timeout(self.now);
            }
            self.server.handle_timeout(self.now);
        }
    }

    /// Carries what there is to carry, once each way.
    pub fn exchange(&mut self) {
        for number in 0..self.clients.len() {
            self.carry_from(number);
        }
        self.admit();
        self.deliver();
    }

    /// Carries what the server has to send; gives whom it was for.
    pub fn deliver(&mut self) -> Vec<usize> {
        let mut sent = Vec::new();
        self.drain(|to, bytes| sent.push((to, bytes.to_vec())));
        let deliver = |(to, mut bytes): (usize, Vec<u8>)| {
            let client = &mut self.clients[to];
            let _ = client.handle_datagram(self.now, &mut bytes, &mut |_| {});
            while client.poll_event().is_some() {}
            to
        };
        sent.into_iter().map(deliver).collect()
    }

    fn admit(&mut self) {
        while let Some(event) = self.server.poll_event() {
            let server::Event::JoinRequested { join, token, .. } = event else {
                continue;
            };
            let admission = Admission::new(
                RoomId::new("bench").expect("a short name"),
                ParticipantId::new(&token).expect("a short name"),
                DisplayName::new(&token).expect("a short name"),
                Grants::PARTICIPANT,
            );
            self.server
                .admit(self.now, join, admission)
                .expect("it has just asked");
        }
    }

    /// Everybody who talks says one frame, which the server takes in.
    pub fn say(&mut self, talkers: usize) {
        self.timestamp = self.timestamp.wrapping_add(SAMPLES);
        for number in 0..talkers {
            self.encode(number);
            self.carry_from(number);
        }
    }

    /// `number` says one frame, which waits to be sent.
    pub fn encode(&mut self, number: usize) {
        let level = AudioLevel::from_byte(0x80 | (20 + number as u8));
        // They do not say the same at the same time.
        let frame = (self.timestamp / SAMPLES) as usize + 50 * number;
        let frame = &self.frames[frame % self.frames.len()];
        self.clients[number]
            .send_audio(self.now, &self.mic, self.timestamp, level, frame)
            .expect("it publishes");
    }

    /// 20 ms later.
    pub fn tick(&mut self) {
        self.now += Duration::from_millis(20);
        self.server.handle_timeout(self.now);
    }

    /// Lets time of the media pass, as `say` does.
    pub fn step(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(SAMPLES);
    }

    /// All that `number` has to send goes to the server.
    pub fn carry_from(&mut self, number: usize) {
        let from = Path::Stream {
            id: number as u64,
            from: std::net::Ipv4Addr::LOCALHOST.into(),
        };
        let (now, client) = (self.now, &mut self.clients[number]);
        while let Ok(Some(len)) = client.poll_transmit(now, &mut self.datagram) {
            let _ = self
                .server
                .handle_datagram(now, from, &mut self.datagram[..len]);
        }
    }

    /// All that the server has to send, with the number of the participant it is for.
    pub fn drain(&mut self, mut each: impl FnMut(usize, &[u8])) {
        while let Ok(Some(sent)) = self.server.poll_transmit(self.now, &mut self.datagram) {
            if let Path::Stream { id: to, .. } = sent.to {
                each(to as usize, &self.datagram[..sent.len]);
            }
        }
    }
}

/// A frame of Opus: 20 ms of fullband sound (CELT, one frame), the contents of which nobody looks at here.
const FRAME: [u8; PAYLOAD] = {
    let mut frame = [0x55; PAYLOAD];
    frame[0] = 31 << 3;
    frame
};

/// The participant of `ticket`.
pub fn new_client<P: Profile>(
    ticket: &Ticket<'_>,
    policy: SubscribePolicy,
    now: Instant,
    rng: &mut ChaCha12Rng,
) -> Client<P> {
    let config = client::Config {
        policy,
        ..client::Config::default()
    };
    Client::new(ticket, &config, now, rng).expect("a ticket as it should be")
}
