//! The flows of media, and what is measured of them.

use super::statistics::SlotStatistics;
use crate::rtp::{Depacketizer, ReceptionStats, ReportBlock};
use crate::secure::Arrivals;
use crate::time::{Duration, Instant};

/// Timestamps in slots count this many units per second, whatever the codec.
const SLOT_CLOCK: u32 = 48_000;

/// One audio slot's flow, as it arrives.
#[derive(Debug)]
pub struct Slot {
    pub(super) depacketizer: Depacketizer,
    pub(super) reception: ReceptionStats,
    /// Share lost over the last interval of reports, in 1/256; `None` before the first.
    loss: Option<u8>,
    /// Packets arrived since the last report.
    pub(super) unreported: bool,
}

impl Slot {
    pub(super) const fn new(ssrc: u32) -> Self {
        Self {
            depacketizer: Depacketizer::new(SLOT_CLOCK),
            reception: ReceptionStats::new(ssrc, SLOT_CLOCK),
            loss: None,
            unreported: false,
        }
    }

    /// Another server, or a restarted one, sends in this slot from now on.
    pub(super) fn restart(&mut self, ssrc: u32) {
        let mut depacketizer = self.depacketizer.clone();
        depacketizer.restart();
        *self = Self {
            depacketizer,
            ..Self::new(ssrc)
        };
    }

    pub(super) fn statistics(&self) -> SlotStatistics {
        SlotStatistics {
            received: self.reception.received(),
            lost: self.reception.lost(),
            late: self.reception.late(),
            duplicates: self.reception.duplicates(),
            jitter: self.reception.jitter_duration(),
            loss: self.loss.unwrap_or(0),
        }
    }

    pub(super) fn take_report(&mut self, now: Instant) -> Option<ReportBlock> {
        if !core::mem::take(&mut self.unreported) {
            return None;
        }
        let block = self.reception.report_block(now)?;
        self.loss = Some(block.fraction_lost);
        Some(block)
    }
}

/// The server's last report about this end's flows.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    pub(super) loss: Option<u8>,
    pub(super) jitter: Duration,
}

/// How many of the server's datagrams get lost on their way here, by the counters that they carry: a
/// talker's packets that got lost before the server leave no gap in these.
#[derive(Debug, Default)]
pub(super) struct Downlink {
    measured: Arrivals,
    pub(super) loss: Option<u8>,
    /// The tenth of a second, modulo 256, in which the server was last told what has arrived.
    pub(super) told: u8,
}

impl Downlink {
    /// Takes in what has arrived under the keys in use.
    pub(super) fn measure(&mut self, arrivals: Arrivals) {
        if arrivals.expected < self.measured.expected {
            // The keys are new, and so are the counters.
            self.measured = Arrivals::default();
        }
        let expected = arrivals.expected - self.measured.expected;
        let received = arrivals.received.saturating_sub(self.measured.received);
        self.measured = arrivals;
        let lost = expected.saturating_sub(received);
        if let Some(share) = (lost * 256).checked_div(expected) {
            self.loss = Some(u8::try_from(share).unwrap_or(u8::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_of_the_last_interval_and_of_the_keys_in_use() {
        let mut downlink = Downlink::default();
        let mut measure = |expected, received| {
            downlink.measure(Arrivals { expected, received });
            downlink.loss
        };
        assert_eq!(measure(0, 0), None);
        assert_eq!(measure(10, 10), Some(0));
        assert_eq!(measure(18, 14), Some(128));
        assert_eq!(measure(18, 14), Some(128), "no news");
        // New keys; then late ones after all.
        assert_eq!(measure(4, 3), Some(64));
        assert_eq!(measure(8, 8), Some(0));
    }
}
