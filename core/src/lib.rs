//! Sans-IO, `no_std` protocol core for real-time audio rooms.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
// Nothing here may allocate, so large variants cannot be boxed.
#![allow(clippy::large_enum_variant)]

#[cfg(any(test, feature = "server", feature = "opus-fullband"))]
extern crate alloc;
#[cfg(any(test, feature = "opus-fullband"))]
extern crate std;

pub mod audio;
mod bytes;
#[cfg(feature = "client")]
pub mod client;
mod link;
mod queue;
pub mod room;
pub mod rtp;
pub mod secure;
#[cfg(feature = "server")]
pub mod server;
pub mod signal;
pub mod ticket;
pub mod time;
#[cfg(test)]
mod vectors;
pub mod wire;

pub use rand_core;
