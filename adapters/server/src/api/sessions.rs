//! Sessions: history, and what is done in those that go on.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64ct::{Base64, Encoding as _};
use parlour_tokio::core::server::ModerateError;
use parlour_tokio::core::signal::ParticipantList;
use parlour_tokio::{Moderated, ParticipantId, Recipients, RoomId, Selection, Topic};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::caller::{Caller, Moderate, Read};
use super::extract::{Body, Path, Query};
use super::list::{List, Order, page_request};
use super::problem::{Kind, Problem, Problems, kind};
use crate::registry::SERVER;
use crate::scribe::session_id;
use crate::store::{SessionFilter, SessionRow};
use crate::time::Timestamp;

/// One run of a room.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// 32 hexadecimal digits.
    id: String,
    room: String,
    state: SessionState,
    started_at: Timestamp,
    #[schema(required)]
    ended_at: Option<Timestamp>,
    /// Why it ended.
    #[schema(required)]
    end_reason: Option<String>,
    /// Participants in it now.
    participants: i64,
    /// Most participants that were in it at a time.
    peak_participants: i64,
    /// Participants that were ever in it.
    unique_participants: i64,
    /// Whether it is recorded now.
    recording: bool,
}

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionState {
    Active,
    Ended,
}

impl Session {
    fn new(app: &App, row: SessionRow) -> Self {
        let recorded = session_id(&row.id).and_then(|id| app.recordings().of(id));
        Self {
            recording: recorded.is_some(),
            id: row.id,
            room: row.room,
            state: if row.ended_at.is_none() {
                SessionState::Active
            } else {
                SessionState::Ended
            },
            started_at: row.started_at,
            ended_at: row.ended_at,
            end_reason: row.end_reason,
            participants: row.present,
            peak_participants: row.peak,
            unique_participants: row.uniques,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionQuery {
    /// Sessions of these rooms.
    #[serde(default)]
    room: Vec<String>,
    /// Sessions that go on, or that are over.
    state: Option<SessionState>,
    /// Sessions with any of these participants.
    #[serde(default)]
    participant: Vec<String>,
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

/// Lists sessions
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions",
    operation_id = "list_sessions", security(("key" = ["read"])),
    params(SessionQuery), responses(
    (status = OK, body = List<Session>),
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Query(query): Query<SessionQuery>,
) -> Result<Json<List<Session>>, Problem> {
    let filter = SessionFilter {
        rooms: query.room,
        active: query.state.map(|state| state == SessionState::Active),
        participants: query.participant,
        started_after: query.started_after,
        started_before: query.started_before,
        ended_after: query.ended_after,
        ended_before: query.ended_before,
    };
    let (cursor, order) = (query.cursor.as_deref(), query.order);
    let page = page_request(query.limit, cursor, order, filter.sort())?;
    let page = app.history().await.sessions(&filter, &page).await?;
    Ok(Json(List::new(page, |row| Session::new(&app, row))))
}

/// Reads a session
#[utoipa::path(get, path = "/v1/sessions/{session}", tag = "sessions",
    operation_id = "get_session", security(("key" = ["read"])),
    params(("session" = String, Path)), responses(
    (status = OK, body = Session),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn get(
    _: Caller<Read>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Session>, Problem> {
    let session = app.history().await.session(&id).await?;
    let session = session.ok_or_else(|| Problem::not_found("session", &id))?;
    Ok(Json(Session::new(&app, session)))
}

/// The room of a session that goes on.
pub(super) async fn room_of(app: &App, id: &str) -> Result<RoomId, Problem> {
    let session = app.history().await.session(id).await?;
    let session = session.ok_or_else(|| Problem::not_found("session", id))?;
    let over = || {
        Problem::new(
            Kind::SessionEnded,
            format!("the session {id} is over; its history can be read"),
        )
    };
    if session.ended_at.is_some() {
        return Err(over());
    }
    let room = RoomId::new(&session.room).map_err(|_| over())?;
    // The tables may be a moment behind: what acts, acts on this session or on none.
    let live = app.rooms().room(&room).await.and_then(|room| room.session);
    match live {
        Some(live) if live.to_string() == id => Ok(room),
        _ => Err(over()),
    }
}

/// The problem of an action in a session that is over.
pub(super) fn ended(error: ModerateError) -> Problem {
    Problem::new(Kind::SessionEnded, error.to_string())
}

/// Ends a session for all who are in it
#[utoipa::path(post, path = "/v1/sessions/{session}/end", tag = "sessions",
    operation_id = "end_session", security(("key" = ["moderate"])),
    params(("session" = String, Path)), responses(
    (status = NO_CONTENT),
    Problems<(kind::NotFound, kind::SessionEnded)>,
))]
pub(super) async fn end(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let room = room_of(&app, &id).await?;
    app.rooms().end_session(&room).await.map_err(ended)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The participants that an action concerns.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Targets {
    #[schema(required)]
    participants: Ids,
    /// Those who are left alone, if `participants` is `"all"`.
    except: Vec<String>,
}

/// The participants to remove.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct KickTargets {
    #[schema(required)]
    participants: Ids,
    /// Those who are left alone, if `participants` is `"all"`.
    except: Vec<String>,
    /// Whether they are kept out of this session, whatever tokens they bring.
    keep_out: bool,
}

impl Default for KickTargets {
    fn default() -> Self {
        Self {
            participants: Ids::default(),
            except: Vec::new(),
            keep_out: true,
        }
    }
}

/// `"all"`, or a list of ids.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Ids {
    All(All),
    Only(Vec<String>),
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum All {
    All,
}

impl Default for Ids {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

pub(super) fn ids(pointer: &str, ids: &[String]) -> Result<Vec<ParticipantId>, Problem> {
    let id = |(index, id): (usize, &String)| {
        let invalid = |error: parlour_tokio::core::room::IdError| {
            Problem::invalid_member(&format!("{pointer}/{index}"), error.to_string())
        };
        ParticipantId::new(id).map_err(invalid)
    };
    ids.iter().enumerate().map(id).collect()
}

impl Ids {
    fn selection(&self, except: &[String]) -> Result<Selection, Problem> {
        match self {
            Self::All(All::All) => Ok(Selection::all_but(ids("/except", except)?)),
            Self::Only(_) if !except.is_empty() => {
                let detail = "it goes with `\"participants\": \"all\"` only";
                Err(Problem::invalid_member("/except", detail))
            }
            Self::Only(only) if only.is_empty() => {
                let detail = "name the participants, or say \"all\"";
                Err(Problem::invalid_member("/participants", detail))
            }
            Self::Only(only) => Ok(ids("/participants", only)?.into_iter().collect()),
        }
    }
}

impl Targets {
    pub(super) fn selection(&self) -> Result<Selection, Problem> {
        self.participants.selection(&self.except)
    }
}

/// The effect on each participant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Effect {
    /// For these it took effect.
    affected: Vec<String>,
    /// For these it was so before, or, of those who wait, there is no place.
    unchanged: Vec<String>,
    /// These are not there.
    unknown: Vec<String>,
}

impl From<Moderated> for Effect {
    fn from(moderated: Moderated) -> Self {
        let texts = |ids: Vec<ParticipantId>| ids.iter().map(|id| id.as_str().to_owned()).collect();
        Self {
            affected: texts(moderated.affected),
            unchanged: texts(moderated.unchanged),
            unknown: texts(moderated.unknown),
        }
    }
}

/// Removes participants
#[utoipa::path(post, path = "/v1/sessions/{session}/kick", tag = "sessions",
    operation_id = "kick_participants", security(("key" = ["moderate"])),
    params(("session" = String, Path)),
    request_body(content = KickTargets, example = json!({"participants": "all", "except": ["anna"], "keep_out": false})), responses(
    (status = OK, body = Effect),
    Problems<(kind::NotFound, kind::SessionEnded)>,
))]
pub(super) async fn kick(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(targets): Body<KickTargets>,
) -> Result<Json<Effect>, Problem> {
    let selection = targets.participants.selection(&targets.except)?;
    let room = room_of(&app, &id).await?;
    let kicked = app.rooms().kick(&room, selection, targets.keep_out).await;
    Ok(Json(kicked.map_err(ended)?.into()))
}

/// Silences participants
#[utoipa::path(post, path = "/v1/sessions/{session}/censor", tag = "sessions",
    operation_id = "censor_participants", security(("key" = ["moderate"])),
    params(("session" = String, Path)),
    request_body(content = Targets, example = json!({"participants": ["ben"]})), responses(
    (status = OK, body = Effect),
    Problems<(kind::NotFound, kind::SessionEnded)>,
))]
pub(super) async fn censor(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(targets): Body<Targets>,
) -> Result<Json<Effect>, Problem> {
    let selection = targets.selection()?;
    let room = room_of(&app, &id).await?;
    let censored = app.rooms().censor(&room, selection).await;
    Ok(Json(censored.map_err(ended)?.into()))
}

