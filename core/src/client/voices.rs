//! Who of the others speaks now, told by the frames in the slots.

use heapless::VecView;

use super::events::{Event, Events};
use super::machine::Machine;
use super::profile::Parts;
use crate::audio::Activity;
use crate::room::{ParticipantId, StreamKind};
use crate::rtp::AudioFrame;
use crate::time::{Duration, Instant};

/// Of a slot's clock.
const TICKS_PER_MS: u64 = 48;

/// A participant that was heard lately.
#[derive(Debug)]
pub struct Voice {
    pub(super) participant: ParticipantId,
    pub(super) activity: Activity,
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
        let millis = u64::from(frame.duration) / TICKS_PER_MS;
        let length = Duration::from_millis(millis);
        if let Some(voice) = place(parts.voices, self.now, &participant.id)
            && voice.activity.hear(self.now, length, frame.level)
        {
            self.events.push(Event::SpeakingStarted {
                participant: voice.participant.clone(),
            });
        }
        self.note_end(parts);
    }

    /// Ends the speech of those who have been silent for long enough.
    pub(super) fn end_speech(&mut self, parts: &mut Parts<'_>) {
        let now = self.now;
        if self.speech_ends.is_some_and(|end| end <= now) {
            self.end_speech_of(parts, |voice| {
                voice.activity.ends().is_some_and(|end| end <= now)
            });
        }
    }

    /// Ends the speech of a participant that cannot be heard any more, if it is one.
    pub(super) fn end_speech_if_inaudible(&mut self, parts: &mut Parts<'_>, id: &ParticipantId) {
        let is_audible = parts.room.participant(id).is_some_and(|participant| {
            let mut streams = participant.streams.iter();
            streams.any(|stream| stream.kind == StreamKind::Audio && participant.is_live(stream))
        });
        if !is_audible {
            self.end_speech_of(parts, |voice| voice.participant == *id);
        }
    }

    pub(super) fn end_speech_of(
        &mut self,
        parts: &mut Parts<'_>,
        is_meant: impl Fn(&Voice) -> bool,
    ) {
        end_speech(parts.voices, &mut self.events, is_meant);
        self.note_end(parts);
    }

    fn note_end(&mut self, parts: &Parts<'_>) {
        let ends = parts.voices.iter().map(|voice| voice.activity.ends());
        self.speech_ends = ends.flatten().min();
    }
}

pub(super) fn end_speech(
    voices: &mut VecView<Voice>,
    events: &mut Events,
    is_meant: impl Fn(&Voice) -> bool,
) {
    for voice in voices.iter_mut().filter(|voice| is_meant(voice)) {
        if voice.activity.end() {
            events.push(Event::SpeakingStopped {
                participant: voice.participant.clone(),
            });
        }
    }
}

/// The voice of a participant. If there is no place for another, who does not speak and was heard least lately makes room.
fn place<'v>(
    voices: &'v mut VecView<Voice>,
    now: Instant,
    id: &ParticipantId,
) -> Option<&'v mut Voice> {
    let known = (voices.iter()).position(|voice| voice.participant == *id);
    if let Some(known) = known {
        return voices.get_mut(known);
    }
    let voice = Voice {
        participant: id.clone(),
        activity: Activity::new(now),
    };
    match voices.push(voice) {
        Ok(()) => voices.last_mut(),
        Err(voice) => {
            let silent = (voices.iter_mut()).filter(|voice| !voice.activity.is_speaking());
            let place = silent.min_by_key(|voice| voice.activity.heard())?;
            *place = voice;
            Some(place)
        }
    }
}
