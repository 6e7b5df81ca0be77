//! Processes the server's messages: into the replica, and out again as events.

use super::CloseCause;
use super::events::{Event, Events};
use super::machine::{Machine, Status};
use super::profile::Parts;
use super::publications::Publication;
use super::subscriptions::Listening;
use super::voices::{Whose, end_speech};
use crate::room::{
    Change, Gone, Grants, Participant, ParticipantId, RoomUpdate, Stream, StreamKey, Version,
};
use crate::signal::{
    Outcome, Refusal, RequestId, ServerMessage, StreamRef, SubscribePolicy, decode,
};

impl Machine {
    /// Deals with one message of the signalling. False: there is no room for it, and the server has to send it
    /// again.
    pub(super) fn handle_signal(&mut self, parts: &mut Parts<'_>, encoded: &[u8]) -> bool {
        let Ok(message) = decode::<ServerMessage<'_>>(encoded) else {
            // Of a newer server: nothing to be done, and nothing must wait for it.
            self.count_bad_frame();
            return true;
        };
        match message {
            ServerMessage::Closed { reason } => self.close(parts, CloseCause::Closed(reason)),
            ServerMessage::Admitted(joined) if self.may_be_admitted() => {
                self.admitted(parts, &joined);
            }
            _ if self.status == Status::Waiting => self.count_bad_frame(),
            ServerMessage::SnapshotBegin { version } => parts.room.begin_snapshot(version),
            ServerMessage::Update { version, update } => self.update(parts, version, &update),
            ServerMessage::SnapshotEnd { version } => self.end_snapshot(parts, version),
            ServerMessage::Reply { request, result } => self.reply(parts, request, result),
            ServerMessage::Deliver { .. } => {
                if encoded.len() > parts.inbox.max_record() {
                    // Longer than any need be: it would never fit, and stop all behind it.
                    self.count_bad_frame();
                    return true;
                }
                if parts.inbox.push(&[encoded]).is_err() {
                    return false;
                }
                self.events.push(Event::MessageReceived);
            }
            ServerMessage::Missed { messages } => {
                self.events.push(Event::MessagesMissed(messages));
            }
            ServerMessage::Knock { participant, name } => self.knocked(parts, participant, name),
            ServerMessage::KnockEnded { participant } => self.knock_ended(parts, participant),
            ServerMessage::Lobby { version, waiting } => self.lobby_told(version, waiting),
            ServerMessage::TokenExpiring { seconds } => {
                self.events.push(Event::TokenExpiring { seconds });
            }
            ServerMessage::GrantsChanged { grants } => self.grants_changed(parts, grants),
            ServerMessage::Admitted(_) => self.count_bad_frame(),
        }
        true
    }

    /// Whether the door may open: in the lobby, or while this end, out of touch, tries to get back
    /// there and hears by its former keys that it is not forgotten.
    fn may_be_admitted(&self) -> bool {
        match self.status {
            Status::Waiting => true,
            Status::Joining => self.awaits_admission,
            Status::Joined | Status::Closed(_) => false,
        }
    }

    fn end_snapshot(&mut self, parts: &mut Parts<'_>, version: Version) {
        let events = &mut self.events;
        let me = self.membership.as_ref().map(|membership| &membership.me);
        let voices = &mut *parts.voices;
        let ended = parts.room.end_snapshot(version, &mut |gone| match gone {
            Gone::Participant(id) if Some(&id) == me => {}
            Gone::Participant(id) => {
                end_speech(voices, events, Whose::Participants(&id));
                events.push(Event::ParticipantHidden(id));
            }
            Gone::Attribute(participant, key) => {
                events.push(Event::AttributeChanged { participant, key });
            }
            Gone::Recording => events.push(Event::RecordingChanged(false)),
        });
        if ended.is_err() {
            self.count_bad_frame();
            return;
        }
        self.notice(parts);
        self.events.push(Event::Synchronized);
    }

    fn update(&mut self, parts: &mut Parts<'_>, version: Version, update: &RoomUpdate) {
        let before = match update {
            RoomUpdate::Joined(Participant { id, .. })
            | RoomUpdate::Unpublished {
                participant: id, ..
            } => parts.room.participant(id).cloned(),
            _ => None,
        };
        // A stale update was told twice, which happens after a resume. An update that does not fit does not come from a
        // server that knows this end's capacity.
        let Ok(change) = parts.room.apply(version, update) else {
            return;
        };
        if let (Change::Joined { .. } | Change::Refreshed | Change::Published, Some(id)) =
            (&change, update.participant())
        {
            self.appeared(parts, id);
        }
        if let (Change::Refreshed | Change::Unpublished, Some(before)) = (&change, &before) {
            self.lose_streams(parts, before);
        }
        if let (Change::Nothing, RoomUpdate::Unpublished { participant, key }) = (&change, update) {
            self.lose_untold(parts, participant, key);
        }
        let evicted = match &change {
            Change::Joined { evicted } => evicted.as_ref(),
            _ => None,
        };
        for id in evicted.into_iter().chain(update.participant()) {
            self.end_speech_if_inaudible(parts, id);
        }
        let present = parts.room.version_for_resume().is_none();
        self.announce(before.as_ref(), change, update, present);
        self.notice(parts);
    }

    /// Gives up streams of one's own that were there before, and are not: the server has ended them.
    fn lose_streams(&mut self, parts: &mut Parts<'_>, before: &Participant) {
        let me = self.membership.as_ref().map(|membership| &membership.me);
        let Some(after) = parts.room.participant(&before.id) else {
            return;
        };
        if me != Some(&before.id) {
            return;
        }
        let is_ended = |publication: &Publication| {
            let ssrc = publication.ssrc().filter(|_| publication.is_known());
            let is_in = |it: &Participant| it.streams.iter().any(|on| Some(on.ssrc) == ssrc);
            is_in(before) && !is_in(after)
        };
        give_up(parts.publications, &mut self.events, is_ended);
    }

    /// Gives up a stream of one's own that the server has ended before the room showed it here.
    fn lose_untold(&mut self, parts: &mut Parts<'_>, participant: &ParticipantId, key: &StreamKey) {
        let me = self.membership.as_ref().map(|membership| &membership.me);
        if me == Some(participant) {
            let is_ended = |it: &Publication| it.publish.key == *key && it.is_known();
            give_up(parts.publications, &mut self.events, is_ended);
        }
    }

    /// Turns a change into events.
    fn announce(
        &mut self,
        before: Option<&Participant>,
        change: Change,
        update: &RoomUpdate,
        present: bool,
    ) {
        let me = self.membership.as_ref().map(|membership| &membership.me);
        let participant = update.participant();
        let remote = participant != me;
        let event = match (change, update) {
            (Change::Nothing, _) => None,
            (Change::Refreshed, RoomUpdate::Joined(after)) => {
                if let Some(before) = before {
                    self.announce_differences(before, after, remote);
                }
                None
            }
            (_, RoomUpdate::Speaker { participant }) => {
                Some(Event::SpeakerChanged(participant.clone()))
            }
            (_, RoomUpdate::Floor { holder }) => Some(Event::FloorChanged(holder.clone())),
            (_, RoomUpdate::Recorded { recorded }) => Some(Event::RecordingChanged(*recorded)),
            (change, _) => {
                if let Change::Joined {
                    evicted: Some(evicted),
                } = change
                {
                    self.events.push(Event::ParticipantHidden(evicted));
                }
                let participant = participant.cloned();
                participant.and_then(|participant| news_of(participant, update, remote, present))
            }
        };
        if let Some(event) = event {
            self.events.push(event);
        }
    }

    /// A participant was described anew, in a snapshot: tells what is different.
    fn announce_differences(&mut self, before: &Participant, after: &Participant, remote: bool) {
        let id = &after.id;
        if remote && before.connection != after.connection {
            self.events.push(Event::ConnectionChanged {
                participant: id.clone(),
                state: after.connection,
            });
        }
        if before.censored != after.censored {
            self.events.push(Event::Censored {
                participant: id.clone(),
                censored: after.censored,
            });
        }
        for stream in before.streams.iter().filter(|_| remote) {
            if after.stream(&stream.key).is_none() {
                let gone = stream_ref(id, &stream.key);
                self.events.push(Event::StreamUnpublished(gone));
            }
        }
        for stream in &after.streams {
            let known = before.stream(&stream.key);
            let same = known.filter(|known| is_same_stream(known, stream));
            match same {
                None if remote => {
                    let new = stream_ref(id, &stream.key);
                    self.events.push(Event::StreamPublished(new));
                }
                Some(known) if known.muted != stream.muted => {
                    self.events.push(Event::StreamMuted {
                        stream: stream_ref(id, &stream.key),
                        muted: stream.muted,
                    });
                }
                _ => {}
            }
        }
    }

    /// Tells what has become different of what follows from the rest; not before all is there.
    pub(super) fn notice(&mut self, parts: &Parts<'_>) {
        if parts.room.version_for_resume().is_none() {
            return;
        }
        let (events, noticed) = (&mut self.events, &mut self.noticed);
        let presenter = parts.room.presenter();
        if noticed.presenter.as_ref() != presenter {
            noticed.presenter = presenter.cloned();
            events.push(Event::PresenterChanged(presenter.cloned()));
        }
        let main = parts.room.main(self.listening.pinned());
        if noticed.main.as_ref() != main {
            noticed.main = main.cloned();
            events.push(Event::MainChanged(main.cloned()));
        }
        let count = parts.room.participant_count();
        if noticed.count != count {
            noticed.count = count;
            events.push(Event::CountChanged(count));
        }
    }

    fn reply(
        &mut self,
        parts: &mut Parts<'_>,
        request: RequestId,
        result: Result<Outcome, Refusal>,
    ) {
        if self.joining.token_request() == Some(request)
            && let Some(token) = self.joining.take_token()
            && result.is_ok()
        {
            self.token = token;
        }
        let asked_by_application = self.requests.settle(request);
        self.wish_answered(parts, request, result, asked_by_application);
        if asked_by_application {
            (self.events).push_reply(request, result.map_err(Into::into));
        }
    }

    /// Processes this end's new grants. The server has ended everything that they do not include, and this end does not
    /// ask for it again.
    pub(super) fn grants_changed(&mut self, parts: &mut Parts<'_>, grants: Grants) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        if core::mem::replace(&mut membership.grants, grants) == grants {
            return;
        }
        self.events.push(Event::GrantsChanged(grants));
        let events = &mut self.events;
        parts.publications.retain(|publication| {
            let is_allowed = grants.contains(Grants::to_publish(publication.publish.kind));
            if !is_allowed && publication.is_wanted {
                events.push(Event::PublishRefused {
                    key: publication.publish.key.clone(),
                    refusal: Refusal::NotPermitted,
                });
            }
            is_allowed
        });
        if !grants.contains(Grants::SUBSCRIBE) {
            parts.subscriptions.clear();
            let had_policy = self.listening.policy != SubscribePolicy::None;
            self.listening = Listening::new(SubscribePolicy::None);
            if had_policy {
                self.events
                    .push(Event::PolicyRefused(Refusal::NotPermitted));
            }
        }
        self.notice(parts);
        // A Hello under way asks for what was.
        self.joining.renew(self.now);
    }
}

