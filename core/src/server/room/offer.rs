//! What a join is promised before it takes effect: a place, numbers, streams.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::permits::{check_policy, check_publish, new_stream};
use super::{Room, Rooms};
use crate::room::{Grants, MAX_STREAMS, ParticipantId, RoomId, Stream, Version};
use crate::secure::ResumeTicket;
use crate::server::context::Context;
use crate::server::keys::{MemberKey, PeerKey, RoomKey};
use crate::server::member::Association;
use crate::server::promise::{Entry, Offer, Wish};
use crate::server::{AdmitError, OnDuplicate};
use crate::signal::{Answer, JoinRefusal, Joined, Refusal, Resume, Secret, SubscribePolicy};
use crate::time::Duration;
use crate::wire::ConnectionId;

/// For each stream that was asked for, its SSRC or why it is not published.
type StreamResults = heapless::Vec<Result<u32, Refusal>, MAX_STREAMS, u8>;

/// The participant of a session that a join continues.
pub(crate) struct Resumable {
    peer: PeerKey,
    room: RoomKey,
    member: MemberKey,
    version: Option<Version>,
}

impl Rooms {
    /// The participant that a ticket continues.
    pub(crate) fn resumable(
        &self,
        cx: &Context,
        resume: &Resume,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Option<Resumable> {
        let shown = ResumeTicket::from_bytes(*resume.ticket);
        let (peer, key, who) = cx.directory.member_by_ticket(shown.handle())?;
        let found = self.get(key).filter(|found| found.id == *room)?;
        let member = found.session()?.get(who)?;
        let association = &member.association;
        let matches =
            association.id == *participant && association.tickets.as_ref()?.accept(&shown);
        matches.then_some(Resumable {
            peer,
            room: key,
            member: who,
            version: resume.version,
        })
    }

    /// Looks whether somebody new may come, and whether there is a place. It may have shown a ticket that continues nothing,
    /// with the handle `stale`.
    pub(crate) fn check_entry(
        &self,
        cx: &Context,
        room: RoomKey,
        participant: &ParticipantId,
        lobby: bool,
        stale: Option<u64>,
        on_duplicate: OnDuplicate,
    ) -> Result<(), AdmitError> {
        let config = &cx.config;
        let Some(room) = self.get(room) else {
            return Err(AdmitError::UnknownJoin);
        };
        if room.is_elsewhere(participant, stale) {
            return Err(AdmitError::Ended(JoinRefusal::Replaced));
        }
        if on_duplicate == OnDuplicate::Refuse && room.is_in_touch(participant, stale) {
            return Err(AdmitError::DuplicateParticipant);
        }
        if cx.directory.len() + self.promised >= config.participants {
            return Err(AdmitError::ServerFull);
        }
        if room.was_kicked(participant) {
            return Err(AdmitError::Kicked);
        }
        let is_full = if lobby {
            room.lobby.places_taken_by_others(participant) >= config.waiting_per_room
        } else {
            room.is_full_for(cx, participant)
        };
        if is_full {
            return Err(AdmitError::RoomFull);
        }
        Ok(())
    }

    /// Promises a participant that resumes that it goes on, and keeps its place.
    pub(crate) fn promise_resume(
        &mut self,
        cx: &mut Context,
        resumed: Resumable,
        local: ConnectionId,
        grants: Grants,
    ) -> Option<(Answer, Entry)> {
        let room = self.get_mut(resumed.room)?;
        let (answer, entry, participant) = room.offer_resume(cx, resumed, local, grants)?;
        room.reserved.reserve(&participant);
        Some((answer, entry))
    }

    /// Promises somebody new a place in the lobby, and keeps it.
    pub(crate) fn promise_waiting(
        &mut self,
        cx: &mut Context,
        room: RoomKey,
        participant: &ParticipantId,
        wish: Box<Wish>,
        local: ConnectionId,
    ) -> Option<(Answer, Entry)> {
        let ticket = cx.new_ticket();
        let answer = Answer::Waiting {
            reset_token: cx.reset_token(local),
            keepalive: seconds(cx.config.keepalive),
            resume_ticket: Secret(*ticket.expose_bytes()),
        };
        let room = self.get_mut(room)?;
        room.note_promise(participant, ticket.handle());
        room.lobby.reserved.reserve(participant);
        self.promised += 1;
        Some((answer, Entry::Lobby(wish, ticket)))
    }

    /// Promises somebody new a place in the session, and keeps it.
    pub(crate) fn promise_place(
        &mut self,
        cx: &mut Context,
        room: RoomKey,
        participant: &ParticipantId,
        wish: &Wish,
        grants: Grants,
        local: ConnectionId,
    ) -> Option<(Answer, Entry)> {
        let ticket = cx.new_ticket();
        let room = self.get_mut(room)?;
        room.note_promise(participant, ticket.handle());
        let (offer, joined) = room.offer(cx, participant, wish, grants, local, ticket);
        room.reserved.reserve(participant);
        self.promised += 1;
        Some((Answer::Joined(joined), Entry::New(offer)))
    }
}

impl Room {
    /// Whether a join that shows a ticket with this handle, which continues nothing, is of one who comes back by itself
    /// while its participant is there over another association. A ticket of a stay that goes on does not show another
    /// association: whoever has it may have missed its successor.
    pub(super) fn is_elsewhere(&self, participant: &ParticipantId, stale: Option<u64>) -> bool {
        let Some(stale) = stale else {
            return false;
        };
        let mut there = self.associations(participant).peekable();
        there.peek().is_some() && there.all(|there| !there.is_known_by(stale))
    }

