//! Speaker detection: from the audio levels of packets to one stable active speaker, and to a rank by which streams
//! compete for slots.
//!
//! Each stream keeps a [`Loudness`], which observes the level of every packet ([RFC
//! 6464](https://www.rfc-editor.org/rfc/rfc6464), −dBov: 0 is the loudest, 127 is silence). It works on two time
//! scales. *Talk time* fills during voice and drains during pauses longer than those between syllables: a cough cannot
//! fill it at any level, a breath cannot empty it. *Loudness* is the mean level over about half a second of voice and
//! only breaks ties between talkers. (Distinguishing short sounds from speech by the length of activity, and not by its
//! level, is the idea of Volfin and Cohen, "Dominant speaker identification for multipoint videoconferencing", 2013.)
//!
//! ```text
//!   voice      ▁▁█▁▁▁▁▁▁▁▁████████████████▁▁████████████▁▁▁▁▁▁▁▁▁▁
//!                cough    ┊     speech    breath        ┊
//!   talk time  ▁▁▂▁▁▁▁▁▁▁▁▂▃▄▅▆▇██████████▇▇█████████████▇▆▅▄▃▂▁▁▁
//!                              ↑ 300 ms: may become the active speaker
//! ```
//!
//! A level counts as sound relative to the stream's own *noise floor*: a fan is equally loud all the time, while speech
//! falls back to its background between any two words. The floor falls with the faintest packet and rises slowly, so
//! that steady noise counts as silence after a few seconds.
//!
//! A slot changes faster than the active speaker: a far louder stream takes it after three frames, so that a receiver
//! with only one decoder also hears the beginning of a sentence ([`Score::beats`]).
//!
//! One [`Dominance`] per room compares the scores of the streams on request and reports a change of the active speaker.
//! Neither owns a list: the caller's table of streams is the list.

use crate::time::{Duration, Instant};

/// Levels up to this (−dBov) may be sound; fainter ones are a room's background.
const AUDIBLE: u8 = 60;
/// The noise floor is never louder than this (−dBov): what is clearly louder is sound, however steady.
const LOUDEST_FLOOR: u8 = 45;
/// The faintest possible noise floor (−dBov), so that new noise soon stops counting as sound.
const FAINTEST_FLOOR: u8 = 70;
/// The distance of sound above the noise floor, in dB.
const ABOVE_FLOOR: u8 = 6;
/// The time in µs in which the noise floor rises by one dB during steady sound.
const FLOOR_RISE: u32 = 1_000_000;
/// A mean louder than this (−dBov) earns no further rank, so that shouting does not help.
const LOUD: u8 = 20;
/// A packet covers the time since the previous one if that is not longer than this. A longer pause is silence (DTX,
/// mute, or left).
const SPAN: u64 = 80_000;
/// The time that the first packet after a pause covers, in µs.
const FIRST: u64 = 20_000;
/// Silence up to this, in µs, is a gap between syllables and costs no talk time.
const HANGOVER: u64 = 190_000;
/// Talk time is full at this, in µs.
const FULL: u64 = 500_000;
/// Talk time at which a stream counts as talking, in µs.
const TALKING: u64 = 300_000;
/// Talk time that sound without voice can reach, in µs.
const NO_VOICE: u64 = 250_000;
/// The rank of talk time alone, and of the greatest loudness, when talk time is full.
const TALK_RANK: u64 = 800;
const LOUDNESS_RANK: u64 = 200;

/// The distance by which a newcomer's [`Score::rank`] must exceed an incumbent's to take its place, as active speaker
/// or in a slot. Between two streams that talk without pause it is 15 dB.
pub const RANK_MARGIN: u16 = 75;
/// Voice of this length, in µs, may take a slot from a far quieter or silent stream: three frames of 20 ms. Only longer
/// speech ranks high, and its beginning is part of it.
const ONSET: u64 = 60_000;
/// Louder than another by this, in dB, is far louder.
const FAR_LOUDER: u8 = 15;
/// A stream that is louder than another by this, in dB, does not lose its slot to it for having talked less.
const LOUDER: u8 = 5;

/// The recent activity of a stream: comparable between all streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Score {
    rank: u16,
    talking: bool,
    /// Mean level in dB, from 1 for the faintest that counts; 0 in silence.
    level: u8,
    /// Whether there was voice for at least [`ONSET`].
    speaks: bool,
}

impl Score {
    /// 0 (silent for long) to 1000 (talks, loud, without pause).
    pub const fn rank(self) -> u16 {
        self.rank
    }

    /// Whether this is speech that has gone on for some 300 ms, rather than a short sound.
    pub const fn is_talking(self) -> bool {
        self.talking
    }