/// Lets silenced participants be heard again
///
/// It lifts what `censor` did. A mute is its owner's.
#[utoipa::path(post, path = "/v1/sessions/{session}/uncensor", tag = "sessions",
    operation_id = "uncensor_participants", security(("key" = ["moderate"])),
    params(("session" = String, Path)),
    request_body(content = Targets, example = json!({"participants": ["ben"]})), responses(
    (status = OK, body = Effect),
    Problems<(kind::NotFound, kind::SessionEnded)>,
))]
pub(super) async fn uncensor(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(targets): Body<Targets>,
) -> Result<Json<Effect>, Problem> {
    let selection = targets.selection()?;
    let room = room_of(&app, &id).await?;
    let lifted = app.rooms().uncensor(&room, selection).await;
    Ok(Json(lifted.map_err(ended)?.into()))
}

/// A message to participants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    to: Ids,
    /// The topic, at most 24 printable ASCII characters.
    #[schema(pattern = "^[!-~]{1,24}$")]
    topic: String,
    /// A text of at most 640 bytes.
    body: Option<String>,
    /// Instead of `body`: any bytes.
    body_base64: Option<String>,
}

/// To how many a message went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivered {
    delivered: u16,
}

/// Sends a message to participants
///
/// Its sender is `$server`.
#[utoipa::path(post, path = "/v1/sessions/{session}/messages", tag = "sessions",
    operation_id = "send_message", security(("key" = ["moderate"])),
    params(("session" = String, Path)),
    request_body(content = NewMessage, example = json!({"to": "all", "topic": "chat", "body": "The doors close in five minutes."})), responses(
    (status = OK, body = Delivered),
    Problems<(kind::NotFound, kind::SessionEnded)>,
))]
pub(super) async fn message(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(new): Body<NewMessage>,
) -> Result<Json<Delivered>, Problem> {
    let topic = Topic::new(&new.topic)
        .map_err(|error| Problem::invalid_member("/topic", error.to_string()))?;
    let body = match (new.body, new.body_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(base64)) => Base64::decode_vec(&base64)
            .map_err(|_| Problem::invalid_member("/body_base64", "it is no base64"))?,
        _ => {
            return Err(Problem::invalid_member(
                "/body",
                "send either `body` or `body_base64`",
            ));
        }
    };
    let from = ParticipantId::new(SERVER)
        .map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let to: Vec<Recipients> = match &new.to {
        Ids::All(All::All) => vec![Recipients::All],
        Ids::Only(only) => {
            let lists = ids("/to", only)?;
            let lists = lists.chunks(parlour_tokio::core::signal::MAX_TARGETS);
            let lists = lists.filter_map(|list| ParticipantList::of(list.iter().cloned()).ok());
            lists.map(Recipients::from).collect()
        }
    };
    let room = room_of(&app, &id).await?;
    let mut delivered: u16 = 0;
    for to in to {
        let sent = app.rooms().send(&room, &from, &to, &topic, &body).await;
        delivered = delivered.saturating_add(match sent {
            Ok(count) => count,
            // Of a list none is there.
            Err(ModerateError::UnknownParticipant) => 0,
            Err(ModerateError::UnknownRoom) => return Err(ended(ModerateError::UnknownRoom)),
            Err(error) => return Err(Problem::invalid_member("/body", error.to_string())),
        });
    }
    Ok(Json(Delivered { delivered }))
}
