//! The HTTP API: REST under `/v1`, and `/openapi.json`, which is made from this code.
//!
//! A handler reads its request strictly (`extract`), asks for a scope in its signature (`caller`), has the store's writer do
//! the change, then changes the [registry](crate::registry), and then acts on the rooms.

mod admins;
mod audit;
mod backup;
mod bans;
mod caller;
mod change;
mod compositions;
mod deliveries;
mod describe;
mod drain;
mod erasures;
mod events;
mod extract;
mod file;
mod guests;
mod idempotency;
mod keys;
pub(crate) mod limits;
mod list;
mod lobby;
mod login;
mod many;
mod marks;
mod measured;
mod page;
mod participants;
pub mod problem;
mod recordings;
mod reference;
mod requests;
mod rooms;
mod routes;
mod server;
mod sessions;
mod speakers;
mod statistics;
mod stats;
mod strict;
mod tokens;
mod web;
mod webhooks;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use parlour_tokio::WorkerLoad;
use parlour_tokio::token::ApiKey;
use tokio::sync::{Notify, watch};
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

use crate::compositions::Compositions;
use crate::config::Config;
use crate::counted::Counted;
use crate::logins::Logins;
use crate::recordings::Recordings;
use crate::registry::{Key, Registry};
use crate::scribe::Readers;
use crate::seal::{SealError, Sealer};
use crate::store::{KeyRow, Place, Store};
use crate::time::Timestamp;
use crate::web::{self as carriages, Web};
use crate::webhooks::Webhooks;
use limits::Gate;
use problem::{Kind, Problem};
use requests::{REQUEST_ID, Ulids, detached, identified, secure_headers, span, without_odd_id};

/// Bytes of a request's body.
const MAX_BODY: usize = 1 << 20;

/// The state that the handlers share. Clones are the same.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    store: Store,
    registry: Arc<Registry>,
    rooms: parlour_tokio::Server,
    readers: Readers,
    sealer: Arc<Sealer>,
    webhooks: Webhooks,
    web: Web,
    counted: Counted,
    gate: Gate,
    logins: Logins,
    /// Whether admins log in with a password.
    asks_password: bool,
    started_at: Timestamp,
    /// What ends a drain that goes on.
    drain: Mutex<Option<drain::Deadline>>,
    is_stopping: AtomicBool,
    /// Requests with an `Idempotency-Key` that are being answered: the caller, and that.
    in_progress: Mutex<BTreeSet<(String, String)>>,
    closing: watch::Sender<bool>,
    recorder: audit::Recorder,
    recordings: Recordings,
    compositions: Compositions,
    erasure_begun: Arc<Notify>,
    backups: Backups,
    /// Held from a change of the tables until registry and rooms have it, so that all three change in one order.
    changing: tokio::sync::Mutex<()>,
}

/// What a backup copies, and where to.
#[derive(Debug)]
struct Backups {
    place: Place,
    key_file: PathBuf,
    folder: PathBuf,
    busy: tokio::sync::Mutex<()>,
}

impl Backups {
    /// As the configuration has it.
    fn new(config: &Config) -> Self {
        Self {
            place: config.place(),
            key_file: config.media.key_file.clone(),
            folder: config.backups(),
            busy: tokio::sync::Mutex::default(),
        }
    }
}

