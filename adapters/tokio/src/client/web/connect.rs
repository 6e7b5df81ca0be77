//! Opens WebSockets: directly, or through the proxy that the environment names.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use parlour_core::wire::MAX_DATAGRAM;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tower_service::Service as _;

/// The time limit until a WebSocket is open: name, proxy, TLS and upgrade.
const OPENING: Duration = Duration::from_secs(10);

/// Where a server takes WebSockets.
#[derive(Debug, Clone)]
pub(in crate::client) struct Web {
    /// `https://host` or `http://host`, perhaps with a port.
    base: String,
    proxies: Arc<Matcher>,
}

impl Web {
    /// At the address that the application names; or else at the ticket's host, if that is a name: an IP address has hardly
    /// ever a certificate.
    ///
    /// # Errors
    /// If the address is none.
    pub(in crate::client) fn new(
        named: Option<&str>,
        host: &str,
    ) -> Result<Option<Self>, &'static str> {
        let base = match named {
            Some(named) => named.trim_end_matches('/').to_owned(),
            None if host.parse::<IpAddr>().is_ok() || host == "localhost" => return Ok(None),
            None => format!("https://{host}"),
        };
        let uri = base.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.path() == "/"
                && uri.query().is_none()
        });
        match (uri, named) {
            (Some(_), _) => Ok(Some(Self {
                base,
                proxies: Arc::new(Matcher::from_env()),
            })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(
                "the server's web address is none such as https://rooms.example.org, without a path",
            ),
        }
    }

    /// Whether a proxy is asked, which may know names that have no address here.
    pub(in crate::client) fn is_by_proxy(&self) -> bool {
        let uri = self.base.parse::<Uri>().ok();
        uri.is_some_and(|uri| self.proxies.intercept(&uri).is_some())
    }

    /// Opens a WebSocket to the worker with that port; with `machine`, on the one of the server's machines that has this
    /// address. A redirect names machines by address only: its website is at the same port, under the same name, with the same
    /// certificate.
    ///
    /// # Errors
    /// Why there is none.
    pub(in crate::client) async fn connect(
        self,
        port: u16,
        machine: Option<IpAddr>,
    ) -> io::Result<WebLink> {
        let opening = async {
            let uri: Uri = self.address(port).parse().map_err(io::Error::other)?;
            let stream = match machine {
                Some(machine) => self.reach(&at(machine, &uri)?).await?,
                None => self.reach(&uri).await?,
            };
            upgrade(&uri, stream).await
        };
        let opened = timeout(OPENING, opening).await;
        opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    fn address(&self, port: u16) -> String {
        format!("{}/parlour/{port}", self.base)
    }

    /// A connection to the host of `uri`, through a proxy if the environment says so.
    async fn reach(&self, uri: &Uri) -> io::Result<TcpStream> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let stream = match self.proxies.intercept(uri) {
            None => connector.call(uri.clone()).await.map_err(io_error)?,
            Some(proxy) => {
                let via = proxy.uri();
                if via.scheme_str() != Some("http") {
                    let says = format!("the proxy {via} is none that is reached by http://");
                    return Err(io::Error::new(io::ErrorKind::Unsupported, says));
                }
                let mut tunnel = Tunnel::new(via.clone(), connector);
                if let Some(credentials) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                let failed = |error| {
                    let error = io_error(error);
                    io::Error::new(error.kind(), format!("through the proxy {via}: {error}"))
                };
                tunnel.call(uri.clone()).await.map_err(failed)?
            }
        };
        Ok(stream.into_inner())
    }
}

impl fmt::Display for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// The same, at the address of one machine.
fn at(machine: IpAddr, uri: &Uri) -> io::Result<Uri> {
    let scheme = uri.scheme_str().unwrap_or("https");
    let port = uri
        .port_u16()
        .map_or(String::new(), |port| format!(":{port}"));
    let authority = match machine {
        IpAddr::V4(v4) => format!("{v4}{port}"),
        IpAddr::V6(v6) => format!("[{v6}]{port}"),
    };
    let at = format!("{scheme}://{authority}{}", uri.path());
    at.parse().map_err(io::Error::other)
}

/// The error of the operating system that is behind another one, or that.
fn io_error(error: impl StdError + Send + Sync + 'static) -> io::Error {
    let mut says = error.to_string();
    let (mut kind, mut source) = (io::ErrorKind::Other, error.source());
    while let Some(cause) = source {
        says = format!("{says}: {cause}");
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            kind = cause.kind();
        }
        source = cause.source();
    }
    io::Error::new(kind, says)
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Makes a WebSocket of a connection.
async fn upgrade(uri: &Uri, stream: TcpStream) -> io::Result<WebLink> {
    let host = uri.host().unwrap_or_default();
    let is_tls = uri.scheme_str() == Some("https");
    let stream: Box<dyn Connection> = if is_tls {
        // Reading the system's certificates takes a while.
        let config = tokio::task::spawn_blocking(tls).await;
        let config = config
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(io::Error::other)?;
        Box::new(TlsConnector::from(config).connect(name, stream).await?)
    } else {
        Box::new(stream)
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let scheme = if is_tls { "wss" } else { "ws" };
    let address = format!("{scheme}://{authority}{}", uri.path());
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_DATAGRAM))
        .max_frame_size(Some(MAX_DATAGRAM))
        // It is cleared before each read.
        .read_buffer_size(4 * MAX_DATAGRAM)
        // A packet is sent at once, or held back by TCP.
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_DATAGRAM);
    let opened = client_async_with_config(address, stream, Some(config)).await;
    let (socket, _) = opened.map_err(refusal)?;
    Ok(WebLink {
        socket,
        is_unsent: false,
    })
}

