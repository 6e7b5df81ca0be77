//! One party of the world: a device with its network, what it was told, and what it heard.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parlour_core::client::Event;
use parlour_core::room::{Codec, Grants, ParticipantId, StreamKey, StreamKind, Topic};
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::{JoinRefusal, Publish, Redirect, SubscribePolicy};
use parlour_core::time::{Duration, Instant};

use crate::device::{Device, Size};
use crate::facts::Speech;
use crate::network::LinkConfig;
use crate::token::Token;
use crate::tone::Tone;
use crate::voice::Utterance;
use crate::world::Way;

/// Which party of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(pub usize);

/// How somebody joins.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where.
    pub room: String,
    /// What the token grants.
    pub grants: Grants,
    /// Whether the token sends it to the lobby first.
    pub lobby: bool,
    /// When the token runs out.
    pub expires_in: Option<Duration>,
    /// Why the embedder refuses the token.
    pub refuse: Option<JoinRefusal>,
    /// Where the embedder sends it, unless it joins there.
    pub redirect: Option<Redirect>,
    /// The addresses of the ticket's name, if the device is to choose where to send.
    pub addresses: Vec<SocketAddr>,
    /// The network between it and the server.
    pub link: LinkConfig,
    /// Which capacities it is built with.
    pub size: Size,
    /// Decoders that it declares, if not as many as it is built for.
    pub slots: Option<u8>,
    /// What it wants to hear.
    pub policy: SubscribePolicy,
    /// What it publishes from the start.
    pub publish: Vec<Publish>,
    /// By how many millionths its clock runs fast.
    pub drift: u32,
}

impl Default for Options {
    /// An ordinary party on a desktop and a good network, that hears all and publishes nothing.
    fn default() -> Self {
        Self {
            room: "green".to_owned(),
            grants: Grants::PARTICIPANT,
            lobby: false,
            expires_in: None,
            refuse: None,
            redirect: None,
            addresses: Vec::new(),
            link: LinkConfig::GOOD,
            size: Size::Desktop,
            slots: None,
            policy: SubscribePolicy::All,
            publish: Vec::new(),
            drift: 0,
        }
    }
}

impl Options {
    /// A small device on a good network.
    pub fn small() -> Self {
        Self {
            size: Size::Small,
            ..Self::default()
        }
    }

    /// One that may do everything.
    pub fn moderator() -> Self {
        Self {
            grants: Grants::all(),
            ..Self::default()
        }
    }

    /// The same, and publishes an Opus microphone `key` from the start.
    #[must_use]
    pub fn publishing(mut self, key: &str) -> Self {
        self.publish.push(microphone(key));
        self
    }

    /// The same, over `link`.
    #[must_use]
    pub fn over(mut self, link: LinkConfig) -> Self {
        self.link = link;
        self
    }

    /// The same, in `room`.
    #[must_use]
    pub fn in_room(mut self, room: &str) -> Self {
        self.room = room.to_owned();
        self
    }

    /// What it shows the server as `participant`.
    pub fn token(&self, participant: &str) -> Token {
        Token {
            grants: self.grants,
            lobby: self.lobby,
            expires_in: self.expires_in,
            refuse: self.refuse,
            redirect: self.redirect,
            ..Token::new(&self.room, participant)
        }
    }
}

/// An Opus microphone called `key`.
pub fn microphone(key: &str) -> Publish {
    Publish {
        key: StreamKey::new(key).expect("a stream key"),
        kind: StreamKind::Audio,
        codec: Codec::Opus,
        muted: false,
    }
}

/// The same in another codec.
pub fn microphone_in(codec: Codec, key: &str) -> Publish {
    Publish {
        codec,
        ..microphone(key)
    }
}

/// A screen called `key`.
pub fn screen(key: &str) -> Publish {
    Publish {
        kind: StreamKind::Screen,
        codec: Codec::Vp8,
        ..microphone(key)
    }
}

/// A frame of sound that somebody heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// When it arrived.
    pub at: Instant,
    /// In which slot.
    pub slot: u8,
    /// Its place in the slot's flow.
    pub sequence: u64,
    /// Its time in the slot's flow, in samples at 48 kHz.
    pub timestamp: u64,
    /// The stream that it is from.
    pub ssrc: u32,
    /// Whether it starts a talkspurt, or the slot changed its stream.
    pub marker: bool,
    /// What it says.
    pub said: Utterance,
}

impl Heard {
    /// Who is heard.
    pub fn talker(&self) -> Handle {
        Handle(self.said.talker.into())
    }

    /// How long it was under way.
    pub fn latency(&self) -> Duration {
        let said_at = Instant::from_micros(self.said.said_at);
        self.at.saturating_duration_since(said_at)
    }
}

