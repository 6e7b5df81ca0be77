//! Sound that survives decoding, mixing and encoding: tones, told apart by their pitch.

use std::fmt;

use parlour_core::audio::codec::{AudioDecoder, AudioEncoder, Encoded, FrameDuration, SampleRate};
use parlour_core::audio::g711::{G711Decoder, G711Encoder, Law};
use parlour_core::audio::opus::{
    Channels, EncoderConfig, FullbandEncoder, MAX_PAYLOAD, OpusDecoder,
};
use parlour_core::room::Codec;

use crate::party::Mixed;

const AMPLITUDE: f64 = 6_000.0;
const FRAME_MS: u16 = 20;

/// Somebody who sings.
pub struct Tone {
    hz: u32,
    sung: usize,
    encoder: Box<dyn AudioEncoder + Send>,
}

impl Tone {
    /// A voice of `hz` that is sent in `codec`.
    ///
    /// # Panics
    /// If `codec` is not one for sound.
    pub fn new(codec: Codec, hz: u32) -> Self {
        let encoder: Box<dyn AudioEncoder + Send> = match codec {
            Codec::Opus => {
                Box::new(FullbandEncoder::new(EncoderConfig::default()).expect("good defaults"))
            }
            Codec::Pcmu => Box::new(G711Encoder::new(Law::Mu, FrameDuration::Ms20)),
            Codec::Pcma => Box::new(G711Encoder::new(Law::A, FrameDuration::Ms20)),
            _ => panic!("{codec:?} is not for sound"),
        };
        Self {
            hz,
            sung: 0,
            encoder,
        }
    }

    /// The next 20 ms, encoded.
    pub(crate) fn next_frame(&mut self) -> Vec<u8> {
        let rate = f64::from(self.encoder.sample_rate().hz());
        let pcm: Vec<i16> = (self.sung..)
            .take(self.encoder.frame_samples())
            .map(|n| {
                let turns = n as f64 * f64::from(self.hz) / rate;
                (AMPLITUDE * (turns * std::f64::consts::TAU).sin()) as i16
            })
            .collect();
        self.sung += pcm.len();
        let mut out = [0; MAX_PAYLOAD];
        match self.encoder.encode(&pcm, &mut out) {
            Ok(Encoded::Payload(len)) => out[..len].to_vec(),
            other => panic!("a tone is not {other:?}"),
        }
    }
}

impl fmt::Debug for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tone")
            .field("hz", &self.hz)
            .finish_non_exhaustive()
    }
}

/// Decodes the frames of one flow, which all have the same codec, one after the other.
///
/// # Panics
/// If one of them cannot be decoded.
pub fn decode(frames: &[Mixed]) -> (SampleRate, Vec<i16>) {
    let opus = frames.iter().all(|frame| frame.codec == Codec::Opus);
    let mut decoder: Box<dyn AudioDecoder> = if opus {
        let opus = OpusDecoder::boxed(SampleRate::Hz16000, Channels::Mono);
        Box::new(opus.expect("a rate that it has"))
    } else {
        Box::new(G711Decoder::new(Law::Mu))
    };
    let rate = decoder.sample_rate();
    let mut pcm = Vec::new();
    for frame in frames {
        let mut block = vec![0; rate.samples(FRAME_MS)];
        let len = decoder.decode(&frame.payload, &mut block);
        assert_eq!(len, Ok(block.len()), "{frame:?}");
        pcm.extend(block);
    }
    (rate, pcm)
}

/// How loud a tone of `hz` is in `pcm`: the amplitude of a sine, in 1 of 32768
/// ([Goertzel](https://en.wikipedia.org/wiki/Goertzel_algorithm)).
pub fn amplitude(rate: SampleRate, pcm: &[i16], hz: u32) -> f64 {
    let step = std::f64::consts::TAU * f64::from(hz) / f64::from(rate.hz());
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in pcm.iter().enumerate() {
        re += f64::from(sample) * (step * n as f64).cos();
        im += f64::from(sample) * (step * n as f64).sin();
    }
    2.0 * re.hypot(im) / pcm.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_among_others() {
        let rate = SampleRate::Hz16000;
        let pcm: Vec<i16> = (0..16_000)
            .map(|n| {
                let tone = |hz: f64| (f64::from(n) * hz / 16_000.0 * std::f64::consts::TAU).sin();
                (1_000.0 * tone(440.0) + 500.0 * tone(700.0)) as i16
            })
            .collect();
        assert!((amplitude(rate, &pcm, 440) - 1_000.0).abs() < 10.0);
        assert!((amplitude(rate, &pcm, 700) - 500.0).abs() < 10.0);
        assert!(amplitude(rate, &pcm, 1_000) < 10.0);
    }
}
