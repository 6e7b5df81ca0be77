//! How much a client may: requests a second and at once, and the time it takes.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, timeout, timeout_at};

use super::App;
use super::caller::authenticate;
use super::problem::{Kind, Problem};
use crate::config::{Http, Limits, Tls};
use crate::counted::Limit;
use crate::http::Proxies;

/// Addresses that are remembered before those are forgotten that have waited long enough.
const REMEMBERED: usize = 10_000;

/// So many times as many logins of one name are possible as from one address: who locks an admin out has to come from many.
const OF_A_NAME: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// The address of a request's client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) IpAddr);

/// Time as the runtime has it.
#[derive(Debug, Clone)]
struct Ticks(Instant);

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// So many in a time, for each `K`.
type Rate<K> = RateLimiter<K, HashMapStateStore<K>, Ticks, NoOpMiddleware<Nanos>>;

/// Counts what clients do.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    proxies: Proxies,
    is_tls: bool,
    ticks: Ticks,
    keys: Rate<String>,
    refreshes: Rate<IpAddr>,
    guests: Rate<IpAddr>,
    logins: Rate<IpAddr>,
    names: Rate<String>,
    running: Arc<Running>,
}

impl Gate {
    pub(crate) fn new(config: &Http) -> Self {
        let ticks = Ticks(Instant::now());
        let limits = config.limits.clone();
        let keys = Quota::per_second(limits.requests_per_s);
        let refreshes = Quota::per_minute(limits.refreshes_per_min);
        let guests = Quota::per_minute(limits.guests_per_min);
        let logins = Quota::per_minute(limits.logins_per_min);
        let names = limits.logins_per_min.saturating_mul(OF_A_NAME);
        let names = Quota::per_minute(names);
        Self {
            proxies: Proxies::new(config),
            is_tls: config.tls != Tls::Off,
            keys: RateLimiter::hashmap_with_clock(keys, ticks.clone()),
            refreshes: RateLimiter::hashmap_with_clock(refreshes, ticks.clone()),
            guests: RateLimiter::hashmap_with_clock(guests, ticks.clone()),
            logins: RateLimiter::hashmap_with_clock(logins, ticks.clone()),
            names: RateLimiter::hashmap_with_clock(names, ticks.clone()),
            running: Arc::default(),
            limits,
            ticks,
        }
    }

    /// Whether clients come by TLS that ends here.
    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a request of a key.
    fn admit(&self, key: &str) -> Result<Permit, (Limit, Problem)> {
        let key = key.to_owned();
        if let Err(not_yet) = self.keys.check_key(&key) {
            let wait = not_yet.wait_time_from(self.ticks.now());
            let detail = format!(
                "the key {key:?} may send {} requests a second: spread them, or use several keys",
                self.limits.requests_per_s
            );
            return Err((Limit::Rate, limited(detail, wait)));
        }
        let most = self.limits.concurrent;
        Running::enter(&self.running, &key, most).ok_or_else(|| {
            let detail = format!(
                "{most} requests of the key {key:?} are being answered: wait for some of them; streams of events count"
            );
            (Limit::Concurrency, limited(detail, Duration::from_secs(1)))
        })
    }

    /// Counts a refresh by a client.
    fn admit_refresh(&self, client: IpAddr) -> Result<(), (Limit, Problem)> {
        self.admit_from(&self.refreshes, client).map_err(|wait| {
            let detail = format!(
                "{} refreshes a minute are possible from {client}: have tokens live longer",
                self.limits.refreshes_per_min
            );
            (Limit::Refreshes, limited(detail, wait))
        })
    }

    /// Counts a guest of a client's address.
    fn admit_guest(&self, client: IpAddr) -> Result<(), (Limit, Problem)> {
        self.admit_from(&self.guests, client).map_err(|wait| {
            let detail = format!(
                "{} guests a minute are possible from {client}: wait, and try again",
                self.limits.guests_per_min
            );
            (Limit::Guests, limited(detail, wait))
        })
    }

    /// Counts a try to log in, by the client and by the name: one who tries from many addresses is slowed, too.
    pub(super) fn admit_login(&self, client: IpAddr, name: &str) -> Result<(), Problem> {
        let counted = self.admit_from(&self.logins, client);
        let counted = counted.and_then(|()| self.count(&self.names, &name.to_owned()));
        counted.map_err(|wait| {
            let detail = format!(
                "{} tries to log in are possible a minute: wait, and try again",
                self.limits.logins_per_min
            );
            limited(detail, wait)
        })
    }

    /// How long the client has to wait, if it does.
    fn admit_from(&self, rate: &Rate<IpAddr>, client: IpAddr) -> Result<(), Duration> {
        self.count(rate, &network(client))
    }

