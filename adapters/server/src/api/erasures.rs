//! Erasures: a participant is taken out of history.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::bans::{ids, remove};
use super::caller::{Admin, Caller};
use super::extract::{Body, Path, Query};
use super::list::{List, Order, page_request};
use super::problem::{Kind, Problem, Problems, kind};
use crate::store::{ERASURE_SORT, ErasureRow, Mark, audit_as};
use crate::time::Timestamp;

/// Rooms that one request names.
const MAX_ROOMS: usize = 1_000;

/// An erasure.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Erasure {
    /// `ers_…`
    id: String,
    state: ErasureState,
    /// The participant, until it is done.
    #[schema(required)]
    participant: Option<String>,
    /// What stands in the place of its id and name.
    pseudonym: String,
    /// In which rooms; in all, if there are none.
    rooms: Vec<String>,
    created_at: Timestamp,
    #[schema(required)]
    finished_at: Option<Timestamp>,
}

/// How far an erasure is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErasureState {
    /// It goes on, also over a restart.
    Running,
    /// The id and the name are nowhere in the database any more.
    Done,
}

impl From<ErasureRow> for Erasure {
    fn from(row: ErasureRow) -> Self {
        let state = match row.finished_at {
            Some(_) => ErasureState::Done,
            None => ErasureState::Running,
        };
        Self {
            id: row.id,
            state,
            participant: row.participant,
            pseudonym: row.pseudonym,
            rooms: row.rooms,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}

/// A participant to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewErasure {
    #[schema(pattern = "^[!-~]{1,36}$")]
    participant: String,
    /// In which rooms, at most 1,000; in all, if there are none.
    #[serde(default)]
    rooms: Vec<String>,
}

/// Erases a participant
///
/// A pseudonym takes the place of its id and name in history, the journal and the audit log. Its bans and refresh tokens are
/// gone, and its older tokens are void. A participant that is in a session is refused, for that would go on under its id. The
/// answer comes with the next full second, by which tokens are told apart.
#[utoipa::path(post, path = "/v1/erasures", tag = "erasures",
    operation_id = "create_erasure", security(("key" = ["admin"])),
    request_body(content = NewErasure, example = json!({"participant": "anna", "rooms": ["kitchen"]})), responses(
    (status = ACCEPTED, body = Erasure),
    Problems<(kind::NotPossible,)>,
))]
pub(super) async fn create(
    _: Caller<Admin>,
    State(app): State<App>,
    Body(new): Body<NewErasure>,
) -> Result<(StatusCode, Json<Erasure>), Problem> {
    let NewErasure { participant, rooms } = new;
    if rooms.len() > MAX_ROOMS {
        let detail = format!(
            "{} are more than {MAX_ROOMS}: ask more than once",
            rooms.len()
        );
        return Err(Problem::invalid_member("/rooms", detail));
    }
    // Any name will do for the room.
    ids("room", &participant)?;
    let number = ulid::Ulid::generate();
    let mut row = ErasureRow {
        id: format!("ers_{number}"),
        participant: Some(participant.clone()),
        pseudonym: format!("erased-{number}"),
        rooms,
        newest: 0,
        created_at: Timestamp::now(),
        finished_at: None,
    };
    audit_as(Some(format!("/v1/erasures/{}", row.id)), None);
    let void_before = row.created_at.next_second();
    let history = app.history().await;
    let changing = app.changing().await;
    let registry = std::sync::Arc::clone(app.registry());
    let erased = participant.clone();
    let written = history.write(move |tx| {
        Box::pin(async move {
            if let Some((session, room)) = tx.sessions_with(&erased, &row.rooms).await?.pop() {
                let detail = format!(
                    "{erased:?} is in the session {session} of the room {room:?}: kick it, and try again once it has left"
                );
                return Err(Problem::new(Kind::NotPossible, detail));
            }
            row.newest = tx.newest();
            let mut marks = Vec::new();
            for room in tx.begin_erasure(&row, &erased).await? {
                let mark = Mark {
                    participant: registry.veiled(&room, &erased),
                    room,
                    issued_before: void_before,
                };
                tx.put_mark(&mark).await?;
                marks.push(mark);
            }
            Ok((row, marks))
        })
    });
    let (row, marks) = written.await?;
    for mark in &marks {
        app.registry().forget(&mark.room, &participant);
        app.registry().put_mark(mark);
    }
    drop(changing);
    for mark in &marks {
        if let Ok((room, participant)) = ids(&mark.room, &participant) {
            remove(&app, &room, &participant).await;
        }
    }
    app.erasure_begun().notify_one();
    // A token that is minted after this answer is valid.
    tokio::time::sleep(void_before.since(Timestamp::now())).await;
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ErasureQuery {
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

/// Lists erasures
#[utoipa::path(get, path = "/v1/erasures", tag = "erasures",
    operation_id = "list_erasures", security(("key" = ["admin"])),
    params(ErasureQuery), responses(
    (status = OK, body = List<Erasure>),
))]
pub(super) async fn list(
    _: Caller<Admin>,
    State(app): State<App>,
    Query(query): Query<ErasureQuery>,
) -> Result<Json<List<Erasure>>, Problem> {
    let cursor = query.cursor.as_deref();
    let page = page_request(query.limit, cursor, query.order, ERASURE_SORT)?;
    let page = app.store().erasures(&page).await?;
    Ok(Json(List::new(page, Erasure::from)))
}

/// Reads an erasure
#[utoipa::path(get, path = "/v1/erasures/{id}", tag = "erasures",
    operation_id = "get_erasure", security(("key" = ["admin"])),
    params(("id" = String, Path, description = "The erasure's id.", example = "ers_01JC3V5Z8Q4M2K7N9P0R1S2T3U")), responses(
    (status = OK, body = Erasure),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn get(
    _: Caller<Admin>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Erasure>, Problem> {
    let row = app.store().erasure(&id).await?;
    let row = row.ok_or_else(|| Problem::not_found("erasure", &id))?;
    Ok(Json(row.into()))
}
