//! Who of the others speaks now, told by the frames in the slots.

use super::events::{Event, Events};
use super::machine::Machine;
use super::profile::Parts;
use crate::audio::Activity;
use crate::room::{ParticipantId, StreamKind};
use crate::rtp::AudioFrame;
use crate::time::{Instant, earlier};

/// Of a slot's clock.
const TICKS_PER_MS: u32 = 48;

/// A participant that was heard lately, if any.
#[derive(Debug)]
pub struct Voice {
    participant: Option<ParticipantId>,
    pub(super) activity: Activity,
}

impl Voice {
    /// Nobody's.
    pub(super) const NONE: Self = Self {
        participant: None,
        activity: Activity::new(Instant::from_micros(0)),
    };

    pub(super) fn is_of(&self, id: &ParticipantId) -> bool {
        self.participant.as_ref() == Some(id)
    }

    /// Who speaks, if it does.
    pub(super) fn speaker(&self) -> Option<&ParticipantId> {
        (self.participant.as_ref()).filter(|_| self.activity.is_speaking())
    }
}

impl Machine {
    /// Takes in a frame of a slot. In a mix, whose level is known only as a whole, it stands for the loudest in it.
    pub(super) fn listen(&mut self, parts: &mut Parts<'_>, frame: &AudioFrame<'_>) {
        self.end_speech(parts);
        let found = (frame.speaker).and_then(|ssrc| parts.room.find_stream(ssrc));
        // What is muted may have been on its way.
        let Some((participant, _)) = found.filter(|(who, stream)| who.is_live(stream)) else {
            return;
        };
        let voice = place(parts.voices, self.now, &participant.id);
        let Some(activity) = voice.map(|voice| &mut voice.activity) else {
            return;
        };
        if activity.hear(self.now, frame.duration / TICKS_PER_MS, frame.level) {
            // Looked at again then, however long it goes on.
            self.speech_ends = earlier(self.speech_ends, activity.ends());
            let participant = participant.id.clone();
            self.events.push(Event::SpeakingStarted { participant });
        }
    }

    /// Ends the speech of those who have been silent for long enough.
    pub(super) fn end_speech(&mut self, parts: &mut Parts<'_>) {
        let now = self.now;
        if self.speech_ends.is_some_and(|end| end <= now) {
            self.end_speech_of(parts, Whose::SilentAt(now));
        }
    }

    /// Ends the speech of a participant that cannot be heard any more, if it is one.
    pub(super) fn end_speech_if_inaudible(&mut self, parts: &mut Parts<'_>, id: &ParticipantId) {
        let is_audible = parts.room.participant(id).is_some_and(|participant| {
            let mut streams = participant.streams.iter();
            streams.any(|stream| stream.kind == StreamKind::Audio && participant.is_live(stream))
        });
        if !is_audible {
            self.end_speech_of(parts, Whose::Participants(id));
        }
    }

    pub(super) fn end_speech_of(&mut self, parts: &mut Parts<'_>, whose: Whose<'_>) {
        end_speech(parts.voices, &mut self.events, whose);
        let ends = parts.voices.iter().map(|voice| voice.activity.ends());
        self.speech_ends = ends.fold(None, earlier);
    }
}

/// Whose speech ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose<'a> {
    /// Of this participant.
    Participants(&'a ParticipantId),
    /// Of those who have been silent for long enough then.
    SilentAt(Instant),
}

impl Whose<'_> {
    pub(super) const ALL: Self = Self::SilentAt(Instant::from_micros(u64::MAX));
}

// Not inlined where somebody may fall silent.
#[inline(never)]
pub(super) fn end_speech(voices: &mut [Voice], events: &mut Events, whose: Whose<'_>) {
    for voice in voices {
        let ends = match whose {
            Whose::Participants(id) => voice.is_of(id),
            Whose::SilentAt(now) => voice.activity.ends().is_some_and(|end| end <= now),
        };
        if ends
            && voice.activity.end()
            && let Some(participant) = voice.participant.clone()
        {
            events.push(Event::SpeakingStopped { participant });
        }
    }
}

/// The voice of a participant. If it has none, who does not speak and was heard least lately makes room.
fn place<'v>(voices: &'v mut [Voice], now: Instant, id: &ParticipantId) -> Option<&'v mut Voice> {
    let known = voices.iter().position(|voice| voice.is_of(id));
    if let Some(known) = known {
        return voices.get_mut(known);
    }
    let silent = (voices.iter_mut()).filter(|voice| !voice.activity.is_speaking());
    let place = silent.min_by_key(|voice| voice.activity.heard())?;
    *place = Voice {
        participant: Some(id.clone()),
        activity: Activity::new(now),
    };
    Some(place)
}
