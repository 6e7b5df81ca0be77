//! The timestamps of RTCP reports, [RFC 3550 section 4](https://www.rfc-editor.org/rfc/rfc3550#section-4).
//!
//! ```text
//! NTP timestamp:  seconds (32 bits) . fraction (32 bits)
//! compact:           seconds (low 16) . fraction (high 16), so one unit is 1/65536 s
//! ```
//!
//! The core has no wall clock. A round-trip time only needs differences of the sender's own timestamps, so
//! [`ntp_timestamp`] counts from the embedder's zero and not from 1900. An embedder that synchronises flows with its
//! wall clock uses true NTP times instead.

use super::rtcp::ReportBlock;
use crate::time::{Duration, Instant};

const MICROS_PER_SECOND: u64 = 1_000_000;

/// `now` in the format of an NTP timestamp, counted from the embedder's own zero.
///
/// ```
/// use parlour_core::{rtp::ntp_timestamp, time::Instant};
/// assert_eq!(ntp_timestamp(Instant::from_micros(1_500_000)), 0x0000_0001_8000_0000);
/// ```
pub const fn ntp_timestamp(now: Instant) -> u64 {
    let micros = now.as_micros();
    let fraction = ((micros % MICROS_PER_SECOND) << 32) / MICROS_PER_SECOND;
    // Seconds beyond 32 bits are shifted out: NTP time wraps, and only differences matter.
    (micros / MICROS_PER_SECOND) << 32 | fraction
}

/// The middle 32 bits of an NTP timestamp, which reports quote: units of 1/65536 s, wrapping.
pub const fn compact_ntp(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// `duration` in units of 1/65536 s; as much as fits if it is over 18 hours.
pub(super) fn compact_duration(duration: Duration) -> u32 {
    let part = u64::from(duration.subsec_micros()) * 65_536 / MICROS_PER_SECOND;
    let units = duration.as_secs().saturating_mul(65_536);
    u32::try_from(units.saturating_add(part)).unwrap_or(u32::MAX)
}

impl ReportBlock {
    /// The round-trip time between us and the reporter. This block about our own flow must arrive when our clock, the one
    /// of our sender reports, reads `ntp_now` ([RFC 3550 section
    /// 6.4.1](https://www.rfc-editor.org/rfc/rfc3550#section-6.4.1)).
    ///
    /// Exact to about 30 µs. Zero if the reporter claims to have held the report for longer than we waited, because its
    /// clock is faster. `None` if the reporter has received no sender report yet, or quotes one from our future.
    ///
    /// ```
    /// use parlour_core::rtp::{compact_ntp, ntp_timestamp, ReportBlock};
    /// use parlour_core::time::{Duration, Instant};
    /// let reported = Instant::from_micros(7_000_000);
    /// let block = ReportBlock {
    ///     last_sr: compact_ntp(ntp_timestamp(reported)),
    ///     delay_since_last_sr: 65_536, // one second
    ///     ..ReportBlock::default()
    /// };
    /// let now = ntp_timestamp(reported + Duration::from_millis(1_250));
    /// assert_eq!(block.round_trip(now), Some(Duration::from_millis(250)));
    /// ```
    pub fn round_trip(&self, ntp_now: u64) -> Option<Duration> {
        if self.last_sr == 0 {
            return None;
        }
        let elapsed = compact_ntp(ntp_now).wrapping_sub(self.last_sr);
        if elapsed.cast_signed() < 0 {
            return None;
        }
        let units = u64::from(elapsed.saturating_sub(self.delay_since_last_sr));
        Some(Duration::from_micros((units * MICROS_PER_SECOND) >> 16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips_are_measured_to_30_micros(
            sent in 1_000_000u64..1 << 60,
            held in 0u64..60_000_000,
            network in 0u64..20_000_000,
        ) {
            let sent = Instant::from_micros(sent);
            let block = ReportBlock {
                last_sr: compact_ntp(ntp_timestamp(sent)),
                delay_since_last_sr: compact_duration(Duration::from_micros(held)),
                ..ReportBlock::default()
            };
            prop_assume!(block.last_sr != 0);
            let now = sent + Duration::from_micros(held + network);
            let measured = block.round_trip(ntp_timestamp(now)).unwrap();
            prop_assert!(measured.abs_diff(Duration::from_micros(network)) <= Duration::from_micros(32));
        }

        #[test]
        fn any_figures_give_less_than_half_the_range(
            last_sr: u32, delay_since_last_sr: u32, now: u64,
        ) {
            let block = ReportBlock { last_sr, delay_since_last_sr, ..ReportBlock::default() };
            if let Some(round_trip) = block.round_trip(now) {
                prop_assert!(round_trip < Duration::from_secs(32_768));
            }
        }
    }

    #[test]
    fn a_block_without_a_sender_report_or_with_a_future_one_tells_nothing() {
        let block = ReportBlock::default();
        assert_eq!(block.round_trip(1 << 40), None);
        let block = ReportBlock {
            last_sr: 1_000,
            ..block
        };
        assert_eq!(block.round_trip(999 << 16), None);
        assert_eq!(block.round_trip(1_000 << 16), Some(Duration::ZERO));
    }

    #[test]
    fn a_report_held_for_longer_than_we_waited_took_no_time() {
        let block = ReportBlock {
            last_sr: 1_000,
            delay_since_last_sr: 50,
            ..ReportBlock::default()
        };
        assert_eq!(block.round_trip(1_049 << 16), Some(Duration::ZERO));
    }

    #[test]
    fn a_delay_beyond_the_field_is_its_greatest() {
        assert_eq!(compact_duration(Duration::from_secs(1)), 65_536);
        assert_eq!(compact_duration(Duration::from_secs(70_000)), u32::MAX);
        assert_eq!(compact_duration(Duration::MAX), u32::MAX);
    }
}
