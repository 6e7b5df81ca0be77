//! Puts the server together: tables, registry, rooms, API.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum_server::Handle;
use futures_util::future::BoxFuture;
use parlour_tokio::{
    BindError, Doorkeeper, KeyFileError, Server, ServerConfig, load_or_create_key,
};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::api::{App, Parts, open_keys};
use crate::auth::{Scope, random_secret};
use crate::config::{Config, Tls};
pub use crate::http::TlsError;
use crate::http::{self, Certificates};
use crate::metrics::{self, Source};
use crate::recordings::{self, Spool};
use crate::registry::Registry;
use crate::scribe::{self, Scribe};
use crate::seal::{Sealer, Veil};
use crate::statistics::Sampler;
use crate::store::{KeyRow, OpenError, Place, Store, StoreError};
use crate::time::Timestamp;
use crate::web::{self, Transport, Web, WebError};
use crate::webhooks::Webhooks;
use crate::webhooks::target::Rules;
use crate::{erasure, retention};

/// How long an end waits for those who do not come to theirs.
const LINGER: Duration = Duration::from_secs(5);

/// The id of the key that is made at the first start.
const FIRST_KEY: &str = "first";

/// Why the server does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The tables cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The tables cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private key cannot be read.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// There are tables, but not the key that opens what is sealed in them.
    #[error(
        "the key file {path} is missing, but there is a database: a new key would void all tickets and API keys; \
         restore the key file, or move the database away to begin anew"
    )]
    KeyFileMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A key in the tables does not open, or is none.
    #[error("the API keys cannot be read: {0}")]
    Keys(String),
    /// The rooms' sockets cannot be opened.
    #[error(transparent)]
    Rooms(#[from] BindError),
    /// There is no certificate to show.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket of the figures cannot be opened.
    #[error(
        "cannot listen at {address} for metrics: {source}; choose another address in `metrics.listen`"
    )]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// WebTransport cannot be offered.
    #[error(transparent)]
    Web(#[from] WebError),
    /// Everybody could do everything.
    #[error(
        "`portal.password = false` lets everybody in, and {0} is not an address of this machine only: listen at 127.0.0.1, or let \
         admins log in"
    )]
    PortalOpen(SocketAddr),
    /// There is no thread to be had.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The API's socket cannot be opened.
    #[error("cannot listen at {address} for HTTP: {source}; is another server running there?")]
    Http {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// Why a server ended that was not told to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The API's socket has failed.
    #[error("the API's socket has failed: {0}")]
    Http(#[from] std::io::Error),
    /// A worker has panicked: the rooms of this one are gone, and a server without one of its workers must not look well.
    #[error(
        "the thread of worker {0} has panicked, and its rooms are gone; start the server again, and report the panic"
    )]
    Worker(usize),
    /// Another process has the database.
    #[error(
        "another server has taken the database while PostgreSQL was away: two would write one history; stop one of them"
    )]
    DatabaseLost,
}

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    app: App,
    listener: TcpListener,
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    tls: Tls,
    certificates: Option<Certificates>,
    transport: Option<Transport>,
    /// How long a new connection may take to send the head of a request.
    first_request: Duration,
    scribe: JoinHandle<()>,
    sampler: JoinHandle<()>,
    /// What goes on beside, until the end.
    beside: AbortOnDrop,
    made_key: Option<String>,
    drain: Duration,
}

