//! How busy a worker is.

use parlour_core::time::{Duration, Instant};

/// How long the time is counted before it tells something.
const PERIOD: Duration = Duration::from_millis(100);

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

    /// Takes in a wait; now and then says how busy the worker was since it last did, in percent.
    pub(super) fn waited(&mut self, from: Instant, to: Instant) -> Option<u8> {
        self.waited += to.saturating_duration_since(from);
        let period = to.saturating_duration_since(self.since);
        if period < PERIOD {
            return None;
        }
        let idle = self.waited.as_micros() * 100 / period.as_micros();
        *self = Self::new(to);
        Some(100 - u8::try_from(idle).unwrap_or(100).min(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_waited_is_worked() {
        let at = |ms: u64| Instant::from_micros(ms * 1000);
        let mut load = Load::new(at(0));
        assert_eq!(load.waited(at(0), at(20)), None);
        assert_eq!(load.waited(at(60), at(70)), None);
        assert_eq!(load.waited(at(95), at(105)), Some(62));
        assert_eq!(load.waited(at(105), at(1105)), Some(0));
        assert_eq!(load.waited(at(2105), at(2105)), Some(100));
    }
}
