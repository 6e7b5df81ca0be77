//! What the application wants to hear and see: kept, so that a new connection can be told again.

use crate::signal::{RequestId, StreamRef, SubscribePolicy};

/// One explicit subscription, or the exception of one stream from the policy.
#[derive(Debug, Clone)]
pub struct Wish {
    pub(super) stream: StreamRef,
    pub(super) subscribed: bool,
    /// Whether this association's server has been told.
    pub(super) told: bool,
    /// By which request.
    pub(super) request: Option<RequestId>,
}
