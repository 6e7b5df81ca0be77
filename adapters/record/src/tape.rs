//! Recording and replay of random bytes.

use parlour_core::rand_core::{CryptoRng, CryptoRngCore, Error, RngCore, impls};

/// A generator that records its output.
pub(crate) struct Tape<'r> {
    pub(crate) rng: &'r mut dyn CryptoRngCore,
    pub(crate) bytes: Vec<u8>,
}

/// A generator that returns the output that a [`Tape`] recorded, and zeros thereafter.
pub(crate) struct Played<'b>(pub(crate) &'b [u8]);

impl RngCore for Tape<'_> {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.rng.fill_bytes(out);
        self.bytes.extend_from_slice(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl CryptoRng for Tape<'_> {}

impl RngCore for Played<'_> {
    fn next_u32(&mut self) -> u32 {
        impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        let (now, later) = self.0.split_at(out.len().min(self.0.len()));
        let (known, unknown) = out.split_at_mut(now.len());
        known.copy_from_slice(now);
        unknown.fill(0);
        self.0 = later;
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl CryptoRng for Played<'_> {}
