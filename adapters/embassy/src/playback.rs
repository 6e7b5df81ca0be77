//! Audio on its way in: one player for each slot, and their mix.

use core::cell::RefCell;
use core::fmt;

use heapless::Vec;
use parlour_core::audio::codec::{AudioDecoder, SampleRate};
use parlour_core::audio::mixer::Mixer;
use parlour_core::audio::{JitterStatistics, Lateness, Packet, Player};
use parlour_core::rtp::AudioFrame;
use parlour_core::time::Instant;

use crate::time::now;

/// Samples mixed at a time: what this needs of the stack is bounded, however much is asked for.
const BLOCK: usize = 160;

/// All slots' players, whatever their number, size and codecs.
pub(crate) trait Playback {
    fn push(&mut self, now: Instant, slot: u8, frame: &AudioFrame<'_>);
    fn read(&mut self, now: Instant, pcm: &mut [i16]);
    fn restart(&mut self);
    fn speaker(&self, slot: u8) -> Option<u32>;
    fn statistics(&self, slot: u8) -> Option<JitterStatistics>;
}

pub(crate) struct Players<
    'd,
    O,
    const SLOTS: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const PCM: usize,
> {
    pub(crate) slots: Vec<&'d mut Player<O, PACKETS, BYTES, PCM>, SLOTS>,
    pub(crate) lateness: Lateness,
    pub(crate) rate: SampleRate,
}

impl<
    O: AudioDecoder,
    const SLOTS: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const PCM: usize,
> Playback for Players<'_, O, SLOTS, PACKETS, BYTES, PCM>
{
    fn push(&mut self, now: Instant, slot: u8, frame: &AudioFrame<'_>) {
        let Some(player) = self.slots.get_mut(usize::from(slot)) else {
            return;
        };
        let packet = Packet {
            sequence: frame.sequence,
            timestamp: frame.timestamp,
            duration: frame.duration,
            codec: frame.codec,
            speaker: frame.speaker,
            marker: frame.marker,
            payload: frame.payload,
        };
        // The jitter buffer counts what it drops.
        let _ = player.push(now, packet, &mut self.lateness);
    }

    fn read(&mut self, now: Instant, pcm: &mut [i16]) {
        let (mut sums, mut voice) = ([0; BLOCK], [0; BLOCK]);
        let micros = |samples: usize| samples as u64 * 1_000_000 / u64::from(self.rate.hz());
        // To a player, packets have to be there in the middle of what is read, which is here that of all blocks.
        let early = micros(pcm.len().saturating_sub(BLOCK)) / 2;
        for (block, before) in pcm.chunks_mut(BLOCK).zip((0..).step_by(BLOCK)) {
            let at = now.as_micros().saturating_add(micros(before));
            let at = Instant::from_micros(at.saturating_sub(early));
            let mut mixer = Mixer::new(sums.get_mut(..block.len()).unwrap_or_default());
            let voice = voice.get_mut(..block.len()).unwrap_or_default();
            for player in &mut self.slots {
                player.read(at, voice);
                // All blocks have the same length.
                let _ = mixer.add(voice);
            }
            let _ = mixer.finish(block);
        }
    }

    fn restart(&mut self) {
        for player in &mut self.slots {
            player.restart();
        }
    }

    fn speaker(&self, slot: u8) -> Option<u32> {
        self.slots.get(usize::from(slot))?.speaker()
    }

    fn statistics(&self, slot: u8) -> Option<JitterStatistics> {
        Some(self.slots.get(usize::from(slot))?.statistics())
    }
}

/// All that is heard, mixed to mono PCM at [`Config::output_rate`](crate::Config::output_rate). The caller's clock is
/// the audio clock: each sample that is read is one of the loudspeaker's.
///
/// Decoding happens in [`read`](Self::read). It never waits, neither for the network nor for another task.
#[derive(Clone, Copy)]
pub struct MixedReader<'d> {
    pub(crate) playback: &'d RefCell<dyn Playback + 'd>,
    pub(crate) rate: SampleRate,
}

impl MixedReader<'_> {
    /// Fills `pcm`, any number of samples, with the next audio to play: silence where nobody speaks.
    pub fn read(&mut self, pcm: &mut [i16]) {
        self.playback.borrow_mut().read(now(), pcm);
    }

    /// Samples per second.
    pub fn sample_rate(&self) -> SampleRate {
        self.rate
    }

    /// SSRC of the stream that is heard in a slot now, for
    /// [`RoomState::find_stream`](parlour_core::room::RoomState::find_stream).
    pub fn speaker(&self, slot: u8) -> Option<u32> {
        self.playback.borrow().speaker(slot)
    }

    /// How a slot's jitter buffer does; `None` if there are not as many slots.
    pub fn statistics(&self, slot: u8) -> Option<JitterStatistics> {
        self.playback.borrow().statistics(slot)
    }
}

impl fmt::Debug for MixedReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MixedReader")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_core::audio::JitterConfig;
    use parlour_core::audio::decoder::{Decoder, NoOpus};
    use parlour_core::room::Codec;

    type One = Player<NoOpus, 12, 160, 960>;

    const RATE: SampleRate = SampleRate::Hz16000;

    fn player() -> One {
        Player::new(Decoder::without_opus(RATE), JitterConfig::default())
    }

    #[test]
    fn blocks_are_the_same_sound_as_a_whole_read() {
        let (mut alone, mut lateness) = (player(), Lateness::new());
        let mut of_slot = player();
        let mut slots = Vec::new();
        assert!(slots.push(&mut of_slot).is_ok());
        let mut players = Players::<_, 1, 12, 160, 960> {
            slots,
            lateness: Lateness::new(),
            rate: RATE,
        };
        // A saw of 125 Hz in µ-law, which can be stretched anywhere.
        let payload: [u8; 160] = core::array::from_fn(|n| 0x90 + (n % 64) as u8);
        // From the delay of an unknown network to the least.
        let mut delays = std::vec::Vec::new();
        for sequence in 0..500_u64 {
            let arrival = Instant::from_micros(sequence * 20_000);
            let packet = Packet {
                sequence,
                timestamp: sequence * 960,
                duration: 960,
                codec: Codec::Pcmu,
                speaker: Some(1),
                marker: sequence == 0,
                payload: &payload,
            };
            let _ = alone.push(arrival, packet, &mut lateness);
            let _ = players.slots[0].push(arrival, packet, &mut players.lateness);
            let now = Instant::from_micros(sequence * 20_000 + 19_000);
            let (mut whole, mut blocks) = ([0; 320], [0; 320]);
            alone.read(now, &mut whole);
            players.read(now, &mut blocks);
            assert_eq!(whole, blocks, "packet {sequence}");
            let delay = alone.statistics().delay;
            assert_eq!(Some(delay), players.statistics(0).map(|of| of.delay));
            delays.push(delay / 48);
        }
        assert!(delays[5] > 30 && delays[499] < 20, "{delays:?}");
    }
}
