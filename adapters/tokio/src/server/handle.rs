//! The application's handle of a running server.

mod events;
mod moderation;
mod rooms;
mod statistics;

pub use events::{Lagged, ServerEvent, ServerEvents};
pub use rooms::{ParticipantInfo, RoomInfo, Snapshot};
pub use statistics::SessionStatistics;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parlour_core::room::RoomId;
use parlour_core::secure::{KeyPair, PublicKey};
use parlour_core::server::{ModerateError, Statistics};
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use rand_core::OsRng;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::admission::{Admitter, worker_of};
use super::bind::{advertise, bind_all};
use super::gauge::Gauge;
use super::shared::Shared;
use super::worker::{Command, Worker};
use super::{BindError, ServerConfig, TicketError, load_or_create};
use crate::machine::Server as Core;
use crate::token::{Claims, mint_token};

/// Events that wait for the slowest reader.
const EVENTS: usize = 4_096;
/// Commands that wait for a worker.
const COMMANDS: usize = 64;

/// A running server. Dropping it shuts it down in the background; [`shutdown`](Self::shutdown) waits for that.
///
/// All `async fn`s are cancellation-safe: what was asked for happens, or does not, as a whole.
#[derive(Debug)]
pub struct Server {
    workers: Vec<mpsc::Sender<Command>>,
    addresses: Vec<SocketAddr>,
    sockets: Vec<Socket>,
    gauges: Vec<Gauge>,
    host: String,
    public_key: PublicKey,
    shared: Arc<Shared>,
    events: broadcast::Sender<ServerEvent>,
    /// Closed when the last worker has ended.
    done: mpsc::Receiver<Infallible>,
    /// A worker that has panicked.
    failed: watch::Receiver<Option<usize>>,
}

/// A worker's UDP socket, as far as it is known.
#[derive(Debug)]
struct Socket {
    buffers: (usize, usize),
    drops: Arc<AtomicU64>,
}

/// The state of a worker's UDP socket: its buffers, and the datagrams dropped for lack of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketStatistics {
    /// Bytes of received datagrams that the operating system holds until the worker takes them, by its own account: Linux
    /// counts what it needs for each datagram, too. 4 MiB are asked for; `net.core.rmem_max` may allow less.
    pub receive_buffer: usize,
    /// The same for datagrams to be sent, and `net.core.wmem_max`.
    pub send_buffer: usize,
    /// Datagrams that arrived when there was no room for them, since the server began, as far as it noticed: what comes
    /// after them tells. Only Linux does.
    pub receive_drops: Option<u64>,
}

impl Server {
    /// Starts a server. Needs no runtime: the workers have their own.
    ///
    /// # Errors
    /// [`BindError`]
    pub fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let shared = Arc::new(Shared::new(config.api_keys.clone())?);
        if config.workers == 0 {
            return Err(BindError::Config("at least one worker is needed"));
        }
        if config.senders > 0 && !cfg!(target_os = "linux") {
            return Err(BindError::Config("threads that only send need Linux"));
        }
        let identity = match &config.key_file {
            Some(path) => load_or_create(path)?,
            None => KeyPair::generate(&mut OsRng),
        };
        #[cfg(target_os = "linux")]
        super::files::make_room(
            (config.workers as u64).saturating_mul(config.tcp_connections as u64),
        );
        let sockets = bind_all(&config)?;
        let addresses: Vec<_> = sockets.iter().map(|sockets| sockets.address).collect();
        let host = advertise(&config);
        let ports: Vec<_> = addresses.iter().map(SocketAddr::port).collect();

