//! Order, gaps and delay of playing. Works on the cells' headers as a plain slice, so that it is compiled once for all
//! sizes of buffer.
//!
//! Times are samples of the RTP clock in `i64`. Timestamps are below 2^62 and arrivals below 2^45
//! (microseconds since the last re-base, times the rate, saturating), so sums of the few terms used
//! here cannot overflow.

use super::base::Base;
use super::buffer::{JitterConfig, JitterStatistics, Packet, PushError};
use super::lateness::Lateness;
use super::times::Times;
use crate::room::Codec;
use crate::time::Instant;

/// Sequence numbers and timestamps stay below this.
const LIMIT: u64 = 1 << 62;
/// A sequence number this far ahead is a restart, not a loss (RFC 3550 appendix A.1).
const MAX_DROPOUT: u64 = 3_000;
/// The distance within which two odd packets confirm each other as a restart.
const CONFIRM: u64 = 100;

/// The header of a cell, without its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) sequence: u64,
    pub(super) timestamp: i64,
    pub(super) duration: u32,
    pub(super) length: usize,
    pub(super) codec: Codec,
    pub(super) speaker: Option<u32>,
    marker: bool,
    /// Whether a pause follows.
    ends: bool,
}

/// An Opus payload of no more bytes says that a pause (DTX) begins.
const PAUSE_LEN: usize = 2;

impl Cell {
    fn end(&self) -> i64 {
        self.timestamp + i64::from(self.duration)
    }
}

/// A pull's answer, with the index of a cell in place of its payload.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Frame(usize, Cell),
    Lost {
        samples: u32,
        next: Option<(usize, Cell)>,
    },
    Silence(u32),
    Buffering(u32),
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    sequence: u64,
    timestamp: i64,
    speaker: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The position is free: playing starts when the first packet held has waited for its delay.
    Buffering,
    Playing,
}

#[derive(Debug, Clone)]
pub(super) struct Playout {
    times: Times,
    cells: i64,
    /// Whether the caller corrects the delay by stretching what it plays.
    pub(super) stretches: bool,
    /// Whether the delay is near enough to its target.
    settled: bool,
    base: Base,
    /// What was learnt of the network, in eighths of a ms, and the delay that this asks for.
    learnt: Option<u16>,
    wanted: i64,
    /// The time of arrival sample 0.
    origin: Option<Instant>,
    phase: Phase,
    /// The packet furthest ahead.
    newest: Option<Newest>,
    /// Sequence and transit of an odd packet.
    suspect: Option<(u64, i64)>,
    next_sequence: Option<u64>,
    /// Timestamp of the last packet played or dropped: later packets must be above it.
    floor: Option<i64>,
    /// Timestamp of the next sample to play.
    position: i64,
    /// Smoothed lag of `position` behind the fastest packet.
    delay: i64,
    /// Samples played since the last audible correction.
    since_adjusted: i64,
    /// Samples of concealment since the last frame while the buffer was empty. Whether they were due to a loss is known
    /// when the next packet comes.
    starved: i64,
    /// Whether the last frame was the end of a talkspurt.
    pauses: bool,
    /// Duration of the last accepted packet.
    frame: i64,
    /// Codec and speaker of the last frame.
    last: Option<(Codec, Option<u32>)>,
    /// The time of the last call, and until when losses are expected.
    now: i64,
    lossy: i64,
    statistics: JitterStatistics,
}

impl Playout {
    pub(super) fn new(config: JitterConfig, cells: usize) -> Self {
        let times = Times::new(config);
        Self {
            times,
            cells: i64::try_from(cells).unwrap_or(i64::MAX).min(1 << 16),
            stretches: false,
            settled: false,
            base: Base::new(times.rate),
            learnt: None,
            wanted: times.start,
            origin: None,
            phase: Phase::Buffering,
            newest: None,
            suspect: None,
            next_sequence: None,
            floor: None,
            position: 0,
            delay: 0,
            since_adjusted: 0,
            starved: 0,
            pauses: false,
            frame: times.chunk,
            last: None,
            now: 0,
            lossy: 0,
            statistics: JitterStatistics::default(),
        }
    }

    pub(super) fn statistics(&self) -> JitterStatistics {
        JitterStatistics {
            delay: samples(self.delay),
            target: samples(self.target()),
            ..self.statistics
        }
    }

