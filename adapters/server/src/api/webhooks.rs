//! Webhooks.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::App;
use super::caller::{Caller, Read, Webhooks};
use super::change::{Precondition, changed};
use super::describe::change_of;
use super::extract::{Body, Path, Query};
use super::list::{List, Order, page_request};
use super::problem::{FieldError, Kind, Problem, Problems, kind};
use super::rooms::check_name;
use crate::store::{Tx, WebhookRow, WebhookSettings, WebhookStanding, audit_as};
use crate::time::Timestamp;
use crate::webhooks::sealed_as;
use crate::webhooks::sign::Secret;
use crate::webhooks::target::Rules;

const IF_MATCH: &str =
    "An `ETag`, or some with commas between them: the webhook has to be as it was then.";

/// How many webhooks there may be, and types of events and rooms of each.
const MAX_WEBHOOKS: i64 = 100;
const MAX_NAMES: usize = 100;

/// How long a receiver may take to answer at most, in seconds.
const MAX_TIMEOUT_S: u32 = 30;

/// For how long a former secret signs at most, in seconds.
const MAX_FORMER_S: u32 = 7 * 24 * 3_600;

/// Whether a receiver takes what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookState {
    /// It has taken all that it was sent.
    Healthy,
    /// It has refused an event, which is tried again.
    Failing,
    /// It has answered 410: it is sent nothing any more, until the webhook is changed.
    Gone,
}

/// A webhook, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Webhook {
    /// `wh_…`
    id: String,
    #[serde(flatten)]
    settings: WebhookSettings,
    state: WebhookState,
    /// How many events its receiver is owed.
    backlog: i64,
    /// The time of the oldest of them.
    #[schema(required)]
    oldest_pending_at: Option<Timestamp>,
    /// When its receiver took an event last.
    #[schema(required)]
    last_success_at: Option<Timestamp>,
    /// Until when the secret before the last rotation signs, too.
    #[schema(required)]
    former_until: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip)]
    version: i64,
}

impl From<WebhookStanding> for Webhook {
    fn from(standing: WebhookStanding) -> Self {
        let row = standing.row;
        Self {
            state: match (row.gone_at, standing.is_failing) {
                (Some(_), _) => WebhookState::Gone,
                (None, true) => WebhookState::Failing,
                (None, false) => WebhookState::Healthy,
            },
            id: row.id,
            settings: row.settings,
            backlog: standing.backlog,
            oldest_pending_at: standing.oldest_pending_at,
            last_success_at: row.last_success_at,
            former_until: row.former.map(|(_, until)| until),
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        }
    }
}

/// A webhook with its secret, which is shown once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: Webhook,
    /// `whsec_…`: give it to the receiver, which verifies signatures with it.
    secret: String,
}

/// A change of a webhook's settings.
#[derive(Debug)]
pub(crate) struct WebhookChange;

impl PartialSchema for WebhookChange {
    fn schema() -> RefOr<Schema> {
        change_of(WebhookSettings::schema(), [])
    }
}

impl ToSchema for WebhookChange {}

fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

