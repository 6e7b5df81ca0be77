//! Deleting many compositions.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{CompositionState, states};
use crate::api::App;
use crate::api::caller::{Caller, Recordings};
use crate::api::extract::Body;
use crate::api::many::{Deleted, Which, which};
use crate::api::problem::{Problem, Problems, kind};
use crate::store::CompositionFilter;
use crate::time::Timestamp;

/// The compositions to delete: either `ids` or `filter`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompositionsToDelete {
    /// At most 1,000.
    #[serde(default)]
    ids: Vec<String>,
    filter: Option<CompositionDeletionFilter>,
    /// Only says what would be deleted.
    #[serde(default)]
    dry_run: bool,
    /// How many there are, by a dry run. If that has changed, the answer is 409 `count-changed`, and nothing is deleted.
    #[schema(minimum = 0)]
    expected: Option<u32>,
}

/// Which compositions to delete: those that match all of it. At least one member is needed.
#[derive(Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CompositionDeletionFilter {
    /// Compositions of any of these rooms.
    room: Vec<String>,
    /// Compositions of any of these sessions.
    session: Vec<String>,
    /// Compositions in any of these states.
    state: Vec<CompositionState>,
    /// Asked for at this time or later.
    created_after: Option<Timestamp>,
    /// Asked for before this time.
    created_before: Option<Timestamp>,
}

/// Deletes many compositions
///
/// With `dry_run` it only counts them. Those that are not ready are cancelled by that. The recordings that they were made of stay.
#[utoipa::path(post, path = "/v1/compositions/delete", tag = "compositions",
    operation_id = "delete_compositions", security(("key" = ["recordings"])),
    request_body(content = CompositionsToDelete, example = json!({"filter": {"room": ["kitchen"], "state": ["failed", "cancelled"]}, "dry_run": true})), responses(
    (status = OK, body = Deleted),
    Problems<(kind::CountChanged,)>,
))]
pub(in crate::api) async fn delete_many(
    _: Caller<Recordings>,
    State(app): State<App>,
    Body(what): Body<CompositionsToDelete>,
) -> Result<Json<Deleted>, Problem> {
    let which = which(what.ids, what.filter)?;
    let deleted = match which {
        Which::Ids(ids) => delete_ids(&app, ids, what.dry_run, what.expected).await?,
        Which::Filter(filter) => delete_filtered(&app, filter, what.dry_run, what.expected).await?,
    };
    if !what.dry_run {
        app.compositions().wake();
    }
    Ok(Json(deleted))
}

async fn delete_ids(
    app: &App,
    ids: Vec<String>,
    dry_run: bool,
    expected: Option<u32>,
) -> Result<Deleted, Problem> {
    let written = app.store().write(move |tx| {
        Box::pin(async move {
            let rows = tx.compositions_of(&ids).await?;
            let there = Deleted::of(rows.iter().map(|row| row.size)).expecting(expected)?;
            if !dry_run {
                tx.delete_compositions(&rows).await?;
            }
            Ok::<_, Problem>(there)
        })
    });
    written.await
}

async fn delete_filtered(
    app: &App,
    filter: CompositionDeletionFilter,
    dry_run: bool,
    expected: Option<u32>,
) -> Result<Deleted, Problem> {
    let filter = CompositionFilter {
        rooms: filter.room,
        sessions: filter.session,
        states: states(&filter.state),
        created_after: filter.created_after,
        created_before: filter.created_before,
    };
    let (deleted, bytes) = app.store().composition_totals(&filter).await?;
    let there = Deleted { deleted, bytes }.expecting(expected)?;
    if dry_run {
        return Ok(there);
    }
    let mut deleted = Deleted::default();
    loop {
        let filter = filter.clone();
        let batch = app.store().write(move |tx| {
            Box::pin(async move {
                let rows = tx.some_compositions(&filter).await?;
                tx.delete_compositions(&rows).await?;
                Ok::<_, Problem>(rows)
            })
        });
        let batch = batch.await?;
        deleted.add(batch.iter().map(|row| row.size));
        if batch.is_empty() {
            return Ok(deleted);
        }
    }
}