    /// Finds a cell of this many `bytes` for `packet` and fills in its header.
    pub(super) fn admit(
        &mut self,
        cells: &mut [Option<Cell>],
        lateness: &mut Lateness,
        now: Instant,
        packet: &Packet<'_>,
        bytes: usize,
    ) -> Result<usize, PushError> {
        if packet.payload.len() > bytes {
            return Err(PushError::TooLarge);
        }
        let duration = i64::from(packet.duration);
        let valid = (1..=self.times.longest).contains(&duration)
            && packet.sequence < LIMIT
            && packet.timestamp < LIMIT;
        if !valid {
            return Err(PushError::Invalid);
        }
        let cell = Cell {
            sequence: packet.sequence,
            timestamp: packet.timestamp.cast_signed(),
            duration: packet.duration,
            length: packet.payload.len(),
            codec: packet.codec,
            speaker: packet.speaker,
            marker: packet.marker,
            ends: packet.codec == Codec::Opus && packet.payload.len() <= PAUSE_LEN,
        };
        if cells
            .iter()
            .flatten()
            .any(|held| held.sequence == cell.sequence)
        {
            self.statistics.duplicates += 1;
            return Err(PushError::Duplicate);
        }
        let mut arrival = self.arrival(now);
        if self.is_discontinuous(&cell, arrival - cell.timestamp) {
            self.rebase_or_suspect(cells, now, &cell, arrival - cell.timestamp)?;
            arrival = self.arrival(now);
        }
        self.suspect = None;
        self.learn(lateness, now, arrival, &cell);

        if self.next_sequence.is_some_and(|next| cell.sequence < next) {
            self.statistics.late += 1;
            return Err(PushError::Late);
        }
        let index = match cells.iter().position(Option::is_none) {
            Some(free) => free,
            None => match oldest(cells) {
                Some((index, oldest)) if oldest.sequence < cell.sequence => {
                    self.drop_packet(&oldest);
                    index
                }
                _ => {
                    self.statistics.dropped += 1;
                    return Err(PushError::Full);
                }
            },
        };
        if let Some(place) = cells.get_mut(index) {
            *place = Some(cell);
        }
        if self.is_newest(&cell) {
            self.newest = Some(Newest {
                sequence: cell.sequence,
                timestamp: cell.timestamp,
                speaker: cell.speaker,
            });
        }
        self.frame = duration;
        self.statistics.received += 1;
        Ok(index)
    }

    /// Decides the next answer and moves the position past it.
    pub(super) fn step(&mut self, cells: &mut [Option<Cell>], now: Instant) -> Step {
        let Some(base) = self.base.transit() else {
            return Step::Buffering(samples(self.times.chunk));
        };
        // The position of playing without any delay.
        self.now = self.arrival(now);
        let ideal = self.now - base;
        if self.phase == Phase::Playing {
            self.measure(ideal - self.position);
        }
        if self.stretches {
            self.settle();
        }
        let step = self.decide(cells, ideal);
        let played = match step {
            Step::Frame(_, cell) => cell.duration,
            Step::Lost { samples, .. } | Step::Silence(samples) | Step::Buffering(samples) => {
                samples
            }
        };
        self.since_adjusted = self.since_adjusted.saturating_add(i64::from(played));
        step
    }

    pub(super) fn excess(&self) -> i64 {
        if self.phase == Phase::Buffering || self.settled {
            0
        } else {
            self.delay - self.target()
        }
    }

    /// Decides whether the delay has to be corrected. The more jitter, the less exact is its base: what is near to a long
    /// target is left alone, but once it is corrected it is corrected to the end.
    fn settle(&mut self) {
        let target = self.target();
        let error = (self.delay - target).abs();
        if error >= target / 8 {
            self.settled = false;
        }
        if error < self.times.tick {
            self.settled = true;
        }
        if error < self.times.chunk + self.times.margin {
            // No need for corrections that are heard.
            self.since_adjusted = 0;
        }
    }

    pub(super) fn stretch(&mut self, time: i64) {
        if time != 0 {
            self.delay += time;
            self.since_adjusted = 0;
        }
    }

