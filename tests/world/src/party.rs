//! One party of the world: a device with its network, its events, and the audio it heard.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parlour_core::client::{Event, Pictures as _};
use parlour_core::room::{Codec, Grants, ParticipantId, StreamKey, StreamKind, Topic};
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::{JoinRefusal, Publish, Redirect, SubscribePolicy};
use parlour_core::time::{Duration, Instant};

use crate::camera::{Camera, Watcher};
use crate::device::{Device, Size};
use crate::facts::Speech;
use crate::network::LinkConfig;
use crate::token::Token;
use crate::tone::Tone;
use crate::voice::Utterance;
use crate::world::Way;

/// Names a party of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(pub usize);

/// How somebody joins.
#[derive(Debug, Clone)]
pub struct Options {
    /// The room.
    pub room: String,
    /// The token's grants.
    pub grants: Grants,
    /// Whether the token sends it to the lobby first.
    pub lobby: bool,
    /// The time until the token expires.
    pub expires_in: Option<Duration>,
    /// The embedder's reason to refuse the token.
    pub refuse: Option<JoinRefusal>,
    /// The server to which the embedder redirects it, unless it joins there.
    pub redirect: Option<Redirect>,
    /// The addresses of the ticket's name, if the device is to choose where to send.
    pub addresses: Vec<SocketAddr>,
    /// The network between it and the server.
    pub link: LinkConfig,
    /// The capacities it is built with.
    pub size: Size,
    /// Decoders that it declares, if not as many as it is built for.
    pub slots: Option<u8>,
    /// The subscription policy it asks for.
    pub policy: SubscribePolicy,
    /// The streams it publishes from the start.
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

    /// The token it shows the server as `participant`.
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

/// A VP8 camera called `key`.
pub fn camera(key: &str) -> Publish {
    Publish {
        kind: StreamKind::Video,
        ..screen(key)
    }
}

/// A frame of sound that somebody heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The time of arrival.
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
    /// The contents of the frame.
    pub said: Utterance,
}

impl Heard {
    /// The talker.
    pub fn talker(&self) -> Handle {
        Handle(self.said.talker.into())
    }

    /// The time from sending to arrival.
    pub fn latency(&self) -> Duration {
        let said_at = Instant::from_micros(self.said.said_at);
        self.at.saturating_duration_since(said_at)
    }
}

/// A frame of a mix that somebody heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixed {
    /// The time of arrival.
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
    /// The payload.
    pub payload: Vec<u8>,
}

/// A packet of video or screen that somebody received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The time of arrival.
    pub at: Instant,
    /// The stream that it is from.
    pub ssrc: u32,
    /// Its place in the stream.
    pub sequence: u16,
    /// Its time in the stream.
    pub timestamp: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

/// An application message that somebody received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The time of reading.
    pub at: Instant,
    /// Whether it is a lossy message.
    pub lossy: bool,
    /// The sender.
    pub from: ParticipantId,
    /// The topic.
    pub topic: Topic,
    /// The content.
    pub body: Vec<u8>,
}

/// A talker: a frame each 20 ms.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) key: StreamKey,
    pub(crate) codec: Codec,
    pub(crate) level: AudioLevel,
    /// The tone it sends, if not speech that names its speaker.
    pub(crate) tone: Option<Tone>,
    pub(crate) next: Instant,
    pub(crate) until: Instant,
}

/// A clock that shows another time than the world's, and runs faster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// The time it shows when the world begins.
    pub(crate) lead: Duration,
    /// By how many millionths it runs fast.
    pub(crate) drift: u32,
}

impl Clock {
    const MILLION: u64 = 1_000_000;

    /// The time it shows when the world's clock shows `now`.
    pub(crate) fn at(&self, now: Instant) -> Instant {
        let micros = now.as_micros();
        now + self.lead + Duration::from_micros(micros * u64::from(self.drift) / Self::MILLION)
    }

    /// The world's time when this clock first shows `then`.
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
    /// Whether its radio is too busy to send. It still receives.
    pub is_radio_busy: bool,
    /// Whether datagrams to it get lost.
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
    pub(crate) cameras: Vec<Camera>,
    pub(crate) watchers: Vec<Watcher>,
    /// Packets of each stream of pictures that it keeps, if it looks at all that come.
    pub(crate) watches: Option<usize>,
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
        let is_sent = |camera: &&Camera| self.device.picture_flow(&camera.key).is_ok();
        let cameras = self.cameras.iter().filter(is_sent);
        let watchers = self.watchers.iter();
        let timeouts = [self.device.poll_timeout(), self.route_timeout()]
            .into_iter()
            .chain(cameras.map(|camera| camera.sender.poll_timeout()))
            .chain(watchers.map(|watcher| watcher.receiver.poll_timeout()));
        let timeout = timeouts.flatten().min().filter(|_| waits)?;
        Some(self.world_time(timeout))
    }

    /// Writes a datagram to send, with pictures if there is nothing else.
    ///
    /// # Panics
    /// If `out` is too small for one.
    pub(crate) fn transmit(&mut self, clock: Instant, out: &mut [u8]) -> Option<usize> {
        for camera in &mut self.cameras {
            // Before the stream is published, its pictures wait.
            let _ = self
                .device
                .send_pictures(clock, &camera.key, &mut camera.sender);
        }
        let written = self.device.poll_transmit(clock, out);
        written.expect("the buffer holds a datagram")
    }

    pub(crate) fn next_talk(&self) -> Option<Instant> {
        let talks = self.talks.iter().map(|talk| talk.next);
        let cameras = self.cameras.iter();
        let filming = cameras.filter(|camera| camera.next < camera.until);
        talks.chain(filming.map(|camera| camera.next)).min()
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