fn tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let mut config = builder.with_platform_verifier()?.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn refusal(error: WsError) -> io::Error {
    match error {
        WsError::Io(error) => error,
        WsError::Http(response) => {
            let status = response.status();
            let says = match status.as_u16() {
                404 => "this is no server of rooms, or it does not have that worker".to_owned(),
                _ => format!("the answer is {status}"),
            };
            let is_busy = status.as_u16() == 429 || status.is_server_error();
            let kind = match is_busy {
                true => io::ErrorKind::ResourceBusy,
                false => io::ErrorKind::Other,
            };
            io::Error::new(kind, says)
        }
        error => io::Error::other(error),
    }
}

/// An open WebSocket.
pub(in crate::client) struct WebLink {
    socket: WebSocketStream<Box<dyn Connection>>,
    /// Whether a packet waits that TCP has not taken yet.
    is_unsent: bool,
}

impl fmt::Debug for WebLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebLink").finish_non_exhaustive()
    }
}

impl WebLink {
    /// Whether [`put`](Self::put) takes another packet without queueing it behind others.
    pub(in crate::client) fn is_idle(&self) -> bool {
        !self.is_unsent
    }

    /// Begins to send a packet. An error shows when it is flushed.
    pub(in crate::client) fn put(&mut self, packet: &[u8]) {
        let message = Message::Binary(Bytes::copy_from_slice(packet));
        self.is_unsent = true;
        if let Err(error) = Pin::new(&mut self.socket).start_send(message) {
            tracing::debug!(%error, "WebSocket");
        }
    }

    /// Waits for a packet, and gives its length; `None` if what waited is sent. Cancellation-safe.
    ///
    /// # Errors
    /// That the connection has come to its end.
    pub(in crate::client) async fn receive(
        &mut self,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        std::future::poll_fn(|context| {
            if self.is_unsent
                && let Poll::Ready(flushed) = Pin::new(&mut self.socket).poll_flush(context)
            {
                self.is_unsent = false;
                return Poll::Ready(flushed.map(|()| None).map_err(refusal));
            }
            loop {
                let message = ready!(Pin::new(&mut self.socket).poll_next(context));
                let message = match message {
                    Some(message) => message.map_err(refusal),
                    None => Err(io::ErrorKind::UnexpectedEof.into()),
                };
                match message? {
                    Message::Binary(packet) => {
                        let room = buffer.get_mut(..packet.len());
                        room.ok_or(io::ErrorKind::InvalidData)?
                            .copy_from_slice(&packet);
                        return Poll::Ready(Ok(Some(packet.len())));
                    }
                    Message::Close(_) => {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    _ => {}
                }
            }
        })
        .await
    }

    /// Sends what waits, and says that this is the end.
    pub(in crate::client) async fn finish(&mut self) {
        let _ = self.socket.close(None).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_with_a_name_leads_to_the_web() {
        let base = |named, host| {
            let web = Web::new(named, host).map(|web| web.map(|web| web.to_string()));
            web.map_err(|_| ())
        };
        let some = |base: &str| Ok(Some(base.to_owned()));
        for (named, host, expected) in [
            (None, "rooms.example", some("https://rooms.example")),
            (None, "192.0.2.1", Ok(None)),
            (None, "2001:db8::1", Ok(None)),
            (None, "localhost", Ok(None)),
            (None, "a name", Ok(None)),
            (
                Some("https://api.example:8443/"),
                "192.0.2.1",
                some("https://api.example:8443"),
            ),
            (
                Some("http://127.0.0.1:7800"),
                "127.0.0.1",
                some("http://127.0.0.1:7800"),
            ),
            (Some("api.example"), "rooms.example", Err(())),
            (Some("wss://api.example"), "rooms.example", Err(())),
            (Some("https://api.example/x"), "rooms.example", Err(())),
            (Some(""), "rooms.example", Err(())),
        ] {
            assert_eq!(base(named, host), expected, "{named:?} {host}");
        }
    }

    #[tokio::test]
    async fn another_machine_is_asked_under_the_same_name() {
        use tokio::io::{AsyncBufReadExt as _, BufReader};
        let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = format!("http://rooms.invalid:{}", address.port());
        let web = Web::new(Some(&base), "rooms.invalid").unwrap().unwrap();
        let connecting = tokio::spawn(web.connect(7_901, Some(address.ip())));
        let (stream, _) = listener.accept().await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut head = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap()
            && !line.is_empty()
        {
            head.push(line);
        }
        assert_eq!(head[0], "GET /parlour/7901 HTTP/1.1");
        let host = format!("Host: rooms.invalid:{}", address.port());
        assert!(head.contains(&host), "{head:?}");
        drop(lines);
        assert!(connecting.await.unwrap().is_err());
        let uri: Uri = "https://rooms.example/parlour/1".parse().unwrap();
        let at = at("2001:db8::1".parse().unwrap(), &uri).unwrap();
        assert_eq!(at.to_string(), "https://[2001:db8::1]/parlour/1");
    }
}
