//! Reliable messages: a queue of their own, of which nothing is lost without a word.
//!
//! ```text
//! server's queue ──► core's inbox ──► Queue ──► Messages::next
//!       │ full: newest dropped ▲        │ full: it stays in the inbox, which is not acknowledged
//!       └──── Missed ──────────┘        └ or, where that would hold up others: newest dropped ──► Missed
//! ```

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use parlour_core::client::Message as CoreMessage;
use parlour_core::room::{ParticipantId, Topic};

use super::shared::Shared;

/// Messages that wait for a reader.
const MESSAGES: usize = 256;

/// A reliable message, or a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Another participant, or the application at the server, sent this.
    Received {
        /// The sender.
        from: ParticipantId,
        /// The topic.
        topic: Topic,
        /// The content.
        body: Bytes,
    },
    /// Messages were sent to this participant that are lost, because it reads too slowly.
    Missed {
        /// The number of lost messages.
        count: u64,
    },
}

/// The messages that wait for the room's readers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Message>,
    readers: usize,
    wakers: Vec<Waker>,
}

impl Queue {
    /// Whether a message should stay where it is, so that the server holds back its successors. Without a reader none
    /// does: it would block all signalling behind it, and an application need not read messages.
    pub(super) fn holds_back(&self) -> bool {
        self.readers > 0 && self.is_full()
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= MESSAGES
    }

    /// Appends a message, or counts it as lost if there is no place.
    pub(super) fn push(&mut self, message: &CoreMessage<'_>) {
        if self.is_full() {
            self.miss(1);
            return;
        }
        self.waiting.push_back(Message::Received {
            from: message.from.clone(),
            topic: message.topic.clone(),
            body: Bytes::copy_from_slice(message.body),
        });
        self.wake();
    }

    /// Notes that `more` messages are lost here.
    pub(super) fn miss(&mut self, more: u64) {
        if let Some(Message::Missed { count }) = self.waiting.back_mut() {
            *count += more;
        } else {
            // One place beyond the limit, for the notice.
            self.waiting.push_back(Message::Missed { count: more });
        }
        self.wake();
    }

    fn wake_later(&mut self, reader: &Waker) {
        if !self.wakers.iter().any(|waker| waker.will_wake(reader)) {
            self.wakers.push(reader.clone());
        }
    }

    /// Has the readers look.
    pub(super) fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

/// The messages that come by the reliable way, in the order in which they come.
///
/// Nothing that was answered [`Sent`](parlour_core::signal::Outcome::Sent) to its sender is lost without a word: it is
/// read here, or counted by [`Message::Missed`]. A reader that is too slow holds the server back, which keeps some messages
/// and then drops the newest. Meanwhile the room's state stands still for this participant, unless it waits for the answer to
/// a request. So read on, or drop the reader.
///
/// There is one queue: clones and further readers take the messages from each other. It keeps the first 256 from joining on
/// until there is a reader, and counts the others.
#[derive(Debug)]
pub struct Messages {
    shared: Arc<Shared>,
}

impl Messages {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.lock().messages.readers += 1;
        Self { shared }
    }

    /// The next message; `None` once the room is closed and all messages have been read. Cancellation-safe.
    pub async fn next(&mut self) -> Option<Message> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Messages {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.shared.lock();
        // Some may have come since the driver last looked: it would wake nobody for them.
        state.take_messages();
        let next = state.messages.waiting.pop_front();
        // There is a place for the messages held back.
        state.take_messages();
        if next.is_some() || state.client.closed().is_some() {
            return Poll::Ready(next);
        }
        state.messages.wake_later(context.waker());
        Poll::Pending
    }
}

impl Clone for Messages {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.messages.readers -= 1;
        // Messages are no longer held back.
        state.take_messages();
    }
}
