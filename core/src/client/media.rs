//! Packets of media: in through the slots, out through the queue, and reports on both.

use rand_core::RngCore as _;

use super::errors::SendError;
use super::events::{Event, Incoming, Message};
use super::flows::Slot;
use super::machine::{Machine, Status};
use super::outgoing::{MEDIA, enqueue, enqueue_feedback};
use super::pictures::PictureFlow;
use super::profile::Parts;
use super::publications::{Flow, Publication};
use super::statistics::Statistics;
use crate::link::{Link, NO_FLOW};
use crate::room::{StreamKey, StreamKind};
use crate::rtp::{AudioLevel, ReportBlock, RtcpCompound, RtpPacket, ntp_timestamp, quality};
use crate::signal::{LossyDelivery, decode};
use crate::time::{Duration, Instant};
use crate::video::Feedback;
use crate::wire::{FRAME_HEADER, MAX_PLAINTEXT};

/// The time from one report to the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// The longest RTP packet that fits into a datagram.
const MAX_PACKET: usize = MAX_PLAINTEXT - FRAME_HEADER;

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
            self.listen(parts, &frame);
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

    /// The flow of a stream of pictures, if a packet of it is to be sent now: none does while others wait, so that sound does
    /// not wait behind pictures.
    pub(super) fn picture_flow(
        &self,
        publications: &[Publication],
        key: &StreamKey,
    ) -> Result<Option<PictureFlow>, SendError> {
        if self.status != Status::Joined {
            return Err(SendError::NotJoined);
        }
        let publication = publications
            .iter()
            .find(|publication| publication.is(key))
            .ok_or(SendError::UnknownStream)?;
        let ssrc = publication.picture_flow()?;
        let counter = self.link.as_ref().map_or(0, Link::next_counter);
        Ok((!self.packets_wait).then_some(PictureFlow { ssrc, counter }))
    }

    pub(super) fn send_picture_packet(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        key: &StreamKey,
        packet: &[u8],
    ) -> Result<(), SendError> {
        self.advance(now);
        self.send(parts, key, |flow, out| flow.write_packet(now, packet, out))
    }

    /// Queues what the watcher of a stream asks for. Unless joined, nothing is asked.
    pub(super) fn send_feedback_frame(
        &mut self,
        parts: &mut Parts<'_>,
        now: Instant,
        ssrc: u32,
        feedback: Feedback<'_>,
    ) {
        self.advance(now);
        if self.status == Status::Joined {
            let dropped = enqueue_feedback(parts.outgoing, ssrc, feedback);
            self.count_unsent(dropped);
        }
    }

    /// Tells the server what has arrived, unless it has been told in the same tenth of a second.
    pub(super) fn report_arrivals(&mut self, parts: &mut Parts<'_>, at: Instant) {
        // The truncation is the point: it only has to differ from the last one.
        let tenth = (at.as_micros() / 100_000) as u8;
        if self.status == Status::Joined
            && self.downlink.told != tenth
            && let Some(link) = &self.link
        {
            self.downlink.told = tenth;
            let arrived = Feedback::Arrived(link.arrived(at));
            let dropped = enqueue_feedback(parts.outgoing, NO_FLOW, arrived);
            self.count_unsent(dropped);
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

/// Hands what receivers need of a stream of one's own to its sender. About any other stream it says nothing.
pub(super) fn handle_feedback(
    parts: &Parts<'_>,
    ssrc: u32,
    feedback: Feedback<'_>,
    receive: &mut dyn FnMut(Incoming<'_>),
) {
    for publication in parts.publications.iter() {
        let is_meant = match feedback {
            Feedback::Arrived(_) => publication.publish.kind != StreamKind::Audio,
            _ => publication.ssrc() == Some(ssrc),
        };
        if is_meant {
            let key = &publication.publish.key;
            receive(Incoming::Feedback { key, feedback });
        }
    }
}
