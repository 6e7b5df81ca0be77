//! The microphone's side.

use std::fmt;

use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate,
    NoiseSuppression, NoiseSuppressionLevel, Pipeline,
};
use sonora::{AudioProcessing, Config, StreamConfig};

use crate::played::{self, Heard, Played};
use crate::{Detector, RateError, samples};

/// What is done to the sound of a microphone: all of it, unless it is turned off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Takes out what the loudspeaker plays.
    pub echo: bool,
    /// Lowers steady noise, such as a fan's, by about 18 dB.
    pub noise: bool,
    /// Raises quiet voices, and keeps loud ones from clipping.
    pub gain: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            echo: true,
            noise: true,
            gain: true,
        }
    }
}

impl Options {
    /// Nothing but the detector, and a high-pass filter against rumble.
    pub const OFF: Self = Self {
        echo: false,
        noise: false,
        gain: false,
    };

    fn config(self) -> Config {
        Config {
            pipeline: Pipeline {
                // With 32 kHz, what is above 16 kHz would be lost.
                maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
                multi_channel_render: false,
                multi_channel_capture: false,
                ..Pipeline::default()
            },
            high_pass_filter: Some(HighPassFilter::default()),
            echo_canceller: self.echo.then(EchoCanceller::default),
            noise_suppression: self.noise.then(|| NoiseSuppression {
                level: NoiseSuppressionLevel::High,
                ..NoiseSuppression::default()
            }),
            gain_controller2: self.gain.then(|| GainController2 {
                adaptive_digital: Some(AdaptiveDigital::default()),
                ..GainController2::default()
            }),
            ..Config::default()
        }
    }
}

/// 10 ms of a microphone's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Mono PCM at the rate of the first microphone.
    pub pcm: &'a [i16],
    /// Whether somebody speaks, as [`Detector`] finds.
    pub is_voice: bool,
}

/// What one microphone hears, or one after the other that takes its place.
pub struct Voice {
    processing: AudioProcessing,
    heard: Heard,
    detector: Detector,
    microphone: StreamConfig,
    loudspeaker: StreamConfig,
    given: StreamConfig,
    /// 10 ms: as they are heard, and as they are given.
    input: Vec<i16>,
    output: Vec<i16>,
    /// What the loudspeaker plays is not changed; the library writes it here.
    unchanged: Vec<i16>,
}

impl Voice {
    /// One for a microphone and a loudspeaker of so many samples per second. Without a loudspeaker, drop what is told of it.
    ///
    /// # Errors
    /// [`RateError`]
    pub fn new(
        microphone_hz: u32,
        loudspeaker_hz: u32,
        options: Options,
    ) -> Result<(Self, Played), RateError> {
        let (len, far) = (samples(microphone_hz)?, samples(loudspeaker_hz)?);
        let microphone = StreamConfig::new(microphone_hz, 1);
        let loudspeaker = StreamConfig::new(loudspeaker_hz, 1);
        let processing = AudioProcessing::builder()
            .config(options.config())
            .capture_config(microphone)
            .render_config(loudspeaker)
            .build();
        let (played, heard) = played::ring(far);
        let voice = Self {
            processing,
            heard,
            detector: Detector::new(microphone_hz)?,
            microphone,
            loudspeaker,
            given: microphone,
            input: Vec::with_capacity(len),
            output: vec![0; len],
            unchanged: vec![0; far],
        };
        Ok((voice, played))
    }

    /// Another microphone is heard from now on, of so many samples per second. What is handed over keeps its rate.
    ///
    /// # Errors
    /// [`RateError`]: the microphone stays.
    pub fn set_microphone(&mut self, hz: u32) -> Result<(), RateError> {
        let len = samples(hz)?;
        self.microphone = StreamConfig::new(hz, 1);
        self.input.clear();
        self.input.reserve(len);
        Ok(())
    }

    /// Another loudspeaker plays from now on, of so many samples per second. The former one's [`Played`] tells nothing any more.
    ///
    /// # Errors
    /// [`RateError`]: the loudspeaker stays.
    pub fn set_loudspeaker(&mut self, hz: u32) -> Result<Played, RateError> {
        let far = samples(hz)?;
        let (played, heard) = played::ring(far);
        self.heard = heard;
        self.loudspeaker = StreamConfig::new(hz, 1);
        self.unchanged = vec![0; far];
        Ok(played)
    }

