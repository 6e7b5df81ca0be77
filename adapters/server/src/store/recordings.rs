//! Recordings: one row for each file.
//!
//! ```text
//!            put ──► recording ──► close ──► storing ──► store ──► ready
//!                                   │ with an error
//!                                   └──► failed
//! any but `recording` ──► delete: told, and listed no more ──► the file is gone ──► forget
//! ```

mod row;

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::list::{Column, Select, Sort, Times, is_by_end};
use super::row::Entry as _;
use super::{ErasureRow, Order, Page, PageRequest, Store, StoreError, Tx};
use crate::time::Timestamp;

pub use row::{ClosedRecording, RecordingRow};

/// Recordings that one transaction deletes.
const BATCH: u32 = 500;

/// Which recordings. Those that match all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordingFilter {
    /// Any of these rooms; all if there are none.
    pub rooms: Vec<String>,
    /// The same for sessions.
    pub sessions: Vec<String>,
    /// The same for participants.
    pub participants: Vec<String>,
    /// The same for kinds.
    pub kinds: Vec<String>,
    /// The same for states.
    pub states: Vec<String>,
    /// At least so long.
    pub min_duration_ms: Option<i64>,
    /// From when on it began.
    pub started_after: Option<Timestamp>,
    /// Before when it began.
    pub started_before: Option<Timestamp>,
    /// From when on it ended.
    pub ended_after: Option<Timestamp>,
    /// Before when it ended.
    pub ended_before: Option<Timestamp>,
}

/// How many recordings, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordingTotals {
    /// All of them.
    pub count: i64,
    /// Their bytes, as far as they are closed.
    pub bytes: i64,
    /// Those that are still recording.
    pub active: i64,
}

impl RecordingFilter {
    fn times(&self) -> [Times; 2] {
        [
            [self.started_after, self.started_before],
            [self.ended_after, self.ended_before],
        ]
    }

    fn is_by_end(&self) -> bool {
        let [started, ended] = self.times();
        is_by_end(started, ended)
    }

    /// How the list is sorted: by the begin, or by the end if only that is asked for.
    pub fn sort(&self) -> Sort {
        match self.is_by_end() {
            true => Sort(&[("ended_at", Column::Int), ("id", Column::Text)]),
            false => Sort(&[("started_at", Column::Int), ("id", Column::Text)]),
        }
    }

    /// Adds its conditions; `any_of` is [`Select::each_of`] for a list that is sorted, else [`Select::any_of`].
    fn restrict(&self, select: &mut Select, any_of: fn(&mut Select, &'static str, &[String])) {
        any_of(select, "room", &self.rooms);
        any_of(select, "session", &self.sessions);
        any_of(select, "participant", &self.participants);
        any_of(select, "kind", &self.kinds);
        any_of(select, "state", &self.states);
        let [started, ended] = self.times();
        select.times(["started_at >=", "started_at <"], started);
        select.times(["ended_at >=", "ended_at <"], ended);
        if let Some(least) = self.min_duration_ms {
            select.compare("duration_ms >=", least);
        }
        select.that("deleted_at IS NULL");
    }

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new("SELECT * FROM recordings");
        self.restrict(&mut select, Select::each_of);
        select.sorted(self.sort(), page)
    }

    fn totals(&self) -> Select {
        let mut select = Select::new(
            "SELECT COUNT(*) AS recordings, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes, \
             CAST(COALESCE(SUM(CASE WHEN state = 'recording' THEN 1 ELSE 0 END), 0) AS BIGINT) AS active FROM recordings",
        );
        self.restrict(&mut select, Select::any_of);
        select
    }
}

fn rows(rows: &[AnyRow]) -> Result<Vec<RecordingRow>, StoreError> {
    rows.iter().map(RecordingRow::of).collect()
}

