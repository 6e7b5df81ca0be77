//! Sans-IO, `no_std` protocol core for real-time audio rooms.
//!
//! Participants join a *room* with a *ticket*, publish streams of audio, and hear each other through a server that
//! forwards or mixes. This crate has both ends: [`client`] is a participant and never allocates, [`server`] holds the
//! rooms. Neither owns a socket, reads a clock or uses a system random generator: datagrams, time and randomness are
//! arguments. The same code therefore runs on a microcontroller, on a desktop, on a server, and in a test that
//! simulates an hour of a room in a few seconds.
//!
//! With tokio or embassy-net the loop below need not be written: the crates `parlour-tokio` and `parlour-embassy`
//! contain it.
//!
//! # The loop
//!
//! Both ends, and every machine inside them, use the same verbs:
//!
//! | class | verbs | rule |
//! |---|---|---|
//! | input | `handle_datagram(now, …)`, `handle_timeout(now)` | any bytes at any time; an error means that the datagram
//! was dropped and nothing changed |
//! | command | `publish`, `set_muted`, `send_audio`, `admit`, … | any number before the outputs are drained; a full
//! queue is an error |
//! | output | `poll_transmit(now, buffer)`, `poll_event()` | call until it returns `None`; the caller lends the buffer
//! |
//! | time | `poll_timeout()` | when `handle_timeout` is due next; `None` means never |
//!
//! A client joins a server. A variable is the clock, and the network is a buffer:
//!
//! ```
//! # #[cfg(not(all(feature = "client", feature = "server")))]
//! # fn main() {}
//! # #[cfg(all(feature = "client", feature = "server"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use parlour_core::client::{self, Client, Small};
//! use parlour_core::rand_core::SeedableRng;
//! use parlour_core::room::{DisplayName, Grants, ParticipantId, RoomId};
//! use parlour_core::secure::KeyPair;
//! use parlour_core::server::{self, Admission, Path, Server};
//! use parlour_core::ticket::Ticket;
//! use parlour_core::time::{Duration, Instant};
//! use parlour_core::wire::MAX_DATAGRAM;
//!
//! let mut rng = rand_chacha::ChaCha12Rng::seed_from_u64(1); // in earnest: the system's generator
//! let mut now = Instant::from_micros(0); // in earnest: a clock that never runs backwards
//!
//! let keys = KeyPair::generate(&mut rng);
//! let ticket = Ticket { host: "rooms.example.org", port: 7900, server_key: *keys.public(), token: "anna" };
//! let mut server = Server::new(server::Config::default(), keys, now, &mut rng);
//! // `Small` says how much memory there is: that of a device.
//! let mut client = Client::<Small>::new(&ticket, &client::Config::default(), now, &mut rng)?;
//! let address = Path::udp("192.0.2.1:5000".parse()?); // where the client's datagrams come from
//!
//! let mut buffer = [0; MAX_DATAGRAM];
//! while client.state().participant_count() == 0 { // `state` is a replica of the room's state
//!     while let Some(len) = client.poll_transmit(now, &mut buffer)? {
//!         server.handle_datagram(now, address, &mut buffer[..len])?; // in earnest: send it
//!     }
//!     while let Some(sent) = server.poll_transmit(now, &mut buffer)? {
//!         // Decrypted in place; audio is lent to the closure out of the buffer.
//!         client.handle_datagram(now, &mut buffer[..sent.len], &mut |_audio| {})?;
//!     }
//!     while let Some(event) = server.poll_event() {
//!         if let server::Event::JoinRequested { join, token, .. } = event {
//!             // Whether a token is good is the application's decision. Here it is just a name.
//!             let (room, name) = (RoomId::new("green-room")?, DisplayName::new(&token)?);
//!             let admission = Admission::new(room, ParticipantId::new(&token)?, name, Grants::PARTICIPANT);
//!             server.admit(now, join, admission)?;
//!         }
//!     }
//!     now += Duration::from_millis(5); // in earnest: wait for a datagram, or until `poll_timeout`
//!     client.handle_timeout(now);
//!     server.handle_timeout(now);
//! }
//! assert!(client.is_joined());
//! assert_eq!(client.me().map(ParticipantId::as_str), Some("anna"));
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! Each module imports only modules below it.
//!
//! | module | contents |
//! |---|---|
//! | [`client`] | a participant: joins, publishes, receives, restores its connection; begin with `Client` |
//! | [`server`] | the rooms: admits, forwards, mixes, moderates; begin with `Server` |
//! | [`audio`] | codecs, jitter buffer, levels, resampling, mixing, speaker detection: from PCM to payloads and back |
//! | [`video`] | encoded pictures of cameras and screens: cut into packets, and put together again |
//! | [`rtp`] | RTP and RTCP: packets, frames, sequence arithmetic, statistics |
//! | [`ticket`] | server address, server key and token as one string |
//! | [`signal`] | messages between the ends, and their encoding |
//! | [`room`] | names, grants, participants, streams, and the one reducer for the room's state |
//! | [`secure`] | handshake, encryption, replay protection, cookies, resume |
//! | [`wire`] | packets and frames as bytes |
//! | [`time`] | points in time, as the embedder measures them |
//!
//! # Features
//!
//! | feature | contents | needs |
//! |---|---|---|
//! | `client` (default) | the participant's end | |
//! | `server` | the room's end | `alloc` |
//! | `opus` | Opus decoding, and encoding at 16 kHz, in Rust | |
//! | `opus-fullband` | Opus encoding at 48 kHz with DTX and FEC; mixes on the server | `std` |
//! | `ring` | ring's cipher for Data packets: an order of magnitude faster on hosts | a C compiler |
//! | `portable-atomic` | single-core chips without compare-and-swap | |
//! | `defmt` | `defmt::Format` for most types | |
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The map of modules links to both ends.
#![cfg_attr(
    not(all(feature = "client", feature = "server")),
    allow(rustdoc::broken_intra_doc_links)
)]
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
pub mod video;
pub mod wire;

pub use rand_core;
