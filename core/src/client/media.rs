//! Packets of media: in through the slots, out through the queue, and reports on both.
//!
//! Packets and lossy messages wait in one ring, each behind a byte that says what it is. If a new
//! one finds no place, the oldest are dropped: who hears them late is not helped.

use rand_core::RngCore as _;

use super::errors::SendError;
use super::events::{Event, Incoming, Message};
use super::machine::{Machine, Status};
use super::profile::Parts;
use super::publications::{Flow, Publication};
use super::statistics::{SlotStatistics, Statistics};
use crate::queue::ByteQueue;
use crate::room::{MAX_STREAMS, StreamKey, StreamKind};
use crate::rtp::{
    AudioLevel, Depacketizer, ReceptionStats, ReportBlock, RtcpCompound, RtpPacket, SenderInfo,
    ntp_timestamp, quality, report_len, write_report as write_rtcp,
};
use crate::secure::Arrivals;
use crate::signal::{LossyDelivery, MAX_SLOTS, decode};
use crate::time::{Duration, Instant};
use crate::wire::{FRAME_HEADER, Frame, FrameWriter, MAX_PLAINTEXT};

/// Timestamps in slots count this many units per second, whatever the codec.
const SLOT_CLOCK: u32 = 48_000;
/// The time from one report to the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// Who reports without sending anything itself; no flow has this SSRC.
const NO_FLOW: u32 = 0;
/// The longest RTP packet that fits into a datagram.
const MAX_PACKET: usize = MAX_PLAINTEXT - FRAME_HEADER;

/// What a record in the ring is.
const MEDIA: u8 = 0;
pub(super) const MESSAGE: u8 = 1;

/// One audio slot's flow, as it arrives.
#[derive(Debug)]
pub struct Slot {
    depacketizer: Depacketizer,
    reception: ReceptionStats,
    /// Share lost over the last interval of reports, in 1/256; `None` before the first.
    loss: Option<u8>,
    /// Packets arrived since the last report.
    unreported: bool,
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

    fn take_report(&mut self, now: Instant) -> Option<ReportBlock> {
        if !core::mem::take(&mut self.unreported) {
            return None;
        }
        let block = self.reception.report_block(now)?;
        self.loss = Some(block.fraction_lost);
        Some(block)
    }
}

/// What the server last reported of this end's flows.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    loss: Option<u8>,
    jitter: Duration,
}

