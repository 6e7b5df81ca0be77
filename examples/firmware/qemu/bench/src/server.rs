//! The other end: a server, and a participant that talks without end.

use alloc::boxed::Box;
use alloc::vec::Vec;

use parlour_core::audio::codec::AudioEncoder;
use parlour_core::audio::codec::FrameDuration;
use parlour_core::audio::g711::{G711Encoder, Law};
use parlour_core::audio::opus::{EncoderConfig, MAX_PAYLOAD, OpusEncoder};
use parlour_core::client::{self, Client, Commands as _, Incoming, Profile};
use parlour_core::room::{
    Codec, DisplayName, Grants, ParticipantId, RoomId, StreamKey, StreamKind,
};
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::KeyPair;
use parlour_core::server::{Admission, Config, Event, Path, Server};
use parlour_core::signal::Publish;
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::speech::{FRAME, RATE, Speech};

/// A connection to the server that needs no network.
const TALKER: Path = Path::Stream {
    id: 1,
    from: core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST),
};

/// Two seconds of encoded speech, so that no encoder runs during the measurement.
pub struct Sayings {
    pub codec: Codec,
    frames: Vec<Vec<u8>>,
    said: usize,
}

impl Sayings {
    const FRAMES: usize = 100;

    pub fn new(codec: Codec) -> Self {
        let mut encoder: Box<dyn AudioEncoder> = match codec {
            Codec::Opus => {
                let config = EncoderConfig {
                    sample_rate: RATE,
                    complexity: 0,
                    ..EncoderConfig::default()
                };
                Box::new(OpusEncoder::new(config).expect("supported"))
            }
            _ => Box::new(G711Encoder::new(Law::Mu, FrameDuration::Ms20)),
        };
        let mut speech = Speech::new(encoder.sample_rate());
        let frames = (0..Self::FRAMES).map(|_| {
            let (mut pcm, mut out) = ([0; FRAME], [0; MAX_PAYLOAD]);
            let pcm = &mut pcm[..encoder.frame_samples()];
            speech.read(pcm);
            let encoded = encoder.encode(pcm, &mut out).expect("whole frames");
            encoded.payload(&out).expect("no DTX").to_vec()
        });
        Self {
            codec,
            frames: frames.collect(),
            said: 0,
        }
    }

    /// The next 20 ms: RTP timestamp and payload.
    pub fn next(&mut self) -> (u32, &[u8]) {
        let payload = &self.frames[self.said % self.frames.len()];
        let timestamp = self.said as u32 * (self.codec.clock_rate() / 50);
        self.said += 1;
        (timestamp, payload)
    }
}

pub struct World {
    pub server: Server,
    keys: KeyPair,
    rng: ChaCha12Rng,
    talker: Option<Talker>,
}

struct Talker {
    client: Client,
    sayings: Option<Sayings>,
    heard: u32,
}

pub fn mic() -> StreamKey {
    StreamKey::new("mic").expect("a short name")
}

pub fn publish(codec: Codec) -> Publish {
    Publish {
        key: mic(),
        kind: StreamKind::Audio,
        codec,
        muted: false,
    }
}

/// A voice, 20 dB below the loudest.
pub const VOICE: AudioLevel = AudioLevel {
    voice: true,
    level: 20,
};

impl World {
    pub fn new(now: Instant) -> Self {
        // The same seed for every run, since the counts depend on it.
        let mut rng = ChaCha12Rng::seed_from_u64(7);
        let keys = KeyPair::generate(&mut rng);
        let server = Server::new(Config::default(), keys.clone(), now, &mut rng);
        Self {
            server,
            keys,
            rng,
            talker: None,
        }
    }

    /// A ticket for the participant of this name.
    pub fn ticket(&self, name: &'static str) -> Ticket<'static> {
        Ticket {
            host: "10.0.0.1",
            port: 7_900,
            server_key: *self.keys.public(),
            token: name,
        }
    }

    /// A client for the participant of this name.
    pub fn client<P: Profile>(&mut self, name: &'static str, now: Instant) -> Client<P> {
        let ticket = self.ticket(name);
        Client::new(&ticket, &client::Config::default(), now, &mut self.rng).expect("a good ticket")
    }

    /// Adds a participant that plays `sayings`, or only listens.
    pub fn invite(&mut self, now: Instant, sayings: Option<Sayings>) {
        let mut client = self.client("talker", now);
        if let Some(sayings) = &sayings {
            client
                .publish(publish(sayings.codec))
                .expect("the first stream");
        }
        self.talker = Some(Talker {
            client,
            sayings,
            heard: 0,
        });
    }

    /// The talker's next 20 ms.
    pub fn talk(&mut self, now: Instant) {
        if let Some(Talker {
            client,
            sayings: Some(sayings),
            ..
        }) = &mut self.talker
        {
            let (timestamp, payload) = sayings.next();
            // Refused until the stream is published.
            let _ = client.send_audio(now, &mic(), timestamp, VOICE, payload);
        }
    }

    /// The number of the device's packets that the talker has heard.
    pub fn heard(&self) -> u32 {
        self.talker.as_ref().map_or(0, |talker| talker.heard)
    }

    /// Runs server and talker until they are idle, and passes the device's datagrams to `send`.
    pub fn settle(&mut self, now: Instant, mut send: impl FnMut(Path, &[u8])) {
        self.server.handle_timeout(now);
        if let Some(talker) = &mut self.talker {
            talker.client.handle_timeout(now);
        }
        let mut datagram = [0; MAX_DATAGRAM];
        let mut moved = true;
        while core::mem::take(&mut moved) {
            if let Some(talker) = &mut self.talker {
                while let Ok(Some(len)) = talker.client.poll_transmit(now, &mut datagram) {
                    let _ = self
                        .server
                        .handle_datagram(now, TALKER, &mut datagram[..len]);
                    moved = true;
                }
                while talker.client.poll_event().is_some() {}
            }
            while let Some(event) = self.server.poll_event() {
                self.admit(now, event);
                moved = true;
            }
            while let Ok(Some(sent)) = self.server.poll_transmit(now, &mut datagram) {
                let bytes = &mut datagram[..sent.len];
                match &mut self.talker {
                    Some(Talker { client, heard, .. }) if sent.to == TALKER => {
                        let _ = client.handle_datagram(now, bytes, &mut |incoming| {
                            *heard += u32::from(matches!(incoming, Incoming::Audio { .. }));
                        });
                    }
                    _ => send(sent.to, bytes),
                }
                moved = true;
            }
        }
    }

    fn admit(&mut self, now: Instant, event: Event) {
        let Event::JoinRequested { join, token, .. } = event else {
            return;
        };
        let admission = Admission::new(
            RoomId::new("room").expect("a short name"),
            ParticipantId::new(&token).expect("a short name"),
            DisplayName::new(&token).expect("a short name"),
            Grants::PARTICIPANT,
        );
        self.server
            .admit(now, join, admission)
            .expect("it was asked for");
    }
}
