//! The task that moves packets and time between the core's client and the network.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parlour_core::client::{Event as CoreEvent, ReconnectCause};
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use super::TransportChoice;
use super::link::{Link, Way};
use super::shared::Shared;

/// How long the server has to answer before the next way is tried.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Between two attempts to open a way that could not be opened: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));
/// How often the client's timers are looked at while the link takes nothing.
const HELD_BACK: Duration = Duration::from_millis(50);
/// How long a TCP connection may take nothing, or answer nothing when it is new, before another takes its place.
const STALLED: Duration = Duration::from_secs(5);
/// Datagrams that are taken in before anything is sent, so that the answers share datagrams.
const BATCH: usize = 32;

/// A request for a new socket.
pub(super) type Rebind = oneshot::Sender<io::Result<()>>;

/// The ways to try, in turn, until the server answers on one.
#[derive(Debug)]
struct Ways {
    ways: Vec<(Way, SocketAddr)>,
    current: usize,
    /// Whether the server has answered on the current one, which then stays.
    answered: bool,
}

impl Ways {
    fn new(transport: TransportChoice, servers: &[SocketAddr]) -> Self {
        let each = |way| servers.iter().map(move |server| (way, *server));
        let ways = match transport {
            TransportChoice::Auto => each(Way::Udp).chain(each(Way::Tcp)).collect(),
            TransportChoice::Udp => each(Way::Udp).collect(),
            TransportChoice::Tcp => each(Way::Tcp).collect(),
        };
        Self {
            ways,
            current: 0,
            answered: false,
        }
    }

    fn current(&self) -> Option<(Way, SocketAddr)> {
        self.ways.get(self.current).copied()
    }

    fn advance(&mut self) {
        self.current = (self.current + 1) % self.ways.len().max(1);
    }
}

/// A TCP connection that is coming about.
type Opening = Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>;

pub(super) struct Driver {
    shared: Arc<Shared>,
    transport: TransportChoice,
    /// What the ticket names: where to return to when a redirect leads nowhere.
    servers: Vec<SocketAddr>,
    ways: Ways,
    link: Option<Link>,
    opening: Option<Opening>,
    /// When to open a way that is not open, or to give up on one that is silent.
    next_try: Option<Instant>,
    backoff: Duration,
    /// Whether the server was heard over the link.
    heard: bool,
    /// Since when the link has taken nothing.
    stalled: Option<Instant>,
    /// When the client's timers were last looked at.
    looked: Instant,
}

