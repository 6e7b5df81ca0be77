//! What a join is promised before it takes effect: a place, numbers, streams.

use alloc::vec::Vec;

use rand_core::RngCore;

use super::handshake::seconds;
use super::joins::{Entry, Offer, Wish};
use super::machine::{MemberKey, RoomKey};
use super::room::Room;
use super::{AdmitError, Config, Server};
use crate::room::{Grants, MAX_STREAMS, ParticipantId, SessionId, Stream, Version};
use crate::secure::ResumeTicket;
use crate::signal::{Answer, Joined, Publish, Refusal, Resume, Secret, SubscribePolicy};
use crate::time::Instant;
use crate::wire::ConnectionId;

/// For each stream that was asked for, its SSRC or why it is not published.
type StreamResults = heapless::Vec<Result<u32, Refusal>, MAX_STREAMS, u8>;

impl Server {
    /// The participant that a ticket continues.
    pub(super) fn resumable(
        &self,
        resume: &Resume,
        room: RoomKey,
        participant: &ParticipantId,
    ) -> Option<MemberKey> {
        let shown = ResumeTicket::from_bytes(*resume.ticket);
        let key = *self.tickets.get(&shown.handle())?;
        let member = self.member(key)?;
        let matches = member.is_present()
            && member.room == room
            && member.id == *participant
            && member.tickets.as_ref()?.accept(&shown);
        matches.then_some(key)
    }

    pub(super) fn check_capacity(
        &self,
        room: Option<RoomKey>,
        participant: &ParticipantId,
        lobby: bool,
    ) -> Result<(), AdmitError> {
        if self.members.len() + self.promised >= self.config.participants {
            return Err(AdmitError::ServerFull);
        }
        let Some(room) = room.and_then(|room| self.rooms.get(room.0)) else {
            return match self.config.participants_per_room {
                0 => Err(AdmitError::RoomFull),
                _ => Ok(()),
            };
        };
        if room.was_kicked(participant) {
            return Err(AdmitError::Kicked);
        }
        let is_full = if lobby {
            room.waiting_places_taken_by_others(participant) >= self.config.waiting_per_room
        } else {
            room.places_taken_by_others(participant) >= self.config.participants_per_room
        };
        if is_full {
            return Err(AdmitError::RoomFull);
        }
        Ok(())
    }

