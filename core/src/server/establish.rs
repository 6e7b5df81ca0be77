//! The first Data packet of a join: it takes effect.

use alloc::boxed::Box;

use rand_core::RngCore;

use super::joins::{Entry, HalfOpen, Offer, Pending, Stage, Welcomed, Wish};
use super::machine::{JoinKey, MemberKey, Owner, Wake};
use super::member::{Member, NewMember, Phase, Published, Reach};
use super::room::Session;
use super::slots::Slots;
use super::subscriptions::Subscriptions;
use super::tickets::Tickets;
use super::{Dropped, Event, JoinId, Path, Server};
use crate::link::{Ids, Link};
use crate::room::{
    Authority, CloseReason, ConnectionState, Participant, RoomUpdate, Version, View,
};
use crate::secure::{OpenError, ResumeTicket, Transport};
use crate::signal::SubscribePolicy;
use crate::time::{Duration, Instant};

impl From<OpenError> for Dropped {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Replayed => Self::Replayed,
            OpenError::Forged => Self::Forged,
            _ => Self::Malformed,
        }
    }
}

/// How somebody arrives: over which association, and where it is reached.
struct Arrival {
    id: JoinId,
    pending: Box<Pending>,
    reach: Reach,
    round_trip: Option<Duration>,
}

impl Server {
    /// Takes in a Data packet for a join under way. If it opens, its sender holds the keys: the
    /// join takes effect.
    pub(super) fn handle_first_data(
        &mut self,
        now: Instant,
        from: Path,
        key: JoinKey,
        datagram: &mut [u8],
    ) -> Result<(), Dropped> {
        let len = datagram.len();
        let join = self.joins.get_mut(key).ok_or(Dropped::UnknownConnection)?;
        let Stage::Answered {
            pending: Some(pending),
            ..
        } = &mut join.stage
        else {
            return Err(Dropped::UnknownConnection);
        };
        let opened = pending.transport.open(datagram)?;
        let plaintext = &*opened.plaintext;

        let Some(mut join) = self.joins.remove(key) else {
            return Err(Dropped::UnknownConnection);
        };
        self.timers.set(Wake::Join(key), &mut join.alarm, None);
        let Some(arrival) = arrival(now, join, from, len) else {
            return Err(Dropped::UnknownConnection);
        };
        self.ids.remove(&arrival.pending.ids.local);
        self.release_place(&arrival.pending);
        let room = arrival.pending.room;
        let local = arrival.pending.ids.local;
        let round_trip = arrival.round_trip;
        let entered = self.enter(now, arrival);
        self.drop_idle_room(room);
        let Some(member) = entered else {
            // The sender cannot know that what it was promised is gone: have it join anew.
            return self
                .send_reset(now, from, local, len)
                .and(Err(Dropped::Superseded));
        };
        if let (Some(round_trip), Some(member)) = (round_trip, self.member_mut(member)) {
            member.link.handle_rtt(round_trip);
        }
        self.validate_path(member);
        self.handle_frames(now, member, plaintext);
        Ok(())
    }

    /// Has a path that is not proven answer a ping.
    pub(super) fn validate_path(&mut self, key: MemberKey) {
        let nonce = self.rng.next_u32();
        if let Some(member) = self.member_mut(key)
            && !member.reach.proven
        {
            member.link.ping(nonce);
        }
    }

