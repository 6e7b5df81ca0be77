//! Packets of media: in through the slots, out through the queue, and reports on both.

use super::statistics::SlotStatistics;
use crate::rtp::{Depacketizer, ReceptionStats};

/// Timestamps in slots count this many units per second, whatever the codec.
const SLOT_CLOCK: u32 = 48_000;

/// One audio slot's flow, as it arrives.
#[derive(Debug)]
pub struct Slot {
    pub(super) depacketizer: Depacketizer,
    pub(super) reception: ReceptionStats,
    /// Share lost over the last interval of reports, in 1/256.
    pub(super) loss: u8,
    /// Packets arrived since the last report.
    pub(super) unreported: bool,
}

impl Slot {
    pub(super) const fn new(ssrc: u32) -> Self {
        Self {
            depacketizer: Depacketizer::new(SLOT_CLOCK),
            reception: ReceptionStats::new(ssrc, SLOT_CLOCK),
            loss: 0,
            unreported: false,
        }
    }

    pub(super) fn statistics(&self) -> SlotStatistics {
        SlotStatistics {
            received: self.reception.received(),
            lost: self.reception.lost(),
            late: self.reception.late(),
            duplicates: self.reception.duplicates(),
            jitter: self.reception.jitter_duration(),
            loss: self.loss,
        }
    }
}
