//! Mixing of several voices into one signal.
//!
//! Sums have 32 bits and are limited to 16 only at the end, so that the order of the voices does not matter and nothing
//! wraps. To omit a listener's own voice, do not add it.

use thiserror::Error;

/// Mixes one block of sound at a time over a lent accumulator.
///
/// ```
/// use parlour_core::audio::mixer::Mixer;
///
/// let mut sums = [0; 3];
/// let mut mixer = Mixer::new(&mut sums);
/// mixer.add(&[100, 200, 30_000])?;
/// mixer.add(&[1, 2, 30_000])?;
/// let mut mixed = [0; 3];
/// assert_eq!(mixer.finish(&mut mixed)?, 3);
/// assert_eq!(mixed, [101, 202, i16::MAX]);
/// # Ok::<(), parlour_core::audio::mixer::MixError>(())
/// ```
#[derive(Debug)]
pub struct Mixer<'a> {
    sums: &'a mut [i32],
}

impl<'a> Mixer<'a> {
    /// A mixer for blocks of `sums.len()` samples, all silent until something is added.
    pub fn new(sums: &'a mut [i32]) -> Self {
        sums.fill(0);
        Self { sums }
    }

    /// Adds one voice. A shorter block is followed by silence: its voice has just ended.
    ///
    /// # Errors
    ///
    /// [`MixError::BlockTooLong`] if `pcm` is longer than the accumulator; nothing was added.
    pub fn add(&mut self, pcm: &[i16]) -> Result<(), MixError> {
        let sums = self
            .sums
            .get_mut(..pcm.len())
            .ok_or(MixError::BlockTooLong)?;
        for (sum, &sample) in sums.iter_mut().zip(pcm) {
            *sum = sum.saturating_add(i32::from(sample));
        }
        Ok(())
    }

    /// Writes the mix, limited to 16 bits, to the front of `out`, and begins the next block in
    /// silence. Returns the number of samples.
    ///
    /// # Errors
    ///
    /// [`MixError::OutputTooSmall`] if `out` is shorter than the accumulator; nothing is lost.
    pub fn finish(&mut self, out: &mut [i16]) -> Result<usize, MixError> {
        let len = self.sums.len();
        let out = out.get_mut(..len).ok_or(MixError::OutputTooSmall)?;
        for (out, sum) in out.iter_mut().zip(self.sums.iter_mut()) {
            *out = clamp(core::mem::take(sum));
        }
        Ok(len)
    }
}

/// `sample` limited to 16 bits.
pub(crate) fn clamp(sample: i32) -> i16 {
    sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Why a block was not mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MixError {
    /// The block is longer than the mixer's accumulator.
    #[error("the block is longer than the mixer's accumulator; add at most that many samples")]
    BlockTooLong,
    /// The output is shorter than the mixer's accumulator.
    #[error("the output is shorter than the mixer's accumulator; lend a longer one")]
    OutputTooSmall,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const LEN: usize = 32;

    fn mix<'v>(voices: impl IntoIterator<Item = &'v Vec<i16>>) -> Vec<i16> {
        let mut sums = [0x55; LEN];
        let mut mixer = Mixer::new(&mut sums);
        for voice in voices {
            mixer.add(voice).unwrap();
        }
        let mut out = std::vec![0; LEN];
        assert_eq!(mixer.finish(&mut out), Ok(LEN));
        out
    }

    fn voices() -> impl Strategy<Value = Vec<Vec<i16>>> {
        proptest::collection::vec(proptest::collection::vec(any::<i16>(), LEN), 0..12)
    }

    #[test]
    fn wrong_lengths_change_nothing() {
        let mut sums = [0; 2];
        let mut mixer = Mixer::new(&mut sums);
        mixer.add(&[5, 6]).unwrap();
        assert_eq!(mixer.add(&[1, 1, 1]), Err(MixError::BlockTooLong));
        assert_eq!(mixer.finish(&mut [0]), Err(MixError::OutputTooSmall));
        let mut out = [0; 4];
        assert_eq!(mixer.finish(&mut out), Ok(2));
        assert_eq!(out, [5, 6, 0, 0]);
        assert_eq!(mixer.finish(&mut out), Ok(2), "the next block");
        assert_eq!(out, [0; 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn is_the_limited_sum(voices in voices()) {
            let expected: Vec<i16> = (0..LEN)
                .map(|i| voices.iter().map(|v| i64::from(v[i])).sum::<i64>())
                .map(|sum| sum.clamp(-32768, 32767) as i16)
                .collect();
            prop_assert_eq!(mix(&voices), expected);
        }

        #[test]
        fn order_does_not_matter(voices in voices()) {
            prop_assert_eq!(mix(&voices), mix(voices.iter().rev()));
        }

        #[test]
        fn one_voice_and_silence_is_that_voice(
            voice in proptest::collection::vec(any::<i16>(), LEN)
        ) {
            prop_assert_eq!(mix([&voice, &std::vec![0; LEN]]), voice);
        }
    }
}
