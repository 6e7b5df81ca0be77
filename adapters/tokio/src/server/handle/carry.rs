//! Participants who come by another carriage, and the workers that they have to reach.

use std::net::{IpAddr, SocketAddr};

use parlour_core::room::RoomId;
use tokio::sync::oneshot;

use super::Server;
use crate::server::admission::worker_of;
use crate::server::worker::Command;
use crate::server::{CarriageReceiver, CarriageSender, CarryError};

impl Server {
    /// Takes on a client whose datagrams the application carries: over a WebSocket, WebTransport, or a tunnel of its own.
    ///
    /// Each message of the carriage is one whole datagram, as UDP would carry it. The client is served, counted and limited
    /// as one on a TCP connection: it has one of [`ServerConfig::tcp_connections`](crate::ServerConfig::tcp_connections)
    /// places, a quarter of them at most are for one address, and it loses the place if no participant is heard within ten
    /// seconds. Datagrams for a client that is too slow are dropped, as on a UDP path. `from` is the client's address, which
    /// is taken for proven: behind a proxy it is what the proxy says of the client, not the proxy itself.
    ///
    /// The carriage ends when either end of it is dropped, and when the server ends it.
    ///
    /// # Which worker
    /// A room lives on one worker, and each worker has a port. A ticket names the port of the right one, and whoever knocks
    /// at another one is redirected to a port. So let the client say the port that its ticket or its redirect names, for
    /// example in the path of its URL, and ask [`worker_at`](Self::worker_at) which worker that is. A carriage that knows
    /// the room before it connects can ask [`worker_of`](Self::worker_of).
    ///
    /// ```no_run
    /// # use std::net::IpAddr;
    /// # struct WebSocket;
    /// # impl WebSocket {
    /// #     async fn message(&mut self) -> Option<Vec<u8>> { None }
    /// #     async fn write(&mut self, _: &[u8]) {}
    /// # }
    /// # async fn example(server: &parlour_tokio::Server, port: u16, from: IpAddr, mut socket: WebSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// let worker = server.worker_at(port).ok_or("404")?; // of "/parlour/7901"
    /// let (sender, mut receiver) = server.carry(worker, from).await?;
    /// loop {
    ///     tokio::select! {
    ///         message = socket.message() => match message {
    ///             Some(datagram) => sender.send(&datagram).await?,
    ///             None => break,
    ///         },
    ///         datagram = receiver.next() => match datagram {
    ///             Some(datagram) => socket.write(&datagram).await,
    ///             None => break,
    ///         },
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CarryError`]
    pub async fn carry(
        &self,
        worker: usize,
        from: IpAddr,
    ) -> Result<(CarriageSender, CarriageReceiver), CarryError> {
        let worker = self.workers.get(worker).ok_or(CarryError::UnknownWorker)?;
        let (reply, answer) = oneshot::channel();
        let sent = worker.send(Command::Carry(from, reply)).await;
        sent.map_err(|_| CarryError::ShuttingDown)?;
        answer.await.unwrap_or(Err(CarryError::ShuttingDown))
    }

    /// The worker that a room lives on, as its place among [`addresses`](Self::addresses).
    pub fn worker_of(&self, room: &RoomId) -> usize {
        worker_of(room, self.workers.len())
    }

    /// The worker that has this port.
    pub fn worker_at(&self, port: u16) -> Option<usize> {
        let ports = self.addresses.iter().map(SocketAddr::port);
        ports.into_iter().position(|other| other == port)
    }
}
