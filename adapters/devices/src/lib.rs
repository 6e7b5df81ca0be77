//! The microphones and loudspeakers of this machine, for a Parlour room.
//!
//! ```text
//! microphone ──► callback, mono ──► pieces ──► Voice ──► AudioWriter ──► room
//!                                                ▲
//!                                             Played ◄─┐
//!                       room ──► MixedReader ──► callback ──► loudspeaker
//! ```
//!
//! Both run at a rate that the card has, and the loudspeaker's clock pulls what it plays, so that two cards may drift apart.
//! [`parlour_voice`] takes the echo of the loudspeaker out of what the microphone hears.
//!
//! A card may be unplugged at any time. Then the system's own choice takes its place, and when the card is back, it is used again;
//! [`Change`] tells of both. Until some card works, nothing is said, or nothing is played, and the stay in the room goes on.
//!
//! Sound cards are behind the feature `sound-card`: on Linux it is built with ALSA's headers (`libasound2-dev`, `pkg-config`).
//!
//! ```no_run
//! # #[cfg(feature = "sound-card")]
//! # async fn example(ticket: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use parlour_devices::{Loudspeaker, Microphone, Options, microphones};
//! use parlour_tokio::Room;
//!
//! for card in microphones()? {
//!     println!("{card}");
//! }
//! let mut loudspeaker = Loudspeaker::open(None)?;
//! let mut microphone = Microphone::open(None, Options::default(), Some(&loudspeaker))?;
//!
//! let room = Room::join(ticket).await?;
//! let mut mic = room.publish_audio("mic", microphone.audio_options()).await?;
//! tokio::select! {
//!     ended = microphone.talk(&mut mic, |change| eprintln!("{change}")) => ended?,
//!     never = loudspeaker.play(&room, |change| eprintln!("{change}")) => match never {},
//!     cause = room.closed() => println!("{cause}"),
//! }
//! # Ok(())
//! # }
//! ```
#![cfg(feature = "sound-card")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod card;
mod error;
mod loudspeaker;
mod meter;
mod microphone;
mod mode;
mod plug;

pub use card::{Card, loudspeakers, microphones};
pub use error::{CardError, Direction};
pub use loudspeaker::Loudspeaker;
pub use meter::Meter;
pub use microphone::Microphone;
pub use parlour_voice::Options;
pub use plug::Change;