impl Parts {
    /// Has the rooms accept the secrets that are valid now, if these are others than before.
    pub(crate) fn expire_secrets(&self, accepted: &mut Vec<ApiKey>) {
        let now = self.registry.signing_keys(Timestamp::now());
        if now != *accepted {
            match self.rooms.set_api_keys(now.clone()) {
                Ok(()) => *accepted = now,
                Err(error) => tracing::error!(%error, "the rooms keep the former keys"),
            }
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn rooms(&self) -> &parlour_tokio::Server {
        &self.rooms
    }

    /// Whether no session may begin.
    pub(crate) fn is_draining(&self) -> bool {
        self.rooms.is_draining()
    }

    /// How each worker fares.
    pub(crate) fn load(&self) -> Vec<WorkerLoad> {
        self.rooms.load()
    }

    /// The rooms as they are now.
    pub(crate) async fn snapshot(&self) -> parlour_tokio::Snapshot {
        self.rooms.rooms().await
    }

    /// How well the participants of all sessions are connected.
    pub(crate) async fn session_statistics(&self) -> Vec<parlour_tokio::SessionStatistics> {
        self.rooms.session_statistics().await
    }
}

impl From<Arc<Parts>> for App {
    fn from(parts: Arc<Parts>) -> Self {
        Self(parts)
    }
}

impl App {
    /// The API of a server with these rooms. `registry` is their doorkeeper, and holds what `store` holds. `config` says
    /// how much a client may, and what a backup copies. Call it within a runtime of tokio.
    pub(crate) fn new(
        store: Store,
        registry: Arc<Registry>,
        rooms: parlour_tokio::Server,
        sealer: Arc<Sealer>,
        webhooks: Webhooks,
        web: Web,
        config: &Config,
    ) -> Self {
        let counted = Counted::default();
        let recordings = Recordings::new(config, counted.clone());
        Self(Arc::new(Parts {
            compositions: Compositions::new(config, recordings.clone()),
            recordings,
            backups: Backups::new(config),
            web,
            recorder: audit::Recorder::new(store.clone()),
            erasure_begun: Arc::default(),
            store,
            registry,
            rooms,
            readers: Readers::default(),
            sealer,
            webhooks,
            counted,
            gate: Gate::new(&config.http),
            logins: Logins::default(),
            asks_password: config.portal.password,
            started_at: Timestamp::now(),
            drain: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            in_progress: Mutex::default(),
            closing: watch::Sender::new(false),
            changing: tokio::sync::Mutex::default(),
        }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// The store, once it holds what has happened in the rooms until now.
    pub(crate) async fn history(&self) -> &Store {
        self.readers().caught_up().await;
        self.store()
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.0.readers
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    pub(crate) fn rooms(&self) -> &parlour_tokio::Server {
        &self.0.rooms
    }

    /// When this server began.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// Says that the process ends: no drain can be ended any more, and none has a deadline of its own.
    pub(crate) fn set_stopping(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
        *self.drain() = None;
    }

    fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::Relaxed)
    }

    fn drain(&self) -> MutexGuard<'_, Option<drain::Deadline>> {
        let locked = self.0.drain.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn logins(&self) -> &Logins {
        &self.0.logins
    }

    fn asks_password(&self) -> bool {
        self.0.asks_password
    }

    pub(crate) fn counted(&self) -> &Counted {
        &self.0.counted
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// Told when there is something to erase.
    pub(crate) fn erasure_begun(&self) -> &Arc<Notify> {
        &self.0.erasure_begun
    }

    fn backups(&self) -> &Backups {
        &self.0.backups
    }

    fn recorder(&self) -> &audit::Recorder {
        &self.0.recorder
    }

    pub(crate) fn recordings(&self) -> &Recordings {
        &self.0.recordings
    }

    pub(crate) fn compositions(&self) -> &Compositions {
        &self.0.compositions
    }

    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.0.webhooks
    }

    pub(crate) fn web(&self) -> &Web {
        &self.0.web
    }

    /// The right to change what tables, registry and rooms hold alike.
    pub(crate) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.changing.lock().await
    }

    fn in_progress(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        let locked = self.0.in_progress.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the registry and the rooms take the keys that the store has now.
    ///
    /// # Errors
    /// If they cannot be read or opened; the former ones stay.
    pub(crate) async fn reload_keys(&self) -> Result<(), Problem> {
        let rows = self.store().keys().await?;
        let keys = open_keys(rows, self.sealer());
        let keys = keys.map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
        self.registry().set_keys(keys.valid, keys.revoked);
        let signing = self.registry().signing_keys(Timestamp::now());
        let set = self.rooms().set_api_keys(signing);
        set.map_err(|error| Problem::new(Kind::NotPossible, error.to_string()))
    }

    /// Where the rooms' workers listen.
    pub fn media_addresses(&self) -> &[SocketAddr] {
        self.rooms().addresses()
    }

    /// All of a ticket but its token, which follows after a `#`.
    pub fn ticket_base(&self) -> String {
        self.rooms().ticket_base()
    }

    /// The oldest key that works, as an `Authorization` header has it.
    pub fn first_key(&self) -> Option<String> {
        self.registry().first_key()
    }

    /// Ends the streams of events, so that no request is left open.
    pub(crate) fn end_streams(&self) {
        self.0.closing.send_replace(true);
    }

    /// Becomes `true` when streams of events are to end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    /// A handle that does not keep the rooms open.
    pub(crate) fn downgrade(&self) -> Weak<Parts> {
        Arc::downgrade(&self.0)
    }

    /// Ends the rooms: participants are told. Gives the store, which the last events may still need.
    pub(crate) async fn shut_down_rooms(self) -> Store {
        let store = self.store().clone();
        // Requests are answered by now, so that this is the last clone. If it is not, the rooms end with the last one.
        if let Some(parts) = Arc::into_inner(self.0) {
            parts.rooms.shutdown().await;
        }
        store
    }

    /// The service that answers requests.
    pub fn router(self) -> Router {
        let (routes, mut openapi) = routes::described().split_for_parts();
        describe::complete(&mut openapi);
        let parameters = (self.clone(), Arc::new(strict::Parameters::of(&mut openapi)));
        let openapi = Arc::new(openapi);
        let document = move || async move { axum::Json(Arc::unwrap_or_clone(openapi)) };
        let idempotent = middleware::from_fn_with_state(self.clone(), idempotency::answer_once);
        routes
            .layer(idempotent)
            .layer(middleware::from_fn_with_state(self.clone(), audit::keep))
            .layer(middleware::from_fn(detached))
            .layer(middleware::from_fn_with_state(
                parameters,
                strict::refuse_unknown,
            ))
            .route("/openapi.json", axum::routing::get(document))
            .route(
                &format!("{}/{{port}}", carriages::PATH),
                axum::routing::get(web::connect),
            )
            .merge(page::router())
            .fallback(|| async {
                Problem::new(
                    Kind::NotFound,
                    "there is no such path; /openapi.json lists those there are",
                )
            })
            .method_not_allowed_fallback(|| async {
                Problem::new(
                    Kind::MethodNotAllowed,
                    "/openapi.json lists the methods of each path",
                )
            })
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(middleware::from_fn_with_state(self.clone(), limits::limit))
            .layer(middleware::from_fn_with_state(self.clone(), secure_headers))
            .layer(middleware::from_fn_with_state(
                self.clone(),
                measured::measure,
            ))
            .layer(middleware::from_fn(identified))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(TraceLayer::new_for_http().make_span_with(span))
            .layer(SetRequestIdLayer::new(REQUEST_ID, Ulids))
            .layer(middleware::map_request(without_odd_id))
            .layer(middleware::from_fn_with_state(
                self.clone(),
                limits::identify,
            ))
            .with_state(self)
    }
}

/// Keys with their secrets.
pub(crate) struct Keys {
    pub(crate) valid: Vec<Key>,
    pub(crate) revoked: Vec<Key>,
}

/// Keys as the tables have them, with their secrets.
pub(crate) fn open_keys(rows: Vec<KeyRow>, sealer: &Sealer) -> Result<Keys, SealError> {
    let open = |row: KeyRow| {
        let former = row.former.map(|(sealed, until)| {
            let secret = sealer.open(&row.id, &sealed)?;
            Ok((secret, until))
        });
        Ok(Key {
            secret: sealer.open(&row.id, &row.sealed)?,
            former: former.transpose()?,
            scopes: row.scopes,
            id: row.id,
        })
    };
    let (valid, revoked): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.revoked_at.is_none());
    Ok(Keys {
        valid: valid.into_iter().map(open).collect::<Result<_, _>>()?,
        revoked: revoked.into_iter().map(open).collect::<Result<_, _>>()?,
    })
}

/// The API's description as OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut openapi = routes::described().split_for_parts().1;
    describe::complete(&mut openapi);
    openapi
}

/// The API's description as a page to read.
///
/// # Errors
/// If it cannot be written, which does not happen.
pub fn reference() -> anyhow::Result<String> {
    Ok(reference::markdown(&serde_json::to_value(openapi())?)?)
}
