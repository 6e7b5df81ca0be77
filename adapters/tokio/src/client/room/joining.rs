//! The way into a room.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parlour_core::client::{CloseCause, Commands as _, Config, MAX_ADDRESSES, Transports};
use parlour_core::signal::MAX_SLOTS;
use parlour_core::ticket::Ticket;
use parlour_core::wire::VERSION;
use rand_core::OsRng;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Room, publication};
use crate::client::driver::{Driver, Host};
use crate::client::shared::{Shared, Status};
use crate::client::stack::on_a_large_stack;
use crate::client::{JoinError, JoinOptions};
use crate::clock::Clock;
use crate::machine::Client;

/// Without an answer for so long, something is amiss.
const NOTICE: Duration = Duration::from_secs(2);

/// What a join waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinProgress {
    /// Nobody has answered for two seconds: the server is down or has another key, the ticket names another port, or a
    /// firewall is between. The join goes on.
    NoAnswer {
        /// As in [`JoinError::NoAnswer`].
        tried: String,
    },
    /// A moderator has to let this participant in.
    Lobby,
}

impl fmt::Display for JoinProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer { tried } => write!(
                f,
                "no answer from the server yet (tried {tried}); check its address, its key, and the firewalls on the way"
            ),
            Self::Lobby => f.write_str("a moderator has to let this participant in"),
        }
    }
}

/// What to do when a join has to wait.
///
/// ```
/// use parlour_tokio::{JoinOptions, OnProgress};
/// let options = JoinOptions {
///     on_progress: Some(OnProgress::new(|progress| eprintln!("{progress}"))),
///     ..JoinOptions::default()
/// };
/// ```
#[derive(Clone)]
pub struct OnProgress(Arc<dyn Fn(&JoinProgress) + Send + Sync>);

impl OnProgress {
    /// Calls `tell`, which must not wait, on the task that joins.
    pub fn new(tell: impl Fn(&JoinProgress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnProgress(..)")
    }
}

impl Room {
    /// Joins the room that `ticket` is for, with [`JoinOptions::default`].
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn join(ticket: &str) -> Result<Self, JoinError> {
        Self::join_with(ticket, JoinOptions::default()).await
    }

    /// Joins the room that `ticket` is for. Needs a tokio runtime with IO and time.
    ///
    /// What a join has to wait for is told to [`JoinOptions::on_progress`], and as a warning to `tracing`.
    ///
    /// Cancellation-safe: a join that is given up leaves nothing behind.
    ///
    /// # Errors
    /// [`JoinError`]
    pub async fn join_with(ticket: &str, options: JoinOptions) -> Result<Self, JoinError> {
        let ticket = Ticket::parse(ticket)?;
        if usize::from(options.slots) > MAX_SLOTS {
            return Err(JoinError::Options("at most 32 slots"));
        }
        let host = Host {
            name: ticket.host.to_owned(),
            port: ticket.port,
        };
        let servers = resolve(&host).await?;
        Self::join_found(&ticket, options, host, &servers).await
    }

    /// Joins at one of `servers`, which are the addresses of `host` now.
    pub(in crate::client) async fn join_found(
        ticket: &Ticket<'_>,
        options: JoinOptions,
        host: Host,
        servers: &[SocketAddr],
    ) -> Result<Self, JoinError> {
        let shared = on_a_large_stack(|| start(ticket, &options))?;
        let (alive, abandoned) = oneshot::channel();
        let (rebinds, rebind_requests) = mpsc::channel(1);
        let transports = options.transport.core();
        let driver = Driver::new(Arc::clone(&shared), transports, host, servers);
        driver.spawn(rebind_requests, abandoned);
        let room = Self {
            shared,
            rebinds,
            _alive: Arc::new(alive),
        };
        let address = format!("{}:{}", ticket.host, ticket.port);
        let ways = match transports {
            Transports::UdpOrTcp => 2,
            Transports::Udp | Transports::Tcp => 1,
        };
        let targets = servers.len().min(MAX_ADDRESSES) * ways;
        let Some(mut status) = room.answer(&options, targets).await else {
            return Err(room.no_answer(address, targets));
        };
        if status == Status::Waiting && options.wait_in_lobby {
            tell(&options, &JoinProgress::Lobby);
            status = room.status(|status| status != Status::Waiting).await;
        }
        match status {
            Status::Closed(cause) => Err(match cause {
                CloseCause::Refused(refusal) => JoinError::Refused(refusal),
                CloseCause::Closed(reason) => JoinError::Closed(reason),
                CloseCause::VersionMismatch { supported } => JoinError::Version {
                    server: supported,
                    ours: VERSION,
                },
                _ => room.no_answer(address, targets),
            }),
            _ => Ok(room),
        }
    }

