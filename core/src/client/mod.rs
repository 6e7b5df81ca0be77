//! The participant's end, without IO, clock or allocation.
//!
//! A [`Client`] joins the room that a [`Ticket`](crate::ticket::Ticket) names, keeps a replica of
//! its state, publishes streams, receives others', and restores its connection by itself. The
//! embedder owns the socket and the clock, and runs this loop:
//!
//! ```no_run
//! use parlour_core::client::{Client, Commands, Config, Event, Incoming, Small};
//! use parlour_core::room::{Codec, StreamKey, StreamKind};
//! use parlour_core::signal::Publish;
//! use parlour_core::ticket::Ticket;
//! use parlour_core::time::Instant;
//! # use parlour_core::rand_core::CryptoRngCore;
//! # struct Socket;
//! # impl Socket {
//! #     fn send(&self, _: &[u8]) {}
//! #     fn receive(&self, _: &mut [u8], _: Option<Instant>) -> Option<usize> { None }
//! # }
//! # fn now() -> Instant { Instant::from_micros(0) }
//! # fn run(text: &str, socket: Socket, rng: &mut dyn CryptoRngCore) -> Result<(), Box<dyn std::error::Error>> {
//! let ticket = Ticket::parse(text)?;
//! let mut client = Client::<Small>::new(&ticket, &Config::default(), now(), rng)?;
//! client.publish(Publish {
//!     key: StreamKey::new("mic")?,
//!     kind: StreamKind::Audio,
//!     codec: Codec::Opus,
//!     muted: false,
//! })?; // travels inside Hello: audio after one round trip
//! let mut buffer = [0; 1200];
//! loop {
//!     while let Some(len) = client.poll_transmit(now(), &mut buffer)? {
//!         socket.send(&buffer[..len]);
//!     }
//!     while let Some(event) = client.poll_event() {
//!         match event {
//!             Event::Closed(cause) => return Err(cause.into()),
//!             event => println!("{event:?}, {} here", client.state().participant_count()),
//!         }
//!     }
//!     match socket.receive(&mut buffer, client.poll_timeout()) {
//!         Some(len) => {
//!             let _ = client.handle_datagram(now(), &mut buffer[..len], &mut |incoming| {
//!                 if let Incoming::Audio { slot, frame } = incoming {
//!                     println!("{} bytes for decoder {slot}", frame.payload.len());
//!                 }
//!             });
//!         }
//!         None => client.handle_timeout(now()),
//!     }
//!     // And every 20 ms: client.send_audio(now(), &key, timestamp, level, frame)
//! }
//! # }
//! ```
//!
//! # When something is full
//!
//! | what | rule |
//! |---|---|
//! | requests to the server | the command returns an error |
//! | packets that wait to be sent | the oldest are dropped, [`Event::PacketsDropped`] says so |
//! | reliable messages that the application has not taken | the server keeps them; if it has to drop some, [`Event::MessagesMissed`] says so |
//! | events | those that the state shows anyway are dropped, [`Event::EventsMissed`] says so |
//! | participants | the server tells only of those that matter most |

mod api;
mod asking;
mod commands;
mod config;
mod errors;
mod events;
mod flows;
mod joining;
mod lobby;
mod machine;
mod media;
mod noticed;
mod outgoing;
mod pictures;
mod profile;
mod publications;
mod replica;
mod requests;
mod route;
mod session;
mod statistics;
mod subscriptions;
mod told;
mod voices;
mod wishes;

pub use self::api::Client;
pub use self::commands::Commands;
pub use self::config::Config;
pub use self::errors::{CommandError, Dropped, SendError};
pub use self::events::{CloseCause, Event, Incoming, Message, ReconnectCause};
pub use self::pictures::{PictureFlow, Pictures};
pub use self::profile::{Capacity, Desktop, Profile, Small};
pub use self::publications::MAX_AUDIO_PAYLOAD;
pub use self::requests::{MAX_OUTSTANDING, RequestFailure};
pub use self::route::{Action, MAX_ADDRESSES, Route, Target, Transport, Transports};
pub use self::statistics::{Drops, SlotStatistics, Statistics, Traffic};
pub use crate::link::BufferTooSmall;

#[cfg(all(test, feature = "server"))]
mod tests;
