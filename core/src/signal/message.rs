//! Application messages that may get lost: what a `Message` frame holds.
//!
//! For messages that are worthless when late: pointer positions, typing signs, meters. Other messages are sent by
//! [`Operation::Send`](super::Operation::Send).

use serde::{Deserialize, Serialize};

use super::Recipients;
use crate::room::{ParticipantId, Topic};

/// A lossy message on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossyRequest<'a> {
    /// The recipients.
    pub to: Recipients,
    /// The topic.
    pub topic: Topic,
    /// At most [`MAX_BODY`](super::MAX_BODY) bytes.
    pub body: &'a [u8],
}

/// A lossy message on its way from the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossyDelivery<'a> {
    /// The sender.
    pub from: ParticipantId,
    /// The topic.
    pub topic: Topic,
    /// At most [`MAX_BODY`](super::MAX_BODY) bytes.
    pub body: &'a [u8],
}
