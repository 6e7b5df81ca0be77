use std::collections::VecDeque;
use std::println;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// Bytes of a datagram with a picture's packet.
const DATAGRAM: u32 = 1_000;
const STEP: u64 = 1_000;
const START: u32 = 1_000_000;
const MOST: u32 = 20_000_000;

/// A way with a queue, on which as much is sent as is paced, but not more than the source has.
struct Way {
    bandwidth: Bandwidth,
    now: u64,
    /// Bits per second.
    carries: u64,
    /// µs to get there, and back.
    delay: u64,
    /// Most µs that a packet waits; with more it is lost.
    longest_queue: u64,
    /// When the way is free again.
    free: u64,
    under_way: VecDeque<(u64, u32)>,
    counter: u32,
    credit: u64,
    highest: u32,
    opened: u32,
    reported: u64,
    reports: VecDeque<(u64, Arrived)>,
    /// The queueing delays, and bytes that arrived.
    queues: Vec<u64>,
    arrived: u64,
}

impl Way {
    fn new(carries: u64) -> Self {
        Self {
            bandwidth: Bandwidth::new(START, MOST),
            now: 1_000_000,
            carries,
            delay: 20_000,
            longest_queue: 300_000,
            free: 0,
            under_way: VecDeque::new(),
            counter: 0,
            credit: 0,
            highest: 0,
            opened: 0,
            reported: 0,
            reports: VecDeque::new(),
            queues: Vec::new(),
            arrived: 0,
        }
    }

    /// For so many ms; the source has `source` bits per second. `late` makes a packet later, by its counter.
    fn run(&mut self, ms: u64, source: u64, late: impl Fn(u32) -> u64) {
        self.queues.clear();
        self.arrived = 0;
        for _ in 0..ms {
            self.now += STEP;
            let now = Instant::from_micros(self.now);
            let rate = source.min(self.bandwidth.pace().into());
            self.credit += rate * STEP / 8_000_000;
            while self.credit >= u64::from(DATAGRAM) {
                self.credit -= u64::from(DATAGRAM);
                self.bandwidth
                    .sent(now, self.counter, DATAGRAM as usize, true);
                let begins = self.free.max(self.now);
                if begins - self.now <= self.longest_queue {
                    self.free = begins + u64::from(DATAGRAM) * 8_000_000 / self.carries;
                    self.queues.push(self.free - self.now);
                    let comes = self.free + self.delay + late(self.counter);
                    self.under_way.push_back((comes, self.counter));
                }
                self.counter += 1;
            }
            while let Some(&(at, counter)) = self.under_way.front()
                && at <= self.now
            {
                self.under_way.pop_front();
                self.arrived += u64::from(DATAGRAM);
                self.opened += 1;
                self.highest = self.highest.max(counter);
                if self.reported + 100_000 <= self.now {
                    self.reported = self.now;
                    // Another clock.
                    let clock = (self.now as u32).wrapping_mul(1).wrapping_sub(77_777_777);
                    let arrived = Arrived {
                        highest: self.highest,
                        opened: self.opened,
                        clock,
                    };
                    self.reports.push_back((self.now + self.delay, arrived));
                }
            }
            while let Some(&(at, arrived)) = self.reports.front()
                && at <= self.now
            {
                self.reports.pop_front();
                self.bandwidth.handle_arrived(now, arrived);
            }
        }
    }

    fn on_time(&mut self, ms: u64, source: u64) {
        self.run(ms, source, |_| 0);
    }

    /// 95 of 100 packets wait no longer than this, in ms.
    fn p95(&self) -> u64 {
        let mut queues = self.queues.clone();
        queues.sort_unstable();
        queues[queues.len() * 95 / 100] / 1_000
    }

    fn show(&self, what: &str) {
        let rate = self.bandwidth.estimate();
        println!(
            "{what}: estimate {rate}, arrived {}, p95 {} ms",
            self.arrived,
            self.p95()
        );
    }
}

