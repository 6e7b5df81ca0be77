//! Media packets and lossy messages that wait to be sent to one participant.

use alloc::collections::VecDeque;

use crate::room::StreamKind;
use crate::rtp::{AudioLevel, RtpHeader};
use crate::server::pool::{Payload, Pool};
use crate::time::{Duration, Instant, micros};
use crate::wire::{FRAME_HEADER, Frame, FrameWriter, MAX_PLAINTEXT};

/// Most streams that one packet is made of.
pub(crate) const MAX_CONTRIBUTORS: usize = 8;
/// The SSRCs of those streams.
pub(crate) type Csrcs = heapless::Vec<u32, MAX_CONTRIBUTORS, u8>;

/// One frame to send: the payload is shared with other receivers, the rest is this one's own.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) payload: Payload,
    /// `None` for a lossy message, of which the payload is all.
    pub(crate) header: Option<MediaHeader>,
    pub(crate) since: Instant,
}

/// What the receiver's RTP header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaHeader {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// The streams whose sound it is; none: no sound, and the stream is `ssrc`.
    pub(crate) csrcs: Csrcs,
    pub(crate) audio_level: Option<AudioLevel>,
}

impl MediaHeader {
    fn with_rtp<T>(&self, then: impl FnOnce(&RtpHeader<'_>) -> T) -> T {
        then(&RtpHeader {
            marker: self.marker,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            csrcs: &self.csrcs,
            audio_level: self.audio_level,
        })
    }

    /// Whether a frame with this header and so many bytes of payload fits into any datagram.
    pub(crate) fn fits(&self, payload_len: usize) -> bool {
        let header_len = self.with_rtp(|rtp| rtp.header_len());
        FRAME_HEADER + header_len + payload_len <= MAX_PLAINTEXT
    }
}

/// A bounded queue; what is oldest is lost when it is full, or has waited for too long.
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
        let full = self.queue.len() >= self.capacity;
        if full && let Some(oldest) = self.queue.pop_front() {
            pool.release(oldest.payload);
        }
        self.queue.push_back(queued);
        !full
    }

    /// Whether the oldest has waited for too long: who hears it now would hear all that follows as late.
    #[inline]
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.queue.front().is_some_and(|oldest| {
            oldest.since.as_micros().saturating_add(self.patience) < now.as_micros()
        })
    }

    /// Drops what has waited for too long. Returns how many.
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

    /// Moves as many frames as fit into `writer`; returns how many of them are media.
    pub(crate) fn drain_into(&mut self, writer: &mut FrameWriter<'_>, pool: &mut Pool) -> u64 {
        let mut media = 0;
        while let Some(queued) = self.queue.front() {
            let payload = pool.get(&queued.payload);
            let written = match &queued.header {
                None => writer.push(&Frame::Message(payload)).is_ok(),
                Some(header) => header.with_rtp(|rtp| {
                    let len = rtp.header_len() + payload.len();
                    let Ok(body) = writer.push_media(len) else {
                        return false;
                    };
                    // The body has exactly the length needed and the payload type came from a
                    // parsed packet, so this cannot fail.
                    media += u64::from(rtp.write(payload, body).is_ok());
                    true
                }),
            };
            if !written {
                break;
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
            let is_wanted = match &queued.header {
                None => true,
                Some(header) if header.csrcs.is_empty() => wanted(header.ssrc, StreamKind::Video),
                Some(header) => {
                    let mut sources = header.csrcs.iter();
                    sources.all(|source| wanted(*source, StreamKind::Audio))
                }
            };
            if is_wanted {
                self.queue.push_back(queued);
            } else {
                pool.release(queued.payload);
            }
        }
    }

    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        for queued in self.queue.drain(..) {
            pool.release(queued.payload);
        }
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
    use crate::rtp::RtpPacket;
    use crate::wire::Frames;

    fn header(sequence: u16) -> MediaHeader {
        MediaHeader {
            marker: sequence == 0,
            payload_type: 111,
            sequence,
            timestamp: 960,
            ssrc: 5,
            csrcs: Csrcs::from_iter([9]),
            audio_level: Some(AudioLevel {
                voice: true,
                level: 30,
            }),
        }
    }

    /// Queued as many ms after the beginning as its number says.
    fn queued(payload: Payload, header: Option<MediaHeader>) -> Queued {
        let ms = header.as_ref().map_or(0, |header| header.sequence.into());
        Queued {
            payload,
            header,
            since: Instant::from_micros(1_000 * ms),
        }
    }

    fn queue_with(pool: &mut Pool, lens: &[usize]) -> MediaQueue {
        let mut queue = MediaQueue::new(lens.len(), Duration::from_millis(100));
        for (n, len) in lens.iter().enumerate() {
            let payload = pool.insert(&alloc::vec![n as u8; *len]).unwrap();
            assert!(queue.push(queued(payload, Some(header(n as u16))), pool));
        }
        queue
    }

    #[test]
    fn frames_share_a_datagram_as_far_as_it_goes() {
        let mut pool = Pool::new(8);
        let mut queue = queue_with(&mut pool, &[100, 200, 900]);
        let mut bytes = [0; 600];
        let mut writer = FrameWriter::new(&mut bytes);
        assert_eq!(queue.drain_into(&mut writer, &mut pool), 2);
        let len = writer.len();
        for (n, frame) in Frames::new(&bytes[..len]).enumerate() {
            let Ok(Frame::Media(bytes)) = frame else {
                panic!("{frame:?}");
            };
            let packet = RtpPacket::parse(bytes).unwrap();
            assert_eq!(usize::from(packet.sequence()), n);
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
        assert_eq!(queue.drain_into(&mut writer, &mut pool), 1);
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
        assert_eq!(left, Some(&[2, 2, 2][..]));
    }

    #[test]
    fn what_is_not_wanted_any_more_is_taken_back() {
        let mut pool = Pool::new(8);
        let mut queue = queue_with(&mut pool, &[1, 2]);
        let payload = pool.insert(b"picture").unwrap();
        let header = Some(MediaHeader {
            ssrc: 7,
            csrcs: Csrcs::new(),
            ..header(3)
        });
        queue.capacity = 4;
        queue.push(queued(payload, header), &mut pool);
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
    fn what_never_fits_is_told() {
        let largest = MAX_PLAINTEXT - FRAME_HEADER - 12 - 4 - 8;
        assert!(header(1).fits(largest));
        assert!(!header(1).fits(largest + 1));
    }
}