    /// Whether a stream with this score should take the slot of one with the score `incumbent`, so that the beginning
    /// of its speech is heard. This is the case if its voice is 15 dB louder, or the only one, for some 60 ms; or if it
    /// ranks higher by [`RANK_MARGIN`] and is not the fainter one. [`Dominance`] decides more slowly on the active
    /// speaker.
    pub const fn beats(self, incumbent: Self) -> bool {
        self.is_far_louder(incumbent) || self.outranks(incumbent) && !incumbent.is_louder(self)
    }

    const fn outranks(self, incumbent: Self) -> bool {
        self.rank >= incumbent.rank.saturating_add(RANK_MARGIN)
    }

    const fn is_far_louder(self, incumbent: Self) -> bool {
        let is_alone = incumbent.level == 0 && self.level > 0;
        self.speaks && (is_alone || self.level >= incumbent.level.saturating_add(FAR_LOUDER))
    }

    const fn is_louder(self, other: Self) -> bool {
        let is_alone = other.level == 0 && self.level > 0;
        is_alone || self.level >= other.level.saturating_add(LOUDER)
    }
}

/// The state of one stream's audio levels.
///
/// ```
/// use parlour_core::audio::Loudness;
/// use parlour_core::time::{Duration, Instant};
///
/// let mut now = Instant::from_micros(0);
/// let mut loudness = Loudness::new();
/// for _ in 0..20 {
///     now += Duration::from_millis(20);
///     loudness.observe(now, 30, true);
/// }
/// assert!(loudness.score(now).is_talking());
/// assert_eq!(loudness.score(now + Duration::from_secs(1)).rank(), 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loudness {
    /// When the last packet came, and the last one with sound that counts.
    packet: Option<Instant>,
    sound: Option<Instant>,
    /// Whether that was voice.
    voice: bool,
    /// As of `sound`, in µs, up to [`FULL`].
    talk_time: u64,
    /// Mean level above [`AUDIBLE`] in 1/1000 dB.
    loudness: i64,
    floor: NoiseFloor,
}

/// How loud a stream is when nobody speaks, which tells its sound from its noise.
///
/// ```
/// use parlour_core::audio::NoiseFloor;
///
/// let mut floor = NoiseFloor::UNKNOWN;
/// assert!(floor.hear(30, 20_000));
/// assert!(!floor.hear(58, 20_000)); // a fan
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoiseFloor(
    /// −dBov in units of 1/[`FLOOR_RISE`] dB, so that it rises by one in a µs.
    u32,
);

impl NoiseFloor {
    /// An audible stream may be sound, until more is known.
    pub const UNKNOWN: Self = Self(AUDIBLE as u32 * FLOOR_RISE);

    /// Hears a frame of so many µs with `level` (−dBov). Gives whether that is sound: −60 dBov or louder, and 6 dB above the
    /// floor as it was before.
    pub fn hear(&mut self, level: u8, micros: u32) -> bool {
        let is_sound =
            level <= AUDIBLE && (u32::from(level) + u32::from(ABOVE_FLOOR)) * FLOOR_RISE <= self.0;
        let level = u32::from(level.clamp(LOUDEST_FLOOR, FAINTEST_FLOOR)) * FLOOR_RISE;
        self.0 = level.max(self.0.saturating_sub(micros));
        is_sound
    }
}

impl Default for Loudness {
    fn default() -> Self {
        Self::new()
    }
}

impl Loudness {
    /// A stream that was never heard.
    pub const fn new() -> Self {
        Self {
            packet: None,
            sound: None,
            voice: false,
            talk_time: 0,
            loudness: 0,
            floor: NoiseFloor::UNKNOWN,
        }
    }

    /// Observes a packet that came at `now` with `level` (−dBov, 0 to 127; more counts as 127). It counts as sound from
    /// −60 dBov on if it is 6 dB louder than the stream's noise floor, which is between −70 and −45 dBov.
    ///
    /// `voice` is the V bit of RFC 6464: sound without voice is ranked by its level but never counts
    /// as talking. Pass `true` for senders that have no voice detection.
    pub fn observe(&mut self, now: Instant, level: u8, voice: bool) {
        let span = match self.packet.map(|packet| micros_between(packet, now)) {
            Some(elapsed) if elapsed <= SPAN => elapsed,
            _ => FIRST,
        };
        self.packet = self.packet.max(Some(now));

        // A span is at most 80,000 µs.
        let is_sound = self.floor.hear(level, span as u32);
        let talk_time = self.talk_time(now);
        let ceiling = if voice { FULL } else { NO_VOICE };
        if !is_sound || talk_time > ceiling {
            return;
        }
        self.talk_time = (talk_time + span).min(ceiling);
        self.sound = self.sound.max(Some(now));
        self.voice = voice;
        let above = i64::from(AUDIBLE - level) * 1_000;
        // Dividing by the talk time makes it a plain mean at first.
        let time = self.talk_time.max(1).cast_signed();
        self.loudness += (above - self.loudness) * span.min(self.talk_time).cast_signed() / time;
    }

