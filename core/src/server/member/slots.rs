//! The audio slots of one receiver: many streams onto few flows that never break.
//!
//! A slot is one RTP flow with its own SSRC. Streams take turns in it. Within one turn a packet keeps its
//! distance to the ones around it, in sequence and in time, so that a loss before the server is still
//! a loss to the receiver, and a pause (DTX) still a pause:
//!
//! ```text
//! stream A    seq 70 71 72 73                    ts  …160 apart at 8 kHz
//! stream B                     seq 5 6 _ 8
//! slot        seq 12 13 14 15      16 17 _ 19    ts  …960 apart at 48 kHz; over the change, time elapsed
//! ```
//!
//! The loudest streams have the slots. A publisher reports its own loudness, so it is not fully trusted: it keeps one
//! slot against other active publishers, and has more only while no other active publisher lacks one.

use alloc::vec::Vec;

use rand_core::CryptoRngCore;

use super::delivery::{Delivered, Delivery};
use crate::audio::Score;
use crate::rtp::{ReportBlock, Stamp, sequence_difference, timestamp_difference};
use crate::server::keys::MemberKey;
use crate::signal::MAX_SLOTS;
use crate::time::{Duration, Instant};

/// Ticks per second of every slot's timestamps.
pub(crate) const SLOT_CLOCK: u32 = 48_000;
/// By how much time a change of stream moves a slot's timestamps at least: 20 ms, a usual frame.
const LEAST_ADVANCE: u32 = SLOT_CLOCK / 50;
/// A source whose sequence numbers jump by this much has begun anew.
pub(crate) const MAX_AHEAD: i16 = 3_000;
/// A packet this far behind is too late for any jitter buffer. RFC 3550 A.1 would take two such packets for a
/// restart, but no publisher goes back, and an attacker that held packets back could have them played long after.
const MAX_BEHIND: i16 = 100;

/// One packet of a stream that would like to be heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arriving {
    pub(crate) ssrc: u32,
    /// The publisher of its stream; `None` for a mix, which is shared by all.
    pub(crate) publisher: Option<MemberKey>,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// None that came before it is from after it.
    pub(crate) is_newest: bool,
    /// Ticks per second of its timestamps; divides that of the slots.
    pub(crate) clock_rate: u32,
    pub(crate) score: Score,
}

/// The same packet as the receiver gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotPacket {
    pub(crate) stamp: Stamp,
    /// Whether another stream had the slot before.
    pub(crate) changed: bool,
}

#[derive(Debug)]
struct Slot {
    turn: Option<Turn>,
    /// The stream that had it last: it gets the same slot again if that is free, where a receiver's decoder and
    /// jitter buffer know it.
    latest: Option<u32>,
    /// Highest of its flow so far.
    sequence: u16,
    timestamp: u32,
    sent: Option<Instant>,
    delivery: Delivery,
}

/// A stream's stay in a slot.
#[derive(Debug, Clone, Copy)]
struct Turn {
    ssrc: u32,
    publisher: Option<MemberKey>,
    score: Score,
    last: Instant,
    /// The first packet, as it came and as it went out.
    from_sequence: u16,
    from_timestamp: u32,
    to_sequence: u16,
    to_timestamp: u32,
    /// The highest sequence number that came, and how far that is from the first.
    highest: u16,
    extent: u32,
    /// The number that, if it comes next, confirms that the stream has begun anew.
    restart: Option<u16>,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Slots {
    first_ssrc: u32,
    slots: Vec<Slot>,
    pinned: Option<u32>,
    hold: Duration,
}

impl Slots {
    /// `count` slots, whose SSRCs are consecutive, wrapping around. A stream that was silent for
    /// `hold` gives way to any other.
    pub(crate) fn new(
        first_ssrc: u32,
        count: u8,
        hold: Duration,
        rng: &mut dyn CryptoRngCore,
    ) -> Self {
        let slot = |_| Slot {
            turn: None,
            latest: None,
            sequence: rng.next_u32() as u16,
            timestamp: rng.next_u32(),
            sent: None,
            delivery: Delivery::default(),
        };
        let count = usize::from(count).min(MAX_SLOTS);
        Self {
            first_ssrc,
            slots: (0..count).map(slot).collect(),
            pinned: None,
            hold,
        }
    }

