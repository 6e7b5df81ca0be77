//! Recordings: their list, and what deletes them.

pub(super) mod content;
pub(super) mod session;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::caller::{Caller, Read, Recordings};
use super::extract::{Body, Path, Query};
use super::list::{List, Order, page_request};
use super::many::{Deleted, Which, which};
use super::problem::{Kind, Problem, Problems, kind};
use crate::store::{RecordingFilter, RecordingRow};
use crate::time::Timestamp;

/// One stream of one stay, as a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Recording {
    /// `rec_…`
    id: String,
    room: String,
    session: String,
    participant: String,
    /// The stream's key.
    stream: String,
    kind: String,
    /// The stream's codec.
    codec: String,
    container: Container,
    state: RecordingState,
    /// When its first packet arrived.
    started_at: Timestamp,
    #[schema(required)]
    ended_at: Option<Timestamp>,
    #[schema(required)]
    duration_ms: Option<i64>,
    /// Bytes.
    #[schema(required)]
    size: Option<i64>,
    /// The hash of the file, in hexadecimal, once it is stored.
    #[schema(required)]
    sha256: Option<String>,
    /// How much of it was lost on the way, or could not be written in time.
    #[schema(required)]
    lost_ms: Option<i64>,
    /// How much of it nothing was sent for.
    #[schema(required)]
    silent_ms: Option<i64>,
    /// When it will be deleted.
    #[schema(required)]
    expires_at: Option<Timestamp>,
    /// Why it is `failed`: `disk-full`, `write-failed`, `damaged` or `file-missing`.
    #[schema(required)]
    error: Option<String>,
}

/// The form of a file.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Container {
    /// Ogg, for Opus.
    Ogg,
    /// WAV, for G.711.
    Wav,
}

impl Container {
    fn of(codec: &str) -> Self {
        match codec {
            "opus" => Self::Ogg,
            _ => Self::Wav,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Ogg => "audio/ogg",
            Self::Wav => "audio/wav",
        }
    }
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordingState {
    /// Its file grows.
    Recording,
    /// Its file is closed, and on its way to the store.
    Storing,
    /// The store has it.
    Ready,
    /// It is not whole; the store has what there is of it.
    Failed,
}

impl RecordingState {
    const fn name(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Storing => "storing",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "recording" => Self::Recording,
            "storing" => Self::Storing,
            "ready" => Self::Ready,
            _ => Self::Failed,
        }
    }
}

/// The kind of a recorded stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordedKind {
    /// Sound.
    Audio,
}

