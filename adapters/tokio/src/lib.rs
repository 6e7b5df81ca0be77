//! Real-time audio rooms on [tokio]: the sockets, clocks and threads around `parlour-core`.
//!
//! A participant joins with a ticket, speaks through an [`AudioWriter`] and hears through a [`MixedReader`]:
//!
//! ```no_run
//! use parlour_tokio::{AudioOptions, Room, SampleRate};
//!
//! # async fn example(ticket: &str, mut microphone: impl FnMut() -> Vec<i16>) -> Result<(), Box<dyn std::error::Error>> {
//! let room = Room::join(ticket).await?;
//! let mut mic = room.publish_audio("mic", AudioOptions::opus_voice(SampleRate::Hz48000)).await?;
//! let mut heard = room.mixed_audio(SampleRate::Hz48000)?;
//! let mut pcm = [0; 960];
//! for _ in 0..500 {
//!     mic.write(&microphone())?;
//!     heard.next_frame(&mut pcm).await; // everybody else, 20 ms at a time
//! }
//! room.leave().await;
//! # Ok(())
//! # }
//! ```
//!
//! A server is bound, and tickets are minted for it, with it or elsewhere ([`token`]):
//!
//! ```no_run
//! use parlour_tokio::{Server, ServerConfig};
//! use parlour_tokio::token::{ApiKey, Claims};
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let key = ApiKey::new("my-app", "c2VjcmV0IG9mIGF0IGxlYXN0IDMyIGJ5dGVz")?;
//! let server = Server::bind(ServerConfig::new("0.0.0.0:7900".parse()?, key))?;
//! println!("{}", server.ticket(&Claims::new("green-room", "anna", Duration::from_secs(3600))?)?);
//! # Ok(())
//! # }
//! ```
//!
//! There is no protocol in this crate: all of it is in [`core`]. This crate does the IO and holds the codecs.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod clock;
mod framing;
mod machine;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "tap")]
pub mod tap;
#[cfg(feature = "server")]
pub mod token;

pub use client::{
    AudioCodec, AudioOptions, AudioSource, AudioWriter, CloseCause, EncodedFrame, EncodedPicture,
    Event, Events, FrameReader, JoinError, JoinOptions, JoinProgress, Lobby, MediaPacket,
    MediaReader, MediaWriter, Message, Messages, MixedReader, OnProgress, Participant,
    ParticipantReader, PublishError, ReadError, ReconnectCause, RequestError, Room, RoomEvent,
    RoomState, SampleRate, SlotReader, Transport, TransportChoice, VideoOptions, VideoReader,
    VideoWriter, Whom, WriteError, WritePictureError,
};
pub use parlour_core as core;
pub use parlour_core::room::{
    AttributeKey, AttributeValue, CloseReason, Codec, ConnectionState, DisplayName, Grants,
    ParticipantId, RoomId, SessionId, Stream, StreamKey, StreamKind, Topic,
};
pub use parlour_core::signal::{Recipients, StreamRef, SubscribePolicy, Targets};
#[cfg(feature = "record")]
pub use parlour_record as record;
#[cfg(feature = "server")]
pub use server::{
    BindError, CarriageError, CarriageReceiver, CarriageSender, CarryError, Doorkeeper, Gather,
    JoinRequest, KeyFileError, Lagged, MediaTap, Moderated, ParticipantInfo, RefreshRequest,
    RoomInfo, RoomLimits, Selection, Server, ServerConfig, ServerEvent, ServerEvents,
    SessionStatistics, Snapshot, SocketStatistics, Tapped, TappedPacket, TappedStream, TicketError,
    WorkerLoad, load_or_create as load_or_create_key,
};
#[cfg(feature = "tap")]
pub use tap::{Tap, TapError};
