//! How late packets come, and the delay that this asks for.
//!
//! Two questions, two answers; the larger is the delay.
//!
//! *When does the buffer run dry?* When packets come late and none comes before them. Such stalls are rare, so that most
//! packets say nothing about them: only the latest one of each half second counts, and the delay covers 19 in 20 of
//! these.
//!
//! *What does reordering cost?* A packet that newer ones overtook is missing alone. To wait for it costs delay, to
//! miss it costs a packet: the delay is the one at which the sum of both is least.

use crate::time::{Duration, Instant};

/// Eighths of a ms: the unit of all times here.
const MS: u16 = 8;
/// Half seconds that are remembered.
const WINDOWS: usize = 64;
const WINDOW: Duration = Duration::from_millis(500);
/// The first one, by which a network is known that was not.
const FIRST: Duration = Duration::from_millis(250);
/// A window has at least this many packets, however long they take.
const LEAST: u16 = 8;
/// One in this many windows may have a packet that is later than the delay.
const ONE_IN: u8 = 20;
/// The most windows that may; those with the latest packets.
const EXCEPTIONS: usize = WINDOWS / ONE_IN as usize;
/// Windows before the latest one whose packets were measured against the same base.
const REBASED: u8 = 16;

/// Buckets of overtaken packets, of 5 ms each.
const BUCKETS: usize = 100;
const BUCKET: u16 = 5 * MS;
/// A packet that is missed in a hundred is worth this much delay, in ms.
const MISSED: u32 = 30;
/// The weight of a packet, and the sum of weights at which all are halved: after 40 s of 20 ms packets.
const WEIGHT: u16 = 16;
const FULL: u16 = 2_048 * WEIGHT;

/// What a receiver has learnt of how late packets come.
///
/// The [jitter buffers](super::JitterBuffer::push) of a receiver's slots, whose packets come by the same path, share one, so
/// that a slot which is used for the first time knows the network.
#[derive(Debug, Clone)]
pub struct Lateness {
    /// The most lateness in each of the last windows, and in the open one.
    latest: [u16; WINDOWS],
    open: u16,
    opened: Instant,
    /// Packets in the open window.
    packets: u16,
    /// The number of windows, and the place of the next one.
    windows: u8,
    next: u8,
    /// Weights of the packets that were overtaken, by their lateness, and of all packets.
    overtaken: [u16; BUCKETS],
    all: u16,
    delay: Option<u16>,
}

impl Default for Lateness {
    fn default() -> Self {
        Self::new()
    }
}

impl Lateness {
    /// Of an unknown network.
    pub const fn new() -> Self {
        Self {
            latest: [0; WINDOWS],
            open: 0,
            opened: Instant::from_micros(0),
            packets: 0,
            windows: 0,
            next: 0,
            overtaken: [0; BUCKETS],
            all: 0,
            delay: None,
        }
    }

    /// The delay that the network needs, in eighths of a ms; `None` until a quarter of a second has been heard.
    pub(super) fn delay(&self) -> Option<u16> {
        self.delay
    }

    /// Learns from a packet that came at `now`, `late` eighths of a ms later than the fastest of its flow.
    pub(super) fn observe(&mut self, now: Instant, late: u16, is_overtaken: bool) {
        if self.packets == 0 {
            self.opened = now;
        }
        self.packets = self.packets.saturating_add(1);
        self.weigh(late, is_overtaken);
        if !is_overtaken {
            self.open = self.open.max(late);
        }
        let window = if self.windows == 0 { FIRST } else { WINDOW };
        let is_over = now.saturating_duration_since(self.opened) >= window;
        if is_over && self.packets >= LEAST {
            self.close();
        }
    }

    /// Packets of the open window were later than it seemed when they came: the fastest one came after them.
    pub(super) fn recall(&mut self, late: u16) {
        if self.packets > 0 {
            self.open = self.open.max(late);
        }
    }

    /// Corrects what was learnt since a path became longer: packets were late only against the old one.
    pub(super) fn correct(&mut self, late: u16) {
        self.open = self.open.saturating_sub(late);
        let known = self.windows.min(REBASED);
        for back in 1..=known {
            let place = usize::from(self.next.wrapping_sub(back)) % WINDOWS;
            if let Some(latest) = self.latest.get_mut(place) {
                *latest = latest.saturating_sub(late);
            }
        }
        if known > 0 {
            self.delay = Some(self.stalls().max(self.reordering()));
        }
    }

    fn weigh(&mut self, late: u16, is_overtaken: bool) {
        if self.all >= FULL {
            self.all /= 2;
            for weight in &mut self.overtaken {
                *weight /= 2;
            }
        }
        self.all += WEIGHT;
        let bucket = usize::from(late / BUCKET).min(BUCKETS - 1);
        if is_overtaken && let Some(weight) = self.overtaken.get_mut(bucket) {
            *weight += WEIGHT;
        }
    }