    /// `None`: what the join was for is gone.
    fn enter(&mut self, now: Instant, arrival: Arrival) -> Option<MemberKey> {
        let Arrival {
            id, pending, reach, ..
        } = arrival;
        let Pending {
            transport,
            ids,
            room,
            participant,
            name,
            grants,
            expires,
            entry,
        } = *pending;
        if let Entry::Resume {
            member,
            handle,
            ticket,
            version,
        } = entry
        {
            if self.tickets.get(&handle) != Some(&member) {
                return None;
            }
            self.member_mut(member)?.renew(grants, expires);
            // An older association that was offered but not taken must not take over later.
            for older in self.joins.resumes_before(id, member) {
                self.forget_join(older);
            }
            self.continue_as(now, member, transport, ids, reach, ticket, version);
            self.enforce_grants(now, member);
            return Some(member);
        }

        let kicked = self.rooms.get(room.0)?.was_kicked(&participant);
        if let Entry::New(offer) = &entry
            && offer.session != self.rooms.get(room.0)?.session_id()
        {
            return None;
        }
        let (slot_ssrc, slots, policy) = match &entry {
            Entry::New(offer) => (offer.slot_ssrc, offer.slots, offer.policy),
            _ => (0, 0, SubscribePolicy::None),
        };
        // Silence is noticed by its length; pinging idle participants is up to them.
        let link = Link::new(transport, ids, Duration::MAX, now);
        let new = NewMember {
            id: participant,
            name,
            grants,
            expires,
            room,
            phase: Phase::Waiting(Box::default()),
            link,
            reach,
            slots: Slots::new(slot_ssrc, slots, self.config.slot_hold, &mut self.rng),
            subscriptions: Subscriptions::new(policy),
        };
        let member = Box::new(Member::new(new, &self.config, now));
        let key = MemberKey(self.members.insert(member));
        self.ids.insert(ids.local, Owner::Member(key));
        match entry {
            _ if kicked => self.say_goodbye(now, key, CloseReason::Kicked),
            Entry::New(offer) => self.join_session(now, key, offer),
            Entry::Lobby(wish, ticket) => self.wait_in_lobby(now, key, wish, ticket),
            Entry::Resume { .. } => {}
        }
        self.rearm(key);
        Some(key)
    }

    /// Brings a participant that has an association into its room's session.
    pub(super) fn join_session(&mut self, now: Instant, key: MemberKey, offer: Offer) {
        let Some(member) = self.member(key) else {
            return;
        };
        let (room_key, id) = (member.room, member.id.clone());
        let mut participant = Participant::new(id.clone(), member.name.clone());
        for stream in &offer.streams {
            // The offer was limited to as many as fit.
            let _ = participant.streams.push(stream.clone());
        }

        let Some(room) = self.rooms.get(room_key.0) else {
            return;
        };
        let former = room
            .session
            .as_ref()
            .and_then(|session| session.members.get(&id));
        if let Some(former) = former.copied() {
            // The session lasts, even if that was the only one in it.
            self.leave_session(now, former, CloseReason::Replaced);
            self.say_goodbye(now, former, CloseReason::Replaced);
        }
        self.start_session(room_key);
        let session = self
            .rooms
            .get(room_key.0)
            .and_then(|room| room.session.as_ref());
        let censored = session.is_some_and(|session| session.is_censored(&id));
        participant.censored = censored;
        let Some(session) = self.session_mut(room_key) else {
            return;
        };
        if session
            .authority
            .change(RoomUpdate::Joined(participant))
            .is_err()
        {
            self.say_goodbye(now, key, CloseReason::RoomFull);
            return;
        }
        session.enter(id.clone(), key);
        for stream in &offer.streams {
            session.publishers.insert(stream.ssrc, key);
        }
        let view = View::new(&session.authority, offer.participants);
        self.tickets.insert(offer.ticket.handle(), key);
        if let Some(member) = self.members.get_mut(key.0) {
            member.phase = Phase::Present;
            member.view = Some(view);
            member.censored = censored;
            member.tickets = Some(Tickets::new(offer.ticket));
            member.streams = offer.streams.iter().map(Published::new).collect();
        }
        self.statistics.joins += 1;
        self.emit(room_key, |room| Event::ParticipantJoined {
            room,
            participant: id.clone(),
        });
        for stream in offer.streams {
            self.stream_appeared(room_key, key, &id, stream);
        }
        self.start_or_end_mix(now, room_key);
        self.roster_changed(room_key);
    }