        let (events, _) = broadcast::channel(EVENTS);
        let (running, done) = mpsc::channel(1);
        let (fails, failed) = watch::channel(None);
        let mut workers = Vec::new();
        let mut about = Vec::new();
        let mut gauges = Vec::new();
        for (index, sockets) in sockets.into_iter().enumerate() {
            let (commands, receiver) = mpsc::channel(COMMANDS);
            let (buffers, drops) = (sockets.buffers, Arc::default());
            let socket = Socket { buffers, drops };
            let gauge = Gauge::default();
            let admitter = Admitter::new(index, ports.clone(), Arc::clone(&shared), &config);
            Worker {
                index,
                sockets,
                senders: config.senders,
                drops: Arc::clone(&socket.drops),
                gauge: gauge.clone(),
                limits: config.limits.clone(),
                tcp_connections: config.tcp_connections,
                identity: identity.clone(),
                #[cfg(feature = "record")]
                record: config.record.get(index).cloned(),
                admitter,
                commands: receiver,
                events: events.clone(),
                running: running.clone(),
                failed: fails.clone(),
            }
            .spawn()
            .map_err(BindError::Worker)?;
            workers.push(commands);
            about.push(socket);
            gauges.push(gauge);
        }
        Ok(Self {
            workers,
            addresses,
            sockets: about,
            gauges,
            host,
            public_key: *identity.public(),
            shared,
            events,
            done,
            failed,
        })
    }

    /// The address of each worker.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The key that tickets pin.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// A ticket with a token that says `claims`: all that joining needs, as one string.
    ///
    /// # Errors
    /// [`TicketError`]
    pub fn ticket(&self, claims: &Claims) -> Result<String, TicketError> {
        let token = mint_token(claims, &self.shared.signing_key())?;
        Ok(self.ticket_with(&claims.room, &token))
    }

    /// All of a ticket but its token, which follows after a `#`: for application servers that mint tokens themselves.
    /// It leads to the first worker, which redirects to the right one.
    pub fn ticket_base(&self) -> String {
        let ticket = self.ticket_at(0, "-");
        ticket.trim_end_matches("#-").to_owned()
    }

    /// A ticket with a token for `room` that was minted elsewhere.
    pub fn ticket_with(&self, room: &RoomId, token: &str) -> String {
        self.ticket_at(worker_of(room, self.workers.len()), token)
    }

    fn ticket_at(&self, worker: usize, token: &str) -> String {
        let ticket = Ticket {
            host: &self.host,
            port: self.addresses.get(worker).map_or(0, SocketAddr::port),
            server_key: self.public_key,
            token,
        };
        ticket.to_string()
    }

    /// The events from now on.
    pub fn events(&self) -> ServerEvents {
        ServerEvents(self.events.subscribe())
    }

    /// The counters of each worker since it began.
    pub async fn statistics(&self) -> Vec<Statistics> {
        let mut statistics = Vec::new();
        for worker in 0..self.workers.len() {
            let counted = self.call(worker, |server, _| *server.statistics());
            statistics.push(counted.await.unwrap_or_default());
        }
        statistics
    }

    /// How each worker's UDP socket fares. Asks no worker, so it answers even when they are overloaded.
    pub fn socket_statistics(&self) -> Vec<SocketStatistics> {
        let sockets = self.sockets.iter().map(|socket| SocketStatistics {
            receive_buffer: socket.buffers.0,
            send_buffer: socket.buffers.1,
            receive_drops: cfg!(target_os = "linux").then(|| socket.drops.load(Ordering::Relaxed)),
        });
        sockets.collect()
    }

    /// Waits until the thread of a worker panics, and gives the worker's number. Its rooms are gone then; the other workers go
    /// on. This does not return for a server that is well.
    pub async fn failed(&self) -> usize {
        let mut failed = self.failed.clone();
        let worker = failed
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|worker| *worker);
        match worker {
            Some(worker) => worker,
            None => std::future::pending().await,
        }
    }

    /// Tells everybody that the server shuts down, waits at most a second until they know, and ends all workers.
    ///
    /// Dropping the future does the same in the background.
    pub async fn shutdown(mut self) {
        // Workers shut down when nobody can command them any more.
        self.workers.clear();
        // Nothing is ever sent: this waits until the last worker drops its end.
        let _ = self.done.recv().await;
    }

    /// Has worker `index` do something with its server; `None` if it is gone, as all are only after a shutdown.
    async fn call<T: Send + 'static>(
        &self,
        index: usize,
        act: impl FnOnce(&mut Core, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Do(Box::new(move |server, now| {
            let _ = reply.send(act(server, now));
        }));
        self.workers.get(index)?.send(command).await.ok()?;
        answer.await.ok()
    }

    async fn call_room<T: Send + 'static>(
        &self,
        room: &RoomId,
        act: impl FnOnce(&mut Core, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        self.call(worker_of(room, self.workers.len()), act).await
    }

    /// Has something done in a room.
    async fn in_room<T: Send + 'static>(
        &self,
        room: &RoomId,
        act: impl FnOnce(&mut Core, Instant) -> Result<T, ModerateError> + Send + 'static,
    ) -> Result<T, ModerateError> {
        let result = self.call_room(room, act).await;
        result.unwrap_or(Err(ModerateError::UnknownRoom))
    }
}

mod carry;
mod drain;
mod keys;
mod load;
mod tap;

#[cfg(test)]
mod tests;
