//! Application messages that may get lost: what a `Message` frame holds.
//!
//! For what is worthless when late: pointer positions, typing signs, meters. What must arrive goes
//! by [`Operation::Send`](super::Operation::Send).

use serde::{Deserialize, Serialize};

use super::Recipients;
use crate::room::{ParticipantId, Topic};

/// A lossy message on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossyRequest<'a> {
    /// Who gets it.
    pub to: Recipients,
    /// What it is about.
    pub topic: Topic,
    /// At most [`MAX_BODY`](super::MAX_BODY) bytes.
    pub body: &'a [u8],
}

/// A lossy message on its way from the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossyDelivery<'a> {
    /// Who sent it.
    pub from: ParticipantId,
    /// What it is about.
    pub topic: Topic,
    /// At most [`MAX_BODY`](super::MAX_BODY) bytes.
    pub body: &'a [u8],
}
