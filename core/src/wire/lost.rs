//! Lists of lost packets.

/// Most pairs of a list.
const MAX_PAIRS: usize = 16;
/// Bytes of a pair: a number, and a bitmap of the 16 numbers that follow it.
const PAIR: usize = 4;
/// Bytes of the longest list.
#[cfg(feature = "client")]
pub(crate) const MAX_LOST: usize = MAX_PAIRS * PAIR;

/// Sequence numbers of packets that are to be sent again, as a view over the bytes of a list: 1 to 16 pairs of a number and
/// of a bitmap of the 16 that follow it, the next one in the lowest bit
/// ([RFC 4585 section 6.2.1](https://www.rfc-editor.org/rfc/rfc4585#section-6.2.1)).
///
/// ```
/// use parlour_core::wire::Lost;
/// let lost = Lost::parse(&[0xFF, 0xFF, 0b1000_0000, 0b0000_0001]).expect("one pair");
/// assert!(lost.numbers().eq([65_535, 0, 15]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lost<'a>(&'a [[u8; PAIR]]);

impl<'a> Lost<'a> {
    /// Reads a list; `None` if it has no pair, more than 16, or a part of one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (pairs, rest) = bytes.as_chunks();
        (rest.is_empty() && (1..=MAX_PAIRS).contains(&pairs.len())).then_some(Self(pairs))
    }

    /// The bytes of the list.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0.as_flattened()
    }

    /// The numbers, at most 272, in the order of the list. A number may occur twice.
    pub fn numbers(self) -> impl Iterator<Item = u16> + use<'a> {
        self.0.iter().flat_map(|&[n0, n1, b0, b1]| {
            let first = u16::from_be_bytes([n0, n1]);
            let following = u16::from_be_bytes([b0, b1]);
            let follows = (1..=16).filter(move |n| following >> (n - 1) & 1 == 1);
            core::iter::once(first).chain(follows.map(move |n| first.wrapping_add(n)))
        })
    }
}

/// A list that is being made.
///
/// ```
/// use parlour_core::wire::LostList;
/// let mut list = LostList::new();
/// assert!(list.as_lost().is_none());
/// for number in [7, 9, 23, 24] {
///     assert!(list.push(number));
/// }
/// let lost = list.as_lost().expect("four numbers");
/// assert!(lost.numbers().eq([7, 9, 23, 24]));
/// assert_eq!(lost.as_bytes().len(), 8);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostList(heapless::Vec<[u8; PAIR], MAX_PAIRS>);

impl LostList {
    /// An empty one.
    pub const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Adds a number, which lies behind all that are in the list; false if there is no room for it.
    pub fn push(&mut self, number: u16) -> bool {
        if let Some([n0, n1, b0, b1]) = self.0.last_mut() {
            let ahead = number.wrapping_sub(u16::from_be_bytes([*n0, *n1]));
            if let Some(shift @ 0..16) = ahead.checked_sub(1) {
                let bitmap = u16::from_be_bytes([*b0, *b1]) | 1 << shift;
                [*b0, *b1] = bitmap.to_be_bytes();
                return true;
            }
        }
        let [n0, n1] = number.to_be_bytes();
        self.0.push([n0, n1, 0, 0]).is_ok()
    }

    /// The list, unless it is empty.
    pub fn as_lost(&self) -> Option<Lost<'_>> {
        (!self.0.is_empty()).then_some(Lost(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_whole_pairs_and_not_too_many() {
        let bytes = [0; 68];
        for (len, is_list) in [(0, false), (3, false), (4, true), (5, false), (64, true)] {
            assert_eq!(Lost::parse(&bytes[..len]).is_some(), is_list, "{len}");
        }
        assert_eq!(Lost::parse(&bytes), None);
    }

    proptest! {
        #[test]
        fn numbers_survive_their_encoding(first: u16, steps in prop::collection::vec(1u16..40, 0..80)) {
            let mut list = LostList::new();
            let mut numbers = Vec::new();
            let mut number = first;
            for step in steps {
                number = number.wrapping_add(step);
                if !list.push(number) {
                    prop_assert!(numbers.len() >= MAX_PAIRS);
                    break;
                }
                numbers.push(number);
            }
            let Some(lost) = list.as_lost() else {
                prop_assert!(numbers.is_empty());
                return Ok(());
            };
            prop_assert_eq!(Lost::parse(lost.as_bytes()), Some(lost));
            prop_assert_eq!(lost.numbers().collect::<Vec<_>>(), numbers);
        }
    }
}
