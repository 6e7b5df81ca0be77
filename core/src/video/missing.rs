//! Which packets of a flow are missing, and when to ask for them.

use super::feedback::{REPAIR_PATIENCE, UNKNOWN_ROUND_TRIP};
use crate::rtp::SequenceUnwrapper;
use crate::time::{Duration, Instant, earlier};
use crate::wire::LostList;

/// Most packets that are known as missing. Of more, the newest count.
const MAX_MISSING: usize = 128;
/// So many numbers behind the highest, a packet is not late: the flow has begun anew.
const MAX_BEHIND: u64 = 1_024;
/// How long a packet is waited for at least before it is asked for: packets overtake each other.
const MIN_REORDERING: Duration = Duration::from_millis(5);
/// And at most.
const MAX_REORDERING: Duration = Duration::from_millis(40);
/// How long to wait for a packet that nothing else needs, if it can be repaired in that time.
#[cfg(feature = "client")]
const UNNEEDED_PATIENCE: Duration = Duration::from_millis(120);
/// How much longer than a round trip an answer takes.
const ANSWER_TIME: Duration = Duration::from_millis(5);
/// The least time from one question to the next about the same packet.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
struct Gap {
    number: u64,
    since: Instant,
    /// When to ask, or to ask again.
    due: Instant,
    asked: Option<Instant>,
}

/// See the [module](self). A number counts as missing as soon as a higher one came.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    sequences: SequenceUnwrapper,
    highest: Option<u64>,
    /// The packet before this one had this number, which was too old.
    too_old: Option<u64>,
    /// In the order of their numbers.
    gaps: heapless::Vec<Gap, MAX_MISSING>,
    /// How late packets come that come by themselves.
    reordering: Duration,
    round_trip: Duration,
}

impl Missing {
    pub(crate) const fn new() -> Self {
        Self {
            sequences: SequenceUnwrapper::new(),
            highest: None,
            too_old: None,
            gaps: heapless::Vec::new(),
            reordering: Duration::ZERO,
            round_trip: UNKNOWN_ROUND_TRIP,
        }
    }

    /// Takes in that a packet came.
    pub(crate) fn handle_packet(&mut self, now: Instant, sequence: u16) {
        let number = self.sequences.extend(sequence);
        let before = self.too_old.take();
        let Some(highest) = self.highest else {
            self.highest = Some(number);
            return;
        };
        if highest.saturating_sub(number) > MAX_BEHIND {
            if before.is_some_and(|before| before + 1 == number) {
                self.gaps.clear();
                self.sequences.restart();
                self.highest = Some(self.sequences.extend(sequence));
            } else {
                self.too_old = Some(number);
            }
            return;
        }
        if number <= highest {
            self.fill(now, number);
            return;
        }
        self.highest = Some(number);
        let mut first = number.saturating_sub(MAX_MISSING as u64).max(highest + 1);
        if number - first == MAX_MISSING as u64 {
            self.gaps.clear();
        }
        if let Some(expected) = self.gaps.last().filter(|gap| gap.number > highest) {
            if expected.number == number {
                self.gaps.pop();
            } else {
                first = first.max(highest + 2);
            }
        }
        for number in first..number {
            if self.gaps.is_full() {
                self.gaps.remove(0);
            }
            // There is a place.
            let _ = self.gaps.push(Gap {
                number,
                since: now,
                due: now + self.patience(),
                asked: None,
            });
        }
    }

    /// The packet behind the highest one should have come by now.
    #[cfg(feature = "client")]
    pub(crate) fn expect_next(&mut self, now: Instant) {
        let next = self.highest.map(|highest| highest + 1);
        let is_known = self.gaps.last().map(|gap| gap.number) == next;
        if let Some(number) = next.filter(|_| !is_known && !self.gaps.is_full()) {
            let _ = self.gaps.push(Gap {
                number,
                since: now,
                due: now,
                asked: None,
            });
        }
    }

    /// Since when this packet is missing.
    #[cfg(feature = "client")]
    pub(crate) fn since(&self, sequence: u16) -> Option<Instant> {
        let mut gaps = self.gaps.iter();
        let gap = gaps.find(|gap| gap.number as u16 == sequence)?;
        Some(gap.since)
    }

    fn fill(&mut self, now: Instant, number: u64) {
        let Ok(at) = self.gaps.binary_search_by_key(&number, |gap| gap.number) else {
            return;
        };
        let gap = self.gaps.remove(at);
        // Too soon after the question for an answer to it: it came by itself.
        let by_itself = gap
            .asked
            .is_none_or(|asked| now.saturating_duration_since(asked) < self.round_trip / 2);
        let less = self.reordering.saturating_sub(self.reordering / 8);
        self.reordering = if by_itself {
            let late = now.saturating_duration_since(gap.since);
            late.min(MAX_REORDERING).max(less)
        } else {
            less
        };
    }

    /// The round-trip time of the last poll.
    #[cfg(feature = "client")]
    pub(crate) const fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// How long a missing packet may still come by itself.
    fn patience(&self) -> Duration {
        self.reordering.max(MIN_REORDERING)
    }

    /// How long to wait for a missing packet that nothing else needs.
    #[cfg(feature = "client")]
    pub(crate) fn unneeded_patience(&self) -> Duration {
        let repair = self.patience() + self.round_trip + ANSWER_TIME;
        match repair <= UNNEEDED_PATIENCE {
            true => UNNEEDED_PATIENCE,
            false => self.patience(),
        }
    }

