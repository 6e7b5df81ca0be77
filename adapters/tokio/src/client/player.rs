//! One slot's frames to PCM: the core's player, on the heap.

use parlour_core::audio::codec::{FrameDuration, SampleRate};
use parlour_core::audio::decoder::Decoder;
use parlour_core::audio::opus::{Channels, OpusDecoder};
use parlour_core::audio::{JitterConfig, JitterStatistics, Lateness, Packet};
use parlour_core::time::Instant;

use super::shared::SlotFrame;
use super::stack::on_a_large_stack;

/// Samples of the longest frame at the highest rate.
const PCM: usize = SampleRate::Hz48000.samples(FrameDuration::MAX_MS);

/// Frames that wait: half a second of 20 ms. One is never longer than a datagram.
type Inner = parlour_core::audio::Player<OpusDecoder, 24, 1_200, PCM>;

#[derive(Debug)]
pub(super) struct Player(Box<Inner>);

impl Player {
    /// `None` at a rate that Opus is not decoded to.
    pub(super) fn new(rate: SampleRate) -> Option<Self> {
        on_a_large_stack(|| {
            let opus = OpusDecoder::new(rate, Channels::Stereo);
            let opus = opus.ok()?;
            let inner = Inner::new(Decoder::new(opus), JitterConfig::default());
            Some(Self(Box::new(inner)))
        })
    }

    /// All players of a receiver share `lateness`.
    pub(super) fn push(&mut self, frame: &SlotFrame, lateness: &mut Lateness) {
        let packet = Packet {
            sequence: frame.sequence,
            timestamp: frame.timestamp,
            duration: frame.duration,
            codec: frame.codec,
            speaker: frame.speaker,
            marker: frame.marker,
            payload: &frame.payload,
        };
        if let Err(error) = self.0.push(frame.arrived, packet, lateness) {
            tracing::trace!(slot = frame.slot, %error, "frame not taken");
        }
    }

    /// Fills `pcm` with the audio to play from `now` on, and returns the stream that speaks at its end.
    pub(super) fn read(&mut self, now: Instant, pcm: &mut [i16]) -> Option<u32> {
        self.0.read(now, pcm);
        self.0.speaker()
    }

    pub(super) fn statistics(&self) -> JitterStatistics {
        self.0.statistics()
    }
}
