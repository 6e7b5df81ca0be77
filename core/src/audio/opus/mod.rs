//! Opus, the codec of every room ([RFC 6716](https://www.rfc-editor.org/rfc/rfc6716), in RTP by
//! [RFC 7587](https://www.rfc-editor.org/rfc/rfc7587)): speech and music from 12 kb/s up.
//!
//! | type | feature | does |
//! |---|---|---|
//! | [`OpusPacket`] | `opus` | describes a payload without decoding it |
//! | [`OpusDecoder`] | `opus` | decodes anything of 2.5 to 60 ms to 16, 24 or 48 kHz mono; no heap |
//! | [`OpusEncoder`] | `opus` | encodes wideband speech at 16 kHz; no heap |
//! | `FullbandEncoder` | `opus-fullband` | encodes at 16, 24 or 48 kHz with DTX; needs `std` |
//! | [`Adaptation`] | `opus` | chooses an encoder's settings for the reported loss |
//! | [`Adaptive`] | `opus` | an encoder that applies these settings while it encodes |
//!
//! Each of them supports only modes that the codec library was measured to do well, and answers anything else with an
//! error.

mod adaptation;
mod adaptive;
mod config;
mod decoder;
mod encoder;
#[cfg(feature = "opus-fullband")]
mod fullband;
mod packet;

pub use adaptation::{Adaptation, Adapted};
pub use adaptive::{Adaptive, Adjustable};
pub use config::{EncoderConfig, EncoderConfigError, MAX_PAYLOAD};
pub use decoder::{Channels, OpusDecoder, OpusMemory, OpusState, UnsupportedRate};
pub use encoder::OpusEncoder;
#[cfg(feature = "opus-fullband")]
pub use fullband::FullbandEncoder;
pub use packet::OpusPacket;

#[cfg(test)]
mod tests;
