//! The mix for participants that asked for one: the loudest talkers of a session in one flow.
//!
//! The loudest are found as for any receiver with the same number of slots. Each is decoded once, every 20 ms.
//! Listeners that do not talk share one mix, and each talker gets one without its own voice:
//!
//! ```text
//! anna ──► slot 0 ─► jitter buffer, decoder ─┐        ┌─► without nobody ─► encoder ─► 98 listeners
//! ben  ──► slot 1 ─► jitter buffer, decoder ─┼─ sum ──┼─► without anna   ─► encoder ─► anna
//! …    ──► (louder ones have the slots)      ┘        └─► without ben    ─► encoder ─► ben
//! ```
//!
//! A mix goes out in one of the receiver's slots, so that its sequence numbers and timestamps are unbroken even when
//! the receiver changes its subscription. While nobody talks nothing is sent, and no timer runs.

mod block;
mod config;
mod group;
mod talkers;
mod voice;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Add;

use rand_core::CryptoRngCore;

pub(crate) use block::BLOCK;
use block::BLOCK_MS;
pub use config::{MixConfig, MixOpus};
use group::Group;
use talkers::Talkers;
use voice::Voice;

use crate::room::Codec;
use crate::server::member::media::MAX_CONTRIBUTORS;
use crate::server::member::slots::{Arriving, Slots};
use crate::server::pool::{Payload, Pool};
use crate::server::timers::Alarm;
use crate::time::{Duration, Instant};

/// Without a packet from any talker for this long, there is nothing to mix.
const IDLE: Duration = Duration::from_millis(500);
/// A server that is late by more than this skips the missed ticks.
const MAX_LATE: Duration = Duration::from_millis(100);
/// An encoder without listeners is given up after this many ticks: 10 s.
const MAX_UNUSED: u64 = 500;

/// See the [module](self).
pub(crate) struct Mix {
    config: MixConfig,
    /// Identifies the mix in its receivers' slots.
    pub(crate) ssrc: u32,
    /// Assigns the voices: the SSRC in slot `n` belongs to `voices[n]`.
    places: Slots,
    voices: Vec<Option<Box<Voice>>>,
    groups: Vec<Group>,
    pub(crate) alarm: Alarm,
    /// The time of the next block, while a participant talks.
    pub(crate) due: Option<Instant>,
    ticks: u64,
    fed: Instant,
    speaking: Talkers,
    /// Whether the set of speakers changed since the last tick.
    pub(crate) speakers_changed: bool,
}

/// The costs of a mix: work per tick, memory per mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    pub(crate) voices: usize,
    pub(crate) encoders: usize,
}

impl Cost {
    /// The memory of this many.
    pub(crate) const fn bytes(self) -> usize {
        self.voices * Voice::BYTES + self.encoders * Group::BYTES
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            voices: self.voices + other.voices,
            encoders: self.encoders + other.encoders,
        }
    }
}

impl Mix {
    pub(crate) fn new(
        config: MixConfig,
        ssrc: u32,
        hold: Duration,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
    ) -> Self {
        let talkers = config.talkers.min(MAX_CONTRIBUTORS as u8);
        Self {
            config,
            ssrc,
            places: Slots::new(0, talkers, hold, rng),
            voices: (0..talkers).map(|_| None).collect(),
            groups: Vec::new(),
            alarm: Alarm::default(),
            due: None,
            ticks: 0,
            fed: now,
            speaking: Talkers::default(),
            speakers_changed: false,
        }
    }

    /// Takes in a talker's packet. False if louder ones have all places.
    pub(crate) fn feed(
        &mut self,
        now: Instant,
        arriving: &Arriving,
        codec: Codec,
        payload: &[u8],
    ) -> bool {
        let Some(place) = self.places.take(now, arriving) else {
            return false;
        };
        let rate = self.config.opus.rate();
        let Some(voice) = self.voices.get_mut(place.stamp.ssrc as usize) else {
            return false;
        };
        if voice.is_none() {
            *voice = Voice::new(rate);
        }
        if let Some(voice) = voice {
            if place.changed {
                voice.restart();
            }
            voice.push(now, &place, codec, payload);
        }
        self.fed = now;
        if self.due.is_none() {
            self.due = Some(now + BLOCK);
        }
        true
    }

    /// Nothing of this stream is heard from now on.
    pub(crate) fn release(&mut self, ssrc: u32) {
        for (place, voice) in self.voices.iter_mut().enumerate() {
            if self.places.source(place) == Some(ssrc)
                && let Some(voice) = voice
            {
                voice.restart();
            }
        }
        self.places.forget(ssrc);
    }