    fn close(&mut self) {
        if let Some(latest) = self.latest.get_mut(usize::from(self.next)) {
            *latest = self.open;
        }
        self.next = (self.next + 1) % WINDOWS as u8;
        self.windows = (self.windows + 1).min(WINDOWS as u8);
        (self.open, self.packets) = (0, 0);
        self.delay = Some(self.stalls().max(self.reordering()));
    }

    /// The delay that all but one in [`ONE_IN`] windows do not exceed.
    fn stalls(&self) -> u16 {
        let mut most = [0; EXCEPTIONS + 1];
        for &latest in self.latest.iter().take(self.windows.into()) {
            let mut falling = latest;
            for place in &mut most {
                if falling > *place {
                    core::mem::swap(place, &mut falling);
                }
            }
        }
        let exceptions = usize::from(self.windows / ONE_IN);
        most.get(exceptions).copied().unwrap_or_default()
    }

    /// The delay at which waiting for overtaken packets and missing them cost least together.
    fn reordering(&self) -> u16 {
        let mut missed: u32 = self.overtaken.iter().copied().map(u32::from).sum();
        let (mut delay, mut best) = (0, 0);
        // Costs are times `all`.
        let each = u32::from(MS) * MISSED * 100;
        let mut least = missed.saturating_mul(each);
        for &weight in &self.overtaken {
            if missed == 0 {
                break;
            }
            missed = missed.saturating_sub(weight.into());
            delay += BUCKET;
            let waiting = u32::from(delay) * u32::from(self.all);
            let cost = waiting.saturating_add(missed.saturating_mul(each));
            if cost < least {
                (least, best) = (cost, delay);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds packets of 20 ms, each `lateness(n)` ms late, of which some were overtaken.
    fn fed(packets: u64, lateness: impl Fn(u64) -> (u16, bool)) -> Lateness {
        let mut model = Lateness::new();
        for n in 0..packets {
            let (ms, is_overtaken) = lateness(n);
            let now = Instant::from_micros(n * 20_000);
            model.observe(now, ms * MS, is_overtaken);
        }
        model
    }

    fn delay(model: &Lateness) -> Option<u16> {
        model.delay().map(|delay| delay / MS)
    }

    #[test]
    fn a_quarter_of_a_second_tells_the_delay() {
        assert_eq!(delay(&fed(13, |_| (3, false))), None);
        assert_eq!(delay(&fed(14, |_| (3, false))), Some(3));
        assert_eq!(delay(&fed(14, |n| (n as u16, false))), Some(13));
        assert_eq!(delay(&fed(50, |n| (n as u16, false))), Some(39));
    }

    #[test]
    fn a_few_packets_are_no_window_however_long_they_take() {
        let mut model = Lateness::new();
        for n in 0..7 {
            model.observe(Instant::from_micros(n * 2_000_000), 80, false);
        }
        assert_eq!(model.delay(), None);
        model.observe(Instant::from_micros(14_000_000), 0, false);
        assert_eq!(model.delay(), Some(80));
    }

    #[test]
    fn stalls_count_if_they_are_in_more_than_one_of_twenty_windows() {
        // One packet in 250, 5 s apart: one window in ten.
        let often = fed(2_000, |n| (if n % 250 == 3 { 120 } else { 2 }, false));
        assert_eq!(delay(&often), Some(120));
        let seldom = fed(2_000, |n| (if n % 700 == 3 { 120 } else { 2 }, false));
        assert_eq!(delay(&seldom), Some(2));
    }

    #[test]
    fn what_is_over_is_forgotten_after_half_a_minute() {
        let model = fed(3_700, |n| (if n < 2_000 { 150 } else { 2 }, false));
        assert_eq!(delay(&model), Some(2));
    }

    #[test]
    fn reordering_is_waited_for_if_it_is_worth_it() {
        // A tenth of the packets is overtaken by 60 ms: missing them all is worth 200 ms.
        let often = fed(1_000, |n| if n % 10 == 0 { (60, true) } else { (0, false) });
        assert_eq!(delay(&often), Some(65));
        // One in a hundred: 20 ms.
        let seldom = fed(
            1_000,
            |n| if n % 100 == 0 { (60, true) } else { (0, false) },
        );
        assert_eq!(delay(&seldom), Some(0));
    }

    #[test]
    fn a_longer_path_is_no_lateness() {
        let mut model = fed(110, |n| (if n < 50 { 2 } else { 102 }, false));
        assert_eq!(delay(&model), Some(102));
        model.correct(100 * MS);
        assert_eq!(delay(&model), Some(2));
    }

    #[test]
    fn extremes_do_no_harm() {
        let mut model = fed(100_000, |n| (u16::MAX / MS, n % 2 == 0));
        assert!(model.delay() >= Some(u16::MAX / MS * MS));
        model.correct(u16::MAX);
        model.observe(Instant::from_micros(0), u16::MAX, true);
        model.observe(Instant::from_micros(u64::MAX), u16::MAX, false);
    }
}
