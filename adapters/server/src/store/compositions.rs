//! Compositions: one row for each file, and whose recordings it is made of.
//!
//! ```text
//! put ──► queued ──► start ──► running ──► finish ──► ready
//!            ▲                    │ crash, twice at most; requeue
//!            └────────────────────┤
//!                                 └──► fail ──► failed          queued, running ──► cancel ──► cancelled
//! any ──► delete: told, and listed no more ──► the file is gone ──► forget
//! ```

mod changes;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::list::{Column, Select, Sort};
use super::row::{Columns, Entry};
use super::{
    NewEvent, Page, PageRequest, RecordingRow, Store, StoreError, at, json as read, maybe_at,
};
use crate::time::Timestamp;

/// A composition as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct CompositionRow {
    /// Its id, `cmp_…`.
    pub id: String,
    /// The room.
    pub room: String,
    /// The session.
    pub session: String,
    /// `ogg`, `wav`, `m4a`, `mp4` or `webm`.
    pub format: String,
    /// What it is made of, and how.
    pub request: Value,
    /// When it begins, in the session; from its start on it is known.
    pub from_ms: Option<i64>,
    /// When it ends, in the session; from its start on it is known.
    pub to_ms: Option<i64>,
    /// `queued`, `running`, `ready`, `failed` or `cancelled`.
    pub state: String,
    /// How often its process has crashed.
    pub tries: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was begun the last time.
    pub started_at: Option<Timestamp>,
    /// When it became what it is.
    pub ended_at: Option<Timestamp>,
    /// How long it is.
    pub duration_ms: Option<i64>,
    /// Its bytes.
    pub size: Option<i64>,
    /// The hash of its bytes, in hexadecimal.
    pub sha256: Option<String>,
    /// When retention deletes it: with the first of its recordings.
    pub expires_at: Option<Timestamp>,
    /// Why it is `failed`, as a name.
    pub error: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// Since when it is to be gone.
    pub deleted_at: Option<Timestamp>,
}

/// Which compositions. Those that match all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompositionFilter {
    /// Any of these rooms; all if there are none.
    pub rooms: Vec<String>,
    /// The same for sessions.
    pub sessions: Vec<String>,
    /// The same for states.
    pub states: Vec<String>,
    /// From when on it was asked for.
    pub created_after: Option<Timestamp>,
    /// Before when it was asked for.
    pub created_before: Option<Timestamp>,
}

/// A composition that begins.
#[derive(Debug, Clone, PartialEq)]
pub struct StartedComposition {
    /// Itself.
    pub row: CompositionRow,
    /// When its session began: its times count from there.
    pub began: Timestamp,
    /// When it begins.
    pub from_ms: i64,
    /// When it ends.
    pub to_ms: i64,
    /// The recordings that it is made of.
    pub recordings: Vec<RecordingRow>,
    /// The names of its participants, by their ids.
    pub names: BTreeMap<String, String>,
}

/// A recording that a composition is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompositionInput {
    /// Its id. It may be gone by now.
    pub recording: String,
    /// Whose it is.
    pub participant: String,
}

/// How the list of compositions is sorted.
pub const COMPOSITION_SORT: Sort = Sort(&[("created_at", Column::Int), ("id", Column::Text)]);

impl Entry for CompositionRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "room",
        "session",
        "format",
        "request",
        "from_ms",
        "to_ms",
        "state",
        "tries",
        "created_at",
        "started_at",
        "ended_at",
        "duration_ms",
        "size",
        "sha256",
        "expires_at",
        "error",
        "detail",
        "deleted_at",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.field("id")?,
            room: row.field("room")?,
            session: row.field("session")?,
            format: row.field("format")?,
            request: read(row, "request")?,
            from_ms: row.field("from_ms")?,
            to_ms: row.field("to_ms")?,
            state: row.field("state")?,
            tries: row.field("tries")?,
            created_at: at(row, "created_at")?,
            started_at: maybe_at(row, "started_at")?,
            ended_at: maybe_at(row, "ended_at")?,
            duration_ms: row.field("duration_ms")?,
            size: row.field("size")?,
            sha256: row.field("sha256")?,
            expires_at: maybe_at(row, "expires_at")?,
            error: row.field("error")?,
            detail: row.field("detail")?,
            deleted_at: maybe_at(row, "deleted_at")?,
        })
    }
}

impl CompositionRow {
    /// Whether it is or will be worked on.
    pub fn is_open(&self) -> bool {
        ["queued", "running"].contains(&self.state.as_str())
    }

