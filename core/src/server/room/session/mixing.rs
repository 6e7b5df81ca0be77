//! Mixes in a session: their start and end, the mix of each listener, and the way of their packets.

use alloc::boxed::Box;

use super::Session;
use super::mix::{BLOCK, Cost, Mix};
use crate::audio::Score;
use crate::server::context::Context;
use crate::server::keys::Wake;
use crate::server::member::slots::{Arriving, SLOT_CLOCK};
use crate::server::member::{Member, Mixed};
use crate::time::Instant;

impl Session {
    pub(crate) fn is_mixed(&self) -> bool {
        self.mix.is_some()
    }

    /// Has the session mixed while at least one participant asks for that.
    pub(super) fn start_or_end_mix(&mut self, cx: &mut Context) {
        let Some(config) = cx.config.mix else {
            return;
        };
        let is_wanted =
            (self.members.iter()).any(|member| member.receives.subscriptions.mix().is_some());
        if is_wanted == self.mix.is_some() {
            return;
        }
        if !is_wanted {
            self.end_mix(cx);
            return;
        }
        let ssrc = cx.allocate_ssrcs(1);
        let hold = cx.config.slot_hold;
        cx.mixes += 1;
        let mix = Mix::new(config, ssrc, hold, cx.now, &mut cx.rng);
        self.mix = Some(Box::new(mix));
    }

    /// The mix has no listeners any more.
    pub(super) fn end_mix(&mut self, cx: &mut Context) {
        if let Some(mut mix) = self.mix.take() {
            let wake = Wake::Mix(self.room_key);
            cx.timers.set(wake, &mut mix.alarm, None);
            cx.mixes -= 1;
        }
    }

    /// Decoders and encoders of the mix.
    pub(crate) fn mix_size(&self) -> Cost {
        let mix = self.mix.as_ref();
        mix.map_or(Cost::default(), |mix| mix.size())
    }

    /// Nothing of this stream is heard in the mix from now on.
    pub(super) fn silence_in_mix(&mut self, ssrc: u32) {
        if let Some(mix) = &mut self.mix {
            mix.release(ssrc);
        }
    }

    /// Makes the next 20 ms of all mixes of the session.
    pub(crate) fn tick_mix(&mut self, cx: &mut Context) {
        let Some(mix) = &mut self.mix else {
            return;
        };
        let mut cost = Cost::default();
        let begins = mix.begin(cx.now);
        self.members
            .for_each(|_, member| member.take_mix(cx, begins, mix, &mut cost));
        let due = mix.end(cx.now, &mut cx.pool, &mut cost);
        let wake = Wake::Mix(self.room_key);
        cx.timers.set(wake, &mut mix.alarm, due);
        cx.statistics.mix_decoded += cost.voices as u64;
        cx.statistics.mix_encoded += cost.encoders as u64;
    }
}

impl Member {
    /// Queues the mix, if this member listens to it and there is anything to hear.
    fn take_mix(&mut self, cx: &mut Context, begins: Instant, mix: &mut Mix, cost: &mut Cost) {
        let now = cx.now;
        let Some(codec) = self.receives.subscriptions.mix() else {
            return;
        };
        if !self.is_listening() {
            return;
        }
        if mix.speakers_changed {
            self.receives.wanted_changed();
        }
        if self.is_held_back() {
            cx.statistics.media_overflowed += 1;
            return;
        }
        let without = mix.without(now, |ssrc| {
            self.sends.streams.iter().any(|own| own.ssrc == ssrc)
                || self.receives.subscriptions.is_unwanted(ssrc)
        });
        let ssrc = mix.ssrc;
        let sound = match mix.sound(codec, without, &mut cx.pool, cost) {
            Ok(Some(sound)) => sound,
            Ok(None) => return,
            Err(_) => {
                cx.statistics.mix_overflowed += 1;
                return;
            }
        };
        let clock = begins.as_micros() * u64::from(SLOT_CLOCK) / 1_000_000;
        let mixed = &mut self.receives.mixed;
        let arriving = Arriving {
            ssrc,
            publisher: None,
            sequence: mixed.sequence.wrapping_add(1),
            // The timestamp wraps around, so truncation is right.
            timestamp: clock as u32,
            marker: mixed.last.is_none_or(|last| last + BLOCK != begins),
            is_newest: true,
            clock_rate: SLOT_CLOCK,
            score: Score::default(),
        };
        // Without slots there is nothing to hear it by.
        let Some(slot) = self.receives.slots.take(now, &arriving) else {
            return;
        };
        *mixed = Mixed {
            sequence: arriving.sequence,
            last: Some(begins),
        };
        self.queue_media(cx, slot.stamp, sound);
        cx.wake(&mut self.association);
    }
}
