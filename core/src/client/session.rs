//! From the handshake into the session, out of it, and back after the connection broke.

use rand_core::RngCore;
use zeroize::Zeroizing;

use super::config::MIN_INTERVAL;
use super::events::{Event, ReconnectCause};
use super::machine::{Machine, Membership, REKEY_PAUSE, Redirected, Status, Telling};
use super::profile::Parts;
use super::requests::RequestFailure;
use super::told::Told;
use super::voices::Whose;
use super::{CloseCause, Dropped};
use crate::link::{Ids, Link};
use crate::room::{CloseReason, Version};
use crate::secure::{ResetToken, ResumeTicket, Transport};
use crate::signal::{Answer, Join, JoinRefusal, Joined, Redirect, Resume, Secret, decode};
use crate::time::{Duration, Instant};
use crate::wire::{ConnectionId, MAX_DATAGRAM};

/// Redirects that are followed at once; from there on with growing pauses.
const PROMPT_REDIRECTS: u8 = 3;
/// The time limit for an answer from the server to which this client was redirected.
const VAIN_REDIRECT: Duration = Duration::from_secs(10);

/// A finished handshake.
struct Established {
    transport: Transport,
    ids: Ids,
    round_trip: Option<Duration>,
    /// The Hello asked to continue the earlier connection.
    resumes: bool,
}

impl Machine {
    /// Makes a Hello that says what is wanted now.
    pub(super) fn build_hello(&mut self, parts: &mut Parts<'_>) {
        if let Some(token) = self.joining.take_token() {
            // Its request may not have been answered in time; a join will answer it.
            self.token = token;
        }
        let wanted = parts
            .publications
            .iter()
            .filter(|publication| publication.is_wanted);
        let ticket = (self.membership.as_ref())
            .and_then(|membership| membership.ticket.as_ref())
            .or(self.lobby_ticket.as_ref());
        let join = Join {
            token: Secret(&self.token),
            participants: self.participants,
            slots: self.slots,
            policy: self.listening.policy,
            publish: wanted.map(|wanted| wanted.publish.clone()).collect(),
            resume: ticket.map(|ticket| Resume {
                ticket: Secret(*ticket.expose_bytes()),
                version: parts.room.version_for_resume(),
            }),
        };
        let client_id = loop {
            let id = ConnectionId(self.rng.next_u32());
            let link = self.link.as_ref();
            if link.is_none_or(|link| link.ids().local != id && link.former_id() != Some(id)) {
                break id;
            }
        };
        let (now, rng) = (self.now, &mut self.rng);
        (self.joining).build(now, &join, &self.server_key, client_id, rng);
    }

    pub(super) fn handle_welcome(
        &mut self,
        parts: &mut Parts<'_>,
        client_id: ConnectionId,
        noise: &[u8],
    ) -> Result<(), Dropped> {
        let now = self.now;
        let attempt = self.joining.attempt(client_id);
        let attempt = attempt.ok_or(Dropped::Unexpected)?;
        let mut payload = Zeroizing::new([0; MAX_DATAGRAM]);
        let welcomed = attempt.handshake().finish(noise, payload.as_mut_slice());
        let welcomed = welcomed.map_err(|_| Dropped::Forged)?;
        let answer = decode(welcomed.payload).map_err(|_| Dropped::Malformed)?;
        let established = Established {
            transport: welcomed.transport,
            ids: Ids {
                local: client_id,
                peer: welcomed.server_id,
            },
            round_trip: attempt.round_trip(now),
            resumes: attempt.resumes,
        };
        match answer {
            Answer::Joined(joined) => {
                self.joining.finish();
                self.established(parts, established, &joined);
            }
            Answer::Waiting {
                reset_token,
                keepalive,
                resume_ticket,
            } => {
                self.joining.finish();
                self.lobby_ticket = Some(ResumeTicket::from_bytes(*resume_ticket));
                self.waiting(parts, established, *reset_token, keepalive);
            }
            Answer::Refused(refusal) => self.refused(parts, refusal),
            Answer::Redirect(address) => self.redirect(parts, address.into()),
            Answer::RedirectPort(port) => self.redirect(parts, Redirect::Port(port)),
            Answer::RedirectEither(v4, v6) => self.redirect(parts, Redirect::Either(v4, v6)),
        }
        Ok(())
    }

    fn redirect(&mut self, parts: &mut Parts<'_>, to: Redirect) {
        if self.status == Status::Joined || self.status == Status::Waiting {
            self.reconnect(parts, ReconnectCause::Redirected);
        }
        if self.status != Status::Joining {
            return;
        }
        if self.knows_no_session() {
            // The lobby that was is not the one that will be.
            self.link = None;
        }
        let since = self.now;
        self.redirected = Some(Redirected { to, since });
        self.events.push(Event::Redirected(to));
        self.redirects = self.redirects.saturating_add(1);
        if self.redirects <= PROMPT_REDIRECTS {
            self.joining.finish();
            self.joining.hurry(self.now);
        } else {
            self.joining.postpone(self.now, &mut self.rng);
        }
    }

