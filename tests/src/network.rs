//! A seeded network: what one sends arrives later, or never, or twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parlour_core::time::{Duration, Instant};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// What a link does to the datagrams that cross it, in either direction. Chances are in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkConfig {
    /// Chance that a datagram is lost.
    pub loss: u8,
    /// Chance that it arrives a second time.
    pub duplication: u8,
    /// Chance that it is held back by another `delay` + 20 ms, so that later ones overtake it.
    pub reordering: u8,
    /// Time under way, one way.
    pub delay: Duration,
    /// Time by which the delay of a datagram may be longer, evenly distributed.
    pub jitter: Duration,
    /// Nothing gets through.
    pub partitioned: bool,
}

impl LinkConfig {
    /// Everything arrives, 10 ms later.
    pub const GOOD: Self = Self {
        loss: 0,
        duplication: 0,
        reordering: 0,
        delay: Duration::from_millis(10),
        jitter: Duration::ZERO,
        partitioned: false,
    };

    /// Weak Wi-Fi: 10 % loss, 20 to 60 ms, some duplicates and overtaking.
    pub const WEAK: Self = Self {
        loss: 10,
        duplication: 2,
        reordering: 2,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(40),
        partitioned: false,
    };

    /// A good link with this round-trip time.
    pub const fn with_rtt(rtt: Duration) -> Self {
        Self {
            delay: Duration::from_micros(rtt.as_micros() as u64 / 2),
            ..Self::GOOD
        }
    }
}

/// A datagram on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it is for.
    pub to: SocketAddr,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// All datagrams under way.
#[derive(Debug)]
pub struct Network {
    rng: ChaCha8Rng,
    under_way: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
}

impl Network {
    /// An empty network whose accidents all follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            under_way: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Sends `datagram` over a link like `link`.
    pub fn send(&mut self, now: Instant, link: &LinkConfig, datagram: Datagram) {
        if link.partitioned || self.happens(link.loss) {
            return;
        }
        let copies = 1 + u8::from(self.happens(link.duplication));
        for _ in 0..copies {
            let mut at = now + link.delay + self.up_to(link.jitter);
            if self.happens(link.reordering) {
                at += link.delay + Duration::from_millis(20);
            }
            self.under_way.insert((at, self.sent), datagram.clone());
            self.sent += 1;
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|(&(at, _), _)| at)
    }

    /// The next datagram that has arrived by `now`.
    pub fn poll_arrival(&mut self, now: Instant) -> Option<Datagram> {
        let entry = self.under_way.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    fn happens(&mut self, percent: u8) -> bool {
        self.rng.next_u32() % 100 < u32::from(percent)
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        let micros = most.as_micros() as u64;
        Duration::from_micros(if micros == 0 {
            0
        } else {
            self.rng.next_u64() % micros
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(seed: u64, link: LinkConfig, count: u8) -> Vec<(u64, u8)> {
        let address = "192.0.2.1:1".parse().unwrap();
        let mut network = Network::new(seed);
        for number in 0..count {
            let datagram = Datagram {
                from: address,
                to: address,
                bytes: vec![number],
            };
            network.send(Instant::from_micros(0), &link, datagram);
        }
        let mut arrived = Vec::new();
        while let Some(now) = network.next_arrival() {
            let datagram = network.poll_arrival(now).unwrap();
            arrived.push((now.as_micros(), datagram.bytes[0]));
        }
        arrived
    }

    #[test]
    fn a_good_link_delivers_in_order() {
        let expected: Vec<_> = (0..50).map(|number| (10_000, number)).collect();
        assert_eq!(arrivals(1, LinkConfig::GOOD, 50), expected);
    }

    #[test]
    fn a_weak_link_loses_repeats_and_reorders_the_same_way_for_the_same_seed() {
        let first = arrivals(7, LinkConfig::WEAK, 200);
        assert_eq!(first, arrivals(7, LinkConfig::WEAK, 200));
        assert_ne!(first, arrivals(8, LinkConfig::WEAK, 200));
        let mut numbers: Vec<_> = first.iter().map(|&(_, number)| number).collect();
        assert!(!numbers.is_sorted(), "nothing overtook");
        let with_duplicates = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.len() < with_duplicates, "nothing came twice");
        assert!((160..198).contains(&numbers.len()), "{}", numbers.len());
    }
}
