//! What becomes of compositions: each change and what the journal says of it are one transaction.

use sqlx::Row as _;

use super::super::list::Select;
use super::super::row::Entry as _;
use super::super::{ErasureRow, Order, PageRequest, RecordingRow, StoreError, Tx};
use super::{CompositionFilter, CompositionRow, StartedComposition, rows};
use crate::time::Timestamp;

/// Compositions that one transaction deletes.
const BATCH: u32 = 500;
/// How often a composition is tried again whose process has crashed.
const RETRIES: i64 = 2;
/// The error of compositions whose process has crashed once too often.
const CRASHED: &str = "crashed";
/// The error of compositions that nothing is recorded for.
const NOTHING: &str = "nothing-recorded";

impl Tx {
    /// A composition is asked for. `named` are the participants that its request names.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_composition(
        &mut self,
        row: &CompositionRow,
        named: &[String],
    ) -> Result<(), StoreError> {
        let insert = sqlx::query(
            "INSERT INTO compositions (id, room, session, format, request, from_ms, to_ms, state, tries, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', 0, $8, $9)",
        );
        let insert = insert
            .bind(row.id.clone())
            .bind(row.room.clone())
            .bind(row.session.clone())
            .bind(row.format.clone())
            .bind(row.request.to_string())
            .bind(row.from_ms)
            .bind(row.to_ms)
            .bind(row.created_at.as_millis())
            .bind(row.expires_at.map(Timestamp::as_millis));
        insert.execute(&mut *self.transaction).await?;
        for participant in named {
            self.put_input(&row.id, "", participant, row.created_at)
                .await?;
        }
        Ok(())
    }

    async fn put_input(
        &mut self,
        composition: &str,
        recording: &str,
        participant: &str,
        started_at: Timestamp,
    ) -> Result<(), StoreError> {
        let insert = sqlx::query(
            "INSERT INTO composition_inputs (composition, recording, participant, started_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (composition, recording, participant) DO NOTHING",
        );
        let insert = insert
            .bind(composition.to_owned())
            .bind(recording.to_owned())
            .bind(participant.to_owned())
            .bind(started_at.as_millis());
        insert.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// A composition that waits begins, with the recordings that are ready by now. `None` if it does not wait any more, or there
    /// is nothing that it could be made of: it has failed then.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn start_composition(
        &mut self,
        id: &str,
    ) -> Result<Option<StartedComposition>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM compositions WHERE id = $1 AND state = 'queued' AND deleted_at IS NULL",
        );
        let row = row.bind(id.to_owned());
        let row = row.fetch_optional(&mut *self.transaction).await?;
        let Some(mut row) = row.as_ref().map(CompositionRow::of).transpose()? else {
            return Ok(None);
        };
        let ready = sqlx::query(
            "SELECT * FROM recordings WHERE session = $1 AND state = 'ready' AND deleted_at IS NULL ORDER BY started_at, id",
        );
        let ready = ready.bind(row.session.clone());
        let ready = ready.fetch_all(&mut *self.transaction).await?;
        let mut recordings = ready
            .iter()
            .map(RecordingRow::of)
            .collect::<Result<Vec<_>, _>>()?;
        let session = sqlx::query("SELECT started_at FROM sessions WHERE id = $1");
        let session = session.bind(row.session.clone());
        let session = session.fetch_optional(&mut *self.transaction).await?;
        let session: Option<i64> = session.map(|row| row.try_get("started_at")).transpose()?;
        let first = recordings.iter().map(|one| one.started_at).min();
        // History may be kept for a shorter time than recordings.
        let began = session.map(Timestamp::from_millis).or(first);
        let began = began.unwrap_or(row.created_at);
        let span = |one: &RecordingRow| {
            let start = one.started_at.as_millis() - began.as_millis();
            (start, start + one.duration_ms.unwrap_or(0))
        };
        let begin = recordings.iter().map(|one| span(one).0).min();
        let end = recordings.iter().map(|one| span(one).1).max();
        let from_ms = row.from_ms.or(begin).unwrap_or(0);
        let to_ms = row.to_ms.or(end).unwrap_or(0);
        recordings.retain(|one| {
            let (start, end) = span(one);
            start < to_ms && from_ms < end
        });
        if recordings.is_empty() {
            let detail = "none of the session's recordings is ready, or none lies in that time";
            self.fail_composition(id, NOTHING, detail).await?;
            return Ok(None);
        }
        let forget = "DELETE FROM composition_inputs WHERE composition = $1 AND recording <> ''";
        let forget = sqlx::query(forget).bind(id.to_owned());
        forget.execute(&mut *self.transaction).await?;
        for one in &recordings {
            self.put_input(id, &one.id, &one.participant, one.started_at)
                .await?;
        }
        // It goes with the first of them, some of which may stay for ever.
        row.expires_at = recordings.iter().filter_map(|one| one.expires_at).min();
        let update = sqlx::query(
            "UPDATE compositions SET state = 'running', started_at = $2, from_ms = $3, to_ms = $4, expires_at = $5 WHERE id = $1",
        );
        let update = update
            .bind(id.to_owned())
            .bind(self.now.as_millis())
            .bind(from_ms)
            .bind(to_ms)
            .bind(row.expires_at.map(Timestamp::as_millis));
        update.execute(&mut *self.transaction).await?;
        let names = sqlx::query("SELECT participant, name FROM participants WHERE session = $1");
        let names = names.bind(row.session.clone());
        let names = names.fetch_all(&mut *self.transaction).await?;
        let names = names
            .iter()
            .map(|row| Ok((row.try_get("participant")?, row.try_get("name")?)))
            .collect::<Result<_, StoreError>>()?;
        Ok(Some(StartedComposition {
            names,
            row,
            began,
            from_ms,
            to_ms,
            recordings,
        }))
    }

    /// The store has a composition's file; says whether it is still wanted.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn finish_composition(
        &mut self,
        id: &str,
        size: i64,
        sha256: &str,
    ) -> Result<bool, StoreError> {
        let update = sqlx::query(
            "UPDATE compositions SET state = 'ready', ended_at = $2, duration_ms = to_ms - from_ms, size = $3, sha256 = $4 \
             WHERE id = $1 AND state = 'running' AND deleted_at IS NULL RETURNING *",
        );
        let update = update
            .bind(id.to_owned())
            .bind(self.now.as_millis())
            .bind(size)
            .bind(sha256.to_owned());
        let row = update.fetch_optional(&mut *self.transaction).await?;
        let row = row.as_ref().map(CompositionRow::of).transpose()?;
        if let Some(row) = &row {
            let event = row.event("composition.ready", self.now);
            self.tell(event).await?;
        }
        Ok(row.is_some())
    }

    /// A composition has failed, unless it is over.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn fail_composition(
        &mut self,
        id: &str,
        error: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        let update = sqlx::query(
            "UPDATE compositions SET state = 'failed', ended_at = $2, error = $3, detail = $4 \
             WHERE id = $1 AND state IN ('queued', 'running') AND deleted_at IS NULL RETURNING *",
        );
        let update = update
            .bind(id.to_owned())
            .bind(self.now.as_millis())
            .bind(error.to_owned())
            .bind(detail.to_owned());
        let row = update.fetch_optional(&mut *self.transaction).await?;
        if let Some(row) = row.as_ref().map(CompositionRow::of).transpose()? {
            let event = row.event("composition.failed", self.now);
            self.tell(event).await?;
        }
        Ok(())
    }

    /// The process of a composition has crashed: it waits once more, or has failed if that was once too often.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn crash_composition(&mut self, id: &str, detail: &str) -> Result<(), StoreError> {
        let update = sqlx::query(
            "UPDATE compositions SET state = 'queued', tries = tries + 1 WHERE id = $1 AND state = 'running' RETURNING *",
        );
        let row = update.bind(id.to_owned());
        let row = row.fetch_optional(&mut *self.transaction).await?;
        match row.as_ref().map(CompositionRow::of).transpose()? {
            Some(row) if row.tries > RETRIES => self.fail_composition(id, CRASHED, detail).await,
            _ => Ok(()),
        }
    }

    /// A composition that is worked on waits once more, through no fault of its own.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn requeue_composition(&mut self, id: &str) -> Result<(), StoreError> {
        let update = "UPDATE compositions SET state = 'queued' WHERE id = $1 AND state = 'running'";
        let update = sqlx::query(update).bind(id.to_owned());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Those that a former process of this server has worked on have crashed with it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn recover_compositions(&mut self) -> Result<(), StoreError> {
        let running = sqlx::query("SELECT id FROM compositions WHERE state = 'running'");
        for row in running.fetch_all(&mut *self.transaction).await? {
            let id: String = row.try_get("id")?;
            let detail = "the server has ended each time while it was composed";
            self.crash_composition(&id, detail).await?;
        }
        Ok(())
    }

    /// A composition is not wanted any more, if it is not over. Gives it as it is then, unless it is to be gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn cancel_composition(
        &mut self,
        id: &str,
    ) -> Result<Option<CompositionRow>, StoreError> {
        let update = sqlx::query(
            "UPDATE compositions SET state = 'cancelled', ended_at = $2 WHERE id = $1 AND state IN ('queued', 'running')",
        );
        let update = update.bind(id.to_owned()).bind(self.now.as_millis());
        update.execute(&mut *self.transaction).await?;
        let row = sqlx::query("SELECT * FROM compositions WHERE id = $1 AND deleted_at IS NULL");
        let row = row.bind(id.to_owned());
        let row = row.fetch_optional(&mut *self.transaction).await?;
        row.as_ref().map(CompositionRow::of).transpose()
    }

    /// The compositions of these ids, but for those that are to be gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn compositions_of(
        &mut self,
        ids: &[String],
    ) -> Result<Vec<CompositionRow>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut select = Select::new("SELECT * FROM compositions");
        select.any_of("id", ids);
        select.that("deleted_at IS NULL");
        rows(&select.query().fetch_all(&mut *self.transaction).await?)
    }

    /// Some of the compositions that a filter finds; none are left when there are none.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn some_compositions(
        &mut self,
        filter: &CompositionFilter,
    ) -> Result<Vec<CompositionRow>, StoreError> {
        let page = PageRequest {
            after: None,
            limit: BATCH - 1,
            order: Order::Asc,
        };
        let select = filter.select(&page).query();
        rows(&select.fetch_all(&mut *self.transaction).await?)
    }

    /// These compositions are to be gone: they are listed no more.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_compositions(
        &mut self,
        compositions: &[CompositionRow],
    ) -> Result<(), StoreError> {
        for row in compositions {
            self.delete_composition(&row.id).await?;
        }
        Ok(())
    }

    /// A composition is to be gone: it is listed no more.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_composition(&mut self, id: &str) -> Result<(), StoreError> {
        let update = sqlx::query(
            "UPDATE compositions SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING *",
        );
        let update = update.bind(id.to_owned()).bind(self.now.as_millis());
        let row = update.fetch_optional(&mut *self.transaction).await?;
        if let Some(row) = row.as_ref().map(CompositionRow::of).transpose()? {
            let event = row.event("composition.deleted", self.now);
            self.tell(event).await?;
        }
        Ok(())
    }

    /// A composition's file is gone, and so is its row.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn forget_composition(&mut self, id: &str) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM composition_inputs WHERE composition = $1",
            "DELETE FROM compositions WHERE id = $1 AND deleted_at IS NOT NULL",
        ] {
            let delete = sqlx::query(statement).bind(id.to_owned());
            delete.execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// Deletes compositions whose time is over at that time; says how many. Call it until that is 0.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sweep_compositions(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let over = sqlx::query(
            "SELECT * FROM compositions WHERE expires_at < $1 AND deleted_at IS NULL ORDER BY expires_at LIMIT $2",
        );
        let over = over.bind(now.as_millis()).bind(i64::from(BATCH));
        let over = rows(&over.fetch_all(&mut *self.transaction).await?)?;
        self.delete_compositions(&over).await?;
        Ok(over.len() as u64)
    }

    /// Deletes compositions with a participant from before its erasure, or whose requests name it; says how many are there still,
    /// with those whose files are to be gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn erase_compositions(
        &mut self,
        erasure: &ErasureRow,
        participant: &str,
    ) -> Result<usize, StoreError> {
        let found = sqlx::query(
            "SELECT * FROM compositions WHERE id IN \
             (SELECT composition FROM composition_inputs WHERE participant = $1 AND started_at <= $2)",
        );
        let found = found.bind(participant.to_owned());
        let found = found.bind(erasure.created_at.as_millis());
        let mut found = rows(&found.fetch_all(&mut *self.transaction).await?)?;
        found.retain(|row| erasure.is_about(&row.room));
        self.delete_compositions(&found).await?;
        Ok(found.len())
    }
}
