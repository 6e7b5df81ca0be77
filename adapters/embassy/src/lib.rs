//! Real-time audio rooms on microcontrollers: a participant over [embassy-net](embassy_net), without `std` and
//! without allocation.
//!
//! All memory is in [`Resources`], whose sizes are const parameters. [`new`] gives a [`Room`], the handle, and a
//! [`Runner`], whose task carries the datagrams:
//!
//! ```no_run
//! use embassy_executor::Spawner;
//! use parlour_embassy::core::audio::codec::SampleRate;
//! use parlour_embassy::core::rand_core::CryptoRngCore;
//! use parlour_embassy::core::room::StreamKey;
//! use parlour_embassy::core::ticket::Ticket;
//! use parlour_embassy::{AudioCodec, AudioIn, AudioOut, Config, Duplex, NoEchoCanceller, Resources, Runner, VoiceGate};
//! use static_cell::StaticCell;
//!
//! static RESOURCES: StaticCell<Resources> = StaticCell::new();
//!
//! #[embassy_executor::task]
//! async fn carry(mut runner: Runner<'static>) -> ! {
//!     runner.run().await
//! }
//!
//! # struct Microphone; struct Loudspeaker;
//! # use core::convert::Infallible;
//! # impl AudioIn for Microphone {
//! #     type Error = Infallible;
//! #     fn sample_rate(&self) -> SampleRate { SampleRate::Hz16000 }
//! #     async fn read(&mut self, _: &mut [i16]) -> Result<(), Infallible> { Ok(()) }
//! # }
//! # impl AudioOut for Loudspeaker {
//! #     type Error = Infallible;
//! #     fn sample_rate(&self) -> SampleRate { SampleRate::Hz16000 }
//! #     async fn write(&mut self, _: &[i16]) -> Result<(), Infallible> { Ok(()) }
//! # }
//! type Telephone = Duplex<'static, Microphone, Loudspeaker, NoEchoCanceller, VoiceGate>;
//!
//! #[embassy_executor::task]
//! async fn talk(mut telephone: Telephone) {
//!     telephone.run().await;
//! }
//!
//! async fn start(
//!     spawner: Spawner,
//!     stack: embassy_net::Stack<'static>,
//!     ticket: &'static str,
//!     rng: &mut dyn CryptoRngCore,
//!     (microphone, loudspeaker): (Microphone, Loudspeaker),
//! ) -> Result<(), Box<dyn core::error::Error>> {
//!     let ticket = Ticket::parse(ticket)?;
//!     let resources = RESOURCES.init_with(Resources::new);
//!     let (room, runner) = parlour_embassy::new(stack, ticket, Config::default(), resources, rng)?;
//!     spawner.spawn(carry(runner)?);
//!     spawner.spawn(talk(Telephone {
//!         microphone,
//!         loudspeaker,
//!         echo_canceller: NoEchoCanceller,
//!         gate: VoiceGate::default(),
//!         writer: room.publish_audio(StreamKey::new("mic")?, AudioCodec::Pcmu, SampleRate::Hz16000)?,
//!         reader: room.mixed_audio(),
//!     })?);
//!     // Last, since what is held across an `await` is memory of the task.
//!     room.join().await?;
//!     Ok(())
//! }
//! ```
//!
//! | part | task | wakes for |
//! |---|---|---|
//! | [`Runner`] | its own | datagrams, timers, commands |
//! | [`MixedReader`], [`AudioWriter`], [`Duplex`] | the application's | the audio clock |
//! | [`Room`] | the application's | events, messages |
//!
//! All of them belong on one executor: they share memory without locks. No future of this crate spins, and no
//! call on the way of audio waits.
//!
//! There is no protocol in this crate: all of it is in [`core`].
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(test)]
extern crate std;

mod config;
mod driver;
mod duplex;
mod error;
mod events;
mod fmt;
mod gate;
#[cfg(feature = "obstacles")]
mod obstacle;
mod playback;
mod resources;
mod room;
mod runner;
mod setup;
mod shared;
#[cfg(feature = "speech")]
mod speech;
#[cfg(test)]
mod tests;
mod time;
mod writer;

use ::core::cell::RefCell;

use embassy_net::Stack;
use parlour_core::audio::codec::FrameDuration;
use parlour_core::client::Client;
use parlour_core::rand_core::CryptoRngCore;
use parlour_core::secure::Generator;
use parlour_core::ticket::Ticket;

pub use config::Config;
pub use driver::{AudioIn, AudioOut, EchoCanceller, HalfDuplexCanceller, NoEchoCanceller};
pub use duplex::{Duplex, DuplexError, RateMismatch, SoundEvent, SoundStatistics};
pub use error::{JoinError, PublishError, SetupError, WriteError};
pub use events::Events;
pub use gate::{AlwaysOpen, PushToTalk, TalkGate, VoiceGate};
#[cfg(feature = "obstacles")]
pub use obstacle::Obstacle;
pub use parlour_core as core;
pub use playback::MixedReader;
#[cfg(feature = "opus")]
pub use resources::Opus;
use resources::SocketMemory;
pub use resources::{Decoding, Device, G711, Resources};
pub use room::{Participant, Room};
pub use runner::Runner;
pub use setup::{
    AudioWriterOf, DuplexOf, EncodedWriterOf, EventsOf, ProfileOf, RoomOf, RunnerOf, Setup,
};
use shared::Shared;
#[cfg(feature = "speech")]
pub use speech::SpeechGate;
pub use writer::{AudioCodec, AudioWriter, EncodedWriter};

/// The duration of one packet.
const FRAME: FrameDuration = FrameDuration::Ms20;

/// A participant that may join with `ticket`, and the task that it needs. `rng` seeds its own generator; all secrecy
/// rests on it, so use the chip's true random numbers.
///
/// # Errors
/// [`SetupError`]
// Not inlined into a future, whose frame would be as large for good.
#[inline(never)]
pub fn new<
    'd,
    D: Decoding,
    const PARTICIPANTS: usize,
    const SLOTS: usize,
    const PACKETS: usize,
    const BYTES: usize,
    const PCM: usize,
>(
    stack: Stack<'d>,
    ticket: Ticket<'d>,
    config: Config,
    resources: &'d mut Resources<'d, D, PARTICIPANTS, SLOTS, PACKETS, BYTES, PCM>,
    rng: &mut dyn CryptoRngCore,
) -> Result<
    (
        Room<'d, Device<PARTICIPANTS, SLOTS>>,
        Runner<'d, Device<PARTICIPANTS, SLOTS>>,
    ),
    SetupError,
> {
    let mut rng = Generator::new(rng);
    let Resources {
        client,
        shared,
        decoders,
        players,
        playback,
        socket,
    } = resources;
    let client = Client::new_in(client, &ticket, &config.client, time::now(), &mut rng)?;
    let players = Resources::<D, PARTICIPANTS, SLOTS, PACKETS, BYTES, PCM>::make_players(
        decoders, players, &config,
    );
    let players = players.ok_or(SetupError::OutputRate(config.output_rate))?;
    let playback = playback.write(RefCell::new(players));
    let shared = &*shared.write(Shared::new(stack, ticket, config, client, playback, rng));
    let socket = socket.write(SocketMemory::new());
    Ok((Room::new(shared), Runner::new(shared, socket)))
}
