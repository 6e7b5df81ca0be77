//! Members' streams, and whether they may be heard.

use alloc::vec::Vec;

use super::{Publisher, Session, remember};
use crate::room::{Grants, ParticipantId, RoomUpdate, Stream, StreamKey, StreamKind};
use crate::server::Event;
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::server::member::Publication;
use crate::server::room::permits::{check_publish, new_stream};
use crate::signal::{Outcome, Publish, Refusal, StreamRef};

impl Session {
    pub(crate) fn publish(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        publish: &Publish,
    ) -> Result<Outcome, Refusal> {
        let member = self.members.get_mut(who).ok_or(Refusal::NotPermitted)?;
        let is_published = member.sends.stream(&publish.key).is_some();
        let (grants, count) = (member.rights.grants, member.sends.streams.len());
        check_publish(publish, grants, is_published, count, &cx.config)?;
        let id = member.id().clone();
        let stream = new_stream(cx, publish);
        let ssrc = stream.ssrc;
        member.sends.streams.push(Publication::new(&stream));
        let publisher = Publisher {
            key: who,
            id: id.clone(),
        };
        self.publishers.insert(ssrc, publisher);
        let update = RoomUpdate::Published {
            participant: id.clone(),
            stream: stream.clone(),
        };
        self.change(cx, update);
        self.stream_appeared(cx, who, &id, stream);
        Ok(Outcome::Published { ssrc })
    }

    /// Connects a new stream with earlier subscriptions to its name, and tells the embedder.
    pub(super) fn stream_appeared(
        &mut self,
        cx: &mut Context,
        publisher: MemberKey,
        participant: &ParticipantId,
        stream: Stream,
    ) {
        let name = StreamRef {
            participant: participant.clone(),
            key: stream.key.clone(),
        };
        self.resolve(publisher, &name, Some(stream.ssrc));
        self.tell_embedder(cx, |room, session| Event::StreamPublished {
            room,
            session,
            participant: name.participant,
            stream,
        });
    }

    fn resolve(&mut self, publisher: MemberKey, name: &StreamRef, ssrc: Option<u32>) {
        self.members
            .for_others(publisher, |_, other| other.receives.resolve(name, ssrc));
    }

    pub(crate) fn unpublish(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        stream: &StreamKey,
    ) -> Result<Outcome, Refusal> {
        let member = self.members.get_mut(who).ok_or(Refusal::NotPermitted)?;
        let sends = &mut member.sends;
        let published = sends.streams.iter().position(|other| other.key == *stream);
        let mut published = sends
            .streams
            .remove(published.ok_or(Refusal::UnknownStream)?);
        if let Some(pictures) = &mut published.pictures {
            pictures.clear(cx);
        }
        let ssrc = published.ssrc;
        let name = StreamRef {
            participant: member.id().clone(),
            key: stream.clone(),
        };
        self.publishers.remove(&ssrc);
        self.tap_ends(cx, &name.participant, &published);
        let update = RoomUpdate::Unpublished {
            participant: name.participant.clone(),
            key: stream.clone(),
        };
        self.change(cx, update);
        self.resolve(who, &name, None);
        self.release_slots(ssrc);
        self.tell_embedder(cx, |room, session| Event::StreamUnpublished {
            room,
            session,
            participant: name.participant,
            key: name.key,
        });
        self.decide_speaker(cx);
        Ok(Outcome::Done)
    }

    pub(crate) fn set_muted(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        stream: &StreamKey,
        muted: bool,
    ) -> Result<Outcome, Refusal> {
        let member = self.members.get_mut(who).ok_or(Refusal::NotPermitted)?;
        let participant = member.id().clone();
        let published = member.sends.stream_mut(stream);
        let published = published.ok_or(Refusal::UnknownStream)?;
        published.muted = muted;
        let ssrc = published.ssrc;
        let update = RoomUpdate::Muted {
            participant,
            key: stream.clone(),
            muted,
        };
        self.change(cx, update);
        if muted {
            self.release_slots(ssrc);
            self.decide_speaker(cx);
        }
        Ok(Outcome::Done)
    }

    /// Silences a member, or lifts that: also when it joins anew. Gives whether that changed anything.
    pub(crate) fn censor(&mut self, cx: &mut Context, who: MemberKey, censored: bool) -> bool {
        let Some(member) = self.members.get_mut(who) else {
            return false;
        };
        if member.sends.censored == censored {
            return false;
        }
        member.sends.censored = censored;
        let participant = member.id().clone();
        let streams = member.sends.streams.iter();
        let silenced = streams.filter(|stream| stream.kind == StreamKind::Audio);
        let silenced: Vec<u32> = silenced.map(|stream| stream.ssrc).collect();
        if censored {
            let limit = cx.config.kicked;
            remember(&mut self.censored, participant.clone(), limit);
        } else {
            self.censored.retain(|other| *other != participant);
        }
        let update = RoomUpdate::Censored {
            participant,
            censored,
        };
        self.change(cx, update);
        if censored {
            for ssrc in silenced {
                self.release_slots(ssrc);
                self.take_back(cx, ssrc);
            }
            self.decide_speaker(cx);
        }
        true
    }

    /// Ends everything that a member may no longer do.
    pub(crate) fn enforce_grants(&mut self, cx: &mut Context, who: MemberKey) {
        let Some(member) = self.members.get_mut(who) else {
            return;
        };
        let grants = member.rights.grants;
        if !grants.contains(Grants::SUBSCRIBE) {
            member.receives.unsubscribe_all(&mut cx.pool);
        }
        let streams = member.sends.streams.iter();
        let withdrawn = streams.filter(|stream| !grants.contains(Grants::to_publish(stream.kind)));
        let withdrawn: Vec<StreamKey> = withdrawn.map(|stream| stream.key.clone()).collect();
        // Each is published, and the floor may be another's: nothing can be refused.
        for stream in withdrawn {
            let _ = self.unpublish(cx, who, &stream);
        }
        if !grants.contains(Grants::REQUEST_FLOOR) {
            let _ = self.release_floor(cx, who);
        }
        self.start_or_end_mix(cx);
    }

    /// Frees the slots that a stream has at all receivers.
    fn release_slots(&mut self, ssrc: u32) {
        self.members
            .for_each(|_, other| other.receives.slots.release(ssrc));
        self.silence_in_mix(ssrc);
    }

    /// Removes the waiting packets of a stream from all receivers' queues.
    fn take_back(&mut self, cx: &mut Context, ssrc: u32) {
        self.members.for_each(|_, other| {
            let media = &mut other.receives.media;
            media.retain(&mut cx.pool, |other, _| other != ssrc);
        });
    }
}