impl Store {
    /// A recording, also one that is to be gone, if there is one of that id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn recording(&self, id: &str) -> Result<Option<RecordingRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM recordings WHERE id = $1").bind(id.to_owned());
        let row = row.fetch_optional(&self.readers).await?;
        row.as_ref().map(RecordingRow::of).transpose()
    }

    /// Recordings by the time at which they began, or see [`RecordingFilter::sort`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn recordings(
        &self,
        filter: &RecordingFilter,
        page: &PageRequest,
    ) -> Result<Page<RecordingRow>, StoreError> {
        let is_by_end = filter.is_by_end();
        let key = |row: &RecordingRow| {
            let end = row.ended_at.filter(|_| is_by_end);
            let time = end.unwrap_or(row.started_at);
            vec![time.as_millis().into(), row.id.as_str().into()]
        };
        filter.select(page).page(self, page, key).await
    }

    /// How many recordings a filter finds.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn recording_totals(
        &self,
        filter: &RecordingFilter,
    ) -> Result<RecordingTotals, StoreError> {
        let row = filter.totals().query().fetch_one(&self.readers).await?;
        Ok(RecordingTotals {
            count: row.try_get("recordings")?,
            bytes: row.try_get("bytes")?,
            active: row.try_get("active")?,
        })
    }

    /// All recordings of a session that are not to be gone, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn session_recordings(&self, session: &str) -> Result<Vec<RecordingRow>, StoreError> {
        let select = sqlx::query(
            "SELECT * FROM recordings WHERE session = $1 AND deleted_at IS NULL ORDER BY started_at, id",
        );
        let select = select.bind(session.to_owned());
        rows(&select.fetch_all(&self.readers).await?)
    }

    /// The ids of those whose file has to be stored, and, with `true`, of those whose file has to be deleted.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn unsettled_recordings(&self) -> Result<BTreeMap<String, bool>, StoreError> {
        let mut ids = BTreeMap::new();
        for (statement, is_deleted) in [
            (
                "SELECT id FROM recordings WHERE spooled <> 0 AND state <> 'recording'",
                false,
            ),
            (
                "SELECT id FROM recordings WHERE deleted_at IS NOT NULL",
                true,
            ),
        ] {
            for row in sqlx::query(statement).fetch_all(&self.readers).await? {
                ids.insert(row.try_get("id")?, is_deleted);
            }
        }
        Ok(ids)
    }

    /// The ids of those that are still being recorded, as far as the tables know.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn active_recordings(&self) -> Result<Vec<String>, StoreError> {
        let active = sqlx::query("SELECT id FROM recordings WHERE state = 'recording'");
        let active = active.fetch_all(&self.readers).await?;
        let ids = active.iter().map(|row| Ok(row.try_get("id")?));
        ids.collect()
    }
}

