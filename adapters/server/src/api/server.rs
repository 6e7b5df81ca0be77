//! The server itself: what it is, and whether it works.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::caller::{Caller, Read};
use super::problem::{Kind, Problem, Problems, kind};

/// The server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Server {
    /// The version of this program.
    version: &'static str,
    /// The version of the protocol that participants speak.
    protocol: u8,
    /// All of a ticket but its token, which follows after a `#`: for those who mint tokens themselves.
    ticket_base: String,
    /// Threads that serve rooms.
    workers: usize,
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
        workers: app.rooms().addresses().len(),
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
