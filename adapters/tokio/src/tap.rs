//! What a slot receives, mirrored as plain RTP, for Wireshark, ffmpeg or another program that speaks no Parlour.

use thiserror::Error;

/// Why there is no tap.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TapError {
    /// No socket could be made.
    #[error("cannot open a socket to mirror from: {0}")]
    Socket(#[from] std::io::Error),
}

/// Mirrors one slot until it is dropped.
#[derive(Debug)]
pub struct Tap {}
