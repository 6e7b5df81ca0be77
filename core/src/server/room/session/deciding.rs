//! The active speaker, decided when there is sound and when there was none for long enough.

use super::Session;
use super::speaker::DECISION_INTERVAL;
use crate::room::{RoomUpdate, StreamKind};
use crate::server::Event;
use crate::server::context::Context;
use crate::server::keys::Wake;

impl Session {
    /// Decides after a packet of sound, unless that was done just before.
    pub(super) fn heard_sound(&mut self, cx: &mut Context) {
        if cx.now >= self.speaker.next_decision {
            self.speaker.next_decision = cx.now + DECISION_INTERVAL;
            self.decide_speaker(cx);
        }
    }

    /// Compares all who may be heard, and tells the room if another is the active speaker.
    pub(crate) fn decide_speaker(&mut self, cx: &mut Context) {
        let now = cx.now;
        let Self {
            members,
            publishers,
            speaker,
            ..
        } = self;
        let talkers = publishers.iter().filter_map(|(ssrc, publisher)| {
            let member = members.get(publisher.key)?;
            let mut streams = member.sends.streams.iter();
            let stream = streams.find(|stream| stream.ssrc == *ssrc)?;
            let is_audible = stream.kind == StreamKind::Audio && !stream.muted;
            let may_be_heard = is_audible && member.is_listening() && !member.sends.censored;
            may_be_heard.then(|| (*ssrc, stream.loudness.score(now)))
        });
        let change = speaker.dominance.decide(now, talkers);
        let at = speaker.dominance.poll_timeout().map(|at| {
            // Who still talks holds the place beyond the hold time; then the packets decide.
            at.max(now + DECISION_INTERVAL)
        });
        let wake = Wake::Speaker(self.room_key);
        cx.timers.set(wake, &mut speaker.alarm, at);
        let Some(change) = change else {
            return;
        };
        let publisher = change.to.and_then(|ssrc| publishers.get(&ssrc));
        let participant = publisher.map(|publisher| publisher.id.clone());
        // The room has forgotten a speaker that left; the embedder has not.
        let is_news = speaker.told != participant;
        speaker.told.clone_from(&participant);
        let update = RoomUpdate::Speaker {
            participant: participant.clone(),
        };
        self.change(cx, update);
        if is_news {
            self.tell_embedder(cx, |room, session| Event::SpeakerChanged {
                room,
                session,
                participant,
            });
        }
    }
}
