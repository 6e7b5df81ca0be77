//! How long a round trip takes, and how long to wait for one:
//! [RFC 6298](https://www.rfc-editor.org/rfc/rfc6298).

use crate::time::{self, Duration};

/// Estimates the round-trip time of a path from samples, and from that the time after which an
/// answer that is still missing is taken for lost.
///
/// Feed it only unambiguous samples, those of packets that were sent once (Karn's rule,
/// [RFC 6298 section 3](https://www.rfc-editor.org/rfc/rfc6298#section-3)).
///
/// ```
/// use parlour_core::signal::RttEstimator;
/// use parlour_core::time::Duration;
///
/// let mut rtt = RttEstimator::new();
/// assert_eq!((rtt.smoothed(), rtt.timeout()), (None, Duration::from_secs(1)));
/// rtt.sample(Duration::from_millis(80));
/// assert_eq!(rtt.smoothed(), Some(Duration::from_millis(80)));
/// assert_eq!(rtt.timeout(), Duration::from_millis(80 + 4 * 40));
/// rtt.back_off(); // nothing came back within that
/// assert_eq!(rtt.timeout(), Duration::from_millis(2 * 240));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RttEstimator {
    estimate: Option<Estimate>,
    /// Timeouts since the last sample; each doubles the timeout.
    backoff: u8,
}

/// Both in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Estimate {
    smoothed: u32,
    variation: u32,
}

