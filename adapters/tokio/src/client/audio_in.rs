//! Audio on its way in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parlour_core::audio::JitterStatistics;
use parlour_core::audio::mixer::Mixer;
use parlour_core::signal::StreamRef;
use parlour_core::time::Instant;
use tokio::time::Interval;

use super::ReadError;
use super::frames::Frames;
use super::player::Player;
use super::rate::{Output, SampleRate};
use super::shared::Shared;

const FRAME: Duration = Duration::from_millis(20);
/// Whoever is later than this has not been late but has paused.
const CATCH_UP: Duration = Duration::from_millis(500);

/// Ticks every 20 ms, from its first use on. Whoever comes late, on a busy machine, catches up: sound that is not read
/// would pile up in the jitter buffer and be dropped there.
#[derive(Debug, Default)]
pub(super) struct Ticks(Option<Interval>);

impl Ticks {
    pub(super) async fn next(&mut self) {
        let interval = self.0.get_or_insert_with(|| tokio::time::interval(FRAME));
        if interval.tick().await.elapsed() > CATCH_UP {
            interval.reset();
        }
    }
}

/// Adds up what several players say.
#[derive(Debug, Default)]
pub(super) struct Mix {
    sums: Vec<i32>,
    voice: Vec<i16>,
}

impl Mix {
    /// Fills `pcm` with what is to be played from `now` on; gives which of `players` is the first that says something.
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
    output: Output,
    mix: Mix,
    ticks: Ticks,
}

impl MixedReader {
    pub(super) fn new(shared: Arc<Shared>, rate: SampleRate) -> Self {
        Self {
            frames: Frames::new(&shared),
            shared,
            rate,
            players: BTreeMap::new(),
            output: Output::new(rate),
            mix: Mix::default(),
            ticks: Ticks::default(),
        }
    }

    /// Fills `pcm` with what is to be played next: silence where nobody speaks. Never waits.
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
                player.push(&frame);
            }
        }
        let (players, mix) = (&mut self.players, &mut self.mix);
        self.output.fill(pcm, |pcm| {
            mix.read(now, players.values_mut(), pcm);
        });
    }

    /// What the jitter buffers of all slots have seen and done since this reader was made: their sums, and of `delay` and
    /// `target` the largest.
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

    /// Waits until the next 20 ms are due by this machine's clock, then [reads](Self::read) as much as `pcm` holds. For
    /// those who have no sound card that asks. Whoever calls it late does not wait until what was missed is made up
    /// for; a pause of more than half a second is none of that.
    ///
    /// Cancellation-safe.
    pub async fn next_frame(&mut self, pcm: &mut [i16]) {
        self.ticks.next().await;
        self.read(pcm);
    }
}

/// What is heard in one slot: one voice at a time, now one participant's, now another's.
#[derive(Debug)]
pub struct SlotReader {
    shared: Arc<Shared>,
    frames: Frames,
    slot: u8,
    player: Player,
    output: Output,
    /// Whose sound was read last.
    heard: Option<u32>,
    ticks: Ticks,
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
            output: Output::new(rate),
            heard: None,
            ticks: Ticks::default(),
        })
    }

    /// Fills `pcm` with what is to be played next, and says whose stream that is at its end: `None` in silence, or if
    /// the speaker is not among the participants that are tracked. Never waits.
    pub fn read(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        let now = self.shared.clock.now();
        while let Some(frame) = self.frames.take() {
            if frame.slot == self.slot {
                self.player.push(&frame);
            }
        }
        let (player, heard) = (&mut self.player, &mut self.heard);
        (self.output).fill(pcm, |pcm| *heard = player.read(now, pcm));
        self.shared.stream_with(self.heard?)
    }

    /// Waits until the next 20 ms are due by this machine's clock, then [reads](Self::read) as much as `pcm` holds.
    ///
    /// Cancellation-safe.
    pub async fn next_frame(&mut self, pcm: &mut [i16]) -> Option<StreamRef> {
        self.ticks.next().await;
        self.read(pcm)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;

    /// How many ticks come at once.
    async fn at_once(ticks: &mut Ticks) -> usize {
        let start = Instant::now();
        let mut count = 0;
        loop {
            ticks.next().await;
            if start.elapsed() > Duration::ZERO {
                return count;
            }
            count += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_late_catches_up_and_who_has_paused_goes_on() {
        let mut ticks = Ticks::default();
        assert_eq!(at_once(&mut ticks).await, 1, "the first");
        advance(Duration::from_millis(100)).await;
        assert_eq!(at_once(&mut ticks).await, 5);
        advance(Duration::from_secs(60)).await;
        assert_eq!(at_once(&mut ticks).await, 1);
    }
}
