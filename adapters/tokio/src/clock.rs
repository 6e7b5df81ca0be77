//! The one place where this crate reads clocks.

use parlour_core::time::Instant;

/// Time for the core: microseconds since this clock was made, by tokio's clock, so that
/// `tokio::time::pause` stops it, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        let micros = self.origin.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// When `instant` is, for tokio's timers.
    pub(crate) fn at(&self, instant: Instant) -> tokio::time::Instant {
        let since = instant.saturating_duration_since(Instant::from_micros(0));
        // Beyond what the platform can represent, a century is as good as never.
        const CENTURY: std::time::Duration = std::time::Duration::from_secs(3_155_760_000);
        self.origin + since.min(CENTURY)
    }
}

/// The time of day.
#[cfg(feature = "server")]
#[allow(
    clippy::disallowed_methods,
    reason = "tokens expire and histories are written by wall-clock time, and this crate is the embedder that reads it"
)]
pub(crate) fn wall() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// Seconds since 1970, UTC: what the times in a token count.
#[cfg(feature = "server")]
pub(crate) fn unix_seconds() -> u64 {
    let since = wall().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_core::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn follows_the_paused_clock_and_converts_back() {
        let clock = Clock::new();
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(clock.now(), Instant::from_micros(1_500_000));
        let later = clock.now() + Duration::from_secs(1);
        assert_eq!(
            clock.at(later) - tokio::time::Instant::now(),
            Duration::from_secs(1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_time_is_a_time() {
        let clock = Clock::new();
        assert!(clock.at(Instant::from_micros(u64::MAX)) > tokio::time::Instant::now());
    }
}