    fn established(&mut self, parts: &mut Parts<'_>, established: Established, joined: &Joined) {
        let now = self.now;
        let was_joined = self.status == Status::Joined;
        let resumed = match &mut self.link {
            Some(link) if joined.resumed && established.resumes => {
                link.rekey(established.transport, established.ids, now);
                true
            }
            _ => {
                self.keepalive = self.keepalive_with(joined.keepalive);
                let Established { transport, ids, .. } = established;
                self.link = Some(Link::new(transport, ids, self.keepalive, now));
                false
            }
        };
        if let (Some(link), Some(rtt)) = (&mut self.link, established.round_trip) {
            link.handle_rtt(rtt);
        }
        if resumed && self.awaits_admission {
            // Let in while it was away: what it asked for when it began to wait is answered by `Admitted`, which is to come.
            self.remember(parts, joined);
            self.status = Status::Waiting;
            self.ping();
            return;
        }
        self.status = Status::Joined;
        if resumed {
            self.grants_changed(parts, joined.grants);
            self.remember(parts, joined);
        } else {
            self.start_over(parts);
            self.remember(parts, joined);
            self.enter(parts, joined);
        }
        if !(was_joined && resumed) {
            self.events.push(Event::Joined { resumed });
        }
        self.telling = Telling::Due;
        // The join takes effect with the first packet under the new keys.
        self.ping();
    }

    /// The lobby: an association on which nothing travels until somebody opens the door.
    fn waiting(
        &mut self,
        parts: &mut Parts<'_>,
        established: Established,
        reset_token: [u8; 16],
        keepalive: u8,
    ) {
        let Established { transport, ids, .. } = established;
        self.keepalive = self.keepalive_with(keepalive);
        let mut link = Link::new(transport, ids, self.keepalive, self.now);
        if let Some(rtt) = established.round_trip {
            link.handle_rtt(rtt);
        }
        self.link = Some(link);
        self.status = Status::Waiting;
        self.awaits_admission = true;
        self.reset_token = Some(ResetToken::from_bytes(reset_token));
        if let Some(membership) = &mut self.membership {
            membership.ticket = None;
        }
        self.start_over(parts);
        self.events.push(Event::Waiting);
        self.ping();
    }

    /// The door opens.
    pub(super) fn admitted(&mut self, parts: &mut Parts<'_>, joined: &Joined) {
        self.joining.finish();
        self.status = Status::Joined;
        if self.knows_no_session() {
            self.remember(parts, joined);
        }
        self.enter(parts, joined);
        self.events.push(Event::Joined { resumed: false });
        self.telling = Telling::Due;
    }

    /// Whether what this end was in last, if in anything, was a lobby.
    pub(super) fn knows_no_session(&self) -> bool {
        (self.membership.as_ref()).is_none_or(|membership| membership.ticket.is_none())
    }

    /// The server knows nothing of before but what Hello told it: all that there was to publish
    /// then, and the policy. A Hello is made anew whenever these change, so they are what they were.
    fn start_over(&mut self, parts: &mut Parts<'_>) {
        self.fail_requests();
        self.drop_packets(parts);
        parts
            .publications
            .retain(|publication| publication.is_wanted);
        for publication in parts.publications.iter_mut() {
            publication.asked(None);
        }
        for subscription in parts.subscriptions.iter_mut() {
            subscription.told = Told::Untold;
        }
        self.listening.forget();
        self.forget_lobby(parts);
        // The shown state stays until the coming snapshot; no resume can continue from it.
        parts.room.begin_snapshot(Version::default());
    }

    /// Into a session that is new to this end.
    fn enter(&mut self, parts: &mut Parts<'_>, joined: &Joined) {
        self.awaits_admission = false;
        if let Some(refusal) = joined.policy_refused {
            self.listening.policy_refused();
            self.events.push(Event::PolicyRefused(refusal));
        }
        let mut answers = joined.streams.iter();
        let mut refused = heapless::Vec::<_, { crate::room::MAX_STREAMS }>::new();
        for publication in parts.publications.iter_mut() {
            let in_hello = !publication.is_wanted || publication.told == Told::Asked(None);
            let answer = if in_hello { answers.next() } else { None };
            match (answer, publication.is_wanted) {
                (Some(Ok(ssrc)), true) => {
                    publication.published(*ssrc, self.rng.next_u32() as u16);
                    self.events.push(Event::Published {
                        key: publication.publish.key.clone(),
                        ssrc: *ssrc,
                    });
                }
                (Some(Err(refusal)), is_wanted) => {
                    let key = publication.publish.key.clone();
                    let _ = refused.push((key, is_wanted, *refusal));
                }
                (None, true) => publication.told = Told::Untold,
                _ => {}
            }
        }
        for (key, is_wanted, refusal) in refused {
            (parts.publications).retain(|p| p.publish.key != key || p.is_wanted != is_wanted);
            if is_wanted {
                self.events.push(Event::PublishRefused { key, refusal });
            }
        }
    }

