//! Compositions: the recordings of a session as one file.

pub(super) mod many;
mod picture;
mod sound;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use parlour_files::compose::{Audio, Format};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::caller::{Caller, Read, Recordings};
use super::extract::{Body, Path, Query};
use super::file::{FileBytes, StoredFile};
use super::list::{List, Order, page_request};
use super::problem::{FieldError, Kind, Problem, Problems, kind};
use crate::compositions::{Part, Request, name_of};
use crate::recordings::{composition_name, composition_path, expiry};
use crate::store::{
    COMPOSITION_SORT, CompositionFilter, CompositionRow, RecordingFilter, audit_as,
};
use crate::time::Timestamp;
use picture::CompositionVideo;
use sound::CompositionAudio;

/// Compositions that wait at most.
const MAX_QUEUED: i64 = 1_000;
/// The longest composition: a week.
const LONGEST_MS: u32 = 7 * 24 * 3_600_000;

/// The recordings of a session as one file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Composition {
    /// `cmp_…`
    id: String,
    room: String,
    session: String,
    format: CompositionFormat,
    audio: CompositionAudio,
    /// The picture: of MP4 and WebM only.
    #[schema(required)]
    video: Option<CompositionVideo>,
    /// The part of the session that was asked for.
    asked: Part,
    /// When it begins, in ms since the session's beginning; known once it is composed, if that was not asked for.
    #[schema(required)]
    from_ms: Option<i64>,
    /// When it ends, in ms since the session's beginning; known once it is composed, if that was not asked for.
    #[schema(required)]
    to_ms: Option<i64>,
    state: CompositionState,
    /// How much of it is done, in percent.
    #[schema(minimum = 0, maximum = 100)]
    progress: u8,
    created_at: Timestamp,
    /// When it was begun, the last time.
    #[schema(required)]
    started_at: Option<Timestamp>,
    #[schema(required)]
    ended_at: Option<Timestamp>,
    #[schema(required)]
    duration_ms: Option<i64>,
    /// Bytes.
    #[schema(required)]
    size: Option<i64>,
    /// The hash of the file, in hexadecimal.
    #[schema(required)]
    sha256: Option<String>,
    /// When it will be deleted: with the first of its recordings.
    #[schema(required)]
    expires_at: Option<Timestamp>,
    /// Why it is `failed`.
    #[schema(required)]
    error: Option<CompositionError>,
}

/// Why a composition has failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompositionError {
    /// `nothing-recorded`, `recording-missing`, `compose-failed`, `timed-out`, `crashed` or `write-failed`.
    code: String,
    /// The reason in words, or the end of what the process that composed it has said.
    detail: String,
}

/// The format of a composition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CompositionFormat {
    /// Ogg Opus at 48 kHz.
    Ogg,
    /// WAV at 48 kHz, with 16 bits.
    Wav,
    /// AAC in MP4. The server needs `ffmpeg` for it.
    M4a,
    /// H.264 and AAC in MP4, with a picture. The server needs `ffmpeg` for it.
    Mp4,
    /// VP8 and Opus in WebM, with a picture. The server needs `ffmpeg` for it.
    Webm,
}

impl CompositionFormat {
    fn of(name: &str) -> Self {
        match name {
            "wav" => Self::Wav,
            "m4a" => Self::M4a,
            "mp4" => Self::Mp4,
            "webm" => Self::Webm,
            _ => Self::Ogg,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Ogg => "audio/ogg",
            Self::Wav => "audio/wav",
            Self::M4a => "audio/mp4",
            Self::Mp4 => "video/mp4",
            Self::Webm => "video/webm",
        }
    }
}

impl From<CompositionFormat> for Format {
    fn from(format: CompositionFormat) -> Self {
        match format {
            CompositionFormat::Ogg => Self::Ogg,
            CompositionFormat::Wav => Self::Wav,
            CompositionFormat::M4a => Self::M4a,
            CompositionFormat::Mp4 => Self::Mp4,
            CompositionFormat::Webm => Self::Webm,
        }
    }
}

/// How far a composition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CompositionState {
    /// It waits for others, or for recordings that are on their way to the store.
    Queued,
    /// It is composed.
    Running,
    /// The store has its file.
    Ready,
    /// There is no file, and `error` says why.
    Failed,
    /// It was cancelled before it was ready.
    Cancelled,
}