impl From<RecordingRow> for Recording {
    fn from(row: RecordingRow) -> Self {
        Self {
            container: Container::of(&row.codec),
            state: RecordingState::of(&row.state),
            id: row.id,
            room: row.room,
            session: row.session,
            participant: row.participant,
            stream: row.stream,
            kind: row.kind,
            codec: row.codec,
            started_at: row.started_at,
            ended_at: row.ended_at,
            duration_ms: row.duration_ms,
            size: row.size,
            sha256: row.sha256,
            lost_ms: row.lost_ms,
            silent_ms: row.silent_ms,
            expires_at: row.expires_at,
            error: row.error,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordingQuery {
    /// Recordings of these rooms.
    #[serde(default)]
    room: Vec<String>,
    /// Recordings of these sessions.
    #[serde(default)]
    session: Vec<String>,
    /// Recordings of these participants.
    #[serde(default)]
    participant: Vec<String>,
    /// Recordings of streams of these kinds.
    #[serde(default)]
    kind: Vec<RecordedKind>,
    /// Recordings in these states.
    #[serde(default)]
    state: Vec<RecordingState>,
    /// At least so long.
    #[param(minimum = 0)]
    min_duration_ms: Option<u32>,
    /// Begun at this time or later.
    started_after: Option<Timestamp>,
    /// Begun before this time.
    started_before: Option<Timestamp>,
    /// Ended at this time or later. With this or `ended_before`, and without `started_after` and `started_before`, the
    /// list is sorted by the end.
    ended_after: Option<Timestamp>,
    /// Ended before this time.
    ended_before: Option<Timestamp>,
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

fn kinds(kinds: &[RecordedKind]) -> Vec<String> {
    let name = |kind: &RecordedKind| match kind {
        RecordedKind::Audio => "audio".to_owned(),
    };
    kinds.iter().map(name).collect()
}

fn states(states: &[RecordingState]) -> Vec<String> {
    states.iter().map(|state| state.name().to_owned()).collect()
}

/// Lists recordings
#[utoipa::path(get, path = "/v1/recordings", tag = "recordings",
    operation_id = "list_recordings", security(("key" = ["read"])),
    params(RecordingQuery), responses(
    (status = OK, body = List<Recording>),
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Query(query): Query<RecordingQuery>,
) -> Result<Json<List<Recording>>, Problem> {
    let filter = RecordingFilter {
        rooms: query.room,
        sessions: query.session,
        participants: query.participant,
        kinds: kinds(&query.kind),
        states: states(&query.state),
        min_duration_ms: query.min_duration_ms.map(Into::into),
        started_after: query.started_after,
        started_before: query.started_before,
        ended_after: query.ended_after,
        ended_before: query.ended_before,
    };
    let (cursor, order) = (query.cursor.as_deref(), query.order);
    let page = page_request(query.limit, cursor, order, filter.sort())?;
    let page = app.store().recordings(&filter, &page).await?;
    Ok(Json(List::new(page, Recording::from)))
}

pub(super) async fn found(app: &App, id: &str) -> Result<RecordingRow, Problem> {
    let row = app.store().recording(id).await?;
    let row = row.filter(|row| row.deleted_at.is_none());
    row.ok_or_else(|| Problem::not_found("recording", id))
}

/// Reads a recording
#[utoipa::path(get, path = "/v1/recordings/{id}", tag = "recordings",
    operation_id = "get_recording", security(("key" = ["read"])),
    params(("id" = String, Path, description = "The recording's id.", example = "rec_01JC3V5Z8Q4M2K7N9P0R1S2T3U")), responses(
    (status = OK, body = Recording),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn get(
    _: Caller<Read>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Recording>, Problem> {
    Ok(Json(found(&app, &id).await?.into()))
}

fn active(id: &str) -> Problem {
    let detail = format!(
        "{id} is still being recorded: end that with `DELETE /v1/sessions/{{session}}/recording`, and try again"
    );
    Problem::new(Kind::RecordingActive, detail)
}

/// Deletes a recording
///
/// From then on it is nowhere in this API; its file goes as soon as the store lets it.
#[utoipa::path(delete, path = "/v1/recordings/{id}", tag = "recordings",
    operation_id = "delete_recording", security(("key" = ["recordings"])),
    params(("id" = String, Path, description = "The recording's id.", example = "rec_01JC3V5Z8Q4M2K7N9P0R1S2T3U")), responses(
    (status = NO_CONTENT),
    Problems<(kind::RecordingActive,)>,
))]
pub(super) async fn delete(
    _: Caller<Recordings>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let written = app.store().write(move |tx| {
        Box::pin(async move {
            let rows = tx.recordings_of(&[id]).await?;
            if let Some(row) = rows.iter().find(|row| row.is_active()) {
                return Err(active(&row.id));
            }
            tx.delete_recordings(&rows).await?;
            Ok::<_, Problem>(())
        })
    });
    written.await?;
    app.recordings().wake().notify_one();
    Ok(StatusCode::NO_CONTENT)
}

/// The recordings to delete: either `ids` or `filter`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordingsToDelete {
    /// At most 1,000.
    #[serde(default)]
    ids: Vec<String>,
    filter: Option<DeletionFilter>,
    /// Only says what would be deleted.
    #[serde(default)]
    dry_run: bool,
    /// How many there are, by a dry run. If that has changed, the answer is 409 `count-changed`, and nothing is deleted.
    #[schema(minimum = 0)]
    expected: Option<u32>,
}

/// Which recordings to delete: those that match all of it. At least one member is needed.
#[derive(Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeletionFilter {
    /// Recordings of any of these rooms.
    room: Vec<String>,
    /// Recordings of any of these sessions.
    session: Vec<String>,
    /// Recordings of any of these participants.
    participant: Vec<String>,
    /// Recordings of streams of any of these kinds.
    kind: Vec<RecordedKind>,
    /// Recordings in any of these states.
    state: Vec<RecordingState>,
    /// At least so long.
    #[schema(minimum = 0)]
    min_duration_ms: Option<u32>,
    /// Begun at this time or later.
    started_after: Option<Timestamp>,
    /// Begun before this time.
    started_before: Option<Timestamp>,
    /// Ended at this time or later.
    ended_after: Option<Timestamp>,
    /// Ended before this time.
    ended_before: Option<Timestamp>,
}

/// Deletes many recordings
///
/// With `dry_run` it only counts them. If any of them is still being recorded, nothing is deleted.
#[utoipa::path(post, path = "/v1/recordings/delete", tag = "recordings",
    operation_id = "delete_recordings", security(("key" = ["recordings"])),
    request_body(content = RecordingsToDelete, example = json!({"filter": {"room": ["kitchen"], "ended_before": "2026-11-05T09:00:00.000Z"}, "dry_run": true})), responses(
    (status = OK, body = Deleted),
    Problems<(kind::RecordingActive, kind::CountChanged)>,
))]
pub(super) async fn delete_many(
    _: Caller<Recordings>,
    State(app): State<App>,
    Body(what): Body<RecordingsToDelete>,
) -> Result<Json<Deleted>, Problem> {
    let RecordingsToDelete {
        ids,
        filter,
        dry_run,
        expected,
    } = what;
    let deleted = match which(ids, filter)? {
        Which::Ids(ids) => delete_ids(&app, ids, dry_run, expected).await?,
        Which::Filter(filter) => delete_filtered(&app, filter, dry_run, expected).await?,
    };
    if !dry_run {
        app.recordings().wake().notify_one();
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
            let rows = tx.recordings_of(&ids).await?;
            if let Some(row) = rows.iter().find(|row| row.is_active()) {
                return Err(active(&row.id));
            }
            let there = Deleted::of(rows.iter().map(|row| row.size)).expecting(expected)?;
            if dry_run {
                return Ok(there);
            }
            let rows = tx.delete_recordings(&rows).await?;
            Ok::<_, Problem>(Deleted::of(rows.iter().map(|row| row.size)))
        })
    });
    written.await
}

