//! Rooms.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base16ct::lower::encode_string;
use parlour_tokio::{CloseReason, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::App;
use super::caller::{Caller, Read, Rooms};
use super::change::{Precondition, changed};
use super::describe::change_of;
use super::extract::{Body, Path, Query, from_json};
use super::list::{List, Order, page_request};
use super::problem::{Kind, Problem, Problems, kind};
use crate::registry::is_plain;
use crate::rooms::{RoomRecording, RoomSettings, RoomState};
use crate::store::{NewEvent, RoomFilter, RoomRow, Tx, audit_as};
use crate::time::Timestamp;

const IF_MATCH: &str =
    "An `ETag`, or some with commas between them: the room has to be as it was then.";

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Room {
    /// Its name.
    name: String,
    #[serde(flatten)]
    settings: RoomSettings,
    /// Whether a participant made it by joining.
    auto_created: bool,
    /// The session that goes on in it.
    #[schema(required)]
    active_session: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<RoomRow> for Room {
    fn from(row: RoomRow) -> Self {
        Self {
            name: row.name,
            settings: row.settings,
            auto_created: row.auto_created,
            active_session: row.active_session,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl Room {
    /// Changes whenever the settings do.
    fn etag(&self) -> String {
        let settings = serde_json::to_vec(&(&self.settings, self.updated_at)).unwrap_or_default();
        let hash = Sha256::digest(&settings);
        let mut hash = encode_string(&hash);
        hash.truncate(16);
        format!("\"{hash}\"")
    }

    fn respond(self, status: StatusCode) -> Response {
        let etag = HeaderValue::from_str(&self.etag());
        let location = HeaderValue::from_str(&format!("/v1/rooms/{}", self.name));
        let mut response = (status, Json(self)).into_response();
        if let Ok(etag) = etag {
            response.headers_mut().insert(header::ETAG, etag);
        }
        if status == StatusCode::CREATED
            && let Ok(location) = location
        {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// A new room.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "it describes what `create` takes apart itself, to refuse unknown members"
)]
pub(crate) struct NewRoom {
    /// Its name: `A-Z a-z 0-9 . _ ~ -`, at most 48 characters. Without one, the server invents one.
    #[schema(pattern = "^[A-Za-z0-9._~-]{1,48}$")]
    name: Option<String>,
    #[schema(inline)]
    #[serde(flatten)]
    settings: RoomSettings,
}

/// A change of a room's settings.
#[derive(Debug)]
pub(crate) struct RoomChange;

impl PartialSchema for RoomChange {
    fn schema() -> RefOr<Schema> {
        change_of(
            RoomSettings::schema(),
            [("recording", RoomRecording::schema())],
        )
    }
}

impl ToSchema for RoomChange {}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RoomQuery {
    /// Rooms of these states.
    #[serde(default)]
    state: Vec<RoomState>,
    /// Rooms with a session, or without one.
    active: Option<bool>,
    /// Rooms whose name begins so.
    prefix: Option<String>,
    /// Made at this time or later.
    created_after: Option<Timestamp>,
    /// Made before this time.
    created_before: Option<Timestamp>,
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

/// Lists rooms
#[utoipa::path(get, path = "/v1/rooms", tag = "rooms",
    operation_id = "list_rooms", security(("key" = ["read"])),
    params(RoomQuery), responses(
    (status = OK, body = List<Room>),
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Query(query): Query<RoomQuery>,
) -> Result<Json<List<Room>>, Problem> {
    let page = page_request(
        query.limit,
        query.cursor.as_deref(),
        query.order,
        RoomFilter::SORT,
    )?;
    let filter = RoomFilter {
        states: query.state,
        active: query.active,
        prefix: query.prefix,
        created_after: query.created_after,
        created_before: query.created_before,
    };
    let page = app.history().await.rooms(&filter, &page).await?;
    Ok(Json(List::new(page, Room::from)))
}

/// Makes a room
///
/// The answer is 409 `exists` if there is one of that name.
#[utoipa::path(post, path = "/v1/rooms", tag = "rooms",
    operation_id = "create_room", security(("key" = ["rooms"])),
    request_body(content = NewRoom, example = json!({"name": "green-room", "title": "Green room", "max_participants": 12})), responses(
    (status = CREATED, body = Room, headers(("ETag" = String, description = "For `If-Match`: changes whenever the room does."), ("Location" = String, description = "The room's path."))),
    Problems<(kind::Exists,)>,
))]
pub(super) async fn create(
    _: Caller<Rooms>,
    State(app): State<App>,
    Body(mut body): Body<serde_json::Map<String, Value>>,
) -> Result<Response, Problem> {
    let name = match body.remove("name") {
        None | Some(Value::Null) => invented_name(),
        Some(Value::String(name)) => name,
        Some(_) => return Err(Problem::invalid_member("/name", "a name is a text")),
    };
    audit_as(Some(format!("/v1/rooms/{name}")), None);
    let settings = settings(Value::Object(body))?;
    let exists = format!("there is a room named {name:?}; use PUT or PATCH to change it");
    let only_new = move |former: Option<&RoomSettings>| match former {
        None => Ok(settings),
        Some(_) => Err(Problem::new(Kind::Exists, exists)),
    };
    let (room, _) = write(&app, name, Precondition::default(), only_new).await?;
    Ok(room.respond(StatusCode::CREATED))
}

fn invented_name() -> String {
    ulid::Ulid::generate().to_string().to_lowercase()
}

/// Reads a room
#[utoipa::path(get, path = "/v1/rooms/{room}", tag = "rooms",
    operation_id = "get_room", security(("key" = ["read"])),
    params(("room" = String, Path)), responses(
    (status = OK, body = Room, headers(("ETag" = String, description = "For `If-Match`: changes whenever the room does."))),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn get(
    _: Caller<Read>,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let room = app.history().await.room(&name).await?;
    let room = room.ok_or_else(|| Problem::not_found("room", &name))?;
    Ok(Room::from(room).respond(StatusCode::OK))
}

/// Makes a room, or replaces its settings
#[utoipa::path(put, path = "/v1/rooms/{room}", tag = "rooms",
    operation_id = "put_room", security(("key" = ["rooms"])),
    params(("room" = String, Path), ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    request_body(content = RoomSettings, example = json!({"title": "Green room", "max_participants": 12, "lobby": true})), responses(
    (status = OK, body = Room, headers(("ETag" = String, description = "For `If-Match`: changes whenever the room does."))),
    (status = CREATED, body = Room, headers(("ETag" = String, description = "For `If-Match`: changes whenever the room does."), ("Location" = String, description = "The room's path."))),
    Problems<(kind::EtagMismatch,)>,
))]
pub(super) async fn put(
    _: Caller<Rooms>,
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response, Problem> {
    let settings = settings(body)?;
    let precondition = Precondition::of(&headers)?;
    let (room, is_new) = write(&app, name, precondition, move |_| Ok(settings)).await?;
    Ok(room.respond(if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    }))
}

/// Changes settings of a room
///
/// Merges as [RFC 7396](https://www.rfc-editor.org/rfc/rfc7396) says: what is left out stays, `null` resets.
#[utoipa::path(patch, path = "/v1/rooms/{room}", tag = "rooms",
    operation_id = "update_room", security(("key" = ["rooms"])),
    params(("room" = String, Path), ("If-Match" = Option<String>, Header, description = IF_MATCH)),
    request_body(content = RoomChange, example = json!({"title": "Greener room", "max_participants": null})), responses(
    (status = OK, body = Room, headers(("ETag" = String, description = "For `If-Match`: changes whenever the room does."))),
    Problems<(kind::NotFound, kind::EtagMismatch)>,
))]
pub(super) async fn patch(
    _: Caller<Rooms>,
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(patch): Body<Value>,
) -> Result<Response, Problem> {
    // A body that cannot be is told before a precondition.
    checked(changed(&RoomSettings::default(), &patch)?)?;
    let missing = Problem::not_found("room", &name);
    let merged = move |former: Option<&RoomSettings>| {
        let former = former.ok_or(missing)?;
        checked(changed(former, &patch)?)
    };
    let (room, _) = write(&app, name, Precondition::of(&headers)?, merged).await?;
    Ok(room.respond(StatusCode::OK))
}

/// Deletes a room
///
/// Its session ends and its name is free; its history stays.
#[utoipa::path(delete, path = "/v1/rooms/{room}", tag = "rooms",
    operation_id = "delete_room", security(("key" = ["rooms"])),
    params(("room" = String, Path)), responses(
    (status = NO_CONTENT),
    Problems<(kind::Validation,)>,
))]
pub(super) async fn delete(
    _: Caller<Rooms>,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    check_name(&name, "/room")?;
    let room = name.clone();
    let history = app.history().await;
    let _changing = app.changing().await;
    let deleted = history.write(move |tx| {
        Box::pin(async move {
            let deleted = tx.delete_room(&room).await?;
            if deleted {
                tx.tell(about(tx, "room.deleted", &room, json!({}))).await?;
            }
            Ok::<_, Problem>(deleted)
        })
    });
    if deleted.await? {
        app.registry().delete_room(&name);
        close(&app, &name).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Ends what goes on in a room.
async fn close(app: &App, name: &str) {
    if let Ok(room) = RoomId::new(name) {
        // It fails if nothing goes on there.
        let _ = app
            .rooms()
            .close_room(&room, CloseReason::SessionEnded)
            .await;
    }
}

/// Settings as they were sent, if they are possible.
fn settings(body: Value) -> Result<RoomSettings, Problem> {
    checked(from_json(body.to_string().as_bytes())?)
}

fn checked(settings: RoomSettings) -> Result<RoomSettings, Problem> {
    let invalid = settings.check();
    if invalid.is_empty() {
        Ok(settings)
    } else {
        Err(invalid.into())
    }
}

/// A name that may stand in a path as it is.
pub(super) fn check_name(name: &str, pointer: &str) -> Result<RoomId, Problem> {
    if !is_plain(name) {
        let detail = "a name has `A-Z a-z 0-9 . _ ~ -` only, so that it can stand in a path";
        return Err(Problem::invalid_member(pointer, detail));
    }
    RoomId::new(name).map_err(|error| Problem::invalid_member(pointer, error.to_string()))
}

/// Writes a room with the settings that `change` makes of its former ones, and tells of it. Says whether it is new.
async fn write(
    app: &App,
    name: String,
    precondition: Precondition,
    change: impl FnOnce(Option<&RoomSettings>) -> Result<RoomSettings, Problem> + Send + 'static,
) -> Result<(Room, bool), Problem> {
    check_name(&name, "/name")?;
    let history = app.history().await;
    let _changing = app.changing().await;
    let written = history.write(move |tx| {
        Box::pin(async move {
            let former = tx.room(&name).await?;
            let etag = || Some(Room::from(former.clone()?).etag());
            precondition.check(etag, "room")?;
            let settings = change(former.as_ref().map(|former| &former.settings))?;
            let row = RoomRow {
                settings,
                updated_at: tx.now(),
                ..former.clone().unwrap_or_else(|| RoomRow {
                    name,
                    settings: RoomSettings::default(),
                    auto_created: false,
                    created_at: tx.now(),
                    updated_at: tx.now(),
                    active_session: None,
                })
            };
            if former
                .as_ref()
                .is_some_and(|former| former.settings == row.settings)
            {
                return Ok::<_, Problem>((former.clone().unwrap_or(row), former));
            }
            tx.put_room(&row).await?;
            let kind = if former.is_some() {
                "room.updated"
            } else {
                "room.created"
            };
            let data = serde_json::to_value(&row.settings).unwrap_or_default();
            tx.tell(about(tx, kind, &row.name, data)).await?;
            Ok((row, former))
        })
    });
    let (row, former) = written.await?;
    app.registry().put_room(&row.name, &row.settings);
    if row.settings.state == RoomState::Disabled {
        close(app, &row.name).await;
    } else if let Ok(room) = RoomId::new(&row.name) {
        // It fails if nothing goes on there.
        let _ = app
            .rooms()
            .set_room_limits(&room, row.settings.limits())
            .await;
    }
    Ok((Room::from(row), former.is_none()))
}

/// A fact about a room.
pub(super) fn about(tx: &Tx, kind: &'static str, room: &str, data: Value) -> NewEvent {
    NewEvent {
        kind,
        at: tx.now(),
        room: Some(room.to_owned()),
        session: None,
        participant: None,
        data,
    }
}
