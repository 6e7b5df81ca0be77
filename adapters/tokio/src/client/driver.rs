//! The task that moves packets and time between the core's client and the network.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parlour_core::client::{
    Action, Event as CoreEvent, ReconnectCause, Route, Target, Transport as Kind, Transports,
};
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use tokio::net::lookup_host;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use super::link::Link;
use super::room::Ways;
use super::shared::Shared;
use super::web::{self, ByWeb, WebLink};
use super::{Event, Transport};

#[cfg(all(test, feature = "server"))]
mod tests;

/// How often the client's timers are looked at while the link takes nothing.
const HELD_BACK: Duration = Duration::from_millis(50);
/// The time that a TCP connection may accept no data before another replaces it.
const STALLED: Duration = Duration::from_secs(5);
/// The time limit of a name lookup.
const RESOLVING: Duration = Duration::from_secs(5);
/// Datagrams that are taken in before anything is sent, so that the answers share datagrams.
const BATCH: usize = 32;

/// Room for one byte too many, so that a datagram that is too long shows as such.
type Buffer = [u8; MAX_DATAGRAM + 1];

/// A request for a new socket.
pub(super) type Rebind = oneshot::Sender<io::Result<()>>;

/// The server as the ticket names it.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

impl Host {
    pub(super) async fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        let found = lookup_host((self.name.as_str(), self.port)).await?;
        Ok(found.collect())
    }
}

/// Something that comes about in the background.
type Pending<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

pub(super) struct Driver {
    shared: Arc<Shared>,
    host: Host,
    route: Route,
    /// The link, and its target.
    link: Option<(Target, Link)>,
    /// A TCP connection that is coming about, and where to.
    opening: Option<(Target, Pending<Link>)>,
    /// Addresses that are being asked for.
    resolving: Option<Pending<Vec<SocketAddr>>>,
    /// A UDP socket that the server was asked through while the link is TCP.
    probe: Option<Link>,
    /// The way by WebSocket, if there is one.
    web: Option<ByWeb>,
    /// Whether there is no other.
    only_web: bool,
    /// Whether the network has changed since the link was opened: another one is to take its place, though it may still answer.
    is_outdated: bool,
    /// By what packets travel, as the application was told or prefers.
    told: Transport,
    /// The time since when the link has accepted nothing.
    stalled: Option<Instant>,
    /// The time of the last look at the client's timers.
    looked: Instant,
}

