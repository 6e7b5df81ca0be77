//! How the device hears: one player, which has a jitter buffer and a decoder.

use parlour_core::audio::codec::{FrameDuration, SampleRate};
use parlour_core::audio::decoder::Decoder;
use parlour_core::audio::opus::{Channels, OpusDecoder};
use parlour_core::audio::{JitterConfig, JitterStatistics, Lateness, Packet, Player};
use parlour_core::rtp::AudioFrame;
use parlour_core::time::Instant;

/// What the device hears at.
pub const RATE: SampleRate = SampleRate::Hz16000;
/// Samples that are decoded at a time. What a packet holds beyond that, up to 120 ms, is decoded later.
const LONGEST: usize = RATE.samples(FrameDuration::MAX_MS);

/// One slot's frames to PCM.
#[derive(Debug)]
pub struct Ear {
    /// 320 ms of frames of 20 ms.
    player: Box<Player<OpusDecoder, 16, 400, LONGEST>>,
    lateness: Lateness,
}

impl Ear {
    /// One that has heard nothing.
    ///
    /// # Errors
    /// If the codec cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let decoder = Decoder::new(OpusDecoder::new(RATE, Channels::Stereo)?);
        Ok(Self {
            player: Box::new(Player::new(decoder, JitterConfig::default())),
            lateness: Lateness::new(),
        })
    }

    /// Takes a packet that arrived.
    pub fn push(&mut self, now: Instant, packet: Packet<'_>) {
        // What is not taken is counted.
        let _ = self.player.push(now, packet, &mut self.lateness);
    }

    /// Fills `pcm` with what is to be played next.
    pub fn read(&mut self, now: Instant, pcm: &mut [i16]) {
        self.player.read(now, pcm);
    }

    /// What has become of the frames so far.
    pub fn statistics(&self) -> JitterStatistics {
        self.player.statistics()
    }
}

/// A frame as a player takes it.
pub fn packet<'a>(frame: &AudioFrame<'a>) -> Packet<'a> {
    Packet {
        sequence: frame.sequence,
        timestamp: frame.timestamp,
        duration: frame.duration,
        codec: frame.codec,
        speaker: frame.speaker,
        marker: frame.marker,
        payload: frame.payload,
    }
}
