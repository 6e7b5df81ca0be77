//! Participants who come neither by UDP nor by TCP: the application carries their datagrams.

use bytes::Bytes;
use parlour_core::wire::MAX_DATAGRAM;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

/// Datagrams that wait to be taken in; beyond, [`CarriageSender::send`] waits.
const CARRIED: usize = 16;

/// Takes the datagrams of one client; see [`Server::carry`](crate::Server::carry). Dropped, it ends the carriage.
#[derive(Debug)]
pub struct CarriageSender(mpsc::Sender<Vec<u8>>);

impl CarriageSender {
    /// Hands in one whole datagram. Waits while the worker has too much to take in, so that the carriage can hold its client
    /// back. Cancellation-safe: the datagram is handed in, or not.
    ///
    /// # Errors
    /// [`CarriageError`]
    pub async fn send(&self, datagram: &[u8]) -> Result<(), CarriageError> {
        if !(1..=MAX_DATAGRAM).contains(&datagram.len()) {
            return Err(CarriageError::Length);
        }
        let sent = self.0.send(datagram.to_vec()).await;
        sent.map_err(|_| CarriageError::Closed)
    }
}

/// Gives the datagrams for one client; see [`Server::carry`](crate::Server::carry). Dropped, it ends the carriage.
#[derive(Debug)]
pub struct CarriageReceiver {
    outgoing: mpsc::Receiver<Bytes>,
    /// Dropped with it.
    _is_held: oneshot::Sender<()>,
}

impl CarriageReceiver {
    /// The next datagram, at most 1,200 bytes; `None` if the server has ended the carriage. Cancellation-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.outgoing.recv().await
    }
}

/// Why a server does not carry a client's datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CarryError {
    /// There is no such worker.
    #[error("the server has no such worker: ask `worker_of` or `worker_at`")]
    UnknownWorker,
    /// All places are taken, and participants are heard on all of them.
    #[error(
        "all places for connections are taken: raise tcp_connections, or let the client try later"
    )]
    Full,
    /// All places that one address may have are taken, and participants are heard on all of them.
    #[error(
        "its address has a quarter of all places already: behind a proxy, name the client's address and not the proxy's"
    )]
    AddressFull,
    /// The server is shutting down.
    #[error("the server is shutting down: turn the client away")]
    ShuttingDown,
}

/// Why a datagram was not handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CarriageError {
    /// The server has ended the carriage.
    #[error("the server has ended the carriage: close the client's connection")]
    Closed,
    /// A datagram has 1 to 1,200 bytes.
    #[error("a datagram has 1 to 1200 bytes: the client is none of this protocol")]
    Length,
}

/// Where a carriage hands its datagrams in, and where they come out.
pub(super) fn sender() -> (CarriageSender, mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel(CARRIED);
    (CarriageSender(sender), receiver)
}

/// Where a carriage gets datagrams; and what completes when that is dropped.
pub(super) fn receiver(
    outgoing: mpsc::Receiver<Bytes>,
) -> (CarriageReceiver, oneshot::Receiver<()>) {
    let (is_held, is_dropped) = oneshot::channel();
    let receiver = CarriageReceiver {
        outgoing,
        _is_held: is_held,
    };
    (receiver, is_dropped)
}
