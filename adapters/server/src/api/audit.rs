//! The audit log: one entry for each request that changes something, also for those that were refused.
//!
//! ```text
//! request ──► keep ──► handler ──► Store::write: the change and its entry, one transaction
//!               └────► Recorder: entries of requests without a transaction, or with another result; failed log-ins, counted
//! ```
//!
//! Entries name keys, paths, participants and results; bodies and secrets are never in them. Requests without a valid key can be
//! sent by anybody: those of a minute are one entry for each key that they claim to have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts as _, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use ulid::Ulid;
use utoipa::{IntoParams, ToSchema};

use super::caller::{Admin, Caller, authenticate, claimed};
use super::extract::Query;
use super::list::{List, Order, page_request};
use super::login::Tried;
use super::problem::{Kind, Problem};
use super::{App, REQUEST_ID};
use crate::store::{AuditFilter, AuditRow, DONE, Ledger, Store, StoreError};
use crate::time::Timestamp;

/// Entries that wait for the database.
const QUEUE: usize = 1_024;
/// Entries in one transaction.
const BATCH: usize = 128;
/// How often counts are written.
const FLUSH: Duration = Duration::from_secs(5);
/// How long requests without a valid key are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// How long to wait before a batch is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Characters of a request's id that are kept. Callers may give it.
const MAX_REQUEST_ID: usize = 64;

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// `aud_…`
    id: String,
    at: Timestamp,
    /// The id of the key, or `admin:` and the name of an admin; empty for requests without valid credentials that claim none
    /// that exist.
    actor: String,
    /// Method and path as this description has them, such as `PUT /v1/rooms/{room}`; `authenticate` for requests without a
    /// valid key.
    action: String,
    /// The path in this case, or that of what was made.
    target: String,
    /// The participant, if it is about one.
    #[schema(required)]
    participant: Option<String>,
    /// The `X-Request-Id` of the answer.
    request_id: String,
    /// `done`; `replayed` if the answer was one that was given before; or the problem that was the answer.
    result: String,
    /// How often. Requests without a valid key are counted for a minute.
    count: i64,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            at: row.at,
            actor: row.actor,
            action: row.action,
            target: row.target,
            participant: row.participant,
            request_id: row.request_id,
            result: row.result,
            count: row.count,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Entries of these keys.
    #[serde(default)]
    actor: Vec<String>,
    /// Entries of these actions.
    #[serde(default)]
    action: Vec<String>,
    /// Entries of these targets.
    #[serde(default)]
    target: Vec<String>,
    /// Entries about these participants.
    #[serde(default)]
    participant: Vec<String>,
    /// Made at this time or later.
    at_after: Option<Timestamp>,
    /// Made before this time.
    at_before: Option<Timestamp>,
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

/// Lists who did what
#[utoipa::path(get, path = "/v1/audit", tag = "audit",
    operation_id = "list_audit_entries", security(("key" = ["admin"])),
    params(AuditQuery), responses(
    (status = OK, body = List<AuditEntry>),
))]
pub(super) async fn list(
    _: Caller<Admin>,
    State(app): State<App>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<List<AuditEntry>>, Problem> {
    let page = page_request(
        query.limit,
        query.cursor.as_deref(),
        query.order,
        AuditFilter::SORT,
    )?;
    let filter = AuditFilter {
        actors: query.actor,
        actions: query.action,
        targets: query.target,
        participants: query.participant,
        at_after: query.at_after,
        at_before: query.at_before,
    };
    let page = app.store().audit(&filter, &page).await?;
    Ok(Json(List::new(page, AuditEntry::from)))
}

/// Carries a request out, and has it in the log if it changes something or has no valid key.
pub(super) async fn keep(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let actor = authenticate(&parts, &app).map(|(key, _)| key);
    let claimed = claimed(&parts, &app);
    let is_change = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let row = describe(&mut parts).await;
    let request = Request::from_parts(parts, body);
    let Ok(actor) = actor else {
        let response = next.run(request).await;
        if let Some(Tried(admin)) = response.extensions().get() {
            let (actor, result) = (admin.clone(), result(&response).to_owned());
            let row = AuditRow {
                actor,
                result,
                ..row
            };
            match response.status().is_success() {
                true => app.recorder().keep(row),
                // Anybody can try. Those who are not let in are counted, for each admin that there is.
                false => app.recorder().count(row),
            }
        } else if response.status() == StatusCode::UNAUTHORIZED {
            app.recorder().count(AuditRow {
                actor: claimed.unwrap_or_default(),
                action: "authenticate".to_owned(),
                participant: None,
                result: Kind::Unauthenticated.name().to_owned(),
                ..row
            });
        }
        return response;
    };
    if !is_change {
        return next.run(request).await;
    }
    let ledger = Ledger::new(AuditRow { actor, ..row });
    let response = ledger.during(next.run(request)).await;
    if let Some(row) = ledger.unwritten(result(&response)) {
        app.recorder().keep(row);
    }
    response
}

fn result(response: &Response) -> &'static str {
    if let Some(kind) = response.extensions().get::<Kind>() {
        kind.name()
    } else if response.headers().contains_key("idempotency-replayed") {
        "replayed"
    } else if response.status().is_success() {
        DONE
    } else if response.status().is_client_error() {
        "refused"
    } else {
        Kind::Internal.name()
    }
}

