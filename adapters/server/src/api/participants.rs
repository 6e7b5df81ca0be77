//! Participants, over all sessions and in one.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlour_tokio::core::server::ModerateError;
use parlour_tokio::{AttributeKey, AttributeValue, ParticipantId, StreamKey};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::caller::{Caller, Moderate, Read};
use super::extract::{Body, Path, Query};
use super::list::{List, Order, page_request};
use super::problem::{Problem, Problems, kind};
use super::sessions::{ended, room_of};
use super::statistics::Figures;
use super::tokens::grants;
use crate::store::{ParticipantFilter, ParticipantRow, StayRow, StreamRow};
use crate::time::Timestamp;

/// A participant of a session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Participant {
    participant: String,
    session: String,
    room: String,
    name: String,
    state: ParticipantState,
    grants: Vec<String>,
    censored: bool,
    attributes: BTreeMap<String, String>,
    /// `udp`, or `stream` for TCP and carried clients: how it came, or resumed last.
    path: String,
    /// When it came, the last time.
    joined_at: Timestamp,
    /// When it left, the last time.
    #[schema(required)]
    left_at: Option<Timestamp>,
}

/// Whether a participant is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ParticipantState {
    Connected,
    Reconnecting,
    Left,
}

impl ParticipantState {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Connected, "connected"),
        (Self::Reconnecting, "reconnecting"),
        (Self::Left, "left"),
    ];

    fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(state, _)| *state == self);
        named.map_or("", |(_, name)| *name)
    }

    fn of(name: &str) -> Self {
        let named = Self::ALL.iter().find(|(_, known)| *known == name);
        named.map_or(Self::Left, |(state, _)| *state)
    }
}

impl From<ParticipantRow> for Participant {
    fn from(row: ParticipantRow) -> Self {
        Self {
            participant: row.participant,
            session: row.session,
            room: row.room,
            name: row.name,
            state: ParticipantState::of(&row.state),
            grants: row.grants,
            censored: row.censored,
            attributes: row.attributes,
            path: row.path,
            joined_at: row.joined_at,
            left_at: row.left_at,
        }
    }
}

/// A participant with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParticipantDetails {
    #[serde(flatten)]
    participant: Participant,
    /// When it was there, the oldest first.
    stays: Vec<Stay>,
    /// The streams it published, the oldest first.
    streams: Vec<Stream>,
    /// How well it is connected, while it is there; bytes since it came.
    #[schema(required)]
    stats: Option<Figures>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stay {
    joined_at: Timestamp,
    #[schema(required)]
    left_at: Option<Timestamp>,
    #[schema(required)]
    reason: Option<String>,
}

