//! The check of hearing in a mix: by the contributing sources that the server names, because the audio names no
//! speaker.

use parlour_core::time::Instant;

use super::{Checks, Invariant};
use crate::party::{Handle, Mixed};

/// The number of talkers heard at a time in a mix.
pub(super) const VOICES: usize = 8;

impl Checks {
    pub(super) fn check_mixed(&mut self, handle: Handle, sent_at: Instant, frame: &Mixed) {
        let (one, now) = (self.owner(handle), frame.at);
        if let Some(wrong) = self.hearing.insert_mixed(one, frame) {
            let text = format!("p{one} hears a mix that {wrong}: {frame:?}");
            self.fail(Invariant::InOrder, now, text);
        }
        for ssrc in &frame.contributors {
            let Some(&other) = self.microphones.get(ssrc) else {
                let text = format!("p{one} hears a mix with {ssrc:08x}, which is nobody's");
                return self.fail(Invariant::MayHear, now, text);
            };
            if let Some(why) = self.forbids_mixed(one, other, sent_at) {
                let text =
                    format!("p{one} hears p{other} in a mix, who {why}; sent at {sent_at:?}");
                self.fail(Invariant::MayHear, now, text);
            }
            let last = self.people[one].heard.entry(other).or_insert(now);
            *last = now.max(*last);
        }
    }

    /// Beside what forbids to hear somebody at all: what the server knows when it mixes.
    fn forbids_mixed(&self, one: usize, other: usize, sent_at: Instant) -> Option<&'static str> {
        let forwarded = self.forwarded(one, sent_at);
        let mut standings = (self.people[other].standing).within(forwarded, sent_at);
        if one == other {
            Some("is the listener")
        } else if !standings.any(|standing| standing.audible) {
            Some("is muted, or has no microphone")
        } else {
            self.forbids_hearing(one, other, sent_at)
        }
    }
}