/// The events that wake the driver.
enum Wakeup {
    Received(usize),
    Sendable,
    Probed(usize),
    Opened(io::Result<Link>),
    WebOpened(io::Result<Box<WebLink>>),
    Resolved(io::Result<Vec<SocketAddr>>),
    LinkLost(io::Error),
    Timeout,
    Command,
    Rebind(Rebind),
    Abandoned,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, ways: Ways, host: Host, servers: &[SocketAddr]) -> Self {
        let now = shared.clock.now();
        Self {
            shared,
            host,
            route: Route::new(ways.transports, servers, now),
            link: None,
            opening: None,
            resolving: None,
            probe: None,
            told: match ways.transports {
                _ if ways.only_web => Transport::WebSocket,
                Transports::Tcp => Transport::Tcp,
                Transports::Udp | Transports::UdpOrTcp => Transport::Udp,
            },
            web: ways.web.map(|web| ByWeb::new(web, ways.only_web)),
            only_web: ways.only_web,
            is_outdated: false,
            stalled: None,
            looked: now,
        }
    }

    /// Starts the task. It ends when the client is closed; when the other end of `alive` is dropped, it leaves first.
    pub(super) fn spawn(self, rebinds: mpsc::Receiver<Rebind>, alive: oneshot::Receiver<()>) {
        let span = tracing::debug_span!("participant", id = tracing::field::Empty);
        tokio::spawn(self.run(rebinds, alive).instrument(span));
    }

    async fn run(mut self, mut rebinds: mpsc::Receiver<Rebind>, mut alive: oneshot::Receiver<()>) {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        let mut abandoned = false;
        loop {
            // An error has been told to the route, which tries something else.
            let _ = self.act(&mut buffer).await;
            self.shared.release();
            self.transmit(&mut buffer).await;
            if self.dispatch() {
                continue;
            }
            if self.shared.lock().client.closed().is_some() {
                if let Some((_, link)) = &mut self.link {
                    link.finish().await;
                }
                return;
            }
            match self
                .wait(&mut buffer, &mut rebinds, &mut alive, abandoned)
                .await
            {
                Wakeup::Received(len) => self.take_in(len, &mut buffer),
                Wakeup::Probed(len) => self.take_in_probe(buffer.get_mut(..len)),
                Wakeup::Sendable => self.stalled = None,
                Wakeup::Command => {}
                Wakeup::LinkLost(error) => self.lose(&error),
                Wakeup::Opened(opened) => self.opened(opened),
                Wakeup::WebOpened(opened) => self.web_opened(opened),
                Wakeup::Resolved(found) => self.resolved(found),
                Wakeup::Timeout => self.handle_timeout(),
                Wakeup::Rebind(reply) => {
                    self.is_outdated = true;
                    self.route.network_changed(self.shared.clock.now());
                    drop(reply.send(self.act(&mut buffer).await));
                }
                Wakeup::Abandoned => {
                    abandoned = true;
                    let now = self.shared.clock.now();
                    // An error means that it is leaving already.
                    let _ = self.shared.lock().client.leave(now);
                }
            }
        }
    }

    /// Does what the route wants; an error if a socket cannot be had.
    async fn act(&mut self, buffer: &mut Buffer) -> io::Result<()> {
        let mut result = Ok(());
        while let Some(action) = self.route.poll(self.shared.clock.now()) {
            tracing::debug!(?action);
            match action {
                Action::Open(target) => result = self.open(target),
                Action::Resolve => {
                    let host = self.host.clone();
                    self.resolving = Some(Box::pin(async move {
                        let found = tokio::time::timeout(RESOLVING, host.resolve()).await;
                        found.map_err(|_| io::ErrorKind::TimedOut)?
                    }));
                }
                Action::Probe(address) => self.ask_by_udp(address, buffer).await,
                _ => {}
            }
        }
        if self.probe.is_some() && !self.route.probing() {
            // It may have reached the server, which then answers where nothing arrives: a packet on this way has it follow.
            self.probe = None;
            self.shared.lock().client.ping();
        }
        result
    }

    /// Opens a target. A link that is there goes on until it is open.
    fn open(&mut self, target: Target) -> io::Result<()> {
        self.opening = None;
        let is_known = !target.address.ip().is_unspecified();
        if is_known && !self.only_web {
            self.shared.lock().tried.note(target);
        }
        match target.transport {
            Kind::Udp if !is_known => {
                let error = io::ErrorKind::NotFound.into();
                self.cannot_open(target, &error);
                return Err(error);
            }
            Kind::Udp => match Link::udp(target.address) {
                Ok(link) => self.use_link(target, link),
                Err(error) => {
                    self.cannot_open(target, &error);
                    return Err(error);
                }
            },
            Kind::Tcp => {
                if is_known && !self.only_web {
                    self.opening = Some((target, Box::pin(Link::tcp(target.address))));
                }
                if let Some(web) = &mut self.web {
                    self.shared.lock().tried.note_web(web.to_string());
                    web.open(target);
                }
            }
        }
        Ok(())
    }

    fn web_opened(&mut self, opened: io::Result<Box<WebLink>>) {
        let Some(web) = &mut self.web else {
            return;
        };
        let Some(target) = web.opened() else {
            return;
        };
        match opened {
            Ok(link) => {
                self.opening = None;
                let now = self.shared.clock.now();
                self.route.opened(target, web::PATIENCE, now);
                self.use_link(target, Link::Web(link));
            }
            Err(error) => {
                tracing::debug!(%error, port = target.address.port(), "no WebSocket");
                self.shared.lock().tried.note_web_failed(&error);
            }
        }
    }

    fn opened(&mut self, opened: io::Result<Link>) {
        let Some((target, _)) = self.opening.take() else {
            return;
        };
        match opened {
            Ok(link) => self.use_link(target, link),
            Err(error) => self.cannot_open(target, &error),
        }
    }

    fn use_link(&mut self, target: Target, link: Link) {
        self.link = Some((target, link));
        self.is_outdated = false;
        self.stalled = None;
        let now = self.shared.clock.now();
        self.shared.lock().client.network_changed(now);
    }

    fn cannot_open(&mut self, target: Target, error: &io::Error) {
        tracing::debug!(?target, %error, "cannot open");
        self.shared.lock().tried.note_failed(target, error);
        self.link = None;
        self.is_outdated = false;
        self.route.failed(self.shared.clock.now());
    }

    fn resolved(&mut self, found: io::Result<Vec<SocketAddr>>) {
        self.resolving = None;
        let found = found.unwrap_or_else(|error| {
            tracing::debug!(host = %self.host.name, %error, "the name service does not answer");
            Vec::new()
        });
        self.route.resolved(&found, self.shared.clock.now());
    }

    /// Asks the server for an answer by UDP, while all else goes on by TCP.
    async fn ask_by_udp(&mut self, address: SocketAddr, buffer: &mut Buffer) {
        if address.ip().is_unspecified() {
            return;
        }
        let mut probe = match Link::udp(address) {
            Ok(probe) => probe,
            Err(error) => {
                tracing::debug!(%address, %error, "cannot probe");
                return;
            }
        };
        let now = self.shared.clock.now();
        let packet = {
            let client = &mut self.shared.lock().client;
            client.ping();
            client.poll_transmit(now, buffer).ok().flatten()
        };
        if let Some(packet) = packet.and_then(|len| buffer.get(..len)) {
            probe.send(packet).await;
        }
        self.probe = Some(probe);
    }

    /// Sends what there is to send, as long as the link takes it.
    async fn transmit(&mut self, buffer: &mut Buffer) {
        let Some((_, link)) = &mut self.link else {
            return;
        };
        while link.is_ready() {
            let now = self.shared.clock.now();
            let packet = self.shared.poll_transmit(now, buffer);
            match packet.and_then(|len| buffer.get(..len)) {
                Some(packet) => link.send(packet).await,
                None => return,
            }
        }
    }

    /// Hands out events, and acts on those that concern the route; true if there may be something to do for it.
    fn dispatch(&mut self) -> bool {
        let (route, link, web) = (&mut self.route, &mut self.link, &mut self.web);
        let now = self.shared.clock.now();
        let (mut moves, mut joined) = (false, false);
        self.shared.dispatch(|event| {
            match event {
                CoreEvent::Redirected(to) => {
                    tracing::debug!(?to, "redirected");
                    if let Some(web) = web.as_mut() {
                        if matches!(link, Some((_, Link::Web(_)))) {
                            web.settled(true);
                        }
                        web.redirected(to);
                    }
                    // Later packets from there are not for this client.
                    *link = None;
                    route.redirected(*to, now);
                }
                CoreEvent::RedirectEnded => {
                    if let Some(web) = web.as_mut() {
                        web.redirect_ended();
                    }
                    route.redirect_ended(now);
                }
                CoreEvent::Reconnecting(cause) => {
                    // The socket may be bound to an address that this machine no longer has, and a connection may be as dead.
                    let silent = matches!(
                        cause,
                        ReconnectCause::Silence | ReconnectCause::NetworkChanged
                    );
                    route.lost(now, silent);
                }
                CoreEvent::Joined { .. } => {
                    joined = true;
                    return;
                }
                _ => return,
            }
            moves = true;
        });
        if joined && let Some(me) = self.shared.lock().client.me() {
            tracing::Span::current().record("id", me.as_str());
        }
        moves
    }

    async fn wait(
        &mut self,
        buffer: &mut Buffer,
        rebinds: &mut mpsc::Receiver<Rebind>,
        alive: &mut oneshot::Receiver<()>,
        abandoned: bool,
    ) -> Wakeup {
        let clock = self.shared.clock;
        let mut theirs = self.shared.timeout();
        match &self.link {
            Some((_, link)) if link.is_ready() => self.stalled = None,
            link => {
                // It would have output sent at once, which has to wait; its timers need not.
                theirs = theirs.map(|at| at.max(self.looked + HELD_BACK));
                let since = self.stalled.unwrap_or_else(|| clock.now());
                self.stalled = link.is_some().then_some(since);
            }
        }
        let given_up = self.stalled.map(|since| since + STALLED);
        let timeout = [self.route.poll_timeout(), theirs, given_up];
        let timeout = timeout.into_iter().flatten().min();
        let sleep = async {
            match timeout {
                Some(at) => tokio::time::sleep_until(clock.at(at)).await,
                None => pending().await,
            }
        };
        let mut probed = [0; MAX_DATAGRAM + 1];
        let probe = async {
            match &mut self.probe {
                Some(probe) => probe.receive(&mut probed).await,
                None => pending().await,
            }
        };
        let receive = async {
            match &mut self.link {
                Some((_, link)) => link.receive(&mut buffer[..]).await,
                None => pending().await,
            }
        };
        let opening = async {
            match &mut self.opening {
                Some((_, opening)) => opening.await,
                None => pending().await,
            }
        };
        let resolving = async {
            match &mut self.resolving {
                Some(resolving) => resolving.await,
                None => pending().await,
            }
        };
        let web = async {
            match &mut self.web {
                Some(web) => web.opening().await,
                None => pending().await,
            }
        };
        let wakeup = tokio::select! {
            opened = opening => Wakeup::Opened(opened),
            opened = web => Wakeup::WebOpened(opened.map(Box::new)),
            found = resolving => Wakeup::Resolved(found),
            received = receive => match received {
                Ok(Some(len)) => Wakeup::Received(len),
                Ok(None) => Wakeup::Sendable,
                Err(error) => Wakeup::LinkLost(error),
            },
            // An error says that nobody answers there.
            Ok(Some(len)) = probe => Wakeup::Probed(len),
            () = sleep => Wakeup::Timeout,
            () = self.shared.wake.notified() => Wakeup::Command,
            Some(reply) = rebinds.recv() => Wakeup::Rebind(reply),
            _ = alive, if !abandoned => Wakeup::Abandoned,
        };
        if let Wakeup::Probed(_) = wakeup {
            *buffer = probed;
        }
        wakeup
    }

    /// Takes in the datagram in `buffer` and those that are here already.
    fn take_in(&mut self, len: usize, buffer: &mut Buffer) {
        let mut next = Some(len);
        let mut taken = 0;
        while let Some(datagram) = next.and_then(|len| buffer.get_mut(..len)) {
            if self.shared.handle_datagram(datagram) && !self.route.is_settled() {
                self.settle();
            }
            taken += 1;
            if taken == BATCH {
                return;
            }
            next = (self.link.as_mut()).and_then(|(_, link)| link.try_receive(buffer));
        }
    }

    /// The link was answered: if that was for a session, or its lobby, it stays.
    fn settle(&mut self) {
        if self.is_outdated {
            return;
        }
        let is_live = {
            let client = &self.shared.lock().client;
            client.is_joined() || client.is_waiting()
        };
        // Another one may be coming about.
        let target = self.link.as_ref().map(|(target, _)| *target);
        if is_live && target == self.route.target() {
            self.opening = None;
            self.route.answered(self.shared.clock.now());
            if let Some(web) = &mut self.web {
                let is_used = matches!(self.link, Some((_, Link::Web(_))));
                web.settled(is_used || self.only_web);
            }
            self.tell_transport();
        }
    }

    fn take_in_probe(&mut self, datagram: Option<&mut [u8]>) {
        let answered = datagram.is_some_and(|datagram| self.shared.handle_datagram(datagram));
        if !answered {
            return;
        }
        self.route.probe_answered(self.shared.clock.now());
        if let (Some(link), Some(target)) = (self.probe.take(), self.route.target()) {
            self.link = Some((target, link));
            self.shared.lock().client.ping();
            if let Some(web) = &mut self.web {
                web.settled(false);
            }
        }
        self.tell_transport();
    }

    fn tell_transport(&mut self) {
        if let Some((_, link)) = &self.link
            && link.transport() != self.told
        {
            self.told = link.transport();
            self.shared.tell(Event::TransportChanged(self.told));
        }
    }

    fn handle_timeout(&mut self) {
        let now = self.shared.clock.now();
        self.shared.handle_timeout(now);
        self.looked = now;
        if self.stalled.is_some_and(|since| since + STALLED <= now) {
            self.lose(&io::ErrorKind::TimedOut.into());
        }
    }

    /// The link has come to its end.
    fn lose(&mut self, error: &io::Error) {
        if self.route.is_settled() && error.kind() == io::ErrorKind::ConnectionRefused {
            // The server is down for the moment, or somebody wants us to think so.
            return;
        }
        tracing::debug!(%error, target = ?self.route.target(), "link lost");
        if let Some((target, _)) = self.link.take() {
            self.shared.lock().tried.note_failed(target, error);
        }
        if self.opening.is_none() {
            self.route.failed(self.shared.clock.now());
        }
    }
}