const PLENTY: u64 = 100_000_000;

#[test]
fn narrow_ways_are_filled_and_their_queues_stay_short() {
    for carries in [150_000, 300_000, 700_000, 1_500_000, 5_000_000] {
        let mut way = Way::new(carries);
        way.on_time(20_000, PLENTY);
        way.on_time(20_000, PLENTY);
        way.show(&std::format!("{carries}"));
        let used = way.arrived * 8 * 100 / (carries * 20);
        assert!(used >= 70, "{carries}: {used} %");
        let packet = 8_000_000 / carries;
        assert!(way.p95() <= 100 + packet, "{carries}: {} ms", way.p95());
    }
}

#[test]
fn a_source_that_fits_is_never_held_up() {
    let mut way = Way::new(2_000_000);
    way.on_time(20_000, 700_000);
    assert!(way.bandwidth.decreased().is_none());
    assert!(way.bandwidth.estimate() >= START);
    assert!(way.p95() <= 10);
}

#[test]
fn single_late_packets_are_not_a_queue() {
    let mut way = Way::new(5_000_000);
    way.run(20_000, 700_000, |counter| {
        u64::from(counter % 7 == 0) * 80_000
    });
    way.show("late");
    assert!(way.bandwidth.estimate() >= START);
}

#[test]
fn a_way_that_becomes_narrow_is_noticed_and_one_that_becomes_wide_again_is_used() {
    let mut way = Way::new(3_000_000);
    way.on_time(10_000, 1_500_000);
    way.carries = 600_000;
    way.on_time(2_000, 1_500_000);
    way.on_time(5_000, 1_500_000);
    way.show("narrow");
    assert!(way.bandwidth.estimate() <= 720_000);
    assert!(way.p95() <= 110, "{}", way.p95());
    way.carries = 3_000_000;
    way.on_time(15_000, 1_500_000);
    way.show("wide");
    assert!(way.bandwidth.estimate() >= 1_500_000);
}

#[test]
fn silence_halves_the_estimate_and_more() {
    let mut way = Way::new(3_000_000);
    way.on_time(5_000, 1_500_000);
    let before = way.bandwidth.estimate();
    way.longest_queue = 0;
    way.carries = 1;
    way.on_time(3_500, 1_500_000);
    assert!(way.bandwidth.estimate() < before / 2);
}

#[test]
fn new_keys_begin_anew_and_old_reports_are_nothing() {
    let mut way = Way::new(1_000_000);
    way.on_time(5_000, PLENTY);
    let estimate = way.bandwidth.estimate();
    let now = Instant::from_micros(way.now);
    way.bandwidth.sent(now, 0, 1_000, true);
    let old = Arrived {
        highest: way.highest,
        opened: way.opened,
        clock: 0,
    };
    way.bandwidth.handle_arrived(now, old);
    assert_eq!(way.bandwidth.estimate(), estimate);
}

proptest! {
    #[test]
    fn reports_that_lie_keep_it_within_its_bounds(
        steps in prop::collection::vec(
            (any::<bool>(), 0u32..700, any::<u32>(), any::<u32>(), 0u64..2_000_000), 0..300,
        ),
    ) {
        let mut bandwidth = Bandwidth::new(START, MOST);
        let mut now = Instant::from_micros(0);
        let mut counter = u32::MAX - 200;
        for (is_report, back, opened, clock, wait) in steps {
            now += Duration::from_micros(wait);
            if is_report {
                let highest = counter.wrapping_sub(back);
                bandwidth.handle_arrived(now, Arrived { highest, opened, clock });
            } else {
                for _ in 0..back {
                    counter = counter.wrapping_add(1);
                    bandwidth.sent(now, counter, opened as usize % 1_200, back % 2 == 0);
                }
            }
            prop_assert!((LEAST..=MOST).contains(&bandwidth.estimate()));
        }
    }
}
