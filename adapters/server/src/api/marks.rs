//! Who spoke when: in a recording, in a composition, in a session.

use std::ops::Range;

use axum::Json;
use axum::extract::State;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::caller::{Caller, Read};
use super::extract::Path;
use super::file::unavailable;
use super::list::List;
use super::problem::{Problem, Problems, kind};
use super::{compositions, recordings};
use crate::recordings::{Mark, Spoken, marks_of};
use crate::store::{EventFilter, Order, PageRequest, RecordingRow, StoreError};

/// Recordings of which one answer tells, the oldest first; what was said in others is not known then.
const MOST: u32 = 200;
/// Of how many the store is asked at a time.
const AT_ONCE: usize = 8;

/// When a participant spoke.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParticipantMarks {
    participant: String,
    /// When it spoke, in order. Pauses of less than 600 ms are in them.
    speech: Vec<Mark>,
    /// Whether that is all. It is not while a recording of it is not stored; and neither if one was deleted, was cut off by a
    /// crash, or is of a version that did not write this down.
    complete: bool,
}

/// A recording on a clock.
struct Placed {
    participant: String,
    /// None if it is gone.
    row: Option<RecordingRow>,
    /// Where it begins, in ms.
    start_ms: i64,
}

impl Placed {
    fn of(row: RecordingRow, zero_ms: i64) -> Self {
        Self {
            participant: row.participant.clone(),
            start_ms: row.started_at.as_millis() - zero_ms,
            row: Some(row),
        }
    }

    /// One that is gone, after all others.
    fn gone(participant: String) -> Self {
        Self {
            participant,
            row: None,
            start_ms: i64::MAX,
        }
    }
}

/// A mark on the clock that the recording is placed on, cut off where nothing is asked for.
fn placed(mark: Mark, start_ms: i64, asked: &Range<i64>) -> Option<Mark> {
    let at = |place: u64| {
        let place = start_ms.saturating_add_unsigned(place);
        let place = place.max(asked.start).min(asked.end);
        u64::try_from(place - asked.start).ok()
    };
    let (from_ms, to_ms) = (at(mark.from_ms)?, at(mark.to_ms)?);
    (from_ms < to_ms).then_some(Mark { from_ms, to_ms })
}

/// Sorted, and each moment in one of them: two streams of a participant may be loud at once.
fn joined(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.sort_unstable();
    let mut joined: Vec<Mark> = Vec::new();
    for mark in marks {
        match joined.last_mut() {
            Some(last) if mark.from_ms <= last.to_ms => last.to_ms = last.to_ms.max(mark.to_ms),
            _ => joined.push(mark),
        }
    }
    joined
}

async fn answer(
    app: &App,
    id: &str,
    mut recorded: Vec<Placed>,
    asked: Range<i64>,
    marks: impl Fn(Spoken) -> Vec<Mark>,
) -> Result<Json<List<ParticipantMarks>>, Problem> {
    recorded.sort_by_key(|one| one.start_ms);
    let archive = app.recordings().archive();
    let read = stream::iter((0..).zip(recorded).map(|(n, one)| async move {
        let known = match &one.row {
            Some(row) if n < MOST => marks_of(archive, row).await,
            _ => Ok(None),
        };
        known.map(|known| (one, known))
    }));
    let read = read.buffered(AT_ONCE).try_collect::<Vec<_>>().await;
    let mut participants: Vec<ParticipantMarks> = Vec::new();
    for (one, known) in read.map_err(|error| unavailable(id, &error))? {
        let own = |lane: &&mut ParticipantMarks| lane.participant == one.participant;
        let complete = known.is_some();
        let known = known.map(&marks).into_iter().flatten();
        let known = known.filter_map(|mark| placed(mark, one.start_ms, &asked));
        match participants.iter_mut().find(own) {
            Some(lane) => {
                lane.speech.extend(known);
                lane.complete &= complete;
            }
            None => participants.push(ParticipantMarks {
                participant: one.participant,
                speech: known.collect(),
                complete,
            }),
        }
    }
    for lane in &mut participants {
        lane.speech = joined(std::mem::take(&mut lane.speech));
    }
    Ok(Json(List {
        data: participants,
        next_cursor: None,
    }))
}

