//! Quality: reports to publishers about their media, and reports of receivers about theirs.

use crate::room::MAX_STREAMS;
use crate::rtp::{ReportBlock, RtcpCompound, quality, report_len, write_report};
use crate::server::ParticipantStatistics;
use crate::server::member::{Member, Publication};
use crate::time::{Duration, Instant};

impl Member {
    /// Makes the report on its media if it is due. Without media there is none, and no timer for it.
    pub(crate) fn make_report(&mut self, now: Instant, interval: Duration) {
        let sends = &mut self.sends;
        if sends.report_at.is_none_or(|at| now < at) {
            return;
        }
        sends.report_at = None;
        let mut blocks = heapless::Vec::<ReportBlock, MAX_STREAMS>::new();
        for stream in &mut sends.streams {
            if core::mem::take(&mut stream.unreported)
                && let Some(block) = stream.reception.report_block(now)
            {
                // There are as many places as streams.
                let _ = blocks.push(block);
            }
        }
        let worst = blocks.iter().map(|block| block.fraction_lost).max();
        let Some(worst) = worst else {
            return;
        };
        sends.loss = worst;
        let reporter = self.receives.slots.first_ssrc();
        sends.report.resize(report_len(false, blocks.len()), 0);
        if write_report(reporter, None, &blocks, &mut sends.report).is_err() {
            sends.report.clear();
        }
        sends.report_at = Some(now + interval);
    }

    /// Processes a member's report of the media that it sends and receives.
    pub(crate) fn handle_report(&mut self, now: Instant, bytes: &[u8]) {
        let Ok(compound) = RtcpCompound::parse(bytes) else {
            return;
        };
        let (mut sent, mut lost) = (0, 0);
        for report in compound {
            if let (Some(sender), Some(stream)) = (
                report.sender(),
                Publication::by_ssrc(&mut self.sends.streams, report.ssrc()),
            ) {
                stream.reception.handle_sender_report(now, sender.ntp);
            }
            let slots = &mut self.receives.slots;
            for delivered in report.blocks().filter_map(|block| slots.report(&block)) {
                sent += delivered.sent;
                lost += delivered.lost;
            }
        }
        if let Some(share) = (lost * 256).checked_div(sent) {
            self.receives.loss = u8::try_from(share).unwrap_or(u8::MAX);
        }
    }

    /// How well it is connected.
    pub(crate) fn statistics(&self) -> ParticipantStatistics {
        let (sends, receives) = (&self.sends, &self.receives);
        let streams = sends.streams.iter();
        let jitter = streams.map(|stream| stream.reception.jitter_duration());
        let jitter = jitter.max().unwrap_or(Duration::ZERO);
        let round_trip = self.association.link.rtt().smoothed();
        let loss = sends.loss.max(receives.loss);
        ParticipantStatistics {
            round_trip,
            uplink_loss: sends.loss,
            downlink_loss: receives.loss,
            jitter,
            media_received: sends.packets,
            media_sent: receives.packets,
            bytes_received: self.association.bytes_received,
            bytes_sent: self.association.bytes_sent,
            quality: quality(loss, round_trip.unwrap_or(Duration::ZERO), jitter),
        }
    }
}
