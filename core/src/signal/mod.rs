//! Signalling: the messages, their encoding, and their reliable delivery.

pub mod channel;
mod codec;
mod join;
mod message;
mod reply;
mod request;
mod rtt;

pub use codec::{DecodeError, EncodeError, Message, decode, encode};
pub use join::{Answer, Join, JoinRefusal, Joined, Resume};
pub use message::{LossyDelivery, LossyRequest};
pub use reply::{Outcome, Refusal, ServerMessage};
pub use request::{
    MAX_BODY, MAX_TARGETS, MAX_TOKEN, Moderation, Operation, ParticipantList, Publish, Recipients,
    Request, RequestId, StreamRef, SubscribePolicy, Targets,
};
pub use rtt::RttEstimator;

/// Most bytes in one encoded message.
pub const MAX_MESSAGE: usize = 1024;
/// Most audio slots that a participant may have.
pub const MAX_SLOTS: usize = 32;
