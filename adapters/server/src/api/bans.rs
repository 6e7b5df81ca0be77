//! Bans.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlour_tokio::{ParticipantId, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::App;
use super::caller::{Caller, Moderate, Read};
use super::extract::{Body, Path};
use super::list::List;
use super::problem::{Problem, Problems, kind};
use super::rooms::{about, check_name};
use crate::store::{self, NewEvent};
use crate::time::Timestamp;

/// A participant that is kept out of a room, whatever token it brings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ban {
    participant: String,
    /// Until when; for ever if it is `null`.
    #[schema(required)]
    until: Option<Timestamp>,
    reason: String,
    created_at: Timestamp,
}

impl From<store::Ban> for Ban {
    fn from(ban: store::Ban) -> Self {
        Self {
            participant: ban.participant,
            until: ban.until,
            reason: ban.reason,
            created_at: ban.created_at,
        }
    }
}

/// How a participant is kept out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewBan {
    /// Until when; for ever if it is left out.
    until: Option<Timestamp>,
    /// Why, for those who read it later: at most 200 characters.
    #[schema(max_length = 200)]
    reason: String,
}

/// Lists the bans of a room
#[utoipa::path(get, path = "/v1/rooms/{room}/bans", tag = "bans",
    operation_id = "list_bans", security(("key" = ["read"])),
    params(("room" = String, Path)), responses(
    (status = OK, body = List<Ban>),
    Problems<(kind::Validation,)>,
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Path(room): Path<String>,
) -> Result<Json<List<Ban>>, Problem> {
    check_name(&room, "/room")?;
    let bans = app.store().bans(Some(&room)).await?;
    Ok(Json(List {
        data: bans.into_iter().map(Ban::from).collect(),
        next_cursor: None,
    }))
}

/// Keeps a participant out of a room
///
/// If it is there, it is removed. It holds over sessions and restarts.
#[utoipa::path(put, path = "/v1/rooms/{room}/bans/{participant}", tag = "bans",
    operation_id = "put_ban", security(("key" = ["moderate"])),
    params(("room" = String, Path), ("participant" = String, Path)),
    request_body(content = NewBan, example = json!({"reason": "shouts", "until": "2026-11-06T09:00:00.000Z"})), responses(
    (status = OK, body = Ban),
))]
pub(super) async fn put(
    caller: Caller<Moderate>,
    State(app): State<App>,
    Path((room, participant)): Path<(String, String)>,
    Body(new): Body<NewBan>,
) -> Result<Json<Ban>, Problem> {
    let (room_id, participant_id) = ids(&room, &participant)?;
    if new.reason.chars().count() > 200 {
        return Err(Problem::invalid_member(
            "/reason",
            "a reason has at most 200 characters",
        ));
    }
    let _changing = app.changing().await;
    let written = app.store().write(move |tx| {
        Box::pin(async move {
            let ban = store::Ban {
                room,
                participant,
                until: new.until,
                reason: new.reason,
                created_at: tx.now(),
            };
            tx.put_ban(&ban).await?;
            let data = json!({"until": ban.until, "reason": ban.reason, "by": caller.key});
            let told = NewEvent {
                participant: Some(ban.participant.clone()),
                ..about(tx, "participant.banned", &ban.room, data)
            };
            tx.tell(told).await?;
            Ok::<_, Problem>(ban)
        })
    });
    let ban = written.await?;
    app.registry().put_ban(&ban);
    remove(&app, &room_id, &participant_id).await;
    Ok(Json(ban.into()))
}

/// Has a participant leave its room or its lobby, if it is there.
pub(super) async fn remove(app: &App, room: &RoomId, participant: &ParticipantId) {
    // Each fails if the participant is not where it looks.
    let _ = app.rooms().deny(room, participant).await;
    let _ = app.rooms().kick(room, participant, false).await;
}

/// Lets a participant in again
#[utoipa::path(delete, path = "/v1/rooms/{room}/bans/{participant}", tag = "bans",
    operation_id = "delete_ban", security(("key" = ["moderate"])),
    params(("room" = String, Path), ("participant" = String, Path)), responses(
    (status = NO_CONTENT),
    Problems<(kind::Validation,)>,
))]
pub(super) async fn delete(
    caller: Caller<Moderate>,
    State(app): State<App>,
    Path((room, participant)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    ids(&room, &participant)?;
    let _changing = app.changing().await;
    let written = app.store().write(move |tx| {
        Box::pin(async move {
            if tx.delete_ban(&room, &participant).await? {
                let told = NewEvent {
                    participant: Some(participant.clone()),
                    ..about(tx, "participant.unbanned", &room, json!({"by": caller.key}))
                };
                tx.tell(told).await?;
            }
            Ok::<_, Problem>((room, participant))
        })
    });
    let (room, participant) = written.await?;
    app.registry().delete_ban(&room, &participant);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn ids(room: &str, participant: &str) -> Result<(RoomId, ParticipantId), Problem> {
    let participant = ParticipantId::new(participant)
        .map_err(|error| Problem::invalid_member("/participant", error.to_string()))?;
    Ok((check_name(room, "/room")?, participant))
}
