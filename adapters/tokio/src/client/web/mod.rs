//! The way by WebSocket, for networks that let only HTTPS out: when to try it, and how to open it ([`connect`]).
//!
//! To the core's route, a WebSocket is another way to open a TCP connection: it is sought when one is, a little later, so that
//! a way without TLS and proxies has the first chance. The one that worked last goes first. It takes longer than the route has
//! patience for a candidate, so it comes about beside the candidates that follow.

mod connect;

use std::fmt;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use parlour_core::client::Target;
use parlour_core::signal::Redirect;
use tokio::time::{Instant, sleep_until};

pub(super) use connect::{Web, WebLink};

/// How long an open WebSocket has for the server's answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
/// How much sooner TCP is tried.
const HEAD_START: Duration = Duration::from_millis(500);
/// From one attempt to the next, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

type Opening = Pin<Box<dyn Future<Output = io::Result<WebLink>> + Send>>;

pub(super) struct ByWeb {
    web: Web,
    opening: Option<(Target, Opening)>,
    /// Whether the server has sent the client to another machine: then that of each target is sought.
    is_elsewhere: bool,
    /// Whether it comes first.
    is_preferred: bool,
    not_before: Instant,
    pause: Duration,
}

impl ByWeb {
    pub(super) fn new(web: Web, is_preferred: bool) -> Self {
        Self {
            web,
            opening: None,
            is_elsewhere: false,
            is_preferred,
            not_before: Instant::now(),
            pause: FIRST_PAUSE,
        }
    }

    /// The server has sent the client to another worker, perhaps of another machine.
    pub(super) fn redirected(&mut self, to: &Redirect) {
        self.is_elsewhere |= !matches!(to, Redirect::Port(_));
        self.opening = None;
    }

    /// There it is not answered: back to the server's name.
    pub(super) fn redirect_ended(&mut self) {
        self.is_elsewhere = false;
        self.opening = None;
    }

    /// Seeks the worker with the port of `target`, unless it is being sought already.
    pub(super) fn open(&mut self, target: Target) {
        let port = target.address.port();
        let machine = self.is_elsewhere.then(|| target.address.ip());
        if let Some((sought, _)) = &mut self.opening
            && sought.address.port() == port
            && machine.is_none_or(|machine| sought.address.ip() == machine)
        {
            *sought = target;
            return;
        }
        let head_start = match self.is_preferred {
            true => Duration::ZERO,
            false => HEAD_START,
        };
        let at = self.not_before.max(Instant::now() + head_start);
        let web = self.web.clone();
        let opening = async move {
            sleep_until(at).await;
            web.connect(port, machine).await
        };
        self.opening = Some((target, Box::pin(opening)));
    }

    /// What came of it. Cancellation-safe.
    pub(super) async fn opening(&mut self) -> io::Result<WebLink> {
        match &mut self.opening {
            Some((_, opening)) => opening.await,
            None => pending().await,
        }
    }

    /// It has come to an end; gives the target that was sought. Another attempt waits for a while.
    pub(super) fn opened(&mut self) -> Option<Target> {
        let (target, _) = self.opening.take()?;
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Some(target)
    }

    /// The server has answered, by this way or by another.
    pub(super) fn settled(&mut self, is_preferred: bool) {
        self.opening = None;
        self.is_preferred = is_preferred;
        self.not_before = Instant::now();
        self.pause = FIRST_PAUSE;
    }
}

impl fmt::Display for ByWeb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.web.fmt(f)
    }
}
