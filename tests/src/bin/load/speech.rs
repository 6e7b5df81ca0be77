//! The speech that the talkers send.

use std::path::Path;
use std::time::Duration;

use parlour_core::audio::codec::{AudioEncoder as _, Encoded, SampleRate};
use parlour_core::audio::opus::{EncoderConfig, FullbandEncoder, MAX_PAYLOAD};
use parlour_core::audio::resample::Resampler;

use crate::Failure;

/// Frames that are said over and over.
const FRAMES: usize = 400;
/// The first sample of the recording that is used: speech begins here.
const START: usize = 24_000;
/// One frame of 20 ms, as its first byte says (RFC 6716).
const STAMPED: u8 = 0x78;

/// The talkers' way to speak.
#[derive(Debug, Clone)]
pub(crate) struct Speech {
    pub(crate) interval: Duration,
    /// Bytes of a frame.
    payload: usize,
    /// Frames that can be decoded, if they have to be.
    recorded: Vec<Vec<u8>>,
}

impl Speech {
    /// Frames whose only sense is when they were said.
    pub(crate) fn stamped(interval: Duration, payload: usize) -> Self {
        Self {
            interval,
            payload,
            recorded: Vec::new(),
        }
    }

    /// A voice at 16 kHz and 24 kb/s.
    pub(crate) fn recorded(interval: Duration) -> Result<Self, Failure> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/assets/host.wav");
        let samples = hound::WavReader::open(path)?.into_samples::<i16>();
        let samples = samples.collect::<Result<Vec<_>, _>>()?;
        let mut resampler = Resampler::new(SampleRate::Hz48000, SampleRate::Hz16000);
        let mut encoder = FullbandEncoder::new(EncoderConfig::default())?;
        let blocks = samples.get(START..).ok_or("the recording is too short")?;
        let blocks = blocks.chunks_exact(SampleRate::Hz48000.samples(20));
        let mut recorded = Vec::new();
        for block in blocks.cycle().take(FRAMES) {
            let mut pcm = [0; SampleRate::Hz16000.samples(20)];
            resampler.process(block, &mut pcm)?;
            let mut out = [0; MAX_PAYLOAD];
            if let Encoded::Payload(len) = encoder.encode(&pcm, &mut out)? {
                recorded.push(out[..len].to_vec());
            }
        }
        Ok(Self {
            interval,
            payload: 0,
            recorded,
        })
    }

    /// The frame that the participant `index` sends at this time.
    pub(crate) fn frame(&self, index: usize, nanos: u64) -> Vec<u8> {
        if !self.recorded.is_empty() {
            let frame = nanos / self.interval.as_nanos().max(1) as u64;
            // They do not say the same at the same time.
            let frame = (frame as usize).wrapping_add(50 * index);
            return self.recorded[frame % self.recorded.len()].clone();
        }
        let mut frame = vec![0; self.payload];
        frame[0] = STAMPED;
        frame[1..9].copy_from_slice(&nanos.to_be_bytes());
        frame
    }

    /// The time when a payload was sent, if the payload tells.
    pub(crate) fn said_at(&self, payload: &[u8]) -> Option<u64> {
        let stamp = payload.get(1..9).filter(|_| self.recorded.is_empty())?;
        Some(u64::from_be_bytes(stamp.try_into().ok()?))
    }
}
