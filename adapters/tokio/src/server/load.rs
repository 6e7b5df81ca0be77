//! How busy a worker is.

use parlour_core::time::{Duration, Instant};

/// How long the time is counted before it tells something.
pub(super) const PERIOD: Duration = Duration::from_millis(100);

/// The share of the time in which a worker did not wait.
#[derive(Debug)]
pub(super) struct Load {
    since: Instant,
    waited: Duration,
}

impl Load {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            waited: Duration::ZERO,
        }
    }

    /// Takes in a wait; now and then says how busy the worker was since it last did, or who helps it, in percent.
    /// `busiest` is how long the busiest of those has worked since it was last asked.
    pub(super) fn waited(
        &mut self,
        from: Instant,
        to: Instant,
        busiest: impl FnOnce() -> Duration,
    ) -> Option<u8> {
        self.waited += to.saturating_duration_since(from);
        let period = to.saturating_duration_since(self.since);
        if period < PERIOD {
            return None;
        }
        let busy = period.saturating_sub(self.waited).max(busiest());
        let percent = (busy.as_micros() * 100).div_ceil(period.as_micros());
        *self = Self::new(to);
        Some(u8::try_from(percent).unwrap_or(100).min(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_waited_is_worked() {
        let at = |ms: u64| Instant::from_micros(ms * 1000);
        let alone = || Duration::ZERO;
        let mut load = Load::new(at(0));
        assert_eq!(load.waited(at(0), at(20), alone), None);
        assert_eq!(load.waited(at(60), at(70), alone), None);
        assert_eq!(load.waited(at(95), at(105), alone), Some(62));
        assert_eq!(load.waited(at(105), at(1105), alone), Some(0));
        assert_eq!(load.waited(at(2105), at(2105), alone), Some(100));
    }

    #[test]
    fn a_busy_sender_counts_like_a_busy_worker() {
        let at = |ms: u64| Instant::from_micros(ms * 1000);
        let mut load = Load::new(at(0));
        let sending = |ms| move || Duration::from_millis(ms);
        assert_eq!(load.waited(at(10), at(100), sending(80)), Some(80));
        assert_eq!(load.waited(at(150), at(200), sending(20)), Some(50));
        // It says so when it is done with a batch, which may have begun long ago.
        assert_eq!(load.waited(at(200), at(300), sending(120)), Some(100));
    }
}
