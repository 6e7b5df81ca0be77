//! A participant's end, with any of the capacities.

use parlour_core::client::{
    BufferTooSmall, CloseCause, CommandError, Commands, Config, Desktop, Dropped, Event, Incoming,
    Message, PictureFlow, Pictures, Profile, SendError, SlotStatistics, Small, Statistics,
};
use parlour_core::rand_core::CryptoRngCore;
use parlour_core::room::{Grants, Lobby, ParticipantId, SessionId, StreamKey, Topic, Version};
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::{Operation, Recipients, Redirect, RequestId};
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use parlour_core::video::Feedback;
use parlour_record::{Client, Sink};

use crate::facts::Facts;
use crate::party::Options;

/// The capacities that a device is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// [`Small`].
    Small,
    /// [`Desktop`].
    Desktop,
}

/// A [`Client`] of either size.
#[derive(Debug)]
pub enum Device {
    /// A microcontroller's.
    Small(Box<Client<Small>>),
    /// A computer's.
    Desktop(Box<Client<Desktop>>),
}

/// Calls the same method of either client.
macro_rules! each {
    ($device:expr, $client:ident => $call:expr) => {
        match $device {
            Device::Small($client) => $call,
            Device::Desktop($client) => $call,
        }
    };
}

fn make<P: Profile>(
    ticket: &Ticket<'_>,
    config: &Config,
    now: Instant,
    rng: &mut dyn CryptoRngCore,
    sink: Option<Sink>,
) -> Box<Client<P>> {
    let client = match sink {
        Some(sink) => Client::recorded(ticket, config, now, rng, sink),
        None => Client::new(ticket, config, now, rng),
    };
    Box::new(client.expect("the token fits"))
}

/// The methods of [`Client`] with the same names.
#[allow(missing_docs, clippy::missing_errors_doc)]
impl Device {
    pub(crate) fn new(
        options: &Options,
        ticket: &Ticket<'_>,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
        sink: Option<Sink>,
    ) -> Self {
        let config = Config {
            policy: options.policy,
            slots: options.slots,
            ..Config::default()
        };
        match options.size {
            Size::Small => Self::Small(make(ticket, &config, now, rng, sink)),
            Size::Desktop => Self::Desktop(make(ticket, &config, now, rng, sink)),
        }
    }

    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Dropped> {
        each!(self, client => client.handle_datagram(now, datagram, receive))
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        each!(self, client => client.handle_timeout(now));
    }

    pub(crate) fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        each!(self, client => client.poll_transmit(now, out))
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        each!(self, client => client.poll_event())
    }

    pub(crate) fn poll_message<'b>(
        &mut self,
        body: &'b mut [u8],
    ) -> Result<Option<Message<'b>>, BufferTooSmall> {
        each!(self, client => client.poll_message(body))
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        each!(self, client => client.poll_timeout())
    }

    pub(crate) fn network_changed(&mut self, now: Instant) {
        each!(self, client => client.network_changed(now));
    }

    pub fn send_lossy_message(
        &mut self,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<(), CommandError> {
        each!(self, client => client.send_lossy_message(to, topic, body))
    }

    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        each!(self, client => client.leave(now))
    }

    pub fn send_audio(
        &mut self,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        level: AudioLevel,
        payload: &[u8],
    ) -> Result<(), SendError> {
        each!(self, client => client.send_audio(now, key, timestamp, level, payload))
    }

    pub fn send_media(
        &mut self,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
        each!(self, client => client.send_media(now, key, timestamp, marker, payload))
    }

    pub fn is_joined(&self) -> bool {
        each!(self, client => client.is_joined())
    }

    pub fn is_waiting(&self) -> bool {
        each!(self, client => client.is_waiting())
    }

    /// The version of its replica, if that is complete.
    pub fn version(&self) -> Option<Version> {
        each!(self, client => client.state().version_for_resume())
    }

    pub fn me(&self) -> Option<&ParticipantId> {
        each!(self, client => client.me())
    }

    pub fn grants(&self) -> Grants {
        each!(self, client => client.grants())
    }

    pub fn session(&self) -> Option<SessionId> {
        each!(self, client => client.session())
    }

    pub fn closed(&self) -> Option<CloseCause> {
        each!(self, client => client.closed())
    }

    pub fn redirected_to(&self) -> Option<Redirect> {
        each!(self, client => client.redirected_to())
    }

    pub fn published_ssrc(&self, key: &StreamKey) -> Option<u32> {
        each!(self, client => client.published_ssrc(key))
    }

    pub fn main_participant(&self) -> Option<&ParticipantId> {
        each!(self, client => client.main_participant())
    }

    pub fn slot_statistics(&self, slot: u8) -> Option<SlotStatistics> {
        each!(self, client => client.slot_statistics(slot))
    }

    pub fn statistics(&self) -> Statistics {
        each!(self, client => client.statistics())
    }

    /// The contents of its replica of the room.
    pub fn facts(&self) -> Facts {
        each!(self, client => Facts::of(client.state()))
    }

    /// Its knowledge of the lobby.
    pub fn lobby(&self) -> Lobby<'_> {
        each!(self, client => client.lobby())
    }

    /// The number of participants it tracks.
    pub const fn capacity(&self) -> usize {
        match self {
            Self::Small(_) => Small::PARTICIPANTS,
            Self::Desktop(_) => Desktop::PARTICIPANTS,
        }
    }

    /// The number of waiting participants it keeps.
    pub(crate) const fn places_for_waiting(&self) -> usize {
        match self {
            Self::Small(_) => Small::WAITING,
            Self::Desktop(_) => Desktop::WAITING,
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        each!(self, client => size_of_val(&**client))
    }
}

impl Pictures for Device {
    fn picture_flow(&self, key: &StreamKey) -> Result<Option<PictureFlow>, SendError> {
        each!(self, client => client.picture_flow(key))
    }

    fn send_picture_packet(
        &mut self,
        now: Instant,
        key: &StreamKey,
        packet: &[u8],
    ) -> Result<(), SendError> {
        each!(self, client => client.send_picture_packet(now, key, packet))
    }

    fn send_feedback_frame(&mut self, now: Instant, ssrc: u32, feedback: Feedback<'_>) {
        each!(self, client => client.send_feedback_frame(now, ssrc, feedback));
    }

    fn report_arrivals(&mut self, at: Instant) {
        each!(self, client => client.report_arrivals(at));
    }

    fn round_trip(&self) -> Option<Duration> {
        each!(self, client => client.round_trip())
    }
}

impl Commands for Device {
    fn ask(&mut self, operation: Operation<'_>) -> Result<Option<RequestId>, CommandError> {
        each!(self, client => client.ask(operation))
    }
}
