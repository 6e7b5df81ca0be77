//! The bytes of a recording.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::{Container, found};
use crate::api::App;
use crate::api::caller::{Caller, Recordings};
use crate::api::extract::Path;
use crate::api::file::{FileBytes, StoredFile};
use crate::api::problem::{Kind, Problem, Problems, kind};
use crate::recordings::{file_name, path};

/// Downloads a recording
///
/// One range of bytes can be asked for with `Range`.
#[utoipa::path(get, path = "/v1/recordings/{id}/content", tag = "recordings",
    operation_id = "get_recording_content", security(("key" = ["recordings"])),
    params(
        ("id" = String, Path, description = "The recording's id.", example = "rec_01JC3V5Z8Q4M2K7N9P0R1S2T3U"),
        ("Range" = Option<String>, Header, description = "One range of bytes, such as `bytes=0-1023`."),
    ), responses(
    (status = OK, description = "The file.", content((FileBytes = "audio/ogg"), (FileBytes = "audio/wav"))),
    (status = PARTIAL_CONTENT, description = "The range of it.", content((FileBytes = "audio/ogg"), (FileBytes = "audio/wav"))),
    Problems<(kind::NotFound, kind::NotPossible, kind::RangeNotSatisfiable, kind::StoreUnavailable)>,
))]
pub(in crate::api) async fn content(
    _: Caller<Recordings>,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = found(&app, &id).await?;
    let size = row.size.and_then(|size| u64::try_from(size).ok());
    let (true, Some(size)) = (row.is_stored, size) else {
        let detail = match row.state.as_str() {
            "failed" => format!("there is no file: {}", row.error.unwrap_or_default()),
            state => format!("it is {state:?}: wait for the event `recording.ready`"),
        };
        return Err(Problem::new(Kind::NotPossible, detail));
    };
    let file = StoredFile {
        id: &row.id,
        place: path(&row),
        size,
        sha256: row.sha256.as_deref().unwrap_or_default(),
        content_type: Container::of(&row.codec).content_type(),
        name: file_name(&row),
    };
    file.answer(&app, &headers).await
}
