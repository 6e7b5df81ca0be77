//! All that a client knows and does, whatever its profile: what it is made of, and which part
//! deals with what.

use rand_core::{CryptoRngCore, RngCore};

use super::events::{Event, Events, Incoming, ReconnectCause};
use super::flows::{Downlink, Uplink};
use super::joining::{Joining, Written};
use super::media::handle_feedback;
use super::outgoing::{write_packets, write_report};
use super::profile::Parts;
use super::requests::Requests;
use super::statistics::Statistics;
use super::subscriptions::Listening;
use super::told::Told;
use super::{BufferTooSmall, CloseCause, Config, Dropped};
use crate::link::{ComposeError, Link, Liveness, Received};
use crate::room::{CloseReason, Grants, ParticipantId, SessionId};
use crate::secure::{Generator, OpenError, PublicKey, ResetToken, ResumeTicket};
use crate::signal::{MAX_TOKEN, Redirect};
use crate::ticket::{Ticket, TicketError};
use crate::time::{Duration, Instant, earlier};
use crate::wire::{Frames, Packet};

/// How long to wait for the answer after the network changed, at least.
const MIN_PROBE: Duration = Duration::from_secs(1);
/// When new keys cannot be had, try again after this long.
pub(super) const REKEY_PAUSE: Duration = Duration::from_secs(60);

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// On the way into the session, for the first time or again.
    Joining,
    /// In the lobby.
    Waiting,
    /// In the session.
    Joined,
    /// Over.
    Closed(CloseCause),
}

/// This end's place in the session, as the server stated it.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) me: ParticipantId,
    pub(super) session: SessionId,
    pub(super) grants: Grants,
    pub(super) slot_ssrc: u32,
    /// `None` once it cannot help any more.
    pub(super) ticket: Option<ResumeTicket>,
}

/// Whether the server must be told something, apart from what commands tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    Nothing,
    Due,
    /// As soon as the server has acknowledged something.
    Blocked,
    /// Not before then: the server was told too much at once.
    Paused(Instant),
}

/// On the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaving {
    pub(super) deadline: Instant,
    pub(super) told: Told,
}

/// Sent elsewhere by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Redirected {
    pub(super) to: Redirect,
    /// The time since when nobody has answered there.
    pub(super) since: Instant,
}

/// A client without the memory that its profile sizes.
pub(super) struct Machine {
    /// The latest time that was told.
    pub(super) now: Instant,
    pub(super) rng: Generator,
    pub(super) server_key: PublicKey,
    pub(super) token: heapless::String<MAX_TOKEN>,
    pub(super) config: Config,
    /// The number of participants that the profile tracks.
    pub(super) participants: u16,
    /// How many slots to ask for.
    pub(super) slots: u8,
    pub(super) status: Status,
    pub(super) joining: Joining,
    /// In use while [`Status::Waiting`] or [`Status::Joined`]; kept while
    /// [`Status::Joining`] because a resume continues its signalling.
    pub(super) link: Option<Link>,
    pub(super) reset_token: Option<ResetToken>,
    pub(super) membership: Option<Membership>,
    /// The ticket to show on returning to the lobby.
    pub(super) lobby_ticket: Option<ResumeTicket>,
    /// In a lobby when last heard of: what was asked for is to be answered yet.
    pub(super) awaits_admission: bool,
    pub(super) requests: Requests,
    pub(super) events: Events,
    pub(super) listening: Listening,
    pub(super) telling: Telling,
    pub(super) leaving: Option<Leaving>,
    pub(super) redirected: Option<Redirected>,
    /// Redirects since the last connection.
    pub(super) redirects: u8,
    pub(super) rekey_at: Instant,
    /// Send something at least this often.
    pub(super) keepalive: Duration,
    pub(super) last_sent: Instant,
    /// The network changed; give up on the connection if nothing was received by then.
    pub(super) probe: Option<Instant>,
    /// When to report on media.
    pub(super) report_at: Option<Instant>,
    /// Whether packets wait to be sent.
    pub(super) packets_wait: bool,
    pub(super) uplink: Uplink,
    pub(super) downlink: Downlink,
    /// The derived facts that the application was last told.
    pub(super) noticed: super::noticed::Noticed,
    pub(super) lobby: super::lobby::Told,
    /// The time when the first of the current speakers may have been silent for long enough.
    pub(super) speech_ends: Option<Instant>,
    pub(super) statistics: Statistics,
}