/// Tasks that end with the server.
#[derive(Debug)]
struct AbortOnDrop(Vec<JoinHandle<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Running {
    /// Starts what `config` says.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(config: &Config) -> BoxFuture<'_, Result<Self, StartError>> {
        // Boxed here, it is compiled once: an `async fn` is compiled in each program that awaits it, with all that it starts.
        Box::pin(Self::guarded(config, |registry| registry))
    }

    /// Starts what `config` says, with a doorkeeper before or in place of the registry.
    async fn guarded(
        config: &Config,
        guard: impl FnOnce(Arc<Registry>) -> Arc<dyn Doorkeeper>,
    ) -> Result<Self, StartError> {
        // Whoever speaks TLS in this process does it by this; an error says that it is set already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if !config.portal.password && !config.http.listen.ip().is_loopback() {
            return Err(StartError::PortalOpen(config.http.listen));
        }
        let certificates = http::certificates(&config.http.tls)?;
        let place = config.place();
        let key_file = &config.media.key_file;
        let missing = || StartError::KeyFileMissing {
            path: key_file.clone(),
        };
        if let Place::Sqlite(path) = &place {
            if !path.exists() {
                // Before there is a database that would miss it.
                load_or_create_key(key_file)?;
            } else if !key_file.exists() {
                return Err(missing());
            }
        }
        let store = Store::open(&place).await?;
        let mut keys = store.keys().await?;
        if !keys.is_empty() && !key_file.exists() {
            return Err(missing());
        }
        let identity = load_or_create_key(key_file)?;
        let sealer = Arc::new(Sealer::new(identity.secret().expose_bytes()));
        let veil = Veil::new(identity.secret().expose_bytes());
        let mut made_key = None;
        if keys.is_empty() {
            made_key = Some(make_first_key(&store, &sealer).await?);
            keys = store.keys().await?;
        }
        let registry = Arc::new(Registry::new(config.rooms.auto_create, veil));
        let keys = open_keys(keys, &sealer);
        let keys = keys.map_err(|error| StartError::Keys(error.to_string()))?;
        registry.set_keys(keys.valid, keys.revoked);
        fill(&registry, &store).await?;
        let found = recordings::find(&store, &Spool::new(config.spool())).await?;
        scribe::recover(&store, found).await?;
        let address = config.http.listen;
        let refused = |source| StartError::Http { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let metrics = metrics::bind(config.metrics.listen).await;
        let metrics =
            metrics.map_err(|(address, source)| StartError::Metrics { address, source })?;
        let metrics_address = metrics
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        let signing = registry.signing_keys(Timestamp::now());
        let first = signing.first().cloned();
        let first =
            first.ok_or_else(|| StartError::Keys("none of them may sign tokens".to_owned()))?;
        let mut media = ServerConfig::new(config.media.listen, first);
        media.api_keys = signing;
        media.host.clone_from(&config.media.host);
        media.senders = config.media.senders;
        media.key_file = Some(key_file.clone());
        media.doorkeeper = guard(Arc::clone(&registry));
        if config.media.workers > 0 {
            media.workers = config.media.workers;
        }
        let transport = web::bind(config, certificates.as_ref())?;
        let web = Web::new(config, transport.as_ref());
        let rooms = Server::bind(media)?;
        let rules = Rules {
            allow_private: config.webhooks.allow_private,
        };
        let webhooks = Webhooks::start(store.clone(), Arc::clone(&sealer), rules).await?;
        let eraser = Arc::clone(&sealer);
        let logins = store.logins().await?;
        let app = App::new(store, registry, rooms, sealer, webhooks, web, config);
        app.logins().fill(logins);
        let scribe = tokio::spawn(Scribe::new(&app).run());
        let sampler = tokio::spawn(Sampler::new(&app).run());
        let wake = {
            let (recordings, compositions) = (
                Arc::clone(app.recordings().wake()),
                app.compositions().clone(),
            );
            move || {
                recordings.notify_one();
                compositions.wake();
            }
        };
        // These end when the app does.
        tokio::spawn(retention::hourly(
            app.store().clone(),
            config.retention,
            wake.clone(),
            app.closing(),
        ));
        tokio::spawn(erasure::run(
            app.store().clone(),
            eraser,
            Arc::clone(app.erasure_begun()),
            wake,
            app.closing(),
        ));
        app.recordings().begin(&app).map_err(StartError::Thread)?;
        app.compositions().begin(&app);
        let source = Source {
            parts: app.downgrade(),
            certificates: certificates.clone(),
            started_at: app.started_at(),
        };
        let counted = app.counted().clone();
        let events = app.rooms().events();
        let mut beside = vec![
            tokio::spawn(metrics::serve(metrics, counted, source, events)),
            tokio::spawn(http::renew(config.http.tls.clone(), certificates.clone())),
        ];
        if let Some(transport) = transport.clone() {
            let serving = transport.serve(app.web().clone(), app.downgrade());
            beside.push(tokio::spawn(serving));
        }
        Ok(Self {
            app,
            listener,
            address,
            metrics_address,
            tls: config.http.tls.clone(),
            certificates,
            transport,
            first_request: Duration::from_secs(config.http.limits.receive_s.get().into()),
            scribe,
            sampler,
            beside: AbortOnDrop(beside),
            made_key,
            drain: Duration::from_secs(config.drain.timeout_s),
        })
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the figures for Prometheus are, at `/metrics`.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// How to have a running server take another configuration.
    pub fn reloader(&self) -> Reloader {
        Reloader {
            parts: self.app.downgrade(),
            tls: self.tls.clone(),
            certificates: self.certificates.clone(),
        }
    }

    /// The key that was made at this first start, as an `Authorization` header has it. Show it: it is not shown again.
    pub fn made_key(&self) -> Option<&str> {
        self.made_key.as_deref()
    }

    /// The state that the API's handlers share.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Serves until `end` is there. Then no session begins any more, and those that go on have as long as
    /// [`Drain`](crate::config::Drain) says, or until `now` is there. At last all are told that the server shuts down, and
    /// what happened in the rooms is written and told.
    ///
    /// # Errors
    /// [`ServeError`]
    pub fn until(
        self,
        end: impl Future<Output = ()> + Send + 'static,
        now: impl Future<Output = ()> + Send + 'static,
    ) -> BoxFuture<'static, Result<(), ServeError>> {
        self.serve(Box::pin(end), Box::pin(now))
    }

    /// [`until`](Self::until), compiled once for all futures.
    fn serve(
        self,
        end: BoxFuture<'static, ()>,
        now: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, Result<(), ServeError>> {
        Box::pin(self.served(end, now))
    }

    async fn served(
        self,
        end: BoxFuture<'static, ()>,
        now: BoxFuture<'static, ()>,
    ) -> Result<(), ServeError> {
        let handle = Handle::new();
        let router = self.app.clone().router();
        let listener = self.listener.into_std()?;
        let certificates = self.certificates;
        let serving = http::serve(
            listener,
            router,
            certificates,
            self.first_request,
            handle.clone(),
        );
        let mut serving = tokio::spawn(serving);
        let mut failed = tokio::select! {
            () = end => None,
            error = failure(&self.app) => Some(error),
            // It does not end by itself, unless it fails.
            served = &mut serving => return Ok(served.unwrap_or(Ok(()))?),
        };
        self.app.set_stopping();
        if failed.is_none() {
            let seconds = self.drain.as_secs();
            tracing::info!(
                seconds,
                "draining: sessions may go on for so long; ask once more to end at once"
            );
            let deadline_at = Timestamp::now().after(self.drain);
            let told = scribe::tell_draining(self.app.store(), Some(deadline_at), None);
            match timeout(LINGER, told).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the drain is not written down"),
                Err(_) => {
                    tracing::error!("the drain is not written down: the database does not answer");
                }
            }
            failed = tokio::select! {
                _ = self.app.rooms().drain(self.drain) => None,
                () = now => None,
                error = failure(&self.app) => Some(error),
            };
        }
        self.app.end_streams();
        // A client that does not finish its request, or does not read, holds nothing up.
        handle.graceful_shutdown(Some(LINGER));
        let served = serving.await.unwrap_or(Ok(()));
        drop(self.beside);
        // It may hold the rooms for a moment, which have to end here.
        let mut sampler = self.sampler;
        if timeout(LINGER, &mut sampler).await.is_err() {
            sampler.abort();
        }
        let webhooks = self.app.webhooks().clone();
        let web = self.app.web().clone();
        let recordings = self.app.recordings().clone();
        let compositions = self.app.compositions().clone();
        let store = self.app.shut_down_rooms().await;
        // Participants are told by the rooms, and these bring it to them.
        web.ended(LINGER).await;
        if let Some(transport) = self.transport {
            transport.close(LINGER).await;
        }
        recordings.shut_down(LINGER).await;
        compositions.shut_down(LINGER).await;
        // Nor does a database that fails: what it lacks is made up for at the next start.
        if timeout(LINGER, self.scribe).await.is_err() {
            tracing::error!("the end of the history is not written");
        }
        webhooks.shut_down(LINGER).await;
        let _ = timeout(LINGER, store.close()).await;
        failed.map_or(Ok(()), Err)?;
        Ok(served?)
    }
}

