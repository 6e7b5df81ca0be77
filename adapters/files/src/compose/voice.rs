//! One recording, read at the times of the session.

use std::path::Path;

use super::clock::Clock;
use crate::{FileError, Source};

/// Samples on either side of one that lies between two.
const BESIDE: u64 = 2;
/// Samples that were read are given up so many at a time.
const GIVEN_UP: usize = 4_800;

/// A recording under way.
#[derive(Debug)]
pub(super) struct Voice {
    source: Source,
    clock: Clock,
    /// When it begins, in samples of the session.
    start: i64,
    /// What was read of it and is not behind yet.
    pcm: Vec<i16>,
    /// The place of its first sample.
    base: u64,
    /// Up to where it was given.
    reached: f64,
    is_over: bool,
}

impl Voice {
    pub(super) fn open(path: &Path, clock: Clock, start: i64) -> Result<Self, FileError> {
        Ok(Self {
            source: Source::open_recording(path)?,
            clock,
            start,
            pcm: Vec::new(),
            base: 0,
            reached: f64::NEG_INFINITY,
            is_over: false,
        })
    }

    /// Fills `out` with what was said from `at` on, in samples of the session; before its beginning and behind its end with
    /// silence. Times never go back. `false` once nothing more comes.
    pub(super) fn read(&mut self, at: i64, out: &mut [i16]) -> Result<bool, FileError> {
        out.fill(0);
        let since = at.saturating_sub(self.start);
        let until = since.saturating_add_unsigned(out.len() as u64);
        if self.clock.is_plain() {
            self.copy(since, until, out)
        } else {
            self.stretch(since as f64, until as f64, out)
        }
    }

    /// Takes the samples as they are.
    fn copy(&mut self, since: i64, until: i64, out: &mut [i16]) -> Result<bool, FileError> {
        let Ok(until) = u64::try_from(until) else {
            return Ok(true);
        };
        let from = u64::try_from(since).unwrap_or(0);
        self.fill(from, until)?;
        // Silence comes before the beginning.
        let silent = usize::try_from(since.min(0).unsigned_abs()).unwrap_or(out.len());
        let out = out.get_mut(silent..).unwrap_or_default();
        let skipped = usize::try_from(from.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let pcm = self.pcm.get(skipped..).unwrap_or_default();
        for (out, sample) in out.iter_mut().zip(pcm) {
            *out = *sample;
        }
        self.give_up(until);
        Ok(self.is_more(until))
    }

    /// Takes the samples between those that there are, as its clock says.
    fn stretch(&mut self, since: f64, until: f64, out: &mut [i16]) -> Result<bool, FileError> {
        let from = self.clock.place(since).max(self.reached);
        let to = self.clock.place(until).max(from);
        self.reached = to;
        // Negative places are before the beginning: a cast makes them 0.
        let first = (from as u64).saturating_sub(BESIDE);
        self.fill(first, (to as u64).saturating_add(BESIDE + 1))?;
        if to <= from {
            // Its clock was set back: what it has said twice is heard once.
            return Ok(self.is_more(to as u64));
        }
        let step = (to - from) / out.len() as f64;
        for (index, out) in out.iter_mut().enumerate() {
            let place = from + step * index as f64;
            *out = self.between(place);
        }
        self.give_up((to as u64).saturating_sub(BESIDE));
        Ok(self.is_more(to as u64))
    }

    /// The sample at a place between two, on the cubic through the four around it (Catmull and Rom 1974). Up to 6 kHz it is
    /// true to within 0.1 dB.
    fn between(&self, place: f64) -> i16 {
        let whole = place.floor();
        let (whole, part) = (whole as i64, (place - whole) as f32);
        let sample = |offset: i64| {
            let index = (whole + offset).checked_sub_unsigned(self.base);
            let index = index.and_then(|index| usize::try_from(index).ok());
            index
                .and_then(|index| self.pcm.get(index))
                .map_or(0.0, |sample| f32::from(*sample))
        };
        let [a, b, c, d] = [-1, 0, 1, 2].map(sample);
        let linear = (c - a) / 2.0;
        let square = a - 2.5 * b + 2.0 * c - d / 2.0;
        let cubic = (d - a) / 2.0 + 1.5 * (b - c);
        // Saturates.
        (((cubic * part + square) * part + linear) * part + b).round() as i16
    }

    /// Reads up to a place, and holds what lies behind `from`.
    fn fill(&mut self, from: u64, to: u64) -> Result<(), FileError> {
        while !self.is_over && self.end() < to {
            if self.end() <= from {
                self.base = self.end();
                self.pcm.clear();
            }
            self.is_over = !self.source.read(&mut self.pcm)?;
        }
        Ok(())
    }

    /// Gives up what lies before a place, once that is worth it.
    fn give_up(&mut self, place: u64) {
        let behind = place.saturating_sub(self.base);
        let behind = self.pcm.len().min(usize::try_from(behind).unwrap_or(0));
        if behind >= GIVEN_UP {
            self.pcm.drain(..behind);
            self.base += behind as u64;
        }
    }

    fn end(&self) -> u64 {
        self.base + self.pcm.len() as u64
    }

    fn is_more(&self, place: u64) -> bool {
        !self.is_over || place < self.end()
    }
}
