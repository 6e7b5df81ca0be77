//! A simulated bad network, from a seed.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// The properties of a bad network, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairment {
    /// Chance that a datagram is lost, 0 to 1.
    pub loss: f64,
    /// The delay of a datagram.
    pub delay_ms: u16,
    /// The largest additional delay, evenly distributed.
    pub jitter_ms: u16,
}

/// The fate of the datagrams of one flow, one after the other.
#[derive(Debug)]
pub struct Accidents {
    impairment: Impairment,
    rng: ChaCha8Rng,
}

impl Accidents {
    /// The random events of flow number `flow`: different from those of any other flow, and the same in every run.
    pub fn new(impairment: Impairment, seed: u64, flow: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(flow);
        Self { impairment, rng }
    }

    /// The delay of the next datagram; `None` if it is lost.
    pub fn fate(&mut self) -> Option<Duration> {
        // Both are drawn for each datagram, so that more jitter does not change the losses.
        let (loss, jitter) = (self.unit(), self.unit());
        if loss < self.impairment.loss {
            return None;
        }
        let jitter = f64::from(self.impairment.jitter_ms) * jitter;
        let delay = f64::from(self.impairment.delay_ms) + jitter;
        Some(Duration::from_secs_f64(delay / 1_000.0))
    }

    /// A number from 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: Impairment = Impairment {
        loss: 0.1,
        delay_ms: 20,
        jitter_ms: 40,
    };

    fn fates(impairment: Impairment, seed: u64, flow: u64) -> Vec<Option<Duration>> {
        let mut accidents = Accidents::new(impairment, seed, flow);
        (0..5_000).map(|_| accidents.fate()).collect()
    }

    #[test]
    fn a_seed_and_a_flow_say_it_all() {
        assert_eq!(fates(BAD, 1, 0), fates(BAD, 1, 0));
        assert_ne!(fates(BAD, 1, 0), fates(BAD, 1, 1));
        assert_ne!(fates(BAD, 1, 0), fates(BAD, 2, 0));
    }

    #[test]
    fn as_much_is_lost_and_delayed_as_was_asked_for() {
        let fates = fates(BAD, 3, 0);
        let lost = fates.iter().filter(|fate| fate.is_none()).count();
        assert!((400..600).contains(&lost), "{lost} of 5000");
        let delays: Vec<_> = fates.into_iter().flatten().collect();
        let least = delays.iter().min().unwrap().as_millis();
        let most = delays.iter().max().unwrap().as_millis();
        assert!(
            (20..22).contains(&least) && (58..60).contains(&most),
            "{least} to {most} ms"
        );
    }

    #[test]
    fn a_good_network_does_nothing() {
        let fates = fates(Impairment::default(), 1, 0);
        assert!(fates.iter().all(|fate| *fate == Some(Duration::ZERO)));
    }

    #[test]
    fn more_jitter_loses_the_same_datagrams() {
        let lost = |impairment| {
            fates(impairment, 1, 0)
                .iter()
                .map(Option::is_none)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lost(BAD),
            lost(Impairment {
                jitter_ms: 0,
                ..BAD
            })
        );
    }
}
