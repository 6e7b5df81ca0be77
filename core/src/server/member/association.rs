//! A participant's connection, which goes with it from the lobby into the session and out.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::reach::Reach;
use super::tickets::Tickets;
use crate::link::{ComposeError, Link, Liveness};
use crate::room::{ConnectionState, ParticipantId};
use crate::secure::{OpenError, SealError};
use crate::server::keys::PeerKey;
use crate::server::limits::{Allowance, Verdict};
use crate::server::timers::Alarm;
use crate::server::{Config, Dropped, Path};
use crate::signal::{MAX_MESSAGE, Outcome, Refusal, RequestId, ServerMessage, encode};
use crate::time::{Instant, earlier};
use crate::wire::{ConnectionId, FrameWriter, Frames, MAX_DATAGRAM};

/// Control messages that wait for a participant. Requests are not taken while there are as many,
/// so replies always have a place.
const MAX_CONTROL: usize = 16;
/// Bytes that a packet with no more than a pong, a ping and an acknowledgement takes: less is not
/// worth sending.
const LEAST_PACKET: usize = 44;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Association {
    pub(crate) key: PeerKey,
    /// The participant.
    pub(crate) id: ParticipantId,
    pub(crate) link: Link,
    /// The id that the former keys receive under, as the directory has it.
    pub(crate) former_id: Option<ConnectionId>,
    pub(crate) reach: Reach,
    pub(crate) connection: ConnectionState,
    /// When a silent participant is given up.
    pub(crate) grace_end: Option<Instant>,
    /// The latest that a resume which is under way can put this off to.
    pub(crate) grace_limit: Option<Instant>,
    pub(crate) alarm: Alarm,
    /// Whether it is in the queue of associations with something to send.
    pub(crate) ready: bool,
    pub(crate) tickets: Option<Tickets>,
    pub(crate) requests: Allowance,
    /// Of pings, reports, and all that has nothing in it for which there is another bucket.
    control_frames: Allowance,
    /// It has sent far too much of that.
    pub(crate) floods: bool,
    /// Encoded replies and other messages that go before all others.
    control: VecDeque<Box<[u8]>>,
    /// Bytes of datagrams from it that were authentic, and of those to it.
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
}

/// The contents of a received datagram.
pub(crate) struct Heard<'d> {
    pub(crate) plaintext: &'d [u8],
    /// Whether it came from a new address.
    pub(crate) has_roamed: bool,
}

impl Association {
    pub(crate) fn new(
        key: PeerKey,
        id: ParticipantId,
        link: Link,
        reach: Reach,
        config: &Config,
        now: Instant,
    ) -> Self {
        Self {
            key,
            id,
            link,
            former_id: None,
            reach,
            connection: ConnectionState::Connected,
            grace_end: None,
            grace_limit: None,
            alarm: Alarm::default(),
            ready: false,
            tickets: None,
            requests: Allowance::new(config.requests, now),
            control_frames: Allowance::new(config.control, now),
            floods: false,
            control: VecDeque::new(),
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    /// Whether a resume ticket with this handle was given to its participant.
    pub(crate) fn is_known_by(&self, handle: u64) -> bool {
        let tickets = self.tickets.as_ref();
        tickets.is_some_and(|tickets| tickets.has_given(handle))
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection == ConnectionState::Connected
    }

    /// Takes in whether all that it was told has been acknowledged, so also that it was let in. Gives the handle of the ticket
    /// with which it waited, if that is void since now.
    pub(crate) fn learns_of_admission(&mut self) -> Option<u64> {
        let knows = self.link.is_settled() && !self.has_control();
        self.tickets.as_mut().filter(|_| knows)?.forget_lobby()
    }

    /// Opens a datagram, and notes where it came from.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has changed.
    pub(crate) fn open<'d>(
        &mut self,
        now: Instant,
        from: Path,
        datagram: &'d mut [u8],
    ) -> Result<Heard<'d>, OpenError> {
        let len = datagram.len();
        let opened = self.link.open(now, datagram)?;
        self.bytes_received += len as u64;
        if !matches!(Frames::new(opened.plaintext).next(), Some(Ok(_))) {
            self.take_control(now);
        }
        let is_there = from.has_same_remote(&self.reach.path);
        let has_roamed = opened.is_newest && !is_there && self.take_control(now);
        if has_roamed {
            // As in WireGuard, the sender of an authentic packet sets the address. The amount sent to the new address
            // is limited until it has answered: a forged address could otherwise flood a third party.
            self.reach = Reach::new(from);
        } else if opened.is_newest && is_there {
            // It may ask another address of this server, which is the one that it wants answers from.
            self.reach.path = from;
        }
        if from == self.reach.path {
            self.reach.received(len);
        }
        Ok(Heard {
            plaintext: opened.plaintext,
            has_roamed,
        })
    }