    fn start_session(&mut self, key: super::machine::RoomKey) {
        let next = self.random_session_id();
        let Some(room) = self.rooms.get_mut(key.0) else {
            return;
        };
        if room.session.is_some() {
            return;
        }
        let id = core::mem::replace(&mut room.next_session, next);
        let authority = Authority::new(self.config.participants_per_room, self.config.room_log);
        room.session = Some(Session::new(id, authority, self.config.speaker_hold));
        self.emit(key, |room| Event::SessionStarted { room, session: id });
    }

    fn wait_in_lobby(
        &mut self,
        now: Instant,
        key: MemberKey,
        wish: Box<Wish>,
        ticket: ResumeTicket,
    ) {
        let Some(member) = self.member_mut(key) else {
            return;
        };
        member.phase = Phase::Waiting(wish);
        member.tickets = Some(Tickets::new(ticket));
        let (room_key, id) = (member.room, member.id.clone());
        let Some(room) = self.rooms.get(room_key.0) else {
            return;
        };
        if let Some(former) = room.waiting.get(&id).copied() {
            self.leave_lobby(former);
            self.say_goodbye(now, former, CloseReason::Replaced);
        }
        if let Some(room) = self.rooms.get_mut(room_key.0) {
            room.waiting.insert(id.clone(), key);
            room.waiting_version += 1;
        }
        self.emit(room_key, |room| Event::ParticipantWaiting {
            room,
            participant: id,
        });
        self.wake_session(room_key);
    }

    /// Moves a participant to a new association: nobody else notices.
    #[allow(clippy::too_many_arguments)]
    fn continue_as(
        &mut self,
        now: Instant,
        key: MemberKey,
        transport: Transport,
        ids: Ids,
        reach: Reach,
        ticket: ResumeTicket,
        version: Option<Version>,
    ) {
        let Some(member) = self.members.get_mut(key.0) else {
            return;
        };
        if let Some(oldest) = member.former_id.take() {
            self.ids.remove(&oldest);
        }
        member.link.rekey(transport, ids, now);
        member.former_id = member.link.former_id();
        member.reach = reach;
        if let Some(tickets) = &mut member.tickets {
            tickets.take_effect(ticket);
        }
        self.ids.insert(ids.local, Owner::Member(key));
        // The signalling goes on where it was, so nothing of it is lost. Only a replica that has
        // no version to go on from needs to be told all again.
        if let (None, Some(view)) = (version, member.view.as_mut()) {
            view.resume(None);
            member.told = None;
        }
        let (room_key, participant) = (member.room, member.id.clone());
        self.statistics.resumes += 1;
        self.emit(room_key, |room| Event::ParticipantResumed {
            room,
            participant,
        });
        self.heard_from(key);
        self.rearm(key);
    }

    /// Takes in that something authentic came: a silent participant is back.
    pub(super) fn heard_from(&mut self, key: MemberKey) {
        let Some(member) = self.member_mut(key) else {
            return;
        };
        if member.connection == ConnectionState::Connected {
            return;
        }
        member.connection = ConnectionState::Connected;
        member.grace_end = None;
        self.tell_connection(key);
        self.rearm(key);
    }
}

fn arrival(now: Instant, join: HalfOpen, from: Path, len: usize) -> Option<Arrival> {
    let Stage::Answered {
        pending: Some(pending),
        ..
    } = join.stage
    else {
        return None;
    };
    // The keys are known only to who has received the Welcome where the Hello came from.
    let mut reach = Reach::new(from);
    reach.proven |= from.has_same_remote(&join.reach.path);
    reach.received(len);
    let round_trip = match join.welcomed {
        Welcomed::Once(sent) => Some(now.saturating_duration_since(sent)),
        _ => None,
    };
    Some(Arrival {
        id: join.id,
        pending,
        reach,
        round_trip,
    })
}
