//! Where in its file a packet stands.

use std::time::Duration;

use parlour_tokio::core::rtp::timestamp_difference;

/// The places of a stream's packets, in samples of its codec's clock.
///
/// A packet stands as far after the one before as their timestamps say: when it came matters only where these cannot be right.
#[derive(Debug)]
pub(super) struct Placing {
    /// Samples in a second.
    hz: u32,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    timestamp: u32,
    place: u64,
    at: Duration,
}

impl Placing {
    pub(super) fn new(hz: u32) -> Self {
        Self { hz, last: None }
    }

    /// The samples in a time.
    pub(super) fn samples(&self, time: Duration) -> u64 {
        let hz = u64::from(self.hz);
        let rest = u64::from(time.subsec_nanos()) * hz / 1_000_000_000;
        time.as_secs().saturating_mul(hz).saturating_add(rest)
    }

    /// The time that samples take.
    pub(super) fn time(&self, samples: u64) -> Duration {
        let hz = u64::from(self.hz);
        let nanos = samples % hz * 1_000_000_000 / hz;
        // Less than a second.
        Duration::new(samples / hz, nanos as u32)
    }

    /// The last place for what is written by `now`: 1 s and 0.5 % ahead of the time that has passed.
    pub(super) fn limit(&self, now: Duration) -> u64 {
        let passed = self.samples(now);
        passed.saturating_add(u64::from(self.hz) + passed / 200)
    }

    /// The place of the next packet, which came `at`.
    pub(super) fn place(&mut self, timestamp: u32, at: Duration) -> u64 {
        let second = i64::from(self.hz);
        let place = self.last.and_then(|last| {
            let passed = self.samples(at.saturating_sub(last.at));
            let passed = i64::try_from(passed).unwrap_or(i64::MAX);
            let further = i64::from(timestamp_difference(timestamp, last.timestamp));
            let has_jumped = further < 0 || further > passed.saturating_add(second);
            let stood_still = passed > second && further.abs_diff(passed) > second as u64 / 2;
            (!has_jumped && !stood_still).then(|| last.place.saturating_add_signed(further))
        });
        let place = place.unwrap_or(self.samples(at)).min(self.limit(at));
        let at = self.last.map_or(at, |last| last.at.max(at));
        self.last = Some(Last {
            timestamp,
            place,
            at,
        });
        place
    }

    /// Where a packet that was sent `now` would stand.
    pub(super) fn present(&self, now: Duration) -> u64 {
        let place = match self.last {
            Some(last) => {
                let passed = self.samples(now.saturating_sub(last.at));
                last.place.saturating_add(passed)
            }
            None => self.samples(now),
        };
        place.min(self.limit(now))
    }

    /// Forgets what timestamps mean: the next packet stands where its time of arrival says.
    pub(super) fn restart(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places in ms of packets given by their timestamps and arrivals in ms.
    fn places<const N: usize>(packets: [(i64, u64); N]) -> [u64; N] {
        let mut placing = Placing::new(48_000);
        packets.map(|(timestamp, at)| {
            let timestamp = (timestamp * 48) as u32;
            placing.place(timestamp, Duration::from_millis(at)) / 48
        })
    }

    #[test]
    fn timestamps_decide_however_late_packets_come() {
        // Just before the numbers wrap.
        let from = -30;
        let late = [(from, 100), (from + 20, 900), (from + 40, 900)];
        assert_eq!(places(late), [100, 120, 140]);
        // After a pause of 10 s, 400 ms late.
        assert_eq!(places([(0, 0), (10_000, 10_400)]), [0, 10_000]);
    }

    #[test]
    fn arrivals_decide_where_timestamps_cannot_be_right() {
        assert_eq!(places([(5_000, 0), (4_980, 20)]), [0, 20], "backwards");
        assert_eq!(places([(0, 0), (1_021, 20)]), [0, 20], "a jump");
        assert_eq!(places([(0, 0), (1_020, 20)]), [0, 1_020], "none");
        assert_eq!(places([(0, 0), (20, 5_000)]), [0, 5_000], "it stood still");
        assert_eq!(places([(0, 0), (5_501, 5_000)]), [0, 5_000], "it ran on");
    }

    #[test]
    fn no_place_is_ahead_of_time_by_more_than_a_second_and_half_a_percent() {
        let mut placing = Placing::new(8_000);
        placing.place(0, Duration::ZERO);
        for second in 1..=100_u64 {
            let ahead = (second * 8_000 + second * 7_000) as u32;
            let place = placing.place(ahead, Duration::from_secs(second));
            assert!(place <= second * 8_000 + 8_000 + second * 40);
        }
    }

    #[test]
    fn the_present_goes_by_the_clock_of_the_stream() {
        let mut placing = Placing::new(48_000);
        assert_eq!(placing.present(Duration::from_secs(3)), 3 * 48_000);
        placing.place(0, Duration::ZERO);
        placing.place(40_000, Duration::from_secs(1));
        assert_eq!(placing.present(Duration::from_secs(2)), 88_000);
    }
}