    /// What the journal says of it. It names no participant.
    fn event(&self, kind: &'static str, at: Timestamp) -> NewEvent {
        let error = self.error.as_ref();
        let composition = json!({
            "id": self.id,
            "format": self.format,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
            "created_at": self.created_at,
            "ended_at": self.ended_at,
            "duration_ms": self.duration_ms,
            "size": self.size,
            "sha256": self.sha256,
            "expires_at": self.expires_at,
            "error": error.map(|code| json!({"code": code, "detail": self.detail})),
        });
        NewEvent {
            kind,
            at,
            room: Some(self.room.clone()),
            session: Some(self.session.clone()),
            participant: None,
            data: json!({"composition": composition}),
        }
    }
}

impl CompositionFilter {
    /// Adds its conditions; `any_of` is [`Select::each_of`] for a list that is sorted, else [`Select::any_of`].
    fn restrict(&self, select: &mut Select, any_of: fn(&mut Select, &'static str, &[String])) {
        any_of(select, "room", &self.rooms);
        any_of(select, "session", &self.sessions);
        any_of(select, "state", &self.states);
        let created = [self.created_after, self.created_before];
        select.times(["created_at >=", "created_at <"], created);
        select.that("deleted_at IS NULL");
    }

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new("SELECT * FROM compositions");
        self.restrict(&mut select, Select::each_of);
        select.sorted(COMPOSITION_SORT, page)
    }

    fn totals(&self) -> Select {
        let mut select = Select::new(
            "SELECT COUNT(*) AS compositions, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes FROM compositions",
        );
        self.restrict(&mut select, Select::any_of);
        select
    }
}

fn rows(rows: &[AnyRow]) -> Result<Vec<CompositionRow>, StoreError> {
    rows.iter().map(CompositionRow::of).collect()
}

impl Store {
    /// A composition, also one that is to be gone, if there is one of that id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn composition(&self, id: &str) -> Result<Option<CompositionRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM compositions WHERE id = $1").bind(id.to_owned());
        let row = row.fetch_optional(&self.readers).await?;
        row.as_ref().map(CompositionRow::of).transpose()
    }

    /// Compositions by the time at which they were asked for.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn compositions(
        &self,
        filter: &CompositionFilter,
        page: &PageRequest,
    ) -> Result<Page<CompositionRow>, StoreError> {
        let key =
            |row: &CompositionRow| vec![row.created_at.as_millis().into(), row.id.as_str().into()];
        filter.select(page).page(self, page, key).await
    }

    /// How many compositions a filter finds, and the bytes of their files.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn composition_totals(
        &self,
        filter: &CompositionFilter,
    ) -> Result<(i64, i64), StoreError> {
        let row = filter.totals().query().fetch_one(&self.readers).await?;
        Ok((row.try_get("compositions")?, row.try_get("bytes")?))
    }

    /// The recordings that a composition is made of, once it has begun, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn composition_inputs(&self, id: &str) -> Result<Vec<CompositionInput>, StoreError> {
        let inputs = sqlx::query(
            "SELECT recording, participant FROM composition_inputs WHERE composition = $1 AND recording <> '' \
             ORDER BY started_at, recording",
        );
        let inputs = inputs.bind(id.to_owned()).fetch_all(&self.readers).await?;
        let input = |row: &AnyRow| {
            Ok(CompositionInput {
                recording: row.field("recording")?,
                participant: row.field("participant")?,
            })
        };
        inputs.iter().map(input).collect()
    }

    /// How many wait to be worked on.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn queued_compositions(&self) -> Result<i64, StoreError> {
        let count = sqlx::query(
            "SELECT COUNT(*) AS queued FROM compositions WHERE state = 'queued' AND deleted_at IS NULL",
        );
        let count = count.fetch_one(&self.readers).await?;
        Ok(count.try_get("queued")?)
    }

    /// The oldest one that waits, and whose session has no recording on its way to the store.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn next_composition(&self) -> Result<Option<String>, StoreError> {
        let next = sqlx::query(
            "SELECT id FROM compositions WHERE state = 'queued' AND deleted_at IS NULL AND NOT EXISTS \
             (SELECT 1 FROM recordings WHERE recordings.session = compositions.session AND recordings.state = 'storing' \
             AND recordings.deleted_at IS NULL) ORDER BY created_at, id LIMIT 1",
        );
        let next = next.fetch_optional(&self.readers).await?;
        Ok(next.map(|row| row.try_get("id")).transpose()?)
    }

    /// Those whose file has to be deleted.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn deleted_compositions(&self) -> Result<Vec<CompositionRow>, StoreError> {
        let deleted = sqlx::query("SELECT * FROM compositions WHERE deleted_at IS NOT NULL");
        rows(&deleted.fetch_all(&self.readers).await?)
    }
}
