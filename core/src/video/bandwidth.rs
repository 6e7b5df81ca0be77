//! How much a way carries, by what arrives of what is sent on it.
//!
//! ```text
//! sent(now, counter, bytes)  ──►  remembered datagrams ─┐
//!                                                       ├─► queueing delay, delivered, lost ──► estimate
//! Arrived, each 100 ms       ──►  the last few reports ─┘
//! ```
//!
//! *Queueing delay* is the time under way above the least of the last 10 to 20 s: the clocks of the ends cancel out. As single
//! packets are late on every wireless way, the least of three reports counts. A delay that grows says that more is sent than
//! the way carries, long before packets are lost.

use crate::time::{Duration, Instant, micros};
use crate::wire::Arrived;

/// Datagrams that are remembered: half a second of 10 Mb/s.
const REMEMBERED: usize = 512;
/// Reports that are looked at together.
const REPORTS: usize = 4;

/// The least estimate, in bits per second.
const LEAST: u32 = 60_000;

/// Queueing delays in µs: more than this is too much, and far too much; less is none.
const CONGESTED: i32 = 35_000;
const SWAMPED: i32 = 100_000;
const CLEAR: i32 = 15_000;
/// A share of lost packets, in 1/65,536, that is too much: 15 %.
const LOSSY: u32 = 9_830;
/// The time from one decrease to the next.
const DECREASE_INTERVAL: Duration = Duration::from_millis(300);
const LOSS_INTERVAL: Duration = Duration::from_millis(500);
/// The estimate falls if there is no report on what was sent for so long.
const SILENCE: Duration = Duration::from_secs(1);
/// The least of the delays is that of one or two such windows.
const WINDOW: Duration = Duration::from_secs(10);
/// Rates are measured over at least this much time, in µs.
const LEAST_INTERVAL: u32 = 50_000;

/// A datagram that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    counter: u32,
    /// In µs.
    at: u32,
    /// Bytes sent up to and with it.
    total: u32,
}

/// What a report said.
#[derive(Debug, Clone, Copy)]
struct Report {
    highest: u32,
    opened: u32,
    clock: u32,
    /// Bytes sent up to the highest packet, without what was lost of them.
    delivered: u32,
    /// The time under way, with the difference of the clocks, in µs.
    delay: i32,
    /// When it came, and how many bytes were sent by then.
    at: Instant,
    offered: u32,
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Bandwidth {
    sent: [Sent; REMEMBERED],
    /// Datagrams sent under the keys in use.
    count: usize,
    total: u32,
    /// The last one first.
    reports: [Option<Report>; REPORTS],
    /// The least delays of the current window and of the one before, and when that began.
    least: [Option<i32>; 2],
    window: Instant,
    /// Bits per second.
    estimate: u32,
    most: u32,
    /// Nothing has been too much yet.
    is_young: bool,
    /// The delay has not become little since the last decrease.
    is_falling: bool,
    decreased: Option<Instant>,
    /// In 1/65,536.
    loss: u32,
    /// When the first datagram was sent of which no report tells, and the estimate before it fell for that reason.
    unanswered: Option<Instant>,
    silenced: Option<u32>,
}

impl Bandwidth {
    /// Begins with `start` bits per second, and never has more than `most`.
    pub(crate) const fn new(start: u32, most: u32) -> Self {
        Self {
            sent: [Sent {
                counter: 0,
                at: 0,
                total: 0,
            }; REMEMBERED],
            count: 0,
            total: 0,
            reports: [None; REPORTS],
            least: [None; 2],
            window: Instant::from_micros(0),
            estimate: start,
            most,
            is_young: true,
            is_falling: false,
            decreased: None,
            loss: 0,
            unanswered: None,
            silenced: None,
        }
    }

    /// What the way carries, in bits per second.
    #[cfg(test)]
    const fn estimate(&self) -> u32 {
        self.estimate
    }

    /// Bits per second at which what waits may leave: a little more than the estimate, and less while a queue drains.
    pub(crate) fn pace(&self) -> u32 {
        let percent = if self.is_congested() { 85 } else { 115 };
        percent_of(self.estimate, percent)
    }

