//! Audio on its way in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parlour_core::audio::mixer::Mixer;
use parlour_core::audio::{JitterStatistics, Lateness};
use parlour_core::signal::StreamRef;
use parlour_core::time::Instant;

use super::ReadError;
use super::frames::Frames;
use super::player::Player;
use super::rate::{Output, SampleRate};
use super::shared::Shared;

/// A reader that is later than this is taken to have paused.
const CATCH_UP: Duration = Duration::from_millis(500);

/// Paces the reads of a caller without a sound card by this machine's clock. A late reader, on a busy machine, catches up:
/// unread audio would pile up in the jitter buffer and be dropped there.
#[derive(Debug)]
pub(super) struct Pace {
    rate: SampleRate,
    /// When the next samples are due; those before them have been read.
    due: Option<tokio::time::Instant>,
}

impl Pace {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self { rate, due: None }
    }

    /// Waits until the samples behind the last ones are due, and takes this many. Cancellation-safe.
    pub(super) async fn wait_for(&mut self, samples: usize) {
        let now = tokio::time::Instant::now();
        let due = self.due.filter(|due| *due + CATCH_UP >= now).unwrap_or(now);
        tokio::time::sleep_until(due).await;
        let nanos = samples as u64 * 1_000_000_000 / u64::from(self.rate.hz());
        self.due = Some(due + Duration::from_nanos(nanos));
    }
}

/// Adds up what several players say.
#[derive(Debug, Default)]
pub(super) struct Mix {
    sums: Vec<i32>,
    voice: Vec<i16>,
}

impl Mix {
    /// Fills `pcm` with the audio to play from `now` on; returns the first of `players` with a voice.
    pub(super) fn read<'p>(
        &mut self,
        now: Instant,
        players: impl Iterator<Item = &'p mut Player>,
        pcm: &mut [i16],
    ) -> Option<usize> {
        self.sums.resize(pcm.len(), 0);
        self.voice.resize(pcm.len(), 0);
        let (mut mixer, mut heard) = (Mixer::new(&mut self.sums), None);
        for (index, player) in players.enumerate() {
            if player.read(now, &mut self.voice).is_some() {
                heard = heard.or(Some(index));
            }
            // All blocks have the same length.
            let _ = mixer.add(&self.voice);
        }
        let _ = mixer.finish(pcm);
        heard
    }
}

/// All that is heard, mixed to mono PCM. The caller's clock is the audio clock: each sample that is read is one of the
/// loudspeaker's.
///
/// Decoding happens in [`read`](Self::read), on the caller's thread: give that 512 KB of stack, in debug builds 1 MB;
/// tokio's and Rust's own threads have 2 MB.
#[derive(Debug)]
pub struct MixedReader {
    shared: Arc<Shared>,
    frames: Frames,
    rate: SampleRate,
    players: BTreeMap<u8, Player>,
    lateness: Lateness,
    output: Output,
    mix: Mix,
    pace: Pace,
}

impl MixedReader {
    pub(super) fn new(shared: Arc<Shared>, rate: SampleRate) -> Self {
        Self {
            frames: Frames::new(&shared),
            shared,
            rate,
            players: BTreeMap::new(),
            lateness: Lateness::new(),
            output: Output::new(rate),
            mix: Mix::default(),
            pace: Pace::new(rate),
        }
    }

    /// Fills `pcm` with the next audio to play: silence where nobody speaks. Never waits.
    pub fn read(&mut self, pcm: &mut [i16]) {
        let now = self.shared.clock.now();
        while let Some(frame) = self.frames.take() {
            if !self.players.contains_key(&frame.slot) {
                let Some(player) = Player::new(self.rate.decoded()) else {
                    continue;
                };
                self.players.insert(frame.slot, player);
            }
            if let Some(player) = self.players.get_mut(&frame.slot) {
                player.push(&frame, &mut self.lateness);
            }
        }
        let (players, mix) = (&mut self.players, &mut self.mix);
        self.output.fill(pcm, |later, pcm| {
            mix.read(now + later, players.values_mut(), pcm);
        });
    }

