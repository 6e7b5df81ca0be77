//! One stream's frames, followed through the slots and numbered as one flow.
//!
//! A slot numbers its packets on from one stream to the next, and a stream may come back in another slot. A decoder
//! of one stream needs numbers that go on where the stream did:
//!
//! ```text
//! slot 0    A 5  A 6  B 7  B 8  A 9
//! slot 1                             A 3  A 4
//! A alone   1    2              3    4    5     timestamps: over a change, the time elapsed
//! ```

use crate::time::{Duration, Instant, micros};

/// A slot whose numbers jump by this much has begun anew: a [`Depacketizer`](crate::rtp::Depacketizer) makes them jump further.
const JUMP: u64 = 3_000;
/// Ticks of a slot's clock in a ms.
const TICKS_PER_MS: u64 = 48;

/// Numbers the frames of one stream; see the [module's picture](super).
///
/// ```
/// use parlour_core::audio::Follower;
/// use parlour_core::time::{Duration, Instant};
///
/// let mut now = Instant::from_micros(0);
/// let mut anna = Follower::new();
/// let first = anna.place(now, 0, 5, 9_600, 960).unwrap();
/// now += Duration::from_millis(20);
/// anna.other(0, 6); // the slot is somebody else's
/// now += Duration::from_millis(20);
/// let next = anna.place(now, 1, 333, 0, 960).unwrap();
/// assert_eq!(next.sequence, first.sequence + 1);
/// assert_eq!(next.timestamp, first.timestamp + 2 * 960);
/// assert!(next.begins);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Follower {
    turn: Option<Turn>,
    /// The slot that it was in before, and the highest number that it had there.
    left: Option<(u8, u64)>,
    /// The first number of the next turn, and the least timestamp.
    sequence: u64,
    timestamp: u64,
}

/// A stream's stay in a slot.
#[derive(Debug, Clone, Copy)]
struct Turn {
    slot: u8,
    /// The first frame, as it came and as it was placed.
    from: (u64, u64),
    to: (u64, u64),
    highest: u64,
    /// Its timestamp as it was placed, and when it came.
    last: (u64, Instant),
    /// The number of the first frame of whoever has the slot now.
    ended: Option<u64>,
}

/// A frame's place in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Place {
    /// One more than the frame before; a gap is a loss.
    pub sequence: u64,
    /// Of the first sample, at 48 kHz.
    pub timestamp: u64,
    /// Whether a turn begins: the frames before it were not lost, but not sent to this end.
    pub begins: bool,
}

impl Follower {
    /// For a stream that was not heard yet.
    pub const fn new() -> Self {
        Self {
            turn: None,
            left: None,
            sequence: 0,
            timestamp: 0,
        }
    }

    /// Places a frame of the stream that came at `now` in `slot`, numbered as there and of such a duration. `None` if it is
    /// from before the stream's present turn.
    pub fn place(
        &mut self,
        now: Instant,
        slot: u8,
        sequence: u64,
        timestamp: u64,
        duration: u32,
    ) -> Option<Place> {
        let is_of_turn = self.turn.is_some_and(|turn| turn.has(slot, sequence));
        if !is_of_turn {
            self.begin(now, slot, sequence, timestamp)?;
        }
        let turn = self.turn.as_mut()?;
        let elapsed = sequence.checked_sub(turn.from.0)?;
        let place = Place {
            sequence: turn.to.0.saturating_add(elapsed),
            timestamp: turn
                .to
                .1
                .saturating_add_signed(timestamp.wrapping_sub(turn.from.1).cast_signed()),
            begins: !is_of_turn,
        };
        if sequence >= turn.highest {
            turn.highest = sequence;
            turn.last = (place.timestamp, now);
        }
        self.sequence = self.sequence.max(place.sequence.saturating_add(1));
        let end = place.timestamp.saturating_add(duration.into());
        self.timestamp = self.timestamp.max(end);
        Some(place)
    }

    /// Notes that `slot` had another stream's frame with this number: the turn there is over.
    pub fn other(&mut self, slot: u8, sequence: u64) {
        if let Some(turn) = &mut self.turn
            && turn.slot == slot
            && sequence > turn.highest
        {
            turn.ended = Some(turn.ended.map_or(sequence, |ended| ended.min(sequence)));
        }
    }

