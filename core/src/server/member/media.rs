//! Media packets and lossy messages that wait to be sent to one participant.

use alloc::collections::VecDeque;

use crate::room::StreamKind;
use crate::rtp::{PictureTag, RtpHeader, RtpPacket, Stamp};
use crate::server::pool::{Payload, Pool};
use crate::time::{Duration, Instant, micros};
use crate::wire::{FRAME_HEADER, Frame, FrameWriter, MAX_PLAINTEXT};

/// Most streams that one packet is made of.
pub(crate) const MAX_CONTRIBUTORS: usize = 8;
/// The longest header of a packet that the server makes.
const MAX_HEADER: usize = 12 + 4 * MAX_CONTRIBUTORS + 8;

/// Keeps an RTP packet, to be sent to many receivers: all that they have in common, which is all but the [`Stamp`].
/// `None` if it fits no datagram, or all buffers are in use.
pub(crate) fn keep_packet(
    pool: &mut Pool,
    header: &RtpHeader<'_>,
    tag: Option<PictureTag>,
    payload: &[u8],
) -> Option<Payload> {
    let mut bytes = [0; MAX_HEADER];
    let len = match tag {
        Some(tag) => header.write_picture_header(tag, &mut bytes),
        None => header.write_header(&mut bytes),
    }
    .ok()?;
    if FRAME_HEADER + len + payload.len() > MAX_PLAINTEXT {
        return None;
    }
    pool.insert_parts(bytes.get(..len)?, payload)
}

/// One frame to send: the payload in the pool is shared with other receivers, the rest belongs to this one.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) payload: Payload,
    /// The fields of this receiver's RTP header; `None` for a lossy message, which has none.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) since: Instant,
}

impl Queued {
    /// Whether all its streams are wanted; a lossy message always is.
    fn is_wanted(&self, pool: &Pool, wanted: impl Fn(u32, StreamKind) -> bool) -> bool {
        let Some(stamp) = &self.stamp else {
            return true;
        };
        let Ok(packet) = RtpPacket::parse(pool.get(&self.payload)) else {
            return false;
        };
        let mut sources = packet.csrcs();
        if sources.len() == 0 {
            return wanted(stamp.ssrc, StreamKind::Video);
        }
        sources.all(|source| wanted(source, StreamKind::Audio))
    }
}

/// A bounded queue; the oldest packet is dropped when the queue is full, or when it has waited for too long.
#[derive(Debug)]
pub(crate) struct MediaQueue {
    queue: VecDeque<Queued>,
    capacity: usize,
    /// In µs.
    patience: u64,
}

impl MediaQueue {
    pub(crate) fn new(capacity: usize, patience: Duration) -> Self {
        Self {
            queue: VecDeque::new(),
            capacity: capacity.max(1),
            patience: micros(patience),
        }
    }

    /// Takes a frame; false if another one was lost for it.
    #[inline]
    pub(crate) fn push(&mut self, queued: Queued, pool: &mut Pool) -> bool {
        let full = self.is_full();
        if full && let Some(oldest) = self.queue.pop_front() {
            pool.release(oldest.payload);
        }
        self.queue.push_back(queued);
        !full
    }

