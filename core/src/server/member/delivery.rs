//! The sent packets of a slot's flow, to tell loss after the server from packets that never reached it.
//!
//! A receiver reports gaps in numbers. Those left by a talker's own losses are gaps, too, because its
//! jitter buffer must know of them, but they say nothing of the receiver's connection.
//!
//! ```text
//! numbers of the flow   12 13 14 15 16 17 18 19
//! sent                   x  x     x  x     x  x      6
//! received               x  x        x     x  x      5: one of six was lost, not three of eight
//! ```

use crate::rtp::{ReportBlock, sequence_difference};

/// So many numbers are looked back to: over ten seconds of 20 ms frames, or five reports.
const WINDOW: u16 = 512;
const WORD: u16 = 64;

/// One flow's latest numbers, and the receiver's last report of it.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// Bit `n % WINDOW` is set if `n` was sent.
    sent: [u64; (WINDOW / WORD) as usize],
    /// The highest one that was.
    newest: Option<u16>,
    /// Up to where the receiver has reported, and how many it had lost by then.
    reported: u16,
    lost: i32,
}

/// The fate of the packets between two reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) sent: u32,
    pub(crate) lost: u32,
}

impl Delivery {
    /// Takes in that packet number `sequence` is sent.
    pub(crate) fn sent(&mut self, sequence: u16) {
        let newest = *self.newest.get_or_insert_with(|| {
            self.reported = sequence.wrapping_sub(1);
            self.reported
        });
        if let Ok(ahead) = u16::try_from(sequence_difference(sequence, newest)) {
            // Those between were not sent, as far as is known.
            for back in 1..ahead.min(WINDOW) {
                self.set(sequence.wrapping_sub(back), false);
            }
            self.newest = Some(sequence);
        }
        let newest = self.newest.unwrap_or(sequence);
        if newest.wrapping_sub(sequence) < WINDOW {
            self.set(sequence, true);
        }
    }

    /// Processes the receiver's report. `None` if it gives no information: it covers no packets, packets that were
    /// never sent, or more packets than are remembered.
    pub(crate) fn report(&mut self, block: &ReportBlock) -> Option<Delivered> {
        // The high half counts wraps, which the receiver may have counted otherwise.
        let highest = block.highest_sequence as u16;
        let newest = self.newest?;
        let expected = u16::try_from(sequence_difference(highest, self.reported)).ok()?;
        if expected == 0 || sequence_difference(newest, highest) < 0 {
            return None;
        }
        let first = self.reported.wrapping_add(1);
        let lost = block.cumulative_lost.saturating_sub(self.lost);
        self.reported = highest;
        self.lost = block.cumulative_lost;
        if newest.wrapping_sub(first) >= WINDOW {
            return None;
        }
        let sent = (0..expected).filter(|step| self.get(first.wrapping_add(*step)));
        let sent = u32::try_from(sent.count()).ok()?;
        let received = i32::from(expected).saturating_sub(lost);
        let received = u32::try_from(received).unwrap_or(0);
        let lost = sent.saturating_sub(received);
        Some(Delivered { sent, lost })
    }

    fn set(&mut self, sequence: u16, sent: bool) {
        let place = sequence % WINDOW;
        if let Some(word) = self.sent.get_mut(usize::from(place / WORD)) {
            let bit = 1 << (place % WORD);
            *word = if sent { *word | bit } else { *word & !bit };
        }
    }

    fn get(&self, sequence: u16) -> bool {
        let place = sequence % WINDOW;
        let word = self.sent.get(usize::from(place / WORD));
        word.is_some_and(|word| word >> (place % WORD) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::ReceptionStats;
    use crate::time::Instant;

    proptest! {
        /// The test decides for each packet whether it reaches the server, and whether it reaches the receiver. Only
        /// the latter is counted, in each interval and from any first number.
        #[test]
        fn only_what_was_sent_can_get_lost(
            start in any::<u16>(),
            packets in prop::collection::vec((0u8..4, 0u8..4), 200..600),
            interval in 1usize..120,
        ) {
            let mut delivery = Delivery::default();
            let mut stats = ReceptionStats::new(1, 48_000);
            let now = Instant::from_micros(0);
            let (mut sent, mut lost) = (0, 0);
            let (mut open_sent, mut open_lost) = (0, 0);
            let mut begun = false;
            for (n, (up, down)) in packets.iter().enumerate() {
                let sequence = start.wrapping_add(n as u16);
                // The first one arrives, because nobody knows of packets lost before it.
                if *up > 0 || !begun {
                    delivery.sent(sequence);
                    open_sent += 1;
                    if *down > 0 || !begun {
                        stats.handle_packet(now, sequence, 0);
                        begun = true;
                        // Packets lost after the highest one count in the next interval.
                        sent += open_sent;
                        lost += open_lost;
                        (open_sent, open_lost) = (0, 0);
                    } else {
                        open_lost += 1;
                    }
                }
                if n % interval == interval - 1 {
                    let told = delivery.report(&stats.report_block(now).unwrap());
                    let expected = (sent > 0).then_some(Delivered { sent, lost });
                    prop_assert_eq!(told, expected);
                    (sent, lost) = (0, 0);
                }
            }
        }

        #[test]
        fn anything_is_survived(
            steps in prop::collection::vec((any::<u16>(), any::<u32>(), any::<i32>()), 0..100),
        ) {
            let mut delivery = Delivery::default();
            for (sequence, highest_sequence, cumulative_lost) in steps {
                delivery.sent(sequence);
                let block = ReportBlock { highest_sequence, cumulative_lost, ..ReportBlock::default() };
                if let Some(delivered) = delivery.report(&block) {
                    prop_assert!(delivered.lost <= delivered.sent);
                    prop_assert!(delivered.sent <= u32::from(WINDOW));
                }
            }
        }
    }
}
