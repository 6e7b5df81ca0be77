//! Mixes in the life of a session: when there is one, who hears which, and its packets on their way.

use alloc::boxed::Box;

use super::Server;
use super::machine::{MemberKey, RoomKey, Wake};
use super::media::MediaHeader;
use super::mix::{BLOCK, Cost, Mix};
use super::slots::{SLOT_CLOCK, Source};
use crate::audio::Score;
use crate::time::Instant;

/// A receiver's place in the flow of its mix.
#[derive(Debug, Default)]
pub(super) struct Mixed {
    sequence: u16,
    /// When the sound of the last packet began.
    last: Option<Instant>,
}

impl Server {
    /// Whether those in a room may ask for a mix.
    pub(super) fn can_mix(&self, room: RoomKey) -> bool {
        let session = self
            .rooms
            .get(room.0)
            .and_then(|room| room.session.as_ref());
        let is_mixed = session.is_some_and(|session| session.mix.is_some());
        let limit = self.config.mix.map_or(0, |config| config.sessions);
        // Joins under way may take it a little beyond.
        self.config.mix.is_some() && (is_mixed || self.mixes < limit)
    }

    /// Has a session mixed from when somebody asks for that until nobody does.
    pub(super) fn start_or_end_mix(&mut self, now: Instant, room: RoomKey) {
        let Some(config) = self.config.mix else {
            return;
        };
        let session = self
            .rooms
            .get(room.0)
            .and_then(|room| room.session.as_ref());
        let Some(session) = session else {
            return;
        };
        let mut members = session.order.iter().filter_map(|key| self.member(*key));
        let is_wanted = members.any(|member| member.subscriptions.mix().is_some());
        if is_wanted == session.mix.is_some() {
            return;
        }
        let mix = is_wanted.then(|| {
            let ssrc = self.allocate_ssrcs(1);
            let hold = self.config.slot_hold;
            self.mixes += 1;
            Box::new(Mix::new(config, ssrc, hold, now, &mut self.rng))
        });
        let session = self.session_mut(room);
        let former = session.and_then(|session| core::mem::replace(&mut session.mix, mix));
        self.forget_mix(room, former);
    }

    /// Nobody listens to this mix any more.
    pub(super) fn forget_mix(&mut self, room: RoomKey, mix: Option<Box<Mix>>) {
        if let Some(mut mix) = mix {
            self.timers.set(Wake::Mix(room), &mut mix.alarm, None);
            self.mixes -= 1;
        }
    }

    /// Decoders and encoders of all mixes.
    pub(super) fn mix_size(&self) -> Cost {
        let sessions = self
            .rooms
            .iter()
            .filter_map(|(_, room)| room.session.as_ref());
        let mixes = sessions.filter_map(|session| session.mix.as_ref());
        mixes.fold(Cost::default(), |sum, mix| sum + mix.size())
    }

    /// Nothing of this stream is heard in the mixes from now on.
    pub(super) fn silence_in_mix(&mut self, room: RoomKey, ssrc: u32) {
        let session = self.session_mut(room);
        if let Some(mix) = session.and_then(|session| session.mix.as_mut()) {
            mix.release(ssrc);
        }
    }

    /// Makes the next 20 ms of all mixes of a session.
    pub(super) fn tick_mix(&mut self, now: Instant, room: RoomKey) {
        let Some(session) = self.session_mut(room) else {
            return;
        };
        let Some(mut mix) = session.mix.take() else {
            return;
        };
        // Lent out for the time of the loop, so that it can change what is beside it.
        let order = core::mem::take(&mut session.order);
        let mut cost = Cost::default();
        let begins = mix.begin(now);
        for key in &order {
            self.send_mix(now, *key, begins, &mut mix, &mut cost);
        }
        let due = mix.end(now, &mut self.pool, &mut cost);
        self.timers.set(Wake::Mix(room), &mut mix.alarm, due);
        self.statistics.mix_decoded += cost.voices as u64;
        self.statistics.mix_encoded += cost.encoders as u64;
        if let Some(session) = self.session_mut(room) {
            session.order = order;
            session.mix = Some(mix);
        }
    }

    /// Queues the mix for one receiver, if it listens to it and there is anything to hear.
    fn send_mix(
        &mut self,
        now: Instant,
        receiver: MemberKey,
        begins: Instant,
        mix: &mut Mix,
        cost: &mut Cost,
    ) {
        let Some(member) = self.members.get_mut(receiver.0) else {
            return;
        };
        let Some(codec) = member.subscriptions.mix() else {
            return;
        };
        if !member.is_listening() {
            return;
        }
        if mix.speakers_changed {
            member.wanted_changed();
        }
        if member.is_held_back() {
            self.statistics.media_overflowed += 1;
            return;
        }
        let without = mix.without(now, |ssrc| {
            member.streams.iter().any(|own| own.ssrc == ssrc)
                || member.subscriptions.is_unwanted(ssrc)
        });
        let ssrc = mix.ssrc;
        let sound = match mix.sound(codec, without, &mut self.pool, cost) {
            Ok(Some(sound)) => sound,
            Ok(None) => return,
            Err(_) => {
                self.statistics.mix_overflowed += 1;
                return;
            }
        };
        let clock = begins.as_micros() * u64::from(SLOT_CLOCK) / 1_000_000;
        let source = Source {
            ssrc,
            sequence: member.mixed.sequence.wrapping_add(1),
            // Truncation is what a timestamp that wraps around does.
            timestamp: clock as u32,
            marker: member.mixed.last.is_none_or(|last| last + BLOCK != begins),
            is_newest: true,
            clock_rate: SLOT_CLOCK,
            score: Score::default(),
        };
        // Without slots there is nothing to hear it by.
        let Some(slot) = member.slots.take(now, &source) else {
            return;
        };
        member.mixed = Mixed {
            sequence: source.sequence,
            last: Some(begins),
        };
        let header = MediaHeader {
            marker: slot.marker,
            payload_type: codec.payload_type(),
            sequence: slot.sequence,
            timestamp: slot.timestamp,
            ssrc: slot.ssrc,
            csrcs: sound.csrcs.clone(),
            audio_level: Some(sound.level),
        };
        let payload = self.pool.share(&sound.payload);
        self.queue_media(receiver, header, payload);
        self.wake(receiver);
    }
}