    /// Each turn of the loop removes a packet, or shortens a gap, or returns.
    fn decide(&mut self, cells: &mut [Option<Cell>], ideal: i64) -> Step {
        loop {
            let Some((index, head)) = oldest(cells) else {
                return self.starve();
            };
            if self.floor.is_some_and(|floor| head.timestamp <= floor) {
                self.statistics.late += 1;
                release(cells, index);
                continue;
            }
            if self.phase == Phase::Buffering {
                let delay = ideal - head.timestamp;
                let short = self.target() - delay;
                if short >= self.times.tick {
                    return Step::Buffering(self.padding(short));
                }
                self.start(&head, delay);
            }
            self.end_starving(&head);
            if let Some(step) = self.bridge(index, &head) {
                return step;
            }
            let followed = cells.iter().flatten().count() > 1;
            if followed && self.is_lagging(&head) {
                self.since_adjusted = 0;
                self.drop_packet(&head);
                release(cells, index);
                continue;
            }
            if let Some(step) = self.hold_back(&head) {
                return step;
            }
            release(cells, index);
            self.next_sequence = Some(head.sequence + 1);
            self.floor = Some(head.timestamp);
            self.position = head.end();
            self.last = Some((head.codec, head.speaker));
            self.pauses = head.ends;
            return Step::Frame(index, head);
        }
    }

    fn start(&mut self, head: &Cell, delay: i64) {
        self.phase = Phase::Playing;
        self.delay = delay;
        let before = i64::from(head.duration);
        let next = self.next_sequence.unwrap_or(head.sequence);
        if head.sequence > next && self.may_recover(head) {
            // The one before it is in its FEC.
            self.lose(head.sequence - 1 - next);
            self.next_sequence = Some(head.sequence - 1);
            self.position = head.timestamp - before;
            self.delay += before;
        } else {
            self.count_lost_before(head);
            self.position = head.timestamp;
        }
    }

    /// The buffer is empty: conceal for a while, then wait for a packet.
    fn starve(&mut self) -> Step {
        if self.pauses {
            self.phase = Phase::Buffering;
        }
        if self.phase == Phase::Playing && self.starved < self.times.conceal {
            let samples = self.conceal();
            self.starved += i64::from(samples);
            return Step::Lost {
                samples,
                next: None,
            };
        }
        self.phase = Phase::Buffering;
        Step::Buffering(samples(self.times.chunk))
    }

    /// Something came: concealment until then was due to a loss, or to a delay, if the talkspurt goes on.
    fn end_starving(&mut self, head: &Cell) {
        if !head.marker {
            self.statistics.concealed += self.starved.unsigned_abs();
        }
        self.starved = 0;
    }

    /// Inserts concealment: time passes and the position stays, so the delay grows.
    fn conceal(&mut self) -> u32 {
        let most = if self.stretches {
            self.times.margin
        } else {
            self.frame
        };
        let length = self.padding(most.min(self.frame));
        self.delay += i64::from(length);
        length
    }

    /// Fills the time between the position and `head`, first for missing packets, then for the sender's silence.
    /// `None`: the position is at `head`.
    fn bridge(&mut self, index: usize, head: &Cell) -> Option<Step> {
        loop {
            let gap = (head.timestamp - self.position).max(0);
            let missing = head
                .sequence
                .saturating_sub(self.next_sequence.unwrap_or(head.sequence));
            let excess = self.delay - self.target();
            if missing == 0 {
                return self.bridge_silence(head, gap, excess);
            }
            let each = i64::try_from(missing).map_or(0, |missing| gap / missing);
            let lost = self.whole_ticks(each.min(self.frame.max(i64::from(head.duration))));
            if lost == 0 {
                self.count_lost_before(head);
                continue;
            }
            self.lose(1);
            self.next_sequence = self.next_sequence.map(|next| next + 1);
            let adjacent = missing == 1 && gap - lost < self.times.tick;
            let recoverable = adjacent && self.may_recover(head);
            let skips = if self.stretches {
                // Concealed already, while nothing came.
                !recoverable && excess >= lost / 2
            } else {
                excess >= lost + self.times.margin
            };
            if skips {
                self.skip(lost);
                continue;
            }
            self.position += lost;
            self.statistics.concealed += lost.unsigned_abs();
            return Some(Step::Lost {
                samples: samples(lost),
                next: recoverable.then_some((index, *head)),
            });
        }
    }

