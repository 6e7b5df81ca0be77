//! Decoded sound between the decoder and whoever reads it.

use super::codec::SampleRate;
use super::stretch::{self, Care};

/// The share of the time by which the delay changes: of usual corrections, and of large ones.
const PACE_PERCENT: usize = 15;
const URGENT_PERCENT: usize = 25;
/// The error of the delay from which it is corrected, in ms: about half of what a correction changes.
const TOLERATED_MS: i64 = 5;
/// The error of the delay from which it is large.
const URGENT_MS: i64 = 60;

/// Up to `PCM` samples: those that are still to be read, behind those that were read last.
#[derive(Debug)]
pub(super) struct Ready<const PCM: usize> {
    samples: [i16; PCM],
    read: usize,
    end: usize,
    /// Samples to play until the sound may be shortened or lengthened again.
    steady: usize,
}

impl<const PCM: usize> Ready<PCM> {
    pub(super) const fn new() -> Self {
        Self {
            samples: [0; PCM],
            read: 0,
            end: 0,
            steady: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read >= self.end
    }

    /// Moves what is to be read to the front of `pcm`, as far as it goes; returns how much.
    pub(super) fn read(&mut self, pcm: &mut [i16]) -> usize {
        let unread = self.unread();
        let mut len = 0;
        for (out, &sample) in pcm.iter_mut().zip(unread) {
            *out = sample;
            len += 1;
        }
        self.read += len;
        len
    }

    pub(super) fn unread(&self) -> &[i16] {
        self.samples.get(self.read..self.end).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        (self.read, self.end) = (0, 0);
    }

    /// Room for `samples` or more, behind as much of what was read last as is of use.
    pub(super) fn make_room(&mut self, samples: usize, rate: SampleRate) -> &mut [i16] {
        let kept = (PCM.saturating_sub(samples)).min(stretch::longest(rate));
        let from = self.end.saturating_sub(kept);
        self.samples.copy_within(from..self.end, 0);
        self.end -= from;
        self.read = self.end;
        self.samples.get_mut(self.end..).unwrap_or_default()
    }

    /// Makes so many samples of the room readable.
    pub(super) fn add(&mut self, samples: usize) {
        self.end = (self.end + samples.max(1)).min(PCM);
        self.steady = self.steady.saturating_sub(samples);
    }

    /// Shortens what is to be read if there is more delay than wanted, and lengthens it if there is less; `excess` in
    /// samples. Returns by how many samples it has become longer.
    pub(super) fn stretch(&mut self, rate: SampleRate, excess: i64) -> i64 {
        let per_ms = rate.samples(1);
        let error = excess.abs() / per_ms as i64;
        if self.steady > 0 || error < TOLERATED_MS {
            return 0;
        }
        let (care, percent) = if error < URGENT_MS {
            (Care::Usual, PACE_PERCENT)
        } else {
            (Care::Urgent, URGENT_PERCENT)
        };
        // A little too far is nearer than not at all.
        let most =
            (excess.unsigned_abs() as usize).saturating_add(rate.samples(TOLERATED_MS as u16) / 2);
        let (lag, change) = if excess > 0 {
            let unread = self.samples.get_mut(self.read..self.end);
            let lag = stretch::shorten(unread.unwrap_or_default(), rate, most, care);
            self.end -= lag;
            (lag, -1)
        } else {
            let lag = stretch::lengthen(&mut self.samples, self.read, self.end, rate, most, care);
            self.end += lag;
            (lag, 1)
        };
        self.steady = lag * 100 / percent;
        change * lag as i64
    }
}
