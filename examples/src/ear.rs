//! How the device hears: one jitter buffer, one decoder.

use parlour_core::audio::codec::{FrameDuration, SampleRate};
use parlour_core::audio::decoder::Decoder;
use parlour_core::audio::opus::{Channels, OpusDecoder};
use parlour_core::audio::{JitterBuffer, JitterConfig, JitterStatistics, Packet, Pull};
use parlour_core::room::Codec;
use parlour_core::rtp::AudioFrame;
use parlour_core::time::Instant;

/// What the device hears at.
pub const RATE: SampleRate = SampleRate::Hz16000;
/// Units of a slot's RTP clock, 48 kHz, per sample.
const UNITS: usize = 3;
const LONGEST: usize = RATE.samples(FrameDuration::MAX_MS);

/// One slot's frames to PCM.
#[derive(Debug)]
pub struct Ear {
    /// 320 ms of frames of 20 ms.
    jitter: Box<JitterBuffer<16, 400>>,
    decoder: Box<Decoder<OpusDecoder>>,
    heard: Codec,
    /// PCM that was decoded and not yet played, at the front.
    ready: Vec<i16>,
}

impl Ear {
    /// One that has heard nothing.
    ///
    /// # Errors
    /// If the codec cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            jitter: Box::new(JitterBuffer::new(JitterConfig::default())),
            decoder: Box::new(Decoder::new(OpusDecoder::new(RATE, Channels::Stereo)?)),
            heard: Codec::Opus,
            ready: Vec::new(),
        })
    }

    /// Takes a frame that arrived.
    pub fn push(&mut self, now: Instant, frame: &AudioFrame<'_>) {
        let packet = Packet {
            sequence: frame.sequence,
            timestamp: frame.timestamp,
            duration: frame.duration,
            codec: frame.codec,
            speaker: frame.speaker,
            marker: frame.marker,
            payload: frame.payload,
        };
        // What is not taken is counted.
        let _ = self.jitter.push(now, packet);
    }

    /// Fills `pcm` with what is to be played next.
    pub fn read(&mut self, now: Instant, pcm: &mut [i16]) {
        while self.ready.len() < pcm.len() {
            self.pull(now);
        }
        let ready: Vec<i16> = self.ready.drain(..pcm.len()).collect();
        pcm.copy_from_slice(&ready);
    }

    /// What has become of the frames so far.
    pub fn statistics(&self) -> JitterStatistics {
        self.jitter.statistics()
    }

    fn pull(&mut self, now: Instant) {
        let pull = self.jitter.pull(now);
        let samples = (pull.samples() as usize / UNITS).max(1);
        let mut sound = vec![0; samples.max(LONGEST)];
        let mut made = samples;
        match pull {
            Pull::Frame(frame) => {
                self.heard = frame.codec;
                match self.decoder.decode(frame.codec, frame.payload, &mut sound) {
                    Ok(decoded) => made = decoded.max(1),
                    Err(_) => self.decoder.conceal(&mut sound[..samples]),
                }
            }
            Pull::Lost {
                next: Some(next), ..
            } => {
                self.decoder
                    .recover(self.heard, next, &mut sound[..samples]);
            }
            Pull::Lost { next: None, .. } => self.decoder.conceal(&mut sound[..samples]),
            Pull::Silence { .. } | Pull::Buffering { .. } => {}
        }
        self.ready.extend_from_slice(&sound[..made]);
    }
}