    /// Whether the oldest packet has waited for too long: a listener that hears it now would hear all that follows as
    /// late.
    #[inline]
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.queue.front().is_some_and(|oldest| {
            oldest.since.as_micros().saturating_add(self.patience) < now.as_micros()
        })
    }

    /// Drops packets that have waited for too long. Returns how many.
    pub(crate) fn drop_late(&mut self, now: Instant, pool: &mut Pool) -> u64 {
        let mut late = 0;
        while self.is_late(now)
            && let Some(oldest) = self.queue.pop_front()
        {
            pool.release(oldest.payload);
            late += 1;
        }
        late
    }

    /// Moves as many frames as fit into `writer`, and calls `sent` with the length of each that is media; returns how many
    /// of them are.
    pub(crate) fn drain_into(
        &mut self,
        writer: &mut FrameWriter<'_>,
        pool: &mut Pool,
        mut sent: impl FnMut(&Stamp, usize),
    ) -> u64 {
        let mut media = 0;
        while let Some(queued) = self.queue.front() {
            let bytes = pool.get(&queued.payload);
            match &queued.stamp {
                None => {
                    if writer.push(&Frame::Message(bytes)).is_err() {
                        break;
                    }
                }
                Some(stamp) => {
                    let Ok(packet) = writer.push_media(bytes.len()) else {
                        break;
                    };
                    if packet.len() == bytes.len() {
                        packet.copy_from_slice(bytes);
                    }
                    stamp.write_to(packet);
                    sent(stamp, bytes.len());
                    media += 1;
                }
            }
            if let Some(sent) = self.queue.pop_front() {
                pool.release(sent.payload);
            }
        }
        media
    }

    /// Takes back the packets of streams that are not wanted. Lossy messages stay.
    pub(crate) fn retain(&mut self, pool: &mut Pool, wanted: impl Fn(u32, StreamKind) -> bool) {
        for queued in core::mem::take(&mut self.queue) {
            if queued.is_wanted(pool, &wanted) {
                self.queue.push_back(queued);
            } else {
                pool.release(queued.payload);
            }
        }
    }

    /// Takes back the packets of pictures that are not `kept`; returns how many.
    pub(crate) fn retain_pictures(
        &mut self,
        pool: &mut Pool,
        mut kept: impl FnMut(&Stamp, Option<PictureTag>) -> bool,
    ) -> u64 {
        let before = self.queue.len();
        for queued in core::mem::take(&mut self.queue) {
            let packet = RtpPacket::parse(pool.get(&queued.payload)).ok();
            let tag = packet.and_then(|packet| packet.picture_tag());
            let is_kept = queued.stamp.is_some_and(|stamp| kept(&stamp, tag));
            match is_kept {
                true => self.queue.push_back(queued),
                false => pool.release(queued.payload),
            }
        }
        before.saturating_sub(self.queue.len()) as u64
    }

    /// Since when the oldest frame has waited.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.queue.front().map(|queued| queued.since)
    }

    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        for queued in self.queue.drain(..) {
            pool.release(queued.payload);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.capacity
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::AudioLevel;
    use crate::wire::Frames;

    /// The header fields of a packet of `csrcs` that are the same for all receivers.
    fn header(csrcs: &[u32]) -> RtpHeader<'_> {
        RtpHeader {
            marker: true,
            payload_type: 111,
            sequence: 0,
            timestamp: 0,
            ssrc: 0,
            csrcs,
            audio_level: Some(AudioLevel {
                voice: true,
                level: 30,
            }),
        }
    }

    fn stamp(sequence: u16) -> Stamp {
        Stamp {
            marker: sequence == 0,
            sequence,
            timestamp: 960,
            ssrc: 5,
        }
    }

    /// Queued as many ms after the beginning as its number says.
    fn queued(payload: Payload, stamp: Option<Stamp>) -> Queued {
        let ms = stamp.map_or(0, |stamp| stamp.sequence.into());
        Queued {
            payload,
            stamp,
            since: Instant::from_micros(1_000 * ms),
        }
    }

    fn queue_with(pool: &mut Pool, lens: &[usize]) -> MediaQueue {
        let mut queue = MediaQueue::new(lens.len(), Duration::from_millis(100));
        for (n, len) in lens.iter().enumerate() {
            let payload = alloc::vec![n as u8; *len];
            let packet = keep_packet(pool, &header(&[9]), None, &payload).unwrap();
            assert!(queue.push(queued(packet, Some(stamp(n as u16))), pool));
        }
        queue
    }

    #[test]
    fn frames_share_a_datagram_as_far_as_it_goes() {
        let mut pool = Pool::new(8);
        let mut queue = queue_with(&mut pool, &[100, 200, 900]);
        let mut bytes = [0; 600];
        let mut writer = FrameWriter::new(&mut bytes);
        assert_eq!(queue.drain_into(&mut writer, &mut pool, |_, _| {}), 2);
        let len = writer.len();
        for (n, frame) in Frames::new(&bytes[..len]).enumerate() {
            let Ok(Frame::Media(bytes)) = frame else {
                panic!("{frame:?}");
            };
            let packet = RtpPacket::parse(bytes).unwrap();
            assert_eq!(usize::from(packet.sequence()), n);
            assert_eq!((packet.marker(), packet.payload_type()), (n == 0, 111));
            assert_eq!((packet.timestamp(), packet.ssrc()), (960, 5));
            assert_eq!(packet.csrcs().collect::<alloc::vec::Vec<_>>(), [9]);
            assert_eq!(packet.audio_level().unwrap().level, 30);
            assert_eq!(packet.payload(), alloc::vec![n as u8; 100 * (n + 1)]);
        }
        assert_eq!((queue.len(), pool.used()), (1, 1));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut pool = Pool::new(8);
        let mut queue = queue_with(&mut pool, &[1, 2]);
        let payload = pool.insert(b"new").unwrap();
        assert!(!queue.push(queued(payload, None), &mut pool));
        assert_eq!((queue.len(), pool.used()), (2, 2));
        let mut bytes = [0; 600];
        let mut writer = FrameWriter::new(&mut bytes);
        assert_eq!(queue.drain_into(&mut writer, &mut pool, |_, _| {}), 1);
        let last = Frames::new(&bytes).nth(1);
        assert_eq!(last, Some(Ok(Frame::Message(b"new"))));
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn what_has_waited_for_too_long_is_dropped_from_the_front() {
        let mut pool = Pool::new(8);
        let mut queue = queue_with(&mut pool, &[1, 2, 3]);
        let at = |ms: u64| Instant::from_micros(1_000 * ms);
        assert_eq!(queue.drop_late(at(100), &mut pool), 0);
        assert_eq!(queue.drop_late(at(102), &mut pool), 2);
        assert_eq!((queue.len(), pool.used()), (1, 1));
        let left = queue.queue.front().map(|left| pool.get(&left.payload));
        assert!(left.is_some_and(|left| left.ends_with(&[2, 2, 2])));
    }

    #[test]
    fn what_is_not_wanted_any_more_is_taken_back() {
        let mut pool = Pool::new(8);
        let mut queue = queue_with(&mut pool, &[1, 2]);
        let picture = keep_packet(&mut pool, &header(&[]), None, b"picture").unwrap();
        let stamp = Stamp {
            ssrc: 7,
            ..stamp(3)
        };
        queue.capacity = 4;
        queue.push(queued(picture, Some(stamp)), &mut pool);
        let payload = pool.insert(b"message").unwrap();
        queue.push(queued(payload, None), &mut pool);
        queue.retain(&mut pool, |ssrc, kind| {
            (ssrc, kind) != (9, StreamKind::Audio)
        });
        assert_eq!((queue.len(), pool.used()), (2, 2));
        queue.retain(&mut pool, |ssrc, _| ssrc != 7);
        assert_eq!((queue.len(), pool.used()), (1, 1));
        queue.clear(&mut pool);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn what_never_fits_is_not_kept() {
        let mut pool = Pool::new(2);
        let largest = [0; MAX_PLAINTEXT - FRAME_HEADER - 12 - 4 - 8 + 1];
        let too_long = keep_packet(&mut pool, &header(&[9]), None, &largest);
        assert_eq!((too_long, pool.used()), (None, 0));
        assert!(keep_packet(&mut pool, &header(&[9]), None, &largest[1..]).is_some());
        let most = [0; MAX_CONTRIBUTORS];
        assert!(keep_packet(&mut pool, &header(&most), None, b"mix").is_some());
    }
}
