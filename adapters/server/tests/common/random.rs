//! What tests leave to chance, the same for the same seed.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tokio::time::sleep;

/// The same numbers from the same seed.
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Another source of numbers.
    pub fn another(&mut self) -> Self {
        Self::new(self.0.next_u64())
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    pub async fn pause(&mut self, most_ms: u64) {
        sleep(Duration::from_millis(self.below(most_ms))).await;
    }
}

/// A number of the environment.
pub fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect(name))
}