impl Tx {
    /// A recording begins, if it has not.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn begin_recording(&mut self, row: &RecordingRow) -> Result<(), StoreError> {
        let insert = sqlx::query(
            "INSERT INTO recordings (id, room, session, participant, stream, kind, codec, state, started_at, spooled, stored) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'recording', $8, 1, 0) ON CONFLICT (id) DO NOTHING",
        );
        let insert = insert
            .bind(row.id.clone())
            .bind(row.room.clone())
            .bind(row.session.clone())
            .bind(row.participant.clone())
            .bind(row.stream.clone())
            .bind(row.kind.clone())
            .bind(row.codec.clone())
            .bind(row.started_at.as_millis());
        let inserted = insert.execute(&mut *self.transaction).await?;
        if inserted.rows_affected() > 0 {
            let event = row.event("recording.started", row.started_at);
            self.tell(event).await?;
        }
        Ok(())
    }

    /// A recording's file is closed, if it was open.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn close_recording(
        &mut self,
        id: &str,
        closed: &ClosedRecording,
    ) -> Result<(), StoreError> {
        let update = sqlx::query(
            "UPDATE recordings SET state = CASE WHEN CAST($8 AS TEXT) IS NULL THEN 'storing' ELSE 'failed' END, ended_at = $2, duration_ms = $3, \
             size = $4, lost_ms = $5, silent_ms = $6, expires_at = $7, error = $8 WHERE id = $1 AND state = 'recording' RETURNING *",
        );
        let update = update
            .bind(id.to_owned())
            .bind(closed.ended_at.as_millis())
            .bind(closed.duration_ms)
            .bind(closed.size)
            .bind(closed.lost_ms)
            .bind(closed.silent_ms)
            .bind(closed.expires_at.map(Timestamp::as_millis))
            .bind(closed.error.clone());
        let row = update.fetch_optional(&mut *self.transaction).await?;
        if let Some(row) = row.as_ref().map(RecordingRow::of).transpose()?
            && row.error.is_some()
        {
            let event = row.event("recording.failed", closed.ended_at);
            self.tell(event).await?;
        }
        Ok(())
    }

    /// A recording's file is lost: there is nothing to be stored.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn lose_recording(&mut self, id: &str, error: &str) -> Result<(), StoreError> {
        let update = sqlx::query(
            "UPDATE recordings SET state = 'failed', ended_at = COALESCE(ended_at, $2), error = $3, spooled = 0 \
             WHERE id = $1 AND stored = 0 RETURNING *",
        );
        let update = update.bind(id.to_owned()).bind(self.now.as_millis());
        let update = update.bind(error.to_owned());
        let row = update.fetch_optional(&mut *self.transaction).await?;
        if let Some(row) = row.as_ref().map(RecordingRow::of).transpose()? {
            let event = row.event("recording.failed", self.now);
            self.tell(event).await?;
        }
        Ok(())
    }

    /// The store has a recording's file; says whether that is news, and it is not to be gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn store_recording(
        &mut self,
        id: &str,
        size: i64,
        sha256: &str,
    ) -> Result<bool, StoreError> {
        let update = sqlx::query(
            "UPDATE recordings SET state = CASE WHEN error IS NULL THEN 'ready' ELSE state END, size = $2, sha256 = $3, \
             stored = 1, spooled = 0 WHERE id = $1 AND stored = 0 AND deleted_at IS NULL RETURNING *",
        );
        let update = update.bind(id.to_owned()).bind(size);
        let update = update.bind(sha256.to_owned());
        let row = update.fetch_optional(&mut *self.transaction).await?;
        let row = row.as_ref().map(RecordingRow::of).transpose()?;
        if let Some(row) = &row
            && row.error.is_none()
        {
            let event = row.event("recording.ready", self.now);
            self.tell(event).await?;
        }
        Ok(row.is_some())
    }

    /// The recordings of these ids, but for those that are to be gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn recordings_of(&mut self, ids: &[String]) -> Result<Vec<RecordingRow>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut select = Select::new("SELECT * FROM recordings");
        select.any_of("id", ids);
        select.that("deleted_at IS NULL");
        rows(&select.query().fetch_all(&mut *self.transaction).await?)
    }

    /// Some of the recordings that a filter finds and that are not being recorded; none are left when there are none.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn deletable_recordings(
        &mut self,
        filter: &RecordingFilter,
    ) -> Result<Vec<RecordingRow>, StoreError> {
        let page = PageRequest {
            after: None,
            limit: BATCH - 1,
            order: Order::Asc,
        };
        let select = filter.select(&page).query();
        let mut found = rows(&select.fetch_all(&mut *self.transaction).await?)?;
        found.retain(|row| !row.is_active());
        Ok(found)
    }

    /// These recordings are to be gone: they are listed no more. One that is being recorded stays. Gives those for which that is
    /// news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_recordings(
        &mut self,
        recordings: &[RecordingRow],
    ) -> Result<Vec<RecordingRow>, StoreError> {
        self.delete_recordings_as(recordings, None).await
    }

    /// The same, with another id of the participant in the journal.
    async fn delete_recordings_as(
        &mut self,
        recordings: &[RecordingRow],
        participant: Option<&str>,
    ) -> Result<Vec<RecordingRow>, StoreError> {
        let mut deleted = Vec::new();
        for row in recordings {
            let update = sqlx::query(
                "UPDATE recordings SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL AND state <> 'recording' RETURNING *",
            );
            let update = update.bind(row.id.clone()).bind(self.now.as_millis());
            let row = update.fetch_optional(&mut *self.transaction).await?;
            if let Some(row) = row.as_ref().map(RecordingRow::of).transpose()? {
                let mut event = row.event("recording.deleted", self.now);
                if let Some(participant) = participant {
                    event.participant = Some(participant.to_owned());
                }
                self.tell(event).await?;
                deleted.push(row);
            }
        }
        Ok(deleted)
    }

    /// A recording's file is gone, and so is its row.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn forget_recording(&mut self, id: &str) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM recordings WHERE id = $1 AND deleted_at IS NOT NULL");
        let delete = delete.bind(id.to_owned());
        delete.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Deletes recordings whose time is over at that time; says how many. Call it until that is 0.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sweep_recordings(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let over = sqlx::query(
            "SELECT * FROM recordings WHERE expires_at < $1 AND deleted_at IS NULL ORDER BY expires_at LIMIT $2",
        );
        let over = over.bind(now.as_millis()).bind(i64::from(BATCH));
        let over = rows(&over.fetch_all(&mut *self.transaction).await?)?;
        Ok(self.delete_recordings(&over).await?.len() as u64)
    }

    /// Deletes recordings of a participant from before its erasure; says how many are there still, with those whose files are to be
    /// gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn erase_recordings(
        &mut self,
        erasure: &ErasureRow,
        participant: &str,
    ) -> Result<usize, StoreError> {
        let mut select = Select::new("SELECT * FROM recordings");
        select.compare("participant =", participant);
        select.any_of("room", &erasure.rooms);
        select.compare("started_at <=", erasure.created_at.as_millis());
        let found = select.query().fetch_all(&mut *self.transaction).await?;
        let found = rows(&found)?;
        // The erasure does not look at events that come after it.
        let pseudonym = Some(erasure.pseudonym.as_str());
        self.delete_recordings_as(&found, pseudonym).await?;
        Ok(found.len())
    }
}
