//! Bits per second, lately.

use crate::time::{Duration, Instant, micros};

/// A rate is measured over this time, and counts as much as that before it.
const INTERVAL: Duration = Duration::from_millis(500);
/// Nothing for so long is a rate of 0.
const SILENCE: Duration = Duration::from_secs(2);

/// The rates of a flow's `N` parts.
#[derive(Debug)]
pub(crate) struct Rates<const N: usize> {
    since: Option<Instant>,
    bytes: [u32; N],
    rates: [u32; N],
}

impl<const N: usize> Rates<N> {
    pub(crate) const fn new() -> Self {
        Self {
            since: None,
            bytes: [0; N],
            rates: [0; N],
        }
    }

    /// So many bytes of a part passed.
    pub(crate) fn add(&mut self, now: Instant, part: usize, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= INTERVAL {
            let is_first = self.rates == [0; N] || elapsed >= SILENCE;
            for (rate, bytes) in self.rates.iter_mut().zip(&mut self.bytes) {
                let bits = u64::from(core::mem::take(bytes)) * 8_000_000;
                let latest = bits.checked_div(micros(elapsed)).unwrap_or(0);
                let mean = match is_first {
                    true => latest,
                    false => u64::midpoint(latest, u64::from(*rate)),
                };
                *rate = u32::try_from(mean).unwrap_or(u32::MAX);
            }
            self.since = Some(now);
        }
        if let Some(sum) = self.bytes.get_mut(part) {
            *sum = sum.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// Bits per second of each part.
    pub(crate) fn rates(&self, now: Instant) -> [u32; N] {
        match self.since {
            Some(since) if now.saturating_duration_since(since) < SILENCE => self.rates,
            _ => [0; N],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_has_its_rate_and_one_that_ends_has_none() {
        let mut rates = Rates::<2>::new();
        let at = |ms: u64| Instant::from_micros(ms * 1_000);
        for ms in (0..3_000).step_by(20) {
            rates.add(at(ms), 0, 250);
            rates.add(at(ms), 1, 25);
        }
        let [one, other] = rates.rates(at(3_000));
        assert!((96_000..=104_000).contains(&one), "{one}");
        assert!((9_600..=10_400).contains(&other), "{other}");
        assert_eq!(rates.rates(at(4_999)), [0, 0]);
    }

    #[test]
    fn a_flow_that_changes_has_the_new_rate_after_two_seconds() {
        let mut rates = Rates::<1>::new();
        let at = |ms: u64| Instant::from_micros(ms * 1_000);
        for ms in (0..5_000).step_by(20) {
            let bytes = if ms < 3_000 { 2_500 } else { 250 };
            rates.add(at(ms), 0, bytes);
        }
        let [rate] = rates.rates(at(5_000));
        assert!((95_000..=220_000).contains(&rate), "{rate}");
    }
}
