//! Participants by WebTransport: each datagram is one packet, and so is each unidirectional stream, for packets that are longer
//! than datagrams can be on their way.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parlour_tokio::core::wire::MAX_DATAGRAM;
use parlour_tokio::{CarriageError, CarriageReceiver, CarriageSender};
use tokio::time::{MissedTickBehavior, interval, timeout};
use wtransport::endpoint::endpoint_side::Server;
use wtransport::endpoint::{IncomingSession, SessionRequest};
use wtransport::error::SendDatagramError;
use wtransport::quinn::{IdleTimeout, TransportConfig, VarInt as QuicVarInt};
use wtransport::{Connection, Endpoint, RecvStream, ServerConfig, VarInt};

use super::opening::Openings;
use super::pinned::Pinned;
use super::{Carriage, Offer, PATH, STALLED, Web, WebError};
use crate::api::{App, Parts};
use crate::counted::Refusal;
use crate::http::Certificates;
use crate::time::Timestamp;

/// How long a client may take from its first packet until it asks for a session.
const OPENING: Duration = Duration::from_secs(10);
/// Connections that come about at once. Clients of more than the first have to show that their address is theirs, and more than
/// the second, or a quarter of that from one address, are refused.
const PROVEN: usize = 64;
const MOST_OPENING: usize = 1_024;
/// After this time without any packet a connection has ended.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes of datagrams that wait for a slow way. quinn drops the oldest; its own megabyte would be seconds of old sound.
const SEND_BUFFER: usize = 24 << 10;
const RECEIVE_BUFFER: usize = 256 << 10;
/// Streams of one session at once, each way. HTTP/3 has three of its own.
const STREAMS: usize = 16;
const HTTP_STREAMS: u32 = 3;
/// Bytes that a client may send ahead in one stream, and in all: there are requests, and packets.
const STREAM_WINDOW: u32 = 16 << 10;
const WINDOW: u32 = 256 << 10;
/// How often to look at the clock: it may jump, as when a machine was asleep, and timers stand still meanwhile.
const LOOK: Duration = Duration::from_secs(60);

/// Why a session is closed, as its client is told.
const PARTICIPANT_GONE: (VarInt, &str) = (VarInt::from_u32(0), "the participant is gone");
const WRONG_LENGTH: (VarInt, &str) = (VarInt::from_u32(1), "a packet has 1 to 1200 bytes");
const SHUTTING_DOWN: (VarInt, &str) = (VarInt::from_u32(2), "the server shuts down");

/// The socket. Clones are the same.
#[derive(Clone)]
pub(crate) struct Transport {
    endpoint: Arc<Endpoint<Server>>,
    offer: Offer,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("offer", &self.offer)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Listens there, with the API's certificates or with ones of its own.
    ///
    /// # Errors
    /// [`WebError`]
    pub(super) fn bind(
        listen: SocketAddr,
        url: Option<String>,
        certificates: Option<&Certificates>,
    ) -> Result<Self, WebError> {
        let pinned = match certificates {
            Some(_) => None,
            None => Some(Pinned::new(Timestamp::now())?),
        };
        let shown = certificates.or(pinned.as_ref().map(Pinned::shown));
        let shown = shown.ok_or_else(|| WebError::Certificate("there is none".to_owned()))?;
        let tls = shown.quic_config(wtransport::tls::WEBTRANSPORT_ALPN);
        let tls = tls.map_err(|error| WebError::Certificate(error.to_string()))?;
        let config = ServerConfig::builder()
            .with_bind_address(listen)
            .with_custom_tls_and_transport(tls, limits())
            .build();
        let failed = |source| WebError::Listen {
            address: listen,
            source,
        };
        let endpoint = Endpoint::server(config).map_err(failed)?;
        let port = endpoint.local_addr().map_err(failed)?.port();
        Ok(Self {
            endpoint: Arc::new(endpoint),
            offer: Offer { port, url, pinned },
        })
    }

    pub(super) fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Takes sessions on, and renews the certificate. It does not end.
    pub(crate) async fn serve(self, web: Web, parts: Weak<Parts>) {
        let openings = Openings::new(MOST_OPENING);
        let renewing = async {
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Some(pinned) = &self.offer.pinned
                    && let Err(error) = pinned.renew(Timestamp::now())
                {
                    tracing::error!(%error, "the former certificate stays");
                }
            }
        };
        let accepting = async {
            loop {
                let incoming = self.endpoint.accept().await;
                // First, so that nobody takes others' places by their addresses.
                if openings.len() >= PROVEN && !incoming.remote_address_validated() {
                    incoming.retry();
                    continue;
                }
                let Some(opening) = openings.take(incoming.remote_address().ip()) else {
                    incoming.refuse();
                    continue;
                };
                let (web, parts) = (web.clone(), Weak::clone(&parts));
                tokio::spawn(async move {
                    let from = incoming.remote_address();
                    if timeout(OPENING, open(incoming, &web, &parts))
                        .await
                        .is_err()
                    {
                        tracing::debug!(%from, "WebTransport: no session in time");
                    }
                    drop(opening);
                });
            }
        };
        tokio::join!(renewing, accepting);
    }

    /// Ends what is left, and tells the clients.
    pub(crate) async fn close(self, patience: Duration) {
        let (code, reason) = SHUTTING_DOWN;
        self.endpoint.close(code, reason.as_bytes());
        let _ = timeout(patience, self.endpoint.wait_idle()).await;
    }
}

