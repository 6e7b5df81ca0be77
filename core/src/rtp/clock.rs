//! Which timestamp the next frame has, told from how much sound was made and how long was paused.

use crate::time::{Duration, Instant, micros};

/// How long a pause between two frames may be before it counts as silence rather than as jitter.
const PAUSE: Duration = Duration::from_millis(200);

/// Counts RTP timestamps of a published stream.
///
/// While frames come at the pace of sound, each starts where the one before it ended, however unevenly
/// they are handed over. After a pause, the clock catches up with the time gone by.
///
/// ```
/// use parlour_core::rtp::SendClock;
/// use parlour_core::time::Instant;
/// let at = |ms: u64| Instant::from_micros(ms * 1_000);
/// let mut clock = SendClock::new(8_000);
/// assert_eq!(clock.next(at(0), 160), 0);
/// assert_eq!(clock.next(at(35), 160), 160); // a little late
/// assert_eq!(clock.next(at(1_035), 160), 160 + 8_000); // a second of silence
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendClock {
    rate: u32,
    /// Of the next frame, unless there is a pause before it.
    timestamp: u32,
    /// When the last frame was handed over, and its timestamp.
    last: Option<(Instant, u32)>,
}

impl SendClock {
    /// A clock of `rate` units per second that starts at 0.
    pub const fn new(rate: u32) -> Self {
        Self {
            rate,
            timestamp: 0,
            last: None,
        }
    }

    /// Skips the pause that there was before `now`; false if there was none. [`next`](Self::next) does
    /// it, too: this is for who collects sound for a frame, and has to forget what is from before.
    pub fn skip_pause(&mut self, now: Instant) -> bool {
        let Some((last, timestamp)) = self.last else {
            return false;
        };
        let pause = now.saturating_duration_since(last);
        if pause <= PAUSE {
            return false;
        }
        self.timestamp = timestamp.wrapping_add(units(micros(pause), self.rate));
        self.last = Some((now, self.timestamp));
        true
    }

    /// The timestamp of a frame of `units` that is ready at `now`.
    pub fn next(&mut self, now: Instant, units: u32) -> u32 {
        self.skip_pause(now);
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(units);
        self.last = Some((now, timestamp));
        timestamp
    }
}

/// A time in units of a clock of `rate` per second, modulo 2^32 as RTP counts.
pub(crate) fn units(micros: u64, rate: u32) -> u32 {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let part = rest * u64::from(rate) / 1_000_000;
    (seconds as u32)
        .wrapping_mul(rate)
        .wrapping_add(part as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1_000)
    }

    #[test]
    fn time_runs_on_through_a_pause_and_not_through_jitter() {
        let mut clock = SendClock {
            rate: 48_000,
            timestamp: u32::MAX - 959,
            last: None,
        };
        assert_eq!(clock.next(at(0), 960), u32::MAX - 959);
        assert_eq!(clock.next(at(200), 960), 0, "jitter");
        assert_eq!(clock.next(at(1_200), 960), 48_000, "a pause of a second");
        assert_eq!(clock.next(at(1_220), 960), 48_960);
    }

    #[test]
    fn a_pause_is_told_once_and_a_frame_may_be_collected_after_it() {
        let mut clock = SendClock::new(48_000);
        assert!(!clock.skip_pause(at(0)), "nothing was before");
        assert_eq!(clock.next(at(0), 960), 0);
        assert!(!clock.skip_pause(at(200)));
        assert!(clock.skip_pause(at(1_000)));
        assert!(!clock.skip_pause(at(1_000)));
        // Its first samples came at 1,000 ms.
        assert_eq!(clock.next(at(1_015), 960), 48_000);
        // Frames that are handed over together stand one behind the other.
        assert_eq!(clock.next(at(1_015), 960), 48_960);
        assert_eq!(clock.next(at(2_015), 960), 48_960 + 48_000);
    }

    #[test]
    fn time_that_runs_backwards_is_no_pause() {
        let mut clock = SendClock::new(8_000);
        clock.next(at(500), 160);
        assert_eq!(clock.next(at(0), 160), 160);
    }
}
