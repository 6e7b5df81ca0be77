//! Audio: codecs, the jitter buffer, resampling, level measurement, mixing and speaker detection, all on 16-bit mono
//! PCM and all without allocation.
//!
//! ```text
//! microphone ──► Talker (resampler, level, encoder, clock) ──► RTP payload
//! RTP payload ──► jitter buffer ──► Decoder (one for each slot) ──► Mixer ──► loudspeaker
//! ```

mod activity;
pub mod codec;
mod comfort;
pub mod decoder;
mod echo;
pub mod encoder;
mod follow;
pub mod g711;
mod half_duplex;
mod jitter;
pub mod level;
pub mod mixer;
#[cfg(feature = "opus")]
pub mod opus;
mod player;
mod ready;
pub mod resample;
mod speaker;
mod stretch;
#[cfg(test)]
mod synth;
mod talker;

pub use activity::Activity;
pub use echo::EchoFilter;
pub use follow::{Follower, Place};
pub use half_duplex::HalfDuplex;
pub use jitter::{
    Frame, JitterBuffer, JitterConfig, JitterStatistics, Lateness, Packet, Pull, PushError,
};
pub use player::Player;
pub use speaker::{Dominance, Loudness, NoiseFloor, RANK_MARGIN, Score, SpeakerChange};
pub use talker::{FrameTime, Spoken, Talker};
