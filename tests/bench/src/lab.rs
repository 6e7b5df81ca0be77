//! A server and participants, all in this process, with nothing between them.

use std::net::SocketAddr;

use parlour_core::client::{self, Client, Small};
use parlour_core::room::{
    Codec, DisplayName, Grants, ParticipantId, RoomId, StreamKey, StreamKind,
};
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::{KeyPair, PublicKey};
use parlour_core::server::{self, Admission, Event, Path, Server};
use parlour_core::signal::{Publish, SubscribePolicy};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use parlour_core::wire::MAX_DATAGRAM;
use rand_chacha::ChaCha12Rng;

use crate::rng;

pub(crate) const TICK: Duration = Duration::from_millis(20);

pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) now: Instant,
    pub(crate) clients: Vec<Client<Small>>,
    said: u32,
    key: StreamKey,
    public: PublicKey,
    rng: ChaCha12Rng,
}

impl Lab {
    /// Listeners may be silent for ever here: they are not measured.
    pub(crate) fn new(config: server::Config) -> Self {
        let mut rng = rng();
        let keys = KeyPair::generate(&mut rng);
        let now = Instant::from_micros(1_000_000);
        let hour = Duration::from_secs(3_600);
        let config = server::Config {
            silence: 24 * hour,
            ..config
        };
        let public = *keys.public();
        Self {
            server: Server::new(config, keys, now, &mut rng),
            now,
            clients: Vec::new(),
            said: 0,
            key: StreamKey::new("mic").unwrap(),
            public,
            rng,
        }
    }

    /// One more participant; with a microphone or without.
    pub(crate) fn join(&mut self, slots: u8, policy: SubscribePolicy, talks: bool) {
        let name = format!("participant-{}", self.clients.len());
        let ticket = Ticket {
            host: "192.0.2.1",
            port: 1,
            server_key: self.public,
            token: &name,
        };
        let config = client::Config {
            policy,
            slots: Some(slots),
            ..client::Config::default()
        };
        let mut client = Client::new(&ticket, &config, self.now, &mut self.rng).unwrap();
        if talks {
            let publish = Publish {
                key: self.key.clone(),
                kind: StreamKind::Audio,
                codec: Codec::Opus,
                muted: false,
            };
            client.publish(publish).unwrap();
        }
        self.clients.push(client);
        self.exchange();
        assert!(self.clients.last().is_some_and(Client::is_joined));
    }

    pub(crate) fn path(participant: usize) -> Path {
        Path::Udp(SocketAddr::from((
            [192, 0, 2, 1],
            1_000 + participant as u16,
        )))
    }

    fn participant(path: Path) -> usize {
        match path {
            Path::Udp(address) => usize::from(address.port() - 1_000),
            _ => panic!("nobody uses TCP here"),
        }
    }

    /// Lets all say what they have to say, until nobody has more.
    pub(crate) fn exchange(&mut self) {
        let mut out = [0; MAX_DATAGRAM];
        loop {
            let mut is_quiet = true;
            for index in 0..self.clients.len() {
                while let Some(len) = self.clients[index]
                    .poll_transmit(self.now, &mut out)
                    .unwrap()
                {
                    is_quiet = false;
                    let _ =
                        self.server
                            .handle_datagram(self.now, Self::path(index), &mut out[..len]);
                }
            }
            while let Some(event) = self.server.poll_event() {
                if let Event::JoinRequested { join, token, .. } = event {
                    let admission = Admission {
                        room: RoomId::new("room").unwrap(),
                        participant: ParticipantId::new(&token).unwrap(),
                        name: DisplayName::new("").unwrap(),
                        grants: Grants::PARTICIPANT,
                        expires_in: None,
                        lobby: false,
                    };
                    self.server.admit(self.now, join, admission).unwrap();
                }
            }
            while let Some(sent) = self.server.poll_transmit(self.now, &mut out).unwrap() {
                is_quiet = false;
                let client = &mut self.clients[Self::participant(sent.to)];
                let _ = client.handle_datagram(self.now, &mut out[..sent.len], &mut |_| ());
            }
            self.clients
                .iter_mut()
                .for_each(|client| while client.poll_event().is_some() {});
            if is_quiet {
                return;
            }
        }
    }

    /// The datagram in which a participant says `payload`, 20 ms at a time.
    pub(crate) fn say(&mut self, talker: usize, payload: &[u8]) -> Vec<u8> {
        let level = AudioLevel {
            voice: true,
            level: 30,
        };
        let (client, timestamp) = (&mut self.clients[talker], self.said.wrapping_mul(960));
        client
            .send_audio(self.now, &self.key, timestamp, level, payload)
            .unwrap();
        let mut out = [0; MAX_DATAGRAM];
        let len = client
            .poll_transmit(self.now, &mut out)
            .unwrap()
            .expect("a datagram");
        out[..len].to_vec()
    }

    /// What is said next is 20 ms later.
    pub(crate) fn spoke(&mut self) {
        self.said += 1;
    }

    /// 20 ms later.
    pub(crate) fn advance(&mut self) {
        self.now += TICK;
        self.spoke();
        self.server.handle_timeout(self.now);
        let now = self.now;
        self.clients
            .iter_mut()
            .for_each(|client| client.handle_timeout(now));
    }

    /// So many ticks in which the first so many participants talk, and everything arrives.
    pub(crate) fn warm_up(
        &mut self,
        ticks: usize,
        talkers: usize,
        mut payload: impl FnMut() -> Vec<u8>,
    ) {
        for _ in 0..ticks {
            self.advance();
            for talker in 0..talkers {
                let mut datagram = self.say(talker, &payload());
                self.server
                    .handle_datagram(self.now, Self::path(talker), &mut datagram)
                    .unwrap();
            }
            self.exchange();
        }
    }
}

/// 80 bytes that are 20 ms of wideband speech to whoever does not decode them.
pub(crate) fn frame() -> Vec<u8> {
    let mut frame = vec![7; 80];
    frame[0] = 0x48;
    frame
}