async fn delete_filtered(
    app: &App,
    filter: DeletionFilter,
    dry_run: bool,
    expected: Option<u32>,
) -> Result<Deleted, Problem> {
    let filter = RecordingFilter {
        rooms: filter.room,
        sessions: filter.session,
        participants: filter.participant,
        kinds: kinds(&filter.kind),
        states: states(&filter.state),
        min_duration_ms: filter.min_duration_ms.map(Into::into),
        started_after: filter.started_after,
        started_before: filter.started_before,
        ended_after: filter.ended_after,
        ended_before: filter.ended_before,
    };
    let totals = app.store().recording_totals(&filter).await?;
    if totals.active > 0 {
        let detail = format!(
            "{} of them are still being recorded: end that, or leave them out with `state`",
            totals.active
        );
        return Err(Problem::new(Kind::RecordingActive, detail));
    }
    let there = Deleted {
        deleted: totals.count,
        bytes: totals.bytes,
    };
    let there = there.expecting(expected)?;
    if dry_run {
        return Ok(there);
    }
    let mut deleted = Deleted::default();
    loop {
        let filter = filter.clone();
        let batch = app.store().write(move |tx| {
            Box::pin(async move {
                let rows = tx.deletable_recordings(&filter).await?;
                Ok::<_, Problem>(tx.delete_recordings(&rows).await?)
            })
        });
        let batch = batch.await?;
        deleted.add(batch.iter().map(|row| row.size));
        if batch.is_empty() {
            return Ok(deleted);
        }
    }
}
