//! Audio on its way out.
#![allow(unused_variables)]

use parlour_core::room::StreamKey;
use parlour_core::rtp::AudioLevel;

use super::{RequestError, WriteError};

/// One published audio stream. Dropping it unpublishes the stream.
///
/// Encoding happens in [`write`](Self::write), on the caller's thread: give that 1 MB of stack in debug builds, as
/// tokio's and Rust's own threads have.
#[derive(Debug)]
pub struct AudioWriter {}

impl AudioWriter {
    /// Takes mono PCM at the stream's sample rate, any number of samples; sends a packet for every 20 ms. Never waits.
    ///
    /// # Errors
    /// [`WriteError`]; what is left of `pcm` is dropped.
    pub fn write(&mut self, pcm: &[i16]) -> Result<(), WriteError> {
        todo!()
    }

    /// Lets time pass without sound: so many samples at the stream's sample rate.
    pub fn skip(&mut self, samples: u64) {
        todo!()
    }

    /// Sends one frame that is encoded already, of at most 120 ms. Do not mix with [`write`](Self::write).
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn write_encoded(&mut self, payload: &[u8], level: AudioLevel) -> Result<(), WriteError> {
        todo!()
    }

    /// What the stream is called.
    pub fn key(&self) -> &StreamKey {
        todo!()
    }

    /// Silences the stream, or lets it be heard again.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn set_muted(&self, muted: bool) -> Result<(), RequestError> {
        todo!()
    }
}
