//! The room model.

#[cfg(test)]
mod arbitrary;
#[cfg(feature = "server")]
mod authority;
mod codec;
mod grants;
mod id;
mod participant;
#[cfg(feature = "server")]
mod relevance;
mod roster;
mod state;
mod update;
#[cfg(feature = "server")]
mod view;

#[cfg(feature = "server")]
pub use authority::{Authority, ChangeError};
pub use codec::{Codec, StreamKind};
pub use grants::Grants;
pub use id::{DisplayName, IdError, ParticipantId, RoomId, SessionId, StreamKey, Topic};
pub use participant::{ConnectionState, MAX_STREAMS, Participant, Stream};
pub use roster::{Roster, Seat};
pub use state::{ApplyError, Change, Replica, RoomState};
pub use update::{CloseReason, RoomUpdate, Version};
#[cfg(feature = "server")]
pub use view::{Told, View};
