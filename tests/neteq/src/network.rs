//! Networks: when each packet arrives, from a seed.

/// Every packet takes at least so many µs.
pub const FASTEST: u64 = 20_000;
const FRAME_US: u64 = 20_000;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of a standard normal distribution, nearly.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Clean,
    /// A share of the packets.
    Loss(f64),
    /// A share of the packets, in bursts of this mean length.
    Bursts(f64, f64),
    /// The standard deviation of the delay, in ms, and a share that is lost.
    Jitter(f64, f64),
    /// The way is shut for 100 to 300 ms, every five seconds or so.
    Stalls,
    /// 100 ms longer in the middle third.
    Step,
}

#[derive(Debug, Clone, Copy)]
pub struct Network {
    pub name: &'static str,
    pub kind: Kind,
    /// The talker pauses, and sends nothing then.
    pub pauses: bool,
}

const fn network(name: &'static str, kind: Kind) -> Network {
    Network {
        name,
        kind,
        pauses: false,
    }
}

const fn pausing(name: &'static str, kind: Kind) -> Network {
    Network {
        name,
        kind,
        pauses: true,
    }
}

pub const NETWORKS: [Network; 13] = [
    network("clean", Kind::Clean),
    network("loss of 5 %", Kind::Loss(0.05)),
    network("loss of 10 %", Kind::Loss(0.1)),
    network("loss of 20 %", Kind::Loss(0.2)),
    network("bursts of 5, 10 % lost", Kind::Bursts(0.1, 5.0)),
    network("jitter, sd 10 ms", Kind::Jitter(10.0, 0.0)),
    network("jitter, sd 30 ms", Kind::Jitter(30.0, 0.0)),
    network("jitter, sd 60 ms", Kind::Jitter(60.0, 0.0)),
    network("stalls of 100 to 300 ms", Kind::Stalls),
    network("a step of 100 ms and back", Kind::Step),
    network("sd 30 ms, 10 % lost", Kind::Jitter(30.0, 0.1)),
    pausing("pauses (DTX)", Kind::Clean),
    pausing("pauses, sd 20 ms, 2 % lost", Kind::Jitter(20.0, 0.02)),
];

impl Network {
    /// For each of so many frames the µs at which it arrives, unless it is lost. It is sent when its 20 ms are over.
    pub fn arrivals(&self, seed: u64, frames: usize) -> Vec<Option<u64>> {
        let name = self.name.bytes().fold(seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        let mut chance = Chance(name);
        let (mut in_burst, mut stall) = (false, (0.0, 0.0));
        let arrival = |frame| {
            let sent = (frame as u64 + 1) * FRAME_US;
            let ms = match self.kind {
                Kind::Clean => Some(0.0),
                Kind::Loss(share) => (chance.next() >= share).then_some(0.0),
                Kind::Bursts(share, length) => {
                    let turns = if in_burst {
                        1.0 / length
                    } else {
                        share / length / (1.0 - share)
                    };
                    in_burst ^= chance.next() < turns;
                    (!in_burst).then_some(0.0)
                }
                Kind::Jitter(deviation, lost) => {
                    let delay = 3.0 * deviation + chance.normal() * deviation;
                    (chance.next() >= lost).then_some(delay.max(0.0))
                }
                Kind::Stalls => {
                    let now = sent as f64 / 1_000.0;
                    let (begins, ends) = &mut stall;
                    if now >= *begins {
                        *ends = now + 100.0 + 200.0 * chance.next();
                        *begins = now + 3_000.0 + 4_000.0 * chance.next();
                    }
                    Some((*ends - now).max(0.0) + 2.0 * chance.next())
                }
                Kind::Step => Some(if frame * 3 / frames == 1 { 100.0 } else { 0.0 }),
            };
            ms.map(|ms| sent + FASTEST + (ms * 1_000.0) as u64)
        };
        (0..frames).map(arrival).collect()
    }
}
