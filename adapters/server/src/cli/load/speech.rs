//! The speech that the talkers send.

use std::path::Path;
use std::time::Duration;

use parlour_files::Source;
use parlour_tokio::core::audio::codec::{AudioEncoder as _, Encoded, SampleRate};
use parlour_tokio::core::audio::opus::{EncoderConfig, FullbandEncoder, MAX_PAYLOAD};
use parlour_tokio::core::audio::resample::Resampler;

/// Frames that are said over and over.
const FRAMES: usize = 400;
/// The first sample of the recording that is used: speech begins here.
const START: usize = 24_000;
/// One frame of 20 ms, as its first byte says (RFC 6716).
const STAMPED: u8 = 0x78;

/// The talkers' way to speak.
#[derive(Debug, Clone)]
pub(super) struct Speech {
    pub(super) interval: Duration,
    /// Bytes of a frame.
    payload: usize,
    /// Frames that can be decoded, if they have to be.
    recorded: Vec<Vec<u8>>,
}

impl Speech {
    /// Frames whose only sense is when they were said.
    pub(super) fn stamped(interval: Duration, payload: usize) -> Self {
        Self {
            interval,
            payload,
            recorded: Vec::new(),
        }
    }

    /// The voice in a file, at 16 kHz and 24 kb/s.
    pub(super) fn recorded(path: &Path, interval: Duration) -> anyhow::Result<Self> {
        let mut source = Source::open(path)?;
        let mut samples = Vec::new();
        while samples.len() < START + FRAMES * SampleRate::Hz48000.samples(20)
            && source.read(&mut samples)?
        {}
        let mut resampler = Resampler::new(SampleRate::Hz48000, SampleRate::Hz16000);
        let mut encoder = FullbandEncoder::new(EncoderConfig::default())?;
        let blocks = samples.get(START..).unwrap_or_default();
        let blocks = blocks.chunks_exact(SampleRate::Hz48000.samples(20));
        if blocks.len() == 0 {
            anyhow::bail!(
                "{} is shorter than a second: give a longer one",
                path.display()
            );
        }
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
    pub(super) fn frame(&self, index: usize, nanos: u64) -> Vec<u8> {
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
    pub(super) fn said_at(&self, payload: &[u8]) -> Option<u64> {
        let stamp = payload.get(1..9).filter(|_| self.recorded.is_empty())?;
        Some(u64::from_be_bytes(stamp.try_into().ok()?))
    }
}
