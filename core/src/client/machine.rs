//! All that a client knows and does, whatever its profile.

use core::net::SocketAddr;

use rand_core::CryptoRngCore;

use super::events::{Event, Events, Incoming, Message};
use super::media::Slot;
use super::profile::Parts;
use super::requests::Requests;
use super::{BufferTooSmall, CloseCause, CommandError, Config, Dropped, SendError, Statistics};
use crate::room::{Grants, ParticipantId, SessionId, StreamKey, Topic};
use crate::rtp::AudioLevel;
use crate::signal::{Operation, Publish, Recipients, RequestId, StreamRef, SubscribePolicy};
use crate::ticket::{Ticket, TicketError};
use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Machine {
    events: Events,
    #[allow(dead_code)]
    requests: Requests,
}

#[derive(Debug)]
pub(super) struct Membership {
    pub(super) me: ParticipantId,
    pub(super) session: SessionId,
    pub(super) grants: Grants,
}

#[allow(unused_variables, clippy::unused_self)]
impl Machine {
    pub(super) fn new(
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
        participants: usize,
        parts: &Parts<'_>,
    ) -> Result<Self, TicketError> {
        Ok(Self {
            events: Events::new(),
            requests: Requests::new(),
        })
    }
    pub(super) fn handle_datagram(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        datagram: &mut [u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Dropped> {
        Err(Dropped::Unexpected)
    }
    pub(super) fn handle_timeout(&mut self, parts: &mut Parts<'_>, now: Instant) {}
    pub(super) fn network_changed(&mut self, now: Instant) {}
    pub(super) fn poll_transmit(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        Ok(None)
    }
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }
    pub(super) fn poll_message<'b>(
        &mut self,
        parts: &mut Parts<'_>,
        buffer: &'b mut [u8],
    ) -> Result<Option<Message<'b>>, BufferTooSmall> {
        Ok(None)
    }
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    pub(super) fn publish(
        &mut self,
        parts: &mut Parts<'_>,
        publish: Publish,
    ) -> Result<Option<RequestId>, CommandError> {
        Ok(None)
    }
    pub(super) fn unpublish(
        &mut self,
        parts: &mut Parts<'_>,
        key: &StreamKey,
    ) -> Result<Option<RequestId>, CommandError> {
        Ok(None)
    }
    pub(super) fn set_muted(
        &mut self,
        parts: &mut Parts<'_>,
        key: &StreamKey,
        muted: bool,
    ) -> Result<Option<RequestId>, CommandError> {
        Ok(None)
    }
    pub(super) fn wish(
        &mut self,
        parts: &mut Parts<'_>,
        stream: &StreamRef,
        subscribed: bool,
    ) -> Result<Option<RequestId>, CommandError> {
        Ok(None)
    }
    pub(super) fn set_policy(
        &mut self,
        policy: SubscribePolicy,
    ) -> Result<Option<RequestId>, CommandError> {
        Ok(None)
    }
    pub(super) fn pin(
        &mut self,
        parts: &mut Parts<'_>,
        stream: Option<&StreamRef>,
    ) -> Result<Option<RequestId>, CommandError> {
        Ok(None)
    }
    pub(super) fn request(&mut self, operation: Operation<'_>) -> Result<RequestId, CommandError> {
        Err(CommandError::NotJoined)
    }
    pub(super) fn send_lossy_message(
        &mut self,
        parts: &mut Parts<'_>,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<(), CommandError> {
        Err(CommandError::NotJoined)
    }
    pub(super) fn refresh_token(&mut self, token: &str) -> Result<Option<RequestId>, CommandError> {
        Ok(None)
    }
    pub(super) fn leave(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
    ) -> Result<(), CommandError> {
        Ok(())
    }
    pub(super) fn send_audio(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        level: AudioLevel,
        payload: &[u8],
    ) -> Result<(), SendError> {
        Ok(())
    }
    pub(super) fn send_media(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
        Ok(())
    }
    pub(super) fn membership(&self) -> Option<&Membership> {
        None
    }
    pub(super) fn is_joined(&self) -> bool {
        false
    }
    pub(super) fn redirected_to(&self) -> Option<SocketAddr> {
        None
    }
    pub(super) fn closed(&self) -> Option<CloseCause> {
        None
    }
    pub(super) fn pinned(&self) -> Option<&ParticipantId> {
        None
    }
    pub(super) fn statistics(&self, slots: &[Slot]) -> Statistics {
        Statistics::default()
    }
}
