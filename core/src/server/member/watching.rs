//! Pictures on their way to one receiver.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::media::{MediaQueue, Queued};
use super::numbers::Numbers;
use crate::rtp::{PictureTag, Stamp};
use crate::server::Config;
use crate::server::pool::{Payload, Pool};
use crate::time::{Duration, Instant};
use crate::video::UNKNOWN_ROUND_TRIP;
use crate::wire::{FrameWriter, Lost};

/// Most packets that wait to be sent again.
const MAX_REPAIRS: usize = 128;
/// Most packets of which it is remembered when they were sent again.
const MAX_REPAIRED: usize = 256;
/// A packet is not sent again sooner than this after the last time.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Bytes of repairs that are always granted, and most that can be saved up.
const CREDIT: u32 = 64 << 10;
/// A receiver gets at most this part of what it is sent once more. Else repairs would fill a narrow way.
const REPAIR_SHARE: usize = 4;

/// One stream that is watched.
#[derive(Debug)]
struct Watched {
    ssrc: u32,
    numbers: Numbers,
    /// Nothing can be decoded before a key picture.
    awaits_key: bool,
    /// Numbers that were sent again, and when.
    repaired: VecDeque<(u16, Instant)>,
}

/// What happens with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Queued,
    LeftOut,
    /// Left out, since nothing can be decoded before a key picture.
    KeyNeeded,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Watching {
    streams: Vec<Watched>,
    pictures: MediaQueue,
    repairs: MediaQueue,
    /// Bytes of repairs that may be sent.
    credit: u32,
}

impl Watching {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            streams: Vec::new(),
            pictures: MediaQueue::new(config.queued_video, config.queued_video_time),
            repairs: MediaQueue::new(MAX_REPAIRS, config.queued_video_time),
            credit: CREDIT,
        }
    }

    /// Queues a packet, under a number of this receiver's own. A stream begins with a key picture.
    pub(crate) fn take(
        &mut self,
        pool: &mut Pool,
        now: Instant,
        stamp: Stamp,
        tag: Option<PictureTag>,
        packet: &Payload,
    ) -> Taken {
        let watched = match self.streams.iter().position(|it| it.ssrc == stamp.ssrc) {
            Some(at) => self.streams.get_mut(at),
            None => {
                self.streams.push(Watched {
                    ssrc: stamp.ssrc,
                    numbers: Numbers::default(),
                    awaits_key: true,
                    repaired: VecDeque::new(),
                });
                self.streams.last_mut()
            }
        };
        let Some(watched) = watched else {
            return Taken::LeftOut;
        };
        if let Some(tag) = tag.filter(|_| watched.awaits_key) {
            if !tag.first || !tag.key || !watched.numbers.begins_with(stamp.sequence) {
                watched.numbers.leave_out();
                return Taken::KeyNeeded;
            }
            watched.awaits_key = false;
        }
        let Some(number) = watched.numbers.number(stamp.sequence) else {
            return Taken::LeftOut;
        };
        let stamp = Stamp {
            sequence: number,
            ..stamp
        };
        let queued = Queued {
            payload: pool.share(packet),
            stamp: Some(stamp),
            since: now,
        };
        self.pictures.push(queued, pool);
        Taken::Queued
    }

    /// Of the lost packets those that are to be sent again: the receiver's numbers and their publisher's.
    pub(crate) fn lost(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
        ssrc: u32,
        lost: Lost<'_>,
    ) -> Vec<(u16, u16)> {
        let Some(watched) = self.streams.iter_mut().find(|it| it.ssrc == ssrc) else {
            return Vec::new();
        };
        let interval = round_trip.unwrap_or(UNKNOWN_ROUND_TRIP).max(MIN_INTERVAL);
        let is_over = |&(_, then): &(u16, Instant)| then + interval <= now;
        while watched.repaired.front().is_some_and(is_over) {
            watched.repaired.pop_front();
        }
        let (numbers, repaired) = (&watched.numbers, &mut watched.repaired);
        let asked = lost.numbers().filter_map(|number| {
            let original = numbers.original(number)?;
            let is_full = repaired.len() >= MAX_REPAIRED;
            if is_full || repaired.iter().any(|(other, _)| *other == number) {
                return None;
            }
            repaired.push_back((number, now));
            Some((number, original))
        });
        asked.collect()
    }

    /// Queues a packet to be sent again; false if this receiver has asked for too much.
    pub(crate) fn repair(
        &mut self,
        pool: &mut Pool,
        now: Instant,
        stamp: Stamp,
        payload: Payload,
    ) -> bool {
        let len = pool.get(&payload).len();
        let left = u32::try_from(len).map_or(None, |len| self.credit.checked_sub(len));
        let Some(left) = left else {
            pool.release(payload);
            return false;
        };
        self.credit = left;
        let queued = Queued {
            payload,
            stamp: Some(stamp),
            since: now,
        };
        self.repairs.push(queued, pool)
    }

    /// Moves as many packets as fit into `writer`, repairs first; returns how many.
    pub(crate) fn drain_into(&mut self, writer: &mut FrameWriter<'_>, pool: &mut Pool) -> u64 {
        let repairs = self.repairs.drain_into(writer, pool, |_, _| {});
        let (streams, credit) = (&mut self.streams, &mut self.credit);
        let pictures = self.pictures.drain_into(writer, pool, |stamp, len| {
            let more = u32::try_from(len / REPAIR_SHARE).unwrap_or(0);
            *credit = credit.saturating_add(more).min(CREDIT);
            if let Some(watched) = streams.iter_mut().find(|it| it.ssrc == stamp.ssrc) {
                watched.numbers.sent(stamp.sequence);
            }
        });
        repairs + pictures
    }

    /// Gives up all packets, if they wait for too long, or if there are too many; returns how many. All streams go on with
    /// key pictures.
    pub(crate) fn drop_late(&mut self, now: Instant, pool: &mut Pool) -> u64 {
        if !self.pictures.is_late(now) && !self.pictures.is_full() {
            return 0;
        }
        let len = self.len() as u64;
        self.clear(pool);
        len
    }

    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.pictures.clear(pool);
        self.repairs.clear(pool);
        for watched in &mut self.streams {
            watched.numbers.rewind();
            watched.awaits_key = true;
        }
    }

    /// Forgets the streams that are not wanted, and takes back their packets.
    pub(crate) fn retain(&mut self, pool: &mut Pool, wanted: impl Fn(u32) -> bool) {
        self.forget(&wanted);
        self.pictures.retain(pool, |ssrc, _| wanted(ssrc));
        self.repairs.retain(pool, |ssrc, _| wanted(ssrc));
    }

    /// Forgets the streams that are not wanted; their packets are sent yet.
    pub(crate) fn forget(&mut self, wanted: impl Fn(u32) -> bool) {
        self.streams.retain(|watched| wanted(watched.ssrc));
    }

    /// A packet of a stream is left out; it goes on with a key picture.
    pub(crate) fn leave_out(&mut self, ssrc: u32) {
        if let Some(watched) = self.streams.iter_mut().find(|it| it.ssrc == ssrc) {
            watched.numbers.leave_out();
            watched.awaits_key = true;
        }
    }

    /// The streams that go on with a key picture.
    pub(crate) fn awaiting(&self) -> impl Iterator<Item = u32> {
        let awaiting = self.streams.iter().filter(|watched| watched.awaits_key);
        awaiting.map(|watched| watched.ssrc)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pictures.is_empty() && self.repairs.is_empty()
    }

    /// Packets that wait.
    pub(crate) fn len(&self) -> usize {
        self.pictures.len() + self.repairs.len()
    }
}
