//! Draining: no session begins any more.

use std::sync::Weak;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlour_tokio::{CloseReason, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use utoipa::ToSchema;

use super::caller::{Admin, Caller};
use super::extract::Body;
use super::problem::{Kind, Problem, Problems, kind};
use super::{App, Parts};
use crate::scribe;
use crate::time::Timestamp;

/// The longest time until a deadline, in seconds: a day.
const MAX_DEADLINE_S: u32 = 86_400;

/// How to drain.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewDrain {
    /// Sessions that still go on so many seconds from now are ended, at most a day; without it, none is.
    #[schema(maximum = 86_400)]
    deadline_s: Option<u32>,
}

/// A drain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Drain {
    /// When sessions that still go on are ended.
    deadline_at: Option<Timestamp>,
}

/// A drain that goes on.
#[derive(Debug)]
pub(super) struct Deadline {
    at: Timestamp,
    task: AbortHandle,
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Lets no session begin any more
///
/// Sessions that go on may be joined, and `/readyz` fails. The server goes on running, drained, until it is stopped, or until
/// the drain is. Another drain takes the place of the former and its deadline.
#[utoipa::path(post, path = "/v1/server/drain", tag = "server",
    operation_id = "begin_drain", security(("key" = ["admin"])),
    request_body(content = NewDrain, example = json!({"deadline_s": 600})), responses(
    (status = OK, body = Drain),
))]
pub(super) async fn begin(
    caller: Caller<Admin>,
    State(app): State<App>,
    Body(new): Body<NewDrain>,
) -> Result<Json<Drain>, Problem> {
    if new
        .deadline_s
        .is_some_and(|seconds| seconds > MAX_DEADLINE_S)
    {
        let detail = format!("at most {MAX_DEADLINE_S} s; leave it out for no deadline");
        return Err(Problem::invalid_member("/deadline_s", detail));
    }
    let wait = new
        .deadline_s
        .map(|seconds| Duration::from_secs(seconds.into()));
    let deadline_at = wait.map(|wait| Timestamp::now().after(wait));
    let _changing = app.changing().await;
    // Before it is written: a database that fails does not keep a server from being drained.
    app.rooms().drain(Duration::ZERO).await;
    let deadline = wait.zip(deadline_at).map(|(wait, at)| Deadline {
        at,
        task: tokio::spawn(end_sessions(app.downgrade(), wait)).abort_handle(),
    });
    *app.drain() = deadline;
    scribe::tell_draining(app.store(), deadline_at, Some(&caller.key)).await?;
    Ok(Json(Drain { deadline_at }))
}

/// Lets sessions begin again
#[utoipa::path(delete, path = "/v1/server/drain", tag = "server",
    operation_id = "end_drain", security(("key" = ["admin"])), responses(
    (status = NO_CONTENT, description = "Sessions may begin."),
    Problems<(kind::NotPossible,)>,
))]
pub(super) async fn end(
    caller: Caller<Admin>,
    State(app): State<App>,
) -> Result<StatusCode, Problem> {
    let _changing = app.changing().await;
    if app.is_stopping() {
        let detail =
            "the server is being stopped, and its sessions end with it: use another server";
        return Err(Problem::new(Kind::NotPossible, detail));
    }
    if !app.rooms().is_draining() {
        return Ok(StatusCode::NO_CONTENT);
    }
    // First, so that whoever tries again after an error has it written down.
    let data = json!({"by": caller.key});
    scribe::tell_server(app.store(), "server.drain_ended", data).await?;
    *app.drain() = None;
    app.rooms().stop_draining();
    Ok(StatusCode::NO_CONTENT)
}

/// When the sessions that go on are ended, if there is a drain with a deadline.
pub(super) fn deadline(app: &App) -> Option<Timestamp> {
    app.drain().as_ref().map(|deadline| deadline.at)
}

/// Whether participants can use a token for `room` here: a drained server has only sessions that go on.
pub(super) async fn check(app: &App, room: &str) -> Result<(), Problem> {
    if !app.rooms().is_draining() {
        return Ok(());
    }
    let room =
        RoomId::new(room).map_err(|error| Problem::invalid_member("/room", error.to_string()))?;
    let info = app.rooms().room(&room).await;
    if info.is_some_and(|info| info.session.is_some()) {
        return Ok(());
    }
    let detail = format!(
        "no session goes on in {:?}, and none begins here, as this server is being drained: use another server",
        room.as_str()
    );
    Err(Problem::new(Kind::Draining, detail))
}

/// Ends the sessions that go on then, unless the server is gone. A room of which a join is admitted is one of those, and closing
/// it voids the admission.
async fn end_sessions(app: Weak<Parts>, wait: Duration) {
    sleep(wait).await;
    let Some(app) = app.upgrade().map(App::from) else {
        return;
    };
    let snapshot = app.rooms().rooms().await;
    tracing::info!(rooms = snapshot.rooms.len(), "the drain is at its deadline");
    for room in snapshot.rooms {
        // It fails if everybody has left meanwhile.
        let _ = (app.rooms())
            .close_room(&room.room, CloseReason::ServerShutdown)
            .await;
    }
}