impl From<StayRow> for Stay {
    fn from(row: StayRow) -> Self {
        Self {
            joined_at: row.joined_at,
            left_at: row.left_at,
            reason: row.reason,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stream {
    key: String,
    /// `audio`, `video` or `screen`.
    kind: String,
    codec: String,
    muted: bool,
    published_at: Timestamp,
    #[schema(required)]
    unpublished_at: Option<Timestamp>,
}

impl From<StreamRow> for Stream {
    fn from(row: StreamRow) -> Self {
        Self {
            key: row.key,
            kind: row.kind,
            codec: row.codec,
            muted: row.muted,
            published_at: row.published_at,
            unpublished_at: row.unpublished_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ParticipantQuery {
    /// Participants in these rooms.
    #[serde(default)]
    room: Vec<String>,
    /// Participants in these sessions.
    #[serde(default)]
    session: Vec<String>,
    /// Participants with these ids.
    #[serde(default)]
    participant: Vec<String>,
    /// Participants with these display names.
    #[serde(default)]
    name: Vec<String>,
    /// Participants in these states.
    #[serde(default)]
    state: Vec<ParticipantState>,
    /// Came, the last time, at this time or later.
    joined_after: Option<Timestamp>,
    /// Came, the last time, before this time.
    joined_before: Option<Timestamp>,
    /// Left, the last time, at this time or later. With this or `left_before`, and without `joined_after` and
    /// `joined_before`, the list is sorted by the time of leaving.
    left_after: Option<Timestamp>,
    /// Left, the last time, before this time.
    left_before: Option<Timestamp>,
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

impl ParticipantQuery {
    async fn list(
        self,
        app: &App,
        sessions: Vec<String>,
    ) -> Result<Json<List<Participant>>, Problem> {
        let filter = ParticipantFilter {
            rooms: self.room,
            sessions,
            participants: self.participant,
            names: self.name,
            states: self
                .state
                .iter()
                .map(|state| state.name().to_owned())
                .collect(),
            joined_after: self.joined_after,
            joined_before: self.joined_before,
            left_after: self.left_after,
            left_before: self.left_before,
        };
        let (cursor, order) = (self.cursor.as_deref(), self.order);
        let page = page_request(self.limit, cursor, order, filter.sort())?;
        let page = app.history().await.participants(&filter, &page).await?;
        Ok(Json(List::new(page, Participant::from)))
    }
}

/// Searches participants over all sessions
#[utoipa::path(get, path = "/v1/participants", tag = "participants",
    operation_id = "search_participants", security(("key" = ["read"])),
    params(ParticipantQuery), responses(
    (status = OK, body = List<Participant>),
))]
pub(super) async fn search(
    _: Caller<Read>,
    State(app): State<App>,
    Query(mut query): Query<ParticipantQuery>,
) -> Result<Json<List<Participant>>, Problem> {
    let sessions = std::mem::take(&mut query.session);
    query.list(&app, sessions).await
}

/// Lists the participants of a session
#[utoipa::path(get, path = "/v1/sessions/{session}/participants", tag = "participants",
    operation_id = "list_participants", security(("key" = ["read"])),
    params(("session" = String, Path), ParticipantQuery), responses(
    (status = OK, body = List<Participant>),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Path(session): Path<String>,
    Query(query): Query<ParticipantQuery>,
) -> Result<Json<List<Participant>>, Problem> {
    let known = app.history().await.session(&session).await?;
    known.ok_or_else(|| Problem::not_found("session", &session))?;
    query.list(&app, vec![session]).await
}

/// Reads a participant of a session
#[utoipa::path(get, path = "/v1/sessions/{session}/participants/{participant}", tag = "participants",
    operation_id = "get_participant", security(("key" = ["read"])),
    params(("session" = String, Path), ("participant" = String, Path)), responses(
    (status = OK, body = ParticipantDetails),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn get(
    _: Caller<Read>,
    State(app): State<App>,
    Path((session, id)): Path<(String, String)>,
) -> Result<Json<ParticipantDetails>, Problem> {
    details(&app, &session, &id).await.map(Json)
}

async fn details(app: &App, session: &str, id: &str) -> Result<ParticipantDetails, Problem> {
    let found = app.history().await.participant(session, id).await?;
    let (row, stays, streams) = found.ok_or_else(|| Problem::not_found("participant", id))?;
    let stats = match row.left_at {
        None => live(app, session, id).await,
        Some(_) => None,
    };
    Ok(ParticipantDetails {
        participant: row.into(),
        stays: stays.into_iter().map(Stay::from).collect(),
        streams: streams.into_iter().map(Stream::from).collect(),
        stats,
    })
}

/// How well a participant is connected, if it is in the session now.
async fn live(app: &App, session: &str, id: &str) -> Option<Figures> {
    let id = ParticipantId::new(id).ok()?;
    let room = room_of(app, session).await.ok()?;
    let figures = app.rooms().participant_statistics(&room, &id).await;
    figures.map(Figures::from)
}

/// A change of a participant.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Change {
    /// Its grants for the rest of its stay. Everything that they no longer allow ends at once.
    grants: Option<Vec<String>>,
    /// Attributes by their keys; `null` removes one.
    attributes: BTreeMap<String, Option<String>>,
}

/// Changes a participant of a session
#[utoipa::path(patch, path = "/v1/sessions/{session}/participants/{participant}", tag = "participants",
    operation_id = "update_participant", security(("key" = ["moderate"])),
    params(("session" = String, Path), ("participant" = String, Path)),
    request_body(content = Change, example = json!({"grants": ["subscribe"], "attributes": {"seat": "12", "hand": null}})), responses(
    (status = NO_CONTENT),
    Problems<(kind::NotFound, kind::SessionEnded, kind::NotPossible)>,
))]
pub(super) async fn patch(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path((session, id)): Path<(String, String)>,
    Body(change): Body<Change>,
) -> Result<StatusCode, Problem> {
    let new_grants = change.grants.as_deref().map(grants).transpose()?;
    let mut attributes = Vec::new();
    for (key, value) in &change.attributes {
        let pointer = format!("/attributes/{}", key.replace('~', "~0").replace('/', "~1"));
        let invalid = |error: parlour_tokio::core::room::IdError| {
            Problem::invalid_member(&pointer, error.to_string())
        };
        let value = value
            .as_deref()
            .map(|value| AttributeValue::new(value.as_bytes()));
        attributes.push((
            AttributeKey::new(key).map_err(invalid)?,
            value
                .transpose()
                .map_err(|error| Problem::invalid_member(&pointer, error.to_string()))?,
        ));
    }
    let participant = participant(&id)?;
    let room = room_of(&app, &session).await?;
    let failed = |error| refused(&id, error);
    if let Some(grants) = new_grants {
        app.rooms()
            .set_grants(&room, &participant, grants)
            .await
            .map_err(failed)?;
    }
    for (key, value) in &attributes {
        let set = app
            .rooms()
            .set_attribute(&room, &participant, key, value.as_ref());
        set.await.map_err(failed)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a stream of a participant, as if its publisher had
#[utoipa::path(delete, path = "/v1/sessions/{session}/participants/{participant}/streams/{stream}", tag = "participants",
    operation_id = "unpublish_stream", security(("key" = ["moderate"])),
    params(("session" = String, Path), ("participant" = String, Path), ("stream" = String, Path)), responses(
    (status = NO_CONTENT),
    Problems<(kind::NotFound, kind::SessionEnded, kind::NotPossible, kind::Validation)>,
))]
pub(super) async fn unpublish(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path((session, id, stream)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let participant = participant(&id)?;
    let key = StreamKey::new(&stream)
        .map_err(|error| Problem::invalid_member("/stream", error.to_string()))?;
    let room = room_of(&app, &session).await?;
    match app.rooms().unpublish(&room, &participant, &key).await {
        Ok(()) | Err(ModerateError::UnknownStream) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(refused(&id, error)),
    }
}

fn participant(id: &str) -> Result<ParticipantId, Problem> {
    ParticipantId::new(id)
        .map_err(|error| Problem::invalid_member("/participant", error.to_string()))
}

fn refused(id: &str, error: ModerateError) -> Problem {
    match error {
        ModerateError::UnknownParticipant => Problem::not_found("participant", id),
        ModerateError::UnknownRoom => ended(error),
        error => Problem::new(super::problem::Kind::NotPossible, error.to_string()),
    }
}
