//! The lobby of a room.

use axum::Json;
use axum::extract::State;
use parlour_tokio::Moderated;
use parlour_tokio::core::server::ModerateError;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::caller::{Caller, Moderate, Read};
use super::extract::{Body, Path};
use super::list::List;
use super::problem::{Problem, Problems, kind};
use super::rooms::check_name;
use super::sessions::{Effect, Targets};

/// A participant that waits to be let in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Waiting {
    participant: String,
    name: String,
}

/// Lists those who wait, in the order in which they came
#[utoipa::path(get, path = "/v1/rooms/{room}/lobby", tag = "lobby",
    operation_id = "list_lobby", security(("key" = ["read"])),
    params(("room" = String, Path)), responses(
    (status = OK, body = List<Waiting>),
    Problems<(kind::Validation,)>,
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<List<Waiting>>, Problem> {
    let room = app.rooms().room(&check_name(&name, "/room")?).await;
    let waiting = room.into_iter().flat_map(|room| room.waiting);
    let data = waiting.map(|waiting| Waiting {
        participant: waiting.participant.as_str().to_owned(),
        name: waiting.name.as_str().to_owned(),
    });
    Ok(Json(List {
        data: data.collect(),
        next_cursor: None,
    }))
}

/// Lets participants in
#[utoipa::path(post, path = "/v1/rooms/{room}/lobby/admit", tag = "lobby",
    operation_id = "admit_participants", security(("key" = ["moderate"])),
    params(("room" = String, Path)),
    request_body(content = Targets, example = json!({"participants": ["ben"]})), responses(
    (status = OK, body = Effect),
))]
pub(super) async fn admit(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path(name): Path<String>,
    Body(targets): Body<Targets>,
) -> Result<Json<Effect>, Problem> {
    let (room, selection) = (check_name(&name, "/room")?, targets.selection()?);
    let admitted = app.rooms().admit(&room, selection.clone()).await;
    effect(admitted, selection)
}

/// Turns participants away
#[utoipa::path(post, path = "/v1/rooms/{room}/lobby/deny", tag = "lobby",
    operation_id = "deny_participants", security(("key" = ["moderate"])),
    params(("room" = String, Path)),
    request_body(content = Targets, example = json!({"participants": "all", "except": ["ben"]})), responses(
    (status = OK, body = Effect),
))]
pub(super) async fn deny(
    _: Caller<Moderate>,
    State(app): State<App>,
    Path(name): Path<String>,
    Body(targets): Body<Targets>,
) -> Result<Json<Effect>, Problem> {
    let (room, selection) = (check_name(&name, "/room")?, targets.selection()?);
    let denied = app.rooms().deny(&room, selection.clone()).await;
    effect(denied, selection)
}

/// In a room where nothing goes on, nobody waits.
fn effect(
    moderated: Result<Moderated, ModerateError>,
    selection: parlour_tokio::Selection,
) -> Result<Json<Effect>, Problem> {
    let nobody = |_| Moderated {
        unknown: match selection {
            parlour_tokio::Selection::All { .. } => Vec::new(),
            parlour_tokio::Selection::Only(ids) => ids,
        },
        ..Moderated::default()
    };
    Ok(Json(moderated.unwrap_or_else(nobody).into()))
}