impl RttEstimator {
    /// The timeout before the first sample
    /// ([RFC 6298 section 2.1](https://www.rfc-editor.org/rfc/rfc6298#section-2)).
    pub const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);
    /// The least timeout. The RFC's whole second is far too long in a conversation; this still
    /// spans a few of the beacon intervals for which a dozing Wi-Fi radio holds packets back.
    pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);
    /// The longest timeout, backed off or not. The RFC allows a bound of a minute or more; in a
    /// conversation, who is silent for longer than a few of these counts as gone.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(3);
    /// The RFC's clock granularity: the least distance between the smoothed round-trip time and
    /// the timeout. One audio frame, since an end may answer only when it next sends one.
    pub const GRANULARITY: Duration = Duration::from_millis(20);

    /// Longer samples count as this long, which keeps the arithmetic far from its bounds.
    const MAX_SAMPLE: Duration = Duration::from_secs(60);
    /// More doublings than this cannot matter: `MIN_TIMEOUT << 5 > MAX_TIMEOUT`.
    const MAX_BACKOFF: u8 = 5;

    /// Knows nothing yet.
    pub const fn new() -> Self {
        Self {
            estimate: None,
            backoff: 0,
        }
    }

    /// Takes in that a round trip took `rtt`, and forgets timeouts before
    /// ([RFC 6298 section 2](https://www.rfc-editor.org/rfc/rfc6298#section-2)).
    pub fn sample(&mut self, rtt: Duration) {
        let rtt = micros(rtt.min(Self::MAX_SAMPLE));
        self.backoff = 0;
        self.estimate = Some(match self.estimate {
            None => Estimate {
                smoothed: rtt,
                variation: rtt / 2,
            },
            Some(Estimate {
                smoothed,
                variation,
            }) => Estimate {
                smoothed: smoothed - smoothed / 8 + rtt / 8,
                variation: variation - variation / 4 + smoothed.abs_diff(rtt) / 4,
            },
        });
    }

    /// Takes in that nothing came back within [`timeout`](Self::timeout): it doubles, until the
    /// next sample ([RFC 6298 section 5.5](https://www.rfc-editor.org/rfc/rfc6298#section-5)).
    pub fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1).min(Self::MAX_BACKOFF);
    }

    /// Takes in that something came back after all, though nobody knows how long that took: the
    /// timeout is again what the samples say, as
    /// [RFC 9002 section 6.2.1](https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1) has it.
    ///
    /// A peer that takes messages slowly would else be sent each few of them only after the longest
    /// timeout. Before the first sample nothing changes: there the longer timeout is the best guess.
    pub fn end_back_off(&mut self) {
        if self.estimate.is_some() {
            self.backoff = 0;
        }
    }

    /// The smoothed round-trip time (SRTT); `None` before the first sample.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed_micros()
            .map(|smoothed| Duration::from_micros(smoothed.into()))
    }

    /// The same in µs: at most a minute.
    pub(crate) fn smoothed_micros(&self) -> Option<u32> {
        self.estimate.map(|estimate| estimate.smoothed)
    }

    /// The mean deviation of the round-trip time (RTTVAR); `None` before the first sample.
    pub fn variation(&self) -> Option<Duration> {
        self.estimate
            .map(|estimate| Duration::from_micros(estimate.variation.into()))
    }

    /// How long to wait for an answer now (RTO), from [`MIN_TIMEOUT`](Self::MIN_TIMEOUT) to
    /// [`MAX_TIMEOUT`](Self::MAX_TIMEOUT).
    pub fn timeout(&self) -> Duration {
        let most = micros(Self::MAX_TIMEOUT);
        let timeout = self.base_micros().min(most) << self.backoff;
        Duration::from_micros(timeout.min(most).into())
    }

    /// The same without the doubling: for who counts timeouts by itself.
    pub(crate) fn base_timeout(&self) -> Duration {
        Duration::from_micros(self.base_micros().into())
    }

    /// In µs, which a microcontroller adds with fewer instructions than times.
    fn base_micros(&self) -> u32 {
        let Some(estimate) = self.estimate else {
            return micros(Self::INITIAL_TIMEOUT);
        };
        let margin = estimate.variation * 4;
        let timeout = estimate.smoothed + margin.max(micros(Self::GRANULARITY));
        timeout.max(micros(Self::MIN_TIMEOUT))
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(time::micros(duration)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(samples: &[u64]) -> RttEstimator {
        let mut rtt = RttEstimator::new();
        for sample in samples {
            rtt.sample(Duration::from_micros(*sample));
        }
        rtt
    }

    #[test]
    fn follows_the_formulas_of_rfc_6298() {
        let rtt = after(&[80_000]);
        assert_eq!(rtt.smoothed(), Some(Duration::from_micros(80_000)));
        assert_eq!(rtt.variation(), Some(Duration::from_micros(40_000)));
        assert_eq!(rtt.timeout(), Duration::from_micros(80_000 + 160_000));
        let rtt = after(&[80_000, 160_000]);
        // RTTVAR = 3/4 · 40 + 1/4 · |80 − 160|, with the old SRTT; SRTT = 7/8 · 80 + 1/8 · 160.
        assert_eq!(rtt.variation(), Some(Duration::from_micros(50_000)));
        assert_eq!(rtt.smoothed(), Some(Duration::from_micros(90_000)));
        assert_eq!(rtt.timeout(), Duration::from_micros(90_000 + 200_000));
    }

    #[test]
    fn a_steady_path_keeps_a_margin() {
        assert_eq!(after(&[1_000; 100]).timeout(), RttEstimator::MIN_TIMEOUT);
        let steady = after(&[200_000; 100]);
        assert_eq!(
            steady.timeout(),
            Duration::from_micros(200_000) + RttEstimator::GRANULARITY
        );
    }

    #[test]
    fn progress_ends_the_backing_off_once_there_is_an_estimate() {
        let mut rtt = RttEstimator::new();
        rtt.back_off();
        rtt.end_back_off();
        assert_eq!(rtt.timeout(), Duration::from_secs(2));
        rtt.sample(Duration::from_millis(100));
        let timeout = rtt.timeout();
        rtt.back_off();
        rtt.end_back_off();
        assert_eq!(rtt.timeout(), timeout);
    }

    #[test]
    fn backs_off_up_to_the_bound_and_recovers_with_a_sample() {
        let mut rtt = after(&[10_000]);
        let mut waits = [0; 8];
        for wait in &mut waits {
            *wait = rtt.timeout().as_millis();
            rtt.back_off();
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
        rtt.sample(Duration::from_micros(10_000));
        assert_eq!(rtt.timeout(), RttEstimator::MIN_TIMEOUT);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn stays_among_the_samples(samples in prop::collection::vec(any::<u64>(), 1..50)) {
            let rtt = after(&samples);
            let longest = RttEstimator::MAX_SAMPLE;
            let clamp = |micros: &u64| Duration::from_micros(*micros).min(longest);
            let low = samples.iter().map(clamp).min().unwrap();
            let high = samples.iter().map(clamp).max().unwrap();
            // Dividing down may lose a few µs.
            let smoothed = rtt.smoothed().unwrap();
            prop_assert!(smoothed + Duration::from_micros(8) >= low);
            prop_assert!(smoothed <= high + Duration::from_micros(8));
            prop_assert!(rtt.variation().unwrap() <= high);
            prop_assert!(rtt.timeout() >= RttEstimator::MIN_TIMEOUT);
            prop_assert!(rtt.timeout() <= RttEstimator::MAX_TIMEOUT);
        }

        #[test]
        fn settles_on_a_steady_path(
            before in prop::collection::vec(0_u64..10_000_000, 0..20),
            steady in 0_u64..2_000_000,
        ) {
            let mut rtt = after(&before);
            for _ in 0..120 {
                rtt.sample(Duration::from_micros(steady));
            }
            let smoothed = i128::try_from(rtt.smoothed().unwrap().as_micros()).unwrap();
            prop_assert!((smoothed - i128::from(steady)).abs() <= 16);
        }
    }
}