/// A frame of a mix that somebody heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixed {
    /// When it arrived.
    pub at: Instant,
    /// In which slot.
    pub slot: u8,
    /// Its place in the slot's flow.
    pub sequence: u64,
    /// Its time in the slot's flow, in samples at 48 kHz.
    pub timestamp: u64,
    /// Whether it follows a pause.
    pub marker: bool,
    /// The streams that are heard in it, the loudest first.
    pub contributors: Vec<u32>,
    /// How it is coded.
    pub codec: Codec,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// A packet of video or screen that somebody received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When it arrived.
    pub at: Instant,
    /// The stream that it is from.
    pub ssrc: u32,
    /// Its place in the stream.
    pub sequence: u16,
    /// Its time in the stream.
    pub timestamp: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// An application message that somebody received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// When it was read.
    pub at: Instant,
    /// Whether it came by the lossy way.
    pub lossy: bool,
    /// Who sent it.
    pub from: ParticipantId,
    /// What it is about.
    pub topic: Topic,
    /// What it says.
    pub body: Vec<u8>,
}

/// Somebody who talks: a frame each 20 ms.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) key: StreamKey,
    pub(crate) codec: Codec,
    pub(crate) level: AudioLevel,
    /// What is sung, if it is not speech that tells who said it.
    pub(crate) tone: Option<Tone>,
    pub(crate) next: Instant,
    pub(crate) until: Instant,
}

/// A clock that shows another time than the world's, and runs faster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// What it shows when the world begins.
    pub(crate) lead: Duration,
    /// By how many millionths it runs fast.
    pub(crate) drift: u32,
}

impl Clock {
    const MILLION: u64 = 1_000_000;

    /// What it shows when the world's shows `now`.
    pub(crate) fn at(&self, now: Instant) -> Instant {
        let micros = now.as_micros();
        now + self.lead + Duration::from_micros(micros * u64::from(self.drift) / Self::MILLION)
    }

    /// What the world's shows when this one first shows `then`.
    pub(crate) fn world_time(&self, then: Instant) -> Instant {
        let micros = then
            .as_micros()
            .saturating_sub(self.lead.as_micros() as u64);
        // Times that mean never are beyond all that this has to tell exactly.
        let scaled = micros.saturating_mul(Self::MILLION);
        Instant::from_micros(scaled.div_ceil(Self::MILLION + u64::from(self.drift)))
    }
}

/// One party.
#[derive(Debug)]
pub struct Party {
    /// The participant's id.
    pub name: String,
    /// Its end of the protocol. Commands take effect when the world runs on.
    pub device: Device,
    /// The network between it and the server.
    pub link: LinkConfig,
    /// Whether it takes the bodies of messages as they come.
    pub reads_messages: bool,
    /// Whether its radio takes nothing to send at the moment. It still receives.
    pub is_radio_busy: bool,
    /// Whether what is for it gets lost.
    pub is_deaf: bool,
    /// Frames that it wanted to say and that its device did not take.
    pub unsaid: u32,
    pub(crate) options: Options,
    pub(crate) address: SocketAddr,
    /// How it chooses where to send; `None`: there is but one address.
    pub(crate) way: Option<Way>,
    pub(crate) is_on: bool,
    /// No two ends agree on the time.
    pub(crate) clock: Clock,
    pub(crate) talks: Vec<Talk>,
    /// Streams by key: number in the world, and frames said.
    pub(crate) said: BTreeMap<StreamKey, (u16, u32)>,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) speech: Speech,
    pub(crate) heard: Vec<Heard>,
    pub(crate) mixed: Vec<Mixed>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) messages: Vec<Received>,
}

impl Party {
    /// Its participant id.
    pub fn id(&self) -> ParticipantId {
        ParticipantId::new(&self.name).expect("a participant id")
    }

    /// Its clock, when the world's shows `now`.
    pub(crate) fn clock(&self, now: Instant) -> Instant {
        self.clock.at(now)
    }

    /// The world's clock, when its own shows `then`.
    pub(crate) fn world_time(&self, then: Instant) -> Instant {
        self.clock.world_time(then)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        // With a busy radio it waits for that, not for a time.
        let waits = self.is_on && !self.is_radio_busy;
        let timeouts = [self.device.poll_timeout(), self.route_timeout()];
        let timeout = timeouts.into_iter().flatten().min().filter(|_| waits)?;
        Some(self.world_time(timeout))
    }

    pub(crate) fn next_talk(&self) -> Option<Instant> {
        self.talks.iter().map(|talk| talk.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_drifts_is_set_to_the_first_moment_that_it_shows() {
        let clock = Clock {
            lead: Duration::from_secs(7),
            drift: 150,
        };
        for micros in (0..3_000).chain(599_999_000..600_000_000) {
            let now = Instant::from_micros(micros);
            let back = clock.world_time(clock.at(now));
            assert_eq!(back, now);
            let next = clock.at(now) + Duration::from_micros(1);
            assert!(clock.at(clock.world_time(next)) >= next);
        }
    }
}
