//! One talker's sound on its way into the mixes: jitter buffer, decoder, 20 ms at a time.

use alloc::boxed::Box;

use super::block::BLOCK_MS;
use crate::audio::codec::{FrameDuration, SampleRate};
use crate::audio::decoder::Decoder;
use crate::audio::level::level;
use crate::audio::opus::{Channels, OpusDecoder, OpusState};
use crate::audio::{JitterConfig, Lateness, Packet, Player};
use crate::room::Codec;
use crate::rtp::{SequenceUnwrapper, TimestampUnwrapper, frame_samples};
use crate::server::member::slots::SlotPacket;
use crate::time::{Duration, Instant};
use crate::wire::MAX_PLAINTEXT;

/// Packets that wait: over 300 ms of 20 ms. One is never longer than a datagram.
const PACKETS: usize = 16;
/// Samples of the longest frame at the highest rate.
const PCM: usize = SampleRate::Hz48000.samples(FrameDuration::MAX_MS);
/// Samples of a block at the highest rate.
pub(super) const MAX_BLOCK: usize = SampleRate::Hz48000.samples(BLOCK_MS);
/// A talker that pauses for no longer counts as talking, so that its own mix stays its own.
const PAUSE: Duration = Duration::from_millis(500);

/// See the [module](self).
pub(super) struct Voice {
    player: Player<OpusDecoder<Box<OpusState>>, PACKETS, MAX_PLAINTEXT, PCM>,
    /// Of this talker alone: others come by other ways.
    lateness: Lateness,
    sequences: SequenceUnwrapper,
    timestamps: TimestampUnwrapper,
    /// This tick's sound, and how loud it is.
    block: [i16; MAX_BLOCK],
    pub(super) level: u8,
    /// Whether there is any.
    pub(super) speaks: bool,
    spoke: Option<Instant>,
}

impl Voice {
    /// Bytes that one takes.
    pub(super) const BYTES: usize = size_of::<Self>() + size_of::<OpusState>();

    /// `None` if there is no decoder for this rate.
    pub(super) fn new(rate: SampleRate) -> Option<Box<Self>> {
        let opus = OpusDecoder::boxed(rate, Channels::Stereo).ok()?;
        Some(Box::new(Self {
            player: Player::new(Decoder::new(opus), JitterConfig::default()),
            lateness: Lateness::new(),
            sequences: SequenceUnwrapper::new(),
            timestamps: TimestampUnwrapper::new(),
            block: [0; MAX_BLOCK],
            level: 0,
            speaks: false,
            spoke: None,
        }))
    }

    /// Takes in a frame, numbered as in a slot.
    pub(super) fn push(&mut self, now: Instant, place: &SlotPacket, codec: Codec, payload: &[u8]) {
        let Ok(samples) = frame_samples(codec, payload) else {
            return;
        };
        // A refused packet, most likely too late, would not have been heard.
        let _ = self.player.push(
            now,
            Packet {
                sequence: self.sequences.extend(place.stamp.sequence),
                timestamp: self.timestamps.extend(place.stamp.timestamp),
                duration: samples * (Codec::Opus.clock_rate() / codec.clock_rate()),
                codec,
                speaker: Some(place.stamp.ssrc),
                marker: place.stamp.marker,
                payload,
            },
            &mut self.lateness,
        );
    }

    /// Makes the next block of `samples` samples.
    pub(super) fn read(&mut self, now: Instant, samples: usize) {
        let block = self.block.get_mut(..samples).unwrap_or_default();
        self.player.read(now, block);
        self.speaks = self.player.speaker().is_some();
        if self.speaks {
            self.level = level(block);
            self.spoke = Some(now);
        }
    }

    /// The block just read, if the talker speaks.
    pub(super) fn sound(&self, samples: usize) -> Option<&[i16]> {
        self.block.get(..samples).filter(|_| self.speaks)
    }

    /// Whether the talker speaks, or only pauses.
    pub(super) fn is_active(&self, now: Instant) -> bool {
        let pause = self.spoke.map(|spoke| now.saturating_duration_since(spoke));
        pause.is_some_and(|pause| pause <= PAUSE)
    }

    /// Drops the waiting packets: they are another talker's, or must not be heard.
    pub(super) fn restart(&mut self) {
        self.player.restart();
        self.speaks = false;
        self.spoke = None;
    }
}