    fn begin(&mut self, now: Instant, slot: u8, sequence: u64, timestamp: u64) -> Option<()> {
        let is_old = |(left, highest): (u8, u64)| {
            left == slot && sequence <= highest && highest - sequence < JUMP
        };
        if self.left.is_some_and(is_old) {
            return None;
        }
        let elapsed = self.turn.map(|turn| {
            let (last, came) = turn.last;
            last.saturating_add(ticks(now.saturating_duration_since(came)))
        });
        self.left = self.turn.map(|turn| (turn.slot, turn.highest));
        let to = (self.sequence, self.timestamp.max(elapsed.unwrap_or(0)));
        self.turn = Some(Turn {
            slot,
            from: (sequence, timestamp),
            to,
            highest: sequence,
            last: (to.1, now),
            ended: None,
        });
        Some(())
    }
}

impl Turn {
    fn has(&self, slot: u8, sequence: u64) -> bool {
        self.slot == slot
            && self.highest.abs_diff(sequence) < JUMP
            && self.ended.is_none_or(|ended| sequence < ended)
    }
}

fn ticks(elapsed: Duration) -> u64 {
    micros(elapsed).saturating_mul(TICKS_PER_MS) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn place(
        follower: &mut Follower,
        ms: u64,
        slot: u8,
        sequence: u64,
    ) -> Option<(u64, u64, bool)> {
        let placed = follower.place(at(ms), slot, sequence, sequence * 960, 960);
        placed.map(|place| (place.sequence, place.timestamp, place.begins))
    }

    #[test]
    fn loss_and_pauses_within_a_turn_stay_what_they_are() {
        let mut follower = Follower::new();
        assert_eq!(place(&mut follower, 0, 2, 100), Some((0, 0, true)));
        assert_eq!(place(&mut follower, 20, 2, 101), Some((1, 960, false)));
        assert_eq!(place(&mut follower, 60, 2, 103), Some((3, 2_880, false)));
        // Late, but of this turn.
        assert_eq!(place(&mut follower, 61, 2, 102), Some((2, 1_920, false)));
        // A pause: the next number, a second later.
        let paused = follower.place(at(1_060), 2, 104, 103 * 960 + 48_000, 960);
        assert_eq!(paused.unwrap().sequence, 4);
        assert_eq!(paused.unwrap().timestamp, 2_880 + 48_000);
    }

    #[test]
    fn a_turn_of_another_is_no_loss() {
        let mut follower = Follower::new();
        place(&mut follower, 0, 0, 10).unwrap();
        for other in 11..50 {
            follower.other(0, other);
        }
        // Frames on their way when the turn ended belong to the old turn or are too late.
        assert_eq!(place(&mut follower, 800, 0, 50), Some((1, 38_400, true)));
        assert_eq!(place(&mut follower, 801, 0, 10), None);
        // To another slot and back.
        assert_eq!(place(&mut follower, 820, 1, 7), Some((2, 39_360, true)));
        assert_eq!(place(&mut follower, 821, 0, 49), None);
        assert_eq!(place(&mut follower, 840, 0, 51), Some((3, 40_320, true)));
    }

    #[test]
    fn a_slot_that_begins_anew_is_followed() {
        let mut follower = Follower::new();
        place(&mut follower, 0, 0, 50_000).unwrap();
        assert_eq!(place(&mut follower, 20, 0, 12), Some((1, 960, true)));
        assert_eq!(place(&mut follower, 40, 0, 13), Some((2, 1_920, false)));
    }

    proptest! {
        #[test]
        fn in_order_frames_are_numbered_in_order_whatever_slots_they_take(
            steps in proptest::collection::vec((0_u8..3, any::<bool>(), 0_u64..200), 1..200),
        ) {
            let (mut follower, mut slots, mut ms) = (Follower::new(), [1_000_u64; 3], 0);
            let mut last: Option<(u64, u64)> = None;
            for (slot, is_other, pause) in steps {
                ms += 20 + pause;
                let next = &mut slots[usize::from(slot)];
                *next += 1;
                if is_other {
                    follower.other(slot, *next);
                    continue;
                }
                let placed = follower.place(at(ms), slot, *next, ms * 48, 960).unwrap();
                if let Some((sequence, timestamp)) = last {
                    prop_assert_eq!(placed.sequence, sequence + 1);
                    prop_assert!(placed.timestamp >= timestamp + 960);
                }
                last = Some((placed.sequence, placed.timestamp));
            }
        }

        #[test]
        fn nothing_panics(
            steps in proptest::collection::vec(
                (any::<bool>(), 0_u8..2, any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>()), 1..50),
        ) {
            let mut follower = Follower::new();
            for (is_other, slot, sequence, timestamp, duration, micros) in steps {
                if is_other {
                    follower.other(slot, sequence);
                } else {
                    follower.place(Instant::from_micros(micros), slot, sequence, timestamp, duration);
                }
            }
        }
    }
}
