//! When a driver that failed is tried again, and how late the audio task is.

use parlour_core::time::{Duration, Instant};

use crate::FRAME;

/// The duration of one frame.
const PERIOD: Duration = Duration::from_millis(FRAME.ms() as u64);
/// The pause after the second failure in a row. There is none after the first.
const FIRST_PAUSE: Duration = PERIOD;
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The time in which a frame is done. Crystals differ: a clock that is half a per cent slower than its name is not
/// late.
const DUE: Duration = Duration::from_micros(20_100);
/// The most frames that are counted at once: a minute's.
const MOST_LATE: u32 = 3_000;

/// After so long a driver that has not come to an end has failed: longer than anything keeps the executor from it.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// What is done with a driver in the next 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Transfer,
    Restart,
    Rest,
}

/// One direction: whether its driver works, and when it is tried again.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// `None` while it works.
    retry_at: Option<Instant>,
    /// The pause after the last failure; none after the first.
    pause: Option<Duration>,
}

impl Line {
    pub(super) fn attempt(&self, now: Instant) -> Attempt {
        match self.retry_at {
            None => Attempt::Transfer,
            Some(at) if at <= now => Attempt::Restart,
            Some(_) => Attempt::Rest,
        }
    }

    /// The driver failed: it is tried again at once, then after pauses that double.
    pub(super) fn failed(&mut self, now: Instant) {
        let pause = match (self.retry_at, self.pause) {
            (None, _) => Duration::ZERO,
            (_, Some(pause)) if pause >= FIRST_PAUSE => {
                LONGEST_PAUSE.min(pause.saturating_add(pause))
            }
            _ => FIRST_PAUSE,
        };
        self.pause = Some(pause);
        self.retry_at = Some(now + pause);
    }

    /// The driver did its work; true if it had failed before.
    pub(super) fn worked(&mut self) -> bool {
        self.retry_at.take().is_some()
    }
}

/// How far the audio task is behind the audio clock.
#[derive(Debug, Default)]
pub(super) struct Lag {
    last: Option<Instant>,
    behind: Duration,
}

impl Lag {
    /// A frame is done: how many were due meanwhile, beside this one. What a ring lets the task make up for afterwards
    /// is counted, too.
    pub(super) fn frame_done(&mut self, now: Instant) -> u32 {
        let Some(last) = self.last.replace(now) else {
            return 0;
        };
        let elapsed = now.saturating_duration_since(last);
        self.behind = self.behind.saturating_add(elapsed).saturating_sub(DUE);
        let mut frames = 0;
        while self.behind >= PERIOD && frames < MOST_LATE {
            self.behind = self.behind.saturating_sub(PERIOD);
            frames += 1;
        }
        if frames == MOST_LATE {
            self.behind = Duration::ZERO;
        }
        frames
    }
}

/// The least time of a frame in which a driver rests, lest the task spins. It is a little less than a frame, so that
/// the clock of the other driver remains the one that counts.
pub(super) const SHORTEST: Duration = Duration::from_micros(19_700);

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn ms(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn a_driver_is_tried_at_once_and_then_after_growing_pauses() {
        let mut line = Line::default();
        let mut now = ms(0);
        assert_eq!(line.attempt(now), Attempt::Transfer);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            line.failed(now);
            let began = now;
            while line.attempt(now) == Attempt::Rest {
                now += Duration::from_millis(1);
            }
            assert_eq!(line.attempt(now), Attempt::Restart);
            pauses.push(now.saturating_duration_since(began).as_millis());
        }
        assert_eq!(pauses, [0, 20, 40, 80, 160, 320, 640, 1_280, 2_000, 2_000]);
        assert!(line.worked());
        assert!(!line.worked());
        line.failed(now);
        assert_eq!(line.attempt(now), Attempt::Restart, "at once again");
    }

    #[test]
    fn frames_that_come_late_are_counted_and_clocks_may_differ() {
        let mut lag = Lag::default();
        // 0.4 % slow, with a jitter of 10 ms.
        let slow = |n: u64| Instant::from_micros(n * 20_080 + n % 2 * 10_000);
        for n in 1..10_000 {
            assert_eq!(lag.frame_done(slow(n)), 0);
        }
        let mut at = slow(10_000);
        assert_eq!(lag.frame_done(at), 0);
        at += Duration::from_millis(95);
        assert_eq!(lag.frame_done(at), 3, "of four that were due, one is done");
        // A one-shot driver in turn with another: every second frame.
        let mut late = 0;
        for _ in 0..100 {
            at += Duration::from_millis(40);
            late += lag.frame_done(at);
        }
        assert!((98..=101).contains(&late), "{late}");
        // What follows at once was in the ring.
        for _ in 0..5 {
            assert_eq!(lag.frame_done(at), 0);
        }
        assert_eq!(lag.behind, Duration::ZERO);
    }
}