/// What a server cannot go on with, as soon as it is there.
async fn failure(app: &App) -> ServeError {
    tokio::select! {
        worker = app.rooms().failed() => ServeError::Worker(worker),
        () = app.store().lost() => ServeError::DatabaseLost,
    }
}

/// Has a running server take another configuration, as far as it can.
#[derive(Debug, Clone)]
pub struct Reloader {
    parts: Weak<Parts>,
    tls: Tls,
    certificates: Option<Certificates>,
}

impl Reloader {
    /// Reads the files of the certificate, and the API keys in the tables, anew. What cannot be read stays as it was, and the
    /// log says why.
    pub async fn reload(&self, config: &Config) {
        match (&config.http.tls, &self.tls, &self.certificates) {
            (Tls::Files { cert, key }, Tls::Files { .. }, Some(certificates)) => {
                match certificates.reload(cert, key) {
                    Ok(()) => tracing::info!(file = %cert.display(), "read the certificate"),
                    Err(error) => tracing::error!(%error, "the former certificate stays"),
                }
            }
            (now, before, _) if now != before => {
                tracing::warn!("`http.tls` is of another kind: that takes a restart");
            }
            _ => {}
        }
        let Some(parts) = self.parts.upgrade() else {
            return;
        };
        let app = App::from(parts);
        // Else a key that is revoked meanwhile would come back.
        let _changing = app.changing().await;
        match app.reload_keys().await {
            Ok(()) => tracing::info!("read the API keys"),
            Err(problem) => tracing::error!(why = problem.detail(), "the former API keys stay"),
        }
    }
}

