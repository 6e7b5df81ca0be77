//! The way to one receiver of pictures: how fast they leave, and how much of each stream is sent.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::allotment::{Taker, allot};
use super::rate::Rates;
use crate::time::{Duration, Instant, micros};
use crate::video::Bandwidth;
use crate::wire::Arrived;

/// What could have been sent in this time may leave together.
const BURST: Duration = Duration::from_millis(10);
/// How long nothing was too much before more is sent.
const CALM: Duration = Duration::from_secs(1);
/// The time after a decrease until more is tried than is known to fit. It doubles with each try that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(3);
const LAST_PAUSE: Duration = Duration::from_secs(24);
/// If nothing was too much for so long after a try, it has not failed.
const TRIAL: Duration = Duration::from_secs(5);
/// The time from one try to the next; before anything was too much, that from report to report.
const TRY_INTERVAL: Duration = Duration::from_millis(1_500);
const YOUNG_TRY_INTERVAL: Duration = Duration::from_millis(100);

/// A stream that was paused begins with its key picture, at the rate that is known to fit. Only then is more tried, and only after
/// this is it paused again, unless that was too much.
const RESUME: Duration = Duration::from_secs(1);
const RESUME_END: Duration = Duration::from_secs(3);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Way {
    bandwidth: Box<Bandwidth>,
    /// When pictures may leave.
    next_at: Instant,
    /// Bits per second of all but pictures.
    other: Rates<1>,
    /// When more was tried, and how long after a decrease that may be done again.
    tried: Option<Instant>,
    /// When a stream was resumed to see whether it fits.
    resumed: Option<Instant>,
    pause: Duration,
}

impl Way {
    /// Begins with `start` bits per second, and never sends more than `most`.
    pub(crate) fn new(start: u32, most: u32) -> Self {
        Self {
            bandwidth: Box::new(Bandwidth::new(start, most)),
            next_at: Instant::from_micros(0),
            other: Rates::new(),
            tried: None,
            resumed: None,
            pause: FIRST_PAUSE,
        }
    }

    /// When pictures may leave.
    pub(crate) const fn next_at(&self) -> Instant {
        self.next_at
    }

    /// A datagram of `len` bytes was sent, `pictures` of them of pictures.
    pub(crate) fn sent(&mut self, now: Instant, counter: u32, len: usize, pictures: usize) {
        self.bandwidth.sent(now, counter, len, pictures > 0);
        self.other.add(now, 0, len.saturating_sub(pictures));
        let bits = pictures as u64 * 8_000_000;
        let lasts = bits.checked_div(self.bandwidth.pace().into()).unwrap_or(0);
        let earliest = now.as_micros().saturating_sub(micros(BURST));
        let earliest = Instant::from_micros(earliest);
        self.next_at = self.next_at.max(earliest) + Duration::from_micros(lasts);
    }

    pub(crate) fn handle_arrived(&mut self, now: Instant, arrived: Arrived) {
        self.bandwidth.handle_arrived(now, arrived);
    }

    /// When more may be tried than is known to fit, though no report comes, since nothing is sent.
    pub(crate) fn try_at(&self) -> Option<Instant> {
        self.bandwidth.decreased().map(|at| at + self.pause)
    }

    /// How many temporal layers of each stream to send, of which now `current` are sent.
    pub(crate) fn plan(&mut self, now: Instant, streams: &[Taker], current: &[u8]) -> Vec<u8> {
        let decreased = self.bandwidth.decreased();
        self.judge(now, decreased);
        let [other] = self.other.rates(now);
        let usable = self.bandwidth.usable().saturating_sub(other);
        let (fits, _) = allot(streams, usable);
        let (fits_easily, wanting) = allot(streams, usable - usable / 20);
        let is_calm = decreased.is_none_or(|at| at + CALM <= now);
        let resumed = self.resumed.map(|at| now.saturating_duration_since(at));
        let least = u8::from(resumed.is_some());
        let each = fits.iter().zip(&fits_easily).zip(current);
        let planned: Vec<u8> = each
            .map(|((fits, easily), current)| {
                let most = if is_calm { *easily } else { 0 };
                let fits = (*current).min(*fits).max(most);
                fits.max(least.min(*current))
            })
            .collect();
        let is_more = |new: &[u8]| new.iter().zip(current).any(|(new, old)| new > old);
        if planned != current {
            if is_more(&planned) {
                self.tried = Some(now);
            }
            return planned;
        }
        let Some(needed) = wanting else {
            return planned;
        };
        let is_begun = resumed.is_some_and(|since| since >= RESUME) && fits.contains(&0);
        if !is_begun && !self.may_try(now, decreased) {
            return planned;
        }
        let (more, _) = allot(streams, needed);
        if !is_begun && !is_more(&more) {
            return planned;
        }
        self.tried = Some(now);
        let resumes = |(new, old): (&u8, &u8)| *old == 0 && *new > 0;
        if more.iter().zip(current).any(resumes) {
            self.resumed = Some(now);
            return more;
        }
        // Neither less than `usable` nor just as much.
        let hope = u64::from(needed.saturating_add(other)) * 112 / 100;
        self.bandwidth.hope(u32::try_from(hope).unwrap_or(u32::MAX));
        more
    }

