//! How participants in browsers reach the server.

use std::net::IpAddr;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::{Extension, Json};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use parlour_tokio::CarryError;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::limits::Client;
use super::problem::{Kind, Problem};
use crate::counted::Refusal;
use crate::web::{self, Carriage, Hash};

/// [`web::PATH`], seen from this document: a proxy may have the API below a path of its own.
const SOCKET: &str = "../parlour";

/// How participants reach the server from where only the web is open. Addresses are URL references: resolve them against the
/// address of this document, append `/` and the port of the ticket or redirect, and connect there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ways {
    /// By WebSocket, as `wss:`, or as `ws:` where this document came by `http:`.
    #[schema(example = "../parlour")]
    ws: &'static str,
    /// By WebTransport, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://rooms.example.org:443/parlour")]
    wt: Option<String>,
    /// If present, no authority has signed the certificate of WebTransport: pass these as `serverCertificateHashes`, with the
    /// values as bytes. They change every 6 days, and each is told 6 days before it is shown, so read this again for each
    /// connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    wt_certificate_hashes: Option<Vec<Hash>>,
    /// The server's public key, as tickets have it: a ticket with another one is for another server.
    key: String,
    /// The ports of the workers, as tickets and redirects name them.
    #[schema(example = json!([7900, 7901]))]
    workers: Vec<u16>,
}

/// Says how browsers reach the server
///
/// Pages of any origin may read it; `web.origins` of the configuration says which of them may join.
#[utoipa::path(get, path = "/.well-known/parlour", tag = "web",
    operation_id = "get_ways", security(()),
    responses((status = OK, description = "The ways.", body = Ways)))]
pub(super) async fn describe(
    State(app): State<App>,
    parts: Parts,
) -> ([(HeaderName, HeaderValue); 1], Json<Ways>) {
    let host = authority(&parts).and_then(|host| host.parse::<Authority>().ok());
    let addresses = app.rooms().addresses().iter();
    let ways = Ways {
        ws: SOCKET,
        wt: app.web().transport_url(host.as_ref()),
        wt_certificate_hashes: app.web().transport_hashes(),
        key: Base64UrlUnpadded::encode_string(&app.rooms().public_key().0),
        workers: addresses.map(|address| address.port()).collect(),
    };
    let anybody = HeaderValue::from_static("*");
    ([(header::ACCESS_CONTROL_ALLOW_ORIGIN, anybody)], Json(ways))
}

/// The host that a request is for, and its port if it is not the usual one.
pub(super) fn authority(parts: &Parts) -> Option<&str> {
    let in_address = parts.uri.authority().map(Authority::as_str);
    in_address.or_else(|| text(&parts.headers, header::HOST))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Has a participant come by WebSocket to the worker with that port.
pub(super) async fn connect(
    State(app): State<App>,
    Path(port): Path<String>,
    Extension(Client(client)): Extension<Client>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    parts: Parts,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| {
        let detail = format!(
            "participants come here by WebSocket, and this is none ({error}): a proxy before the server has to pass on \
             `Upgrade` and `Connection`"
        );
        Problem::new(Kind::Malformed, detail)
    })?;
    let carried = carried(&app, &port, client, &parts).await;
    let carried = carried.map_err(|(refusal, problem)| {
        let counted = app.counted();
        counted.carriage_refused(Carriage::WebSocket, refusal);
        problem
    })?;
    let (web, counted) = (app.web().clone(), app.counted().clone());
    // The socket must not keep the app, which keeps the rooms open.
    Ok(web::serve_socket(web, counted, upgrade, carried))
}

/// Takes a place for the participant.
async fn carried(
    app: &App,
    port: &str,
    client: IpAddr,
    parts: &Parts,
) -> Result<
    (
        parlour_tokio::CarriageSender,
        parlour_tokio::CarriageReceiver,
    ),
    (Refusal, Problem),
> {
    let origin = parts.headers.get(header::ORIGIN);
    // One that is no text is no origin that is known.
    let origin = origin.map(|origin| origin.to_str().unwrap_or_default());
    if !app.web().admits(origin, authority(parts)) {
        let detail = format!(
            "pages of {:?} may not join: add it to `web.origins` of the server's configuration",
            origin.unwrap_or_default()
        );
        return Err((Refusal::Origin, Problem::new(Kind::OriginRefused, detail)));
    }
    let worker = port.parse().ok();
    let worker = worker.and_then(|port| app.rooms().worker_at(port));
    let no_worker = || {
        let problem = Problem::not_found("worker", port);
        (Refusal::Path, problem)
    };
    let worker = worker.ok_or_else(no_worker)?;
    let carried = app.rooms().carry(worker, client).await;
    carried.map_err(|error| {
        let kind = match error {
            CarryError::ShuttingDown => Kind::Draining,
            _ => Kind::NoPlace,
        };
        let problem = Problem::new(kind, error.to_string()).retry_after(5);
        (error.into(), problem)
    })
}
