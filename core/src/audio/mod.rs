//! Sound: codecs, resampling, level measurement and mixing, all on 16-bit mono PCM and all
//! without allocation.
//!
//! ```text
//! microphone ──► level ──► AudioEncoder ──► RTP payload
//! RTP payload ──► jitter buffer ──► Decoder (one for each slot) ──► Mixer ──► loudspeaker
//! ```

pub mod codec;
pub mod decoder;
pub mod g711;
pub mod level;
pub mod mixer;
#[cfg(feature = "opus")]
pub mod opus;
pub mod resample;
#[cfg(test)]
mod synth;
