//! Simulated participants: the core's client for the server, a bare association for the floor.

use parlour_tokio::CloseCause;
use parlour_tokio::core::client::{Capacity, Client, Commands as _, Config, Event, Incoming};
use parlour_tokio::core::room::{Codec, StreamKey, StreamKind};
use parlour_tokio::core::rtp::{AudioLevel, RtpHeader, RtpPacket};
use parlour_tokio::core::secure::Transport;
use parlour_tokio::core::signal::{Publish, Redirect, SubscribePolicy};
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::core::time::{Duration, Instant};
use parlour_tokio::core::wire::{ConnectionId, Frame, FrameWriter, Frames};
use rand_chacha::ChaCha12Rng;

/// How loud everybody is: a voice at -20 dBov.
const LEVEL: u8 = 0x80 | 20;
/// Many slots, so that nobody is outranked.
type Listener = Capacity<4, 1, 32, 768, 2048>;

/// A frame that somebody hears.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sound<'a> {
    pub(super) payload: &'a [u8],
    /// Its number in the flow.
    pub(super) sequence: u64,
    /// The frame has a voice: a mix may hold nothing but silence.
    pub(super) is_voice: bool,
}

/// One participant, of the server or of the floor.
pub(super) trait Party {
    /// Queues a frame of sound.
    fn speak(&mut self, now: Instant, timestamp: u32, payload: &[u8]) -> anyhow::Result<()>;
    /// Writes the next datagram.
    fn transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<usize>;
    /// Takes a datagram and hands out the sound in it.
    fn take(&mut self, now: Instant, datagram: &mut [u8], hear: &mut dyn FnMut(Sound<'_>));
    fn timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant);
    fn is_joined(&self) -> bool;
    fn leave(&mut self, _now: Instant) {}
    fn closed(&self) -> Option<CloseCause> {
        None
    }
    /// The new server, if the client was redirected.
    fn redirected_to(&self) -> Option<Redirect> {
        None
    }
}

pub(super) struct Member {
    client: Box<Client<Listener>>,
    mic: StreamKey,
    times: Times,
    /// Whether it makes a request when it has joined.
    asks: bool,
    closed: Option<CloseCause>,
}

/// When a client began to join, when it had joined, and when a request was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    began: Instant,
    joined: Option<Instant>,
    answered: Option<Instant>,
}

impl Times {
    pub(super) fn join(&self) -> Option<Duration> {
        Some(self.joined?.saturating_duration_since(self.began))
    }

    pub(super) fn request(&self) -> Option<Duration> {
        Some(self.answered?.saturating_duration_since(self.joined?))
    }
}

impl Member {
    pub(super) fn new(
        ticket: &str,
        talks: bool,
        policy: SubscribePolicy,
        now: Instant,
        rng: &mut ChaCha12Rng,
    ) -> anyhow::Result<Self> {
        let hears = policy != SubscribePolicy::None;
        let config = Config {
            policy,
            slots: (!hears).then_some(0),
            ..Config::default()
        };
        let ticket = Ticket::parse(ticket)?;
        let mut client = Box::new(Client::new(&ticket, &config, now, rng)?);
        let mic = StreamKey::new("mic")?;
        if talks {
            let (key, kind, codec) = (mic.clone(), StreamKind::Audio, Codec::Opus);
            client.publish(Publish {
                key,
                kind,
                codec,
                muted: false,
            })?;
        }
        Ok(Self {
            client,
            mic,
            times: Times {
                began: now,
                joined: None,
                answered: None,
            },
            asks: false,
            closed: None,
        })
    }

    /// A client that listens, and makes one request.
    pub(super) fn probe(ticket: &str, now: Instant, rng: &mut ChaCha12Rng) -> anyhow::Result<Self> {
        Ok(Self {
            asks: true,
            ..Self::new(ticket, false, SubscribePolicy::All, now, rng)?
        })
    }

    /// Of a client that makes a request.
    pub(super) fn probed(&self) -> Option<&Times> {
        self.asks.then_some(&self.times)
    }

    pub(super) fn times(&self) -> &Times {
        &self.times
    }
}