    /// Whether what was tried was too much.
    fn judge(&mut self, now: Instant, decreased: Option<Instant>) {
        let is_too_much = |at| decreased.is_some_and(|decreased| decreased > at);
        self.resumed
            .take_if(|at| *at + RESUME_END <= now || is_too_much(*at));
        let Some(tried) = self.tried else { return };
        let end = tried + TRIAL;
        if decreased.is_some_and(|at| at > tried && at < end) {
            self.tried = None;
            self.pause = self.pause.saturating_mul(2).min(LAST_PAUSE);
        } else if end <= now {
            self.tried = None;
            self.pause = FIRST_PAUSE;
        }
    }

    fn may_try(&self, now: Instant, decreased: Option<Instant>) -> bool {
        let is_since = |at: Option<Instant>, interval| at.is_none_or(|at| at + interval <= now);
        match decreased {
            None => is_since(self.tried, YOUNG_TRY_INTERVAL),
            Some(at) => at + self.pause <= now && is_since(self.tried, TRY_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    /// A camera of 700 kb/s.
    const CAMERA: Taker = Taker {
        is_screen: false,
        rates: [200_000, 150_000, 350_000, 0],
    };

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + 1_000 * ms)
    }

    /// One that sends the layers in each 100 ms, and is told that they came so much later than at best.
    struct Sending {
        way: Way,
        counter: u32,
        ms: u64,
        layers: Vec<u8>,
    }

    impl Sending {
        fn new(start: u32) -> Self {
            Self {
                way: Way::new(start, 10_000_000),
                counter: 0,
                ms: 0,
                layers: vec![4],
            }
        }

        fn run(&mut self, reports: u32, queue_ms: u64) {
            for _ in 0..reports {
                let sent = CAMERA.rates.iter().take(self.layers[0].into()).sum::<u32>() / 80_000;
                for _ in 0..sent {
                    self.way.sent(at(self.ms), self.counter, 1_000, 1_000);
                    self.counter += 1;
                }
                let arrived = Arrived {
                    highest: self.counter.wrapping_sub(1),
                    opened: self.counter,
                    clock: ((self.ms + queue_ms) * 1_000) as u32,
                };
                self.ms += 100;
                if sent > 0 {
                    self.way.handle_arrived(at(self.ms), arrived);
                }
                self.layers = self.way.plan(at(self.ms), &[CAMERA], &self.layers);
            }
        }
    }

    #[test]
    fn a_way_of_which_nothing_bad_is_known_gets_more_with_each_report() {
        let mut sending = Sending::new(100_000);
        sending.layers = vec![0];
        let mut seen = Vec::new();
        for _ in 0..40 {
            sending.run(1, 0);
            seen.push(sending.layers[0]);
        }
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(seen.last(), Some(&4));
    }

    #[test]
    fn what_is_too_much_is_left_out_at_once_and_tried_later_and_later() {
        let mut sending = Sending::new(1_000_000);
        sending.run(10, 0);
        assert_eq!(sending.layers, [4]);
        let mut tries = Vec::new();
        for _ in 0..1_200 {
            let before = sending.layers[0];
            // Whatever is sent is too much, and waits behind what was sent before.
            let is_first = tries.last() == Some(&sending.ms);
            sending.run(1, if is_first { 0 } else { 200 });
            if before == 0 && sending.layers[0] > 0 {
                tries.push(sending.ms);
            }
        }
        let pauses: Vec<u64> = tries
            .array_windows()
            .map(|[one, next]| next - one)
            .collect();
        assert!(pauses.len() >= 4, "{pauses:?}");
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert!(
            pauses[0] >= 3_000 && pauses.iter().all(|pause| *pause <= 30_000),
            "{pauses:?}"
        );
    }
}