    /// Notes what every answer to a join says.
    fn remember(&mut self, parts: &mut Parts<'_>, joined: &Joined) {
        let slots_are_new = (self.membership.as_ref())
            .is_none_or(|membership| membership.slot_ssrc != joined.slot_ssrc);
        if slots_are_new || !joined.resumed {
            let mut ssrc = joined.slot_ssrc;
            for slot in parts.slots.iter_mut() {
                slot.restart(ssrc);
                ssrc = ssrc.wrapping_add(1);
            }
        }
        self.lobby_ticket = None;
        self.reset_token = Some(ResetToken::from_bytes(*joined.reset_token));
        self.membership = Some(Membership {
            me: joined.participant.clone(),
            session: joined.session,
            grants: joined.grants,
            slot_ssrc: joined.slot_ssrc,
            ticket: Some(ResumeTicket::from_bytes(*joined.resume_ticket)),
        });
        self.redirects = 0;
        self.probe = None;
        self.rekey_at = self.now + self.config.rekey_after;
        self.last_sent = self.now;
    }

    fn refused(&mut self, parts: &mut Parts<'_>, refusal: JoinRefusal) {
        let returns = self.membership.is_some() || self.lobby_ticket.is_some();
        match self.status {
            Status::Joined => self.give_up_rekey(),
            // A server that is going down or coming up, or that we come back to too often; it takes us back later.
            Status::Joining
                if returns
                    && matches!(refusal, JoinRefusal::Unavailable | JoinRefusal::TooOften) =>
            {
                self.joining.postpone(self.now, &mut self.rng);
            }
            _ => self.close(parts, CloseCause::Refused(refusal)),
        }
    }

    /// Goes on with the keys that there are, and tries later to get new ones.
    pub(super) fn give_up_rekey(&mut self) {
        self.joining.finish();
        self.rekey_at = self.now + REKEY_PAUSE;
    }

    pub(super) fn handle_reset(
        &mut self,
        parts: &mut Parts<'_>,
        server_id: ConnectionId,
        token: &[u8; 16],
    ) -> Result<(), Dropped> {
        let link = self.live_link().ok_or(Dropped::Unexpected)?;
        if link.ids().peer != server_id {
            return Err(Dropped::Unexpected);
        }
        let expected = self.reset_token.as_ref();
        if !expected.is_some_and(|expected| expected.matches(token)) {
            return Err(Dropped::Forged);
        }
        self.reconnect(parts, ReconnectCause::Reset);
        Ok(())
    }

    /// Goes back to the ticket's address if nobody answers where the server sent this client: it
    /// may be gone for good, and what it was there for be elsewhere.
    pub(super) fn end_vain_redirect(&mut self) {
        if self.redirect_vain_at().is_some_and(|at| at <= self.now) {
            self.redirected = None;
            self.events.push(Event::RedirectEnded);
        }
    }

    /// When that is to be, unless somebody answers.
    pub(super) fn redirect_vain_at(&self) -> Option<Instant> {
        let redirected = self.redirected.filter(|_| self.status == Status::Joining)?;
        Some(redirected.since + VAIN_REDIRECT)
    }

    /// The connection is of no use any more: gets a new one.
    pub(super) fn reconnect(&mut self, parts: &mut Parts<'_>, cause: ReconnectCause) {
        if self.leaving.is_some() {
            self.close(parts, CloseCause::Closed(CloseReason::Left));
            return;
        }
        self.status = Status::Joining;
        if let Some(redirected) = &mut self.redirected {
            redirected.since = self.now;
        }
        self.drop_packets(parts);
        self.probe = None;
        self.events.push(Event::Reconnecting(cause));
        self.joining.hurry(self.now);
    }

    /// Ends it for good.
    pub(super) fn close(&mut self, parts: &mut Parts<'_>, cause: CloseCause) {
        let was_live = self.live_link().is_some();
        self.end_speech_of(parts, Whose::ALL);
        self.status = Status::Closed(cause);
        self.leaving = None;
        self.joining.finish();
        self.telling = Telling::Nothing;
        self.drop_packets(parts);
        self.fail_requests();
        if !was_live {
            // Else it has a last acknowledgement to send.
            self.link = None;
        }
        self.events.push(Event::Closed(cause));
    }

    fn drop_packets(&mut self, parts: &mut Parts<'_>) {
        parts.outgoing.clear();
        self.packets_wait = false;
        self.report_at = None;
    }

    fn fail_requests(&mut self) {
        while let Some(request) = self.requests.pop() {
            (self.events).push_reply(request, Err(RequestFailure::ConnectionLost));
        }
    }

    fn keepalive_with(&self, asked: u8) -> Duration {
        let asked = Duration::from_secs(asked.into()).max(MIN_INTERVAL);
        self.config.keepalive.min(asked)
    }
}
