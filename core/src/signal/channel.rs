//! Reliable, in-order delivery of messages over datagrams that get lost, doubled and reordered.
//!
//! Each direction is one [`Sender`] and, at the other end, one [`Receiver`]. Messages are numbered
//! from 0 by a `u16` that wraps around. Up to [`WINDOW`] of them are under way at a time; the
//! receiver takes them strictly in order and answers with the next number it expects. If that
//! makes no progress within the timeout of the [`RttEstimator`], the sender goes back and sends
//! all of them again (go-back-N); what arrives twice is dropped.
//!
//! ```text
//!  queued  | 41 | 42 | 43 | 44 | 45 | … | 48 | 49 | 50 |
//!            ├─ under way ─┤              │
//!            └────────── window ──────────┘
//!  Ack{next 43} from the peer removes 41 and 42 and moves the window on.
//! ```
//!
//! # Over a resume
//!
//! A resumed participant continues with the same [`Sender`] and [`Receiver`] at both ends: **the
//! numbers go on, nothing starts over**. Both ends call [`Sender::restart`] and
//! [`Receiver::restart`], so unacknowledged messages go out again on the new connection and the
//! peer hears at once what had arrived on the old one. A received message is recognised by its
//! number: every message is delivered exactly once and in order, however the connection broke,
//! and even while the old and the new connection are both in use. Where an end has lost that
//! state, or the answer says that this is a new join, both ends begin with new ones, and what was
//! unacknowledged has an unknown fate.

use thiserror::Error;

use super::RttEstimator;
use crate::queue::{ByteQueue, Full};
use crate::time::{Duration, Instant};

/// Most messages under way at a time in one direction.
pub const WINDOW: u8 = 8;

/// Why a message is not taken for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// The storage is full of messages that the peer has not acknowledged.
    #[error("too many messages wait to be acknowledged: try again when some are")]
    Full,
}

/// Why an acknowledgement is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AckError {
    /// It acknowledges messages that were never sent: the peer is broken.
    #[error("the acknowledgement is for messages that were not sent")]
    NotSent,
}

/// The outgoing half: keeps messages in `S` (an array, a boxed or a lent slice) until the peer has
/// acknowledged them. Each takes two bytes more than it has.
///
/// ```
/// use parlour_core::signal::channel::{Arrival, Receiver, Sender};
/// use parlour_core::time::Instant;
///
/// let now = Instant::from_micros(0);
/// let mut sender = Sender::new([0; 2048]);
/// let mut receiver = Receiver::new();
/// sender.push(b"hello")?;
///
/// let (sequence, message) = sender.peek().unwrap(); // fits the datagram? then:
/// assert_eq!(receiver.handle(sequence), Arrival::Next);
/// assert_eq!(message, b"hello"); // room for it? then:
/// receiver.accept(sequence);
/// sender.sent(now);
/// assert_eq!(sender.peek(), None);
///
/// let next = receiver.poll_ack().unwrap();
/// assert_eq!(sender.handle_ack(now, next), Ok(1));
/// assert!(sender.is_idle());
/// # Ok::<(), parlour_core::signal::channel::SendError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sender<S: ?Sized> {
    flight: Flight,
    queue: ByteQueue<S>,
}

impl<S> Sender<S> {
    /// The start of a channel that keeps its messages in `storage`. Longer storage takes more
    /// messages before it is full; it must hold at least one message and two bytes to be of use.
    pub const fn new(storage: S) -> Self {
        Self {
            flight: Flight::new(),
            queue: ByteQueue::new(storage),
        }
    }
}

impl<S: AsRef<[u8]> + AsMut<[u8]> + ?Sized> Sender<S> {
    /// Appends an encoded message.
    ///
    /// # Errors
    /// [`SendError::Full`] if the storage has no room for it.
    pub fn push(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.queue.push(&[message]).map_err(|Full| SendError::Full)
    }