    /// What a new participant of a room is promised: its numbers, its streams, a ticket.
    pub(super) fn offer(
        &mut self,
        room: RoomKey,
        participant: &ParticipantId,
        wish: &Wish,
        grants: Grants,
        local: ConnectionId,
    ) -> (Offer, Joined) {
        let session = self
            .rooms
            .get(room.0)
            .map_or(SessionId([0; 16]), Room::session_id);
        let slots = wish.slots.min(self.config.slots);
        let slot_ssrc = self.allocate_ssrcs(slots.max(1).into());
        let (policy, policy_refused) = self.allowed_policy(room, wish.policy, grants);
        let mut streams: Vec<Stream> = Vec::new();
        let mut results = StreamResults::new();
        for publish in &wish.publish {
            let published = streams.iter().any(|stream| stream.key == publish.key);
            let result = check_publish(publish, grants, published, streams.len(), &self.config);
            let result = result.map(|()| {
                let stream = self.new_stream(publish);
                let ssrc = stream.ssrc;
                streams.push(stream);
                ssrc
            });
            // There are as many places for results as for wishes.
            let _ = results.push(result);
        }
        let ticket = self.new_ticket();
        let joined = Joined {
            participant: participant.clone(),
            session,
            grants,
            resumed: false,
            slot_ssrc,
            streams: results,
            policy_refused,
            resume_ticket: Secret(*ticket.expose_bytes()),
            reset_token: self.reset_token(local),
            keepalive: seconds(self.config.keepalive),
            grace: seconds(self.config.grace),
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
    pub(super) fn offer_resume(
        &mut self,
        now: Instant,
        key: MemberKey,
        local: ConnectionId,
        grants: Grants,
        version: Option<Version>,
    ) -> Option<(Answer, Entry)> {
        let reset_token = self.reset_token(local);
        let keep_until = now + self.config.join_timeout;
        let member = self.members.get_mut(key.0)?;
        // What was promised must not end before it can be taken. Whoever repeats somebody else's
        // Hello can have it put off, too, but not for ever.
        let limit = member.grace_limit.unwrap_or(keep_until);
        member.grace_end = member.grace_end.map(|end| end.max(keep_until.min(limit)));
        let tickets = member.tickets.as_mut()?;
        let handle = tickets.handle();
        let ticket = tickets.offer(&mut self.rng);
        let session = self.rooms.get(member.room.0).map(Room::session_id);
        let joined = Joined {
            participant: member.id.clone(),
            session: session.unwrap_or(SessionId([0; 16])),
            grants,
            resumed: true,
            slot_ssrc: member.slots.first_ssrc(),
            streams: member
                .streams
                .iter()
                .map(|stream| Ok(stream.ssrc))
                .collect(),
            policy_refused: None,
            resume_ticket: Secret(*ticket.expose_bytes()),
            reset_token,
            keepalive: seconds(self.config.keepalive),
            grace: seconds(self.config.grace),
        };
        let entry = Entry::Resume {
            member: key,
            handle,
            ticket,
            version,
        };
        Some((Answer::Joined(joined), entry))
    }

    pub(super) fn new_stream(&mut self, publish: &Publish) -> Stream {
        Stream {
            key: publish.key.clone(),
            kind: publish.kind,
            codec: publish.codec,
            ssrc: self.allocate_ssrcs(1),
            muted: publish.muted,
        }
    }

    /// A ticket with a handle that no other has.
    pub(super) fn new_ticket(&mut self) -> ResumeTicket {
        let mut handle = self.rng.next_u64();
        while self.tickets.contains_key(&handle) {
            handle = self.rng.next_u64();
        }
        ResumeTicket::generate(handle, &mut self.rng)
    }

    pub(super) fn reset_token(&self, local: ConnectionId) -> Secret<[u8; 16]> {
        Secret(*self.reset_key.token(local).expose_bytes())
    }

    /// The policy that a participant gets for the one that it asks for.
    fn allowed_policy(
        &self,
        room: RoomKey,
        policy: SubscribePolicy,
        grants: Grants,
    ) -> (SubscribePolicy, Option<Refusal>) {
        match self.check_policy(room, policy, grants) {
            Ok(()) => (policy, None),
            Err(refusal) => (SubscribePolicy::None, Some(refusal)),
        }
    }

    pub(super) fn check_policy(
        &self,
        room: RoomKey,
        policy: SubscribePolicy,
        grants: Grants,
    ) -> Result<(), Refusal> {
        match policy {
            SubscribePolicy::None => Ok(()),
            _ if !grants.contains(Grants::SUBSCRIBE) => Err(Refusal::NotPermitted),
            SubscribePolicy::All => Ok(()),
            SubscribePolicy::Mix | SubscribePolicy::MixPcmu if self.can_mix(room) => Ok(()),
            SubscribePolicy::Mix | SubscribePolicy::MixPcmu => Err(Refusal::MixUnavailable),
        }
    }
}

/// Whether a stream may be published by who publishes `count` already.
pub(super) fn check_publish(
    publish: &Publish,
    grants: Grants,
    is_published: bool,
    count: usize,
    config: &Config,
) -> Result<(), Refusal> {
    if !grants.contains(Grants::to_publish(publish.kind)) {
        return Err(Refusal::NotPermitted);
    }
    if !publish.codec.carries(publish.kind) {
        return Err(Refusal::CodecMismatch);
    }
    if is_published {
        return Err(Refusal::AlreadyPublished);
    }
    if count >= config.streams.min(MAX_STREAMS) {
        return Err(Refusal::TooManyStreams);
    }
    Ok(())
}
