//! What a microphone hears, made fit for a room: the echo of the loudspeaker is taken out, noise is lowered, quiet voices are
//! raised, and a neural network finds whether somebody speaks.
//!
//! ```text
//! room ──► loudspeaker's callback ──► Played ─ ─ ring ─ ─┐
//!                                                        ▼
//! microphone ──► Voice: [ high-pass, echo ─► noise ─► gain ] ──► 10 ms pieces ──► AudioWriter
//!                                                          └───► [ detector ] ──► the voice bit
//! ```
//!
//! The echo canceller, the noise suppression and the gain are those of WebRTC, in Rust ([sonora]); the detector is [earshot].
//! [`Played`] may be in another thread than [`Voice`], such as a sound card's callback: it neither waits nor allocates.
//!
//! The echo canceller finds the delay from [`Played`] to the microphone by itself, up to about 400 ms, and follows when it changes.
//!
//! ```
//! use parlour_voice::{Options, Voice};
//!
//! let (mut voice, mut played) = Voice::new(48_000, 48_000, Options::default())?;
//! // In the loudspeaker's callback, with what it is about to play:
//! played.play(&[0; 480]);
//! // With what the microphone has heard, in pieces of any length:
//! let mut samples = 0;
//! voice.hear(&[0; 1_000], |piece| {
//!     samples += piece.pcm.len(); // to `AudioWriter::write`, after `AudioWriter::set_voice(piece.is_voice)`
//! });
//! assert_eq!(samples, 960); // 20 ms; the rest waits for more
//! # Ok::<(), parlour_voice::RateError>(())
//! ```
//!
//! [sonora]: https://crates.io/crates/sonora
//! [earshot]: https://crates.io/crates/earshot

mod detector;
mod played;
mod voice;

pub use detector::Detector;
pub use played::Played;
pub use voice::{Options, Piece, Voice};

/// A sample rate that is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "sound of {hz} samples per second: use a rate from 8000 to 96000 that is a multiple of 100"
)]
pub struct RateError {
    /// What was asked for, in samples per second.
    pub hz: u32,
}

/// The samples of 10 ms.
fn samples(hz: u32) -> Result<usize, RateError> {
    let is_supported = (8_000..=96_000).contains(&hz) && hz.is_multiple_of(100);
    is_supported
        .then_some(hz as usize / 100)
        .ok_or(RateError { hz })
}
