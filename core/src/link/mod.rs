//! The part of an association that both ends share.
//!
//! A [`Link`] is the part of a connection that client and server share: it opens and seals Data
//! packets, delivers signalling reliably, answers and sends pings, notices silence, and changes
//! keys without losing messages under way.
//!
//! ```text
//!   handle_datagram ──► open ──► Frames ──► receive(frame) ──► Signal, Media, … to the owner
//!   poll_transmit   ◄── compose: pong, ack, ping, signals due, then what the owner fills in
//! ```
//!
//! The owner reads frames in order and hands each to [`Link::receive`]. A returned `Signal` is the next in order. The
//! owner calls [`Link::accept`] once it has processed the message. If it has no room it does not call it, and the peer
//! sends the message again.
//!
//! # Keys change without a gap
//!
//! [`Link::rekey`] makes a new handshake's keys the current ones. The former keys still open packets for
//! [`FORMER_KEYS_LIFETIME`], since some are on their way, but they seal none.

mod flow;
mod ping;

use thiserror::Error;

use self::flow::Flow;
use self::ping::Pinger;
use crate::secure::{Arrivals, OpenError, Opened, SealError, Transport};
use crate::signal::RttEstimator;
use crate::signal::channel::{Arrival, Receiver, SendError, Sender};
use crate::time::{Duration, Instant, earlier};
use crate::video::Feedback;
use crate::wire::{Arrived, ConnectionId, Frame, FrameWriter, MAX_DATAGRAM, Packet};

/// The SSRC in what is about no flow; none has it.
pub(crate) const NO_FLOW: u32 = 0;
/// Bytes of signalling that each end keeps for its peer until it is acknowledged.
pub(crate) const OUTBOX: usize = 2048;
/// How long former keys still open packets after a rekey.
pub(crate) const FORMER_KEYS_LIFETIME: Duration = Duration::from_secs(5);
/// Unanswered pings after which the peer counts as gone.
const MAX_UNANSWERED: u8 = 5;
/// While signalling waits for an acknowledgement, the link pings after this much silence, and repeats the first
/// unanswered ping after this time at the latest.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);

/// The buffer lent for a datagram is too small; nothing was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("the buffer is too small for a datagram: lend at least {needed} bytes")]
pub struct BufferTooSmall {
    /// Bytes to lend.
    pub needed: usize,
}

impl BufferTooSmall {
    /// Checks that `buffer` holds the longest datagram, so that composing one cannot fail halfway.
    pub(crate) const fn check(buffer: &[u8]) -> Result<(), Self> {
        if buffer.len() < MAX_DATAGRAM {
            return Err(Self {
                needed: MAX_DATAGRAM,
            });
        }
        Ok(())
    }
}

/// The connection ids of one set of keys: each end chooses the one that it receives under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The id in packets to this end.
    pub(crate) local: ConnectionId,
    /// The id in packets to the peer.
    pub(crate) peer: ConnectionId,
}

#[derive(Debug)]
struct Keys {
    transport: Transport,
    ids: Ids,
}