    /// Whether `ssrc` is that of one of the slots.
    #[cfg(test)]
    pub(crate) fn owns(&self, ssrc: u32) -> bool {
        (ssrc.wrapping_sub(self.first_ssrc) as usize) < self.slots.len()
    }

    /// The SSRC of the first slot.
    pub(crate) fn first_ssrc(&self) -> u32 {
        self.first_ssrc
    }

    /// Processes the receiver's report of one of the slots.
    pub(crate) fn report(&mut self, block: &ReportBlock) -> Option<Delivered> {
        let index = usize::try_from(block.ssrc.wrapping_sub(self.first_ssrc)).ok()?;
        self.slots.get_mut(index)?.delivery.report(block)
    }

    /// Keeps a slot for this stream, from its next packet on, whatever other streams do.
    pub(crate) fn pin(&mut self, ssrc: Option<u32>) {
        self.pinned = ssrc;
    }

    /// The streams in slots.
    pub(crate) fn sources(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().filter_map(|slot| Some(slot.turn?.ssrc))
    }

    /// The stream in the slot with this number.
    #[cfg(feature = "opus-fullband")]
    pub(crate) fn source(&self, slot: usize) -> Option<u32> {
        Some(self.slots.get(slot)?.turn?.ssrc)
    }

    /// Frees the slot of a stream that is muted or gone.
    pub(crate) fn release(&mut self, ssrc: u32) {
        for slot in &mut self.slots {
            slot.turn.take_if(|turn| turn.ssrc == ssrc);
        }
    }

    /// The stream is no more: nothing is kept for it.
    pub(crate) fn forget(&mut self, ssrc: u32) {
        self.release(ssrc);
        self.pinned.take_if(|pinned| *pinned == ssrc);
        for slot in &mut self.slots {
            slot.latest.take_if(|latest| *latest == ssrc);
        }
    }

    /// Frees the slots of all streams but those that are still wanted.
    pub(crate) fn retain(&mut self, mut wanted: impl FnMut(u32) -> bool) {
        for slot in &mut self.slots {
            slot.turn.take_if(|turn| !wanted(turn.ssrc));
        }
    }

    /// Frees all slots.
    pub(crate) fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.turn = None;
        }
    }

    /// Finds a place for a packet, which is then on its way to the receiver; `None` if louder streams have all slots, or if the packet is
    /// from before its stream's turn, which only the newest one begins.
    pub(crate) fn take(&mut self, now: Instant, arriving: &Arriving) -> Option<SlotPacket> {
        let held = self.slots.iter().position(|slot| slot.has(arriving.ssrc));
        let index = match held {
            Some(index) => index,
            None if arriving.is_newest => self.vacancy(now, arriving)?,
            None => return None,
        };
        let ssrc = self.first_ssrc.wrapping_add(u32::try_from(index).ok()?);
        self.slots.get_mut(index)?.put(now, arriving, ssrc)
    }

    /// A free slot: the one that the stream had last, or that is free for longest. Or else the one that matters least
    /// among those that `arriving` may have.
    fn vacancy(&self, now: Instant, arriving: &Arriving) -> Option<usize> {
        let others = || {
            let slots = self.slots.iter().enumerate();
            slots.filter(|(_, slot)| {
                slot.turn.is_none() || slot.turn.map(|turn| turn.ssrc) != self.pinned
            })
        };
        let is_free = |slot: &Slot| {
            slot.turn
                .is_none_or(|turn| now.saturating_duration_since(turn.last) >= self.hold)
        };
        let free = others()
            .filter(|(_, slot)| is_free(slot))
            .min_by_key(|(_, slot)| (slot.latest != Some(arriving.ssrc), slot.sent));
        if let Some((index, _)) = free {
            return Some(index);
        }
        let turns = || others().filter_map(|(index, slot)| Some((index, slot.turn.as_ref()?)));
        let is_own = |turn: &Turn| turn.publisher == arriving.publisher;
        let has_another = turns().any(|(_, turn)| is_own(turn));
        let wants_first = !has_another && is_heard(arriving.score);
        // Beside a louder one of the same publisher.
        let is_second = |index: usize, turn: &Turn| {
            turns().any(|(other, louder)| {
                louder.publisher == turn.publisher
                    && (louder.score.rank(), other) > (turn.score.rank(), index)
            })
        };
        let is_pinned = self.pinned == Some(arriving.ssrc);
        let offers = turns().filter_map(|(index, turn)| {
            let is_unused = !is_heard(turn.score);
            let is_surplus = wants_first && is_second(index, turn);
            let may_be_beaten = !has_another || is_own(turn) || is_unused;
            let is_open =
                is_pinned || is_surplus || may_be_beaten && arriving.score.beats(turn.score);
            let is_missed = !is_unused && !is_surplus;
            is_open.then_some((index, (is_missed, turn.score.rank())))
        });
        let (index, _) = offers.min_by_key(|(_, loss)| *loss)?;
        Some(index)
    }
}

