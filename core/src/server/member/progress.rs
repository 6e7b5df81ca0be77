//! How far a publisher's stream has come, for all its receivers.
//!
//! A slot knows a stream's order only while the stream has the slot. A packet from an earlier turn, held back on the
//! way, would be heard as new. So a stream gets a slot only with a packet that is newer than all before it.

use crate::rtp::sequence_difference;

use super::slots::MAX_AHEAD;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Progress {
    highest: Option<u16>,
    /// The number that, if it comes next, confirms a jump.
    jump: Option<u16>,
}

impl Progress {
    /// Takes in a packet; says whether it is newer than all before it. One that is far ahead may be damaged at its
    /// source: its successor tells.
    pub(crate) fn is_newest(&mut self, sequence: u16) -> bool {
        let expected = self.jump.take();
        let ahead = self
            .highest
            .map_or(1, |highest| sequence_difference(sequence, highest));
        if ahead <= 0 {
            return false;
        }
        if ahead >= MAX_AHEAD && expected != Some(sequence) {
            self.jump = Some(sequence.wrapping_add(1));
            return false;
        }
        self.highest = Some(sequence);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_on_is_newest() {
        let mut progress = Progress::default();
        for (sequence, is_newest) in [
            (65_534, true),
            (65_534, false),
            (0, true),
            (65_535, false),
            (65_000, false),
            (2_999, true),
        ] {
            assert_eq!(progress.is_newest(sequence), is_newest, "{sequence}");
        }
    }

    #[test]
    fn a_jump_far_ahead_counts_once_it_is_confirmed() {
        let mut progress = Progress::default();
        for (sequence, is_newest) in [
            (10, true),
            (5_000, false),
            (11, true),
            (5_001, false),
            (5_002, true),
            (5_003, true),
            (12, false),
        ] {
            assert_eq!(progress.is_newest(sequence), is_newest, "{sequence}");
        }
    }
}