    /// The part of that which pictures may take: some is left for what is not known.
    pub(crate) fn usable(&self) -> u32 {
        percent_of(self.estimate, 95)
    }

    /// When the way last carried less than was sent.
    #[cfg(feature = "server")]
    pub(crate) const fn decreased(&self) -> Option<Instant> {
        self.decreased
    }

    /// More is to be tried: the way may carry this.
    #[cfg(feature = "server")]
    pub(crate) fn hope(&mut self, bits_per_second: u32) {
        self.estimate = self.estimate.max(bits_per_second).min(self.most);
    }

    /// A datagram of so many bytes was sent. Reports are only made on those with pictures.
    pub(crate) fn sent(&mut self, now: Instant, counter: u32, bytes: usize, has_pictures: bool) {
        let last = self.count.checked_sub(1);
        if let Some(last) = last.and_then(|last| self.sent.get(last % REMEMBERED))
            && ahead(counter, last.counter) <= 0
        {
            self.restart();
        }
        // The truncations are the point: only differences matter.
        self.total = self.total.wrapping_add(bytes as u32);
        if let Some(slot) = self.sent.get_mut(self.count % REMEMBERED) {
            *slot = Sent {
                counter,
                at: now.as_micros() as u32,
                total: self.total,
            };
        }
        self.count += 1;
        if has_pictures {
            let since = *self.unanswered.get_or_insert(now);
            let has_reports = self.reports.iter().any(Option::is_some);
            if has_reports && since + SILENCE <= now {
                self.unanswered = Some(now);
                self.silenced.get_or_insert(self.estimate);
                self.estimate = percent_of(self.estimate, 70).max(LEAST);
            }
        }
    }

    /// The keys are new, and so are the counters.
    fn restart(&mut self) {
        self.count = 0;
        self.reports = [None; REPORTS];
        self.least = [None; 2];
        self.unanswered = None;
    }

    /// The datagram with this counter. A publisher learns the counter of a packet only when others have been written, so it may
    /// be one less.
    fn find(&self, counter: u32) -> Option<Sent> {
        let oldest = self.count.saturating_sub(REMEMBERED);
        let newest_first = (oldest..self.count).rev();
        let mut sent = newest_first.filter_map(|index| self.sent.get(index % REMEMBERED));
        let found = sent.find(|sent| ahead(counter, sent.counter) >= 0)?;
        (ahead(counter, found.counter) <= 1).then_some(*found)
    }

    /// Takes in a report. One that makes no sense changes nothing.
    pub(crate) fn handle_arrived(&mut self, now: Instant, arrived: Arrived) {
        let Some(sent) = self.find(arrived.highest) else {
            return;
        };
        let [last, ..] = self.reports;
        let mut report = Report {
            highest: arrived.highest,
            opened: arrived.opened,
            clock: arrived.clock,
            delivered: sent.total,
            // The truncation is the point: only differences matter.
            delay: arrived.clock.wrapping_sub(sent.at) as i32,
            at: now,
            offered: self.total,
        };
        if let Some(last) = last {
            let expected = ahead(report.highest, last.highest);
            let Ok(expected @ 1..) = u32::try_from(expected) else {
                return;
            };
            let opened = report.opened.wrapping_sub(last.opened).min(expected);
            let lost = u64::from(expected - opened) << 16;
            let lost = lost.checked_div(u64::from(expected)).unwrap_or(0) as u32;
            self.loss = (self.loss * 15 + lost) / 16;
            let bytes = self
                .find(last.highest)
                .map_or(0, |before| sent.total.wrapping_sub(before.total));
            let arrived = u64::from(bytes) * u64::from(opened) / u64::from(expected);
            report.delivered = last.delivered.wrapping_add(arrived as u32);
        }
        self.unanswered = None;
        self.end_silence(report.delay);
        self.note_delay(now, report.delay);
        self.reports.rotate_right(1);
        if let Some(first) = self.reports.first_mut() {
            *first = Some(report);
        }
        self.adapt(now);
    }

    /// Reports come again. If nothing waits on the way, it was away rather than narrow.
    fn end_silence(&mut self, delay: i32) {
        if let Some(before) = self.silenced.take() {
            self.reports = [None; REPORTS];
            if self.above_least(delay).is_none_or(|queue| queue < CLEAR) {
                self.estimate = before;
            }
        }
    }