/// How many of the server's datagrams get lost on their way here, by the counters that they carry: a
/// talker's packets that got lost before the server leave no gap in these.
#[derive(Debug, Default)]
pub(super) struct Downlink {
    measured: Arrivals,
    loss: Option<u8>,
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

/// Appends a record to the ring, and drops as many of the oldest for it as it takes; returns how
/// many. The record must not be longer than the ring can ever take.
pub(super) fn enqueue(ring: &mut ByteQueue<[u8]>, kind: u8, bytes: &[u8]) -> u32 {
    let mut dropped = 0;
    while ring.push(&[&[kind], bytes]).is_err() && ring.pop_front() {
        dropped += 1;
    }
    dropped
}

/// Moves records from the ring into a datagram, as many as fit.
pub(super) fn write_packets(ring: &mut ByteQueue<[u8]>, writer: &mut FrameWriter<'_>) {
    while let Some(record) = ring.front() {
        let frame = match record.split_first() {
            Some((&MESSAGE, message)) => Frame::Message(message),
            Some((_, packet)) => Frame::Media(packet),
            None => Frame::Media(&[]),
        };
        if writer.push(&frame).is_err() && !writer.is_empty() {
            return;
        }
        ring.pop_front();
    }
}

/// Writes what there is to report on, if there is room for it. False if not.
pub(super) fn write_report(
    parts: &mut Parts<'_>,
    now: Instant,
    writer: &mut FrameWriter<'_>,
) -> bool {
    let senders = (parts.publications.iter())
        .filter(|publication| publication.has_report())
        .count();
    let blocks = parts.slots.iter().filter(|slot| slot.unreported).count();
    // The blocks stand in the first report; without one, in one of their own.
    let needed = report_len(senders > 0, blocks) + report_len(true, 0) * senders.saturating_sub(1);
    if writer.remaining() < FRAME_HEADER + needed {
        return false;
    }
    let blocks: heapless::Vec<ReportBlock, MAX_SLOTS> = (parts.slots.iter_mut())
        .filter_map(|slot| slot.take_report(now))
        .collect();
    let senders: heapless::Vec<(u32, SenderInfo), MAX_STREAMS> = (parts.publications.iter_mut())
        .filter_map(|publication| publication.take_report(now))
        .collect();

    let mut report = [0; report_len(true, MAX_SLOTS) + report_len(true, 0) * (MAX_STREAMS - 1)];
    let mut len = 0;
    let mut append = |ssrc, sender: Option<&SenderInfo>, blocks: &[ReportBlock]| {
        let free = report.get_mut(len..).unwrap_or_default();
        len += write_rtcp(ssrc, sender, blocks, free).unwrap_or(0);
    };
    match senders.split_first() {
        Some(((ssrc, info), others)) => {
            append(*ssrc, Some(info), &blocks);
            for (ssrc, info) in others {
                append(*ssrc, Some(info), &[]);
            }
        }
        None if blocks.is_empty() => return true,
        None => append(NO_FLOW, None, &blocks),
    }
    let report = report.get(..len).unwrap_or_default();
    writer.push(&Frame::Report(report)).is_ok()
}

impl Machine {
    pub(super) fn handle_media(
        &mut self,
        parts: &mut Parts<'_>,
        bytes: &[u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) {
        if self.receive_media(parts, bytes, receive).is_none() {
            let counter = &mut self.statistics.drops.media;
            *counter = counter.saturating_add(1);
        } else if let Some(link) = &mut self.link {
            link.media_received(self.now);
        }
    }

    /// `None`: the packet is of no flow that this end receives, or not of its codec.
    fn receive_media(
        &mut self,
        parts: &mut Parts<'_>,
        bytes: &[u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) -> Option<()> {
        let packet = RtpPacket::parse(bytes).ok()?;
        let membership = self.membership.as_ref()?;
        let slot = packet.ssrc().wrapping_sub(membership.slot_ssrc);
        let index = u8::try_from(slot).ok().filter(|slot| *slot < self.slots);
        if let Some(index) = index {
            let slot = parts.slots.get_mut(usize::from(index))?;
            let frame = slot.depacketizer.depacketize(&packet).ok()?;
            (slot.reception).handle_packet(self.now, packet.sequence(), packet.timestamp());
            slot.unreported = true;
            self.media_flows();
            receive(Incoming::Audio { slot: index, frame });
        } else {
            let (_, stream) = parts.room.find_stream(packet.ssrc())?;
            let fits = packet.payload_type() == stream.codec.payload_type();
            if stream.kind == StreamKind::Audio || !fits {
                return None;
            }
            receive(Incoming::Media(packet));
        }
        Some(())
    }

    pub(super) fn handle_report(&mut self, parts: &mut Parts<'_>, bytes: &[u8]) {
        let Ok(reports) = RtcpCompound::parse(bytes) else {
            self.count_bad_frame();
            return;
        };
        let now = self.now;
        for report in reports {
            if let (Some(sender), Some(membership)) = (report.sender(), &self.membership) {
                let slot = report.ssrc().wrapping_sub(membership.slot_ssrc);
                let slot = usize::try_from(slot).ok();
                if let Some(slot) = slot.and_then(|slot| parts.slots.get_mut(slot)) {
                    slot.reception.handle_sender_report(now, sender.ntp);
                }
            }
            for block in report.blocks() {
                let own = |publication: &&Publication| publication.ssrc() == Some(block.ssrc);
                if let Some(publication) = parts.publications.iter().find(own) {
                    self.handle_own_block(&block, publication.publish.codec.clock_rate());
                }
            }
        }
    }

    fn handle_own_block(&mut self, block: &ReportBlock, clock_rate: u32) {
        self.uplink.loss = Some(block.fraction_lost);
        let micros = u64::from(block.jitter) * 1_000_000;
        let micros = micros.checked_div(clock_rate.into()).unwrap_or(0);
        self.uplink.jitter = Duration::from_micros(micros);
        let round_trip = block.round_trip(ntp_timestamp(self.now));
        if let (Some(rtt), Some(link)) = (round_trip, self.live_link()) {
            link.handle_rtt(rtt);
        }
    }

    pub(super) fn handle_lossy(&mut self, bytes: &[u8], receive: &mut dyn FnMut(Incoming<'_>)) {
        match decode(bytes) {
            Ok(LossyDelivery { from, topic, body }) => {
                receive(Incoming::Message(Message { from, topic, body }));
            }
            Err(_) => self.count_bad_frame(),
        }
    }

    pub(super) fn send_audio(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        level: AudioLevel,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.advance(now);
        self.send(parts, key, |flow, out| {
            flow.write_audio(now, timestamp, level, payload, out)
        })
    }

    pub(super) fn send_media(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.advance(now);
        self.send(parts, key, |flow, out| {
            flow.write_media(now, timestamp, marker, payload, out)
        })
    }

    fn send(
        &mut self,
        parts: &mut Parts<'_>,
        key: &StreamKey,
        write: impl FnOnce(&mut Flow, &mut [u8]) -> Result<usize, SendError>,
    ) -> Result<(), SendError> {
        if self.status != Status::Joined {
            return Err(SendError::NotJoined);
        }
        let publication = (parts.publications.iter_mut())
            .find(|publication| publication.is(key))
            .ok_or(SendError::UnknownStream)?;
        let flow = publication.sendable()?;
        let mut packet = [0; MAX_PACKET];
        // A record is the packet and one byte more.
        let max = parts
            .outgoing
            .max_record()
            .saturating_sub(1)
            .min(MAX_PACKET);
        let len = write(flow, packet.get_mut(..max).unwrap_or_default())?;
        let packet = packet.get(..len).unwrap_or_default();
        let dropped = enqueue(parts.outgoing, MEDIA, packet);
        self.statistics.media_sent = self.statistics.media_sent.saturating_add(1);
        self.count_unsent(dropped);
        self.media_flows();
        let rng = &mut self.rng;
        if let Some(link) = &mut self.link {
            link.media_sent(self.now, || rng.next_u32());
        }
        Ok(())
    }

    /// Counts packets that made room for newer ones, one of which now waits.
    pub(super) fn count_unsent(&mut self, dropped: u32) {
        self.packets_wait = true;
        if dropped > 0 {
            let counter = &mut self.statistics.unsent;
            *counter = counter.saturating_add(dropped);
            self.events.push(Event::PacketsDropped(dropped));
        }
    }

    /// Has a report sent in a while.
    fn media_flows(&mut self) {
        if self.report_at.is_none() {
            self.report_at = Some(self.now + REPORT_INTERVAL);
        }
    }

    pub(super) fn statistics(&self, slots: &[Slot]) -> Statistics {
        let rtt = (self.link.as_ref()).and_then(|link| link.rtt().smoothed());
        let downlink_loss = self.downlink.loss;
        let jitters = slots.iter().map(|slot| slot.reception.jitter_duration());
        let jitter = jitters.fold(self.uplink.jitter, Duration::max);
        let loss = self.uplink.loss.max(downlink_loss).unwrap_or(0);
        Statistics {
            rtt,
            uplink_loss: self.uplink.loss,
            uplink_jitter: self.uplink.jitter,
            downlink_loss,
            quality: rtt.map(|rtt| quality(loss, rtt, jitter)),
            ..self.statistics
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::profile::{Lend, Profile, Small};
    use crate::room::{Codec, StreamKey};
    use crate::signal::Publish;
    use crate::wire::{Frames, MAX_DATAGRAM};
    use std::vec::Vec;

    type Memory = <Small as Profile>::Memory;

    fn at(secs: u64) -> Instant {
        Instant::from_micros(secs * 1_000_000)
    }

    /// Memory with one stream of sound (SSRC 1) and one of pictures (SSRC 2), both sent once.
    fn publishing() -> Memory {
        let mut memory = Memory::new();
        let parts = memory.parts();
        let kinds = [
            (StreamKind::Audio, Codec::Opus),
            (StreamKind::Screen, Codec::Vp8),
        ];
        for (ssrc, (kind, codec)) in (1..).zip(kinds) {
            let mut publication = Publication::new(Publish {
                key: StreamKey::new("k").unwrap(),
                kind,
                codec,
                muted: false,
            });
            publication.published(ssrc, 0);
            let flow = publication.sendable().unwrap();
            let mut out = [0; 100];
            let (level, payload) = (AudioLevel::SILENCE, [0x48, 1, 2]);
            let written = match kind {
                StreamKind::Audio => flow.write_audio(at(1), 48_000, level, &payload, &mut out),
                _ => flow.write_media(at(1), 90_000, true, &payload, &mut out),
            };
            written.unwrap();
            let _ = parts.publications.push(publication);
        }
        memory
    }

    fn hear(slot: &mut Slot, sequences: &[u16]) {
        for sequence in sequences {
            slot.reception.handle_packet(at(1), *sequence, 0);
            slot.unreported = true;
        }
    }

    type Reported = (u32, Option<SenderInfo>, Vec<ReportBlock>);

    fn report(memory: &mut Memory, now: Instant) -> Vec<Reported> {
        let mut datagram = [0; MAX_DATAGRAM];
        let mut writer = FrameWriter::in_datagram(&mut datagram);
        assert!(write_report(&mut memory.parts(), now, &mut writer));
        let len = writer.len();
        let mut frames = Frames::new(&datagram[9..9 + len]);
        let Some(Ok(Frame::Report(bytes))) = frames.next() else {
            return Vec::new();
        };
        let reports = RtcpCompound::parse(bytes).unwrap();
        let read = |r: crate::rtp::Report<'_>| (r.ssrc(), r.sender(), r.blocks().collect());
        reports.map(read).collect()
    }

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

    #[test]
    fn a_report_tells_of_every_flow_once() {
        let mut memory = publishing();
        hear(&mut memory.parts().slots[2], &[1, 2, 4]);
        let reports = report(&mut memory, at(3));
        assert_eq!(reports.len(), 2);
        let (ssrc, info, blocks) = &reports[0];
        let info = info.unwrap();
        assert_eq!((*ssrc, info.packets, info.octets), (1, 1, 3));
        assert_eq!(info.rtp_timestamp, 3 * 48_000);
        assert_eq!(info.ntp, 3 << 32);
        assert_eq!((blocks.len(), blocks[0].fraction_lost), (1, 64));
        let (ssrc, info, blocks) = &reports[1];
        assert_eq!((*ssrc, info.unwrap().rtp_timestamp), (2, 3 * 90_000));
        assert_eq!(*blocks, []);
        assert_eq!(report(&mut memory, at(4)), []);
    }

    #[test]
    fn who_sends_nothing_reports_as_nobody() {
        let mut memory = Memory::new();
        hear(&mut memory.parts().slots[0], &[1, 2]);
        let reports = report(&mut memory, at(3));
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].0, reports[0].1), (NO_FLOW, None));
    }

    #[test]
    fn a_report_waits_for_a_datagram_with_room() {
        let mut memory = publishing();
        let mut small = [0; 40];
        let mut writer = FrameWriter::new(&mut small);
        assert!(!write_report(&mut memory.parts(), at(3), &mut writer));
        assert!(writer.is_empty());
        assert_eq!(report(&mut memory, at(3)).len(), 2);
    }
}
