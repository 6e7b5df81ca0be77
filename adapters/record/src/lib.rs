//! Input logs: all inputs of a state machine, so that a new machine can repeat the run bit for bit.
//!
//! The core reads no clock and no random generator, so its inputs determine its behaviour: datagrams, times, random
//! bytes and commands. [`Client`] and [`Server`], each a [`Recorder`], replace the core's types of the same names. They
//! have the same methods, and write each call and a checksum of its output. [`replay`] makes a new machine, repeats the
//! calls and compares the outputs. A developer can replay a user's failure in a debugger, without a network.
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
//! A client's log holds its token and the seed of its keys, a server's the private key of all its tickets; both hold
//! all audio and messages. Nothing can be omitted, or the replay would differ. Nothing is therefore recorded unless a
//! program passes a [`Sink`]. Anybody who passes on a log passes on all of these secrets: use tokens that expire and a
//! key made for the recording.
//!
//! # Format
//!
//! ```text
//! "PARLOUR-LOG" version u8 = 3
//! how the machine was made:  length u32, postcard
//! each call:                 length u32, postcard of (µs since the call before, the call)    before it is made
//!                            CRC-32 u32 of what came out                                      after it
//! ```
//!
//! Integers are little-endian. A log may end anywhere: a killed or aborted program loses the unwritten rest, so the
//! last call in the log need not be the one in which the program stopped. If the program flushed the [`Sink`], or
//! dropped it as after a panic, then it stopped in a last call without a checksum.
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
