//! How long a round trip takes, and how long to wait for one:
//! [RFC 6298](https://www.rfc-editor.org/rfc/rfc6298).

use crate::time::Duration;

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

    /// The smoothed round-trip time (SRTT); `None` before the first sample.
    pub fn smoothed(&self) -> Option<Duration> {
        self.estimate
            .map(|estimate| Duration::from_micros(estimate.smoothed.into()))
    }

    /// The mean deviation of the round-trip time (RTTVAR); `None` before the first sample.
    pub fn variation(&self) -> Option<Duration> {
        self.estimate
            .map(|estimate| Duration::from_micros(estimate.variation.into()))
    }

    /// How long to wait for an answer now (RTO), from [`MIN_TIMEOUT`](Self::MIN_TIMEOUT) to
    /// [`MAX_TIMEOUT`](Self::MAX_TIMEOUT).
    pub fn timeout(&self) -> Duration {
        let base = match self.estimate {
            None => Self::INITIAL_TIMEOUT,
            Some(Estimate {
                smoothed,
                variation,
            }) => {
                let margin = u64::from(variation) * 4;
                let margin = Duration::from_micros(margin).max(Self::GRANULARITY);
                Duration::from_micros(smoothed.into())
                    .saturating_add(margin)
                    .max(Self::MIN_TIMEOUT)
            }
        };
        base.saturating_mul(1 << self.backoff)
            .min(Self::MAX_TIMEOUT)
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
