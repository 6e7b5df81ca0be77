//! The room model.

mod codec;
mod grants;
mod id;
mod participant;
mod update;

pub use codec::{Codec, StreamKind};
pub use grants::Grants;
pub use id::{DisplayName, IdError, ParticipantId, RoomId, SessionId, StreamKey, Topic};
pub use participant::{ConnectionState, MAX_STREAMS, Participant, Stream};
pub use update::{CloseReason, RoomUpdate, Version};
