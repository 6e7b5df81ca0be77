//! The events of a server, as the application reads them.

use std::time::{Instant, SystemTime};

use parlour_core::server::Event;
use tokio::sync::broadcast;

/// Something happened in a worker's rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerEvent {
    /// The worker, from 0.
    pub worker: usize,
    /// The number of the event among those of its worker, from 1, in the order in which they happened. One that is missing was
    /// lost on its way here. [`Event::EventsMissed`] has the number of the last that it stands for.
    pub sequence: u64,
    /// The time, by the wall clock.
    pub at: SystemTime,
    /// The same by the monotonic clock, which is never set: for durations.
    pub instant: Instant,
    /// The event.
    pub event: Event,
}

/// The reader was too slow, and this many events are lost to it. [`Server::rooms`](super::Server::rooms) shows the
/// current state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events missed by a slow reader: ask for the rooms anew, and read faster")]
pub struct Lagged(pub u64);

/// The events of a server, of all workers together. Bounded: a reader that is too slow loses the oldest events and is
/// told how many.
///
/// ```no_run
/// use parlour_tokio::Server;
/// use parlour_tokio::core::server::Event;
///
/// # async fn example(server: &Server) {
/// let mut events = server.events();
/// while let Some(event) = events.next().await {
///     match event {
///         Ok(told) => match told.event {
///             Event::ParticipantJoined { participant, .. } => println!("{participant} came, {:?}", told.at),
///             Event::ParticipantLeft { participant, reason, .. } => println!("{participant} went: {reason}"),
///             _ => {}
///         },
///         Err(lagged) => println!("{lagged}"),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct ServerEvents(pub(super) broadcast::Receiver<ServerEvent>);

impl ServerEvents {
    /// The next event; `None` once the server is shut down and all events have been read. Cancellation-safe.
    pub async fn next(&mut self) -> Option<Result<ServerEvent, Lagged>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Err(Lagged(count))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next of the events that have happened already; `None` if all have been read.
    pub fn try_next(&mut self) -> Option<Result<ServerEvent, Lagged>> {
        match self.0.try_recv() {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::TryRecvError::Lagged(count)) => Some(Err(Lagged(count))),
            Err(_) => None,
        }
    }
}
