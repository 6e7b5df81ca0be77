//! The server itself: what it is, and whether it works.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, Read};
use super::drain;
use super::problem::{Kind, Problem, Problems, kind};
use super::{App, MAX_BODY};
use crate::time::Timestamp;

/// The server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Server {
    /// The version of this program.
    version: &'static str,
    /// The version of the protocol that participants speak.
    protocol: u8,
    /// All of a ticket but its token, which follows after a `#`: for those who mint tokens themselves.
    ticket_base: String,
    /// The key that tickets pin, as base64url.
    public_key: String,
    /// Threads that serve rooms.
    workers: usize,
    started_at: Timestamp,
    /// Whether no session begins here any more.
    draining: bool,
    /// When sessions that still go on are ended, if the drain has a deadline.
    drain_deadline_at: Option<Timestamp>,
    limits: ServerLimits,
}

/// How much is possible.
#[derive(Debug, Serialize, ToSchema)]
struct ServerLimits {
    /// Rooms with a session, of each worker.
    rooms_per_worker: usize,
    participants_per_room: usize,
    request_bytes: usize,
    /// Requests a second by one key.
    requests_per_s: u32,
    /// Requests of one key at once, streams of events among them.
    concurrent_requests: u32,
    /// Refreshes of tokens a minute from one address.
    refreshes_per_min: u32,
    /// Guests a minute that join by a link, from one address.
    guests_per_min: u32,
    /// Logins to the portal a minute from one address.
    logins_per_min: u32,
}

impl ServerLimits {
    fn new(app: &App) -> Self {
        let rooms = parlour_tokio::core::server::Config::default();
        let requests = app.gate().limits();
        Self {
            rooms_per_worker: rooms.rooms,
            participants_per_room: rooms.participants_per_room,
            request_bytes: MAX_BODY,
            requests_per_s: requests.requests_per_s.get(),
            concurrent_requests: requests.concurrent.get(),
            refreshes_per_min: requests.refreshes_per_min.get(),
            guests_per_min: requests.guests_per_min.get(),
            logins_per_min: requests.logins_per_min.get(),
        }
    }
}

/// Says what this server is
#[utoipa::path(get, path = "/v1/server", tag = "server",
    operation_id = "get_server", security(("key" = ["read"])),
    responses(
    (status = OK, body = Server),
))]
pub(super) async fn get(_: Caller<Read>, State(app): State<App>) -> Json<Server> {
    Json(Server {
        version: env!("CARGO_PKG_VERSION"),
        protocol: parlour_tokio::core::wire::VERSION,
        ticket_base: app.ticket_base(),
        public_key: Base64UrlUnpadded::encode_string(&app.rooms().public_key().0),
        workers: app.rooms().addresses().len(),
        started_at: app.started_at(),
        draining: app.rooms().is_draining(),
        drain_deadline_at: drain::deadline(&app),
        limits: ServerLimits::new(&app),
    })
}

/// Says that the process lives
#[utoipa::path(get, path = "/healthz", tag = "server",
    operation_id = "get_health", security(()),
    responses((status = NO_CONTENT, description = "It lives.")))]
pub(super) async fn health() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Says whether the server works: it takes joins and can write
#[utoipa::path(get, path = "/readyz", tag = "server",
    operation_id = "get_readiness", security(()),
    responses(
    (status = NO_CONTENT, description = "It works."),
    Problems<(kind::StorageUnavailable, kind::Draining)>,
))]
pub(super) async fn readiness(State(app): State<App>) -> Result<StatusCode, Problem> {
    if app.rooms().is_draining() {
        let detail = "sessions that go on may be joined, but none begins here: use another server";
        return Err(Problem::new(Kind::Draining, detail));
    }
    app.store().check().await?;
    Ok(StatusCode::NO_CONTENT)
}
