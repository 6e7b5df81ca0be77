//! What a disturbing participant has to say.

use parlour_core::audio::codec::SampleRate;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::party::RATE;

/// Bursts of noise, two to six a second, each with a pitch of its own.
pub fn noise(seed: u64) -> Vec<i16> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pcm = Vec::new();
    while pcm.len() < RATE.samples(10_000) {
        let period = 60 + rng.next_u32() % 300;
        let (burst, pause) = (part(&mut rng, 80), part(&mut rng, 60));
        for n in 0..burst {
            let saw = (n as u32 % period) as f64 / f64::from(period) * 2.0 - 1.0;
            let hiss = f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0;
            pcm.push(((saw + hiss) * 6_000.0) as i16);
        }
        pcm.resize(pcm.len() + pause, 0);
    }
    pcm
}

/// Samples of `ms` to three times as much.
fn part(rng: &mut ChaCha8Rng, ms: u32) -> usize {
    let ms = ms + rng.next_u32() % (2 * ms);
    SampleRate::samples(RATE, 1) * ms as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::dbov;

    #[test]
    fn it_is_loud_and_follows_from_its_seed() {
        assert!(dbov(&noise(1)) > -25);
        assert_eq!(noise(1), noise(1));
        assert_ne!(noise(1), noise(2));
    }
}
