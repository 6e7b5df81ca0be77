//! A gate that opens at speech, as a neural network finds it, and at no other sound.

use core::fmt;

use parlour_core::audio::codec::SampleRate;
use parlour_core::audio::resample::Resampler;

use crate::{FRAME, TalkGate};

/// What the network hears: 16 ms at 16 kHz.
const RATE: SampleRate = SampleRate::Hz16000;
const HEARD: usize = 256;
/// 20 ms.
const LEN: usize = RATE.samples(FRAME.ms());
/// From this score on it is speech.
const SPEECH: f32 = 0.5;
/// Frames that the gate stays open for: the quiet ends of words.
const HANGOVER: u8 = 15;

/// Opens when somebody speaks, and stays open for 300 ms after that. A fan, a door that slams, and music do not open it.
///
/// It needs 16 to 26 ms of speech. The network is that of [earshot](https://docs.rs/earshot), in numbers of floating
/// point: it is for chips that have a unit for those, such as a Cortex-M4F or M33. 10 KB of memory, of which the network
/// has 8: keep the [`Duplex`](crate::Duplex) that has it in a task, whose memory is static.
///
/// ```
/// use parlour_embassy::core::audio::codec::SampleRate;
/// use parlour_embassy::{SpeechGate, TalkGate};
/// let mut gate = SpeechGate::new(SampleRate::Hz16000);
/// assert!(!gate.is_open(&[3_000; 320])); // a loud click, and no speech
/// ```
pub struct SpeechGate {
    network: earshot::Detector,
    resampler: Resampler,
    heard: [i16; HEARD],
    len: usize,
    hangover: u8,
}

impl SpeechGate {
    /// For a microphone of this rate.
    pub fn new(rate: SampleRate) -> Self {
        Self {
            network: earshot::Detector::const_default(),
            resampler: Resampler::new(rate, RATE),
            heard: [0; HEARD],
            len: 0,
            hangover: 0,
        }
    }

    /// Takes samples of [`RATE`], and gives whether there was speech at the end of a block.
    fn hear(&mut self, mut pcm: &[i16]) -> bool {
        let mut is_speech = false;
        while !pcm.is_empty() {
            let room = self.heard.get_mut(self.len..).unwrap_or_default();
            let (now, later) = pcm.split_at(room.len().min(pcm.len()));
            for (slot, sample) in room.iter_mut().zip(now) {
                *slot = *sample;
            }
            self.len += now.len();
            pcm = later;
            if self.len >= HEARD {
                self.len = 0;
                is_speech |= self.network.predict_i16(&self.heard) >= SPEECH;
            }
        }
        is_speech
    }
}

impl TalkGate for SpeechGate {
    fn is_open(&mut self, microphone: &[i16]) -> bool {
        let mut wide = [0; LEN];
        // A frame of another length is not of the rate that was said, and no speech.
        let len = self.resampler.process(microphone, &mut wide).unwrap_or(0);
        let pcm = wide.get(..len).unwrap_or_default();
        self.hangover = if self.hear(pcm) {
            HANGOVER
        } else {
            self.hangover.saturating_sub(1)
        };
        self.hangover > 0
    }
}

impl fmt::Debug for SpeechGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpeechGate")
            .field("is_open", &(self.hangover > 0))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Speech of the examples at this rate, in frames of 20 ms.
    fn speech(rate: SampleRate) -> Vec<Vec<i16>> {
        let wav = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../examples/assets/device.wav"
        );
        let wav = std::fs::read(wav).unwrap();
        let pcm: Vec<i16> = wav[44..]
            .chunks_exact(2)
            .map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]))
            .collect();
        let mut resampler = Resampler::new(RATE, rate);
        let frames = pcm.chunks_exact(LEN).map(|frame| {
            let mut out = std::vec![0; rate.samples(20)];
            resampler.process(frame, &mut out).unwrap();
            out
        });
        frames.collect()
    }

    #[test]
    fn it_opens_at_speech_at_each_rate() {
        for rate in [SampleRate::Hz8000, RATE, SampleRate::Hz48000] {
            let mut gate = SpeechGate::new(rate);
            let (mut loud, mut found) = (0, 0);
            for frame in speech(rate) {
                let is_open = gate.is_open(&frame);
                if parlour_core::audio::level::level(&frame) < 30 {
                    loud += 1;
                    found += usize::from(is_open);
                }
            }
            assert!(loud > 100 && found * 100 >= loud * 95, "{found} of {loud}");
        }
    }

    #[test]
    fn noise_does_not_open_it_and_it_closes_after_speech() {
        let mut random = 1_u32;
        let mut noise = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((random >> 16) as i16) / 16
        };
        let mut gate = SpeechGate::new(RATE);
        let mut opened = 0;
        for _ in 0..500 {
            let frame: [i16; LEN] = core::array::from_fn(|_| noise());
            opened += usize::from(gate.is_open(&frame));
        }
        assert!(opened <= 25, "{opened} of 500");
        for frame in speech(RATE) {
            gate.is_open(&frame);
        }
        for _ in 0..20 {
            gate.is_open(&[0; LEN]);
        }
        assert!(!gate.is_open(&[0; LEN]));
    }

    #[test]
    fn a_frame_of_another_rate_is_no_speech() {
        let mut gate = SpeechGate::new(RATE);
        for frame in speech(SampleRate::Hz48000) {
            assert!(!gate.is_open(&frame));
        }
    }
}