    /// Whether a participant is there and in touch, and did not give out a ticket with this handle itself.
    pub(super) fn is_in_touch(&self, participant: &ParticipantId, stale: Option<u64>) -> bool {
        let is_its = |there: &Association| stale.is_some_and(|stale| there.is_known_by(stale));
        self.associations(participant)
            .any(|there| there.is_connected() && !is_its(there))
    }

    /// Those of a participant: in the session, and in the lobby.
    fn associations(&self, participant: &ParticipantId) -> impl Iterator<Item = &Association> {
        let session = self.session.as_ref();
        let member = session.and_then(|session| session.get(session.find(participant)?));
        let guest = self.lobby.find(participant);
        let guest = guest.and_then(|guest| self.lobby.get(guest));
        let member = member.map(|member| &member.association);
        member
            .into_iter()
            .chain(guest.map(|guest| &guest.association))
    }

    /// Notes a ticket that is promised to one who is there already, for the stay that would take the place of this one.
    fn note_promise(&mut self, participant: &ParticipantId, handle: u64) {
        let session = self.session.as_mut();
        let member = session.and_then(|session| session.get_mut(session.find(participant)?));
        let guest = self.lobby.find(participant);
        let guest = guest.and_then(|guest| self.lobby.get_mut(guest));
        let there = [
            member.map(|member| &mut member.association),
            guest.map(|guest| &mut guest.association),
        ];
        for tickets in there.into_iter().flatten().flat_map(|it| &mut it.tickets) {
            tickets.promise(handle);
        }
    }

    /// What a new participant is promised: its numbers, its streams, a ticket.
    pub(super) fn offer(
        &self,
        cx: &mut Context,
        participant: &ParticipantId,
        wish: &Wish,
        grants: Grants,
        local: ConnectionId,
        ticket: ResumeTicket,
    ) -> (Offer, Joined) {
        let session = self.session_id();
        let slots = wish.slots.min(cx.config.slots);
        let slot_ssrc = cx.allocate_ssrcs(slots.max(1).into());
        let (policy, policy_refused) = self.allowed_policy(cx, wish.policy, grants);
        let mut streams: Vec<Stream> = Vec::new();
        let mut results = StreamResults::new();
        for publish in &wish.publish {
            let published = streams.iter().any(|stream| stream.key == publish.key);
            let result = check_publish(publish, grants, published, streams.len(), &cx.config);
            let result = result.map(|()| {
                let stream = new_stream(cx, publish);
                let ssrc = stream.ssrc;
                streams.push(stream);
                ssrc
            });
            // There are as many places for results as for wishes.
            let _ = results.push(result);
        }
        let joined = Joined {
            participant: participant.clone(),
            session,
            grants,
            resumed: false,
            slot_ssrc,
            streams: results,
            policy_refused,
            resume_ticket: Secret(*ticket.expose_bytes()),
            reset_token: cx.reset_token(local),
            keepalive: seconds(cx.config.keepalive),
            grace: seconds(cx.config.grace),
        };
        let offer = Offer {
            session,
            slot_ssrc,
            slots,
            participants: wish.participants,
            policy,
            streams,
            ticket,
        };
        (offer, joined)
    }

    /// What a participant that resumes is promised: all as it was, and a new ticket.
    fn offer_resume(
        &mut self,
        cx: &mut Context,
        resumed: Resumable,
        local: ConnectionId,
        grants: Grants,
    ) -> Option<(Answer, Entry, ParticipantId)> {
        let reset_token = cx.reset_token(local);
        let keep_until = cx.now + cx.config.join_timeout;
        let session = self.session_id();
        let member = self.session.as_mut()?.get_mut(resumed.member)?;
        let grants = member.rights.allowed(grants);
        let association = &mut member.association;
        // What was promised must not end before it can be taken. Whoever repeats somebody else's
        // Hello can have it put off, too, but not for ever.
        let limit = association.grace_limit.unwrap_or(keep_until);
        let grace_end = association.grace_end;
        association.grace_end = grace_end.map(|end| end.max(keep_until.min(limit)));
        let tickets = association.tickets.as_mut()?;
        let handle = tickets.handle();
        let ticket = tickets.offer(&mut cx.rng);
        let streams = member.sends.streams.iter();
        let participant = association.id.clone();
        let joined = Joined {
            participant: participant.clone(),
            session,
            grants,
            resumed: true,
            slot_ssrc: member.receives.slots.first_ssrc(),
            streams: streams.map(|stream| Ok(stream.ssrc)).collect(),
            policy_refused: None,
            resume_ticket: Secret(*ticket.expose_bytes()),
            reset_token,
            keepalive: seconds(cx.config.keepalive),
            grace: seconds(cx.config.grace),
        };
        let entry = Entry::Resume {
            peer: resumed.peer,
            handle,
            ticket,
            version: resumed.version,
        };
        Some((Answer::Joined(joined), entry, participant))
    }

    /// The policy that a participant gets for the one that it asks for.
    fn allowed_policy(
        &self,
        cx: &Context,
        policy: SubscribePolicy,
        grants: Grants,
    ) -> (SubscribePolicy, Option<Refusal>) {
        let is_mixed = self.session.as_ref().is_some_and(super::Session::is_mixed);
        match check_policy(cx, is_mixed, policy, grants) {
            Ok(()) => (policy, None),
            Err(refusal) => (SubscribePolicy::None, Some(refusal)),
        }
    }
}

/// Whole seconds, as many as a byte holds, and not none.
fn seconds(duration: Duration) -> u8 {
    u8::try_from(duration.as_secs()).unwrap_or(u8::MAX).max(1)
}
