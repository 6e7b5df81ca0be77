//! The numbers that one receiver sees on the packets of a stream of pictures.
//!
//! What the server leaves out is no gap in them, so that nobody asks for it. A packet that never reached the server is a gap:
//! it may come yet.
//!
//! ```text
//! publisher's   10 11 12  –  14 15 16 17 20 21     12 to 17 left out, 13 lost before the server
//! receiver's    10 11                    12 13
//! ```

use alloc::collections::VecDeque;

use crate::rtp::sequence_difference;

/// Most runs that are remembered: packets of older ones can neither be repaired nor come late. A picture that is left out ends
/// one, so these are a second of a camera.
const MAX_RUNS: usize = 32;
/// The longest run: numbers of one are compared with its first, which half the range away would look like later ones.
const MAX_RUN: u16 = 8_192;
/// A packet so far behind the newest is of a publisher that has begun its numbers anew.
const JUMP: i16 = -1_024;

/// Packets whose numbers differ from their publisher's by the same.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The publisher's number of the first one.
    first: u16,
    /// The receiver's number of the first one.
    number: u16,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    runs: VecDeque<Run>,
    /// The publisher's number of the newest packet.
    highest: u16,
    /// The receiver's highest number that was sent.
    sent: Option<u16>,
    /// Something was left out since the newest packet.
    left_out: bool,
}

impl Numbers {
    /// The receiver's number of the packet `sequence`; `None` if it comes too late to have one.
    pub(crate) fn number(&mut self, sequence: u16) -> Option<u16> {
        let Some(newest) = self.runs.back().copied() else {
            let number = self.sent.map_or(sequence, |sent| sent.wrapping_add(1));
            self.begin(sequence, number);
            return Some(number);
        };
        if sequence_difference(sequence, self.highest) <= 0 {
            return self.earlier(sequence);
        }
        let of_run = |sequence: u16| {
            let ahead = sequence.wrapping_sub(newest.first);
            newest.number.wrapping_add(ahead)
        };
        if self.left_out {
            let number = of_run(self.highest).wrapping_add(1);
            self.begin(sequence, number);
            return Some(number);
        }
        let number = of_run(sequence);
        if sequence.wrapping_sub(newest.first) >= MAX_RUN {
            self.begin(sequence, number);
        }
        self.highest = sequence;
        Some(number)
    }

    /// A packet with which a receiver can begin, after all before it were left out: whether it is to be numbered. One that came
    /// before is not, and one that lies far behind is of numbers that have begun anew.
    pub(crate) fn begins_with(&mut self, sequence: u16) -> bool {
        let Some(newest) = self.runs.back().copied() else {
            return true;
        };
        match sequence_difference(sequence, self.highest) {
            JUMP..=0 => false,
            1.. => true,
            _ => {
                let last = newest
                    .number
                    .wrapping_add(self.highest.wrapping_sub(newest.first));
                self.runs.clear();
                self.sent = Some(last);
                true
            }
        }
    }

    fn begin(&mut self, sequence: u16, number: u16) {
        if self.runs.len() >= MAX_RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(Run {
            first: sequence,
            number,
        });
        self.highest = sequence;
        self.left_out = false;
    }

    /// The number of a packet that is not newer than the newest.
    fn earlier(&self, sequence: u16) -> Option<u16> {
        let mut behind = None;
        for run in self.runs.iter().rev() {
            if let Ok(ahead) = u16::try_from(sequence_difference(sequence, run.first)) {
                let number = run.number.wrapping_add(ahead);
                let is_of_run = behind.is_none_or(|next| sequence_difference(number, next) < 0);
                return is_of_run.then_some(number);
            }
            behind = Some(run.number);
        }
        None
    }

    /// The publisher's number of what the receiver knows as `number`; `None` if it was never sent, or too long ago.
    pub(crate) fn original(&self, number: u16) -> Option<u16> {
        let sent = self.sent?;
        if sequence_difference(number, sent) > 0 {
            return None;
        }
        self.runs.iter().rev().find_map(|run| {
            let ahead = u16::try_from(sequence_difference(number, run.number)).ok()?;
            Some(run.first.wrapping_add(ahead))
        })
    }

    /// A packet is sent, under this number.
    pub(crate) fn sent(&mut self, number: u16) {
        let is_newer = |sent| sequence_difference(number, sent) > 0;
        if self.sent.is_none_or(is_newer) {
            self.sent = Some(number);
        }
    }

