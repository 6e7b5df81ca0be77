//! Quality: what publishers are told of their media, what receivers tell of theirs.

use super::machine::MemberKey;
use super::member::Member;
use super::{ParticipantStatistics, Server};
use crate::room::MAX_STREAMS;
use crate::rtp::{ReportBlock, RtcpCompound, quality, report_len, write_report};
use crate::time::{Duration, Instant};

impl Server {
    /// Makes the report on a publisher's media if it is due. Without media there is none, and no
    /// timer for it.
    pub(super) fn make_report(&mut self, now: Instant, key: MemberKey) {
        let interval = self.config.report_interval;
        let Some(member) = self.member_mut(key) else {
            return;
        };
        if member.report_at.is_none_or(|at| now < at) {
            return;
        }
        member.report_at = None;
        let mut blocks = heapless::Vec::<ReportBlock, MAX_STREAMS>::new();
        for stream in &mut member.streams {
            if core::mem::take(&mut stream.unreported)
                && let Some(block) = stream.reception.report_block(now)
            {
                // There are as many places as streams.
                let _ = blocks.push(block);
            }
        }
        if blocks.is_empty() {
            return;
        }
        member.uplink_loss = worst_loss(&blocks).unwrap_or(0);
        let reporter = member.slots.first_ssrc();
        member.report.resize(report_len(false, blocks.len()), 0);
        if write_report(reporter, None, &blocks, &mut member.report).is_err() {
            member.report.clear();
        }
        member.report_at = Some(now + interval);
    }

    /// Takes in what a participant tells of what it sends and receives.
    pub(super) fn handle_report(&mut self, now: Instant, key: MemberKey, bytes: &[u8]) {
        let Some(member) = self.member_mut(key) else {
            return;
        };
        let Ok(compound) = RtcpCompound::parse(bytes) else {
            return;
        };
        let (mut sent, mut lost) = (0, 0);
        for report in compound {
            let streams = &mut member.streams;
            let own = streams.iter_mut().find(|own| own.ssrc == report.ssrc());
            if let (Some(sender), Some(stream)) = (report.sender(), own) {
                stream.reception.handle_sender_report(now, sender.ntp);
            }
            for delivered in report
                .blocks()
                .filter_map(|block| member.slots.report(&block))
            {
                sent += delivered.sent;
                lost += delivered.lost;
            }
        }
        if let Some(share) = (lost * 256).checked_div(sent) {
            member.downlink_loss = u8::try_from(share).unwrap_or(u8::MAX);
        }
    }
}

fn worst_loss(blocks: &[ReportBlock]) -> Option<u8> {
    blocks.iter().map(|block| block.fraction_lost).max()
}

impl Member {
    /// How well it is connected.
    pub(super) fn statistics(&self) -> ParticipantStatistics {
        let jitters = self.streams.iter();
        let jitter = jitters
            .map(|stream| stream.reception.jitter_duration())
            .max();
        let jitter = jitter.unwrap_or(Duration::ZERO);
        let round_trip = self.link.rtt().smoothed();
        let loss = self.uplink_loss.max(self.downlink_loss);
        ParticipantStatistics {
            round_trip,
            uplink_loss: self.uplink_loss,
            downlink_loss: self.downlink_loss,
            jitter,
            media_received: self.media_received,
            media_sent: self.media_sent,
            quality: quality(loss, round_trip.unwrap_or(Duration::ZERO), jitter),
        }
    }
}
