//! Packets waiting to be sent beside signalling: the ring of packets and lossy messages, and reports.
//!
//! Packets and lossy messages wait in one ring, each behind a byte that says what it is. If a new
//! one finds no place, the oldest are dropped: late sound helps nobody.

use core::slice;

use super::profile::Parts;
use crate::link::NO_FLOW;
use crate::queue::ByteQueue;
use crate::room::MAX_STREAMS;
use crate::rtp::{ReportBlock, SenderInfo, report_len, write_report as write_rtcp};
use crate::signal::MAX_SLOTS;
use crate::time::Instant;
use crate::video::Feedback;
use crate::wire::{Arrived, FRAME_HEADER, Frame, FrameWriter, Lost, MAX_LOST};

/// The kinds of records in the ring.
pub(super) const MEDIA: u8 = 0;
pub(super) const MESSAGE: u8 = 1;
const NACK: u8 = 2;
const KEY_WANTED: u8 = 3;
const ARRIVED: u8 = 4;

/// Appends a record to the ring, and drops as many of the oldest for it as it takes; returns how
/// many. The record must not be longer than the ring can ever take.
pub(super) fn enqueue(ring: &mut ByteQueue<[u8]>, kind: u8, bytes: &[u8]) -> u32 {
    let mut dropped = 0;
    while ring.push(&[&[kind], bytes]).is_err() && ring.pop_front() {
        dropped += 1;
    }
    dropped
}

/// The same for what a watcher tells, of the flow `ssrc`.
pub(super) fn enqueue_feedback(
    ring: &mut ByteQueue<[u8]>,
    ssrc: u32,
    feedback: Feedback<'_>,
) -> u32 {
    let mut body = heapless::Vec::<u8, { 4 + MAX_LOST }>::new();
    let arrived;
    let (kind, rest) = match &feedback {
        Feedback::Lost(lost) => (NACK, lost.as_bytes()),
        Feedback::KeyWanted { layer } => (KEY_WANTED, slice::from_ref(layer)),
        Feedback::Arrived(of) => {
            arrived = of.to_bytes();
            (ARRIVED, arrived.as_slice())
        }
    };
    // They fit.
    let _ = body.extend_from_slice(&ssrc.to_be_bytes());
    let _ = body.extend_from_slice(rest);
    enqueue(ring, kind, &body)
}

/// The frame of a record.
fn frame(record: &[u8]) -> Frame<'_> {
    let Some((&kind, body)) = record.split_first() else {
        return Frame::Media(&[]);
    };
    let about = || {
        let (ssrc, rest) = body.split_first_chunk()?;
        Some((u32::from_be_bytes(*ssrc), rest))
    };
    match (kind, about()) {
        (MESSAGE, _) => Frame::Message(body),
        (NACK, Some((ssrc, lost))) => match Lost::parse(lost) {
            Some(lost) => Frame::Nack { ssrc, lost },
            None => Frame::Media(&[]),
        },
        (KEY_WANTED, Some((ssrc, &[layer]))) => Frame::KeyWanted { ssrc, layer },
        (ARRIVED, Some((_, arrived))) => match arrived.try_into() {
            Ok(arrived) => Frame::Arrived(Arrived::from_bytes(arrived)),
            Err(_) => Frame::Media(&[]),
        },
        _ => Frame::Media(body),
    }
}

/// Moves records from the ring into a datagram, as many as fit.
pub(super) fn write_packets(ring: &mut ByteQueue<[u8]>, writer: &mut FrameWriter<'_>) {
    while let Some(record) = ring.front() {
        if writer.push(&frame(record)).is_err() && !writer.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::flows::Slot;
    use crate::client::profile::{Lend, Profile, Small};
    use crate::client::publications::Publication;
    use crate::room::{Codec, StreamKey, StreamKind};
    use crate::rtp::{AudioLevel, RtcpCompound};
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