impl Party for Member {
    fn speak(&mut self, now: Instant, timestamp: u32, payload: &[u8]) -> anyhow::Result<()> {
        let level = AudioLevel::from_byte(LEVEL);
        Ok(self
            .client
            .send_audio(now, &self.mic, timestamp, level, payload)?)
    }

    fn transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        self.client.poll_transmit(now, out).ok()?
    }

    fn take(&mut self, now: Instant, datagram: &mut [u8], hear: &mut dyn FnMut(Sound<'_>)) {
        // The server sends audio on loopback; late or repeated packets count as not delivered.
        let _ = self.client.handle_datagram(now, datagram, &mut |incoming| {
            if let Incoming::Audio { frame, .. } = incoming {
                hear(Sound {
                    payload: frame.payload,
                    sequence: frame.sequence,
                    is_voice: frame.speaker.is_some(),
                });
            }
        });
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Closed(cause) => self.closed = Some(cause),
                Event::Joined { .. } if self.times.joined.is_none() => {
                    self.times.joined = Some(now);
                    if self.asks {
                        // Something that concerns nobody else.
                        let _ = self.client.set_subscribe_policy(SubscribePolicy::None);
                    }
                }
                Event::Replied { .. } if self.asks => self.times.answered = Some(now),
                _ => {}
            }
        }
    }

    fn timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
    }

    fn is_joined(&self) -> bool {
        self.client.is_joined()
    }

    fn leave(&mut self, now: Instant) {
        // An error means that it has left already.
        let _ = self.client.leave(now);
    }

    fn closed(&self) -> Option<CloseCause> {
        self.closed
    }

    fn redirected_to(&self) -> Option<Redirect> {
        self.client.redirected_to()
    }
}

/// A participant of the floor: it seals what it says, opens what it hears, and does nothing else.
pub(super) struct Bare {
    transport: Transport,
    id: ConnectionId,
    sequence: u16,
    outgoing: Option<Vec<u8>>,
}

impl Bare {
    /// Greets first, so that the floor learns where it is.
    pub(super) fn new(id: ConnectionId, mut transport: Transport) -> anyhow::Result<Self> {
        let mut hello = vec![0; 64];
        let mut writer = FrameWriter::in_datagram(&mut hello);
        writer.push(&Frame::Ping { nonce: 0 })?;
        let len = writer.len();
        let len = transport.seal(id, len, &mut hello)?;
        hello.truncate(len);
        Ok(Self {
            transport,
            id,
            sequence: 0,
            outgoing: Some(hello),
        })
    }
}

impl Party for Bare {
    fn speak(&mut self, _: Instant, timestamp: u32, payload: &[u8]) -> anyhow::Result<()> {
        // As a slot's packet has it: with the talker and the level.
        let header = RtpHeader {
            marker: false,
            payload_type: Codec::Opus.payload_type(),
            sequence: self.sequence,
            timestamp,
            ssrc: 1,
            csrcs: &[self.id.0],
            audio_level: Some(AudioLevel::from_byte(LEVEL)),
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut datagram = vec![0; 1200];
        let mut writer = FrameWriter::in_datagram(&mut datagram);
        header.write(
            payload,
            writer.push_media(header.header_len() + payload.len())?,
        )?;
        let len = writer.len();
        let len = self.transport.seal(self.id, len, &mut datagram)?;
        datagram.truncate(len);
        self.outgoing = Some(datagram);
        Ok(())
    }

    fn transmit(&mut self, _: Instant, out: &mut [u8]) -> Option<usize> {
        let datagram = self.outgoing.take()?;
        out.get_mut(..datagram.len())?.copy_from_slice(&datagram);
        Some(datagram.len())
    }

    fn take(&mut self, _: Instant, datagram: &mut [u8], hear: &mut dyn FnMut(Sound<'_>)) {
        let Ok(opened) = self.transport.open(datagram) else {
            return;
        };
        for frame in Frames::new(opened.plaintext) {
            if let Ok(Frame::Media(bytes)) = frame
                && let Ok(packet) = RtpPacket::parse(bytes)
            {
                hear(Sound {
                    payload: packet.payload(),
                    sequence: packet.sequence().into(),
                    is_voice: true,
                });
            }
        }
    }

    fn timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn is_joined(&self) -> bool {
        self.outgoing.is_none()
    }
}
