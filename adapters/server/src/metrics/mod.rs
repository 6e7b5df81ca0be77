//! Figures for Prometheus, at `/metrics` of a listener of their own.
//!
//! ```text
//! requests, writes, events ──► Counted ─┐
//!                                       ├─► registry ──► text, at each scrape
//! Server::load, sockets, journal ───────┘
//! ```
//!
//! Labels have few values: workers, reasons, and the templates of routes. No room, participant, key or address is one.

mod events;
mod live;

use std::fmt;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use parlour_tokio::ServerEvents;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

pub(crate) use live::Source;

use crate::counted::Counted;
use live::Live;

/// The format of [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/), for those who ask for it.
const OPENMETRICS: &str = "application/openmetrics-text";
const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves the figures at `listener`, and counts what `events` tell, until it is dropped.
pub(crate) async fn serve(
    listener: Option<TcpListener>,
    counted: Counted,
    source: Source,
    events: ServerEvents,
) {
    let watching = events::count(events, counted.clone(), source.clone());
    let registry = Arc::new(registry(&counted, source));
    let router = Router::new()
        .route("/metrics", get(scrape))
        .with_state(registry);
    let serving = async {
        match listener {
            // It does not end.
            Some(listener) => drop(axum::serve(listener, router).await),
            None => pending().await,
        }
    };
    tokio::join!(watching, serving);
}

/// All figures.
fn registry(counted: &Counted, source: Source) -> Registry {
    let mut registry = Registry::with_prefix("parlour");
    counted.register(&mut registry);
    registry.register_collector(Box::new(Live(source)));
    registry
}

async fn scrape(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT);
    let accepts = accepts.and_then(|accepts| accepts.to_str().ok());
    let wants_open = accepts.is_some_and(|accepts| accepts.contains(OPENMETRICS));
    match exposition(&registry, wants_open) {
        Ok((kind, body)) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn exposition(registry: &Registry, open: bool) -> Result<(&'static str, String), fmt::Error> {
    let mut body = String::new();
    if open {
        text::encode(&mut body, registry)?;
        return Ok((OPENMETRICS_TYPE, body));
    }
    prometheus_text::encode(&mut body, registry)?;
    Ok((prometheus_text::CONTENT_TYPE, body))
}

/// Opens the listener of the figures.
///
/// # Errors
/// Where it cannot listen, and why.
pub(crate) async fn bind(
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, (SocketAddr, std::io::Error)> {
    match address {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            listener.map(Some).map_err(|error| (address, error))
        }
        None => Ok(None),
    }
}
