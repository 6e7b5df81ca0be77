//! The socket of the API: connections, TLS and its certificates, and the addresses of clients behind proxies.

mod acme;
mod address;
mod tls;

use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};

use crate::config::Tls;

pub(crate) use address::Proxies;
pub use tls::TlsError;
pub(crate) use tls::{Certificate, Certificates};

/// How long a connection may wait for the head of its next request. Clients that keep connections close them after less.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How often a connection of HTTP/2 is asked whether it lives, and how long it may take to answer.
const PING: Duration = Duration::from_secs(30);
/// Requests at once in one connection of HTTP/2.
const STREAMS: u32 = 100;

/// Gives the certificates that `config` says; `None` without TLS.
///
/// # Errors
/// [`TlsError`]
pub(crate) fn certificates(config: &Tls) -> Result<Option<Certificates>, TlsError> {
    let certificates = Certificates::default();
    match config {
        Tls::Off => return Ok(None),
        Tls::Files { cert, key } => certificates.set(tls::read(cert, key)?),
        Tls::Acme(config) => acme::load(config, &certificates)?,
    }
    Ok(Some(certificates))
}

/// Serves `router` at `listener`, until `handle` ends it. A new connection has `first` to send the head of a request.
///
/// # Errors
/// If the socket fails.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    certificates: Option<Certificates>,
    first: Duration,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum_server::from_tcp(listener)?.acceptor(NoDelayAcceptor::new());
    let server = tuned(server, first).handle(handle);
    match certificates {
        None => server.serve(service).await,
        Some(certificates) => {
            let config =
                RustlsConfig::from_config(certificates.config().map_err(io::Error::other)?);
            let acceptor = RustlsAcceptor::new(config)
                .handshake_timeout(first)
                .acceptor(NoDelayAcceptor::new());
            server.acceptor(acceptor).serve(service).await
        }
    }
}

/// With limits of the time and the requests of a connection.
fn tuned<A>(mut server: Server<SocketAddr, A>, first: Duration) -> Server<SocketAddr, A> {
    let builder = server.http_builder();
    builder.http1().header_read_timeout(KEEP_ALIVE);
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    server
        .first_request_timeout(first)
        .accept_error_handler(|client, error| {
            tracing::debug!(?client, %error, "a connection was not accepted");
        })
}

/// Keeps the certificate valid, if the server gets it by itself. It does not end.
pub(crate) async fn renew(config: Tls, certificates: Option<Certificates>) {
    match (config, certificates) {
        (Tls::Acme(config), Some(certificates)) => acme::renew(&config, &certificates).await,
        _ => pending().await,
    }
}