impl CompositionState {
    const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "ready" => Self::Ready,
            "cancelled" => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

impl Composition {
    fn of(app: &App, row: CompositionRow) -> Self {
        let state = CompositionState::of(&row.state);
        let progress = match state {
            CompositionState::Ready => 100,
            CompositionState::Running => app.compositions().percent(&row.id).unwrap_or(0),
            _ => 0,
        };
        // What this program has written, it can read.
        let request = serde_json::from_value::<Request>(row.request).ok();
        let (audio, video, part) = request.map_or((Audio::Mix, None, None), |request| {
            (request.audio, request.video, request.part)
        });
        let (from_ms, to_ms) = (row.from_ms, row.to_ms);
        Self {
            id: row.id,
            room: row.room,
            session: row.session,
            format: CompositionFormat::of(&row.format),
            audio: audio.into(),
            video: video.map(Into::into),
            asked: part.unwrap_or(Part { from_ms, to_ms }),
            from_ms,
            to_ms,
            state,
            progress,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            duration_ms: row.duration_ms,
            size: row.size,
            sha256: row.sha256,
            expires_at: row.expires_at,
            error: row.error.map(|code| CompositionError {
                code,
                detail: row.detail.unwrap_or_default(),
            }),
        }
    }
}

/// What is to be composed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewComposition {
    /// The session's id.
    session: String,
    format: CompositionFormat,
    /// The channels; one with all, if it is left out.
    #[serde(default)]
    audio: CompositionAudio,
    /// The picture: for MP4 and WebM, in 1280 × 720 and with all in a grid if it is left out.
    video: Option<CompositionVideo>,
    /// When it begins, in ms since the session's beginning; with the first recording, if it is left out.
    #[schema(maximum = 604_800_000)]
    from_ms: Option<u32>,
    /// When it ends, in ms since the session's beginning; with the last recording, if it is left out.
    #[schema(maximum = 604_800_000)]
    to_ms: Option<u32>,
}

impl NewComposition {
    fn check_times(&self) -> Result<(), Problem> {
        let times = [("/from_ms", self.from_ms), ("/to_ms", self.to_ms)];
        let late = times
            .into_iter()
            .filter(|(_, time)| time.is_some_and(|time| time > LONGEST_MS));
        let mut errors: Vec<_> = late
            .map(|(pointer, _)| FieldError {
                pointer: pointer.to_owned(),
                detail: format!("it is more than {LONGEST_MS}, a week"),
            })
            .collect();
        if let (Some(from), Some(to)) = (self.from_ms, self.to_ms)
            && from >= to
        {
            errors.push(FieldError {
                pointer: "/to_ms".to_owned(),
                detail: "it is not behind `from_ms`".to_owned(),
            });
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(Problem::invalid(errors)),
        }
    }
}

