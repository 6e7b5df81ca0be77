//! Where a packet waits for the others of its picture.

use crate::room::Codec;
use crate::rtp::PictureTag;
use crate::video::MAX_PICTURE_PAYLOAD;

/// Room for one packet that waits for the others of its picture.
#[derive(Debug, Clone)]
pub struct Slot {
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) tag: PictureTag,
    pub(super) codec: Codec,
    pub(super) marker: bool,
    /// Of the payload; 0 if the slot is free.
    pub(super) len: u16,
    pub(super) payload: [u8; MAX_PICTURE_PAYLOAD],
}

impl Slot {
    /// A free one.
    pub const EMPTY: Self = Self {
        sequence: 0,
        timestamp: 0,
        tag: PictureTag {
            first: false,
            key: false,
            discardable: false,
            temporal_layer: 0,
            layer: 0,
            number: 0,
        },
        codec: Codec::Vp8,
        marker: false,
        len: 0,
        payload: [0; MAX_PICTURE_PAYLOAD],
    };

    pub(super) fn payload(&self) -> &[u8] {
        self.payload.get(..self.len.into()).unwrap_or_default()
    }

    /// Whether a packet behind this one, and not the first of its picture, is of the same one.
    pub(super) fn is_continued_by(&self, next: &Self) -> bool {
        let tag = PictureTag {
            first: false,
            ..self.tag
        };
        (tag, self.timestamp, self.codec) == (next.tag, next.timestamp, next.codec)
    }
}
