//! Which sessions are recorded.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlour_tokio::{ParticipantId, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RecordedKind;
use crate::api::App;
use crate::api::caller::{Caller, Read, Recordings};
use crate::api::extract::{Body, Path};
use crate::api::problem::{Kind, Problem, Problems, kind};
use crate::api::sessions::{All, Ids, ids, room_of};
use crate::recordings::{RecordError, Recorded, Wanted};
use crate::scribe::session_id;
use crate::time::Timestamp;

/// What of a session is recorded.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewSessionRecording {
    /// The kinds of streams; all that can be recorded, if there are none.
    kinds: Vec<RecordedKind>,
    #[schema(required)]
    participants: Ids,
}

/// How a session is recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionRecording {
    /// Whether it is.
    active: bool,
    /// The kinds of its streams that are recorded.
    kinds: Vec<RecordedKind>,
    participants: Ids,
    /// Since when.
    #[schema(required)]
    since: Option<Timestamp>,
}

impl From<Option<Recorded>> for SessionRecording {
    fn from(recorded: Option<Recorded>) -> Self {
        let Some(Recorded { wanted, since }) = recorded else {
            return Self {
                active: false,
                kinds: Vec::new(),
                participants: Ids::default(),
                since: None,
            };
        };
        let only = wanted.participants.map(|only| {
            let texts = only.iter().map(|id| id.as_str().to_owned());
            Ids::Only(texts.collect())
        });
        Self {
            active: true,
            kinds: vec![RecordedKind::Audio],
            participants: only.unwrap_or(Ids::All(All::All)),
            since: Some(since),
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        let kind = match error {
            RecordError::SessionEnded => Kind::SessionEnded,
            RecordError::DiskFull | RecordError::SpoolFull => Kind::NotPossible,
            RecordError::ShutDown => Kind::Draining,
        };
        Self::new(kind, error.to_string())
    }
}

/// Records a session, or another part of it than before
///
/// Its participants are told that it is recorded before the first packet is. Each audio stream of each stay becomes a file of its
/// own. What others may not hear is not recorded.
#[utoipa::path(put, path = "/v1/sessions/{session}/recording", tag = "recordings",
    operation_id = "record_session", security(("key" = ["recordings"])),
    params(("session" = String, Path)),
    request_body(content = NewSessionRecording, example = json!({"kinds": ["audio"], "participants": "all"})), responses(
    (status = OK, body = SessionRecording),
    Problems<(kind::NotFound, kind::SessionEnded, kind::NotPossible, kind::Draining)>,
))]
pub(in crate::api) async fn start(
    _: Caller<Recordings>,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(new): Body<NewSessionRecording>,
) -> Result<Json<SessionRecording>, Problem> {
    let participants: Option<BTreeSet<ParticipantId>> = match &new.participants {
        Ids::All(All::All) => None,
        Ids::Only(only) if only.is_empty() => {
            let detail = "name the participants, or say \"all\"";
            return Err(Problem::invalid_member("/participants", detail));
        }
        Ids::Only(only) => Some(ids("/participants", only)?.into_iter().collect()),
    };
    let room = room_of(&app, &id).await?;
    let session = session_id(&id).ok_or_else(|| Problem::not_found("session", &id))?;
    let days = app.registry().recording(room.as_str()).retention_days;
    let wanted = Wanted { participants };
    let recorded = app
        .recordings()
        .record(app.rooms(), &room, session, wanted, days);
    Ok(Json(Some(recorded.await?).into()))
}

/// Reads how a session is recorded
#[utoipa::path(get, path = "/v1/sessions/{session}/recording", tag = "recordings",
    operation_id = "get_session_recording", security(("key" = ["read"])),
    params(("session" = String, Path)), responses(
    (status = OK, body = SessionRecording),
    Problems<(kind::NotFound,)>,
))]
pub(in crate::api) async fn status(
    _: Caller<Read>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<SessionRecording>, Problem> {
    let session = known(&app, &id).await?;
    Ok(Json(app.recordings().of(session).into()))
}

/// Records a session no more
///
/// Its participants are told after the last packet.
#[utoipa::path(delete, path = "/v1/sessions/{session}/recording", tag = "recordings",
    operation_id = "stop_recording_session", security(("key" = ["recordings"])),
    params(("session" = String, Path)), responses(
    (status = NO_CONTENT),
    Problems<(kind::NotFound,)>,
))]
pub(in crate::api) async fn stop(
    _: Caller<Recordings>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let session = known(&app, &id).await?;
    app.recordings().stop(app.rooms(), session).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn known(app: &App, id: &str) -> Result<SessionId, Problem> {
    let is_known = app.history().await.session(id).await?.is_some();
    let session = session_id(id).filter(|_| is_known);
    session.ok_or_else(|| Problem::not_found("session", id))
}
