//! The adapter against the real room server: embassy-net stacks on one wire, in virtual time.

mod duplex;
mod lies;
#[cfg(feature = "obstacles")]
mod obstacles;
mod people;
mod radio;
mod rooms;
mod sound;
mod troubles;
mod world;