    /// How much a delay is above the least.
    fn above_least(&self, delay: i32) -> Option<i32> {
        let least = self.least.iter().flatten();
        least.map(|least| delay.wrapping_sub(*least)).max()
    }

    fn note_delay(&mut self, now: Instant, delay: i32) {
        if self.window + WINDOW <= now {
            self.window = now;
            let [current, _] = self.least;
            self.least = [None, current];
        }
        let [current, _] = &mut self.least;
        let least = current.unwrap_or(delay);
        *current = Some(if delay.wrapping_sub(least) < 0 {
            delay
        } else {
            least
        });
    }

    /// The queueing delay in µs: the least of the last three reports.
    fn queue(&self) -> i32 {
        let reports = self.reports.iter().flatten().take(REPORTS - 1);
        let queues = reports.filter_map(|report| self.above_least(report.delay));
        queues.min().unwrap_or(0)
    }

    fn is_congested(&self) -> bool {
        self.queue() > CONGESTED
    }

    /// Bits per second that arrived, and that were sent, over the last reports.
    fn rates(&self) -> Option<(u32, u32)> {
        let [newest, ..] = self.reports;
        let newest = newest?;
        let oldest = self.reports.iter().flatten().last()?;
        let under_way = newest.clock.wrapping_sub(oldest.clock);
        let waited = newest.at.saturating_duration_since(oldest.at);
        let waited = u32::try_from(micros(waited)).unwrap_or(u32::MAX);
        if under_way.min(waited) < LEAST_INTERVAL {
            return None;
        }
        let rate = |new: u32, old: u32, micros: u32| {
            let bits = u64::from(new.wrapping_sub(old)) * 8_000_000;
            let rate = bits.checked_div(u64::from(micros)).unwrap_or(0);
            u32::try_from(rate).unwrap_or(u32::MAX)
        };
        Some((
            rate(newest.delivered, oldest.delivered, under_way),
            rate(newest.offered, oldest.offered, waited),
        ))
    }

    fn adapt(&mut self, now: Instant) {
        let Some((delivered, offered)) = self.rates() else {
            return;
        };
        let may_decrease = |interval| self.decreased.is_none_or(|last| last + interval <= now);
        let queue = self.queue();
        if queue > CONGESTED {
            if may_decrease(DECREASE_INTERVAL) {
                let is_ours = offered >= self.estimate / 2;
                let percent = if queue > SWAMPED { 70 } else { 85 };
                let tenth_less = percent_of(self.estimate, 90);
                let target = percent_of(delivered, percent);
                // What is delivered while a queue drains says less than the estimate that had it drain.
                let target = match is_ours && !self.is_falling {
                    true => target,
                    false => target.max(tenth_less),
                };
                self.decrease(now, target);
                self.is_falling = true;
            }
        } else if self.loss > LOSSY {
            if may_decrease(LOSS_INTERVAL) {
                let less = (u64::from(self.estimate) * u64::from(self.loss)) >> 17;
                self.decrease(now, self.estimate.saturating_sub(less as u32));
            }
        } else if queue < CLEAR {
            self.is_falling = false;
            let percent = if self.is_young { 106 } else { 101 };
            let more = percent_of(self.estimate, percent).min(percent_of(delivered, 120));
            // It does not fall because little was sent.
            self.estimate = self.estimate.max(more).min(self.most);
        }
    }

    fn decrease(&mut self, now: Instant, to: u32) {
        self.is_young = false;
        self.decreased = Some(now);
        self.estimate = self.estimate.min(to).max(LEAST);
    }
}

fn percent_of(rate: u32, percent: u32) -> u32 {
    let part = u64::from(rate) * u64::from(percent) / 100;
    u32::try_from(part).unwrap_or(u32::MAX)
}

/// How far a counter is ahead of another.
const fn ahead(counter: u32, other: u32) -> i32 {
    // The truncation is the point: the half of the range that is nearer.
    counter.wrapping_sub(other) as i32
}

#[cfg(test)]
mod tests;
