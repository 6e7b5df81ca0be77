//! The generator that each end carries for its keys, nonces and ids.

use core::fmt;

use rand_chacha::ChaCha12Rng;
use rand_core::{CryptoRng, CryptoRngCore, Error, RngCore, SeedableRng};
use zeroize::Zeroizing;

/// ChaCha12, seeded once, of which no state outlives its use: `rand_chacha` keeps what it drew last, and a state
/// from which all earlier draws can be computed. So whoever got hold of the memory would have the ephemeral keys of
/// associations that are over, and their recorded packets.
pub(crate) struct Generator(ChaCha12Rng);

impl Generator {
    /// Seeded from `rng`.
    pub(crate) fn new(rng: &mut dyn CryptoRngCore) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self(ChaCha12Rng::from_seed(*seed))
    }

    /// Goes on with a seed of its own drawing, so that nothing tells any more what was drawn before.
    pub(crate) fn forget_past(&mut self) {
        *self = Self::new(&mut self.0);
    }
}

impl RngCore for Generator {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.0.try_fill_bytes(dest)
    }
}

impl CryptoRng for Generator {}

impl Drop for Generator {
    /// `rand_chacha` 0.3 does not wipe itself; the compiler must not see that nobody looks.
    fn drop(&mut self) {
        self.0 = ChaCha12Rng::from_seed([0; 32]);
        core::hint::black_box(&mut self.0);
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::test_rng::TestRng;

    #[test]
    fn the_past_is_forgotten_and_the_future_is_fresh() {
        let mut generator = Generator::new(&mut TestRng::new(1));
        let mut key = [0; 32];
        generator.fill_bytes(&mut key);
        // What is held now, from its beginning: with `rand_chacha` alone it would begin with the key.
        let mut held = generator.0.clone();
        held.set_word_pos(0);
        let mut drawn = [0; 32];
        held.fill_bytes(&mut drawn);
        assert_eq!(drawn, key);

        generator.forget_past();
        let mut held = generator.0.clone();
        held.set_word_pos(0);
        for _ in 0..64 {
            held.fill_bytes(&mut drawn);
            assert_ne!(drawn, key);
        }
        let mut other = [0; 32];
        generator.fill_bytes(&mut other);
        assert_ne!(other, key);
    }
}