/// The request as an entry.
async fn describe(parts: &mut Parts) -> AuditRow {
    let path = parts.extensions.get::<MatchedPath>();
    let path = path.map_or("", MatchedPath::as_str).to_owned();
    let (mut target, mut participant) = (path.clone(), None);
    if let Ok(values) = RawPathParams::from_request_parts(parts, &()).await {
        for (name, value) in &values {
            target = target.replace(&format!("{{{name}}}"), value);
            if name == "participant" {
                participant = Some(value.to_owned());
            }
        }
    }
    let request_id = parts.headers.get(&REQUEST_ID);
    let request_id = request_id.and_then(|id| id.to_str().ok());
    let request_id = request_id.unwrap_or_default();
    AuditRow {
        id: format!("aud_{}", Ulid::generate()),
        at: Timestamp::now(),
        actor: String::new(),
        action: format!("{} {path}", parts.method),
        target,
        participant,
        request_id: request_id.chars().take(MAX_REQUEST_ID).collect(),
        result: DONE.to_owned(),
        count: 1,
    }
}

/// Writes entries that no transaction of their request has. Requests do not wait for it.
#[derive(Debug)]
pub(super) struct Recorder {
    entries: mpsc::Sender<AuditRow>,
    counts: Arc<Mutex<Counts>>,
}

impl Recorder {
    /// One that writes until it is dropped.
    pub(super) fn new(store: Store) -> Self {
        let (entries, queue) = mpsc::channel(QUEUE);
        let counts = Arc::new(Mutex::new(Counts::default()));
        tokio::spawn(record(store, queue, Arc::clone(&counts)));
        Self { entries, counts }
    }

    fn keep(&self, row: AuditRow) {
        if let Err(lost) = self.entries.try_send(row) {
            // The database has failed for so long that the log has to do.
            let row = lost.into_inner();
            tracing::error!(?row, "an entry of the audit log could not be written");
        }
    }

    fn count(&self, row: AuditRow) {
        lock(&self.counts).add(row);
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Entries that are counted, of each actor, action and result one for the time of [`WINDOW`].
#[derive(Debug, Default)]
struct Counts(BTreeMap<[String; 3], Counted>);

#[derive(Debug)]
struct Counted {
    row: AuditRow,
    written: i64,
}

impl Counts {
    fn add(&mut self, row: AuditRow) {
        let kind = [&row.actor, &row.action, &row.result].map(String::clone);
        let counted = self.0.entry(kind);
        let counted = counted
            .and_modify(|counted| counted.row.count += 1)
            .or_insert(Counted { row, written: 0 });
        tracing::debug!(actor = counted.row.actor, "no valid key");
    }

    /// The entries that have grown since they were written. Those whose time is over are forgotten.
    fn grown(&mut self, now: Timestamp) -> Vec<AuditRow> {
        let grown = self.0.values_mut().filter_map(|counted| {
            let has_grown = counted.row.count > counted.written;
            counted.written = counted.row.count;
            has_grown.then(|| counted.row.clone())
        });
        let grown = grown.collect();
        // Also those from the future: the clock was set back.
        self.0
            .retain(|_, counted| (counted.row.at..counted.row.at.after(WINDOW)).contains(&now));
        grown
    }
}

async fn record(store: Store, mut queue: mpsc::Receiver<AuditRow>, counts: Arc<Mutex<Counts>>) {
    let mut flush = interval(FLUSH);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut rows = Vec::new();
        let is_open = tokio::select! {
            taken = queue.recv_many(&mut rows, BATCH) => taken > 0,
            _ = flush.tick() => true,
        };
        if rows.is_empty() {
            rows = lock(&counts).grown(Timestamp::now());
        }
        while !rows.is_empty() {
            match write(&store, rows.clone()).await {
                Ok(()) => break,
                // Nobody would wait for another try.
                Err(_) if queue.is_closed() => break,
                Err(error) => {
                    tracing::error!(%error, "the audit log cannot be written; trying again");
                }
            }
            sleep(PAUSE).await;
        }
        if !is_open {
            return;
        }
    }
}

async fn write(store: &Store, rows: Vec<AuditRow>) -> Result<(), StoreError> {
    let written = store.write(|tx| {
        Box::pin(async move {
            for row in &rows {
                tx.put_audit(row).await?;
            }
            Ok(())
        })
    });
    written.await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(actor: &str, at: i64) -> AuditRow {
        AuditRow {
            id: format!("aud_{actor}{at}"),
            at: Timestamp::from_millis(at),
            actor: actor.to_owned(),
            action: "authenticate".to_owned(),
            target: "/v1/rooms".to_owned(),
            participant: None,
            request_id: "r".to_owned(),
            result: "unauthenticated".to_owned(),
            count: 1,
        }
    }

    #[test]
    fn however_many_fail_an_actor_has_one_entry_a_minute() {
        let mut counts = Counts::default();
        for n in 0..1_000 {
            counts.add(failed("", n));
            counts.add(failed("backend", n));
        }
        let now = Timestamp::from_millis(1_000);
        let grown = counts.grown(now);
        let grown: Vec<_> = grown.iter().map(|row| (&*row.id, row.count)).collect();
        assert_eq!(grown, [("aud_0", 1_000), ("aud_backend0", 1_000)]);
        assert_eq!(counts.grown(now), []);
        counts.add(failed("", 2_000));
        let grown = counts.grown(Timestamp::from_millis(60_000));
        assert_eq!((grown.len(), grown[0].count), (1, 1_001));
        counts.add(failed("", 60_001));
        let grown = counts.grown(Timestamp::from_millis(60_001));
        assert_eq!((grown.len(), &*grown[0].id), (1, "aud_60001"));
    }
}
