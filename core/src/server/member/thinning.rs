//! How much of a stream of pictures one receiver gets: all, or only its lower temporal layers.
//!
//! A picture is sent whole or not at all, so a change takes effect with a new picture. To leave more out, any will do, since no
//! picture needs one of a higher temporal layer. To send a temporal layer again, a picture of layer 0 is waited for that
//! others will need: only from there on do all that the layer refers to come.

use crate::rtp::{PictureTag, sequence_difference};

/// So many temporal layers are all.
pub(crate) const ALL: u8 = 4;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Thinning {
    /// Temporal layers that are to be sent.
    wanted: u8,
    /// Those that are sent of the pictures from `since` on, and of those before.
    current: u8,
    before: u8,
    since: u16,
    newest: Option<u16>,
}

impl Thinning {
    pub(crate) const fn new() -> Self {
        Self {
            wanted: ALL,
            current: ALL,
            before: ALL,
            since: 0,
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
        self.current = self.wanted;
        self.before = 0;
        self.since = tag.number;
        self.newest = Some(tag.number);
    }

    /// Whether a packet is to be sent.
    pub(crate) fn passes(&mut self, tag: PictureTag) -> bool {
        let is_new = |newest| sequence_difference(tag.number, newest) > 0;
        if self.newest.is_none_or(is_new) {
            self.newest = Some(tag.number);
            let can_rise = tag.temporal_layer == 0 && !tag.discardable;
            if self.wanted < self.current || self.wanted > self.current && can_rise {
                self.before = self.current;
                self.current = self.wanted;
                self.since = tag.number;
            }
        }
        let layers = match sequence_difference(tag.number, self.since) {
            ..0 => self.before,
            _ => self.current,
        };
        tag.temporal_layer < layers
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
    fn nothing_is_sent_before_the_key_picture_to_begin_with() {
        let mut thinning = Thinning::new();
        thinning.set_wanted(2);
        thinning.restart(tag(8));
        assert_eq!(passed(&mut thinning, 6..13), [8, 10, 12]);
    }
}
