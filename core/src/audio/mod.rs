//! TODO

mod jitter;
mod speaker;

pub use jitter::{Frame, JitterBuffer, JitterConfig, JitterStatistics, Packet, Pull, PushError};
pub use speaker::{Dominance, Loudness, RANK_MARGIN, Score, SpeakerChange};