    /// The message to send now, with its sequence number; `None` if there is none or the window is
    /// full. Say [`sent`](Self::sent) once it is in a datagram; until then it stays the same.
    pub fn peek(&self) -> Option<(u16, &[u8])> {
        if self.flight.next >= WINDOW {
            return None;
        }
        let message = self.queue.get(self.flight.next.into())?;
        let sequence = self.flight.first.wrapping_add(self.flight.next.into());
        Some((sequence, message))
    }

    /// Takes in that what [`peek`](Self::peek) returned is on its way. Nothing happens if that was
    /// `None`.
    pub fn sent(&mut self, now: Instant) {
        if self.peek().is_some() {
            self.flight.sent(now);
        }
    }

    /// Takes in that the peer expects message number `next` and so has all before it. Returns how
    /// many messages that settles: 0 if this was known already or is overtaken by a later one.
    ///
    /// # Errors
    /// [`AckError::NotSent`] if `next` is beyond what was sent; nothing changes.
    pub fn handle_ack(&mut self, now: Instant, next: u16) -> Result<u8, AckError> {
        let settled = self.flight.handle_ack(now, next)?;
        for _ in 0..settled {
            self.queue.pop_front();
        }
        Ok(settled)
    }

    /// Takes in that a round trip on this path took `rtt`, measured otherwise (by the handshake, by
    /// a ping).
    pub fn handle_rtt(&mut self, rtt: Duration) {
        self.flight.rtt.sample(rtt);
    }

    /// Takes in that the peer is there, so that the way to it is not the reason that nothing was
    /// acknowledged: ends the backing off, for what waits, too.
    pub fn hurry(&mut self, now: Instant) {
        self.flight.hurry(now);
    }

    /// Has all that is under way sent again if [`poll_timeout`](Self::poll_timeout) has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.flight.handle_timeout(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flight.timer
    }

    /// Continues on a new connection: everything unacknowledged is sent again under its old number,
    /// and the round-trip time is to be learned anew. See [Over a resume](self#over-a-resume).
    pub fn restart(&mut self) {
        self.flight.restart();
    }

    /// The path's round-trip time.
    pub fn rtt(&self) -> &RttEstimator {
        &self.flight.rtt
    }

    /// Whether everything pushed is acknowledged.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many messages were sent and are not acknowledged, 0 to [`WINDOW`].
    pub fn in_flight(&self) -> u8 {
        self.flight.unsettled
    }

    /// How many more messages, pushed now, would go out without waiting for acknowledgements: 0 to
    /// [`WINDOW`]. A caller that makes messages up late, so that they are current, asks for this first.
    pub fn free_window(&self) -> u8 {
        let queued = u8::try_from(self.queue.len()).unwrap_or(u8::MAX);
        WINDOW.saturating_sub(queued)
    }
}

/// The part of the queue that is under way; the same for every storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flight {
    /// The number of the queue's front: the oldest that is not acknowledged.
    first: u16,
    /// Of how many from the front on the peer may know: sent at least once.
    unsettled: u8,
    /// Which from the front on is to be sent next; less than `unsettled` when going back.
    next: u8,
    /// When to give up waiting for an acknowledgement. Runs while something was sent since the
    /// sender last went back.
    timer: Option<Instant>,
    /// A message that was sent only once, and when. Its acknowledgement is a sample of the RTT.
    timed: Option<(u16, Instant)>,
    rtt: RttEstimator,
}

impl Flight {
    const fn new() -> Self {
        Self {
            first: 0,
            unsettled: 0,
            next: 0,
            timer: None,
            timed: None,
            rtt: RttEstimator::new(),
        }
    }

    fn sent(&mut self, now: Instant) {
        let is_first_time = self.next >= self.unsettled;
        if is_first_time && self.timed.is_none() {
            self.timed = Some((self.first.wrapping_add(self.next.into()), now));
        }
        self.next = self.next.saturating_add(1);
        self.unsettled = self.unsettled.max(self.next);
        if self.timer.is_none() {
            self.timer = Some(now + self.rtt.timeout());
        }
    }