/// What the driver waits for.
enum Wakeup {
    Received(usize),
    Sendable,
    Opened(io::Result<Link>),
    LinkLost(io::Error),
    Timeout,
    Command,
    Rebind(Rebind),
    Abandoned,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        transport: TransportChoice,
        servers: &[SocketAddr],
    ) -> Self {
        let looked = shared.clock.now();
        Self {
            shared,
            transport,
            servers: servers.to_vec(),
            ways: Ways::new(transport, servers),
            link: None,
            opening: None,
            next_try: None,
            backoff: BACKOFF.0,
            heard: false,
            stalled: None,
            looked,
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
        self.open();
        loop {
            self.shared.release();
            self.transmit(&mut buffer).await;
            if self.dispatch() {
                continue;
            }
            if self.shared.lock().client.closed().is_some() {
                if let Some(link) = &mut self.link {
                    link.finish().await;
                }
                return;
            }
            match self
                .wait(&mut buffer, &mut rebinds, &mut alive, abandoned)
                .await
            {
                Wakeup::Received(len) => self.take_in(len, &mut buffer),
                Wakeup::Sendable => self.stalled = None,
                Wakeup::Command => {}
                Wakeup::LinkLost(error) => self.lose(&error),
                Wakeup::Opened(opened) => self.opened(opened),
                Wakeup::Timeout => self.handle_timeout(),
                Wakeup::Rebind(reply) => drop(reply.send(self.rebind())),
                Wakeup::Abandoned => {
                    abandoned = true;
                    let now = self.shared.clock.now();
                    // An error means that it is leaving already.
                    let _ = self.shared.lock().client.leave(now);
                }
            }
        }
    }

    /// Sends what there is to send, as long as the link takes it.
    async fn transmit(&mut self, buffer: &mut [u8]) {
        let Some(link) = &mut self.link else {
            return;
        };
        while link.is_ready() {
            let now = self.shared.clock.now();
            let packet = self.shared.lock().client.poll_transmit(now, buffer);
            match packet.ok().flatten().and_then(|len| buffer.get(..len)) {
                Some(packet) => link.send(packet).await,
                None => return,
            }
        }
    }

    /// Hands out events, and acts on those that concern the link; true if there may be something new to send.
    fn dispatch(&mut self) -> bool {
        let mut ways = None;
        let (mut silent, mut joined) = (false, false);
        let way = self.way();
        self.shared.dispatch(|event| match event {
            CoreEvent::Redirected(server) => {
                tracing::debug!(%server, "redirected");
                let transport = match (self.transport, way) {
                    (TransportChoice::Auto, Some(Way::Tcp)) => TransportChoice::Tcp,
                    (transport, _) => transport,
                };
                ways = Some(Ways::new(transport, &[*server]));
            }
            CoreEvent::RedirectEnded => ways = Some(Ways::new(self.transport, &self.servers)),
            CoreEvent::Joined { .. } => joined = true,
            CoreEvent::Reconnecting(ReconnectCause::Silence | ReconnectCause::NetworkChanged) => {
                silent = true;
            }
            _ => {}
        });
        if joined && let Some(me) = self.shared.lock().client.me() {
            tracing::Span::current().record("id", me.as_str());
        }
        let moves = ways.is_some();
        if let Some(ways) = ways {
            self.ways = ways;
            self.link = None;
            self.open();
        } else if silent && self.link.is_some() {
            // The socket may be bound to an address that this machine no longer has, and a connection may be as dead.
            self.open();
        }
        moves || silent
    }

    fn way(&self) -> Option<Way> {
        self.link.as_ref().map(Link::way)
    }

    async fn wait(
        &mut self,
        buffer: &mut [u8],
        rebinds: &mut mpsc::Receiver<Rebind>,
        alive: &mut oneshot::Receiver<()>,
        abandoned: bool,
    ) -> Wakeup {
        let clock = self.shared.clock;
        let mut theirs = self.shared.timeout();
        match &self.link {
            Some(link) if link.is_ready() => self.stalled = None,
            link => {
                // It would have output sent at once, which has to wait; its timers need not.
                theirs = theirs.map(|at| at.max(self.looked + HELD_BACK));
                let since = self.stalled.unwrap_or_else(|| clock.now());
                self.stalled = link.is_some().then_some(since);
            }
        }
        let given_up = self.stalled.map(|since| since + STALLED);
        let timeout = [self.next_try, theirs, given_up];
        let timeout = timeout.into_iter().flatten().min();
        let sleep = async {
            match timeout {
                Some(at) => tokio::time::sleep_until(clock.at(at)).await,
                None => pending().await,
            }
        };
        let receive = async {
            match &mut self.link {
                Some(link) => link.receive(buffer).await,
                None => pending().await,
            }
        };
        let opening = async {
            match &mut self.opening {
                Some(opening) => opening.await,
                None => pending().await,
            }
        };
        tokio::select! {
            opened = opening => Wakeup::Opened(opened),
            received = receive => match received {
                Ok(Some(len)) => Wakeup::Received(len),
                Ok(None) => Wakeup::Sendable,
                Err(error) => Wakeup::LinkLost(error),
            },
            () = sleep => Wakeup::Timeout,
            () = self.shared.wake.notified() => Wakeup::Command,
            Some(reply) = rebinds.recv() => Wakeup::Rebind(reply),
            _ = alive, if !abandoned => Wakeup::Abandoned,
        }
    }

    /// Takes in the datagram in `buffer` and those that are here already.
    fn take_in(&mut self, len: usize, buffer: &mut [u8]) {
        let mut next = Some(len);
        let mut taken = 0;
        while let Some(datagram) = next.and_then(|len| buffer.get_mut(..len)) {
            if self.shared.handle_datagram(datagram) && !self.heard {
                (self.heard, self.ways.answered) = (true, true);
                self.next_try = None;
                self.backoff = BACKOFF.0;
            }
            taken += 1;
            if taken == BATCH {
                return;
            }
            next = self.link.as_mut().and_then(|link| link.try_receive(buffer));
        }
    }

    fn handle_timeout(&mut self) {
        let now = self.shared.clock.now();
        self.shared.lock().client.handle_timeout(now);
        self.looked = now;
        if self.stalled.is_some_and(|since| since + STALLED <= now) {
            self.lose(&io::ErrorKind::TimedOut.into());
        }
        if self.next_try.is_some_and(|at| at <= now) {
            if self.link.is_some() && !self.ways.answered {
                self.ways.advance();
            }
            self.open();
        }
    }

    /// The link has come to its end: tries the next one, or the same one again a little later.
    fn lose(&mut self, error: &io::Error) {
        if self.ways.answered && error.kind() == io::ErrorKind::ConnectionRefused {
            // The server is down for the moment, or somebody wants us to think so.
            return;
        }
        tracing::debug!(%error, way = ?self.way(), "link lost");
        self.link = None;
        self.retry_later();
    }

    fn retry_later(&mut self) {
        if !self.ways.answered {
            self.ways.advance();
        }
        self.next_try = Some(self.shared.clock.now() + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
    }

    /// Opens the current way anew. Meanwhile a link that is there goes on.
    fn open(&mut self) {
        let Some((way, server)) = self.ways.current() else {
            return;
        };
        self.next_try = None;
        self.opening = None;
        match way {
            Way::Udp => self.opened(Link::udp(server)),
            Way::Tcp => self.opening = Some(Box::pin(Link::tcp(server))),
        }
    }

    fn opened(&mut self, opened: io::Result<Link>) {
        self.opening = None;
        match opened {
            Ok(link) => {
                let way = link.way();
                self.link = Some(link);
                (self.heard, self.stalled) = (false, None);
                let now = self.shared.clock.now();
                self.shared.lock().client.network_changed(now);
                let has_another = !self.ways.answered && self.ways.ways.len() > 1;
                if has_another {
                    self.next_try = Some(now + PATIENCE);
                } else if way == Way::Tcp {
                    // What is written to a dead connection comes back neither as an answer nor as an error.
                    self.next_try = Some(now + STALLED);
                }
            }
            Err(error) => {
                tracing::debug!(%error, way = ?self.ways.current(), "cannot open a way");
                self.link = None;
                self.retry_later();
            }
        }
    }

    /// Replaces the socket. A TCP connection is made anew in the background.
    fn rebind(&mut self) -> io::Result<()> {
        if let Some((Way::Udp, server)) = self.ways.current() {
            self.opened(Ok(Link::udp(server)?));
        } else {
            self.open();
        }
        Ok(())
    }
}