    /// The packet that would have come next is left out, and all up to the next that is numbered.
    pub(crate) fn leave_out(&mut self) {
        self.left_out = true;
    }

    /// Leaves out this packet and no other: those before it that have not come yet stay gaps. False if the receiver knows its
    /// number, so that it has to come.
    pub(crate) fn leave_out_one(&mut self, sequence: u16) -> bool {
        let newest = self.runs.back().copied().filter(|_| !self.left_out);
        let Some(newest) = newest else {
            self.left_out = true;
            return true;
        };
        if sequence_difference(sequence, self.highest) <= 0 {
            return self.earlier(sequence).is_none();
        }
        // The next one gets the number that this one would have had.
        let number = newest
            .number
            .wrapping_add(sequence.wrapping_sub(newest.first));
        let next = sequence.wrapping_add(1);
        if newest.first == sequence {
            self.runs.pop_back();
        }
        self.begin(next, number);
        self.highest = sequence;
        true
    }

    /// All packets that have numbers and are not sent are left out, but for those up to `kept`.
    pub(crate) fn rewind(&mut self, kept: Option<u16>) {
        // What is kept may have come late, after higher ones were sent.
        let is_sent = |kept: &u16| {
            let ahead = |sent| sequence_difference(*kept, sent);
            self.sent.is_some_and(|sent| ahead(sent) <= 0)
        };
        let Some(sent) = kept.filter(|kept| !is_sent(kept)).or(self.sent) else {
            self.runs.clear();
            return;
        };
        while let Some(run) = self.runs.back()
            && sequence_difference(run.number, sent) > 0
        {
            self.runs.pop_back();
        }
        if let Some(run) = self.runs.back() {
            let ahead = sent.wrapping_sub(run.number);
            self.highest = run.first.wrapping_add(ahead);
            self.left_out = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn sent(numbers: &mut Numbers, sequence: u16) -> Option<u16> {
        let number = numbers.number(sequence)?;
        numbers.sent(number);
        Some(number)
    }

    #[test]
    fn what_is_left_out_is_no_gap_and_what_is_lost_is_one() {
        let mut numbers = Numbers::default();
        assert_eq!(sent(&mut numbers, 65_534), Some(65_534));
        assert_eq!(sent(&mut numbers, 65_535), Some(65_535));
        numbers.leave_out();
        assert_eq!(sent(&mut numbers, 6), Some(0));
        assert_eq!(sent(&mut numbers, 8), Some(2));
        // Late, but no part of what was left out.
        assert_eq!(sent(&mut numbers, 7), Some(1));
        // Of what was left out, nothing is sent any more.
        assert_eq!(sent(&mut numbers, 3), None);
        for (number, original) in [(65_535, 65_535), (0, 6), (1, 7), (2, 8)] {
            assert_eq!(numbers.original(number), Some(original));
        }
        assert_eq!(numbers.original(3), None);
        assert_eq!(numbers.original(65_533), None);
    }

    #[test]
    fn numbers_that_were_never_sent_are_given_again() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.number(10), Some(10));
        numbers.rewind(None);
        assert_eq!(sent(&mut numbers, 20), Some(20));
        assert_eq!(numbers.number(21), Some(21));
        numbers.leave_out();
        assert_eq!(numbers.number(30), Some(22));
        numbers.rewind(None);
        assert_eq!(sent(&mut numbers, 40), Some(21));
        assert_eq!(sent(&mut numbers, 21), None);
        assert_eq!(numbers.original(21), Some(40));
    }

    #[test]
    fn a_number_that_was_sent_is_not_given_again_when_a_late_packet_is_kept() {
        let mut numbers = Numbers::default();
        assert_eq!(sent(&mut numbers, 10), Some(10));
        assert_eq!(sent(&mut numbers, 12), Some(12));
        assert_eq!(numbers.number(11), Some(11));
        assert_eq!(numbers.number(13), Some(13));
        numbers.rewind(Some(11));
        assert_eq!(sent(&mut numbers, 20), Some(13));
        assert_eq!(numbers.original(12), Some(12));
    }