    fn handle_ack(&mut self, now: Instant, next: u16) -> Result<u8, AckError> {
        let ahead = next.wrapping_sub(self.first);
        let settled = match u8::try_from(ahead) {
            Ok(settled) if settled <= self.unsettled => settled,
            // Behind what is known, so overtaken by a later one on the way.
            _ if is_before(next, self.first) => 0,
            _ => return Err(AckError::NotSent),
        };
        if settled == 0 {
            return Ok(0);
        }
        self.rtt.end_back_off();
        if let Some((sequence, sent)) = self.timed
            && is_before(sequence, next)
        {
            self.rtt.sample(now.saturating_duration_since(sent));
            self.timed = None;
        }
        self.first = next;
        self.unsettled = self.unsettled.saturating_sub(settled);
        self.next = self.next.saturating_sub(settled);
        self.timer = (self.next > 0).then(|| now + self.rtt.timeout());
        Ok(settled)
    }

    fn hurry(&mut self, now: Instant) {
        self.rtt.end_back_off();
        let soonest = now + self.rtt.timeout();
        self.timer = self.timer.map(|timer| timer.min(soonest));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_some_and(|timer| timer <= now) {
            self.rtt.back_off();
            self.go_back();
        }
    }

    fn restart(&mut self) {
        self.rtt = RttEstimator::new();
        self.go_back();
    }

    fn go_back(&mut self) {
        self.next = 0;
        self.timer = None;
        // Karn's rule: after a repetition nobody knows which of the two was acknowledged.
        self.timed = None;
    }
}

/// The meaning of a sequence number for a [`Receiver`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Arrival {
    /// The one that is expected: if there is room for the message, take it and say
    /// [`accept`](Receiver::accept); else drop it, and the peer sends it again.
    Next,
    /// One that was accepted before: drop the message.
    Duplicate,
    /// One after a gap: drop the message, the peer sends it again after what is missing.
    OutOfOrder,
}

/// The incoming half: knows which message comes next, and what to acknowledge.
///
/// See [`Sender`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Receiver {
    next: u16,
    ack_due: bool,
}

impl Receiver {
    /// The start of a channel.
    pub const fn new() -> Self {
        Self {
            next: 0,
            ack_due: false,
        }
    }

    /// Says what to do with message number `sequence`, which arrived. Other than for
    /// [`Arrival::Next`] the peer is told where this end stands.
    pub fn handle(&mut self, sequence: u16) -> Arrival {
        if sequence == self.next {
            return Arrival::Next;
        }
        self.ack_due = true;
        if is_before(sequence, self.next) {
            Arrival::Duplicate
        } else {
            Arrival::OutOfOrder
        }
    }

    /// Takes in that message number `sequence` is taken. Nothing happens if it is not the one that
    /// is expected.
    pub fn accept(&mut self, sequence: u16) {
        if sequence == self.next {
            self.next = self.next.wrapping_add(1);
            self.ack_due = true;
        }
    }

    /// The number to acknowledge with, if there is news for the peer. Each piece of news is
    /// returned once, so call this when there is room in a datagram.
    pub fn poll_ack(&mut self) -> Option<u16> {
        core::mem::take(&mut self.ack_due).then_some(self.next)
    }

    /// Whether [`poll_ack`](Self::poll_ack) has news.
    pub const fn has_ack(&self) -> bool {
        self.ack_due
    }

    /// Continues on a new connection: tells the peer where this end stands. See
    /// [Over a resume](self#over-a-resume).
    pub fn restart(&mut self) {
        self.ack_due = true;
    }
}

/// Whether `a` comes before `b` in a sequence that wraps around.
const fn is_before(a: u16, b: u16) -> bool {
    a != b && b.wrapping_sub(a) < 0x8000
}

#[cfg(test)]
mod tests;