    /// The sums of all slots' jitter-buffer statistics since this reader was made; for `delay` and `target` the
    /// largest.
    pub fn statistics(&self) -> JitterStatistics {
        let players = self.players.values().map(Player::statistics);
        players.fold(JitterStatistics::default(), |sum, slot| JitterStatistics {
            received: sum.received + slot.received,
            late: sum.late + slot.late,
            duplicates: sum.duplicates + slot.duplicates,
            lost: sum.lost + slot.lost,
            concealed: sum.concealed + slot.concealed,
            dropped: sum.dropped + slot.dropped,
            rebased: sum.rebased + slot.rebased,
            delay: sum.delay.max(slot.delay),
            target: sum.target.max(slot.target),
        })
    }

    /// [Reads](Self::read) as much as `pcm` holds, at the pace of this machine's clock: the next call waits as long as
    /// these samples last. For callers without a sound card that sets the pace. A late caller does not wait until it
    /// has caught up. A pause of more than half a second is not caught up.
    ///
    /// Cancellation-safe.
    pub async fn next_frame(&mut self, pcm: &mut [i16]) {
        self.pace.wait_for(pcm.len()).await;
        self.read(pcm);
    }
}

/// The audio of one slot: one voice at a time, of changing participants.
#[derive(Debug)]
pub struct SlotReader {
    shared: Arc<Shared>,
    frames: Frames,
    slot: u8,
    player: Player,
    lateness: Lateness,
    output: Output,
    /// The stream read last.
    heard: Option<u32>,
    pace: Pace,
}

impl SlotReader {
    pub(super) fn new(shared: Arc<Shared>, slot: u8, rate: SampleRate) -> Result<Self, ReadError> {
        if slot >= shared.slots() {
            return Err(ReadError::NoSuchSlot);
        }
        Ok(Self {
            frames: Frames::new(&shared),
            shared,
            slot,
            player: Player::new(rate.decoded()).ok_or(ReadError::SampleRate)?,
            lateness: Lateness::new(),
            output: Output::new(rate),
            heard: None,
            pace: Pace::new(rate),
        })
    }

    /// Fills `pcm` with the next audio to play, and returns the stream heard at its end: `None` in silence, or if the
    /// speaker is not tracked. Never waits.
    pub fn read(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        let now = self.shared.clock.now();
        while let Some(frame) = self.frames.take() {
            if frame.slot == self.slot {
                self.player.push(&frame, &mut self.lateness);
            }
        }
        let (player, heard) = (&mut self.player, &mut self.heard);
        (self.output).fill(pcm, |later, pcm| *heard = player.read(now + later, pcm));
        self.shared.stream_with(self.heard?)
    }

    /// [Reads](Self::read) as much as `pcm` holds, at the pace of this machine's clock: the next call waits as long as
    /// these samples last.
    ///
    /// Cancellation-safe.
    pub async fn next_frame(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        self.pace.wait_for(pcm.len()).await;
        self.read(pcm)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;

    /// How many pieces of this many samples are read at once.
    async fn at_once(pace: &mut Pace, samples: usize) -> usize {
        let start = Instant::now();
        let mut count = 0;
        loop {
            pace.wait_for(samples).await;
            if start.elapsed() > Duration::ZERO {
                return count;
            }
            count += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_reader_catches_up_and_one_that_has_paused_goes_on() {
        let mut pace = Pace::new(SampleRate::Hz48000);
        assert_eq!(at_once(&mut pace, 960).await, 1, "the first");
        advance(Duration::from_millis(100)).await;
        assert_eq!(at_once(&mut pace, 960).await, 5);
        advance(Duration::from_secs(60)).await;
        assert_eq!(at_once(&mut pace, 960).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_of_any_length_takes_as_long_as_it_lasts() {
        for (samples, reads) in [(441, 100), (882, 50), (4_410, 10), (1, 44_100)] {
            let mut pace = Pace::new(SampleRate::Hz44100);
            let start = Instant::now();
            for _ in 0..reads {
                pace.wait_for(samples).await;
            }
            // The last piece is not waited for.
            let took = start.elapsed() + Duration::from_secs(1) / reads;
            let error = took.abs_diff(Duration::from_secs(1));
            assert!(
                error < Duration::from_millis(2),
                "{samples} samples: {took:?}"
            );
        }
    }
}
