//! Participants that come by HTTP: from browsers, and from networks that let only HTTPS out.
//!
//! ```text
//!  browser ──WebSocket────► the API's listener ──► [`socket`] ────┐
//!     │                      /.well-known/parlour                ├──► parlour_tokio::Server::carry ──► a worker's rooms
//!     └────WebTransport───► a UDP socket ────────► [`transport`] ┘
//!                            certificate: the API's, or [`pinned`]
//! ```
//!
//! A session is one participant's way to one worker, at `/parlour/<the worker's port>`. Each message or datagram is one packet
//! of the protocol, which encrypts and authenticates by itself.

#[cfg(feature = "webtransport")]
mod opening;
#[cfg_attr(not(feature = "webtransport"), allow(dead_code))]
mod pinned;
mod socket;
#[cfg(feature = "webtransport")]
mod transport;
#[cfg(not(feature = "webtransport"))]
#[path = "without_transport.rs"]
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::uri::Authority;
use prometheus_client::encoding::EncodeLabelValue;
use thiserror::Error;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use url::Host;

use crate::config::{Config, Origin, Site};
use crate::counted::Counted;
use crate::http::Certificates;
use crate::time::Timestamp;

pub(crate) use pinned::Hash;
pub(crate) use socket::serve as serve_socket;
pub(crate) use transport::Transport;

/// How long a client may take to accept a datagram, or the end of a session.
const STALLED: Duration = Duration::from_secs(10);

/// The sessions' paths, but for the port.
pub(crate) const PATH: &str = "/parlour";

/// How a session's packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Carriage {
    /// As messages of a WebSocket.
    WebSocket,
    /// As datagrams of HTTP/3.
    #[cfg_attr(not(feature = "webtransport"), allow(dead_code))]
    WebTransport,
}

impl EncodeLabelValue for Carriage {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let name = match self {
            Self::WebSocket => "websocket",
            Self::WebTransport => "webtransport",
        };
        EncodeLabelValue::encode(&name, encoder)
    }
}

/// Why WebTransport cannot be offered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebError {
    /// The program cannot.
    #[error(
        "`web.webtransport` is set, but this program was built without WebTransport: remove it, or build with the feature `webtransport`"
    )]
    NotBuilt,
    /// The socket cannot be opened.
    #[error(
        "cannot listen at {address} by UDP for WebTransport: {source}; choose another address in `web.webtransport.listen`"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no certificate to show.
    #[error("cannot make a certificate for WebTransport: {0}")]
    Certificate(String),
}

/// What all sessions share. Clones are the same.
#[derive(Debug, Clone)]
pub struct Web(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    origins: Vec<Origin>,
    /// The server's own names.
    names: Vec<Host>,
    offer: Option<Offer>,
    sessions: TaskTracker,
}

/// The WebTransport that browsers are offered.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "webtransport"), allow(dead_code))]
pub(crate) struct Offer {
    port: u16,
    url: Option<String>,
    pinned: Option<pinned::Pinned>,
}

impl Web {
    pub(crate) fn new(config: &Config, transport: Option<&Transport>) -> Self {
        Self(Arc::new(Shared {
            origins: config.web.origins.clone(),
            names: config.names(),
            offer: transport.map(|transport| transport.offer().clone()),
            sessions: TaskTracker::new(),
        }))
    }

    /// Whether a page may join that its browser says is from `origin`, by WebSocket at `host`, an authority. A program that is
    /// no browser does not say.
    ///
    /// A page of the server itself may. That its host is the one that it has reached proves it by https, as the browser has seen
    /// the certificate. By http it does not: the page's owner can have its name lead here, once the page is loaded.
    pub(crate) fn admits(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else {
            return true;
        };
        let page = Site::parse(origin);
        let is_ours = page.as_ref().is_some_and(|page| {
            let this = host.and_then(|host| Site::parse(&format!("{}://{host}", page.scheme)));
            this.as_ref() == Some(page) && (page.scheme == "https" || self.is_own(&page.host))
        });
        is_ours || self.includes(page.as_ref())
    }

    /// The same by WebTransport, which may be at another port than the API. Of a certificate that is known by its hash, the
    /// browser does not look at the name.
    #[cfg_attr(not(feature = "webtransport"), allow(dead_code))]
    fn admits_over_udp(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin else {
            return true;
        };
        let is_pinned = (self.0.offer.as_ref()).is_some_and(|offer| offer.pinned.is_some());
        let page = Site::parse(origin);
        let this = Site::parse(&format!("https://{host}"));
        let is_ours = match (&page, &this) {
            (Some(page), Some(this)) => {
                (&page.scheme, &page.host) == (&this.scheme, &this.host)
                    && (!is_pinned || self.is_own(&page.host))
            }
            _ => false,
        };
        is_ours || self.includes(page.as_ref())
    }

    /// Whether a host is this server, whatever names lead where: an address, a name of this machine, or one of the
    /// configuration.
    fn is_own(&self, host: &Host) -> bool {
        match host {
            Host::Ipv4(_) | Host::Ipv6(_) => true,
            Host::Domain(name) if name == "localhost" || name.ends_with(".localhost") => true,
            name => self.0.names.contains(name),
        }
    }

    fn includes(&self, page: Option<&Site>) -> bool {
        self.0.origins.iter().any(|pages| pages.includes(page))
    }

