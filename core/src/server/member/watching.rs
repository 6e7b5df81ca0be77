//! Pictures on their way to one receiver.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::allotment::Taker;
use super::media::{MediaQueue, Queued, keep_packet};
use super::numbers::Numbers;
use super::thinning::Thinning;
use super::way::Way;
use crate::rtp::{PictureTag, RtpHeader, RtpPacket, Stamp, sequence_difference};
use crate::server::Config;
use crate::server::pool::{Payload, Pool};
use crate::time::{Duration, Instant, earlier};
use crate::video::UNKNOWN_ROUND_TRIP;
use crate::wire::{Arrived, FrameWriter, Lost};

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
/// The time from one plan to the next while no reports come.
const PLAN_INTERVAL: Duration = Duration::from_millis(500);
/// A key picture that has begun is sent to its end, unless that takes longer than this.
const KEY_PATIENCE: Duration = Duration::from_secs(5);

/// One stream that is watched.
#[derive(Debug)]
struct Watched {
    ssrc: u32,
    numbers: Numbers,
    thinning: Thinning,
    /// Nothing can be decoded before a key picture.
    awaits_key: bool,
    /// That is so because packets waited for too long. A key picture is asked for when none waits any more.
    is_late: bool,
    /// The key picture that is sent to its end nevertheless.
    finishing: Option<u16>,
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

impl Watched {
    fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            numbers: Numbers::default(),
            thinning: Thinning::new(),
            awaits_key: true,
            is_late: false,
            finishing: None,
            repaired: VecDeque::new(),
        }
    }

    fn await_key(&mut self) {
        self.awaits_key = true;
        self.is_late = false;
        self.finishing = None;
    }

    /// Whether a packet is to be queued; `None` if it is.
    fn left_out(&mut self, stamp: &Stamp, tag: PictureTag) -> Option<Taken> {
        if self.thinning.wanted() == 0 {
            self.numbers.leave_out();
            self.await_key();
            return Some(Taken::LeftOut);
        }
        if !self.awaits_key {
            let is_sent = tag.layer > 0 || self.thinning.passes(tag);
            let is_left_out = !is_sent && self.numbers.leave_out_one(stamp.sequence);
            return is_left_out.then_some(Taken::LeftOut);
        }
        if tag.key && self.finishing == Some(tag.number) {
            return None;
        }
        if !tag.first || !tag.key || !self.numbers.begins_with(stamp.sequence) {
            self.numbers.leave_out();
            return Some(match self.is_late {
                true => Taken::LeftOut,
                false => Taken::KeyNeeded,
            });
        }
        self.awaits_key = false;
        self.finishing = None;
        self.thinning.restart(tag);
        None
    }

    /// Whether a picture is left out for its temporal layer.
    fn leaves_out(&self, tag: PictureTag) -> bool {
        tag.layer == 0 && !self.thinning.is_sent(tag)
    }
}