    /// Has a path that is not proven answer a ping, with this random nonce.
    pub(crate) fn validate_path(&mut self, nonce: u32) {
        if !self.reach.proven {
            self.link.ping(nonce);
        }
    }

    /// Takes in that something authentic came. Gives whether the participant had fallen silent.
    pub(crate) fn is_back(&mut self) -> bool {
        if self.is_connected() {
            return false;
        }
        self.connection = ConnectionState::Connected;
        self.grace_end = None;
        true
    }

    /// Handles expired timers. Returns whether the participant has fallen silent.
    pub(crate) fn falls_silent(
        &mut self,
        now: Instant,
        config: &Config,
        nonce: impl FnOnce() -> u32,
    ) -> bool {
        let silent = now >= self.link.last_received() + config.silence;
        if !silent && self.link.handle_timeout(now, nonce) != Liveness::Lost {
            return false;
        }
        self.connection = ConnectionState::Reconnecting;
        let end = now + config.grace;
        self.grace_end = Some(end);
        self.grace_limit = Some(end + config.join_timeout);
        true
    }

    /// Whether a silent participant is to be given up.
    pub(crate) fn is_lost(&self, now: Instant) -> bool {
        !self.is_connected() && self.grace_end.is_some_and(|end| now >= end)
    }

    /// The next timeout of its presence, or of `also` while it is connected.
    pub(crate) fn next_timeout(&self, config: &Config, also: Option<Instant>) -> Option<Instant> {
        match self.connection {
            ConnectionState::Connected => earlier(
                Some(self.link.last_received() + config.silence),
                earlier(self.link.poll_timeout(), also),
            ),
            _ => self.grace_end,
        }
    }

    /// Counts traffic that no other bucket counts. Returns whether it is within the limit.
    pub(crate) fn take_control(&mut self, now: Instant) -> bool {
        let verdict = self.control_frames.take(now);
        self.floods |= verdict == Verdict::Flooded;
        verdict == Verdict::Granted
    }

    /// Whether requests can be taken: there is room for their replies.
    pub(crate) fn takes_requests(&self) -> bool {
        self.control.len() < MAX_CONTROL
    }

    /// Queues a message that goes before all others.
    pub(crate) fn tell(&mut self, message: &ServerMessage<'_>) {
        if let Some(bytes) = encoded(message) {
            self.control.push_back(bytes.into_boxed_slice());
        }
    }

    /// Queues the answer to a request.
    pub(crate) fn reply(&mut self, request: RequestId, result: Result<Outcome, Refusal>) {
        self.tell(&ServerMessage::Reply { request, result });
    }

    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    pub(crate) fn control_len(&self) -> usize {
        self.control.len()
    }

    /// Moves control messages into the link, as far as its window goes. Gives whether there is more room.
    pub(crate) fn refill(&mut self) -> bool {
        while self.link.free_window() > 0 {
            let Some(message) = self.control.front() else {
                return true;
            };
            if self.link.send(message).is_err() {
                return false;
            }
            self.control.pop_front();
        }
        false
    }

    /// Whether there is more to send, apart from its holder's frames.
    pub(crate) fn has_more(&self) -> bool {
        self.link.wants_transmit() || self.has_control() && self.link.free_window() > 0
    }

    /// The longest datagram that can be sent now; `None`: nothing can be sent. A silent participant would not receive
    /// it: frames wait until it is back.
    pub(crate) fn limit(&self) -> Option<usize> {
        let budget = self.reach.budget();
        (self.is_connected() && budget >= LEAST_PACKET).then(|| budget.min(MAX_DATAGRAM))
    }

    /// Writes one datagram of at most `limit` bytes: the link's frames if it `signals`, as the link itself says, then
    /// those that `fill` adds.
    ///
    /// # Errors
    /// If the keys are used up.
    pub(crate) fn compose(
        &mut self,
        now: Instant,
        out: &mut [u8],
        limit: usize,
        signals: bool,
        fill: impl FnOnce(&mut FrameWriter<'_>),
    ) -> Result<Option<usize>, SealError> {
        match self.link.compose_within(now, out, limit, signals, fill) {
            Ok(len) => {
                let sent = len.unwrap_or(0);
                self.bytes_sent += sent as u64;
                self.reach.sent(sent);
                Ok(len)
            }
            // The buffer was looked at before.
            Err(ComposeError::Buffer(_)) => Ok(None),
            Err(ComposeError::Seal(error)) => Err(error),
        }
    }
}

impl From<OpenError> for Dropped {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Replayed => Self::Replayed,
            OpenError::Forged => Self::Forged,
            _ => Self::Malformed,
        }
    }
}

/// The encoding of a message. Every message that the server makes fits [`MAX_MESSAGE`]: bodies
/// were checked when they came in.
pub(crate) fn encoded(message: &ServerMessage<'_>) -> Option<Vec<u8>> {
    let mut buffer = [0; MAX_MESSAGE];
    let len = encode(message, &mut buffer).ok()?;
    buffer.get(..len).map(Vec::from)
}