    #[test]
    fn a_packet_left_out_is_no_gap_and_one_that_may_come_stays_one() {
        let mut numbers = Numbers::default();
        assert_eq!(sent(&mut numbers, 10), Some(10));
        assert_eq!(sent(&mut numbers, 11), Some(11));
        assert!(numbers.leave_out_one(12));
        // 13 has not come.
        assert!(numbers.leave_out_one(14));
        assert!(numbers.leave_out_one(15));
        assert_eq!(sent(&mut numbers, 16), Some(13));
        assert!(!numbers.leave_out_one(13), "its number is known");
        assert_eq!(sent(&mut numbers, 13), Some(12));
        assert!(numbers.leave_out_one(12), "it comes twice");
        assert_eq!(numbers.number(14), None);
        assert_eq!(numbers.original(12), Some(13));
        assert_eq!(numbers.original(13), Some(16));
        // What waits is given up, but for the first.
        assert_eq!(numbers.number(17), Some(14));
        assert!(numbers.leave_out_one(18));
        assert_eq!(numbers.number(19), Some(15));
        numbers.rewind(Some(14));
        assert_eq!(sent(&mut numbers, 30), Some(15));
        assert_eq!(numbers.original(14), Some(17));
    }

    #[test]
    fn a_run_never_ends() {
        let mut numbers = Numbers::default();
        for packet in 0..200_000_u32 {
            let sequence = 65_000_u16.wrapping_add(packet as u16);
            assert_eq!(sent(&mut numbers, sequence), Some(sequence));
            let before = sequence.wrapping_sub(1_000);
            if packet >= 1_000 {
                assert_eq!(numbers.original(before), Some(before), "{packet}");
                assert_eq!(numbers.number(before), Some(before), "{packet}");
            }
        }
    }

    #[test]
    fn a_receiver_begins_with_what_is_new() {
        let mut numbers = Numbers::default();
        assert!(numbers.begins_with(10));
        assert_eq!(sent(&mut numbers, 10), Some(10));
        assert_eq!(sent(&mut numbers, 11), Some(11));
        numbers.leave_out();
        assert!(!numbers.begins_with(10), "it came before");
        assert!(numbers.begins_with(20));
        // A publisher that begins its numbers anew.
        assert!(numbers.begins_with(50_000));
        assert_eq!(sent(&mut numbers, 50_000), Some(12));
        assert_eq!(numbers.original(12), Some(50_000));
    }

    #[test]
    fn a_publisher_that_begins_anew_takes_no_numbers_of_packets_that_wait() {
        let mut numbers = Numbers::default();
        assert_eq!(sent(&mut numbers, 10), Some(10));
        assert_eq!(numbers.number(11), Some(11), "it waits");
        numbers.leave_out();
        assert!(numbers.begins_with(50_000));
        assert_eq!(numbers.number(50_000), Some(12));
    }

    proptest! {
        /// Whatever is left out, lost, late and thrown away unsent: numbers that are sent go on by one where nothing was lost,
        /// none is given to two packets, and each leads back to its packet.
        #[test]
        fn each_number_is_of_one_packet(
            first: u16,
            steps in prop::collection::vec((0u8..8, 1u16..30), 1..100),
        ) {
            let mut numbers = Numbers::default();
            let mut next = first;
            let mut late: Vec<u16> = Vec::new();
            let mut queue: VecDeque<(u16, u16)> = VecDeque::new();
            let mut all = BTreeMap::new();
            for (step, count) in steps {
                match step {
                    0 => {
                        numbers.leave_out();
                        next = next.wrapping_add(count);
                    }
                    1 => {
                        late.push(next);
                        next = next.wrapping_add(1);
                    }
                    4 => for _ in 0..count % 4 {
                        numbers.leave_out_one(next);
                        next = next.wrapping_add(1);
                    },
                    2 => {
                        numbers.rewind(None);
                        queue.clear();
                    }
                    3 => if let Some(late) = late.pop()
                        && let Some(number) = numbers.number(late) {
                        queue.push_back((late, number));
                    },
                    _ => for _ in 0..count {
                        let number = numbers.number(next);
                        prop_assert!(number.is_some());
                        queue.extend(number.map(|number| (next, number)));
                        next = next.wrapping_add(1);
                    },
                }
                let some = queue.len().min(usize::from(count));
                for (sequence, number) in queue.drain(..some) {
                    numbers.sent(number);
                    prop_assert_eq!(all.insert(number, sequence), None, "{} again", number);
                }
            }
            for (number, sequence) in &all {
                if let Some(original) = numbers.original(*number) {
                    prop_assert_eq!(original, *sequence);
                }
            }
            if let Some((number, sequence)) = numbers.sent.and_then(|sent| all.get_key_value(&sent)) {
                prop_assert_eq!(numbers.original(*number), Some(*sequence));
            }
        }
    }
}
