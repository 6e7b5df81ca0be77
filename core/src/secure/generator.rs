//! The generator that each end carries for its keys, nonces and ids.

use core::fmt;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use rand_core::{CryptoRng, CryptoRngCore, Error, RngCore, impls};
use zeroize::Zeroizing;

/// Random bytes for cryptography, from a seed. It keeps no copy of its output.
///
/// Each draw is the stream of ChaCha20 under a key whose first 32 bytes become the next key
/// ([fast key erasure](https://blog.cr.yp.to/20170723-random.html)). A copy of the memory therefore reveals neither the
/// ephemeral keys of ended associations nor their recorded packets. The cipher is the one that seals packets: it takes
/// no flash of its own.
pub struct Generator(Zeroizing<[u8; 32]>);

impl Generator {
    /// Seeded from `rng`, on which all secrecy then depends.
    pub fn new(rng: &mut dyn CryptoRngCore) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self(seed)
    }
}

impl RngCore for Generator {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        // No key is used twice, so one nonce does for all.
        let mut stream = ChaCha20::new((&*self.0).into(), &[0; 12].into());
        self.0.fill(0);
        stream.apply_keystream(&mut *self.0);
        dest.fill(0);
        stream.apply_keystream(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Generator {}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::test_rng::{TestRng, hex};

    #[test]
    fn it_draws_chacha20() {
        // RFC 8439 appendix A.1, test vector 1: the stream of the key 0, whose first half is the next key.
        let stream = hex(concat!(
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7",
            "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
        ));
        let mut generator = Generator(Zeroizing::new([0; 32]));
        let mut drawn = [0xff; 32];
        generator.fill_bytes(&mut drawn);
        assert_eq!(drawn[..], stream[32..]);
        assert_eq!(generator.0[..], stream[..32]);
    }

    #[test]
    fn the_past_is_forgotten_and_the_future_is_fresh() {
        let mut generator = Generator::new(&mut TestRng::new(1));
        let mut key = [0; 32];
        generator.fill_bytes(&mut key);
        // The current state determines later output, not earlier output.
        let mut held = Generator(generator.0.clone());
        let mut drawn = [0; 32];
        for _ in 0..64 {
            held.fill_bytes(&mut drawn);
            assert_ne!(drawn, key);
        }
        let mut other = [0; 32];
        generator.fill_bytes(&mut other);
        assert_ne!(other, key);
    }
}