impl Machine {
    pub(super) fn new(
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
        participants: usize,
        slots: usize,
    ) -> Result<Self, TicketError> {
        if ticket.token.is_empty() {
            return Err(TicketError::Token);
        }
        let token = ticket
            .token
            .try_into()
            .map_err(|_| TicketError::TokenTooLong)?;
        let slots = u8::try_from(slots).unwrap_or(u8::MAX);
        let config = config.checked();
        Ok(Self {
            now,
            rng: Generator::new(rng),
            server_key: ticket.server_key,
            token,
            config,
            participants: u16::try_from(participants).unwrap_or(u16::MAX),
            slots: config.slots.map_or(slots, |wanted| wanted.min(slots)),
            status: Status::Joining,
            joining: Joining::new(now),
            link: None,
            reset_token: None,
            membership: None,
            lobby_ticket: None,
            awaits_admission: false,
            requests: Requests::new(),
            events: Events::new(),
            listening: Listening::new(config.policy),
            telling: Telling::Nothing,
            leaving: None,
            redirected: None,
            redirects: 0,
            rekey_at: now,
            keepalive: config.keepalive,
            last_sent: now,
            probe: None,
            report_at: None,
            packets_wait: false,
            uplink: Uplink::default(),
            downlink: Downlink::default(),
            noticed: super::noticed::Noticed::default(),
            lobby: super::lobby::Told::default(),
            speech_ends: None,
            statistics: Statistics::default(),
        })
    }

    // Input

