//! The room model.

mod codec;

pub use codec::{Codec, StreamKind};
