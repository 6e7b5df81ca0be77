//! The way into a room.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
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
#[cfg(feature = "websocket")]
use crate::client::TransportChoice;
use crate::client::driver::{Driver, Host};
use crate::client::shared::{Shared, Status};
use crate::client::stack::on_a_large_stack;
use crate::client::web::Web;
use crate::client::{JoinError, JoinOptions};
use crate::clock::Clock;
use crate::machine::Client;

/// After this time without an answer, the application is told.
const NOTICE: Duration = Duration::from_secs(2);

/// The reason that a join waits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinProgress {
    /// No answer for two seconds: the server is down or has another key, the ticket names another port, or a firewall
    /// is between. The join goes on.
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

/// The handler of a join's progress.
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
    /// [`JoinOptions::on_progress`] is told why a join waits, and `tracing` gets a warning.
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
        let ways = Ways::new(&options, &host)?;
        let servers = ways.resolve(&host).await?;
        Self::join_found(&ticket, options, ways, host, &servers).await
    }

    /// Joins at one of `servers`, which are the addresses of `host` now.
    pub(in crate::client) async fn join_found(
        ticket: &Ticket<'_>,
        options: JoinOptions,
        ways: Ways,
        host: Host,
        servers: &[SocketAddr],
    ) -> Result<Self, JoinError> {
        let shared = on_a_large_stack(|| start(ticket, &options))?;
        let (alive, abandoned) = oneshot::channel();
        let (rebinds, rebind_requests) = mpsc::channel(1);
        let targets = ways.targets(servers);
        let driver = Driver::new(Arc::clone(&shared), ways, host, servers);
        driver.spawn(rebind_requests, abandoned);
        let room = Self {
            shared,
            rebinds,
            _alive: Arc::new(alive),
        };
        let address = format!("{}:{}", ticket.host, ticket.port);
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

    /// Waits for the server's first answer; `None` if none of this many targets answers.
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

/// The ways on which a client may reach the server.
#[derive(Debug, Clone)]
pub(in crate::client) struct Ways {
    pub(in crate::client) transports: Transports,
    /// That by WebSocket, if there is one.
    pub(in crate::client) web: Option<Web>,
    /// Whether that is the only one.
    pub(in crate::client) only_web: bool,
}

impl Ways {
    /// # Errors
    /// [`JoinError::Options`]
    pub(in crate::client) fn new(options: &JoinOptions, host: &Host) -> Result<Self, JoinError> {
        let transports = options.transport.core();
        #[cfg(feature = "websocket")]
        {
            let only_web = options.transport == TransportChoice::WebSocket;
            let web = match options.transport {
                TransportChoice::Auto | TransportChoice::WebSocket => {
                    Web::new(options.web.as_deref(), &host.name).map_err(JoinError::Options)?
                }
                TransportChoice::Udp | TransportChoice::Tcp => None,
            };
            if only_web && web.is_none() {
                return Err(JoinError::Options(
                    "the ticket names no host that has a certificate: say in `web` where the server takes WebSockets",
                ));
            }
            Ok(Self {
                transports,
                web,
                only_web,
            })
        }
        #[cfg(not(feature = "websocket"))]
        {
            let _ = host;
            Ok(Self {
                transports,
                web: None,
                only_web: false,
            })
        }
    }

    /// The addresses of the server. Behind a proxy, names may have none, and the proxy knows them.
    ///
    /// # Errors
    /// [`JoinError::UnknownHost`]
    async fn resolve(&self, host: &Host) -> Result<Vec<SocketAddr>, JoinError> {
        let nowhere = vec![(Ipv4Addr::UNSPECIFIED, host.port).into()];
        if self.only_web {
            return Ok(nowhere);
        }
        if !self.web.as_ref().is_some_and(Web::is_by_proxy) {
            return resolve(host).await;
        }
        let found = tokio::time::timeout(NOTICE, resolve(host)).await;
        Ok(found.ok().and_then(Result::ok).unwrap_or(nowhere))
    }

    /// How many targets there are at these addresses, beside the one by WebSocket.
    fn targets(&self, servers: &[SocketAddr]) -> usize {
        if self.only_web {
            return 0;
        }
        let of_each = match self.transports {
            Transports::UdpOrTcp => 2,
            Transports::Udp | Transports::Tcp => 1,
        };
        servers.len().min(MAX_ADDRESSES) * of_each
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
