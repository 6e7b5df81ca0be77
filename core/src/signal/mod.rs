//! Signalling: the messages, their encoding, and their reliable delivery.

mod join;
mod reply;
mod request;

pub use join::{Answer, Join, JoinRefusal, Joined, Resume};
pub use reply::{Outcome, Refusal, ServerMessage};
pub use request::{
    MAX_BODY, MAX_TARGETS, MAX_TOKEN, Moderation, Operation, ParticipantList, Publish, Recipients,
    Request, RequestId, StreamRef, SubscribePolicy, Targets,
};

/// Most bytes in one encoded message.
pub const MAX_MESSAGE: usize = 1024;
/// Most audio slots that a participant may have.
pub const MAX_SLOTS: usize = 32;
