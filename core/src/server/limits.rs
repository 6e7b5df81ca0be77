//! How often is too often.

use alloc::collections::BTreeMap;

use super::Rate;
use crate::time::{Duration, Instant, micros};

/// A token bucket: it is full at first, every event takes one token, and `per_second` tokens
/// trickle in up to `burst`. It takes no timer, only the time of the event.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenBucket {
    rate: Rate,
    /// Millionths of a token, so that one µs brings a whole number of them.
    fill: u64,
    filled: Instant,
}

const TOKEN: u64 = 1_000_000;

impl TokenBucket {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            fill: u64::from(rate.burst) * TOKEN,
            filled: now,
        }
    }

    fn fill_until(&mut self, now: Instant) {
        let elapsed = micros(now.saturating_duration_since(self.filled));
        let gained = elapsed.saturating_mul(u64::from(self.rate.per_second));
        self.fill = self.fill.saturating_add(gained).min(self.full());
        self.filled = self.filled.max(now);
    }

    fn full(&self) -> u64 {
        u64::from(self.rate.burst) * TOKEN
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.take_many(now, 1)
    }

    /// Takes this many tokens if there are as many.
    fn take_many(&mut self, now: Instant, tokens: u32) -> bool {
        self.fill_until(now);
        match self.fill.checked_sub(u64::from(tokens) * TOKEN) {
            Some(rest) => {
                self.fill = rest;
                true
            }
            None => false,
        }
    }
}

/// A participant that exceeds its rate by this factor is not only limited but cut off.
const FLOOD: u32 = 5;

/// The limit of one kind of traffic of one participant.
#[derive(Debug)]
pub(super) struct Allowance {
    granted: TokenBucket,
    tolerated: TokenBucket,
}

/// The treatment of one more packet or request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Granted,
    /// Too many: drop it, and say so where there is an answer.
    Limited,
    /// Far too many, for too long to be an accident: close the connection.
    Flooded,
}

impl Allowance {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let tolerated = Rate {
            per_second: rate.per_second.saturating_mul(FLOOD),
            burst: rate.burst.saturating_mul(FLOOD),
        };
        Self {
            granted: TokenBucket::new(rate, now),
            tolerated: TokenBucket::new(tolerated, now),
        }
    }

    pub(super) fn take(&mut self, now: Instant) -> Verdict {
        self.take_many(now, 1)
    }

    /// The same for traffic that counts as several.
    pub(super) fn take_many(&mut self, now: Instant, tokens: u32) -> Verdict {
        if !self.tolerated.take_many(now, tokens) {
            Verdict::Flooded
        } else if self.granted.take_many(now, tokens) {
            Verdict::Granted
        } else {
            Verdict::Limited
        }
    }
}

/// Takers that an [`EachBucket`] counts at a time; those beyond are not limited.
const MAX_TAKERS: usize = 16_384;

/// A [`TokenBucket`] for each of many takers. It remembers only those that are not full.
#[derive(Debug)]
pub(super) struct EachBucket<K> {
    rate: Rate,
    buckets: BTreeMap<K, TokenBucket>,
    swept: Instant,
}

impl<K: Ord> EachBucket<K> {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            buckets: BTreeMap::new(),
            swept: now,
        }
    }

    /// Whether `taker` has a token.
    pub(super) fn has(&mut self, now: Instant, taker: &K) -> bool {
        let bucket = self.buckets.get_mut(taker);
        bucket.is_none_or(|bucket| {
            bucket.fill_until(now);
            bucket.fill >= TOKEN
        })
    }

    /// Takes a token of `taker`, if it has one.
    pub(super) fn take(&mut self, now: Instant, taker: K) -> bool {
        if now >= self.swept + WINDOW {
            self.swept = now;
            self.buckets.retain(|_, bucket| {
                bucket.fill_until(now);
                bucket.fill < bucket.full()
            });
        }
        if self.buckets.len() >= MAX_TAKERS && !self.buckets.contains_key(&taker) {
            return true;
        }
        let bucket = self.buckets.entry(taker);
        bucket
            .or_insert_with(|| TokenBucket::new(self.rate, now))
            .take(now)
    }
}

/// How long a [`SharedBucket`] counts before it begins anew, and an [`EachBucket`] before it drops entries that it
/// need not remember.
const WINDOW: Duration = Duration::from_secs(1);
/// One taker may have this fraction of the tokens of that time.
const SHARE: u32 = 4;
/// Takers counted in that time; further ones share the bucket uncounted.
const MAX_COUNTED: usize = 1_024;

/// A [`TokenBucket`] that no single taker can empty.
#[derive(Debug)]
pub(super) struct SharedBucket<K> {
    bucket: TokenBucket,
    share: u32,
    taken: BTreeMap<K, u32>,
    counted_since: Instant,
}

