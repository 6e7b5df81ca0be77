//! The others' sound: a player for each slot and their mix, as a module of WebAssembly for an `AudioWorklet`.
//!
//! Plain exports and no glue: an `AudioWorkletGlobalScope` has no `TextDecoder`, which wasm-bindgen wants. The sound card's
//! clock pulls: [`Playback::read`] is called for each render quantum, which need not be 128 samples. All times are
//! milliseconds on one clock of the caller.

pub mod exports;

use std::fmt;

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::decoder::Decoder;
use parlour_core::audio::mixer::Mixer;
use parlour_core::audio::opus::{Channels, OpusDecoder, OpusMemory, OpusState};
use parlour_core::audio::{JitterConfig, JitterStatistics, Lateness, Packet, Player, PushError};
use parlour_core::time::Instant;

/// As many as the participant has.
pub const SLOTS: usize = 32;
/// Most samples that are mixed at a time.
pub const MAX_SAMPLES: usize = 4_096;
/// Most bytes of a payload: those of a datagram.
pub const MAX_PAYLOAD: usize = 1_200;

/// 24 packets are 480 ms; 2,880 samples 60 ms.
type Slot = Player<OpusDecoder<&'static mut OpusState>, 24, MAX_PAYLOAD, 2_880>;

/// Plays all slots at 48 kHz.
pub struct Playback {
    slots: [Option<Box<Slot>>; SLOTS],
    lateness: Lateness,
    voice: Vec<i16>,
    sums: Vec<i32>,
    mix: Vec<i16>,
}

impl Default for Playback {
    fn default() -> Self {
        Self {
            slots: [const { None }; SLOTS],
            lateness: Lateness::new(),
            voice: vec![0; MAX_SAMPLES],
            sums: vec![0; MAX_SAMPLES],
            mix: vec![0; MAX_SAMPLES],
        }
    }
}

impl Playback {
    /// Makes the slots below `count`, so that their first voices cost no render quantum.
    pub fn prepare(&mut self, count: usize) {
        for index in 0..count.min(SLOTS) {
            self.slot(index);
        }
    }

    /// Takes a packet of a slot. False if there is no such slot, or the jitter buffer has no use for it.
    pub fn push(&mut self, now: Instant, slot: usize, packet: Packet<'_>) -> bool {
        let mut lateness = core::mem::take(&mut self.lateness);
        let pushed: Option<Result<(), PushError>> =
            (self.slot(slot)).map(|slot| slot.push(now, packet, &mut lateness));
        self.lateness = lateness;
        matches!(pushed, Some(Ok(())))
    }

    /// Writes the mix of all slots to `out`.
    pub fn read(&mut self, now: Instant, out: &mut [f32]) {
        for out in out.chunks_mut(MAX_SAMPLES) {
            let Some(sums) = self.sums.get_mut(..out.len()) else {
                return;
            };
            let mut mixer = Mixer::new(sums);
            for slot in self.slots.iter_mut().flatten() {
                let voice = self.voice.get_mut(..out.len()).unwrap_or_default();
                slot.read(now, voice);
                // As long as the sums are.
                let _ = mixer.add(voice);
            }
            let _ = mixer.finish(&mut self.mix);
            for (out, sample) in out.iter_mut().zip(&self.mix) {
                *out = f32::from(*sample) / 32_768.0;
            }
        }
    }

    /// Discards what is still to be played, for a new session.
    pub fn restart(&mut self) {
        for slot in self.slots.iter_mut().flatten() {
            slot.restart();
        }
    }

    /// The jitter buffer of a slot that has been heard.
    pub fn statistics(&self, slot: usize) -> Option<JitterStatistics> {
        let slot = self.slots.get(slot)?.as_ref()?;
        Some(slot.statistics())
    }

    fn slot(&mut self, index: usize) -> Option<&mut Slot> {
        let place = self.slots.get_mut(index)?;
        if place.is_none() {
            // A slot is made once and stays as long as the module.
            let memory = Box::leak(Box::new(OpusMemory::new()));
            let opus = OpusDecoder::new_in(memory, SampleRate::Hz48000, Channels::Stereo).ok()?;
            *place = Some(Box::new(Slot::new(
                Decoder::new(opus),
                JitterConfig::default(),
            )));
        }
        place.as_deref_mut()
    }
}