/// The meaning of a frame for the owner of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    /// The link has processed it.
    Handled,
    /// The link has processed it, and it had nothing new: repeated or out-of-order signalling, a repeated
    /// acknowledgement, or a pong for no awaited ping.
    Redundant,
    /// The Pong with this nonce came: the peer receives at the address to which the ping was sent.
    Pong(u32),
    /// The next signalling message in order, with its number for [`Link::accept`].
    Signal(u16, &'a [u8]),
    /// One RTP packet.
    Media(&'a [u8]),
    /// One RTCP compound packet.
    Report(&'a [u8]),
    /// One lossy application message.
    Message(&'a [u8]),
    /// About the pictures of a flow, or of [`NO_FLOW`], and for its sender.
    Feedback(u32, Feedback<'a>),
}

/// The peer acknowledged signalling that was never sent: it is broken, or hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProtocolViolation;

/// Whether the peer is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// As far as known.
    Alive,
    /// Several pings in a row went unanswered.
    Lost,
}

/// One end of an association; see the [module](self).
#[derive(Debug)]
pub(crate) struct Link {
    keys: Keys,
    former: Option<(Keys, Instant)>,
    outgoing: Sender<[u8; OUTBOX]>,
    incoming: Receiver,
    pinger: Pinger,
    flow: Flow,
    pong_due: Option<u32>,
    keepalive: Duration,
    last_received: Instant,
}

impl Link {
    /// An association that is established now. Without `keepalive` ([`Duration::MAX`]) silence is ignored, except while
    /// signalling waits for an acknowledgement.
    pub(crate) fn new(transport: Transport, ids: Ids, keepalive: Duration, now: Instant) -> Self {
        Self {
            keys: Keys { transport, ids },
            former: None,
            outgoing: Sender::new([0; OUTBOX]),
            incoming: Receiver::new(),
            pinger: Pinger::new(),
            flow: Flow::default(),
            pong_due: None,
            keepalive,
            last_received: now,
        }
    }

    /// Continues under new keys; signalling that is not acknowledged is sent again under them.
    pub(crate) fn rekey(&mut self, transport: Transport, ids: Ids, now: Instant) {
        let former = core::mem::replace(&mut self.keys, Keys { transport, ids });
        self.former = Some((former, now + FORMER_KEYS_LIFETIME));
        self.outgoing.restart();
        self.incoming.restart();
        self.pinger = Pinger::new();
        self.flow = Flow::default();
        self.pong_due = None;
        self.last_received = now;
    }

    /// The connection ids in use.
    pub(crate) fn ids(&self) -> Ids {
        self.keys.ids
    }

    /// The id for packets under the former keys, while these are valid.
    pub(crate) fn former_id(&self) -> Option<ConnectionId> {
        self.former.as_ref().map(|(keys, _)| keys.ids.local)
    }

    /// Whether it is time for a resume that brings new keys.
    #[cfg(feature = "client")]
    pub(crate) fn needs_rekey(&self) -> bool {
        self.keys.transport.needs_rekey()
    }

    /// Counts of the packets that arrived under the current keys.
    #[cfg(feature = "client")]
    pub(crate) fn arrivals(&self) -> Arrivals {
        self.keys.transport.arrivals()
    }

    /// The report on the packets that arrived under the current keys, the newest of them at `at`.
    pub(crate) fn arrived(&self, at: Instant) -> Arrived {
        let Arrivals { expected, received } = self.keys.transport.arrivals();
        // The truncations are the point: the low bits are what the wire carries.
        Arrived {
            highest: expected.saturating_sub(1) as u32,
            opened: received as u32,
            clock: at.as_micros() as u32,
        }
    }

    /// The counter of the next packet, its low 32 bits.
    pub(crate) fn next_counter(&self) -> u32 {
        // The truncation is the point: the low bits are what the wire carries.
        self.keys.transport.sent() as u32
    }

    /// Opens a Data packet in place, under the current keys or the former ones. A packet under
    /// former keys is never the newest, so it cannot move the association to its address.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has changed but the datagram's bytes.
    pub(crate) fn open<'d>(
        &mut self,
        now: Instant,
        datagram: &'d mut [u8],
    ) -> Result<Opened<'d>, OpenError> {
        let Ok(Packet::Data { connection_id, .. }) = Packet::parse(datagram) else {
            return Err(OpenError::NotData);
        };
        let opened = if connection_id == self.keys.ids.local {
            self.keys.transport.open(datagram)?
        } else {
            match &mut self.former {
                // The owner may not have called `handle_timeout` for long.
                Some((former, end)) if *end > now && former.ids.local == connection_id => Opened {
                    is_newest: false,
                    ..former.transport.open(datagram)?
                },
                _ => return Err(OpenError::NotData),
            }
        };
        self.last_received = now;
        self.pinger.heard();
        self.flow.heard();
        Ok(opened)
    }

    /// Processes a frame, and returns the part that is left for the owner.
    ///
    /// # Errors
    /// The peer broke the protocol; nothing has changed.
    pub(crate) fn receive<'f>(
        &mut self,
        now: Instant,
        frame: Frame<'f>,
    ) -> Result<Received<'f>, ProtocolViolation> {
        Ok(match frame {
            Frame::Media(packet) => Received::Media(packet),
            Frame::Report(packet) => Received::Report(packet),
            Frame::Message(message) => Received::Message(message),
            Frame::Nack { ssrc, lost } => Received::Feedback(ssrc, Feedback::Lost(lost)),
            Frame::KeyWanted { ssrc, layer } => {
                Received::Feedback(ssrc, Feedback::KeyWanted { layer })
            }
            Frame::Arrived(arrived) => Received::Feedback(NO_FLOW, Feedback::Arrived(arrived)),
            Frame::Signal { sequence, message } => match self.incoming.handle(sequence) {
                Arrival::Next => Received::Signal(sequence, message),
                Arrival::Duplicate | Arrival::OutOfOrder => Received::Redundant,
            },
            Frame::Ack { next } => {
                let settled = self.outgoing.handle_ack(now, next);
                match settled.map_err(|_| ProtocolViolation)? {
                    0 => Received::Redundant,
                    _ => Received::Handled,
                }
            }
            Frame::Ping { nonce } => {
                self.pong_due = Some(nonce);
                Received::Handled
            }
            Frame::Pong { nonce } => {
                if let Some(rtt) = self.pinger.handle_pong(now, nonce) {
                    self.outgoing.handle_rtt(rtt);
                    Received::Pong(nonce)
                } else {
                    Received::Redundant
                }
            }
        })
    }

    /// Records that the owner has processed the signalling message with this number.
    pub(crate) fn accept(&mut self, sequence: u16) {
        self.incoming.accept(sequence);
    }

    /// Queues a signalling message.
    ///
    /// # Errors
    /// [`SendError::Full`]: the peer has yet to acknowledge too many.
    pub(crate) fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.outgoing.push(message)
    }

    /// The number of messages that can be sent without waiting.
    pub(crate) fn free_window(&self) -> u8 {
        self.outgoing.free_window()
    }

    /// Whether all signalling is acknowledged.
    #[cfg(feature = "server")]
    pub(crate) fn is_settled(&self) -> bool {
        self.outgoing.is_idle()
    }

    /// Records that the peer is present though it has not acknowledged: unacknowledged signalling is sent again after
    /// one round trip, without the accumulated backoff.
    #[cfg(feature = "server")]
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.outgoing.hurry(now);
    }

    /// Records the duration of the handshake as a round-trip sample.
    pub(crate) fn handle_rtt(&mut self, rtt: Duration) {
        self.outgoing.handle_rtt(rtt);
    }

    /// The path's round-trip time.
    pub(crate) fn rtt(&self) -> &RttEstimator {
        self.outgoing.rtt()
    }

    /// Sends a ping at once. Draw `nonce` at random: only its receiver can return it.
    pub(crate) fn ping(&mut self, nonce: u32) {
        self.pinger.request(nonce);
    }

    /// Records that media for this end came: from now on silence is noticed sooner.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn media_received(&mut self, now: Instant) {
        self.flow.received(now);
    }

    /// Records that a media packet is about to be sent. If the peer should have been heard by now, a ping goes with it;
    /// `nonce` draws at random.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn media_sent(&mut self, now: Instant, nonce: impl FnOnce() -> u32) {
        self.flow.sent();
        let asks = self.pinger.is_requested() || self.pinger.awaited_since().is_some();
        if !asks && self.flow.is_one_sided(now, self.last_received) {
            self.pinger.request(nonce());
        }
    }

    /// When something was last received under any of the keys.
    #[cfg(feature = "server")]
    pub(crate) fn last_received(&self) -> Instant {
        self.last_received
    }

    /// Runs the due timers. `nonce` draws at random, for a ping if one is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, nonce: impl FnOnce() -> u32) -> Liveness {
        if self.former.as_ref().is_some_and(|(_, end)| *end <= now) {
            self.former = None;
        }
        self.outgoing.handle_timeout(now);
        if self.ping_due().is_some_and(|due| due <= now) {
            let most = match self.doubtful_from() {
                Some(_) => {
                    self.pinger.forget_sent_before(self.last_received);
                    flow::REPETITIONS
                }
                None => MAX_UNANSWERED,
            };
            if self.pinger.unanswered() >= most {
                return Liveness::Lost;
            }
            self.pinger.request(nonce());
        }
        Liveness::Alive
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let former = self.former.as_ref().map(|(_, end)| *end);
        earlier(
            former,
            earlier(self.outgoing.poll_timeout(), self.ping_due()),
        )
    }

    /// The time from which the peer's silence is doubtful, if media flows.
    fn doubtful_from(&self) -> Option<Instant> {
        let owes = self.pinger.awaited_since().is_some();
        self.flow.doubtful_from(self.last_received, owes)
    }

    fn ping_due(&self) -> Option<Instant> {
        // Simultaneous timeouts of signalling must not lengthen the wait for pings. Slow answers, for example delayed
        // by an attacker, must not do so either: a lost ping must be repeated in time.
        let patience = self.rtt().base_timeout().min(BUSY_PATIENCE);
        let doubtful_from = self.doubtful_from();
        if let Some(sent) = self.pinger.awaited_since() {
            return Some(match doubtful_from {
                Some(from) => {
                    let (unanswered, late) = (self.pinger.unanswered(), self.pinger.late());
                    let arrivals = self.keys.transport.arrivals();
                    from.max(sent + flow::wait(self.rtt(), arrivals, unanswered, late))
                }
                // The wait may not exceed the keepalive. At that time the owner sends another ping in place of the
                // awaited one, and no ping would ever count as unanswered.
                None => sent + self.pinger.wait(patience, self.keepalive),
            });
        }
        if self.pinger.is_requested() {
            return None;
        }
        if doubtful_from.is_some() {
            return doubtful_from;
        }
        let patience = if self.outgoing.is_idle() {
            self.keepalive
        } else {
            self.keepalive.min(BUSY_PATIENCE)
        };
        (patience != Duration::MAX).then(|| self.last_received + patience)
    }

    /// Whether the link itself has something to send.
    pub(crate) fn wants_transmit(&self) -> bool {
        self.pong_due.is_some()
            || self.pinger.is_requested()
            || self.incoming.has_ack()
            || self.outgoing.peek().is_some()
    }

    /// Composes one Data packet into `out`: first what the link itself has to send, then what
    /// `fill` adds. `None` if neither has anything.
    ///
    /// # Errors
    /// [`ComposeError`]. If the buffer is too small, nothing has changed and `fill` was not called.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn compose(
        &mut self,
        now: Instant,
        out: &mut [u8],
        fill: impl FnOnce(&mut FrameWriter<'_>),
    ) -> Result<Option<usize>, ComposeError> {
        let signals = self.wants_transmit();
        self.compose_within(now, out, MAX_DATAGRAM, signals, fill)
    }

    /// Like `compose`, but the packet has at most `limit` bytes: at least 44, so that a pong, a ping and an
    /// acknowledgement fit. For a path with an anti-amplification limit. `signals` is what
    /// [`wants_transmit`](Self::wants_transmit) says.
    ///
    /// # Errors
    /// As `compose`.
    pub(crate) fn compose_within(
        &mut self,
        now: Instant,
        out: &mut [u8],
        limit: usize,
        signals: bool,
        fill: impl FnOnce(&mut FrameWriter<'_>),
    ) -> Result<Option<usize>, ComposeError> {
        BufferTooSmall::check(out)?;
        let out = out.get_mut(..limit.min(MAX_DATAGRAM)).unwrap_or_default();
        let mut writer = FrameWriter::in_datagram(out);
        if signals {
            self.write_own_frames(now, &mut writer);
        }
        fill(&mut writer);
        let len = writer.len();
        if len == 0 {
            return Ok(None);
        }
        let peer = self.keys.ids.peer;
        let sealed = self.keys.transport.seal(peer, len, out);
        sealed.map(Some).map_err(ComposeError::Seal)
    }

    /// Seals the plaintext at its place in `out`. Returns the datagram's length.
    #[cfg(all(test, feature = "server"))]
    pub(crate) fn seal(&mut self, plaintext: usize, out: &mut [u8]) -> usize {
        let peer = self.keys.ids.peer;
        self.keys.transport.seal(peer, plaintext, out).unwrap()
    }

    fn write_own_frames(&mut self, now: Instant, writer: &mut FrameWriter<'_>) {
        // The buffer is empty and large enough for pong, ping and ack, so none is lost.
        if let Some(nonce) = self.pong_due.take() {
            let _ = writer.push(&Frame::Pong { nonce });
        }
        if let Some(nonce) = self.pinger.poll_transmit(now) {
            let _ = writer.push(&Frame::Ping { nonce });
        }
        if let Some(next) = self.incoming.poll_ack() {
            let _ = writer.push(&Frame::Ack { next });
        }
        while let Some((sequence, message)) = self.outgoing.peek() {
            if writer.push(&Frame::Signal { sequence, message }).is_err() {
                break;
            }
            self.outgoing.sent(now);
        }
    }
}

/// Why no packet was composed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ComposeError {
    /// Nothing was lost.
    #[error(transparent)]
    Buffer(#[from] BufferTooSmall),
    /// The keys are used up: the association is over.
    #[error(transparent)]
    Seal(SealError),
}

#[cfg(all(test, feature = "server"))]
mod tests;