    /// Makes the talkers' next 20 ms of sound, and gives when they begin.
    pub(crate) fn begin(&mut self, now: Instant) -> Instant {
        let samples = self.samples();
        self.ticks += 1;
        let mut speaking = Talkers::default();
        for (place, voice) in self.voices.iter_mut().enumerate() {
            if self.places.source(place).is_some()
                && let Some(voice) = voice
            {
                voice.read(now, samples);
                speaking.set(place, voice.speaks);
            }
        }
        self.speakers_changed = speaking != self.speaking;
        self.speaking = speaking;
        self.due.unwrap_or(now)
    }

    /// The active talkers to leave out of a mix: those for which `leave_out` holds.
    pub(crate) fn without(&self, now: Instant, leave_out: impl Fn(u32) -> bool) -> Talkers {
        let mut talkers = Talkers::default();
        for (place, voice) in self.voices.iter().enumerate() {
            if let Some(ssrc) = self.places.source(place)
                && voice.as_ref().is_some_and(|voice| voice.is_active(now))
                && leave_out(ssrc)
            {
                talkers.set(place, true);
            }
        }
        talkers
    }

    /// The packet of this tick in `codec` without some talkers: made when first asked for. `Ok(None)` if
    /// there is silence.
    ///
    /// # Errors
    /// If all encoders are in use.
    pub(crate) fn sound(
        &mut self,
        codec: Codec,
        without: Talkers,
        pool: &mut Pool,
        cost: &mut Cost,
    ) -> Result<Option<&Payload>, NoEncoder> {
        if self.speaking.are_among(without) {
            return Ok(None);
        }
        let index = self.group(codec, without).ok_or(NoEncoder)?;
        let samples = self.samples();
        let group = self.groups.get_mut(index).ok_or(NoEncoder)?;
        if group.tick != self.ticks {
            group.tick = self.ticks;
            let voices = self.voices.iter().enumerate();
            let heard = voices.filter(|(place, _)| !without.has(*place));
            let places = &self.places;
            let heard =
                heard.filter_map(|(place, voice)| Some((places.source(place)?, voice.as_deref()?)));
            cost.encoders += usize::from(group.make(heard, samples, pool));
        }
        Ok(group.sound.as_ref())
    }

    /// The mix that has an encoder, or gets one: a new one, or that of a mix without listeners.
    fn group(&mut self, codec: Codec, without: Talkers) -> Option<usize> {
        let is_it = |group: &Group| (group.codec, group.without) == (codec, without);
        if let Some(index) = self.groups.iter().position(is_it) {
            return Some(index);
        }
        if self.groups.len() < self.config.encoders {
            self.groups.push(Group::new(codec, without, &self.config)?);
            return Some(self.groups.len() - 1);
        }
        let idle = self.groups.iter().enumerate();
        let idle = idle.filter(|(_, group)| group.tick != self.ticks);
        let (index, _) = idle.min_by_key(|(_, group)| group.tick)?;
        *self.groups.get_mut(index)? = Group::new(codec, without, &self.config)?;
        Some(index)
    }

    /// Ends the tick. Returns the time of the next one; `None` while nobody talks.
    pub(crate) fn end(
        &mut self,
        now: Instant,
        pool: &mut Pool,
        cost: &mut Cost,
    ) -> Option<Instant> {
        for group in &mut self.groups {
            if let Some(sound) = group.sound.take() {
                pool.release(sound);
            }
        }
        let ticks = self.ticks;
        self.groups.retain(|group| ticks - group.tick < MAX_UNUSED);
        let voices = self.voices.iter().flatten();
        cost.voices = voices.filter(|voice| voice.speaks).count();
        let next = self.due.map(|due| due + BLOCK);
        self.due = if now.saturating_duration_since(self.fed) >= IDLE {
            self.voices
                .iter_mut()
                .flatten()
                .for_each(|voice| voice.restart());
            None
        } else {
            next.map(|next| if next + MAX_LATE < now { now } else { next })
        };
        self.due
    }

    /// The talkers heard now.
    pub(crate) fn speakers(&self) -> impl Iterator<Item = u32> {
        let places = (0..self.voices.len()).filter(|place| self.speaking.has(*place));
        places.filter_map(|place| self.places.source(place))
    }

    /// Decoders that it has, and encoders.
    pub(crate) fn size(&self) -> Cost {
        Cost {
            voices: self.voices.iter().flatten().count(),
            encoders: self.groups.len(),
        }
    }

    fn samples(&self) -> usize {
        self.config.opus.rate().samples(BLOCK_MS)
    }
}

/// All encoders of a session are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoEncoder;

impl fmt::Debug for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mix")
            .field("due", &self.due)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
