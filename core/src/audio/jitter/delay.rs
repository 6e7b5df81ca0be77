//! The model of packet delay: the fastest recent transit, and the distribution of delays above it.

/// Buckets of the histogram; times 20 ms, the longest delay that it distinguishes.
const BUCKETS: usize = 50;
/// The whole of the histogram, a fixed-point 1.
const ONE: u32 = 1 << 24;
/// The weight of the configured start delay, in packets.
const PRIOR: u32 = 8;
/// The minimum weight of a packet is one in `MEMORY`: about five seconds of 20 ms packets.
const MEMORY: u32 = 256;
/// The minimum is taken over the last one to two times this many packets, so that it follows a
/// drifting clock (12 s at 60 ms and 200 ppm: 2.4 ms).
const WINDOW: u16 = 100;
/// After this many seconds without a packet the old minimum is discarded.
const STALE_SECONDS: i64 = 30;

/// All times are in samples of the RTP clock.
#[derive(Debug, Clone)]
pub(super) struct DelayModel {
    bucket: i64,
    stale: i64,
    shares: [u32; BUCKETS],
    weight: u32,
    minimum: Option<Minimum>,
}

/// The smallest transit of the current window of packets, and of the one before.
#[derive(Debug, Clone, Copy)]
struct Minimum {
    current: i64,
    previous: i64,
    packets: u16,
    last_arrival: i64,
}

impl Minimum {
    fn least(&self) -> i64 {
        self.current.min(self.previous)
    }
}

impl DelayModel {
    /// `rate` in samples per second, `start` the delay to assume until packets arrive.
    pub(super) fn new(rate: i64, start: i64) -> Self {
        let bucket = bucket(rate);
        let mut shares = [0; BUCKETS];
        if let Some(share) = shares.get_mut(Self::index(start.saturating_sub(1), bucket)) {
            *share = ONE;
        }
        Self {
            bucket,
            stale: rate.saturating_mul(STALE_SECONDS),
            shares,
            weight: PRIOR,
            minimum: None,
        }
    }

    /// The transit of the fastest recent packet, if there was one.
    pub(super) fn base(&self) -> Option<i64> {
        self.minimum.map(|minimum| minimum.least())
    }

    /// Discards the fastest transit (the sender's clock jumped), but not the distribution.
    pub(super) fn forget_base(&mut self) {
        self.minimum = None;
    }

    /// Learns from a packet that came at `arrival` with `transit` (arrival minus timestamp).
    pub(super) fn observe(&mut self, arrival: i64, transit: i64) {
        let mut minimum = match self.minimum {
            Some(minimum) if arrival.saturating_sub(minimum.last_arrival) < self.stale => minimum,
            _ => Minimum {
                current: transit,
                previous: transit,
                packets: 0,
                last_arrival: arrival,
            },
        };
        if minimum.packets >= WINDOW {
            minimum.previous = minimum.current;
            minimum.current = transit;
            minimum.packets = 0;
        }
        minimum.current = minimum.current.min(transit);
        minimum.packets = minimum.packets.saturating_add(1);
        minimum.last_arrival = arrival;
        self.minimum = Some(minimum);

        let lateness = transit.saturating_sub(minimum.least());
        self.weight = self.weight.saturating_add(1).min(MEMORY);
        for share in &mut self.shares {
            *share -= *share / self.weight;
        }
        if let Some(share) = self.shares.get_mut(Self::index(lateness, self.bucket)) {
            *share = share.saturating_add(ONE / self.weight);
        }
    }

    /// The delay that 95 % of the packets do not exceed, rounded up to whole buckets.
    pub(super) fn quantile(&self) -> i64 {
        let total: u64 = self.shares.iter().map(|&share| u64::from(share)).sum();
        let enough = total - total / 20;
        let mut sum = 0;
        let mut delay = 0_i64;
        for &share in &self.shares {
            sum += u64::from(share);
            delay = delay.saturating_add(self.bucket);
            if sum >= enough {
                break;
            }
        }
        delay
    }

    fn index(lateness: i64, bucket: i64) -> usize {
        usize::try_from(lateness.max(0) / bucket.max(1))
            .unwrap_or(BUCKETS)
            .min(BUCKETS - 1)
    }
}

/// 20 ms in samples.
fn bucket(rate: i64) -> i64 {
    (rate / 50).max(1)
}

/// The longest delay that a model can find, in samples.
pub(super) fn longest(rate: i64) -> i64 {
    bucket(rate) * BUCKETS as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 48;

    fn model() -> DelayModel {
        DelayModel::new(48_000, 80 * MS)
    }

    /// Feeds 20 ms packets, each `lateness(n)` ms late, and returns the model.
    fn fed(mut model: DelayModel, packets: i64, lateness: impl Fn(i64) -> i64) -> DelayModel {
        for n in 0..packets {
            let transit = 1_000 * MS + lateness(n) * MS;
            model.observe(n * 20 * MS + transit, transit);
        }
        model
    }

    #[test]
    fn starts_with_the_configured_delay_and_fades_it_out() {
        assert_eq!(model().quantile(), 80 * MS);
        assert_eq!(fed(model(), 50, |_| 0).quantile(), 80 * MS);
        assert_eq!(fed(model(), 200, |_| 0).quantile(), 20 * MS);
    }

    #[test]
    fn finds_the_quantile() {
        // 1 in 10 packets is 100 ms late: within the 0.95 quantile. 1 in 40 is not.
        let tenth = fed(model(), 1_000, |n| if n % 10 == 3 { 100 } else { 0 });
        assert_eq!(tenth.quantile(), 120 * MS);
        let fortieth = fed(model(), 1_000, |n| if n % 40 == 3 { 100 } else { 0 });
        assert_eq!(fortieth.quantile(), 20 * MS);
    }

    #[test]
    fn follows_a_drifting_clock_without_seeing_jitter() {
        // 200 ppm either way for an hour; packet durations of 20 ms drift 4 µs each.
        for sign in [-1, 1] {
            let mut model = model();
            for n in 0..180_000_i64 {
                let transit = sign * n * 20 * MS / 5_000;
                model.observe(n * 20 * MS + transit, transit);
                if n > 300 {
                    assert_eq!(model.quantile(), 20 * MS, "packet {n}");
                }
            }
        }
    }

    #[test]
    fn a_longer_path_becomes_the_new_base() {
        let detour = fed(model(), 1_000, |n| if n < 400 { 0 } else { 150 });
        assert_eq!(detour.base(), Some(1_150 * MS));
    }

    #[test]
    fn after_a_long_pause_the_old_base_is_forgotten() {
        let mut model = fed(model(), 150, |_| 0);
        // Ten minutes later a slow clock has fallen 120 ms behind.
        let transit = 1_120 * MS;
        model.observe(600_000 * MS, transit);
        assert_eq!(model.base(), Some(transit));
    }

    #[test]
    fn shares_stay_within_one() {
        let fed = fed(model(), 10_000, |n| n * 7919 % 300);
        let total: u64 = fed.shares.iter().map(|&share| u64::from(share)).sum();
        assert!(total <= u64::from(ONE) + 100 * u64::from(MEMORY));
        assert!(total > u64::from(ONE) / 2);
    }
}
