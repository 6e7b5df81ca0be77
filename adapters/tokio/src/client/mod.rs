//! The participant.
//!
//! One task, the [`driver`], owns the socket; the core's client is shared between it and the handles, behind a lock
//! that is held for microseconds and never across an `await`. Codecs run where audio is written and read, never on
//! the task.
//!
//! ```text
//!   Room, AudioWriter ──commands──► Mutex<core::client::Client> ◄──datagrams, time── driver ◄──► UDP, TCP or WebSocket
//!   Events            ◄─broadcast───────────────┤
//!   Messages          ◄─queue───────────────────┤
//!   MixedReader,      ◄─broadcast, encoded──────┘
//!   SlotReader           jitter buffer, decoder and mixer are the reader's
//! ```

mod audio_in;
mod audio_out;
mod driver;
mod encoder;
mod error;
mod event;
mod frames;
mod link;
mod media;
mod messages;
mod options;
mod pace;
mod player;
mod rate;
mod room;
mod shared;
mod stack;
mod tried;
mod video;
mod voice_in;
#[cfg(feature = "websocket")]
mod web;
#[cfg(not(feature = "websocket"))]
#[path = "without_web.rs"]
mod web;

pub use audio_in::{MixedReader, SlotReader};
pub use audio_out::AudioWriter;
pub use error::{JoinError, PublishError, ReadError, RequestError, WriteError};
pub use event::{Event, Events, Transport};
pub use frames::{EncodedFrame, FrameReader};
pub use media::{MediaPacket, MediaReader, MediaWriter};
pub use messages::{Message, Messages};
pub use options::{AudioCodec, AudioOptions, JoinOptions, TransportChoice};
pub use parlour_core::client::{CloseCause, Event as RoomEvent, ReconnectCause};
pub use rate::SampleRate;
pub use room::{JoinProgress, Lobby, OnProgress, Participant, Room, RoomState, Whom};
#[cfg(feature = "tap")]
pub(crate) use shared::{Shared, SlotFrame};
pub use video::{EncodedPicture, VideoOptions, VideoReader, VideoWriter, WritePictureError};
pub use voice_in::{AudioSource, ParticipantReader};