impl fmt::Debug for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.slots.iter().flatten().count();
        f.debug_struct("Playback")
            .field("slots", &made)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_core::audio::codec::{AudioEncoder as _, FrameDuration};
    use parlour_core::audio::opus::{EncoderConfig, FullbandEncoder};
    use parlour_core::room::Codec;
    use parlour_core::time::Duration;

    /// Payloads of 20 ms each, of a tone.
    fn tone(frames: usize) -> Vec<Vec<u8>> {
        let config = EncoderConfig {
            sample_rate: SampleRate::Hz48000,
            frame: FrameDuration::Ms20,
            bitrate: 32_000,
            ..EncoderConfig::default()
        };
        let mut encoder = FullbandEncoder::new(config).unwrap();
        let sample = |n: usize| ((n as f32 * 0.06).sin() * 12_000.0) as i16;
        let frame = |frame: usize| {
            let pcm: Vec<i16> = (0..960).map(|n| sample(frame * 960 + n)).collect();
            let mut out = [0; parlour_core::audio::opus::MAX_PAYLOAD];
            let encoded = encoder.encode(&pcm, &mut out).unwrap();
            encoded.payload(&out).unwrap().to_vec()
        };
        (0..frames).map(frame).collect()
    }

    fn packet(n: usize, payload: &[u8]) -> Packet<'_> {
        Packet {
            sequence: n as u64,
            timestamp: n as u64 * 960,
            duration: 960,
            codec: Codec::Opus,
            speaker: Some(7),
            marker: n == 0,
            payload,
        }
    }

    /// Plays a second of a tone in quanta of so many samples; also says how many packets came until then.
    fn play(playback: &mut Playback, quantum: usize) -> (Vec<f32>, u64) {
        let payloads = tone(50);
        let (mut heard, mut pushed) = (Vec::new(), 0);
        while heard.len() < 48_000 {
            let now =
                Instant::from_micros(0) + Duration::from_micros(heard.len() as u64 * 1_000 / 48);
            while pushed < payloads.len() && pushed * 960 <= heard.len() {
                assert!(playback.push(now, 3, packet(pushed, &payloads[pushed])));
                pushed += 1;
            }
            let mut out = vec![0.0; quantum];
            playback.read(now, &mut out);
            heard.extend(out);
        }
        (heard, pushed as u64)
    }

    fn power(pcm: &[f32]) -> f32 {
        pcm.iter().map(|sample| sample * sample).sum::<f32>() / pcm.len() as f32
    }

    #[test]
    fn a_slot_is_heard_in_quanta_of_any_size() {
        for quantum in [100, 128, 441, 2_048, 10_000] {
            let mut playback = Playback::default();
            let (heard, pushed) = play(&mut playback, quantum);
            assert!(
                power(&heard[20_000..40_000]) > 0.03,
                "in quanta of {quantum}"
            );
            assert_eq!(playback.statistics(3).unwrap().received, pushed);
        }
    }

    #[test]
    fn after_a_restart_nothing_is_left() {
        let mut playback = Playback::default();
        play(&mut playback, 128);
        playback.restart();
        let mut out = vec![1.0; 960];
        playback.read(Instant::from_micros(2_000_000), &mut out);
        assert_eq!(power(&out), 0.0);
    }

    #[test]
    fn loud_voices_together_are_limited() {
        let mut playback = Playback::default();
        let payloads = tone(20);
        let mut peak = 0.0_f32;
        for (n, payload) in payloads.iter().enumerate() {
            let now = Instant::from_micros(n as u64 * 20_000);
            for slot in 0..8 {
                playback.push(now, slot, packet(n, payload));
            }
            let mut out = [0.0; 960];
            playback.read(now, &mut out);
            peak = out.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
        }
        assert!(peak > 0.9 && peak <= 1.0, "{peak}");
    }

    #[test]
    fn neither_unknown_slots_nor_damaged_payloads_break_it() {
        let mut playback = Playback::default();
        let now = Instant::from_micros(0);
        assert!(!playback.push(now, SLOTS, packet(0, &[1])));
        playback.prepare(2);
        playback.push(now, 0, packet(0, &[0xff; 40]));
        let mut out = [0.0; 4_800];
        playback.read(now, &mut out);
        assert_eq!(playback.statistics(2), None);
    }
}
