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
mod measured;
mod page;
mod participants;
pub mod problem;
mod recordings;
mod reference;
mod rooms;
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
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use parlour_tokio::WorkerLoad;
use parlour_tokio::token::ApiKey;
use tokio::sync::{Notify, watch};
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::trace::TraceLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::compositions::Compositions;
use crate::config::Config;
use crate::counted::Counted;
use crate::logins::Logins;
use crate::recordings::Recordings;
use crate::registry::{Key, Registry};
use crate::seal::{SealError, Sealer};
use crate::store::{KeyRow, Place, Store};
use crate::time::Timestamp;
use crate::web::{self as carriages, Web};
use crate::webhooks::Webhooks;
use limits::{Client, Gate};
use problem::{Kind, Problem};

/// Bytes of a request's body.
const MAX_BODY: usize = 1 << 20;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The state that the handlers share. Clones are the same.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    store: Store,
    registry: Arc<Registry>,
    rooms: parlour_tokio::Server,
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
        let (routes, mut openapi) = described().split_for_parts();
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
    let mut openapi = described().split_for_parts().1;
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

#[derive(OpenApi)]
#[openapi(
    info(title = "Parlour", description = "Rooms, tokens and history of a Parlour server.", license(name = "MIT OR Apache-2.0")),
    components(schemas(problem::ProblemBody, list::Order, events::Switch)),
    tags(
        (name = "rooms", description = "A room is a long-lived name with settings; what goes on in it is a session."),
        (name = "tokens", description = "A participant joins with a token, or with a ticket, which holds one."),
        (name = "bans", description = "A banned participant is kept out of a room, whatever token it brings."),
        (name = "lobby", description = "The participants that wait to be let into a room."),
        (name = "sessions", description = "One run of a room: from the first join until all have left, or it is ended."),
        (name = "recordings", description = "The media of sessions as files, each stream of each stay one."),
        (name = "compositions", description = "The recordings of a session as one file."),
        (name = "participants", description = "The participants of sessions, past and present, their stays and streams."),
        (name = "events", description = "The journal: every fact, in the order in which it was committed."),
        (name = "webhooks", description = "A webhook sends events to a receiver: signed, at least once, and in order for each room."),
        (name = "keys", description = "An API key opens this API and signs participants' tokens."),
        (name = "admins", description = "Those who may log in to the portal, and their logins."),
        (name = "audit", description = "Who did what by this API."),
        (name = "erasures", description = "Takes a participant's id and name out of history."),
        (name = "web", description = "How participants in browsers reach the server."),
        (name = "server", description = "The server itself."),
    ),
    modifiers(&Security)
)]
struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some(
            "`<id>.<secret>` of an API key. The scope that a key needs stands with each operation; a key with the scope \
             `admin` may do everything."
                .to_owned(),
        );
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(rooms::list, rooms::create))
        .routes(routes!(rooms::get, rooms::put, rooms::patch, rooms::delete))
        .routes(routes!(tokens::mint))
        .routes(routes!(tokens::refresh))
        .routes(routes!(tokens::revoke))
        .routes(routes!(guests::create))
        .routes(routes!(guests::join))
        .routes(routes!(bans::list))
        .routes(routes!(bans::put, bans::delete))
        .routes(routes!(lobby::list))
        .routes(routes!(lobby::admit))
        .routes(routes!(lobby::deny))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::get))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::kick))
        .routes(routes!(sessions::censor))
        .routes(routes!(sessions::uncensor))
        .routes(routes!(sessions::message))
        .routes(routes!(statistics::list))
        .routes(routes!(
            recordings::session::status,
            recordings::session::start,
            recordings::session::stop
        ))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::delete_many))
        .routes(routes!(recordings::get, recordings::delete))
        .routes(routes!(recordings::content::content))
        .routes(routes!(compositions::list, compositions::create))
        .routes(routes!(compositions::get, compositions::delete))
        .routes(routes!(compositions::content))
        .routes(routes!(compositions::cancel))
        .routes(routes!(participants::search))
        .routes(routes!(participants::list))
        .routes(routes!(participants::get, participants::patch))
        .routes(routes!(participants::unpublish))
        .routes(routes!(events::list))
        .routes(routes!(events::stream))
        .routes(routes!(audit::list))
        .routes(routes!(admins::list))
        .routes(routes!(admins::put, admins::delete))
        .routes(routes!(login::get, login::log_in, login::log_out))
        .routes(routes!(erasures::list, erasures::create))
        .routes(routes!(erasures::get))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::delete))
        .routes(routes!(keys::rotate))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::get, webhooks::patch, webhooks::delete))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::replay))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::retry))
        .routes(routes!(server::get))
        .routes(routes!(backup::create))
        .routes(routes!(web::describe))
        .routes(routes!(stats::get))
        .routes(routes!(drain::begin, drain::end))
        .routes(routes!(server::health))
        .routes(routes!(server::readiness))
}

/// Numbers requests.
#[derive(Debug, Clone, Copy)]
struct Ulids;

impl MakeRequestId for Ulids {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        let id = ulid::Ulid::generate().to_string();
        HeaderValue::from_str(&id).ok().map(RequestId::new)
    }
}

fn span<B>(request: &axum::http::Request<B>) -> tracing::Span {
    let id = request.headers().get(&REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let client = request.extensions().get::<Client>();
    let client = client.map(|Client(address)| tracing::field::display(address));
    // The path, but not the query: it may hold what is nobody's business.
    tracing::info_span!("request", id, client, method = %request.method(), path = request.uri().path())
}

/// Answers in a task of its own: a client that goes away does not leave tables, registry and rooms at odds.
async fn detached(request: Request, next: Next) -> Response {
    let answered = tokio::spawn(next.run(request)).await;
    answered.unwrap_or_else(|_| Problem::new(Kind::Internal, "the log says why").into_response())
}

/// The longest id of a request that a client may choose.
const MAX_REQUEST_ID: usize = 128;

/// Leaves a request's id to the server, unless it is one that can be logged and given back.
async fn without_odd_id(mut request: Request) -> Request {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .map(HeaderValue::as_bytes);
    let is_odd = |id: &[u8]| {
        !(1..=MAX_REQUEST_ID).contains(&id.len()) || !id.iter().all(u8::is_ascii_graphic)
    };
    if id.is_some_and(is_odd) {
        request.headers_mut().remove(&REQUEST_ID);
    }
    request
}

/// Has a problem name its request.
async fn identified(request: Request, next: Next) -> Response {
    let id = request.headers().get(&REQUEST_ID).cloned();
    let response = next.run(request).await;
    match id {
        Some(id) => problem::with_instance(&id, response).await,
        None => response,
    }
}

/// Headers of every answer. Those of the API are for programs: nothing may embed, guess or keep them.
async fn secure_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_head_or_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if app.gate().is_tls() {
        let only = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, only);
    }
    if is_head_or_get {
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    response
}