    fn count<K: Clone + Eq + Hash>(&self, rate: &Rate<K>, key: &K) -> Result<(), Duration> {
        if rate.len() >= REMEMBERED {
            rate.retain_recent();
        }
        let counted = rate.check_key(key);
        counted.map_err(|not_yet| not_yet.wait_time_from(self.ticks.now()))
    }
}

fn limited(detail: String, wait: Duration) -> Problem {
    // A client that waits as long is not refused again for a fraction of a second.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::new(Kind::RateLimited, detail).retry_after(seconds.max(1))
}

/// One who has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).into()
        }
    }
}

/// The requests of each key that are being answered.
#[derive(Debug, Default)]
struct Running(Mutex<BTreeMap<String, u32>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(this: &Arc<Self>, key: &str, most: NonZeroU32) -> Option<Permit> {
        let mut running = this.lock();
        let count = running.entry(key.to_owned()).or_default();
        if *count >= most.get() {
            return None;
        }
        *count += 1;
        Some(Permit {
            running: Arc::clone(this),
            key: key.to_owned(),
        })
    }
}

/// One request that is being answered, until its answer is sent.
#[derive(Debug)]
struct Permit {
    running: Arc<Running>,
    key: String,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        if let Some(count) = running.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.key);
            }
        }
    }
}

/// The body of an answer, which holds a permit until it is sent.
struct Held {
    body: Body,
    _permit: Permit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A body did not come in time.
#[derive(Debug)]
struct TooSlow(NonZeroU32);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the body did not come within {} s: send it faster",
            self.0
        )
    }
}

impl StdError for TooSlow {}

/// The problem with a body that cannot be read.
pub(super) fn unreadable(error: &(dyn StdError + 'static)) -> Problem {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(slow) = error.downcast_ref::<TooSlow>() {
            return Problem::new(Kind::TooSlow, slow.to_string());
        }
        if error.is::<http_body_util::LengthLimitError>() {
            return Problem::new(Kind::TooLarge, "a request has at most 1 MiB");
        }
        cause = error.source();
    }
    Problem::new(Kind::Malformed, format!("the body cannot be read: {error}"))
}

/// A body that fails if it is not there in time.
fn hurried(body: Body, within: NonZeroU32) -> Body {
    let by = Instant::now() + Duration::from_secs(within.get().into());
    let chunks =
        futures_util::stream::unfold(Some(body.into_data_stream()), move |chunks| async move {
            let mut chunks = chunks?;
            match timeout_at(by, chunks.next()).await {
                Ok(Some(chunk)) => Some((chunk.map_err(axum::Error::into_inner), Some(chunks))),
                Ok(None) => None,
                Err(_) => Some((Err(TooSlow(within).into()), None)),
            }
        });
    Body::from_stream(chunks)
}

/// Finds a request's client, for what comes after.
pub(super) async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
    let client = app.gate().proxies.client(peer, request.headers());
    request.extensions_mut().insert(Client(client));
    next.run(request).await
}

/// Answers a request, unless its client is over a limit.
pub(super) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let answered = answer(&app, request, next).await;
    answered.unwrap_or_else(|(limit, problem)| {
        app.counted().limited(limit);
        problem.into_response()
    })
}

/// Whether an answer takes as long as something else: a receiver's answer to a test, a copy of the database.
fn may_last(path: &str) -> bool {
    let is_test = path.starts_with("/v1/webhooks/") && path.ends_with("/test");
    is_test || path == "/v1/server/backup"
}

