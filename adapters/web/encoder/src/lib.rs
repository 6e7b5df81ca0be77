//! The microphone's Opus encoder, as a module of WebAssembly that a participant loads when a microphone is turned on.
//!
//! Plain exports and no glue: the caller writes samples to [`exports::input`] and reads payloads from
//! [`exports::payload`]. All times are milliseconds on one clock of the caller.

pub mod exports;

use std::fmt;

use parlour_core::audio::Talker;
use parlour_core::audio::codec::{FrameDuration, SampleRate};
use parlour_core::audio::opus::{
    Adaptation, Adaptive, EncoderConfig, EncoderConfigError, FullbandEncoder, MAX_PAYLOAD,
};
use parlour_core::time::Instant;

/// Most samples that are handed over at a time.
pub const MAX_SAMPLES: usize = 4_096;

/// Encodes 48 kHz PCM to frames of 20 ms, in step with the send clock.
pub struct Microphone {
    talker: Talker<Adaptive<FullbandEncoder>, { SampleRate::Hz48000.samples(20) }>,
    pcm: Vec<i16>,
    /// How many of `pcm` are taken.
    taken: usize,
    payload: [u8; MAX_PAYLOAD],
}

/// A frame of sound that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its length in [`Microphone::payload`]; 0: silence, which is not sent.
    pub len: usize,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// The loudness in −dBov: 127 is silence.
    pub level: u8,
}

impl Microphone {
    /// An encoder that starts with `bitrate` bits per second, and leaves silence out if `dtx` says so.
    ///
    /// # Errors
    /// [`EncoderConfigError`] for a bit rate that Opus does not have.
    pub fn new(bitrate: u32, dtx: bool) -> Result<Self, EncoderConfigError> {
        let encoder = FullbandEncoder::new(EncoderConfig {
            sample_rate: SampleRate::Hz48000,
            frame: FrameDuration::Ms20,
            bitrate,
            dtx,
            ..EncoderConfig::default()
        })?;
        let encoder = Adaptive::new(encoder, Adaptation::new(bitrate), true);
        let talker = Talker::new(encoder, SampleRate::Hz48000, 48_000);
        Ok(Self {
            talker: talker.ok_or(EncoderConfigError::Codec)?,
            pcm: Vec::with_capacity(MAX_SAMPLES),
            taken: 0,
            payload: [0; MAX_PAYLOAD],
        })
    }

    /// Takes in a piece of sound that was captured at `now`: call [`next_frame`](Self::next_frame) until there is none. The
    /// bit rate adapts to `loss`, the share of lost packets in 1/256.
    pub fn write(&mut self, now: Instant, pcm: &[f32], loss: Option<u8>) {
        self.talker.begin(now, || loss);
        self.pcm.clear();
        self.pcm.extend(pcm.iter().map(|&sample| to_i16(sample)));
        self.taken = 0;
    }

    /// The next frame of the sound so far; `None` until there is more sound.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let mut rest = self.pcm.get(self.taken..).unwrap_or_default();
            let spoken = self.talker.take(&mut rest, &mut self.payload);
            self.taken = self.pcm.len() - rest.len();
            // A frame that cannot be encoded is lost, the next one may be encoded.
            let Ok(spoken) = spoken else { continue };
            return spoken.map(|spoken| Frame {
                len: spoken.payload.map_or(0, <[u8]>::len),
                timestamp: spoken.time.timestamp,
                level: spoken.level.level,
            });
        }
    }

    /// The payload of the last frame.
    pub fn payload(&self) -> &[u8; MAX_PAYLOAD] {
        &self.payload
    }
}

impl fmt::Debug for Microphone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Microphone").finish_non_exhaustive()
    }
}

fn to_i16(sample: f32) -> i16 {
    // Saturates, and makes nothing of NaN.
    (sample * 32_767.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(samples: usize) -> Vec<f32> {
        let sample = |n: usize| (n as f32 * 440.0 * core::f32::consts::TAU / 48_000.0).sin() / 2.0;
        (0..samples).map(sample).collect()
    }

    fn encode(pcm: &[f32], piece: usize) -> Vec<Frame> {
        let mut microphone = Microphone::new(32_000, true).unwrap();
        let mut frames = Vec::new();
        for (n, piece) in pcm.chunks(piece).enumerate() {
            let now = Instant::from_micros((n * piece.len() * 1_000 / 48) as u64);
            microphone.write(now, piece, None);
            frames.extend(std::iter::from_fn(|| microphone.next_frame()));
        }
        frames
    }

    #[test]
    fn quanta_of_any_size_become_frames_of_20_ms_that_follow_each_other() {
        let pcm = tone(48_000);
        for piece in [128, 192, 960, 4_096] {
            let frames = encode(&pcm, piece);
            assert_eq!(frames.len(), 50, "in pieces of {piece}");
            for pair in frames.windows(2) {
                assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 960);
            }
            assert!(
                frames
                    .iter()
                    .all(|frame| frame.len > 10 && frame.level < 20)
            );
        }
    }

    #[test]
    fn long_silence_is_not_sent() {
        let frames = encode(&vec![0.0; 96_000], 960);
        assert!(
            frames
                .iter()
                .skip(50)
                .filter(|frame| frame.len == 0)
                .count()
                > 30
        );
        assert!(frames.iter().all(|frame| frame.level == 127));
    }

    #[test]
    fn no_sample_breaks_it() {
        let odd = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            3.0,
            -3.0,
            f32::MIN_POSITIVE,
        ];
        let pcm: Vec<f32> = odd.iter().copied().cycle().take(4_000).collect();
        assert_eq!(encode(&pcm, 1_000).len(), 4);
        assert_eq!(to_i16(f32::NAN), 0);
        assert_eq!((to_i16(2.0), to_i16(-2.0)), (i16::MAX, i16::MIN));
    }

    #[test]
    fn a_bit_rate_that_opus_lacks_is_refused() {
        assert!(Microphone::new(1, true).is_err());
        assert!(Microphone::new(u32::MAX, true).is_err());
    }
}