impl<K: Ord> SharedBucket<K> {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            bucket: TokenBucket::new(rate, now),
            share: rate.per_second.div_ceil(SHARE),
            taken: BTreeMap::new(),
            counted_since: now,
        }
    }

    /// Takes a token for `taker`, if there is one for it.
    pub(super) fn take(&mut self, now: Instant, taker: K) -> bool {
        if now >= self.counted_since + WINDOW {
            self.taken.clear();
            self.counted_since = now;
        }
        let taken = self.taken.get(&taker).copied();
        if taken.unwrap_or(0) >= self.share || !self.bucket.take(now) {
            return false;
        }
        if taken.is_some() || self.taken.len() < MAX_COUNTED {
            self.taken.insert(taker, taken.unwrap_or(0) + 1);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Duration;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 3,
    };

    #[test]
    fn a_burst_then_the_steady_rate() {
        let start = Instant::from_micros(5);
        let mut bucket = TokenBucket::new(RATE, start);
        let at_once = (0..10).filter(|_| bucket.take(start)).count();
        assert_eq!(at_once, 3);
        assert!(!bucket.take(start + Duration::from_millis(99)));
        assert!(bucket.take(start + Duration::from_millis(100)));
        assert!(!bucket.take(start + Duration::from_millis(199)));
        let rested = start + Duration::from_secs(100);
        assert_eq!((0..10).filter(|_| bucket.take(rested)).count(), 3);
    }

    #[test]
    fn too_much_is_limited_and_far_too_much_is_a_flood() {
        let start = Instant::from_micros(5);
        let verdicts = |times: u32| {
            let mut allowance = Allowance::new(RATE, start);
            // Ten seconds at this multiple of the rate.
            (0..times * RATE.per_second * 10)
                .map(|n| {
                    let gap = Duration::from_secs(1) / (times * RATE.per_second);
                    allowance.take(start + gap * n)
                })
                .collect::<alloc::vec::Vec<_>>()
        };
        assert!(verdicts(1).iter().all(|v| *v == Verdict::Granted));
        let limited = verdicts(5);
        let granted = limited.iter().filter(|v| **v == Verdict::Granted).count();
        assert!((100..=104).contains(&granted), "{granted}");
        assert!(!limited.contains(&Verdict::Flooded));
        assert!(verdicts(10).contains(&Verdict::Flooded));
    }

    #[test]
    fn nobody_empties_a_shared_bucket_alone() {
        let rate = Rate {
            per_second: 12,
            burst: 12,
        };
        let start = Instant::from_micros(7);
        let mut bucket = SharedBucket::new(rate, start);
        let greedy =
            |bucket: &mut SharedBucket<u32>, now| (0..100).filter(|_| bucket.take(now, 1)).count();
        assert_eq!(greedy(&mut bucket, start), 3);
        assert!(bucket.take(start, 2));
        assert_eq!(greedy(&mut bucket, start + Duration::from_millis(999)), 0);
        assert_eq!(greedy(&mut bucket, start + WINDOW), 3);
        // All together get no more than the bucket has, and are counted in bounded memory.
        let later = start + 10 * WINDOW;
        assert_eq!((0..5_000).filter(|n| bucket.take(later, *n)).count(), 12);
        let many = Rate {
            per_second: 1,
            burst: 10_000,
        };
        let mut bucket = SharedBucket::new(many, start);
        assert!((0..5_000).all(|n| bucket.take(start, n)));
        assert_eq!(bucket.taken.len(), MAX_COUNTED);
    }

    #[test]
    fn each_has_a_bucket_and_full_ones_are_forgotten() {
        let start = Instant::from_micros(7);
        let mut buckets = EachBucket::new(RATE, start);
        let greedy =
            |buckets: &mut EachBucket<u32>, now| (0..9).filter(|_| buckets.take(now, 1)).count();
        assert_eq!(greedy(&mut buckets, start), 3);
        assert!(buckets.take(start, 2), "it is another one");
        let later = start + WINDOW;
        assert!(buckets.take(later, 3));
        assert_eq!(buckets.buckets.len(), 1, "the others are full again");
        assert_eq!(greedy(&mut buckets, later), 3);
        let many = 2 * MAX_TAKERS as u32;
        assert!((10..many).all(|taker| buckets.take(later, taker)));
        assert_eq!(buckets.buckets.len(), MAX_TAKERS);
        assert_eq!(greedy(&mut buckets, later), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(gaps in prop::collection::vec(0u64..400_000, 1..200)) {
            let start = Instant::from_micros(0);
            let mut bucket = TokenBucket::new(RATE, start);
            let mut now = start;
            let mut taken = 0;
            for gap in gaps {
                now += Duration::from_micros(gap);
                taken += u64::from(bucket.take(now));
                prop_assert!(taken <= 3 + now.as_micros() * 10 / 1_000_000);
            }
        }

        #[test]
        fn any_time_and_rate_is_survived(
            per_second: u32,
            burst: u32,
            times in prop::collection::vec(any::<u64>(), 1..20),
        ) {
            let mut bucket = TokenBucket::new(Rate { per_second, burst }, Instant::from_micros(0));
            for time in times {
                let taken = bucket.take(Instant::from_micros(time));
                prop_assert!(burst > 0 || !taken);
            }
        }
    }
}