/// A key that may do everything, for whoever starts the server for the first time.
async fn make_first_key(store: &Store, sealer: &Sealer) -> Result<String, StoreError> {
    let secret = random_secret("");
    let row = KeyRow {
        id: FIRST_KEY.to_owned(),
        sealed: sealer.seal(FIRST_KEY, &secret),
        former: None,
        scopes: [Scope::Admin].into_iter().collect(),
        created_at: Timestamp::now(),
        revoked_at: None,
    };
    let written: Result<(), StoreError> = store
        .write(move |tx| Box::pin(async move { tx.put_key(&row).await }))
        .await;
    written?;
    Ok(format!("{FIRST_KEY}.{secret}"))
}

/// Fills the registry with what the store holds, but for the keys.
async fn fill(registry: &Registry, store: &Store) -> Result<(), StoreError> {
    for room in store.all_rooms().await? {
        registry.put_room(&room.name, &room.settings);
    }
    for ban in store.bans(None).await? {
        registry.put_ban(&ban);
    }
    for mark in store.marks().await? {
        registry.put_mark(&mark);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use parlour_tokio::core::server::Admission;
    use parlour_tokio::core::signal::JoinRefusal;
    use parlour_tokio::token::Claims;
    use parlour_tokio::{JoinRequest, RefreshRequest, Room};

    use super::*;

    /// A doorkeeper with a mistake.
    #[derive(Debug)]
    struct Faulty;

    impl Doorkeeper for Faulty {
        fn admit(&self, request: &JoinRequest<'_>) -> Result<Admission, JoinRefusal> {
            panic!(
                "a worker that dies, as this test wants: {:?}",
                request.claims.room
            )
        }

        fn refresh(&self, _: &RefreshRequest<'_>) -> Option<Admission> {
            None
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_that_panics_ends_the_server_with_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::dev(folder.path());
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.media.listen = ([127, 0, 0, 1], 0).into();
        config.media.workers = 2;
        config.metrics.listen = None;
        let running = Running::guarded(&config, |_| Arc::new(Faulty))
            .await
            .unwrap();
        let claims = Claims::new("kitchen", "anna", Duration::from_secs(60)).unwrap();
        let ticket = running.app().rooms().ticket(&claims).unwrap();
        let joining = tokio::spawn(async move { drop(Room::join(&ticket).await) });
        let ended = timeout(Duration::from_secs(30), running.until(pending(), pending())).await;
        assert!(
            matches!(ended, Ok(Err(ServeError::Worker(0 | 1)))),
            "{ended:?}"
        );
        joining.abort();
        // What was open is closed: another server can have the tables.
        Store::open(&config.place()).await.unwrap();
    }
}