    /// Hears mono PCM of any length, and hands over what has become of it, 10 ms at a time. Less than that stays for the next call.
    pub fn hear(&mut self, pcm: &[i16], mut take: impl FnMut(Piece<'_>)) {
        let len = self.microphone.num_frames();
        let mut rest = pcm;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((len - self.input.len()).min(rest.len()));
            self.input.extend_from_slice(piece);
            rest = later;
            if self.input.len() == len {
                self.process();
                take(Piece {
                    pcm: &self.output,
                    is_voice: self.detector.hear(&self.output),
                });
            }
        }
    }

    /// Makes 10 ms of output.
    fn process(&mut self) {
        while let Some(far) = self.heard.next() {
            // The rates were checked: neither this nor what follows fails.
            let (config, unchanged) = (&self.loudspeaker, &mut self.unchanged);
            let _ =
                (self.processing).process_render_i16_with_config(far, config, config, unchanged);
        }
        let done = self.processing.process_capture_i16_with_config(
            &self.input,
            &self.microphone,
            &self.given,
            &mut self.output,
        );
        if done.is_err() {
            self.output.fill(0);
        }
        self.input.clear();
    }
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice")
            .field("detector", &self.detector)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What becomes of `pcm`, which comes in pieces of these lengths.
    fn processed(pcm: &[i16], mut lengths: impl Iterator<Item = usize>) -> Vec<i16> {
        let (mut voice, mut played) = Voice::new(8_000, 16_000, Options::default()).unwrap();
        let (mut rest, mut out) = (pcm, Vec::new());
        played.play(pcm);
        while !rest.is_empty() {
            let len = lengths.next().unwrap().min(rest.len());
            let (piece, later) = rest.split_at(len);
            voice.hear(piece, |piece| out.extend_from_slice(piece.pcm));
            rest = later;
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_sound_in_any_pieces_gives_the_same(
            pcm in prop::collection::vec(any::<i16>(), 0..2_000),
            lengths in prop::collection::vec(1_usize..300, 1..20),
        ) {
            let whole = processed(&pcm, std::iter::repeat(usize::MAX));
            prop_assert_eq!(whole.len(), pcm.len() / 80 * 80);
            prop_assert_eq!(processed(&pcm, lengths.into_iter().cycle()), whole);
        }
    }

    /// The frequency of `pcm` at 48 kHz, by how often it rises through zero.
    fn hz(pcm: &[i16]) -> usize {
        let rises = pcm.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0);
        rises.count() * 48_000 / pcm.len()
    }

    #[test]
    fn other_cards_take_their_places_at_other_rates() {
        let (mut voice, mut played) = Voice::new(48_000, 48_000, Options::OFF).unwrap();
        for (hz_in, far_hz) in [(48_000, 48_000), (16_000, 44_100), (44_100, 8_000)] {
            voice.set_microphone(hz_in).unwrap();
            played = match far_hz {
                48_000 => played,
                _ => voice.set_loudspeaker(far_hz).unwrap(),
            };
            let tone = |n: u32| {
                let phase = n as f32 * 500.0 / hz_in as f32;
                ((phase * std::f32::consts::TAU).sin() * 8_000.0) as i16
            };
            let mut out = Vec::new();
            for n in 0..200 {
                played.play(&vec![0; far_hz as usize / 100]);
                let from = n * hz_in / 100;
                let pcm: Vec<_> = (from..from + hz_in / 100).map(tone).collect();
                voice.hear(&pcm, |piece| out.extend_from_slice(piece.pcm));
            }
            assert_eq!(out.len(), 96_000, "{hz_in}");
            let heard = hz(&out[48_000..]);
            assert!((499..=501).contains(&heard), "{hz_in}: {heard} Hz");
        }
        assert_eq!(voice.set_microphone(11_025), Err(RateError { hz: 11_025 }));
        assert!(voice.set_loudspeaker(0).is_err());
    }

    #[test]
    fn rates_are_checked() {
        for hz in [
            8_000, 16_000, 22_100, 24_000, 32_000, 44_100, 48_000, 96_000,
        ] {
            let (mut voice, mut played) = Voice::new(hz, 48_000, Options::default()).unwrap();
            let mut samples = 0;
            for _ in 0..10 {
                played.play(&[1_000; 480]);
                voice.hear(&vec![1_000; hz as usize / 100], |piece| {
                    samples += piece.pcm.len()
                });
            }
            assert_eq!(samples, hz as usize / 10, "{hz}");
        }
        for hz in [0, 100, 7_900, 11_025, 22_050, 96_100, u32::MAX] {
            let made = Voice::new(hz, 48_000, Options::default()).map(drop);
            assert_eq!(made, Err(RateError { hz }));
            assert!(Voice::new(48_000, hz, Options::default()).is_err());
        }
    }
}
