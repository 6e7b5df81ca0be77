//! Requests that the server has yet to answer, so that each gets exactly one answer.

use thiserror::Error;

use crate::signal::{Refusal, RequestId};

/// Most requests that wait for their answer to come and to be taken.
pub const MAX_OUTSTANDING: usize = 16;

/// Why a request brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RequestFailure {
    /// The server refuses. To mute and to unpublish refused as
    /// [`RateLimited`](Refusal::RateLimited) is asked for again all the same.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection was lost for good before an answer came: it may or may not have taken
    /// effect. Lasting wishes (streams published, subscriptions, mutes, the pin) are requested again automatically.
    #[error("the connection was lost before the answer came: check the state, then ask again")]
    ConnectionLost,
}

/// Numbers requests, and knows which are unanswered.
#[derive(Debug)]
pub(super) struct Requests {
    next: u16,
    outstanding: heapless::Vec<RequestId, MAX_OUTSTANDING>,
}

impl Requests {
    pub(super) const fn new() -> Self {
        Self {
            next: 0,
            outstanding: heapless::Vec::new(),
        }
    }

    /// How many are unanswered.
    pub(super) fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// The number of the next request, which nobody outstanding has.
    pub(super) fn next_id(&mut self) -> RequestId {
        loop {
            let id = RequestId(self.next);
            self.next = self.next.wrapping_add(1);
            if !self.outstanding.contains(&id) {
                return id;
            }
        }
    }

    /// Waits for the answer to `id`. The caller has made sure that there is room.
    pub(super) fn await_reply(&mut self, id: RequestId) {
        let _ = self.outstanding.push(id);
    }

    /// Takes in that `id` is answered; false if nobody waits for it.
    pub(super) fn settle(&mut self, id: RequestId) -> bool {
        let before = self.outstanding.len();
        self.outstanding.retain(|outstanding| *outstanding != id);
        self.outstanding.len() < before
    }

    /// Gives up on the oldest.
    pub(super) fn pop(&mut self) -> Option<RequestId> {
        (!self.outstanding.is_empty()).then(|| self.outstanding.remove(0))
    }
}
