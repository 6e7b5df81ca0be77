//! Timestamps and send times of frames, derived from the amount of audio handed over.

use crate::time::{Duration, Instant, micros};

/// A gap after the handed-over audio counts as a pause rather than as jitter from this length on.
const PAUSE: Duration = Duration::from_millis(200);
/// A frame is sent this long before its playing time: little enough for the smallest jitter buffer.
const LEAD: Duration = Duration::from_millis(40);
/// The clock follows its writer's by one part in `FOLLOW`, which is far more than two clocks differ.
const FOLLOW: u32 = 64;

/// Counts RTP timestamps of a published stream.
///
/// Each frame starts where the one before it ended, whether frames are handed over one by one or many at a time. If the
/// audio handed over ran out more than 200 ms ago, there was a pause, and the timestamps catch up with the elapsed
/// time.
///
/// ```
/// use parlour_core::rtp::SendClock;
/// use parlour_core::time::Instant;
/// let at = |ms: u64| Instant::from_micros(ms * 1_000);
/// let mut clock = SendClock::new(8_000);
/// // Half a second at once, and the next half when that has been heard.
/// for frame in 0..25 {
///     assert_eq!(clock.next(at(0), 160), frame * 160);
/// }
/// assert_eq!(clock.next(at(500), 160), 25 * 160);
/// // A second of silence after these 20 ms.
/// assert_eq!(clock.next(at(1_520), 160), 26 * 160 + 8_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendClock {
    rate: u32,
    /// The timestamp of the next frame, unless there is a pause before it.
    timestamp: u32,
    progress: Option<Progress>,
}

/// The audio handed over so far, as times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// The time of the latest hand-over.
    last: Instant,
    /// The time when all of it has been played, if playing starts at the hand-over.
    end: Instant,
}

impl SendClock {
    /// A clock of `rate` units per second that starts at 0.
    pub const fn new(rate: u32) -> Self {
        Self {
            rate,
            timestamp: 0,
            progress: None,
        }
    }

    /// Skips a pause before `now`; returns false if there was none. [`next`](Self::next) does so, too. A caller that
    /// collects audio for a frame calls this before it adds a piece, and discards older audio.
    pub fn skip_pause(&mut self, now: Instant) -> bool {
        let progress = self.progress.get_or_insert(Progress {
            last: now,
            end: now,
        });
        let late = now.saturating_duration_since(progress.end);
        let is_pause = late > PAUSE;
        if is_pause {
            self.timestamp = self.timestamp.wrapping_add(units(micros(late), self.rate));
            progress.end = now;
        } else {
            progress.follow(now);
        }
        progress.last = progress.last.max(now);
        is_pause
    }

    /// When to send the frame that is handed over at `now`: at once, or 40 ms before its playing time if that is later.
    /// A receiver's jitter buffer cannot hold seconds of audio that are sent at once.
    pub fn due(&self, now: Instant) -> Instant {
        now + self.left(now).saturating_sub(LEAD)
    }

    /// The timestamp of a frame of `units` that is handed over at `now`.
    pub fn next(&mut self, now: Instant, units: u32) -> u32 {
        self.skip_pause(now);
        if let Some(progress) = &mut self.progress {
            progress.end += Duration::from_micros(length(units, self.rate));
        }
        let timestamp = self.timestamp;
        self.timestamp = timestamp.wrapping_add(units);
        timestamp
    }

    /// The remaining duration, from `now` on, of the audio handed over.
    pub fn left(&self, now: Instant) -> Duration {
        let end = self.progress.map_or(now, |progress| progress.end);
        end.saturating_duration_since(now)
    }

    /// The number of units handed over since this timestamp.
    pub fn since(&self, timestamp: u32) -> u32 {
        self.timestamp.wrapping_sub(timestamp)
    }

    /// Takes back the last `units` handed over, which will not be sent: the next audio takes their place.
    pub fn take_back(&mut self, units: u32) {
        self.timestamp = self.timestamp.wrapping_sub(units);
        if let Some(progress) = &mut self.progress {
            let end = progress.end.as_micros();
            progress.end = Instant::from_micros(end.saturating_sub(length(units, self.rate)));
        }
    }
}

/// The duration in µs of `units` of a clock of `rate` per second.
fn length(units: u32, rate: u32) -> u64 {
    let micros = u64::from(units) * 1_000_000;
    micros.checked_div(rate.into()).unwrap_or(0)
}