fn respond(status: StatusCode, version: i64, body: impl Serialize) -> Response {
    let mut response = (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response();
    if let Ok(etag) = HeaderValue::from_str(&etag(version)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn missing(id: &str) -> Problem {
    Problem::not_found("webhook", id)
}

/// The webhook as it is after a change.
async fn read(app: &App, id: &str) -> Result<Webhook, Problem> {
    let standing = app.store().webhook(id).await?;
    Ok(standing.ok_or_else(|| missing(id))?.into())
}

/// Has `change` change a webhook, and sends accordingly. Gives the webhook as it is then.
async fn change<F>(app: &App, id: String, change: F) -> Result<Webhook, Problem>
where
    F: for<'t> FnOnce(&'t mut Tx, &'t mut WebhookRow) -> BoxFuture<'t, Result<(), Problem>>
        + Send
        + 'static,
{
    let webhook = id.clone();
    let written = app.store().write(move |tx| {
        Box::pin(async move {
            let row = tx.webhook(&webhook).await?;
            let mut row = row.ok_or_else(|| missing(&webhook))?;
            change(tx, &mut row).await?;
            row.version += 1;
            Ok::<_, Problem>(tx.put_webhook(&row).await?)
        })
    });
    written.await?;
    app.webhooks().changed(&id);
    read(app, &id).await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WebhookQuery {
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

/// Lists webhooks
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks",
    operation_id = "list_webhooks", security(("key" = ["read"])),
    params(WebhookQuery),
    responses(
    (status = OK, body = List<Webhook>),
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Query(query): Query<WebhookQuery>,
) -> Result<Json<List<Webhook>>, Problem> {
    let cursor = query.cursor.as_deref();
    let page = page_request(query.limit, cursor, query.order, WebhookRow::SORT)?;
    let page = app.store().webhooks(&page).await?;
    Ok(Json(List::new(page, Webhook::from)))
}

/// Makes a webhook
///
/// It is sent what happens from then on, signed as [Standard Webhooks](https://www.standardwebhooks.com) says. The secret is
/// shown once.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks",
    operation_id = "create_webhook", security(("key" = ["webhooks"])),
    request_body(content = WebhookSettings, example = json!({"url": "https://example.org/parlour", "events": ["session.*", "participant.left"], "rooms": ["green-room"]})),
    responses(
    (status = CREATED, body = WebhookWithSecret, headers(("ETag" = String, description = "For `If-Match`: changes whenever the webhook does."), ("Location" = String, description = "The webhook's path."))),
    Problems<(kind::NotPossible,)>,
))]
pub(super) async fn create(
    _: Caller<Webhooks>,
    State(app): State<App>,
    Body(settings): Body<WebhookSettings>,
) -> Result<Response, Problem> {
    check(&settings, app.webhooks().rules())?;
    let secret = Secret::generate().expose();
    let id = format!("wh_{}", ulid::Ulid::generate());
    audit_as(Some(format!("/v1/webhooks/{id}")), None);
    let sealed = app.sealer().seal(&sealed_as(&id), &secret);
    let written = app.store().write(move |tx| {
        Box::pin(async move {
            if tx.count_webhooks().await? >= MAX_WEBHOOKS {
                let detail = format!("there are {MAX_WEBHOOKS} webhooks: delete one first");
                return Err(Problem::new(Kind::NotPossible, detail));
            }
            let row = WebhookRow {
                id,
                settings,
                sealed,
                former: None,
                gone_at: None,
                queued: tx.newest_seq(),
                version: 1,
                last_success_at: None,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            tx.put_webhook(&row).await?;
            Ok(row.id)
        })
    });
    let id = written.await?;
    app.webhooks().changed(&id);
    let webhook = read(&app, &id).await?;
    let version = webhook.version;
    let mut response = respond(
        StatusCode::CREATED,
        version,
        WebhookWithSecret { webhook, secret },
    );
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/webhooks/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Reads a webhook
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks",
    operation_id = "get_webhook", security(("key" = ["read"])),
    params(("id" = String, Path, description = "The webhook's id.", example = "wh_01JC3ZK5R8W2M4N6P8Q0S2T4V6")),
    responses(
    (status = OK, body = Webhook, headers(("ETag" = String, description = "For `If-Match`: changes whenever the webhook does."))),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn get(
    _: Caller<Read>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let webhook = read(&app, &id).await?;
    Ok(respond(StatusCode::OK, webhook.version, webhook))
}

/// Changes a webhook
///
/// Merges as [RFC 7396](https://www.rfc-editor.org/rfc/rfc7396) says. A new `url`, and `"enabled": true`, have all that was
/// refused tried again at once, also by a receiver that was gone. Other `events` and `rooms` hold for what is not in the queue
/// yet.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks",
    operation_id = "update_webhook", security(("key" = ["webhooks"])),
    params(("id" = String, Path, description = "The webhook's id.", example = "wh_01JC3ZK5R8W2M4N6P8Q0S2T4V6"), ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    request_body(content = WebhookChange, example = json!({"failover_url": null, "timeout_s": 5})),
    responses(
    (status = OK, body = Webhook, headers(("ETag" = String, description = "For `If-Match`: changes whenever the webhook does."))),
    Problems<(kind::NotFound, kind::EtagMismatch)>,
))]
pub(super) async fn patch(
    _: Caller<Webhooks>,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(patch): Body<Value>,
) -> Result<Response, Problem> {
    let rules = app.webhooks().rules();
    // A body that cannot be is told before a precondition.
    let former = app.store().webhook(&id).await?;
    let former = former.ok_or_else(|| missing(&id))?.row.settings;
    check(&changed(&former, &patch)?, rules)?;
    let precondition = Precondition::of(&headers)?;
    let webhook = change(&app, id, move |tx, row| {
        Box::pin(async move {
            precondition.check(|| Some(etag(row.version)), "webhook")?;
            let settings: WebhookSettings = changed(&row.settings, &patch)?;
            check(&settings, rules)?;
            let is_enabled_anew = patch.get("enabled") == Some(&Value::Bool(true));
            let is_elsewhere = settings.url != row.settings.url
                || settings.failover_url != row.settings.failover_url;
            if is_enabled_anew || is_elsewhere {
                row.gone_at = None;
                tx.retry_all(&row.id).await?;
            }
            row.settings = settings;
            row.updated_at = tx.now();
            Ok(())
        })
    });
    let webhook = webhook.await?;
    Ok(respond(StatusCode::OK, webhook.version, webhook))
}

/// Deletes a webhook
///
/// What its receiver was owed is not sent any more.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks",
    operation_id = "delete_webhook", security(("key" = ["webhooks"])),
    params(("id" = String, Path, description = "The webhook's id.", example = "wh_01JC3ZK5R8W2M4N6P8Q0S2T4V6")),
    responses(
    (status = NO_CONTENT),
))]
pub(super) async fn delete(
    _: Caller<Webhooks>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let webhook = id.clone();
    let deleted = app.store().write(move |tx| {
        Box::pin(async move { Ok::<_, Problem>(tx.delete_webhook(&webhook).await?) })
    });
    deleted.await?;
    app.webhooks().changed(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// How a secret is exchanged.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RotateWebhook {
    /// For how many seconds requests have the signature of the former secret, too, at most a week.
    keep_former_s: u32,
}

/// Exchanges the secret of a webhook
///
/// For `keep_former_s` requests have two signatures, so that the receiver can change its secret meanwhile.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate", tag = "webhooks",
    operation_id = "rotate_webhook", security(("key" = ["webhooks"])),
    params(("id" = String, Path, description = "The webhook's id.", example = "wh_01JC3ZK5R8W2M4N6P8Q0S2T4V6")),
    request_body(content = RotateWebhook, example = json!({"keep_former_s": 3600})),
    responses(
    (status = OK, body = WebhookWithSecret, headers(("ETag" = String, description = "For `If-Match`: changes whenever the webhook does."))),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn rotate(
    _: Caller<Webhooks>,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(rotate): Body<RotateWebhook>,
) -> Result<Response, Problem> {
    if rotate.keep_former_s > MAX_FORMER_S {
        let detail = format!("{} s are more than {MAX_FORMER_S}", rotate.keep_former_s);
        return Err(Problem::invalid_member("/keep_former_s", detail));
    }
    let secret = Secret::generate().expose();
    let sealed = app.sealer().seal(&sealed_as(&id), &secret);
    let webhook = change(&app, id, move |tx, row| {
        Box::pin(async move {
            let keep = Duration::from_secs(rotate.keep_former_s.into());
            let former = std::mem::replace(&mut row.sealed, sealed);
            row.former = (!keep.is_zero()).then(|| (former, tx.now().after(keep)));
            row.updated_at = tx.now();
            Ok(())
        })
    });
    let webhook = webhook.await?;
    let version = webhook.version;
    Ok(respond(
        StatusCode::OK,
        version,
        WebhookWithSecret { webhook, secret },
    ))
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestedWebhook {
    /// The id of the event, which is of the type `webhook.test` and in no journal.
    id: String,
    /// Whether the receiver took it.
    delivered: bool,
    /// Whether the answer is that of the `failover_url`.
    failover: bool,
    duration_ms: i64,
    /// The status of the answer, if one came.
    #[schema(required)]
    status: Option<u16>,
    /// The first 1 KiB of the answer.
    answer: String,
    /// Why the receiver did not take it.
    #[schema(required)]
    error: Option<String>,
}

/// Sends a test
///
/// One event of the type `webhook.test`, at once and once. The answer says what the receiver did.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks",
    operation_id = "test_webhook", security(("key" = ["webhooks"])),
    params(("id" = String, Path, description = "The webhook's id.", example = "wh_01JC3ZK5R8W2M4N6P8Q0S2T4V6")),
    responses(
    (status = OK, body = TestedWebhook),
    Problems<(kind::NotFound, kind::NotPossible)>,
))]
pub(super) async fn test(
    _: Caller<Webhooks>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<TestedWebhook>, Problem> {
    let standing = app
        .store()
        .webhook(&id)
        .await?
        .ok_or_else(|| missing(&id))?;
    let (event, delivered, answer) = app.webhooks().test(&standing.row).await.map_err(|error| {
        tracing::error!(webhook = id, %error, "a webhook cannot sign");
        Problem::new(
            Kind::NotPossible,
            "the webhook's secret cannot be read: rotate it",
        )
    })?;
    Ok(Json(TestedWebhook {
        id: event,
        delivered,
        failover: answer.is_failover,
        duration_ms: answer.duration_ms,
        status: answer.status,
        answer: answer.body,
        error: answer.error,
    }))
}

/// From where on a webhook is sent events again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay {
    /// The `seq` of the first of them. The journal may not have the oldest any more.
    from_seq: i64,
}

/// Sends events again
///
/// All those that the webhook asks for, from a `seq` of the journal on, in their order.
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", tag = "webhooks",
    operation_id = "replay_webhook", security(("key" = ["webhooks"])),
    params(("id" = String, Path, description = "The webhook's id.", example = "wh_01JC3ZK5R8W2M4N6P8Q0S2T4V6")),
    request_body(content = Replay, example = json!({"from_seq": 40117})),
    responses(
    (status = ACCEPTED, body = Webhook, headers(("ETag" = String, description = "For `If-Match`: changes whenever the webhook does."))),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn replay(
    _: Caller<Webhooks>,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(Replay { from_seq }): Body<Replay>,
) -> Result<Response, Problem> {
    let webhook = change(&app, id, move |tx, row| {
        Box::pin(async move {
            let newest = tx.newest_seq();
            if !(1..=newest).contains(&from_seq) {
                let detail =
                    format!("{from_seq} is no `seq` of the journal, which goes up to {newest}");
                return Err(Problem::invalid_member("/from_seq", detail));
            }
            tx.unqueue_deliveries(&row.id, from_seq).await?;
            row.queued = row.queued.min(from_seq - 1);
            Ok(())
        })
    });
    let webhook = webhook.await?;
    Ok(respond(StatusCode::ACCEPTED, webhook.version, webhook))
}

/// Whether a webhook can be as it is wanted.
fn check(settings: &WebhookSettings, rules: Rules) -> Result<(), Problem> {
    let mut errors = Vec::new();
    let mut refuse = |pointer: &str, detail: String| {
        errors.push(FieldError {
            pointer: pointer.to_owned(),
            detail,
        });
    };
    if let Err(error) = rules.check(&settings.url) {
        refuse("/url", error.to_string());
    }
    if let Some(Err(error)) = settings.failover_url.as_ref().map(|url| rules.check(url)) {
        refuse("/failover_url", error.to_string());
    }
    if !(1..=MAX_TIMEOUT_S).contains(&settings.timeout_s) {
        let detail = format!(
            "{} is not possible; 1 to {MAX_TIMEOUT_S} is",
            settings.timeout_s
        );
        refuse("/timeout_s", detail);
    }
    for (names, pointer) in [(&settings.events, "/events"), (&settings.rooms, "/rooms")] {
        if names.len() > MAX_NAMES {
            refuse(
                pointer,
                format!("{} are more than {MAX_NAMES}", names.len()),
            );
        }
    }
    for (n, pattern) in settings.events.iter().enumerate().take(MAX_NAMES) {
        if WebhookSettings::kinds_of(pattern).next().is_none() {
            let detail = format!(
                "there are no events {pattern:?}; name a type such as `participant.joined`, or `participant.*`"
            );
            refuse(&format!("/events/{n}"), detail);
        }
    }
    for (n, room) in settings.rooms.iter().enumerate().take(MAX_NAMES) {
        if let Err(problem) = check_name(room, "") {
            let detail = problem.errors().first().map(|error| error.detail.clone());
            refuse(&format!("/rooms/{n}"), detail.unwrap_or_default());
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(errors))
    }
}