async fn answer(app: &App, request: Request, next: Next) -> Result<Response, (Limit, Problem)> {
    let gate = app.gate();
    if request.method() == Method::POST
        && let Some(Client(client)) = request.extensions().get()
    {
        match request.uri().path() {
            "/v1/tokens/refresh" => gate.admit_refresh(*client)?,
            "/v1/guests" => gate.admit_guest(*client)?,
            _ => {}
        }
    }
    let (parts, body) = request.into_parts();
    // Without a valid key there is next to nothing to answer, and probes are answered whatever their key has asked for.
    let permit = match authenticate(&parts, app) {
        Ok((key, _)) if parts.uri.path().starts_with("/v1/") => Some(gate.admit(&key)?),
        _ => None,
    };
    let limits = &gate.limits;
    let body = if body.is_end_stream() {
        body
    } else {
        hurried(body, limits.receive_s)
    };
    let within = Duration::from_secs(limits.answer_s.get().into());
    let lasts = may_last(parts.uri.path());
    let answer = next.run(Request::from_parts(parts, body));
    let answered = if lasts {
        Ok(answer.await)
    } else {
        timeout(within, answer).await
    };
    let response = answered.map_err(|_| {
        let detail = format!(
            "the server took longer than {} s: it may still do what was asked; look, and try again later",
            limits.answer_s
        );
        let problem = Problem::new(Kind::TimedOut, detail).retry_after(5);
        (Limit::Answer, problem)
    })?;
    if response.status() == axum::http::StatusCode::REQUEST_TIMEOUT {
        app.counted().limited(Limit::Receive);
    }
    Ok(match permit {
        Some(permit) => response.map(|body| {
            Body::new(Held {
                body,
                _permit: permit,
            })
        }),
        None => response,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(text: &str) -> Gate {
        Gate::new(&toml::from_str(text).unwrap())
    }

    fn wait(refused: &(Limit, Problem)) -> String {
        let response = refused.1.clone().into_response();
        let wait = response.headers()["retry-after"].to_str().unwrap();
        wait.to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_may_send_so_many_requests_a_second() {
        let gate = gate("[limits]\nrequests_per_s = 4");
        for _ in 0..4 {
            assert!(gate.admit("a").is_ok());
        }
        let refused = gate.admit("a").unwrap_err();
        assert_eq!((refused.0, wait(&refused)), (Limit::Rate, "1".to_owned()));
        assert!(gate.admit("b").is_ok(), "another key");
        tokio::time::advance(Duration::from_millis(249)).await;
        assert!(gate.admit("a").is_err());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(gate.admit("a").is_ok() && gate.admit("a").is_err());
        tokio::time::advance(Duration::from_secs(60)).await;
        for n in 0..5 {
            assert_eq!(gate.admit("a").is_ok(), n < 4, "{n}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_may_have_so_many_requests_at_once() {
        let gate = gate("[limits]\nconcurrent = 2");
        let (first, _second) = (gate.admit("a").unwrap(), gate.admit("a").unwrap());
        let refused = gate.admit("a").unwrap_err();
        assert_eq!(refused.0, Limit::Concurrency);
        assert!(gate.admit("b").is_ok(), "another key");
        drop(first);
        assert!(gate.admit("a").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn refreshes_are_counted_by_address_and_forgotten() {
        let gate = gate("");
        let refresh = |address: &str| gate.admit_refresh(address.parse().unwrap());
        for last in 0..5 {
            assert!(refresh(&format!("2001:db8::{last}")).is_ok());
        }
        let refused = refresh("2001:db8::ffff").unwrap_err();
        assert_eq!(
            (refused.0, wait(&refused)),
            (Limit::Refreshes, "12".to_owned())
        );
        assert!(refresh("2001:db8:0:1::").is_ok() && refresh("192.0.2.1").is_ok());
        tokio::time::advance(Duration::from_secs(12)).await;
        assert!(refresh("2001:db8::1").is_ok() && refresh("2001:db8::1").is_err());
        for n in 0..REMEMBERED as u32 {
            assert!(gate.admit_refresh(Ipv4Addr::from_bits(n).into()).is_ok());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(
            gate.refreshes.len() < REMEMBERED,
            "{}",
            gate.refreshes.len()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn logins_are_counted_by_address_and_by_name() {
        let gate = gate("");
        let is_in = |last: u8, name: &str| {
            let client = Ipv4Addr::new(192, 0, 2, last).into();
            gate.admit_login(client, name).is_ok()
        };
        for n in 0..6 {
            assert_eq!(is_in(1, &format!("admin{n}")), n < 5, "{n}");
        }
        for n in 0..21 {
            assert_eq!(is_in(10 + n, "anna"), n < 20, "{n}");
        }
        assert!(is_in(50, "ben"), "another name");
        tokio::time::advance(Duration::from_secs(12)).await;
        assert!(is_in(1, "ben") && !is_in(1, "ben") && is_in(51, "anna"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_to_come_in_time() {
        let ten = NonZeroU32::new(10).unwrap();
        let trickle = |pause| {
            let bytes = futures_util::stream::unfold(0, move |n| async move {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                (n < 4).then_some((Ok::<_, axum::Error>("x"), n + 1))
            });
            axum::body::to_bytes(hurried(Body::from_stream(bytes), ten), 100)
        };
        assert_eq!(trickle(1).await.unwrap(), "xxxx");
        let began = Instant::now();
        let error = trickle(4).await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::from_secs(10));
        assert_eq!(unreadable(&error).kind(), Kind::TooSlow);
        let error = axum::body::to_bytes(Body::from("xxx"), 2)
            .await
            .unwrap_err();
        assert_eq!(unreadable(&error).kind(), Kind::TooLarge);
    }
}
