//! VP8 in RTP: the payload descriptor, [RFC 7741 section 4.2](https://www.rfc-editor.org/rfc/rfc7741#section-4.2).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+
//! |X|R|N|S|R| PID |   N: not a reference; S: a partition begins; PID: which one; R: not looked at
//! +-+-+-+-+-+-+-+-+
//! |I|L|T|K|  RSV  |   if X: which of the following there are
//! +-+-+-+-+-+-+-+-+
//! |M| picture id  |   if I: 7 bits, or if M 15 bits in two bytes
//! +-+-+-+-+-+-+-+-+
//! |   TL0PICIDX   |   if L: counts pictures of temporal layer 0
//! +-+-+-+-+-+-+-+-+
//! |TID|Y| KEYIDX  |   if T or K: the temporal layer
//! +-+-+-+-+-+-+-+-+
//! ```

/// Bytes of the descriptors written here, which have every field but KEYIDX.
pub(super) const DESCRIPTOR_LEN: usize = 6;

/// What the descriptors of one picture's packets say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) discardable: bool,
    pub(super) picture_id: u16,
    pub(super) tl0_pic_idx: u8,
    pub(super) temporal_layer: u8,
}

impl Descriptor {
    /// The descriptor of the picture's first packet, or of another one.
    pub(super) fn to_bytes(self, first: bool) -> [u8; DESCRIPTOR_LEN] {
        let [id0, id1] = self.picture_id.to_be_bytes();
        [
            0x80 | u8::from(self.discardable) << 5 | u8::from(first) << 4,
            0xE0,
            0x80 | id0,
            id1,
            self.tl0_pic_idx,
            self.temporal_layer.min(3) << 6,
        ]
    }
}

/// The part of a frame in `payload`, and whether the frame begins with it; `None` if there is none.
pub(super) fn split(payload: &[u8]) -> Option<(bool, &[u8])> {
    let (&flags, mut rest) = payload.split_first()?;
    if flags & 0x80 != 0 {
        let (&fields, after) = rest.split_first()?;
        rest = after;
        if fields & 0x80 != 0 {
            let long = rest.first()? & 0x80 != 0;
            rest = rest.get(1 + usize::from(long)..)?;
        }
        let others = usize::from(fields & 0x40 != 0) + usize::from(fields & 0x30 != 0);
        rest = rest.get(others..)?;
    }
    (!rest.is_empty()).then_some((flags & 0x17 == 0x10, rest))
}

/// Whether a frame is a key frame, by its
/// [header](https://www.rfc-editor.org/rfc/rfc6386#section-9.1); `None` if it is no frame.
pub(super) fn is_key(frame: &[u8]) -> Option<bool> {
    let (&[tag, ..], rest) = frame.split_first_chunk::<3>()?;
    if tag & 1 != 0 {
        return Some(false);
    }
    (rest.starts_with(&[0x9D, 0x01, 0x2A]) && rest.len() >= 7).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn the_descriptor_is_that_of_the_rfc() {
        let descriptor = Descriptor {
            discardable: true,
            picture_id: 0x1234,
            tl0_pic_idx: 7,
            temporal_layer: 2,
        };
        let bytes = descriptor.to_bytes(true);
        assert_eq!(bytes, [0xB0, 0xE0, 0x92, 0x34, 7, 0x80]);
        assert_eq!(descriptor.to_bytes(false)[0], 0xA0);
    }

    #[test]
    fn every_set_of_fields_is_read() {
        // A partition that begins and is not the first, is not where the frame begins.
        let cases = [
            (&[0x10, 9][..], Some((true, &[9][..]))),
            (&[0x00, 9], Some((false, &[9]))),
            (&[0x11, 9], Some((false, &[9]))),
            // The reserved bits are not looked at.
            (&[0x18, 9], Some((true, &[9]))),
            (&[0x50, 9], Some((true, &[9]))),
            (&[0x90, 0x80, 0x05, 9], Some((true, &[9]))),
            (&[0x90, 0x80, 0x85, 5, 9], Some((true, &[9]))),
            (&[0x90, 0x40, 5, 9], Some((true, &[9]))),
            (&[0x90, 0x10, 5, 9], Some((true, &[9]))),
            (&[0x90, 0x30, 5, 9], Some((true, &[9]))),
            (&[0x90, 0xE0, 0x80, 1, 2, 3], None),
        ];
        for (payload, expected) in cases {
            assert_eq!(split(payload), expected, "{payload:?}");
        }
    }

    #[test]
    fn a_key_frame_has_its_start_code_and_size() {
        let key = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0, 0, 0, 0];
        assert_eq!(is_key(&key), Some(true));
        assert_eq!(is_key(&[0x11, 0, 0]), Some(false));
        for frame in [&key[..9], &[0x10, 0, 0, 1, 1, 0x2A, 0, 0, 0, 0], &[1, 0]] {
            assert_eq!(is_key(frame), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            discardable: bool, picture_id in 0u16..0x8000, tl0_pic_idx: u8, temporal_layer in 0u8..4,
            first: bool, part in prop::collection::vec(any::<u8>(), 1..20),
        ) {
            let descriptor = Descriptor { discardable, picture_id, tl0_pic_idx, temporal_layer };
            let mut payload = descriptor.to_bytes(first).to_vec();
            payload.extend(&part);
            prop_assert_eq!(split(&payload), Some((first, &part[..])));
        }

        #[test]
        fn any_bytes_are_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Some((_, part)) = split(&payload) {
                prop_assert!(!part.is_empty() && payload.ends_with(part));
            }
            let _: Vec<_> = is_key(&payload).into_iter().collect();
        }
    }
}
