//! Wrapping numbers: comparing them, and restoring the bits that the wire omits.
//!
//! A wrapped number counts as the nearest to the highest seen before: up to half the range ahead it is newer, otherwise
//! older. Reordering across the wrap is therefore no special case.

/// `a - b` for sequence numbers, by the shorter way around: positive if `a` is the newer one.
///
/// ```
/// use parlour_core::rtp::sequence_difference;
/// assert_eq!(sequence_difference(2, 65_535), 3);
/// assert_eq!(sequence_difference(65_535, 2), -3);
/// ```
pub const fn sequence_difference(a: u16, b: u16) -> i16 {
    a.wrapping_sub(b).cast_signed()
}

/// `a - b` for timestamps, by the shorter way around: positive if `a` is the newer one.
///
/// ```
/// use parlour_core::rtp::timestamp_difference;
/// assert_eq!(timestamp_difference(960, u32::MAX), 961);
/// ```
pub const fn timestamp_difference(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// The reference for all numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference {
    /// None came yet: the first is so much higher than on the wire.
    Origin(u64),
    /// The highest so far.
    Highest(u64),
}

impl Reference {
    /// The full number of `wrapped`, if it is `difference(highest)` away from the highest.
    fn extend(&mut self, wrapped: u64, difference: impl FnOnce(u64) -> i64) -> u64 {
        let (full, highest) = match *self {
            Self::Origin(origin) => {
                let full = origin.saturating_add(wrapped);
                (full, full)
            }
            Self::Highest(highest) => {
                let full = highest.saturating_add_signed(difference(highest));
                (full, highest.max(full))
            }
        };
        *self = Self::Highest(highest);
        full
    }
}

/// Extends a flow's 16-bit sequence numbers to 64 bits that never wrap.
///
/// The first number becomes itself plus 65,536, so that a packet sent before it and overtaken by
/// it still has a number that is lower and not negative.
///
/// ```
/// use parlour_core::rtp::SequenceUnwrapper;
/// let mut sequences = SequenceUnwrapper::new();
/// assert_eq!(sequences.extend(65_535), 131_071);
/// assert_eq!(sequences.extend(1), 131_073);
/// assert_eq!(sequences.extend(0), 131_072);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceUnwrapper(Reference);

impl Default for SequenceUnwrapper {
    fn default() -> Self {
        Self::new()
    }
}

impl SequenceUnwrapper {
    /// Ready for a flow's first packet.
    pub const fn new() -> Self {
        Self(Reference::Origin(1 << 16))
    }

    /// Ready for the first packet of a flow that begins anew. Its number, whatever it is on the wire, will be more than
    /// 65,536 above all before: nobody who reads the numbers takes it for a late packet.
    ///
    /// ```
    /// use parlour_core::rtp::SequenceUnwrapper;
    /// let mut sequences = SequenceUnwrapper::new();
    /// let last = sequences.extend(500);
    /// sequences.restart();
    /// let first = sequences.extend(499);
    /// assert!(first - last > 65_536);
    /// assert_eq!(sequences.extend(500), first + 1);
    /// ```
    pub const fn restart(&mut self) {
        if let Reference::Highest(highest) = self.0 {
            self.0 = Reference::Origin((highest | 0xFFFF).saturating_add(1 + (1 << 16)));
        }
    }

    /// The full number of `sequence`, right if it is less than 32,768 from the highest before.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        self.0.extend(sequence.into(), |highest| {
            // The truncation is the point: the low bits are what the wire carries.
            i64::from(sequence_difference(sequence, highest as u16))
        })
    }
}

/// Extends a flow's 32-bit timestamps to 64 bits that never wrap.
///
/// The first timestamp becomes itself plus 2^32, for the same reason as in
/// [`SequenceUnwrapper`].
///
/// ```
/// use parlour_core::rtp::TimestampUnwrapper;
/// let mut timestamps = TimestampUnwrapper::new();
/// let first = timestamps.extend(u32::MAX - 479);
/// assert_eq!(timestamps.extend(480) - first, 960);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampUnwrapper(Reference);

impl Default for TimestampUnwrapper {
    fn default() -> Self {
        Self::new()
    }
}

impl TimestampUnwrapper {
    /// Ready for a flow's first packet.
    pub const fn new() -> Self {
        Self(Reference::Origin(1 << 32))
    }

    /// The full timestamp of `timestamp`, right if it is less than 2^31 from the highest before:
    /// after a silence of less than 12 hours at 48 kHz.
    pub fn extend(&mut self, timestamp: u32) -> u64 {
        self.0.extend(timestamp.into(), |highest| {
            // The truncation is the point: the low bits are what the wire carries.
            i64::from(timestamp_difference(timestamp, highest as u32))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The path of a flow through a network: steps between consecutive packets, forward or (for a
    /// packet that was overtaken) backward, none beyond `reach`.
    fn true_numbers(start: u64, steps: &[i64], reach: i64) -> Vec<u64> {
        let mut highest = start;
        let mut numbers = std::vec![start];
        for step in steps {
            let number = highest.saturating_add_signed(step % reach);
            highest = highest.max(number);
            numbers.push(number);
        }
        numbers
    }

    proptest! {
        #[test]
        fn sequences_follow_the_model(
            start: u16, steps in prop::collection::vec(any::<i64>(), 0..300),
        ) {
            let mut unwrapper = SequenceUnwrapper::new();
            for number in true_numbers(1 << 16 | u64::from(start), &steps, 1 << 15) {
                prop_assert_eq!(unwrapper.extend(number as u16), number);
            }
        }

        #[test]
        fn timestamps_follow_the_model(
            start: u32, steps in prop::collection::vec(any::<i64>(), 0..300),
        ) {
            let mut unwrapper = TimestampUnwrapper::new();
            for number in true_numbers(1 << 32 | u64::from(start), &steps, 1 << 31) {
                prop_assert_eq!(unwrapper.extend(number as u32), number);
            }
        }

        #[test]
        fn differences_undo_additions(a: u16, b: u32, step16: i16, step32: i32) {
            prop_assert_eq!(sequence_difference(a.wrapping_add_signed(step16), a), step16);
            prop_assert_eq!(timestamp_difference(b.wrapping_add_signed(step32), b), step32);
        }
    }

    #[test]
    fn a_packet_overtaken_by_the_first_one_is_lower() {
        let mut unwrapper = SequenceUnwrapper::new();
        let first = unwrapper.extend(0);
        assert_eq!(unwrapper.extend(65_535) + 1, first);
        assert_eq!(unwrapper.extend(1), first + 1);
    }
}