/// Tells when somebody speaks in a recording
///
/// Times are places in its file. They come from the levels that its publisher stated, without noise that goes on evenly.
#[utoipa::path(get, path = "/v1/recordings/{id}/marks", tag = "recordings",
    operation_id = "list_recording_marks", security(("key" = ["read"])),
    params(("id" = String, Path, description = "The recording's id.", example = "rec_01JC3V5Z8Q4M2K7N9P0R1S2T3U")), responses(
    (status = OK, body = List<ParticipantMarks>),
    Problems<(kind::NotFound, kind::StoreUnavailable)>,
))]
pub(super) async fn of_recording(
    _: Caller<Read>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<List<ParticipantMarks>>, Problem> {
    let row = recordings::found(&app, &id).await?;
    let zero = row.started_at.as_millis();
    let all = 0..i64::MAX;
    answer(&app, &id, vec![Placed::of(row, zero)], all, |spoken| {
        spoken.marks
    })
    .await
}

/// Tells who speaks when in a composition
///
/// Times are places in its file.
#[utoipa::path(get, path = "/v1/compositions/{id}/marks", tag = "compositions",
    operation_id = "list_composition_marks", security(("key" = ["read"])),
    params(("id" = String, Path, description = "The composition's id.", example = "cmp_01JC3V5Z8Q4M2K7N9P0R1S2T3U")), responses(
    (status = OK, body = List<ParticipantMarks>),
    Problems<(kind::NotFound, kind::StoreUnavailable)>,
))]
pub(super) async fn of_composition(
    _: Caller<Read>,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<List<ParticipantMarks>>, Problem> {
    let row = compositions::found(&app, &id).await?;
    let store = app.store();
    // Without it nobody knows any more where the composition begins.
    let began = store.session(&row.session).await?;
    let rows = store.session_recordings(&row.session).await?;
    let inputs = store.composition_inputs(&id).await?;
    let recorded = inputs.into_iter().map(|input| {
        let found = rows.iter().find(|row| row.id == input.recording);
        let found = found.zip(began.as_ref());
        match found {
            Some((row, began)) => Placed::of(row.clone(), began.started_at.as_millis()),
            None => Placed::gone(input.participant),
        }
    });
    let asked = row.from_ms.unwrap_or(0)..row.to_ms.unwrap_or(i64::MAX);
    answer(&app, &id, recorded.collect(), asked, Spoken::by_time).await
}

/// Tells who spoke when in a session
///
/// Times count from the session's beginning. It tells of what was recorded, and is stored: of 200 recordings at most.
#[utoipa::path(get, path = "/v1/sessions/{session}/marks", tag = "sessions",
    operation_id = "list_session_marks", security(("key" = ["read"])),
    params(("session" = String, Path)), responses(
    (status = OK, body = List<ParticipantMarks>),
    Problems<(kind::NotFound, kind::StoreUnavailable)>,
))]
pub(super) async fn of_session(
    _: Caller<Read>,
    State(app): State<App>,
    Path(session): Path<String>,
) -> Result<Json<List<ParticipantMarks>>, Problem> {
    let known = app.history().await.session(&session).await?;
    let known = known.ok_or_else(|| Problem::not_found("session", &session))?;
    let zero = known.started_at.as_millis();
    let rows = app.store().session_recordings(&session).await?;
    let recorded = rows.into_iter().map(|row| Placed::of(row, zero));
    let gone = deleted(&app, &session).await?;
    let recorded = recorded.chain(gone.into_iter().map(Placed::gone));
    let all = 0..i64::MAX;
    answer(&app, &session, recorded.collect(), all, Spoken::by_time).await
}

/// Those of whom a recording of the session was deleted, as far as the journal reaches back.
async fn deleted(app: &App, session: &str) -> Result<Vec<String>, StoreError> {
    let filter = EventFilter {
        kinds: vec!["recording.deleted".to_owned()],
        sessions: vec![session.to_owned()],
        ..EventFilter::default()
    };
    let page = PageRequest {
        after: None,
        limit: MOST,
        order: Order::Desc,
    };
    let page = app.store().events(&filter, &page).await?;
    let deleted = page.data.into_iter();
    Ok(deleted.filter_map(|event| event.participant).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(from_ms: u64, to_ms: u64) -> Mark {
        Mark { from_ms, to_ms }
    }

    #[test]
    fn a_mark_is_cut_off_at_the_ends_of_what_is_asked_for() {
        let at = |from, to, start| placed(mark(from, to), start, &(1_000..2_000));
        assert_eq!(at(0, 500, 1_200), Some(mark(200, 700)));
        assert_eq!(at(0, 500, 800), Some(mark(0, 300)));
        assert_eq!(at(100, 900, 1_500), Some(mark(600, 1_000)));
        assert_eq!(at(0, 200, 800), None);
        assert_eq!(at(500, 900, 1_500), None);
        assert_eq!(at(0, u64::MAX, -5), Some(mark(0, 1_000)));
    }

    #[test]
    fn what_two_streams_of_one_say_at_once_is_one_mark() {
        let marks = vec![
            mark(50, 70),
            mark(0, 20),
            mark(10, 30),
            mark(30, 40),
            mark(12, 13),
        ];
        assert_eq!(joined(marks), [mark(0, 40), mark(50, 70)]);
    }
}
