//! Input logs: everything that went into a state machine, so that a fresh one can be driven the same way, bit for bit.
//!
//! The core reads no clock and no generator, so its inputs are all there is to know: datagrams, times, random bytes and
//! commands. [`Client`] and [`Server`], each a [`Recorder`], stand in for the core's of the same names. They have the same
//! methods, and write each call and a checksum of what came out of it. [`replay`] makes a new machine, repeats the calls and
//! compares: what a user saw once, a developer sees as often as needed, in a debugger, without a network.
//!
//! ```
//! use parlour_core::client::{Config, Desktop};
//! use parlour_core::secure::KeyPair;
//! use parlour_core::ticket::Ticket;
//! use parlour_core::time::Instant;
//! use parlour_record::{Client, Sink, replay};
//! # use parlour_core::rand_core::SeedableRng;
//! # let mut rng = rand_chacha::ChaCha12Rng::seed_from_u64(1);
//!
//! let keys = KeyPair::generate(&mut rng);
//! let ticket = Ticket { host: "rooms.example.org", port: 7900, server_key: *keys.public(), token: "t" };
//! let (mut now, mut out) = (Instant::from_micros(0), [0; 1200]);
//! let sink = Sink::memory();
//! let mut client =
//!     Client::<Desktop>::recorded(&ticket, &Config::default(), now, &mut rng, sink.clone())?;
//! client.poll_transmit(now, &mut out)?; // the Hello
//! now = client.poll_timeout().unwrap();
//! client.handle_timeout(now);
//!
//! let replayed = replay(&sink.take()[..])?;
//! assert_eq!(replayed.calls, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # An input log is secret
//!
//! A client's holds its token and the seed of its keys, a server's the private key of all its tickets; both hold what was
//! said and written. Nothing can be left out, or the replay would be another one. So nothing is recorded unless a program asks
//! for it by a [`Sink`], and who passes a log on passes on all of that: use tokens that expire and a key made for the occasion.
//!
//! # Format
//!
//! ```text
//! "PARLOUR-LOG" version u8 = 2
//! how the machine was made:  length u32, postcard
//! each call:                 length u32, postcard of (µs since the call before, the call)    before it is made
//!                            CRC-32 u32 of what came out                                      after it
//! ```
//!
//! Integers are little-endian. A log may end anywhere: a program that is killed or aborts loses what still waits to be written
//! to the file, so the last call in the log need not be the one in which it stopped. If it flushed the [`Sink`], or dropped it
//! as after a panic, then a call without its checksum at the end is that one.
//! A log is replayed by the version that wrote it: outputs are compared as their `Debug` text and bytes.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod log;
mod make;
mod questions;
mod recorder;
mod replay;
mod server;
mod sink;
mod tape;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use recorder::Recorder;
pub use replay::{ReplayError, Replayed, replay};
pub use server::Server;
pub use sink::Sink;