/// Composes a session's recordings
///
/// It waits in a queue, and for recordings that are on their way to the store; what is recorded later is not in it. The event
/// `composition.ready` tells when its file is there. Each voice stands where it was in the session, as loud as it was.
#[utoipa::path(post, path = "/v1/compositions", tag = "compositions",
    operation_id = "create_composition", security(("key" = ["recordings"])),
    request_body(content = NewComposition, example = json!({"session": "9f0c4b7a5d2e4f6189ab3c5d7e9f0a1b", "format": "ogg", "audio": {"mode": "dual", "left": ["agent"], "right": "rest"}})), responses(
    (status = ACCEPTED, body = Composition),
    Problems<(kind::NotPossible, kind::ComposerUnavailable)>,
))]
pub(super) async fn create(
    _: Caller<Recordings>,
    State(app): State<App>,
    Body(new): Body<NewComposition>,
) -> Result<(StatusCode, Json<Composition>), Problem> {
    new.check_times()?;
    let format = Format::from(new.format);
    let audio = new.audio.checked(new.format)?;
    let video = match (new.video, format.has_video()) {
        (Some(_), false) => {
            let detail = "the format has no picture: choose `mp4` or `webm`";
            return Err(Problem::invalid_member("/video", detail));
        }
        (video, true) => Some(video.unwrap_or_default().checked()?),
        (None, false) => None,
    };
    if format.needs_ffmpeg()
        && let Err(error) = app.compositions().find_ffmpeg().await
    {
        let detail = format!("{error}, or choose `ogg` or `wav`");
        return Err(Problem::new(Kind::ComposerUnavailable, detail));
    }
    let recorded = RecordingFilter {
        sessions: vec![new.session.clone()],
        ..RecordingFilter::default()
    };
    let page = page_request(Some(1), None, None, recorded.sort())?;
    let recorded = app.store().recordings(&recorded, &page).await?;
    let Some(first) = recorded.data.into_iter().next() else {
        let detail = format!("there is no recording of a session {:?}", new.session);
        return Err(Problem::invalid_member("/session", detail));
    };
    if app.store().queued_compositions().await? >= MAX_QUEUED {
        let detail = format!("{MAX_QUEUED} compositions wait already: try again later");
        return Err(Problem::new(Kind::NotPossible, detail));
    }
    let part = Part {
        from_ms: new.from_ms.map(Into::into),
        to_ms: new.to_ms.map(Into::into),
    };
    let request = Request {
        audio,
        video,
        part: Some(part),
    };
    let named = request.named();
    let now = Timestamp::now();
    let row = CompositionRow {
        id: format!("cmp_{}", ulid::Ulid::generate()),
        room: first.room,
        session: new.session,
        format: name_of(format).to_owned(),
        request: serde_json::to_value(request).unwrap_or_default(),
        from_ms: part.from_ms,
        to_ms: part.to_ms,
        state: CompositionState::Queued.name().to_owned(),
        tries: 0,
        created_at: now,
        started_at: None,
        ended_at: None,
        duration_ms: None,
        size: None,
        sha256: None,
        // As long as it has no recordings.
        expires_at: expiry(now, app.recordings().retention_days()),
        error: None,
        detail: None,
        deleted_at: None,
    };
    audit_as(Some(format!("/v1/compositions/{}", row.id)), None);
    let written = app.store().write({
        let row = row.clone();
        move |tx| Box::pin(async move { tx.put_composition(&row, &named).await })
    });
    let written: Result<(), crate::store::StoreError> = written.await;
    written?;
    app.compositions().wake();
    Ok((StatusCode::ACCEPTED, Json(Composition::of(&app, row))))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompositionQuery {
    /// Compositions of these rooms.
    #[serde(default)]
    room: Vec<String>,
    /// Compositions of these sessions.
    #[serde(default)]
    session: Vec<String>,
    /// Compositions in these states.
    #[serde(default)]
    state: Vec<CompositionState>,
    /// Asked for at this time or later.
    created_after: Option<Timestamp>,
    /// Asked for before this time.
    created_before: Option<Timestamp>,
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

fn states(states: &[CompositionState]) -> Vec<String> {
    states.iter().map(|state| state.name().to_owned()).collect()
}

/// Lists compositions
#[utoipa::path(get, path = "/v1/compositions", tag = "compositions",
    operation_id = "list_compositions", security(("key" = ["read"])),
    params(CompositionQuery), responses(
    (status = OK, body = List<Composition>),
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Query(query): Query<CompositionQuery>,
) -> Result<Json<List<Composition>>, Problem> {
    let filter = CompositionFilter {
        rooms: query.room,
        sessions: query.session,
        states: states(&query.state),
        created_after: query.created_after,
        created_before: query.created_before,
    };
    let (cursor, order) = (query.cursor.as_deref(), query.order);
    let page = page_request(query.limit, cursor, order, COMPOSITION_SORT)?;
    let page = app.store().compositions(&filter, &page).await?;
    Ok(Json(List::new(page, |row| Composition::of(&app, row))))
}

pub(super) async fn found(app: &App, id: &str) -> Result<CompositionRow, Problem> {
    let row = app.store().composition(id).await?;
    let row = row.filter(|row| row.deleted_at.is_none());
    row.ok_or_else(|| Problem::not_found("composition", id))
}

/// Reads a composition
#[utoipa::path(get, path = "/v1/compositions/{id}", tag = "compositions",
    operation_id = "get_composition", security(("key" = ["read"])),
    params(("id" = String, Path, description = "The composition's id.", example = "cmp_01JC3V5Z8Q4M2K7N9P0R1S2T3U")), responses(
    (status = OK, body = Composition),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn get(
    _: Caller<Read>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Composition>, Problem> {
    let row = found(&app, &id).await?;
    Ok(Json(Composition::of(&app, row)))
}

/// Cancels a composition
///
/// One that waits or is composed comes to no file. One that was cancelled before stays so.
#[utoipa::path(post, path = "/v1/compositions/{id}/cancel", tag = "compositions",
    operation_id = "cancel_composition", security(("key" = ["recordings"])),
    params(("id" = String, Path, description = "The composition's id.", example = "cmp_01JC3V5Z8Q4M2K7N9P0R1S2T3U")), responses(
    (status = OK, body = Composition),
    Problems<(kind::NotFound, kind::NotPossible)>,
))]
pub(super) async fn cancel(
    _: Caller<Recordings>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Composition>, Problem> {
    let cancelled = app.store().write({
        let id = id.clone();
        move |tx| {
            Box::pin(async move {
                let row = tx.cancel_composition(&id).await?;
                let row = row.ok_or_else(|| Problem::not_found("composition", &id))?;
                let state = CompositionState::of(&row.state);
                if state != CompositionState::Cancelled {
                    let detail = format!("it is {:?} already", row.state);
                    return Err(Problem::new(Kind::NotPossible, detail));
                }
                Ok(row)
            })
        }
    });
    let row = cancelled.await?;
    app.compositions().stop(&id);
    Ok(Json(Composition::of(&app, row)))
}

/// Deletes a composition
///
/// From then on it is nowhere in this API; its file goes as soon as the store lets it. One that is not ready is cancelled by
/// that. The recordings that it was made of stay.
#[utoipa::path(delete, path = "/v1/compositions/{id}", tag = "compositions",
    operation_id = "delete_composition", security(("key" = ["recordings"])),
    params(("id" = String, Path, description = "The composition's id.", example = "cmp_01JC3V5Z8Q4M2K7N9P0R1S2T3U")), responses(
    (status = NO_CONTENT),
))]
pub(super) async fn delete(
    _: Caller<Recordings>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let deleted = app.store().write({
        let id = id.clone();
        move |tx| Box::pin(async move { tx.delete_composition(&id).await })
    });
    let deleted: Result<(), crate::store::StoreError> = deleted.await;
    deleted?;
    app.compositions().stop(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// Downloads a composition
///
/// One range of bytes can be asked for with `Range`.
#[utoipa::path(get, path = "/v1/compositions/{id}/content", tag = "compositions",
    operation_id = "get_composition_content", security(("key" = ["recordings"])),
    params(
        ("id" = String, Path, description = "The composition's id.", example = "cmp_01JC3V5Z8Q4M2K7N9P0R1S2T3U"),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-1023`."),
    ), responses(
    (status = OK, description = "The file.", content((FileBytes = "audio/ogg"), (FileBytes = "audio/wav"), (FileBytes = "audio/mp4"), (FileBytes = "video/mp4"), (FileBytes = "video/webm"))),
    (status = PARTIAL_CONTENT, description = "The range of it.", content((FileBytes = "audio/ogg"), (FileBytes = "audio/wav"), (FileBytes = "audio/mp4"), (FileBytes = "video/mp4"), (FileBytes = "video/webm"))),
    Problems<(kind::NotFound, kind::NotPossible, kind::RangeNotSatisfiable, kind::StoreUnavailable)>,
))]
pub(super) async fn content(
    _: Caller<Recordings>,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = found(&app, &id).await?;
    let size = row.size.and_then(|size| u64::try_from(size).ok());
    let (Some(size), Some(sha256)) = (size, row.sha256.as_deref()) else {
        let detail = match CompositionState::of(&row.state) {
            CompositionState::Failed => {
                format!("there is no file: {}", row.detail.unwrap_or_default())
            }
            CompositionState::Cancelled => "there is no file: it was cancelled".to_owned(),
            _ => format!(
                "it is {:?}: wait for the event `composition.ready`",
                row.state
            ),
        };
        return Err(Problem::new(Kind::NotPossible, detail));
    };
    let file = StoredFile {
        id: &row.id,
        place: composition_path(&row),
        size,
        sha256,
        content_type: CompositionFormat::of(&row.format).content_type(),
        name: composition_name(&row),
    };
    file.answer(&app, &headers).await
}