    /// A gap in time but not in sequence: here the delay moves freely to its target.
    fn bridge_silence(&mut self, head: &Cell, gap: i64, excess: i64) -> Option<Step> {
        if gap >= self.times.tick {
            self.skip(excess.clamp(0, gap));
            let rest = gap - excess.clamp(0, gap);
            if rest >= self.times.tick {
                let short = -excess;
                if short >= self.times.tick {
                    return Some(self.insert_silence(short));
                }
                let silence = self.whole_ticks(rest.min(self.times.chunk));
                self.position += silence;
                return Some(Step::Silence(samples(silence)));
            }
        }
        self.position = head.timestamp;
        None
    }

    /// Whether `head` should be skipped to reduce the delay.
    fn is_lagging(&self, head: &Cell) -> bool {
        let duration = i64::from(head.duration);
        let excess = self.delay - self.target();
        // Longer packets are dropped less often, so that never more than a tenth is lost.
        let due = self.since_adjusted >= self.pace().max(duration * 10);
        let free = !self.stretches && self.is_turning(head) && self.since_adjusted > 0;
        excess >= duration + self.times.margin && (due || free || excess >= self.times.hard)
    }

    /// Inserts time before `head` if the delay is too short.
    fn hold_back(&mut self, head: &Cell) -> Option<Step> {
        let short = self.target() - self.delay;
        if short < self.times.margin {
            return None;
        }
        if self.is_turning(head) {
            return Some(self.insert_silence(short));
        }
        if self.since_adjusted < self.pace() {
            return None;
        }
        self.since_adjusted = 0;
        let samples = self.conceal();
        self.statistics.concealed += u64::from(samples);
        Some(Step::Lost {
            samples,
            next: None,
        })
    }

    /// The time between two audible corrections, which are the last resort where stretching fails.
    fn pace(&self) -> i64 {
        self.times.pace * if self.stretches { 5 } else { 1 }
    }

    fn insert_silence(&mut self, short: i64) -> Step {
        let silence = self.padding(short);
        self.delay += i64::from(silence);
        Step::Silence(silence)
    }

    /// Whether a talkspurt or another speaker starts here: a correction is inaudible.
    fn is_turning(&self, head: &Cell) -> bool {
        head.marker
            || self
                .last
                .is_some_and(|(_, speaker)| speaker != head.speaker)
    }

    /// Whether `head` comes from the same encoder as the last frame.
    fn continues(&self, head: &Cell) -> bool {
        self.last == Some((head.codec, head.speaker))
    }

    /// Whether the FEC of `head` may hold the frame before it.
    fn may_recover(&self, head: &Cell) -> bool {
        !head.marker && self.continues(head)
    }

    /// Drops a packet that has arrived. Its time becomes a gap, which shrinks by the excess delay: usually all of it.
    fn drop_packet(&mut self, cell: &Cell) {
        self.count_lost_before(cell);
        self.next_sequence = Some(cell.sequence + 1);
        // A contradictory packet between others may be below an already played one.
        self.floor = self.floor.max(Some(cell.timestamp));
        self.statistics.dropped += 1;
    }

    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn count_lost_before(&mut self, cell: &Cell) {
        let next = self.next_sequence.unwrap_or(cell.sequence);
        self.lose(cell.sequence.saturating_sub(next));
        self.next_sequence = Some(cell.sequence.max(next));
    }

    fn lose(&mut self, packets: u64) {
        self.statistics.lost += packets;
        if packets > 0 {
            self.lossy = self.now + self.times.lossy;
        }
    }

    /// Learns from a packet how late packets come, and so which delay the network needs.
    fn learn(&mut self, lateness: &mut Lateness, now: Instant, arrival: i64, cell: &Cell) {
        let is_newest = self.is_newest(cell);
        // The server knew only roughly how another stream's time continues that of the one before.
        let changes = is_newest && cell.marker;
        if changes
            && self
                .newest
                .is_some_and(|newest| newest.speaker != cell.speaker)
        {
            self.base.forget();
        }
        let observed = self.base.observe(arrival, arrival - cell.timestamp);
        if observed.rise > 0 {
            lateness.correct(self.times.eighths(observed.rise));
        }
        if let Some(earlier) = observed.earlier {
            lateness.recall(self.times.eighths(earlier));
        }
        lateness.observe(now, self.times.eighths(observed.lateness), !is_newest);
        let learnt = lateness.delay();
        if learnt != self.learnt {
            self.learnt = learnt;
            self.wanted = learnt.map_or(self.times.start, |delay| self.times.samples(delay));
        }
    }

