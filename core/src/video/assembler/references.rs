//! Which pictures can be decoded after those that were given out.

use crate::room::Codec;
use crate::rtp::PictureTag;

/// The last packet that was passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passed {
    layer: u8,
    codec: Codec,
    number: u16,
    /// It was not the last one of its picture.
    is_open: bool,
}

/// What a decoder that has got all pictures given out still has for reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct References {
    /// Temporal layers below this number are whole since the last picture of temporal layer 0 that is not discardable. 0: a
    /// key picture is needed.
    whole: u8,
    last: Option<Passed>,
    /// Packets missing since then.
    missing: u64,
}

/// All temporal layers.
const ALL: u8 = 4;

impl References {
    pub(super) const fn new() -> Self {
        Self {
            whole: 0,
            last: None,
            missing: 0,
        }
    }

    /// Nothing can be decoded but a key picture.
    pub(super) const fn are_lost(&self) -> bool {
        self.whole == 0
    }

    /// Whether a picture can be decoded now.
    pub(super) const fn are_there(&self, tag: PictureTag) -> bool {
        tag.key || tag.temporal_layer < self.whole
    }

    /// Whether everything can be decoded that could be with `before`.
    pub(super) const fn loses_no_more_than(&self, before: &Self) -> bool {
        self.whole >= before.whole
    }

    /// So many packets are missing, and nobody waits for them any longer.
    pub(super) const fn missed(&mut self, packets: u64) {
        self.missing = self.missing.saturating_add(packets);
    }

    /// Comes to a packet: are there pictures between the last one and this one of which nothing has come? Numbers that are
    /// left out without a missing packet are those that the server has left out, which nothing needs that it sends. What
    /// was given out of another layer or codec is no reference.
    pub(super) fn passed(&mut self, tag: PictureTag, codec: Codec) {
        let Some(last) = self.last else {
            return;
        };
        // Some of the missing packets are the end of the last picture, or the beginning of this one.
        let of_these = u64::from(last.is_open) + u64::from(!tag.first);
        let is_next = tag.number == last.number.wrapping_add(1);
        let is_same = tag.number == last.number && !tag.first;
        let is_other = (tag.layer, codec) != (last.layer, last.codec);
        if is_other || !is_next && !is_same && self.missing > of_these {
            self.whole = 0;
        }
    }

    /// A packet was left out, and so its picture.
    pub(super) fn left_out(&mut self, tag: PictureTag, codec: Codec, is_last: bool) {
        self.passed(tag, codec);
        if !tag.discardable {
            self.whole = self.whole.min(if tag.key { 0 } else { tag.temporal_layer });
        }
        self.at(tag, codec, is_last);
    }

    /// A picture was given out.
    pub(super) const fn gave_out(&mut self, tag: PictureTag, codec: Codec) {
        if tag.key || tag.temporal_layer == 0 && !tag.discardable {
            self.whole = ALL;
        }
        self.at(tag, codec, true);
    }

    const fn at(&mut self, tag: PictureTag, codec: Codec, is_last: bool) {
        self.last = Some(Passed {
            layer: tag.layer,
            codec,
            number: tag.number,
            is_open: !is_last,
        });
        self.missing = 0;
    }
}
