//! Reception statistics of a flow: loss, jitter, order, by [RFC 3550 appendix
//! A](https://www.rfc-editor.org/rfc/rfc3550#appendix-A.1).
//!
//! ```text
//! every packet ─▶ handle_packet ──────────┐
//! its sender reports ─▶ handle_sender_report ─▶ report_block ─▶ RTCP
//! ```
//!
//! One point differs from the appendix: a new source is not put on probation, because in Parlour the secure association
//! has already proven the sender.

use super::clock::units;
use super::ntp::{compact_duration, compact_ntp};
use super::rtcp::ReportBlock;
use super::sequence::{sequence_difference, timestamp_difference};
use crate::time::{Duration, Instant};

/// A packet this far ahead of the highest means that the sender began anew (appendix A.1).
const MAX_DROPOUT: i16 = 3000;
/// A packet this far behind means the same.
const MAX_MISORDER: i16 = 100;

/// The last 128 sequence numbers, as many as [`MAX_MISORDER`] needs: a bit for each, at the place that its number says.
/// A `u128` that is shifted takes a 32-bit processor several times as many instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Arrived([u32; 4]);

impl Arrived {
    const WIDTH: u16 = 128;

    /// Makes place for the `ahead` numbers up to `highest`.
    fn advance(&mut self, highest: u16, ahead: u16) {
        for behind in 0..ahead.min(Self::WIDTH) {
            let (word, bit) = self.place(highest.wrapping_sub(behind));
            *word &= !bit;
        }
    }

    /// Notes that a number has arrived; returns false if it had before.
    fn insert(&mut self, sequence: u16) -> bool {
        let (word, bit) = self.place(sequence);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn place(&mut self, sequence: u16) -> (&mut u32, u32) {
        let [a, b, c, d] = &mut self.0;
        let word = match sequence / 32 % 4 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
        (word, 1 << (sequence % 32))
    }
}

/// The sequence numbers since the sender last began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    highest: u64,
    received: u64,
    /// Whether the packets up to `highest` have arrived.
    arrived: Arrived,
    expected_before: u64,
    received_before: u64,
    /// Arrival less timestamp of the last packet, in the flow's clock.
    transit: Option<u32>,
}

impl Run {
    fn starting_at(sequence: u16) -> Self {
        Self {
            first: sequence.into(),
            highest: sequence.into(),
            received: 0,
            arrived: Arrived::default(),
            expected_before: 0,
            received_before: 0,
            transit: None,
        }
    }

    fn expected(&self) -> u64 {
        self.highest.saturating_sub(self.first).saturating_add(1)
    }
}

/// Reception statistics of one flow.
///
/// Counters cover the time since the flow began, or began anew with other sequence numbers.
///
/// ```
/// use parlour_core::rtp::ReceptionStats;
/// use parlour_core::time::{Duration, Instant};
///
/// let mut stats = ReceptionStats::new(0xCAFE, 48_000);
/// let start = Instant::from_micros(0);
/// for (n, sequence) in [(0, 65_534), (1, 65_535), (3, 1)] {
///     stats.handle_packet(start + Duration::from_millis(20) * n, sequence, 960 * n);
/// }
/// assert_eq!((stats.expected(), stats.received(), stats.lost()), (4, 3, 1));
/// let block = stats.report_block(start).unwrap();
/// assert_eq!(block.fraction_lost, 64); // a quarter
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceptionStats {
    ssrc: u32,
    clock_rate: u32,
    run: Option<Run>,
    /// The number that, if it comes next, confirms that the sender began anew.
    restart: Option<u16>,
    /// Sixteen times the jitter, as appendix A.8 keeps it.
    jitter: u64,
    late: u64,
    duplicates: u64,
    /// The last sender report's compact timestamp, and when it came.
    sender_report: Option<(u32, Instant)>,
}

