//! How much of a stream of pictures one receiver gets: all, or only its lower temporal layers.
//!
//! A picture is sent whole or not at all, so a change takes effect with a new picture. To leave more out, any will do, since no
//! picture needs one of a higher temporal layer. To send a temporal layer again, a picture of layer 0 is waited for that
//! others will need: only from there on do all that the layer refers to come.

use alloc::collections::VecDeque;

use crate::rtp::{PictureTag, sequence_difference};

/// So many temporal layers are all.
pub(crate) const ALL: u8 = 4;

/// Pictures behind the newest of which is known whether they were sent. A packet is not repaired for so long.
const REMEMBERED: u16 = 1_024;
/// Changes that are remembered.
const MAX_CHANGES: usize = 8;

/// From a picture on, so many temporal layers are sent.
#[derive(Debug, Clone, Copy)]
struct Change {
    since: u16,
    layers: u8,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Thinning {
    /// Temporal layers that are to be sent.
    wanted: u8,
    /// In the order of their pictures. Before the first, all are sent.
    changes: VecDeque<Change>,
    /// The key picture with which the receiver has begun, unless that is long ago.
    begun: Option<u16>,
    newest: Option<u16>,
}

/// How far the picture `number` is behind `newest`, if it is.
fn behind(number: u16, newest: u16) -> u16 {
    u16::try_from(sequence_difference(newest, number)).unwrap_or(0)
}

impl Thinning {
    pub(crate) const fn new() -> Self {
        Self {
            wanted: ALL,
            changes: VecDeque::new(),
            begun: None,
            newest: None,
        }
    }

    /// Temporal layers that are to be sent; 0: nothing.
    pub(crate) const fn wanted(&self) -> u8 {
        self.wanted
    }

    pub(crate) fn set_wanted(&mut self, layers: u8) {
        self.wanted = layers.min(ALL);
    }

    /// Pictures before this key picture are not sent any more.
    pub(crate) fn restart(&mut self, tag: PictureTag) {
        self.change(tag.number);
        self.begun = Some(tag.number);
        self.newest = Some(tag.number);
    }

    /// Whether a packet that comes now is to be sent.
    pub(crate) fn passes(&mut self, tag: PictureTag) -> bool {
        let is_new = |newest| sequence_difference(tag.number, newest) > 0;
        if self.newest.is_none_or(is_new) {
            self.newest = Some(tag.number);
            self.forget(tag.number);
            let current = self.changes.back().map_or(ALL, |change| change.layers);
            let can_rise = tag.temporal_layer == 0 && !tag.discardable;
            if self.wanted < current || self.wanted > current && can_rise {
                self.change(tag.number);
            }
        }
        let is_before = |begun| sequence_difference(tag.number, begun) < 0;
        !self.begun.is_some_and(is_before) && self.is_sent(tag)
    }

    /// Whether a picture is one of those that are sent.
    pub(crate) fn is_sent(&self, tag: PictureTag) -> bool {
        let has_begun = |change: &&Change| sequence_difference(tag.number, change.since) >= 0;
        let change = self.changes.iter().rev().find(has_begun);
        tag.temporal_layer < change.map_or(ALL, |change| change.layers)
    }

    fn change(&mut self, since: u16) {
        if self.changes.len() >= MAX_CHANGES {
            self.changes.pop_front();
        }
        let layers = self.wanted;
        self.changes.push_back(Change { since, layers });
    }

    /// What is long ago must not look new when the numbers have come halfway round.
    fn forget(&mut self, newest: u16) {
        while let Some(next) = self.changes.get(1)
            && behind(next.since, newest) > REMEMBERED
        {
            self.changes.pop_front();
        }
        if let Some(first) = self.changes.front_mut()
            && behind(first.since, newest) > REMEMBERED
        {
            first.since = newest.wrapping_sub(REMEMBERED);
        }
        self.begun
            .take_if(|begun| behind(*begun, newest) > REMEMBERED);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// The temporal layers of L1T3.
    const PATTERN: [u8; 4] = [0, 2, 1, 2];

    fn tag(number: u16) -> PictureTag {
        let temporal_layer = PATTERN[usize::from(number % 4)];
        PictureTag {
            first: true,
            key: false,
            discardable: temporal_layer == 2,
            temporal_layer,
            layer: 0,
            number,
        }
    }

    fn passed(thinning: &mut Thinning, numbers: core::ops::Range<u16>) -> Vec<u16> {
        numbers
            .filter(|number| thinning.passes(tag(*number)))
            .collect()
    }

    #[test]
    fn less_is_sent_at_once_and_more_from_a_picture_that_all_refer_to() {
        let mut thinning = Thinning::new();
        assert_eq!(passed(&mut thinning, 0..3), [0, 1, 2]);
        thinning.set_wanted(1);
        assert_eq!(passed(&mut thinning, 3..10), [4, 8]);
        thinning.set_wanted(2);
        assert_eq!(passed(&mut thinning, 10..16), [12, 14]);
        thinning.set_wanted(ALL);
        assert_eq!(passed(&mut thinning, 16..19), [16, 17, 18]);
    }

    #[test]
    fn a_picture_is_sent_whole_or_not_at_all_also_when_its_packets_come_late() {
        let mut thinning = Thinning::new();
        assert_eq!(passed(&mut thinning, 0..2), [0, 1]);
        thinning.set_wanted(1);
        assert!(thinning.passes(tag(1)), "it has begun");
        assert!(!thinning.passes(tag(2)));
        assert!(thinning.passes(tag(1)), "it came late");
        thinning.set_wanted(ALL);
        assert!(!thinning.passes(tag(2)), "it has been left out");
        assert!(!thinning.passes(tag(3)));
        assert_eq!(passed(&mut thinning, 4..8), [4, 5, 6, 7]);
        assert!(!thinning.passes(tag(3)), "it has been left out");
    }

    #[test]
    fn a_picture_long_ago_does_not_look_new_when_the_numbers_come_round() {
        let mut thinning = Thinning::new();
        thinning.restart(tag(8));
        let numbers = || (9..200_000_u32).map(|number| tag(number as u16));
        assert!(numbers().all(|tag| thinning.passes(tag)));
        thinning.set_wanted(1);
        let only_base = |tag: PictureTag| thinning.passes(tag) == (tag.temporal_layer == 0);
        assert!(numbers().skip(200_000 % 65_536 - 9).all(only_base));
    }

    #[test]
    fn what_was_sent_is_known_for_repairs() {
        let mut thinning = Thinning::new();
        thinning.restart(tag(0));
        for (layers, numbers) in [(1, 1..8), (2, 8..20), (ALL, 20..30)] {
            thinning.set_wanted(layers);
            passed(&mut thinning, numbers);
        }
        let known = |numbers: core::ops::Range<u16>| {
            let sent = numbers.filter(|number| thinning.is_sent(tag(*number)));
            sent.collect::<Vec<_>>()
        };
        assert_eq!(known(0..22), [0, 4, 8, 10, 12, 14, 16, 18, 20, 21]);
    }

    #[test]
    fn nothing_is_sent_before_the_key_picture_to_begin_with() {
        let mut thinning = Thinning::new();
        thinning.set_wanted(2);
        thinning.restart(tag(8));
        assert_eq!(passed(&mut thinning, 6..13), [8, 10, 12]);
    }
}