    /// The stream's recent activity as of `now`.
    pub fn score(&self, now: Instant) -> Score {
        let talk_time = self.talk_time(now);
        let range = u64::from(AUDIBLE - LOUD) * 1_000;
        let loudness = self.loudness.unsigned_abs();
        let bonus = loudness.min(range) * LOUDNESS_RANK / range;
        let is_silent = self
            .sound
            .is_none_or(|sound| micros_between(sound, now) > HANGOVER);
        let level = match is_silent {
            true => 0,
            false => u8::try_from(loudness / 1_000 + 1).unwrap_or(u8::MAX),
        };
        Score {
            rank: u16::try_from(talk_time * (TALK_RANK + bonus) / FULL).unwrap_or(u16::MAX),
            talking: talk_time >= TALKING,
            level,
            speaks: self.voice && !is_silent && talk_time >= ONSET,
        }
    }

    /// The talk time as of `now`, in µs. It drains as fast as it fills, once the silence is longer
    /// than a gap between syllables.
    fn talk_time(&self, now: Instant) -> u64 {
        let silence = self.sound.map_or(0, |sound| micros_between(sound, now));
        self.talk_time
            .saturating_sub(silence.saturating_sub(HANGOVER))
    }
}

pub(super) fn micros_between(earlier: Instant, later: Instant) -> u64 {
    later.as_micros().saturating_sub(earlier.as_micros())
}

/// The active speaker changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SpeakerChange<Id> {
    /// The previous active speaker.
    pub from: Option<Id>,
    /// The new active speaker.
    pub to: Option<Id>,
}

/// Selects the active speaker of a room.
///
/// A stream takes over when it is [talking](Score::is_talking) and its rank is [`RANK_MARGIN`] above that of the active
/// speaker. The active speaker stays active through silence for the hold time, and loses its place at once when it is
/// no longer among the candidates.
///
/// ```
/// use parlour_core::audio::{Dominance, Loudness, SpeakerChange};
/// use parlour_core::time::{Duration, Instant};
///
/// let mut now = Instant::from_micros(0);
/// let mut streams = [(1_u32, Loudness::new()), (2, Loudness::new())];
/// let mut dominance = Dominance::new(Duration::from_secs(2));
/// let mut changes = Vec::new();
/// for _ in 0..20 {
///     now += Duration::from_millis(20);
///     streams[1].1.observe(now, 30, true);
///     let scores = streams.iter().map(|(id, loudness)| (*id, loudness.score(now)));
///     changes.extend(dominance.decide(now, scores));
/// }
/// assert_eq!(changes, [SpeakerChange { from: None, to: Some(2) }]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dominance<Id> {
    hold: Duration,
    current: Option<Id>,
    /// When the current speaker last talked.
    talked: Instant,
}

impl<Id: Copy + Eq> Dominance<Id> {
    /// No speaker yet. `hold` is how long the last speaker stays active in silence; two seconds suit most rooms.
    pub const fn new(hold: Duration) -> Self {
        Self {
            hold,
            current: None,
            talked: Instant::from_micros(0),
        }
    }

    /// The active speaker.
    pub const fn current(&self) -> Option<Id> {
        self.current
    }

    /// When [`decide`](Self::decide) should be called at the latest, even without packets: the hold time of a silent
    /// speaker ends. `None`: never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.current.map(|_| self.talked + self.hold)
    }

    /// Compares all `candidates` (each id once) and returns a change of the active speaker. Of equals, the first is
    /// chosen. Call it after packets came, at most once per packet; every 20 ms is often enough.
    pub fn decide(
        &mut self,
        now: Instant,
        candidates: impl IntoIterator<Item = (Id, Score)>,
    ) -> Option<SpeakerChange<Id>> {
        let mut incumbent = None;
        let mut best: Option<(Id, Score)> = None;
        for (id, score) in candidates {
            if self.current == Some(id) {
                incumbent = Some(score);
            } else if score.talking && best.is_none_or(|(_, best)| score.rank > best.rank) {
                best = Some((id, score));
            }
        }
        if incumbent.is_some_and(|score| score.talking) {
            self.talked = now;
        }
        let held = now < self.talked + self.hold;
        let from = self.current;
        let to = match (incumbent, best) {
            (Some(score), Some((id, challenger))) if challenger.outranks(score) => Some(id),
            (Some(score), _) if score.talking || held => from,
            (_, best) => best.map(|(id, _)| id),
        };
        if to == from {
            return None;
        }
        self.current = to;
        self.talked = now;
        Some(SpeakerChange { from, to })
    }
}

#[cfg(test)]
mod tests;