impl ReceptionStats {
    /// For the flow `ssrc`, whose timestamps count `clock_rate` units per second.
    pub const fn new(ssrc: u32, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            run: None,
            restart: None,
            jitter: 0,
            late: 0,
            duplicates: 0,
            sender_report: None,
        }
    }

    /// Counts a packet of the flow that arrives `now`.
    ///
    /// A packet at least 3000 numbers ahead of the highest or 100 behind it is not counted until
    /// its successor comes; then the sender has begun anew, and so do the counters.
    pub fn handle_packet(&mut self, now: Instant, sequence: u16, timestamp: u32) {
        let mut run = self.run.unwrap_or_else(|| Run::starting_at(sequence));
        let mut ahead = sequence_difference(sequence, run.highest as u16);
        if ahead >= MAX_DROPOUT || ahead <= -MAX_MISORDER {
            if self.restart != Some(sequence) {
                self.restart = Some(sequence.wrapping_add(1));
                return;
            }
            self.late = 0;
            self.duplicates = 0;
            run = Run::starting_at(sequence);
            ahead = 0;
        }
        self.restart = None;

        if ahead > 0 {
            run.highest = run.highest.saturating_add_signed(ahead.into());
            run.arrived.advance(sequence, ahead.unsigned_abs());
        }
        if !run.arrived.insert(sequence) {
            self.duplicates = self.duplicates.saturating_add(1);
        } else if ahead < 0 {
            self.late = self.late.saturating_add(1);
        }
        run.received = run.received.saturating_add(1);

        let transit = units(now.as_micros(), self.clock_rate).wrapping_sub(timestamp);
        if let Some(before) = run.transit.replace(transit) {
            let difference = timestamp_difference(transit, before).unsigned_abs();
            let decay = self.jitter.saturating_add(8) >> 4;
            self.jitter = self
                .jitter
                .saturating_add(difference.into())
                .saturating_sub(decay);
        }
        self.run = Some(run);
    }

    /// Notes that a report with NTP timestamp `ntp` from the flow's sender arrives `now`.
    pub fn handle_sender_report(&mut self, now: Instant, ntp: u64) {
        self.sender_report = Some((compact_ntp(ntp), now));
    }

    /// The block to report to the sender `now`. It begins the next interval of
    /// [`fraction_lost`](ReportBlock::fraction_lost). `None` if nothing has arrived yet.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let run = self.run.as_mut()?;
        let expected = run.expected();
        let expected_since = expected.saturating_sub(run.expected_before);
        let received_since = run.received.saturating_sub(run.received_before);
        run.expected_before = expected;
        run.received_before = run.received;
        let fraction_lost = expected_since
            .saturating_sub(received_since)
            .saturating_mul(256)
            .checked_div(expected_since)
            .unwrap_or(0);
        // Truncation is the field's definition: 16 bits of number, 16 of wraps.
        let highest_sequence = run.highest as u32;
        let lost = self.lost();
        let (last_sr, delay_since_last_sr) = match self.sender_report {
            Some((last_sr, arrival)) => (
                last_sr,
                compact_duration(now.saturating_duration_since(arrival)),
            ),
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction_lost).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost).unwrap_or(if lost < 0 {
                i32::MIN
            } else {
                i32::MAX
            }),
            highest_sequence,
            jitter: self.jitter(),
            last_sr,
            delay_since_last_sr,
        })
    }

    /// Packets sent between the first and the highest that arrived, both included.
    pub fn expected(&self) -> u64 {
        self.run.map_or(0, |run| run.expected())
    }

    /// Packets that arrived, late ones and duplicates included.
    pub fn received(&self) -> u64 {
        self.run.map_or(0, |run| run.received)
    }

    /// Packets expected but not received: negative if duplicates, and packets sent before the
    /// first that arrived, outnumber the lost.
    pub fn lost(&self) -> i64 {
        self.expected().wrapping_sub(self.received()).cast_signed()
    }

    /// Packets that arrived after one with a higher number.
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Packets that had arrived before.
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The highest sequence number that arrived, with the wraps above its 16 bits.
    pub fn highest_sequence(&self) -> Option<u64> {
        self.run.map(|run| run.highest)
    }

    /// Smoothed difference in transit time between a packet and the one before it, in units of
    /// the flow's clock (appendix A.8).
    pub fn jitter(&self) -> u32 {
        u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX)
    }

    /// The same as time.
    pub fn jitter_duration(&self) -> Duration {
        let micros = u64::from(self.jitter()).saturating_mul(1_000_000);
        Duration::from_micros(micros.checked_div(self.clock_rate.into()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