    /// The packets to ask for now; empty if there are none. Call it until then: a list has room for 16 packets that lie far apart.
    /// `round_trip` is that to the one who is asked, as far as known.
    pub(crate) fn poll(&mut self, now: Instant, round_trip: Option<Duration>) -> LostList {
        self.round_trip = round_trip.unwrap_or(UNKNOWN_ROUND_TRIP);
        self.gaps
            .retain(|gap| now.saturating_duration_since(gap.since) < REPAIR_PATIENCE);
        let again = now + MIN_INTERVAL.max(self.round_trip + ANSWER_TIME);
        let mut list = LostList::new();
        for gap in self.gaps.iter_mut().filter(|gap| gap.due <= now) {
            // The truncation is the point: the low bits are what the wire carries.
            if !list.push(gap.number as u16) {
                break;
            }
            gap.due = again;
            gap.asked = Some(now);
        }
        list
    }

    /// When to call [`poll`](Self::poll).
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.gaps
            .iter()
            .map(|gap| Some(gap.due))
            .fold(None, earlier)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000 * ms)
    }

    const ROUND_TRIP: Option<Duration> = Some(Duration::from_millis(40));

    fn poll(missing: &mut Missing, ms: u64) -> Vec<u16> {
        let list = missing.poll(at(ms), ROUND_TRIP);
        let lost = list.as_lost();
        lost.map_or_else(Vec::new, |lost| lost.numbers().collect())
    }

    #[test]
    fn a_gap_is_asked_for_after_five_ms_and_after_each_round_trip_until_it_is_too_late() {
        let mut missing = Missing::new();
        missing.handle_packet(at(0), 65_534);
        assert_eq!(missing.poll_timeout(), None);
        missing.handle_packet(at(0), 1);
        assert_eq!(missing.poll_timeout(), Some(at(5)));
        assert!(poll(&mut missing, 4).is_empty());
        let mut asked = Vec::new();
        for ms in 0..1_000 {
            if !poll(&mut missing, ms).is_empty() {
                asked.push(ms);
            }
        }
        assert_eq!(asked, [5, 50, 95, 140, 185, 230, 275, 320, 365, 410]);
        assert_eq!(missing.poll_timeout(), None);
    }

    #[test]
    fn what_came_is_not_asked_for() {
        let mut missing = Missing::new();
        for sequence in [65_534, 1, 65_535] {
            missing.handle_packet(at(0), sequence);
        }
        assert_eq!(poll(&mut missing, 5), [0]);
        missing.handle_packet(at(50), 0);
        assert!(poll(&mut missing, 60).is_empty());
        // Nor is it once more, if it comes twice.
        missing.handle_packet(at(61), 0);
        assert_eq!(missing.poll_timeout(), None);
    }

    #[test]
    fn packets_that_come_late_by_themselves_are_waited_for() {
        let mut missing = Missing::new();
        missing.handle_packet(at(0), 1);
        missing.handle_packet(at(0), 3);
        assert_eq!(poll(&mut missing, 5), [2]);
        // Ten ms after the question no answer can be there.
        missing.handle_packet(at(15), 2);
        missing.handle_packet(at(20), 5);
        assert!(poll(&mut missing, 34).is_empty());
        assert_eq!(poll(&mut missing, 35), [4]);
        // This one is an answer.
        missing.handle_packet(at(80), 4);
        missing.handle_packet(at(80), 7);
        assert_eq!(poll(&mut missing, 94), [6]);
    }

    #[test]
    fn a_flow_that_begins_anew_is_followed() {
        let mut missing = Missing::new();
        missing.handle_packet(at(0), 40_000);
        missing.handle_packet(at(0), 20_000);
        assert_eq!(missing.poll_timeout(), None);
        missing.handle_packet(at(0), 20_001);
        missing.handle_packet(at(0), 20_003);
        assert_eq!(poll(&mut missing, 5), [20_002]);
    }

    #[test]
    fn the_next_packet_can_be_asked_for_before_a_higher_one_comes() {
        let mut missing = Missing::new();
        missing.expect_next(at(0));
        assert_eq!(missing.poll_timeout(), None);
        missing.handle_packet(at(0), 65_535);
        missing.expect_next(at(50));
        missing.expect_next(at(51));
        assert_eq!(poll(&mut missing, 51), [0]);
        missing.handle_packet(at(90), 0);
        assert_eq!(missing.poll_timeout(), None);
        missing.expect_next(at(100));
        missing.handle_packet(at(101), 3);
        assert_eq!(poll(&mut missing, 106), [1, 2]);
    }

    #[test]
    fn of_a_jump_only_the_newest_are_asked_for() {
        let mut missing = Missing::new();
        missing.handle_packet(at(0), 0);
        missing.handle_packet(at(0), 20_000);
        let mut all = Vec::new();
        loop {
            let some = poll(&mut missing, 5);
            if some.is_empty() {
                break;
            }
            all.extend(some);
        }
        assert!(all.into_iter().eq(20_000 - MAX_MISSING as u16..20_000));
    }

    proptest! {
        /// Whatever comes, it is asked for what did not come, and each number at most once in a round trip.
        #[test]
        fn only_missing_numbers_are_asked_for(
            first: u16,
            steps in prop::collection::vec((0u64..30, -20i16..30), 1..100),
        ) {
            let mut missing = Missing::new();
            let (mut ms, mut number) = (0, i64::from(first));
            let mut highest = number;
            let mut came = BTreeSet::new();
            let mut asked = BTreeMap::new();
            for (wait, step) in steps {
                ms += wait;
                number = (number + i64::from(step)).max(i64::from(first));
                highest = highest.max(number);
                came.insert(number as u16);
                missing.handle_packet(at(ms), number as u16);
                for sequence in poll(&mut missing, ms) {
                    prop_assert!(!came.contains(&sequence));
                    prop_assert!((highest as u16).wrapping_sub(sequence) < 0x8000);
                    let before = asked.insert(sequence, ms);
                    prop_assert!(before.is_none_or(|then| then + 45 <= ms));
                }
            }
        }
    }
}