impl Progress {
    /// Moves the end slightly towards `now`, where it is on average when a writer keeps pace. A writer with a slightly
    /// fast clock therefore gains no lead, and one with a slow clock causes no pause.
    fn follow(&mut self, now: Instant) {
        let most = now.saturating_duration_since(self.last) / FOLLOW;
        let lead = self.end.saturating_duration_since(now);
        self.end = if lead.is_zero() {
            (self.end + most).min(now)
        } else {
            now + Duration::from_micros(micros(lead).saturating_sub(micros(most)))
        };
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
    use proptest::prelude::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1_000)
    }

    /// Hands over pieces, each a time in ms and a number of 20 ms frames; returns the inserted silence in ms.
    fn silence(pieces: impl IntoIterator<Item = (u64, u32)>) -> u32 {
        let mut clock = SendClock::new(48_000);
        let mut frames = 0;
        for (ms, count) in pieces {
            for _ in 0..count {
                clock.next(at(ms), 960);
            }
            frames += count;
        }
        (clock.timestamp - frames * 960) / 48
    }

    #[test]
    fn time_runs_on_through_a_pause_and_not_through_jitter() {
        let mut clock = SendClock::new(48_000);
        clock.timestamp = u32::MAX - 959;
        assert_eq!(clock.next(at(0), 960), u32::MAX - 959);
        assert_eq!(clock.next(at(200), 960), 0, "jitter");
        let paused = clock.next(at(1_200), 960);
        // 1,200 ms after the first, less the correction by `follow`.
        assert!((56_640 - 960 * 2..=56_640).contains(&paused), "{paused}");
        assert_eq!(clock.next(at(1_220), 960), paused + 960);
    }

    #[test]
    fn pieces_of_any_length_stand_one_behind_the_other() {
        for frames in [1, 2, 3, 15, 25, 50, 100] {
            let every = u64::from(frames) * 20;
            let pieces = (0..50).map(|n| (n * every, frames));
            assert_eq!(silence(pieces), 0, "pieces of {every} ms");
        }
        // A short one after a long one, and a stall of 150 ms that is caught up at once.
        assert_eq!(silence([(0, 100), (2_000, 1), (2_020, 100)]), 0);
        assert_eq!(silence([(0, 1), (20, 1), (190, 8), (200, 1)]), 0);
    }

    #[test]
    fn silence_is_what_the_sound_handed_over_lacks() {
        assert_eq!(silence([(0, 15), (1_300, 15)]), 1_000);
        assert_eq!(silence([(0, 100), (2_200, 1)]), 0);
        assert_eq!(silence([(0, 100), (2_201, 1)]), 201);
    }

    #[test]
    fn a_writer_whose_clock_differs_gets_neither_ahead_nor_behind() {
        for every in [19_950, 20_050] {
            let mut clock = SendClock::new(48_000);
            for n in 0..180_000_u64 {
                let now = Instant::from_micros(n * every);
                assert_eq!(clock.due(now), now, "{n}");
                assert_eq!(clock.next(now, 960), n as u32 * 960, "{n}");
            }
        }
    }

    #[test]
    fn what_is_ahead_is_due_40_ms_before_it_is_heard() {
        let mut clock = SendClock::new(8_000);
        for due in [7, 7, 7, 27, 47, 67] {
            assert_eq!(clock.due(at(7)), at(due));
            clock.next(at(7), 160);
        }
        assert_eq!(clock.due(at(500)), at(500));
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let mut clock = SendClock::new(8_000);
        for _ in 0..50 {
            clock.next(at(0), 160);
        }
        // 100 ms are sent, 900 ms are not.
        assert_eq!(clock.left(at(60)), Duration::from_millis(940));
        clock.take_back(45 * 160);
        assert_eq!(clock.due(at(60)), at(60));
        assert_eq!(clock.next(at(60), 160), 5 * 160);
        // 20 ms later, less the correction by `follow`.
        assert!((at(79)..=at(80)).contains(&clock.due(at(60))));
    }

    #[test]
    fn sound_before_the_first_whole_frame_is_forgotten_after_a_pause() {
        let mut clock = SendClock::new(48_000);
        assert!(!clock.skip_pause(at(0)));
        assert!(clock.skip_pause(at(1_000)));
        assert_eq!(clock.next(at(1_000), 960), 48_000);
    }

    #[test]
    fn a_pause_is_told_once_and_a_frame_may_be_collected_after_it() {
        let mut clock = SendClock::new(48_000);
        assert!(!clock.skip_pause(at(0)), "nothing was before");
        assert_eq!(clock.next(at(0), 960), 0);
        assert!(!clock.skip_pause(at(20)));
        assert!(clock.skip_pause(at(1_020)));
        assert!(!clock.skip_pause(at(1_020)));
        // Its first samples came at 1,020 ms.
        assert_eq!(clock.next(at(1_035), 960), 960 + 48_000);
        // Frames that are handed over together stand one behind the other.
        assert_eq!(clock.next(at(1_035), 960), 1_920 + 48_000);
    }

    #[test]
    fn time_that_runs_backwards_is_no_pause() {
        let mut clock = SendClock::new(8_000);
        clock.next(at(500), 160);
        assert_eq!(clock.next(at(0), 160), 160);
    }

    proptest! {
        #[test]
        fn no_times_and_lengths_confuse_it(
            rate: u32,
            calls in proptest::collection::vec((any::<u64>(), any::<u32>()), 1..20),
        ) {
            let mut clock = SendClock::new(rate);
            for (now, units) in calls {
                let now = Instant::from_micros(now);
                let timestamp = clock.next(now, units);
                prop_assert!(clock.due(now) >= now);
                if units.is_multiple_of(3) {
                    clock.take_back(units);
                    prop_assert_eq!(clock.timestamp, timestamp);
                }
            }
        }
    }
}
