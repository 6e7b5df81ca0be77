//! The elements in an RTP header extension, [RFC 8285](https://www.rfc-editor.org/rfc/rfc8285).
//!
//! ```text
//! one-byte form (profile 0xBEDE)        two-byte form (profile 0x100x)
//! +-+-+-+-+-+-+-+-+-----------------+   +--------+--------+--------------+
//! |  ID   | len-1 | len bytes ...   |   |   ID   |  len   | len bytes ...|
//! +-+-+-+-+-+-+-+-+-----------------+   +--------+--------+--------------+
//! ```
//!
//! A zero byte between elements is padding. A malformed element ends the elements; the packet stays valid, because its
//! audio is still good.

/// Profile of an extension whose elements have one-byte headers.
pub(super) const ONE_BYTE_PROFILE: u16 = 0xBEDE;

/// Profile of an extension whose elements have two-byte headers; the low four bits are free.
const TWO_BYTE_PROFILE: u16 = 0x1000;

#[derive(Debug, Clone, Copy)]
enum Form {
    OneByte,
    TwoByte,
}

/// Iterator over the `(id, bytes)` elements of a header extension, in the order they stand.
///
/// Made by [`RtpPacket::extension_elements`](super::RtpPacket::extension_elements). Empty for
/// extensions of other profiles.
#[derive(Debug, Clone)]
pub struct ExtensionElements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> ExtensionElements<'a> {
    pub(super) fn new(profile: u16, bytes: &'a [u8]) -> Self {
        let (form, rest) = match profile {
            ONE_BYTE_PROFILE => (Form::OneByte, bytes),
            profile if profile & 0xFFF0 == TWO_BYTE_PROFILE => (Form::TwoByte, bytes),
            _ => (Form::OneByte, &[] as &[u8]),
        };
        Self { form, rest }
    }

    /// The next element's id and bytes, and what follows them; `None` at the end or if malformed.
    fn split_element(&self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let after_padding = self.rest.iter().position(|&byte| byte != 0)?;
        let (&first, rest) = self.rest.get(after_padding..)?.split_first()?;
        let (id, len, rest) = match self.form {
            Form::OneByte => match first >> 4 {
                // Id 0 with a length, and id 15, must end the processing (RFC 8285 section 4.2).
                0 | 15 => return None,
                id => (id, usize::from(first & 0x0F) + 1, rest),
            },
            Form::TwoByte => {
                let (&len, rest) = rest.split_first()?;
                (first, usize::from(len), rest)
            }
        };
        let (bytes, rest) = rest.split_at_checked(len)?;
        Some((id, bytes, rest))
    }
}

impl<'a> Iterator for ExtensionElements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, bytes, rest) = self.split_element()?;
        self.rest = rest;
        Some((id, bytes))
    }
}

impl core::iter::FusedIterator for ExtensionElements<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn elements(profile: u16, bytes: &[u8]) -> Vec<(u8, &[u8])> {
        ExtensionElements::new(profile, bytes).collect()
    }

    #[test]
    fn one_byte_elements_with_padding_between() {
        let bytes = [0x10, 0xAA, 0, 0, 0x21, 1, 2, 0];
        assert_eq!(
            elements(0xBEDE, &bytes),
            [(1, &[0xAA][..]), (2, &[1, 2][..])]
        );
    }

    #[test]
    fn two_byte_elements_may_be_empty_and_have_any_appbits() {
        let bytes = [7, 0, 0, 200, 2, 8, 9, 0];
        let expected = [(7, &[][..]), (200, &[8, 9][..])];
        assert_eq!(elements(0x1000, &bytes), expected);
        assert_eq!(elements(0x100F, &bytes), expected);
        assert_eq!(elements(0x1010, &bytes), []);
    }

    #[test]
    fn reserved_ids_end_the_one_byte_form() {
        assert_eq!(elements(0xBEDE, &[0xF0, 1, 0x10, 2]), []);
        assert_eq!(
            elements(0xBEDE, &[0x10, 2, 0x01, 0x10, 3, 0]),
            [(1, &[2][..])]
        );
    }

    #[test]
    fn an_element_that_overruns_is_not_reported_and_ends() {
        assert_eq!(elements(0xBEDE, &[0x10, 2, 0x23, 1, 2]), [(1, &[2][..])]);
        assert_eq!(elements(0x1000, &[1, 4, 1, 2, 3]), []);
        assert_eq!(elements(0x1000, &[1]), []);
    }

    proptest! {
        #[test]
        fn written_elements_are_read(
            two_byte: bool,
            items in prop::collection::vec(
                (1u8..15, prop::collection::vec(any::<u8>(), 1..=16), 0usize..3), 0..6),
        ) {
            let mut bytes = Vec::new();
            for (id, data, padding) in &items {
                if two_byte {
                    bytes.extend([*id, data.len() as u8]);
                } else {
                    bytes.push(id << 4 | (data.len() as u8 - 1));
                }
                bytes.extend(data);
                bytes.extend(std::iter::repeat_n(0, *padding));
            }
            let read = elements(if two_byte { 0x1003 } else { 0xBEDE }, &bytes);
            prop_assert_eq!(read.len(), items.len());
            for ((id, data, _), read) in items.iter().zip(read) {
                prop_assert_eq!((*id, &data[..]), read);
            }
        }

        #[test]
        fn any_bytes_end(profile: u16, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for profile in [profile, 0xBEDE, 0x1000] {
                let total: usize = elements(profile, &bytes).iter().map(|(_, data)| data.len() + 1).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }
}
