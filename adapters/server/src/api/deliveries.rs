//! Deliveries of a webhook: what was sent, and what is to be.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::caller::{Caller, Webhooks};
use super::extract::{Path, Query};
use super::list::{List, Order, page_request};
use super::problem::{Kind, Problem, Problems, kind};
use crate::store::{self, DeliveryRow};
use crate::time::Timestamp;

/// Whether a delivery is open, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryState {
    /// Its turn has not come.
    Pending,
    /// The receiver has refused it, and it is tried again.
    Retrying,
    /// The receiver has taken it.
    Delivered,
    /// It was given up.
    Failed,
}

impl From<store::DeliveryState> for DeliveryState {
    fn from(state: store::DeliveryState) -> Self {
        match state {
            store::DeliveryState::Pending => Self::Pending,
            store::DeliveryState::Retrying => Self::Retrying,
            store::DeliveryState::Delivered => Self::Delivered,
            store::DeliveryState::Failed => Self::Failed,
        }
    }
}

impl From<DeliveryState> for store::DeliveryState {
    fn from(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Pending => Self::Pending,
            DeliveryState::Retrying => Self::Retrying,
            DeliveryState::Delivered => Self::Delivered,
            DeliveryState::Failed => Self::Failed,
        }
    }
}

/// An event on its way to a receiver.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// The id of the event, which its requests have as `webhook-id`.
    id: String,
    /// The place of the event in the journal.
    seq: i64,
    /// The type of the event.
    r#type: String,
    /// When the event happened.
    at: Timestamp,
    #[schema(required)]
    room: Option<String>,
    state: DeliveryState,
    /// Whether later events of its room go before it, since the receiver takes those.
    aside: bool,
    /// How often it was tried.
    tries: i64,
    /// Not before when it is tried again.
    #[schema(required)]
    next_at: Option<Timestamp>,
    /// When it was tried last.
    #[schema(required)]
    tried_at: Option<Timestamp>,
    /// How long that took, in milliseconds.
    #[schema(required)]
    duration_ms: Option<i64>,
    /// Whether the answer is that of the `failover_url`.
    #[schema(required)]
    failover: Option<bool>,
    /// The status of the answer, if one came.
    #[schema(required)]
    status: Option<u16>,
    /// The first 1 KiB of the answer.
    #[schema(required)]
    answer: Option<String>,
    /// Why the receiver did not take it.
    #[schema(required)]
    error: Option<String>,
    /// When it was taken or given up.
    #[schema(required)]
    settled_at: Option<Timestamp>,
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Self {
        let is_open = row.settled_at.is_none();
        let (tried_at, answer) = row.answer.unzip();
        Self {
            id: row.event,
            seq: row.seq,
            r#type: row.kind,
            at: row.at,
            room: row.room,
            state: row.state.into(),
            aside: row.plan.aside,
            tries: row.plan.tries,
            next_at: row.plan.next_at.filter(|_| is_open),
            tried_at,
            duration_ms: answer.as_ref().map(|answer| answer.duration_ms),
            failover: answer.as_ref().map(|answer| answer.is_failover),
            status: answer.as_ref().and_then(|answer| answer.status),
            error: answer.as_ref().and_then(|answer| answer.error.clone()),
            answer: answer.map(|answer| answer.body),
            settled_at: row.settled_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Deliveries of these states.
    #[serde(default)]
    state: Vec<DeliveryState>,
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

/// Lists deliveries of a webhook
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks",
    operation_id = "list_deliveries", security(("key" = ["webhooks"])),
    params(("id" = String, Path, description = "The webhook's id.", example = "wh_01JC3ZK5R8W2M4N6P8Q0S2T4V6"), DeliveryQuery),
    responses(
    (status = OK, body = List<Delivery>),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn list(
    _: Caller<Webhooks>,
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<DeliveryQuery>,
) -> Result<Json<List<Delivery>>, Problem> {
    let cursor = query.cursor.as_deref();
    let page = page_request(query.limit, cursor, query.order, DeliveryRow::SORT)?;
    if app.store().webhook(&id).await?.is_none() {
        return Err(Problem::not_found("webhook", &id));
    }
    let states: Vec<_> = query.state.into_iter().map(Into::into).collect();
    let page = app.store().deliveries(&id, &states, &page).await?;
    Ok(Json(List::new(page, Delivery::from)))
}

/// Tries a delivery again
///
/// At once, and with all the tries that a new event has. One that was taken is sent again.
#[utoipa::path(post, path = "/v1/webhooks/{id}/deliveries/{delivery}/retry", tag = "webhooks",
    operation_id = "retry_delivery", security(("key" = ["webhooks"])),
    params(("id" = String, Path, description = "The webhook's id.", example = "wh_01JC3ZK5R8W2M4N6P8Q0S2T4V6"), ("delivery" = String, Path, description = "The id of its event.", example = "evt_01JC3ZK5R8W2M4N6P8Q0S2T4V6")),
    responses(
    (status = ACCEPTED, body = Delivery),
    Problems<(kind::NotFound, kind::NotPossible)>,
))]
pub(super) async fn retry(
    _: Caller<Webhooks>,
    State(app): State<App>,
    Path((id, event)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let webhook = id.clone();
    let written = app.store().write(move |tx| {
        Box::pin(async move {
            let row = tx.webhook(&webhook).await?;
            let mut row = row.ok_or_else(|| Problem::not_found("webhook", &webhook))?;
            let impossible = |detail| Err(Problem::new(Kind::NotPossible, detail));
            if row.gone_at.is_some() || !row.settings.enabled {
                return impossible("the webhook sends nothing: set `enabled` to true first");
            }
            let delivery = tx.delivery(&webhook, &event).await?;
            let delivery = delivery.ok_or_else(|| Problem::not_found("delivery", &event))?;
            if delivery.state == store::DeliveryState::Pending && !delivery.plan.aside {
                return impossible("its turn has not come: retry the oldest delivery of its room");
            }
            tx.retry_delivery(&webhook, &delivery).await?;
            row.version += 1;
            tx.put_webhook(&row).await?;
            let delivery = tx.delivery(&webhook, &event).await?;
            delivery.ok_or_else(|| Problem::not_found("delivery", &event))
        })
    });
    let delivery = written.await?;
    app.webhooks().changed(&id);
    Ok((StatusCode::ACCEPTED, Json(Delivery::from(delivery))).into_response())
}