    pub(super) fn handle_datagram(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        datagram: &mut [u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Dropped> {
        self.advance(now);
        let len = datagram.len();
        let handled = match Packet::parse(datagram) {
            _ if self.closed().is_some() => Err(Dropped::Closed),
            Ok(Packet::Data { .. }) => self.handle_data(parts, datagram, receive),
            Ok(packet) => self.handle_handshake(parts, &packet),
            Err(_) => Err(Dropped::Malformed),
        };
        match handled {
            Ok(()) => self.statistics.received.count(len),
            Err(dropped) => self.statistics.drops.count(dropped),
        }
        handled
    }

    fn handle_handshake(
        &mut self,
        parts: &mut Parts<'_>,
        packet: &Packet<'_>,
    ) -> Result<(), Dropped> {
        let known = match *packet {
            Packet::Welcome { client_id, noise } => {
                return self.handle_welcome(parts, client_id, noise);
            }
            Packet::Reset { server_id, token } => {
                return self.handle_reset(parts, server_id, token);
            }
            Packet::Retry { client_id, cookie } => {
                self.joining.handle_retry(self.now, client_id, cookie)
            }
            Packet::VersionMismatch {
                client_id,
                supported,
            } => self.joining.handle_mismatch(client_id, supported),
            _ => false,
        };
        if known {
            Ok(())
        } else {
            Err(Dropped::Unexpected)
        }
    }

    fn handle_data(
        &mut self,
        parts: &mut Parts<'_>,
        datagram: &mut [u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Dropped> {
        let link = self.link.as_mut().ok_or(Dropped::Unexpected)?;
        let opened = link.open(self.now, datagram).map_err(|error| match error {
            OpenError::Forged => Dropped::Forged,
            OpenError::Replayed => Dropped::Replayed,
            _ => Dropped::Unexpected,
        })?;
        let plaintext: &[u8] = opened.plaintext;
        self.probe = None;
        if self.status == Status::Joining {
            self.joining.hear();
        }
        if self.telling == Telling::Blocked {
            self.telling = Telling::Due;
        }
        for frame in Frames::new(plaintext) {
            // Closed by an earlier frame: nothing that follows matters.
            let Some(link) = self.link.as_mut().filter(|_| !self.status.is_closed()) else {
                break;
            };
            let received = frame.map(|frame| link.receive(self.now, frame));
            match received {
                Ok(Ok(Received::Handled | Received::Redundant | Received::Pong(_))) => {}
                Ok(Ok(Received::Signal(sequence, message))) => {
                    if self.handle_signal(parts, message)
                        && let Some(link) = &mut self.link
                    {
                        link.accept(sequence);
                    }
                }
                Ok(Ok(Received::Media(packet))) => self.handle_media(parts, packet, receive),
                Ok(Ok(Received::Report(report))) => self.handle_report(parts, report),
                Ok(Ok(Received::Message(message))) => self.handle_lossy(message, receive),
                Ok(Ok(Received::Feedback(ssrc, feedback))) => {
                    handle_feedback(parts, ssrc, feedback, receive);
                }
                Ok(Err(_)) | Err(_) => self.count_bad_frame(),
            }
        }
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, parts: &mut Parts<'_>, now: Instant) {
        self.advance(now);
        if self.status.is_closed() {
            return;
        }
        if let Some(leaving) = self.leaving
            && leaving.deadline <= now
        {
            self.close(parts, CloseCause::Closed(CloseReason::Left));
            return;
        }
        self.end_speech(parts);
        // Before the next Hello is written, so that the embedder knows where to send it.
        self.end_vain_redirect();
        let is_live = self.status.is_live();
        let Some(link) = self.link.as_mut().filter(|_| is_live) else {
            return;
        };
        let rng = &mut self.rng;
        if link.handle_timeout(now, || rng.next_u32()) == Liveness::Lost {
            self.reconnect(parts, ReconnectCause::Silence);
        } else if self.probe.is_some_and(|deadline| deadline <= now) {
            self.reconnect(parts, ReconnectCause::NetworkChanged);
        } else if self.speak_by() <= now {
            self.ping();
        }
    }

    pub(super) fn network_changed(&mut self, now: Instant) {
        self.advance(now);
        match self.status {
            Status::Closed(_) => {}
            Status::Joining => self.joining.take_another_way(now),
            Status::Waiting | Status::Joined => {
                let patience = (self.link.as_ref())
                    .map_or(MIN_PROBE, |link| link.rtt().timeout().saturating_mul(2))
                    .max(MIN_PROBE);
                self.probe = Some(now + patience);
                self.ping();
            }
        }
    }

    // Output

    pub(super) fn poll_transmit(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        BufferTooSmall::check(out)?;
        self.advance(now);
        let written = match self.write_hello(parts, out) {
            Some(len) => Some(len),
            None => self.write_data(parts, out),
        };
        if let Some(len) = written {
            self.statistics.sent.count(len);
        }
        Ok(written)
    }

    fn write_hello(&mut self, parts: &mut Parts<'_>, out: &mut [u8]) -> Option<usize> {
        if self.status == Status::Joined && self.joining.is_idle() && self.rekey_at <= self.now {
            self.joining.hurry(self.now);
        }
        self.end_vain_redirect();
        if self.joining.wants_build(self.now) {
            self.build_hello(parts);
        }
        match self.joining.write(self.now, out, &mut self.rng) {
            Written::Hello(len) => Some(len),
            Written::Nothing => None,
            Written::Mismatch(supported) => {
                if self.status == Status::Joined {
                    self.give_up_rekey();
                } else {
                    self.close(parts, CloseCause::VersionMismatch { supported });
                }
                None
            }
        }
    }

    fn write_data(&mut self, parts: &mut Parts<'_>, out: &mut [u8]) -> Option<usize> {
        self.tell(parts);
        let (now, status) = (self.now, self.status);
        let link = match status {
            Status::Joining => None,
            _ => self.link.as_mut(),
        }?;
        let may_carry_media = status == Status::Joined;
        let report_due = self.report_at.is_some_and(|due| due <= now) && may_carry_media;
        let mut reported = false;
        let composed = link.compose(now, out, |writer| {
            if report_due {
                reported = write_report(parts, now, writer);
            }
            if may_carry_media {
                write_packets(parts.outgoing, writer);
            }
        });
        let needs_rekey = link.needs_rekey();
        if reported {
            self.report_at = None;
            self.downlink.measure(link.arrivals());
        }
        self.packets_wait = may_carry_media && !parts.outgoing.is_empty();
        if status.is_closed() {
            // The server has had its acknowledgement.
            self.link = None;
        }
        match composed {
            Ok(Some(len)) => {
                self.last_sent = now;
                if needs_rekey && self.rekey_at > now + REKEY_PAUSE {
                    self.rekey_at = now;
                }
                Some(len)
            }
            Ok(None) => None,
            Err(ComposeError::Buffer(_)) => None,
            Err(ComposeError::Seal(_)) => {
                self.reconnect(parts, ReconnectCause::KeysExhausted);
                None
            }
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let handshake = earlier(self.joining.poll_timeout(), self.redirect_vain_at());
        let leaving = self.leaving.map(|leaving| leaving.deadline);
        let leaving = earlier(leaving, self.speech_ends);
        let link = match self.status {
            Status::Closed(_) => return self.link.as_ref().map(|_| self.now),
            Status::Joining => None,
            Status::Waiting | Status::Joined => self.link.as_ref(),
        };
        let Some(link) = link else {
            return earlier(handshake, leaving);
        };
        let joined = self.status == Status::Joined;
        if link.wants_transmit() || self.telling == Telling::Due || joined && self.packets_wait {
            return Some(self.now);
        }
        let rekey = (joined && self.joining.is_idle()).then_some(self.rekey_at);
        let report = self.report_at.filter(|_| joined);
        let telling = match self.telling {
            Telling::Paused(end) => Some(end),
            Telling::Nothing | Telling::Due | Telling::Blocked => None,
        };
        [
            handshake,
            leaving,
            link.poll_timeout(),
            Some(self.speak_by()),
            self.probe,
            report,
            rekey,
            telling,
        ]
        .into_iter()
        .fold(None, earlier)
    }

    // Shared by all parts

    /// Takes in what time it is.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The link, if it is in use.
    pub(super) fn live_link(&mut self) -> Option<&mut Link> {
        let is_live = self.status.is_live();
        self.link.as_mut().filter(|_| is_live)
    }

    pub(super) fn ping(&mut self) {
        let nonce = self.rng.next_u32();
        if let Some(link) = self.live_link() {
            link.ping(nonce);
        }
    }

    /// When something must have been sent, lest the server think that this end is gone.
    fn speak_by(&self) -> Instant {
        self.last_sent + self.keepalive
    }

    pub(super) fn count_bad_frame(&mut self) {
        let counter = &mut self.statistics.drops.frames;
        *counter = counter.saturating_add(1);
    }

    // Facts

    pub(super) fn membership(&self) -> Option<&Membership> {
        self.membership.as_ref()
    }

    pub(super) fn is_joined(&self) -> bool {
        self.status == Status::Joined
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.status == Status::Waiting
    }

    pub(super) fn redirected_to(&self) -> Option<Redirect> {
        self.redirected.map(|redirected| redirected.to)
    }

    pub(super) fn closed(&self) -> Option<CloseCause> {
        match self.status {
            Status::Closed(cause) => Some(cause),
            _ => None,
        }
    }
}

impl Status {
    /// Whether there is a link in use.
    const fn is_live(self) -> bool {
        matches!(self, Self::Waiting | Self::Joined)
    }

    pub(super) const fn is_closed(self) -> bool {
        matches!(self, Self::Closed(_))
    }
}
