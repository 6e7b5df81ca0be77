//! A seeded network: what one sends arrives later, or never, or twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parlour_core::time::{Duration, Instant};
use parlour_core::wire::MAX_DATAGRAM;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// A link's treatment of the datagrams that cross it, in either direction. Chances are in percent.
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
    /// Times in which all is lost, if there are any.
    pub burst: Option<Burst>,
    /// What it carries, if not all.
    pub bottleneck: Option<Bottleneck>,
    /// Longer datagrams are lost.
    pub mtu: usize,
    /// Nothing gets through.
    pub partitioned: bool,
}

/// A Gilbert-Elliott channel whose bad state loses all. Either state lasts up to twice as long as said, evenly
/// distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// The average duration of good times.
    pub good: Duration,
    /// The average duration of bad times, in which all is lost.
    pub bad: Duration,
}

/// A place where datagrams wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bottleneck {
    /// Bits per second.
    pub bits_per_second: u32,
    /// A datagram that would wait for longer is lost.
    pub queue: Duration,
}

/// In which state a direction of a link is, and until when.
#[derive(Debug, Clone, Copy)]
struct Channel {
    is_bad: bool,
    until: Instant,
}

impl LinkConfig {
    /// Everything arrives, 10 ms later.
    pub const GOOD: Self = Self {
        loss: 0,
        duplication: 0,
        reordering: 0,
        delay: Duration::from_millis(10),
        jitter: Duration::ZERO,
        burst: None,
        bottleneck: None,
        mtu: MAX_DATAGRAM,
        partitioned: false,
    };

    /// Weak Wi-Fi: 10 % loss, 20 to 60 ms, some duplicates and overtaking.
    pub const WEAK: Self = Self {
        loss: 10,
        duplication: 2,
        reordering: 2,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(40),
        burst: None,
        bottleneck: None,
        mtu: MAX_DATAGRAM,
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
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// The contents.
    pub bytes: Vec<u8>,
}

/// A datagram that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The time of sending.
    pub sent_at: Instant,
    /// The datagram.
    pub datagram: Datagram,
}

/// All datagrams under way.
#[derive(Debug)]
pub struct Network {
    rng: ChaCha8Rng,
    under_way: BTreeMap<(Instant, u64), Arrival>,
    /// The state of links with bursts, by where from and where to.
    channels: BTreeMap<(SocketAddr, SocketAddr), Channel>,
    /// When the bottlenecks are free again, by where from and where to.
    free: BTreeMap<(SocketAddr, SocketAddr), Instant>,
    sent: u64,
}

impl Network {
    /// An empty network whose accidents all follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            under_way: BTreeMap::new(),
            channels: BTreeMap::new(),
            free: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Sends `datagram` over a link like `link`.
    pub fn send(&mut self, now: Instant, link: &LinkConfig, datagram: Datagram) {
        self.send_as_of(now, now, link, datagram);
    }

    /// Sends `datagram`, which counts as sent at `sent_at`; false if it is lost.
    pub fn send_as_of(
        &mut self,
        sent_at: Instant,
        now: Instant,
        link: &LinkConfig,
        mut datagram: Datagram,
    ) -> bool {
        let is_lost =
            link.partitioned || datagram.bytes.len() > link.mtu || self.happens(link.loss);
        if is_lost
            || link
                .burst
                .is_some_and(|burst| self.is_in_burst(now, burst, &datagram))
        {
            return false;
        }
        let Some(passed) = self.pass(now, link.bottleneck, &datagram) else {
            return false;
        };
        let copies = 1 + u8::from(self.happens(link.duplication));
        for copy in 0..copies {
            let mut at = passed + link.delay + self.up_to(link.jitter);
            if self.happens(link.reordering) {
                at += link.delay + Duration::from_millis(20);
            }
            let last = copy + 1 == copies;
            let arrival = Arrival {
                sent_at,
                datagram: Datagram {
                    bytes: if last {
                        std::mem::take(&mut datagram.bytes)
                    } else {
                        datagram.bytes.clone()
                    },
                    ..datagram
                },
            };
            self.under_way.insert((at, self.sent), arrival);
            self.sent += 1;
        }
        true
    }

    /// When a datagram is through the bottleneck; `None` if it is lost there.
    fn pass(
        &mut self,
        now: Instant,
        bottleneck: Option<Bottleneck>,
        datagram: &Datagram,
    ) -> Option<Instant> {
        let Some(Bottleneck {
            bits_per_second,
            queue,
        }) = bottleneck
        else {
            return Some(now);
        };
        let free = self.free.entry((datagram.from, datagram.to)).or_insert(now);
        let begins = (*free).max(now);
        if begins.saturating_duration_since(now) > queue {
            return None;
        }
        let bits = datagram.bytes.len() as u64 * 8;
        *free = begins + Duration::from_micros(bits * 1_000_000 / u64::from(bits_per_second));
        Some(*free)
    }

    fn is_in_burst(&mut self, now: Instant, burst: Burst, datagram: &Datagram) -> bool {
        let ends = (datagram.from, datagram.to);
        let channel = self.channels.get(&ends).copied();
        let mut channel = channel.unwrap_or(Channel {
            is_bad: true,
            until: now,
        });
        while channel.until <= now {
            channel.is_bad = !channel.is_bad;
            let mean = if channel.is_bad {
                burst.bad
            } else {
                burst.good
            };
            channel.until += self.up_to(mean * 2) + Duration::from_micros(1);
        }
        self.channels.insert(ends, channel);
        channel.is_bad
    }

    /// The time of the next arrival.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|(&(at, _), _)| at)
    }

    /// The next datagram that has arrived by `now`.
    pub fn poll_arrival(&mut self, now: Instant) -> Option<Arrival> {
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
            let datagram = network.poll_arrival(now).unwrap().datagram;
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
    fn bursts_lose_all_for_a_while_and_nothing_in_between() {
        let burst = Burst {
            good: Duration::from_millis(400),
            bad: Duration::from_millis(100),
        };
        let link = LinkConfig {
            burst: Some(burst),
            ..LinkConfig::GOOD
        };
        let address = "192.0.2.1:1".parse().unwrap();
        let mut network = Network::new(3);
        for number in 0..10_000 {
            let datagram = Datagram {
                from: address,
                to: address,
                bytes: vec![0],
            };
            network.send(Instant::from_micros(number * 10_000), &link, datagram);
        }
        let mut arrived = Vec::new();
        while let Some(now) = network.next_arrival() {
            arrived.push(network.poll_arrival(now).unwrap().sent_at.as_micros() / 10_000);
        }
        let gaps: Vec<_> = arrived
            .windows(2)
            .map(|pair| pair[1] - pair[0] - 1)
            .collect();
        let bursts = gaps.iter().filter(|gap| **gap > 0).count();
        let longest = gaps.iter().max().unwrap();
        assert!((7_500..8_500).contains(&arrived.len()), "{}", arrived.len());
        assert!((150..250).contains(&bursts), "{bursts}");
        assert!((15..=20).contains(longest), "{longest}");
    }

    #[test]
    fn what_is_longer_than_the_mtu_is_lost() {
        let link = LinkConfig {
            mtu: 0,
            ..LinkConfig::GOOD
        };
        assert_eq!(arrivals(1, link, 5), []);
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
