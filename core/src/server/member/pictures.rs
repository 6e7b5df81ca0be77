//! What the server keeps of a published stream of pictures, and what it asks the publisher for.

use alloc::collections::VecDeque;

use super::rate::Rates;
use super::thinning::ALL;
use crate::rtp::{PictureTag, Stamp, sequence_difference};
use crate::server::context::Context;
use crate::server::pool::{Payload, Pool};
use crate::time::{Duration, Instant, earlier};
use crate::video::{KEPT_FOR, KEY_INTERVAL, LAYERS, Missing, Question};

/// Most packets that are kept of one stream.
const MAX_KEPT: usize = 1_024;
/// A key picture is asked for so many times, unless it comes.
const KEY_TRIES: u8 = 5;

/// A packet as its publisher sent it.
#[derive(Debug)]
struct Kept {
    stamp: Stamp,
    payload: Payload,
    since: Instant,
}

/// A key picture that is wanted.
#[derive(Debug, Clone, Copy, Default)]
struct Key {
    tries: u8,
    asked: Option<Instant>,
}

impl Key {
    /// When to ask for it.
    fn due(&self) -> Option<Instant> {
        let again = self.asked.map(|asked| asked + KEY_INTERVAL);
        (self.tries > 0).then(|| again.unwrap_or(Instant::from_micros(0)))
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Pictures {
    /// In the order of their numbers.
    kept: VecDeque<Kept>,
    missing: Missing,
    keys: [Key; LAYERS],
    rates: Rates<{ ALL as usize }>,
}

impl Pictures {
    pub(crate) const fn new() -> Self {
        Self {
            kept: VecDeque::new(),
            missing: Missing::new(),
            keys: [Key {
                tries: 0,
                asked: None,
            }; LAYERS],
            rates: Rates::new(),
        }
    }

    /// A packet came from the publisher.
    pub(crate) fn handle_packet(
        &mut self,
        now: Instant,
        sequence: u16,
        tag: PictureTag,
        len: usize,
    ) {
        self.missing.handle_packet(now, sequence);
        if !tag.key {
            self.rates.add(now, usize::from(tag.temporal_layer), len);
        }
        if tag.first
            && tag.key
            && let Some(key) = self.keys.get_mut(usize::from(tag.layer))
        {
            key.tries = 0;
        }
    }

    /// Bits per second of each temporal layer, without key pictures.
    pub(crate) fn rates(&self, now: Instant) -> [u32; ALL as usize] {
        self.rates.rates(now)
    }

    /// Keeps a packet for receivers that lose it.
    pub(crate) fn keep(&mut self, cx: &mut Context, stamp: Stamp, payload: &Payload) {
        self.expire(cx);
        let ahead = |kept: &Kept| sequence_difference(stamp.sequence, kept.stamp.sequence);
        match self.kept.back().map(ahead) {
            Some(ahead) if usize::from(ahead.unsigned_abs()) >= MAX_KEPT => self.clear(cx),
            _ if self.kept.len() >= MAX_KEPT => self.drop_oldest(cx),
            _ => {}
        }
        if cx.kept >= cx.config.kept_pictures {
            // Each stream makes room in its own: what is kept longest anywhere would have to be looked for.
            self.drop_oldest(cx);
            if cx.kept >= cx.config.kept_pictures {
                return;
            }
        }
        let newer = self.kept.iter().rev().take_while(|kept| ahead(kept) < 0);
        let at = self.kept.len() - newer.count();
        let before = at.checked_sub(1).and_then(|at| self.kept.get(at));
        if before.is_some_and(|before| ahead(before) == 0) {
            return;
        }
        cx.kept += 1;
        let kept = Kept {
            stamp,
            payload: cx.pool.share(payload),
            since: cx.now,
        };
        self.kept.insert(at, kept);
    }

    /// The packet with this number of its publisher's, once more.
    pub(crate) fn find(&self, pool: &mut Pool, sequence: u16) -> Option<(Stamp, Payload)> {
        let first = self.kept.front()?.stamp.sequence;
        let ahead = |sequence: u16| sequence.wrapping_sub(first);
        let at = self
            .kept
            .binary_search_by_key(&ahead(sequence), |kept| ahead(kept.stamp.sequence));
        let kept = self.kept.get(at.ok()?)?;
        Some((kept.stamp, pool.share(&kept.payload)))
    }

    /// Gives up what has been kept for long enough.
    pub(crate) fn expire(&mut self, cx: &mut Context) {
        while self.expires().is_some_and(|expires| expires <= cx.now) {
            self.drop_oldest(cx);
        }
    }

    fn expires(&self) -> Option<Instant> {
        self.kept.front().map(|oldest| oldest.since + KEPT_FOR)
    }

    /// When all may have been kept for long enough: while packets come, each makes the old ones go. The oldest may have come last.
    fn all_expire(&self) -> Option<Instant> {
        let newest = self.kept.back()?.since;
        let oldest = self.kept.front()?.since;
        Some(newest.max(oldest) + KEPT_FOR)
    }

    fn drop_oldest(&mut self, cx: &mut Context) {
        if let Some(oldest) = self.kept.pop_front() {
            cx.pool.release(oldest.payload);
            cx.kept -= 1;
        }
    }

    /// Gives up all that is kept: the stream ends.
    pub(crate) fn clear(&mut self, cx: &mut Context) {
        while !self.kept.is_empty() {
            self.drop_oldest(cx);
        }
    }

    /// A receiver needs a key picture of a layer.
    pub(crate) fn want_key(&mut self, layer: u8) {
        if let Some(key) = self.keys.get_mut(usize::from(layer)) {
            key.tries = KEY_TRIES;
        }
    }

    /// The next time for [`poll_question`](Self::poll_question) or [`expire`](Self::expire).
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let keys = self.keys.iter().map(Key::due);
        let asks = keys.fold(self.missing.poll_timeout(), earlier);
        earlier(asks, self.all_expire())
    }

    /// What to ask the publisher for now. Call it until it is `None`. `round_trip` is that to the publisher.
    pub(crate) fn poll_question(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
    ) -> Option<Question> {
        for (layer, key) in (0..).zip(&mut self.keys) {
            if key.due().is_some_and(|due| due <= now) {
                key.tries -= 1;
                key.asked = Some(now);
                return Some(Question::KeyWanted { layer });
            }
        }
        let list = self.missing.poll(now, round_trip);
        list.as_lost().is_some().then_some(Question::Lost(list))
    }
}
