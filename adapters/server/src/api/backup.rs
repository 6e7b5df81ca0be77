//! Backups.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::caller::{Admin, Caller};
use super::problem::{Kind, Problem, Problems, kind};
use crate::store::{self, BackupError};
use crate::time::Timestamp;

/// A copy of the database and its key file, on the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Backup {
    /// The database.
    path: String,
    /// The key file, which opens the secrets in it.
    key_file: String,
    /// Bytes of the database.
    bytes: u64,
    at: Timestamp,
}

/// Copies the database and its key file into the folder for backups
///
/// The copy is of one moment, and holds nothing up. With PostgreSQL, the answer is 409 `not-possible`.
#[utoipa::path(post, path = "/v1/server/backup", tag = "server",
    operation_id = "create_backup", security(("key" = ["admin"])), responses(
    (status = CREATED, body = Backup),
    Problems<(kind::NotPossible, kind::InProgress)>,
))]
pub(super) async fn create(
    _: Caller<Admin>,
    State(app): State<App>,
) -> Result<(StatusCode, Json<Backup>), Problem> {
    let backups = app.backups();
    let one_at_a_time = backups.busy.try_lock();
    let _busy = one_at_a_time
        .map_err(|_| Problem::new(Kind::InProgress, "a backup is being made").retry_after(10))?;
    let made = store::back_up(
        &backups.place,
        &backups.key_file,
        &backups.folder,
        Timestamp::now(),
        |_| {},
    );
    let made = made.await.map_err(|error| match error {
        BackupError::Postgres { .. } => Problem::new(Kind::NotPossible, error.to_string()),
        _ => {
            tracing::error!(%error, "no backup");
            Problem::new(Kind::StorageUnavailable, error.to_string())
        }
    })?;
    let backup = Backup {
        path: made.path.display().to_string(),
        key_file: made.key_file.display().to_string(),
        bytes: made.bytes,
        at: made.at,
    };
    Ok((StatusCode::CREATED, Json(backup)))
}