/// The event of an update that changed something about `participant`. Changes of this participant itself have none, unless
/// others can make them.
fn news_of(
    participant: ParticipantId,
    update: &RoomUpdate,
    remote: bool,
    present: bool,
) -> Option<Event> {
    Some(match update {
        RoomUpdate::Muted { key, muted, .. } => Event::StreamMuted {
            stream: StreamRef {
                participant,
                key: key.clone(),
            },
            muted: *muted,
        },
        RoomUpdate::Censored { censored, .. } => Event::Censored {
            participant,
            censored: *censored,
        },
        RoomUpdate::Attribute { key, .. } => Event::AttributeChanged {
            participant,
            key: key.clone(),
        },
        _ if !remote => return None,
        RoomUpdate::Joined(_) => Event::ParticipantJoined {
            participant,
            present,
        },
        RoomUpdate::Left { reason, .. } => Event::ParticipantLeft {
            participant,
            reason: *reason,
        },
        RoomUpdate::Hidden { .. } => Event::ParticipantHidden(participant),
        RoomUpdate::Connection { state, .. } => Event::ConnectionChanged {
            participant,
            state: *state,
        },
        RoomUpdate::Published { stream, .. } => Event::StreamPublished(StreamRef {
            participant,
            key: stream.key.clone(),
        }),
        RoomUpdate::Unpublished { key, .. } => Event::StreamUnpublished(StreamRef {
            participant,
            key: key.clone(),
        }),
        // The count is noticed with what follows from other changes.
        RoomUpdate::Speaker { .. }
        | RoomUpdate::Floor { .. }
        | RoomUpdate::Count { .. }
        | RoomUpdate::Recorded { .. } => return None,
    })
}

/// Gives up those streams of one's own that the server has ended.
fn give_up(
    publications: &mut heapless::VecView<Publication>,
    events: &mut Events,
    is_ended: impl Fn(&Publication) -> bool,
) {
    publications.retain(|publication| {
        let is_ended = is_ended(publication);
        if is_ended {
            events.push(Event::PublishRefused {
                key: publication.publish.key.clone(),
                refusal: Refusal::UnknownStream,
            });
        }
        !is_ended
    });
}

fn stream_ref(participant: &ParticipantId, key: &StreamKey) -> StreamRef {
    StreamRef {
        participant: participant.clone(),
        key: key.clone(),
    }
}

/// Whether the two, under one key, differ in no more than being muted.
fn is_same_stream(a: &Stream, b: &Stream) -> bool {
    (a.ssrc, a.kind, a.codec) == (b.ssrc, b.kind, b.codec)
}