/// What a receiver gets in place of a packet that it knows to be missing, if the picture is left out: a part of a picture that cannot
/// be decoded, as its beginning is missing. `None` if there is no room.
fn left_out_part(pool: &mut Pool, packet: &Payload) -> Option<Payload> {
    let packet = RtpPacket::parse(pool.get(packet)).ok()?;
    let tag = PictureTag {
        first: false,
        ..packet.picture_tag()?
    };
    let header = RtpHeader {
        marker: packet.marker(),
        payload_type: packet.payload_type(),
        sequence: packet.sequence(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
        csrcs: &[],
        audio_level: None,
    };
    keep_packet(pool, &header, Some(tag), &[0])
}

/// What waits of a stream.
struct Waits {
    ssrc: u32,
    /// The key picture that has begun.
    begun: Option<u16>,
    /// The receiver's number of the last packet that is kept.
    kept: Option<u16>,
    is_dropped: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Watching {
    streams: Vec<Watched>,
    /// Bits per second at first, and at most.
    rates: (u32, u32),
    /// Once there is a stream.
    way: Option<Way>,
    /// Until when nothing may leave that waits, and when there may be another plan.
    blocked: Option<Instant>,
    plan_at: Option<Instant>,
    /// All that waits has been looked at, and is to be sent however late it is.
    is_sifted: bool,
    pictures: MediaQueue,
    repairs: MediaQueue,
    /// Bytes of repairs that may be sent.
    credit: u32,
}

impl Watching {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            streams: Vec::new(),
            rates: (config.video_rate_start, config.video_rate_max),
            way: None,
            blocked: None,
            plan_at: None,
            is_sifted: false,
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
                let (start, most) = self.rates;
                self.way.get_or_insert_with(|| Way::new(start, most));
                self.streams.push(Watched::new(stamp.ssrc));
                self.streams.last_mut()
            }
        };
        let Some(watched) = watched else {
            return Taken::LeftOut;
        };
        if let Some(tag) = tag
            && let Some(left_out) = watched.left_out(&stamp, tag)
        {
            return left_out;
        }
        let Some(number) = watched.numbers.number(stamp.sequence) else {
            return Taken::LeftOut;
        };
        let stamp = Stamp {
            sequence: number,
            ..stamp
        };
        let payload = match tag.is_some_and(|tag| watched.leaves_out(tag)) {
            true => left_out_part(pool, packet),
            false => Some(pool.share(packet)),
        };
        let Some(payload) = payload else {
            return Taken::LeftOut;
        };
        let queued = Queued {
            payload,
            stamp: Some(stamp),
            since: now,
        };
        self.is_sifted = false;
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
        let mut payload = payload;
        if self.is_left_out(pool, stamp.ssrc, &payload) {
            let part = left_out_part(pool, &payload);
            pool.release(payload);
            match part {
                Some(part) => payload = part,
                None => return false,
            }
        }
        let queued = Queued {
            payload,
            stamp: Some(stamp),
            since: now,
        };
        self.repairs.push(queued, pool)
    }

    fn is_left_out(&self, pool: &Pool, ssrc: u32, packet: &Payload) -> bool {
        let packet = RtpPacket::parse(pool.get(packet)).ok();
        let tag = packet.and_then(|packet| packet.picture_tag());
        let watched = self.streams.iter().find(|watched| watched.ssrc == ssrc);
        watched
            .zip(tag)
            .is_some_and(|(watched, tag)| watched.leaves_out(tag))
    }

    /// Moves as many packets as fit into `writer`, repairs first, if it is time for that; returns how many, and their bytes.
    pub(crate) fn drain_into(
        &mut self,
        now: Instant,
        writer: &mut FrameWriter<'_>,
        pool: &mut Pool,
    ) -> (u64, usize) {
        self.blocked = self.next_at().filter(|at| *at > now);
        if self.blocked.is_some() {
            return (0, 0);
        }
        let mut bytes = 0;
        let repairs = (self.repairs).drain_into(writer, pool, |_, len| bytes += len);
        let (streams, credit) = (&mut self.streams, &mut self.credit);
        let pictures = self.pictures.drain_into(writer, pool, |stamp, len| {
            bytes += len;
            let more = u32::try_from(len / REPAIR_SHARE).unwrap_or(0);
            *credit = credit.saturating_add(more).min(CREDIT);
            if let Some(watched) = streams.iter_mut().find(|it| it.ssrc == stamp.ssrc) {
                watched.numbers.sent(stamp.sequence);
            }
        });
        (repairs + pictures, bytes)
    }

    /// When what waits may leave; `None` if nothing waits.
    fn next_at(&self) -> Option<Instant> {
        let way = self.way.as_ref().filter(|_| !self.is_empty());
        way.map(Way::next_at)
    }

    /// Whether something waits that may leave.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_at().is_some_and(|at| at <= now)
    }

    /// A datagram of `len` bytes was sent to this receiver, `pictures` of them of pictures.
    pub(crate) fn sent(&mut self, now: Instant, counter: u32, len: usize, pictures: usize) {
        if let Some(way) = &mut self.way {
            way.sent(now, counter, len, pictures);
            self.blocked = self.next_at().filter(|at| *at > now);
        }
    }

    /// The receiver tells what has arrived.
    pub(crate) fn handle_arrived(&mut self, now: Instant, arrived: Arrived) {
        if let Some(way) = &mut self.way {
            way.handle_arrived(now, arrived);
        }
    }

    /// Decides how much of the streams is sent, each with what it takes. Gives those that go on with key pictures.
    pub(crate) fn plan(&mut self, now: Instant, streams: &[(u32, Taker)]) -> Vec<u32> {
        let Some(way) = &mut self.way else {
            return Vec::new();
        };
        let known = |ssrc: u32| streams.iter().find(|(other, _)| *other == ssrc);
        let mut planned: Vec<(&mut Watched, Taker)> = (self.streams.iter_mut())
            .filter_map(|watched| known(watched.ssrc).map(|(_, taker)| (watched, *taker)))
            .collect();
        let takers: Vec<Taker> = planned.iter().map(|(_, taker)| *taker).collect();
        let current = planned.iter().map(|(watched, _)| watched.thinning.wanted());
        let current: Vec<u8> = current.collect();
        let layers = way.plan(now, &takers, &current);
        let mut resumed = Vec::new();
        for ((watched, _), layers) in planned.iter_mut().zip(&layers) {
            if watched.thinning.wanted() == 0 && *layers > 0 {
                resumed.push(watched.ssrc);
            }
            watched.thinning.set_wanted(*layers);
        }
        let try_at = way.try_at().filter(|_| layers.contains(&0));
        self.plan_at = try_at.map(|at| at.max(now + PLAN_INTERVAL));
        resumed
    }

    /// Whether it is time for another plan, though no report has come.
    pub(crate) fn take_plan_due(&mut self, now: Instant) -> bool {
        self.plan_at.take_if(|at| *at <= now).is_some()
    }

    /// The next time at which something may leave, or be planned.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        earlier(self.blocked, self.plan_at)
    }

    /// What was blocked until now is not any more.
    pub(crate) fn unblock(&mut self, now: Instant) {
        self.blocked.take_if(|at| *at <= now);
    }

    /// Gives up packets, if they wait for too long, or if there are too many; returns how many. Key pictures that have begun are
    /// sent to their end. Streams that lost something go on with key pictures.
    pub(crate) fn drop_late(&mut self, now: Instant, pool: &mut Pool) -> u64 {
        let is_full = self.pictures.is_full();
        let patience_ends = self.pictures.oldest().map(|oldest| oldest + KEY_PATIENCE);
        let is_over = patience_ends.is_some_and(|end| end <= now);
        let is_late = self.pictures.is_late(now) && !self.is_sifted;
        if !is_over && !is_late && !is_full {
            return 0;
        }
        let before = self.len() as u64;
        let dropped = if is_over { 0 } else { self.sift(pool) };
        if dropped > 0 || !is_over && !is_full {
            return dropped;
        }
        self.clear(pool);
        before
    }

    /// Gives up all but the key pictures that have begun; returns how many packets.
    fn sift(&mut self, pool: &mut Pool) -> u64 {
        let mut all: Vec<Waits> = Vec::new();
        let dropped = self.pictures.retain_pictures(pool, |stamp, tag| {
            let key = tag.filter(|tag| tag.key).map(|tag| tag.number);
            let at = all.iter().position(|waits| waits.ssrc == stamp.ssrc);
            let at = at.unwrap_or_else(|| {
                all.push(Waits {
                    ssrc: stamp.ssrc,
                    begun: key,
                    kept: None,
                    is_dropped: false,
                });
                all.len() - 1
            });
            let Some(waits) = all.get_mut(at) else {
                return false;
            };
            let is_kept = key.is_some() && waits.begun == key;
            if is_kept {
                let is_newer = |kept| sequence_difference(stamp.sequence, kept) > 0;
                if waits.kept.is_none_or(is_newer) {
                    waits.kept = Some(stamp.sequence);
                }
            }
            waits.is_dropped |= !is_kept;
            is_kept
        });
        for waits in all.iter().filter(|waits| waits.is_dropped) {
            let mut streams = self.streams.iter_mut();
            if let Some(watched) = streams.find(|watched| watched.ssrc == waits.ssrc) {
                watched.numbers.rewind(waits.kept);
                watched.await_key();
                watched.is_late = true;
                watched.finishing = waits.begun;
            }
        }
        self.is_sifted = true;
        dropped
    }

    /// The streams that have lost what waited for too long, once nothing waits: they need key pictures, which are to be asked for.
    pub(crate) fn take_late(&mut self) -> Vec<u32> {
        if !self.pictures.is_empty() {
            return Vec::new();
        }
        let late = self.streams.iter_mut().filter(|watched| watched.is_late);
        late.map(|watched| {
            watched.await_key();
            watched.ssrc
        })
        .collect()
    }

    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.pictures.clear(pool);
        self.repairs.clear(pool);
        for watched in &mut self.streams {
            watched.numbers.rewind(None);
            watched.await_key();
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
            watched.await_key();
        }
    }

    /// The streams.
    pub(crate) fn ssrcs(&self) -> impl Iterator<Item = u32> {
        self.streams.iter().map(|watched| watched.ssrc)
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_micros(1_000_000);

    fn tag(number: u16) -> PictureTag {
        let temporal_layer = [0, 2, 1, 2][usize::from(number % 4)];
        PictureTag {
            first: true,
            key: number == 0,
            discardable: temporal_layer == 2,
            temporal_layer,
            layer: 0,
            number,
        }
    }

    /// The only packet of the picture with this number.
    fn packet(pool: &mut Pool, number: u16) -> (Stamp, Payload) {
        let header = RtpHeader {
            marker: true,
            payload_type: 96,
            sequence: number,
            timestamp: 0,
            ssrc: 7,
            csrcs: &[],
            audio_level: None,
        };
        let stamp = Stamp {
            marker: true,
            sequence: number,
            timestamp: 0,
            ssrc: 7,
        };
        let packet = keep_packet(pool, &header, Some(tag(number)), &[1; 500]);
        (stamp, packet.unwrap())
    }

    /// What waits: the receiver's numbers, the numbers of the pictures, and whether these can be seen.
    fn waiting(queue: &mut MediaQueue, pool: &mut Pool) -> Vec<(u16, u16, bool)> {
        let mut waiting = Vec::new();
        queue.retain_pictures(pool, |stamp, tag| {
            let tag = tag.unwrap();
            waiting.push((stamp.sequence, tag.number, tag.first));
            true
        });
        waiting
    }

    #[test]
    fn of_a_picture_that_is_left_out_a_late_packet_can_not_be_seen_and_neither_a_repair() {
        let config = Config::default();
        let mut pool = Pool::new(16);
        let mut watching = Watching::new(&config);
        let take = |watching: &mut Watching, pool: &mut Pool, number| {
            let (stamp, payload) = packet(pool, number);
            let taken = watching.take(pool, NOW, stamp, Some(tag(number)), &payload);
            pool.release(payload);
            taken
        };
        assert_eq!(take(&mut watching, &mut pool, 0), Taken::Queued);
        watching.streams[0].thinning.set_wanted(1);
        assert_eq!(take(&mut watching, &mut pool, 1), Taken::LeftOut);
        // 2, of which 3 has need, and 3 are under way.
        assert_eq!(take(&mut watching, &mut pool, 4), Taken::Queued);
        assert_eq!(take(&mut watching, &mut pool, 3), Taken::Queued);
        assert_eq!(
            waiting(&mut watching.pictures, &mut pool),
            [(0, 0, true), (3, 4, true), (2, 3, false)]
        );
        let (stamp, payload) = packet(&mut pool, 2);
        let stamp = Stamp {
            sequence: 1,
            ..stamp
        };
        assert!(watching.repair(&mut pool, NOW, stamp, payload));
        assert_eq!(waiting(&mut watching.repairs, &mut pool), [(1, 2, false)]);
    }
}