    /// Where WebTransport is, for a client that has reached the API at `host`; `None` if there is none.
    pub(crate) fn transport_url(&self, host: Option<&Authority>) -> Option<String> {
        let offer = self.0.offer.as_ref()?;
        let site = match &offer.url {
            Some(url) => url.clone(),
            None => format!("https://{}:{}", host?.host(), offer.port),
        };
        Some(format!("{site}{PATH}"))
    }

    /// The certificates that WebTransport shows now or will show next, if browsers have to know them by their hashes.
    pub(crate) fn transport_hashes(&self) -> Option<Vec<Hash>> {
        let offer = self.0.offer.as_ref()?;
        let pinned = offer.pinned.as_ref()?;
        Some(pinned.hashes(Timestamp::now()))
    }

    /// Has a session go on beside, counted.
    fn spawn(
        &self,
        carriage: Carriage,
        counted: &Counted,
        session: impl Future<Output = ()> + Send + 'static,
    ) {
        let session = counted.carried(carriage, session);
        self.0.sessions.spawn(session);
    }

    /// Waits until the sessions have ended that the rooms have ended, for as long as `patience`.
    pub(crate) async fn ended(&self, patience: Duration) {
        self.0.sessions.close();
        if timeout(patience, self.0.sessions.wait()).await.is_err() {
            tracing::debug!(sessions = self.0.sessions.len(), "sessions are cut off");
        }
    }
}

/// Opens the socket of WebTransport, if there is to be one. `certificates` are the API's.
///
/// # Errors
/// [`WebError`]
pub(crate) fn bind(
    config: &Config,
    certificates: Option<&Certificates>,
) -> Result<Option<Transport>, WebError> {
    let Some(webtransport) = &config.web.webtransport else {
        return Ok(None);
    };
    let listen = webtransport.listen.unwrap_or(config.http.listen);
    Transport::bind(listen, webtransport.url.clone(), certificates).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(origins: &[&str]) -> Web {
        let origins = origins.iter().map(|origin| origin.parse().unwrap());
        let mut config = Config::default();
        config.media.host = Some("rooms.example".to_owned());
        config.web.origins = origins.collect();
        Web::new(&config, None)
    }

    #[test]
    fn the_own_origin_and_those_named_may_join() {
        let web = web(&["https://app.example", "http://localhost:*"]);
        for (origin, host, expected) in [
            (None, "rooms.example", true),
            (Some("https://rooms.example"), "rooms.example", true),
            (Some("https://rooms.example"), "rooms.example:443", true),
            (
                Some("http://rooms.example:7800"),
                "rooms.example:7800",
                true,
            ),
            // Its certificate says that it is ours.
            (Some("https://other.example"), "other.example", true),
            // Its name may have been made to lead here.
            (Some("http://evil.example:7800"), "evil.example:7800", false),
            (Some("http://192.0.2.1:7800"), "192.0.2.1:7800", true),
            (Some("http://[::1]"), "[::1]", true),
            (Some("http://localhost:7800"), "localhost:7800", true),
            (Some("http://app.localhost"), "app.localhost", true),
            (Some("https://rooms.example:444"), "rooms.example", false),
            (Some("https://app.example"), "rooms.example", true),
            (Some("http://app.example"), "rooms.example", false),
            (Some("http://localhost:5173"), "rooms.example", true),
            (Some("https://evil.example"), "rooms.example", false),
            (
                Some("https://rooms.example.evil.example"),
                "rooms.example",
                false,
            ),
            (Some("null"), "rooms.example", false),
            (Some("null"), "null", false),
            (Some(""), "", false),
            (Some("https://x@rooms.example"), "rooms.example", false),
        ] {
            assert_eq!(
                web.admits(origin, Some(host)),
                expected,
                "{origin:?} {host}"
            );
        }
        assert!(!web.admits(Some("https://rooms.example"), None));
    }

    #[test]
    fn by_webtransport_the_port_is_another() {
        let web = web(&["https://app.example"]);
        for (origin, host, expected) in [
            (None, "rooms.example:7800", true),
            (Some("https://rooms.example"), "rooms.example:7800", true),
            (Some("http://rooms.example"), "rooms.example:7800", false),
            (Some("https://app.example"), "rooms.example:7800", true),
            (Some("https://evil.example"), "rooms.example:7800", false),
            (Some("null"), "rooms.example:7800", false),
        ] {
            let admitted = web.admits_over_udp(origin, host);
            assert_eq!(admitted, expected, "{origin:?} {host}");
        }
    }

    #[test]
    fn a_certificate_known_by_its_hash_does_not_prove_a_name() {
        let mut config = Config::default();
        config.media.host = Some("rooms.example".to_owned());
        let mut web = Web::new(&config, None);
        Arc::get_mut(&mut web.0).unwrap().offer = Some(Offer {
            port: 7800,
            url: None,
            pinned: Some(pinned::Pinned::new(Timestamp::now()).unwrap()),
        });
        for (host, expected) in [
            ("rooms.example", true),
            ("192.0.2.1", true),
            ("localhost", true),
            ("evil.example", false),
        ] {
            let origin = format!("https://{host}");
            let admitted = web.admits_over_udp(Some(&origin), &format!("{host}:7800"));
            assert_eq!(admitted, expected, "{host}");
        }
    }
}
