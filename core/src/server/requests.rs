//! What participants ask for. Each request gets exactly one reply: the link hands each over once,
//! and does not while there is no room for the reply.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::limits::Verdict;
use super::machine::{MemberKey, RoomKey};
use super::member::{Published, Refresh};
use super::offer::check_publish;
use super::subscriptions::Subscriptions;
use super::{Event, RefreshId, Server};
use crate::room::{CloseReason, Grants, ParticipantId, RoomUpdate, Stream, StreamKey, StreamKind};
use crate::signal::{
    Operation, Outcome, Publish, Refusal, Request, RequestId, Secret, ServerMessage, StreamRef,
    SubscribePolicy, decode,
};
use crate::time::Instant;

/// What a request comes to.
pub(super) type Result<T = Outcome> = core::result::Result<T, Refusal>;

impl Server {
    pub(super) fn handle_request(&mut self, now: Instant, key: MemberKey, message: &[u8]) {
        let Some(member) = self.member_mut(key) else {
            return;
        };
        let Ok(request) = decode::<Request<'_>>(message) else {
            self.close(now, key, CloseReason::ProtocolError);
            return;
        };
        let id = request.id;
        match member.buckets.requests.take(now) {
            Verdict::Granted => {}
            Verdict::Limited => {
                self.reply(key, id, Err(Refusal::RateLimited));
                return;
            }
            Verdict::Flooded => {
                self.close(now, key, CloseReason::ProtocolError);
                return;
            }
        }
        match request.operation {
            Operation::Leave => {
                self.reply(key, id, Ok(Outcome::Done));
                self.close(now, key, CloseReason::Left);
            }
            Operation::EndSession => match self.authorize(key, Grants::END_SESSION) {
                Ok(room) => {
                    self.reply(key, id, Ok(Outcome::Done));
                    self.end_session_of(now, room, CloseReason::SessionEnded);
                }
                Err(refusal) => self.reply(key, id, Err(refusal)),
            },
            Operation::RefreshToken { token } => {
                if let Err(refusal) = self.ask_refresh(key, id, &token) {
                    self.reply(key, id, Err(refusal));
                }
            }
            operation => {
                let result = self.perform(now, key, operation);
                self.reply(key, id, result);
            }
        }
    }

    pub(super) fn reply(&mut self, key: MemberKey, request: RequestId, result: Result) {
        if let Some(member) = self.member_mut(key) {
            member.tell(&ServerMessage::Reply { request, result });
        }
        self.wake(key);
    }

    /// The room that a participant is in, if it has these grants.
    pub(super) fn authorize(&self, key: MemberKey, grants: Grants) -> Result<RoomKey> {
        let member = self.member(key).ok_or(Refusal::NotPermitted)?;
        if !member.is_present() || !member.grants.contains(grants) {
            return Err(Refusal::NotPermitted);
        }
        Ok(member.room)
    }

    fn perform(&mut self, now: Instant, key: MemberKey, operation: Operation<'_>) -> Result {
        match operation {
            Operation::Publish(publish) => self.publish(key, &publish),
            Operation::Unpublish { key: stream } => self.unpublish(now, key, &stream),
            Operation::SetMuted { key: stream, muted } => self.set_muted(now, key, &stream, muted),
            Operation::Subscribe(stream) => self.subscribe(key, stream),
            Operation::Unsubscribe(stream) => self.unsubscribe(key, stream),
            Operation::SetSubscribePolicy(policy) => self.set_policy(now, key, policy),
            Operation::Pin(stream) => self.pin(key, stream),
            Operation::Send { to, topic, body } => self.send_from(now, key, &to, &topic, body),
            Operation::Moderate { action, targets } => self.moderate(now, key, action, &targets),
            Operation::RequestFloor => self.request_floor(key),
            Operation::ReleaseFloor => self.release_floor(key),
            Operation::Leave | Operation::EndSession | Operation::RefreshToken { .. } => {
                Err(Refusal::NotPermitted)
            }
        }
    }

    fn publish(&mut self, key: MemberKey, publish: &Publish) -> Result {
        let room = self.authorize(key, Grants::empty())?;
        let member = self.member(key).ok_or(Refusal::NotPermitted)?;
        let is_published = member.stream(&publish.key).is_some();
        let count = member.streams.len();
        check_publish(publish, member.grants, is_published, count, &self.config)?;
        let id = member.id.clone();
        let stream = self.new_stream(publish);
        let ssrc = stream.ssrc;
        if let Some(member) = self.member_mut(key) {
            member.streams.push(Published::new(&stream));
        }
        if let Some(session) = self.session_mut(room) {
            session.publishers.insert(ssrc, key);
        }
        self.change(
            room,
            RoomUpdate::Published {
                participant: id.clone(),
                stream: stream.clone(),
            },
        );
        self.stream_appeared(room, key, &id, stream);
        Ok(Outcome::Published { ssrc })
    }

    /// Connects a new stream with what others have said about its name, and tells the embedder.
    pub(super) fn stream_appeared(
        &mut self,
        room: RoomKey,
        publisher: MemberKey,
        participant: &ParticipantId,
        stream: Stream,
    ) {
        let name = StreamRef {
            participant: participant.clone(),
            key: stream.key.clone(),
        };
        self.resolve(room, publisher, &name, Some(stream.ssrc));
        let participant = participant.clone();
        self.emit(room, |room| Event::StreamPublished {
            room,
            participant,
            stream,
        });
    }

    fn resolve(
        &mut self,
        room: RoomKey,
        publisher: MemberKey,
        name: &StreamRef,
        ssrc: Option<u32>,
    ) {
        let session = self
            .rooms
            .get(room.0)
            .and_then(|room| room.session.as_ref());
        for key in session.iter().flat_map(|session| &session.order) {
            let other = self.members.get_mut(key.0).filter(|_| *key != publisher);
            if let Some(other) = other
                && other.subscriptions.resolve(name, ssrc)
            {
                other.slots.pin(ssrc);
            }
        }
    }

    fn unpublish(&mut self, now: Instant, key: MemberKey, stream: &StreamKey) -> Result {
        let room = self.authorize(key, Grants::empty())?;
        let member = self.member_mut(key).ok_or(Refusal::NotPermitted)?;
        let ssrc = member.stream(stream).ok_or(Refusal::UnknownStream)?.ssrc;
        let id = member.id.clone();
        member.streams.retain(|other| other.key != *stream);
        if let Some(session) = self.session_mut(room) {
            session.publishers.remove(&ssrc);
        }
        self.change(
            room,
            RoomUpdate::Unpublished {
                participant: id.clone(),
                key: stream.clone(),
            },
        );
        let name = StreamRef {
            participant: id.clone(),
            key: stream.clone(),
        };
        self.resolve(room, key, &name, None);
        self.release_slots(room, ssrc);
        self.emit(room, |room| Event::StreamUnpublished {
            room,
            participant: id,
            key: name.key,
        });
        self.decide_speaker(now, room);
        Ok(Outcome::Done)
    }

    /// Takes back what a participant may no longer do.
    pub(super) fn enforce_grants(&mut self, now: Instant, key: MemberKey) {
        let Some(member) = self.members.get_mut(key.0) else {
            return;
        };
        if !member.is_present() {
            return;
        }
        let grants = member.grants;
        let room = member.room;
        if !grants.contains(Grants::SUBSCRIBE) {
            member.subscriptions = Subscriptions::new(SubscribePolicy::None);
            member.slots.pin(None);
            member.slots.clear();
            member.media.clear(&mut self.pool);
            member.wanted_changed();
        }
        let withdrawn = member.streams.iter();
        let withdrawn =
            withdrawn.filter(|stream| !grants.contains(Grants::to_publish(stream.kind)));
        let withdrawn: Vec<StreamKey> = withdrawn.map(|stream| stream.key.clone()).collect();
        // Each is published, and the floor may be another's: there is nothing to refuse to anybody.
        for stream in withdrawn {
            let _ = self.unpublish(now, key, &stream);
        }
        if !grants.contains(Grants::REQUEST_FLOOR) {
            let _ = self.release_floor(key);
        }
        self.start_or_end_mix(now, room);
    }

    fn set_muted(
        &mut self,
        now: Instant,
        key: MemberKey,
        stream: &StreamKey,
        muted: bool,
    ) -> Result {
        let room = self.authorize(key, Grants::empty())?;
        let member = self.member_mut(key).ok_or(Refusal::NotPermitted)?;
        let participant = member.id.clone();
        let published = member.stream_mut(stream).ok_or(Refusal::UnknownStream)?;
        published.muted = muted;
        let ssrc = published.ssrc;
        self.change(
            room,
            RoomUpdate::Muted {
                participant,
                key: stream.clone(),
                muted,
            },
        );
        if muted {
            self.release_slots(room, ssrc);
            self.decide_speaker(now, room);
        }
        Ok(Outcome::Done)
    }

    /// Frees the slots that a stream has at all receivers.
    pub(super) fn release_slots(&mut self, room: RoomKey, ssrc: u32) {
        let session = self
            .rooms
            .get(room.0)
            .and_then(|room| room.session.as_ref());
        for key in session.iter().flat_map(|session| &session.order) {
            if let Some(other) = self.members.get_mut(key.0) {
                other.slots.release(ssrc);
            }
        }
        self.silence_in_mix(room, ssrc);
    }

    /// Takes back what waits of a stream for its receivers.
    pub(super) fn take_back(&mut self, room: RoomKey, ssrc: u32) {
        let session = (self.rooms.get(room.0)).and_then(|room| room.session.as_ref());
        for key in session.iter().flat_map(|session| &session.order) {
            if let Some(other) = self.members.get_mut(key.0) {
                other.media.retain(&mut self.pool, |other, _| other != ssrc);
            }
        }
    }

    /// The kind and SSRC of another participant's stream.
    fn find_stream(&self, room: RoomKey, name: &StreamRef) -> Result<(StreamKind, u32)> {
        let publisher = self
            .find_member(room, &name.participant)
            .ok_or(Refusal::UnknownParticipant)?;
        let publisher = self.member(publisher).ok_or(Refusal::UnknownParticipant)?;
        let stream = publisher.stream(&name.key).ok_or(Refusal::UnknownStream)?;
        Ok((stream.kind, stream.ssrc))
    }

    fn subscribe(&mut self, key: MemberKey, name: StreamRef) -> Result {
        let room = self.authorize(key, Grants::SUBSCRIBE)?;
        let (_, ssrc) = self.find_stream(room, &name)?;
        self.wish(key, name, true, Some(ssrc))
    }

    fn unsubscribe(&mut self, key: MemberKey, name: StreamRef) -> Result {
        let room = self.authorize(key, Grants::empty())?;
        let ssrc = match self.find_stream(room, &name) {
            Ok((_, ssrc)) => Some(ssrc),
            Err(refusal) => {
                let known = self
                    .member(key)
                    .is_some_and(|member| member.subscriptions.mentions(&name));
                if !known {
                    return Err(refusal);
                }
                None
            }
        };
        self.wish(key, name, false, ssrc)?;
        self.drop_unwanted(key);
        Ok(Outcome::Done)
    }

    fn wish(&mut self, key: MemberKey, name: StreamRef, wanted: bool, ssrc: Option<u32>) -> Result {
        let limit = self.config.subscriptions;
        let member = self.member_mut(key).ok_or(Refusal::NotPermitted)?;
        member
            .subscriptions
            .wish(name, wanted, ssrc, limit)
            .map_err(|_| Refusal::TooManySubscriptions)?;
        member.wanted_changed();
        Ok(Outcome::Done)
    }

    fn set_policy(&mut self, now: Instant, key: MemberKey, policy: SubscribePolicy) -> Result {
        let room = self.authorize(key, Grants::empty())?;
        let grants = self.member(key).ok_or(Refusal::NotPermitted)?.grants;
        self.check_policy(room, policy, grants)?;
        let member = self.member_mut(key).ok_or(Refusal::NotPermitted)?;
        member.subscriptions.set_policy(policy);
        if member.subscriptions.mix().is_some() {
            member.slots.retain(|_| false);
        }
        self.drop_unwanted(key);
        self.start_or_end_mix(now, room);
        Ok(Outcome::Done)
    }

    /// Frees the slots of streams that a participant does not want any more, and takes back what
    /// waits for it of them.
    fn drop_unwanted(&mut self, key: MemberKey) {
        if let Some(member) = self.members.get_mut(key.0) {
            let subscriptions = &member.subscriptions;
            // A mix stands for all sound, whatever is said of single streams.
            let is_mixed = subscriptions.mix().is_some();
            let wanted = |ssrc, kind| {
                subscriptions.want(ssrc, kind) || (is_mixed && kind == StreamKind::Audio)
            };
            member.slots.retain(|ssrc| wanted(ssrc, StreamKind::Audio));
            member.media.retain(&mut self.pool, wanted);
        }
    }

    fn pin(&mut self, key: MemberKey, name: Option<StreamRef>) -> Result {
        // To pin nothing takes nothing.
        let needed = name.as_ref().map_or(Grants::empty(), |_| Grants::SUBSCRIBE);
        let room = self.authorize(key, needed)?;
        let ssrc = match &name {
            Some(name) => match self.find_stream(room, name)? {
                (StreamKind::Audio, ssrc) => Some(ssrc),
                // Only sound has slots.
                _ => return Err(Refusal::UnknownStream),
            },
            None => None,
        };
        let member = self.member_mut(key).ok_or(Refusal::NotPermitted)?;
        member.subscriptions.pin(name);
        member.slots.pin(ssrc);
        member.wanted_changed();
        Ok(Outcome::Done)
    }

    fn request_floor(&mut self, key: MemberKey) -> Result {
        let room = self.authorize(key, Grants::REQUEST_FLOOR)?;
        let me = self.member(key).ok_or(Refusal::NotPermitted)?.id.clone();
        match self.floor(room) {
            Some(holder) if *holder != me => Err(Refusal::FloorTaken),
            _ => {
                self.change(room, RoomUpdate::Floor { holder: Some(me) });
                Ok(Outcome::Done)
            }
        }
    }

    fn release_floor(&mut self, key: MemberKey) -> Result {
        let room = self.authorize(key, Grants::empty())?;
        let me = &self.member(key).ok_or(Refusal::NotPermitted)?.id;
        if self.floor(room) != Some(me) {
            return Err(Refusal::FloorNotHeld);
        }
        self.change(room, RoomUpdate::Floor { holder: None });
        Ok(Outcome::Done)
    }

    fn floor(&self, room: RoomKey) -> Option<&ParticipantId> {
        let session = self.rooms.get(room.0)?.session.as_ref()?;
        session.authority.state().floor()
    }

    /// Asks the embedder about a new token: one at a time.
    fn ask_refresh(&mut self, key: MemberKey, request: RequestId, token: &str) -> Result<()> {
        let id = RefreshId(self.next_refresh);
        let member = self.member_mut(key).ok_or(Refusal::NotPermitted)?;
        if member.refresh.is_some() {
            return Err(Refusal::RateLimited);
        }
        member.refresh = Some(Refresh { id, request });
        let (room, participant) = (member.room, member.id.clone());
        self.next_refresh += 1;
        self.refreshes.insert(id, key);
        self.emit(room, |room| Event::RefreshRequested {
            refresh: id,
            room,
            participant,
            token: Secret(token.to_string()),
        });
        Ok(())
    }

    /// Somebody in the session by its id.
    pub(super) fn find_member(&self, room: RoomKey, id: &ParticipantId) -> Option<MemberKey> {
        let session = self.rooms.get(room.0)?.session.as_ref()?;
        session.members.get(id).copied()
    }
}