    /// Waits for the server's first word; `None` if it does not come by any of so many targets.
    async fn answer(&self, options: &JoinOptions, targets: usize) -> Option<Status> {
        let deadline = Instant::now() + options.timeout;
        let mut notice = (Instant::now() + NOTICE).min(deadline);
        let answered = self.status(|status| status != Status::Joining);
        tokio::pin!(answered);
        let mut is_told = false;
        loop {
            if let Ok(status) = tokio::time::timeout_at(notice, &mut answered).await {
                return Some(status);
            }
            let is_refused = self.shared.lock().tried.is_refused_everywhere(targets);
            if is_refused || notice >= deadline {
                return None;
            }
            if !std::mem::replace(&mut is_told, true) {
                let tried = self.shared.lock().tried.to_string();
                tell(options, &JoinProgress::NoAnswer { tried });
            }
            notice = (notice + NOTICE).min(deadline);
        }
    }

    fn no_answer(&self, address: String, targets: usize) -> JoinError {
        let tried = &self.shared.lock().tried;
        let (is_refused, tried) = (tried.is_refused_everywhere(targets), tried.to_string());
        if is_refused {
            JoinError::NobodyListens { address, tried }
        } else {
            JoinError::NoAnswer { address, tried }
        }
    }
}

fn tell(options: &JoinOptions, progress: &JoinProgress) {
    match progress {
        JoinProgress::NoAnswer { .. } => tracing::warn!(%progress, "joining"),
        JoinProgress::Lobby => tracing::info!(%progress, "joining"),
    }
    if let Some(OnProgress(tell)) = &options.on_progress {
        tell(progress);
    }
}

async fn resolve(host: &Host) -> Result<Vec<SocketAddr>, JoinError> {
    let unknown = |cause: String| JoinError::UnknownHost {
        host: host.name.clone(),
        cause,
    };
    let found = host.clone().resolve().await;
    let servers = found.map_err(|error| unknown(error.to_string()))?;
    if servers.is_empty() {
        return Err(unknown("the name has no address".to_owned()));
    }
    Ok(servers)
}

fn start(ticket: &Ticket<'_>, options: &JoinOptions) -> Result<Arc<Shared>, JoinError> {
    let clock = Clock::new();
    let config = Config {
        policy: options.policy,
        slots: Some(options.slots),
        ..Config::default()
    };
    let (now, rng) = (clock.now(), &mut OsRng);
    #[cfg(feature = "record")]
    let mut client = match &options.record {
        Some(sink) => Client::recorded(ticket, &config, now, rng, sink.clone())?,
        None => Client::new(ticket, &config, now, rng)?,
    };
    #[cfg(not(feature = "record"))]
    let mut client = Client::new(ticket, &config, now, rng)?;
    let mut prepared = BTreeMap::new();
    for (key, options) in &options.publish {
        let published = client.publish(publication(key, options));
        published.map_err(|_| {
            JoinError::Options("at most 4 streams to publish, each with a key of its own")
        })?;
        prepared.insert(key.clone(), options.codec.core());
    }
    Ok(Shared::new(clock, options.slots, client, prepared))
}