fn limits() -> TransportConfig {
    let mut limits = TransportConfig::default();
    let silence = u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX);
    limits
        .max_idle_timeout(Some(IdleTimeout::from(QuicVarInt::from_u32(silence))))
        .datagram_send_buffer_size(SEND_BUFFER)
        .datagram_receive_buffer_size(Some(RECEIVE_BUFFER))
        .max_concurrent_uni_streams(QuicVarInt::from_u32(HTTP_STREAMS + STREAMS as u32))
        .max_concurrent_bidi_streams(QuicVarInt::from_u32(HTTP_STREAMS))
        .stream_receive_window(QuicVarInt::from_u32(STREAM_WINDOW))
        .receive_window(QuicVarInt::from_u32(WINDOW));
    limits
}

/// Lets a client in, or tells it why not.
async fn open(incoming: IncomingSession, web: &Web, parts: &Weak<Parts>) {
    let from = incoming.remote_address();
    let request = match incoming.await {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(%from, %error, "WebTransport");
            return;
        }
    };
    let Some(app) = parts.upgrade().map(App::from) else {
        return;
    };
    let counted = app.counted().clone();
    let refused = |refusal| counted.carriage_refused(Carriage::WebTransport, refusal);
    if !web.admits_over_udp(request.origin(), request.authority()) {
        tracing::info!(%from, origin = request.origin(), "WebTransport from a page that may not join: see `web.origins`");
        refused(Refusal::Origin);
        return request.forbidden().await;
    }
    let Some(worker) = port(&request).and_then(|port| app.rooms().worker_at(port)) else {
        refused(Refusal::Path);
        return request.not_found().await;
    };
    let carried = match app.rooms().carry(worker, from.ip().to_canonical()).await {
        Ok(carried) => carried,
        Err(error) => {
            tracing::debug!(%from, %error, "WebTransport");
            refused(error.into());
            return request.too_many_requests().await;
        }
    };
    // It would keep the rooms open.
    drop(app);
    match request.accept().await {
        Ok(connection) => web.spawn(Carriage::WebTransport, &counted, carry(connection, carried)),
        Err(error) => tracing::debug!(%from, %error, "WebTransport"),
    }
}

/// The port in the path, which may have a query.
fn port(request: &SessionRequest) -> Option<u16> {
    let path = request.path().split('?').next()?;
    path.strip_prefix(PATH)?.strip_prefix('/')?.parse().ok()
}

async fn carry(connection: Connection, (sender, receiver): (CarriageSender, CarriageReceiver)) {
    let end = {
        let incoming = pin!(take_in(&connection, &sender));
        let outgoing = pin!(send_out(&connection, receiver));
        tokio::select! {
            end = incoming => end,
            end = outgoing => end,
        }
    };
    // The place is another's from now on.
    drop(sender);
    let Some((code, reason)) = end else {
        return;
    };
    tracing::debug!(reason, "WebTransport closed");
    if end == Some(PARTICIPANT_GONE) {
        // What was just sent would be lost if the connection were closed at once. A client that was told to go closes it.
        let _ = timeout(Duration::from_secs(1), connection.closed()).await;
    }
    connection.close(code, reason.as_bytes());
}

/// Takes packets in. What comes out is why the session ends; `None` if the client has ended it.
async fn take_in(
    connection: &Connection,
    sender: &CarriageSender,
) -> Option<(VarInt, &'static str)> {
    let mut streams = FuturesUnordered::new();
    loop {
        let sent = tokio::select! {
            datagram = connection.receive_datagram() => sender.send(&datagram.ok()?).await,
            stream = connection.accept_uni(), if streams.len() < STREAMS => {
                streams.push(read(stream.ok()?));
                continue;
            }
            Some(read) = streams.next() => match read {
                Some(packet) => sender.send(&packet).await,
                None => continue,
            },
        };
        match sent {
            Ok(()) => {}
            // What the server still has to say comes by the other end.
            Err(CarriageError::Closed) => std::future::pending().await,
            Err(_) => return Some(WRONG_LENGTH),
        }
    }
}

/// Reads a stream, which is one packet, and one byte more at most; `None` if it does not come to its end in time.
async fn read(mut stream: RecvStream) -> Option<Vec<u8>> {
    let mut packet = Vec::new();
    let mut part = [0; MAX_DATAGRAM];
    let reading = async {
        while packet.len() <= MAX_DATAGRAM
            && let Some(len) = stream.read(&mut part).await.ok()?
        {
            packet.extend_from_slice(part.get(..len)?);
        }
        Some(())
    };
    timeout(STALLED, reading).await.ok()??;
    Some(packet)
}

/// Sends packets. What comes out is as in [`take_in`].
async fn send_out(
    connection: &Connection,
    mut receiver: CarriageReceiver,
) -> Option<(VarInt, &'static str)> {
    let mut streams = FuturesUnordered::new();
    loop {
        let packet = tokio::select! {
            packet = receiver.next() => packet,
            Some(()) = streams.next() => continue,
        };
        let Some(packet) = packet else {
            while let Some(()) = streams.next().await {}
            return Some(PARTICIPANT_GONE);
        };
        match connection.send_datagram(&packet) {
            Ok(()) => {}
            Err(SendDatagramError::NotConnected) => return None,
            // Beyond as many, it is lost as on any way that is too slow.
            Err(_) if streams.len() >= STREAMS => {}
            Err(_) => streams.push(async move {
                let sending = async {
                    let mut stream = connection.open_uni().await.ok()?.await.ok()?;
                    stream.write_all(&packet).await.ok()?;
                    stream.finish().await.ok()
                };
                let _ = timeout(STALLED, sending).await;
            }),
        }
    }
}