    fn is_newest(&self, cell: &Cell) -> bool {
        (self.newest).is_none_or(|newest| cell.sequence > newest.sequence)
    }

    /// Moves the position without playing.
    fn skip(&mut self, time: i64) {
        self.position += time;
        self.delay -= time;
    }

    /// Smooths the irregular timing of pulls; follows a jump at once.
    fn measure(&mut self, delay: i64) {
        let error = delay.saturating_sub(self.delay);
        self.delay = if error.saturating_abs() > self.times.pace {
            delay
        } else {
            self.delay + error / 8
        };
    }

    /// The delay to play with.
    fn target(&self) -> i64 {
        // One cell is left for the packet that arrives while the others wait.
        let room = (self.cells - 1) * self.frame;
        // A lost packet's FEC comes a packet later.
        let has_fec =
            self.now < self.lossy && self.last.is_some_and(|(codec, _)| codec == Codec::Opus);
        let recovery = if has_fec { self.frame } else { 0 };
        (self.wanted)
            .max(self.times.minimum)
            .max(self.base.detour() + self.times.minimum)
            .max(recovery)
            .min(self.times.maximum)
            .min(room)
    }

    /// Whether sequence and timestamp contradict earlier packets.
    fn is_discontinuous(&self, cell: &Cell, transit: i64) -> bool {
        let (Some(newest), Some(base)) = (self.newest, self.base.transit()) else {
            return false;
        };
        cell.sequence.cmp(&newest.sequence) != cell.timestamp.cmp(&newest.timestamp)
            || cell.sequence.saturating_sub(newest.sequence) >= MAX_DROPOUT
            || (transit - base).abs() >= self.times.jump
    }

    /// One odd packet may be a stray. A second one in line with it, or a jump forwards when nothing is left to play, is
    /// a sender that restarted.
    fn rebase_or_suspect(
        &mut self,
        cells: &mut [Option<Cell>],
        now: Instant,
        cell: &Cell,
        transit: i64,
    ) -> Result<(), PushError> {
        let confirmed = self.suspect.is_some_and(|(sequence, suspected)| {
            (1..=CONFIRM).contains(&cell.sequence.abs_diff(sequence))
                && (transit - suspected).abs() < self.times.jump
        });
        let idle = self.phase == Phase::Buffering
            && cells.iter().all(Option::is_none)
            && self.newest.is_some()
            && self.is_newest(cell);
        if !(confirmed || idle) {
            self.suspect = Some((cell.sequence, transit));
            return Err(PushError::Discontinuous);
        }
        cells.fill(None);
        self.base.forget();
        self.origin = Some(now);
        (self.now, self.lossy) = (0, 0);
        self.phase = Phase::Buffering;
        self.newest = None;
        self.next_sequence = None;
        self.floor = None;
        self.last = None;
        self.statistics.rebased += 1;
        Ok(())
    }

    /// `now` in samples; the first call sets its zero.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn arrival(&mut self, now: Instant) -> i64 {
        let origin = *self.origin.get_or_insert(now);
        let micros = now.as_micros().saturating_sub(origin.as_micros());
        let rate = self.times.rate.unsigned_abs();
        (micros.saturating_mul(rate) / 1_000_000).cast_signed()
    }

    /// The amount to insert at once when `wanted` more is needed: whole ticks, at most a chunk.
    fn padding(&self, wanted: i64) -> u32 {
        let tick = self.times.tick;
        let padding = self.whole_ticks(wanted + tick - 1);
        // Not `clamp`, which would panic if a tick were longer.
        samples(padding.max(tick).min(self.times.chunk))
    }

    fn whole_ticks(&self, time: i64) -> i64 {
        time - time % self.times.tick
    }
}

fn oldest(cells: &[Option<Cell>]) -> Option<(usize, Cell)> {
    cells
        .iter()
        .enumerate()
        .filter_map(|(index, cell)| Some((index, cell.as_ref()?)))
        .min_by_key(|(_, cell)| cell.sequence)
        .map(|(index, cell)| (index, *cell))
}

fn release(cells: &mut [Option<Cell>], index: usize) {
    if let Some(cell) = cells.get_mut(index) {
        *cell = None;
    }
}

/// An amount of samples as a public type.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn samples(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}
