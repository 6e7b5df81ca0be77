//! What is counted as it happens, for [metrics](crate::metrics).

use std::time::Duration;

use axum::http::Method;
use parlour_tokio::CarryError;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::web::Carriage;

/// The bounds of durations, in seconds: of a commit on a fast disk, up to the limit of a request.
const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limited {
    limit: Limit,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Carried {
    carriage: Carriage,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NotCarried {
    carriage: Carriage,
    reason: Refusal,
}

/// Why a session of another carriage is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// Its page may not join.
    Origin,
    /// There is no such worker.
    Path,
    /// All places for connections are taken, or all that one address may have.
    Places,
    /// The server shuts down.
    ShuttingDown,
}

impl From<CarryError> for Refusal {
    fn from(error: CarryError) -> Self {
        match error {
            CarryError::UnknownWorker => Self::Path,
            CarryError::ShuttingDown => Self::ShuttingDown,
            _ => Self::Places,
        }
    }
}

impl EncodeLabelValue for Refusal {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let name = match self {
            Self::Origin => "origin",
            Self::Path => "path",
            Self::Places => "places",
            Self::ShuttingDown => "shutting_down",
        };
        EncodeLabelValue::encode(&name, encoder)
    }
}

/// A session that goes on.
struct GoesOn(Gauge);

impl Drop for GoesOn {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A limit of the API that a request was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// Requests a second of a key.
    Rate,
    /// Requests of a key at once.
    Concurrency,
    /// Refreshes from an address.
    Refreshes,
    /// Guests from an address.
    Guests,
    /// Logins from an address, or of a name.
    Logins,
    /// The time to send a body.
    Receive,
    /// The time to answer.
    Answer,
}

impl EncodeLabelValue for Limit {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let name = match self {
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Refreshes => "refreshes",
            Self::Guests => "guests",
            Self::Logins => "logins",
            Self::Receive => "receive_time",
            Self::Answer => "answer_time",
        };
        EncodeLabelValue::encode(&name, encoder)
    }
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

/// See the [module](self). Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    limited: Family<Limited, Counter>,
    sessions_carried: Family<Carried, Gauge>,
    carriages_refused: Family<NotCarried, Counter>,
    /// Requests that are being answered.
    pub(crate) in_flight: Gauge,
    refused: Family<Reason, Counter>,
    left: Family<Reason, Counter>,
    ended: Family<Reason, Counter>,
    /// Participants that came into a session.
    pub(crate) joined: Counter,
    /// Sessions that began.
    pub(crate) started: Counter,
    /// Sessions that go on.
    pub(crate) sessions: Gauge,
    /// Events that the history learnt of by a snapshot only.
    pub(crate) history_missed: Counter,
    /// Packets that are missing in recordings because they could not be written in time.
    pub(crate) recordings_dropped: Counter,
    /// Webhooks whose receivers refuse events.
    pub(crate) webhooks_failing: Gauge,
    /// Events that receivers are owed.
    pub(crate) webhook_backlog: Gauge,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            limited: Family::default(),
            sessions_carried: Family::default(),
            carriages_refused: Family::default(),
            in_flight: Gauge::default(),
            refused: Family::default(),
            left: Family::default(),
            ended: Family::default(),
            joined: Counter::default(),
            started: Counter::default(),
            sessions: Gauge::default(),
            history_missed: Counter::default(),
            recordings_dropped: Counter::default(),
            webhooks_failing: Gauge::default(),
            webhook_backlog: Gauge::default(),
        }
    }
}

impl Counted {
    /// A request was answered. `route` is a template, or `None` if there is none for its path.
    pub(crate) fn request(
        &self,
        method: &Method,
        route: Option<&str>,
        status: u16,
        took: Duration,
    ) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        let route = route.unwrap_or("other").to_owned();
        let request = Request {
            method,
            route: route.clone(),
            status,
        };
        self.requests.get_or_create(&request).inc();
        let route = Route { method, route };
        let duration = self.durations.get_or_create(&route);
        duration.observe(took.as_secs_f64());
    }

    /// A request was over a limit.
    pub(crate) fn limited(&self, limit: Limit) {
        self.limited.get_or_create(&Limited { limit }).inc();
    }

    /// Counts a session for as long as it goes on.
    pub(crate) fn carried<F: Future<Output = ()>>(
        &self,
        carriage: Carriage,
        session: F,
    ) -> impl Future<Output = ()> + use<F> {
        let gauge = self
            .sessions_carried
            .get_or_create_owned(&Carried { carriage });
        gauge.inc();
        let goes_on = GoesOn(gauge);
        async move {
            session.await;
            drop(goes_on);
        }
    }

    /// A session of another carriage was refused.
    pub(crate) fn carriage_refused(&self, carriage: Carriage, reason: Refusal) {
        let refused = NotCarried { carriage, reason };
        self.carriages_refused.get_or_create(&refused).inc();
    }

    /// A join was refused.
    pub(crate) fn refused(&self, reason: String) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// A participant left.
    pub(crate) fn left(&self, reason: String) {
        self.left.get_or_create(&Reason { reason }).inc();
    }

    /// A session ended.
    pub(crate) fn ended(&self, reason: String) {
        self.ended.get_or_create(&Reason { reason }).inc();
    }

    /// Adds all of them.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Requests that were answered, by method, template of the path, and status",
            self.requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "Time until the head of the answer",
            self.durations.clone(),
        );
        registry.register(
            "http_limited",
            "Requests that were over a limit",
            self.limited.clone(),
        );
        registry.register(
            "carried_sessions",
            "WebSockets and WebTransport sessions of participants",
            self.sessions_carried.clone(),
        );
        registry.register(
            "carried_sessions_refused",
            "WebSockets and WebTransport sessions that were refused, by reason",
            self.carriages_refused.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests that are being answered, until the head of the answer",
            self.in_flight.clone(),
        );
        registry.register(
            "join_refusal_reasons",
            "Joins refused, by reason; floods of them are only in parlour_joins_refused_total",
            self.refused.clone(),
        );
        registry.register(
            "participants_left",
            "Participants that left a session, by reason",
            self.left.clone(),
        );
        registry.register(
            "participants_joined",
            "Participants that came into a session",
            self.joined.clone(),
        );
        registry.register(
            "sessions_started",
            "Sessions that began",
            self.started.clone(),
        );
        registry.register(
            "sessions_ended",
            "Sessions that ended, by reason",
            self.ended.clone(),
        );
        registry.register("sessions", "Sessions that go on", self.sessions.clone());
        registry.register(
            "history_events_missed",
            "Events that came faster than history was written, and were made up for by a snapshot",
            self.history_missed.clone(),
        );
        registry.register(
            "recordings_packets_missed",
            "Packets that are missing in recordings because they could not be written in time",
            self.recordings_dropped.clone(),
        );
        registry.register(
            "webhooks_failing",
            "Webhooks whose receivers refuse events",
            self.webhooks_failing.clone(),
        );
        registry.register(
            "webhook_backlog_events",
            "Events that receivers of webhooks are owed",
            self.webhook_backlog.clone(),
        );
    }
}
