//! The construction of a machine, as a log keeps it.

use std::time::Duration;

use parlour_core::client::{self, Profile};
use parlour_core::rand_core::CryptoRngCore;
use parlour_core::secure::{KeyPair, PublicKey};
use parlour_core::server::{self, Gather, MixConfig, Rate};
use parlour_core::signal::SubscribePolicy;
use parlour_core::ticket::{Ticket, TicketError};
use parlour_core::time::Instant;
use serde::{Deserialize, Serialize};

use crate::tape::Played;

mod admission;
mod mix;
mod moderation;

pub(crate) use admission::{Admission, LoggedLimits, Refused};
pub(crate) use moderation::{LoggedAct, LoggedSelection};

/// The first entry of a log.
#[derive(Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum Made {
    Client(MadeClient),
    Server(Box<MadeServer>),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MadeClient {
    /// Participants, streams and slots, which identify the profile.
    pub(crate) profile: [usize; 3],
    pub(crate) now: u64,
    random: Vec<u8>,
    server_key: [u8; 32],
    token: String,
    #[serde(with = "ClientConfig")]
    config: client::Config,
}

pub(crate) const fn capacities<P: Profile>() -> [usize; 3] {
    [P::PARTICIPANTS, P::PUBLISHED, P::SLOTS]
}

impl MadeClient {
    pub(crate) fn new<P: Profile>(
        ticket: &Ticket<'_>,
        config: &client::Config,
        now: Instant,
        random: Vec<u8>,
    ) -> Self {
        Self {
            profile: capacities::<P>(),
            now: now.as_micros(),
            random,
            server_key: ticket.server_key.0,
            token: ticket.token.to_owned(),
            config: *config,
        }
    }

    pub(crate) fn make<P: Profile>(&self) -> Result<client::Client<P>, TicketError> {
        let ticket = Ticket {
            host: "",
            port: 0,
            server_key: PublicKey(self.server_key),
            token: &self.token,
        };
        let now = Instant::from_micros(self.now);
        let rng: &mut dyn CryptoRngCore = &mut Played(&self.random);
        client::Client::new(&ticket, &self.config, now, rng)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MadeServer {
    pub(crate) now: u64,
    random: Vec<u8>,
    secret: [u8; 32],
    #[serde(with = "ServerConfig")]
    config: server::Config,
}

impl MadeServer {
    pub(crate) fn new(
        config: server::Config,
        keys: &KeyPair,
        now: Instant,
        random: Vec<u8>,
    ) -> Self {
        Self {
            now: now.as_micros(),
            random,
            secret: *keys.secret().expose_bytes(),
            config,
        }
    }

    pub(crate) fn make(&self) -> server::Server {
        let keys = KeyPair::from_secret_bytes(self.secret);
        let now = Instant::from_micros(self.now);
        server::Server::new(self.config.clone(), keys, now, &mut Played(&self.random))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "client::Config")]
struct ClientConfig {
    policy: SubscribePolicy,
    slots: Option<u8>,
    keepalive: Duration,
    rekey_after: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Rate")]
struct RateFields {
    per_second: u32,
    burst: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Gather")]
enum GatherFields {
    UnderLoad(Duration),
    Always(Duration),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedGather(#[serde(with = "GatherFields")] pub(crate) Gather);

#[derive(Serialize, Deserialize)]
#[serde(remote = "server::Config")]
struct ServerConfig {
    instance: u64,
    rooms: usize,
    participants_per_room: usize,
    waiting_per_room: usize,
    participants: usize,
    half_open: usize,
    half_open_per_address: usize,
    retry_threshold: usize,
    #[serde(with = "RateFields")]
    handshakes: Rate,
    #[serde(with = "RateFields")]
    proven_handshakes: Rate,
    join_timeout: Duration,
    keepalive: Duration,
    silence: Duration,
    grace: Duration,
    linger: Duration,
    ended: usize,
    expiry_notice: Duration,
    streams: usize,
    subscriptions: usize,
    slots: u8,
    #[serde(with = "RateFields")]
    requests: Rate,
    #[serde(with = "RateFields")]
    messages: Rate,
    #[serde(with = "RateFields")]
    media: Rate,
    #[serde(with = "RateFields")]
    resets: Rate,
    #[serde(with = "RateFields")]
    control: Rate,
    queued_messages: usize,
    queued_media: usize,
    queued_video: usize,
    queued_video_time: Duration,
    video_rate_start: u32,
    video_rate_max: u32,
    media_buffers: usize,
    kept_pictures: usize,
    events: usize,
    room_log: usize,
    kicked: usize,
    slot_hold: Duration,
    speaker_hold: Duration,
    report_interval: Duration,
    #[serde(with = "GatherFields")]
    gather: Gather,
    #[serde(with = "mix")]
    mix: Option<MixConfig>,
    queued_media_time: Duration,
    roster_interval: Duration,
    #[serde(with = "RateFields")]
    changes: Rate,
    #[serde(with = "RateFields")]
    joins: Rate,
    #[serde(with = "RateFields")]
    audio: Rate,
    #[serde(with = "RateFields")]
    refusals: Rate,
}
