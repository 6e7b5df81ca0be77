//! The sent and received audio of one participant, in steps of 20 ms, on one time scale for all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlour_core::audio::codec::SampleRate;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::wav::resample;

/// One step of the time scale: a frame of audio.
pub const TICK: Duration = Duration::from_millis(20);

/// The time scale: when the meeting began.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    began: Instant,
}

impl Scale {
    /// A time scale that begins now.
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// The time since the beginning.
    pub fn now(self) -> Duration {
        self.began.elapsed()
    }

    /// The current step.
    pub fn tick(self) -> usize {
        (self.now().as_micros() / TICK.as_micros()) as usize
    }

    /// Ticks at the beginning of each step from `tick` on. On a slow machine missed ticks come at once, so that no
    /// audio is skipped.
    pub fn ticks_from(self, tick: usize) -> Interval {
        let start = self.began + TICK * u32::try_from(tick).unwrap_or(u32::MAX);
        let mut ticks = tokio::time::interval_at(start, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    }
}

/// Packets counted since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Audio packets sent.
    pub sent: u64,
    /// Audio packets received, including late ones.
    pub received: u64,
    /// Concealed samples at 48 kHz.
    pub concealed: u64,
}

#[derive(Debug, Default)]
struct Tracks {
    sent: Vec<i16>,
    heard: Vec<i16>,
    counters: Vec<Counters>,
}

/// The sent and received audio of one participant. Clones share it.
#[derive(Debug, Clone)]
pub struct Recording {
    rate: SampleRate,
    tracks: Arc<Mutex<Tracks>>,
}

impl Recording {
    /// An empty recording at `rate`.
    pub fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            tracks: Arc::default(),
        }
    }

    fn tracks(&self) -> MutexGuard<'_, Tracks> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the audio and the counters of the step `tick`. Skipped steps were silent.
    pub fn note(&self, tick: usize, sent: &[i16], heard: &[i16], counters: Counters) {
        let frame = self.rate.samples(20);
        let mut tracks = self.tracks();
        let former = tracks.counters.last().copied().unwrap_or_default();
        tracks.sent.resize(tick * frame, 0);
        tracks.heard.resize(tick * frame, 0);
        tracks.counters.resize(tick, former);
        tracks.sent.extend_from_slice(sent);
        tracks.heard.extend_from_slice(heard);
        tracks.counters.push(counters);
    }

    /// The sample rate.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// All received audio.
    pub fn heard(&self) -> Vec<i16> {
        self.tracks().heard.clone()
    }

    /// The audio sent in the steps from `from` up to `to`, at `rate`.
    pub fn said_in(&self, from: usize, to: usize, rate: SampleRate) -> Vec<i16> {
        cut(&self.tracks().sent, self.rate, from, to, rate)
    }

    /// The audio received in these steps.
    pub fn heard_in(&self, from: usize, to: usize, rate: SampleRate) -> Vec<i16> {
        cut(&self.tracks().heard, self.rate, from, to, rate)
    }

    /// The counts of these steps.
    pub fn counted_in(&self, from: usize, to: usize) -> Counters {
        let tracks = self.tracks();
        let (before, after) = (at(&tracks.counters, from), at(&tracks.counters, to));
        Counters {
            sent: after.sent - before.sent,
            received: after.received - before.received,
            concealed: after.concealed - before.concealed,
        }
    }

    /// The longest time without a packet received in these steps, to a step's precision.
    pub fn longest_gap_in(&self, from: usize, to: usize) -> Duration {
        let tracks = self.tracks();
        let (mut longest, mut gap) = (0, 0);
        for tick in from..to {
            let silent =
                at(&tracks.counters, tick + 1).received == at(&tracks.counters, tick).received;
            gap = if silent { gap + 1 } else { 0 };
            longest = longest.max(gap);
        }
        TICK * longest
    }
}

/// The counters at the beginning of step `tick`.
fn at(counters: &[Counters], tick: usize) -> Counters {
    let last = tick.min(counters.len()).checked_sub(1);
    last.and_then(|last| counters.get(last))
        .copied()
        .unwrap_or_default()
}

/// The steps from `from` up to `to`, silence where nothing was recorded.
fn cut(track: &[i16], from_rate: SampleRate, from: usize, to: usize, rate: SampleRate) -> Vec<i16> {
    let frame = from_rate.samples(20);
    let end = (to * frame).min(track.len());
    let mut part = track.get(from * frame..end).unwrap_or_default().to_vec();
    part.resize(to.saturating_sub(from) * frame, 0);
    resample(&part, from_rate, rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(received: u64) -> Counters {
        Counters {
            sent: received / 2,
            received,
            concealed: 0,
        }
    }

    #[test]
    fn steps_left_out_are_silent() {
        let recording = Recording::new(SampleRate::Hz16000);
        recording.note(2, &[1; 320], &[2; 320], counters(4));
        recording.note(4, &[3; 320], &[4; 320], counters(6));
        let rate = SampleRate::Hz16000;
        assert_eq!(recording.said_in(0, 2, rate), [0; 640]);
        assert_eq!(recording.said_in(2, 3, rate), [1; 320]);
        assert_eq!(
            recording.heard_in(3, 5, rate),
            [[0; 320], [4; 320]].concat()
        );
        assert_eq!(
            recording.heard_in(4, 6, rate),
            [[4; 320], [0; 320]].concat()
        );
        assert_eq!(recording.heard_in(4, 5, SampleRate::Hz48000).len(), 960);
        assert_eq!(recording.heard().len(), 5 * 320);
    }

    #[test]
    fn counts_are_of_the_steps_asked_for() {
        let recording = Recording::new(SampleRate::Hz16000);
        for (tick, received) in [2, 4, 4, 4, 7, 7, 9].into_iter().enumerate() {
            recording.note(tick, &[0; 320], &[0; 320], counters(received));
        }
        assert_eq!(recording.counted_in(0, 7).received, 9);
        assert_eq!(
            recording.counted_in(1, 5),
            Counters {
                sent: 2,
                received: 5,
                concealed: 0
            }
        );
        assert_eq!(recording.counted_in(5, 100).received, 2);
        assert_eq!(recording.longest_gap_in(0, 7), 2 * TICK);
        assert_eq!(recording.longest_gap_in(4, 7), TICK);
    }
}