/// Whether a stream needs a slot: it has been louder than silence for longer than a click.
fn is_heard(score: Score) -> bool {
    score.beats(Score::default())
}

impl Slot {
    fn has(&self, ssrc: u32) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.ssrc == ssrc)
    }

    fn put(&mut self, now: Instant, arriving: &Arriving, ssrc: u32) -> Option<SlotPacket> {
        let mut is_held = false;
        let mut is_continued = false;
        if let Some(turn) = &mut self.turn
            && turn.ssrc == arriving.ssrc
        {
            if turn.is_too_late(arriving) || turn.is_stray(arriving) {
                return None;
            }
            is_held = true;
            is_continued = !turn.has_begun_anew(arriving);
        }
        if !is_continued {
            self.turn = Some(self.next_turn(now, arriving));
        }
        self.latest = Some(arriving.ssrc);
        let turn = self.turn.as_mut()?;
        let ahead = sequence_difference(arriving.sequence, turn.highest);
        let distance = u32::from(ahead.unsigned_abs());
        if ahead >= 0 {
            turn.highest = arriving.sequence;
            turn.extent = turn.extent.saturating_add(distance);
        } else if distance > turn.extent {
            return None;
        }
        turn.last = now;
        turn.score = arriving.score;

        let scale = SLOT_CLOCK.checked_div(arriving.clock_rate).unwrap_or(1);
        let since = arriving.timestamp.wrapping_sub(turn.from_timestamp);
        let timestamp = turn.to_timestamp.wrapping_add(since.wrapping_mul(scale));
        let ahead = arriving.sequence.wrapping_sub(turn.from_sequence);
        let sequence = turn.to_sequence.wrapping_add(ahead);

        if self.sent.is_none() || sequence_difference(sequence, self.sequence) > 0 {
            self.sequence = sequence;
        }
        if self.sent.is_none() || timestamp_difference(timestamp, self.timestamp) > 0 {
            self.timestamp = timestamp;
        }
        self.sent = Some(now);
        self.delivery.sent(sequence);
        let stamp = Stamp {
            marker: arriving.marker || !is_continued,
            sequence,
            timestamp,
            ssrc,
        };
        Some(SlotPacket {
            stamp,
            changed: !is_held,
        })
    }

    /// Continues the flow where the one before left it, later by the time that has passed.
    fn next_turn(&self, now: Instant, arriving: &Arriving) -> Turn {
        let elapsed = self
            .sent
            .map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
        let ticks = elapsed.as_micros() * u128::from(SLOT_CLOCK) / 1_000_000;
        // The timestamp wraps around, so truncation is right.
        let advance = (ticks as u32).max(LEAST_ADVANCE);
        Turn {
            ssrc: arriving.ssrc,
            publisher: arriving.publisher,
            score: arriving.score,
            last: now,
            from_sequence: arriving.sequence,
            from_timestamp: arriving.timestamp,
            to_sequence: self.sequence.wrapping_add(1),
            to_timestamp: self.timestamp.wrapping_add(advance),
            highest: arriving.sequence,
            extent: 0,
            restart: None,
        }
    }
}

impl Turn {
    /// Whether this packet is the first that is far from the others: it may be very late, or damaged at its source.
    /// The next one decides.
    fn is_stray(&mut self, arriving: &Arriving) -> bool {
        let expected = self.restart.take();
        if !self.has_begun_anew(arriving) || expected == Some(arriving.sequence) {
            return false;
        }
        self.restart = Some(arriving.sequence.wrapping_add(1));
        true
    }

    fn has_begun_anew(&self, arriving: &Arriving) -> bool {
        let ahead = sequence_difference(arriving.sequence, self.highest);
        ahead >= MAX_AHEAD
    }

    fn is_too_late(&self, arriving: &Arriving) -> bool {
        sequence_difference(arriving.sequence, self.highest) <= -MAX_BEHIND
    }
}

#[cfg(test)]
mod tests;
