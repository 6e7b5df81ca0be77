//! The room's events, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use parlour_core::client::Event as RoomEvent;
use parlour_core::room::{ParticipantId, Topic};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// How packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Each as a datagram.
    Udp,
    /// One after the other.
    Tcp,
    /// As the messages of a WebSocket, where only HTTPS gets out; with the feature `websocket`.
    WebSocket,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::WebSocket => "WebSocket",
        })
    }
}

/// An event. [`Room::with_state`](crate::Room::with_state) shows the current state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Something about the room, this participant or its connection. (Never `Replied`, `MessageReceived`, `MessagesMissed` or
    /// `Redirected`, which this crate acts on itself.)
    Room(RoomEvent),
    /// Packets travel otherwise than before, or, if this is the first event, otherwise than preferred. By TCP and WebSocket, audio
    /// that is lost on the way comes late; UDP is tried again after 10 s, and ever more rarely up to every 5 minutes.
    TransportChanged(Transport),
    /// Another participant sent a message by the lossy way. Reliable ones are in [`Room::messages`](crate::Room::messages).
    LossyMessage {
        /// The sender.
        from: ParticipantId,
        /// The topic.
        topic: Topic,
        /// The content.
        body: Bytes,
    },
    /// This reader was too slow, and events are lost to it. The room's state shows what is true now.
    Lagged {
        /// The number of lost events.
        missed: u64,
    },
}

/// The events of a room, in their order. Bounded: a slow reader loses the oldest events and is told so by
/// [`Event::Lagged`].
#[derive(Debug)]
pub struct Events {
    events: BroadcastStream<Event>,
}

impl Events {
    pub(crate) fn new(events: tokio::sync::broadcast::Receiver<Event>) -> Self {
        Self {
            events: BroadcastStream::new(events),
        }
    }

    /// The next event; `None` once the room is closed and all events have been read.
    ///
    /// Cancellation-safe: an event is either returned or still there.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let next = Pin::new(&mut self.events).poll_next(context);
        next.map(|next| {
            next.map(|event| {
                event.unwrap_or_else(|BroadcastStreamRecvError::Lagged(missed)| Event::Lagged {
                    missed,
                })
            })
        })
    }
}
