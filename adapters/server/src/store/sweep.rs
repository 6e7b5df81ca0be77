//! Retention: rows whose time is over go, in batches, so that other writes need not wait for long.

use sqlx::Row as _;

use super::{StoreError, Tx};
use crate::time::Timestamp;

/// Rows that one call deletes of a table.
const ROWS: i64 = 500;
/// Sessions that one call deletes.
const SESSIONS: i64 = 20;

impl Tx {
    /// Deletes events from before that time, but for what webhooks have still to deliver; says how many. Call it until that is 0.
    /// Of each session the oldest go first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sweep_events(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        // The newest stays: the next one's number comes from it.
        let delete = sqlx::query(
            "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE at < $1 \
             AND seq < (SELECT MAX(seq) FROM events) AND seq < $3 ORDER BY at, seq LIMIT $2)",
        );
        let owed = self.oldest_undelivered_seq().await?.unwrap_or(i64::MAX);
        let delete = delete.bind(before.as_millis()).bind(ROWS).bind(owed);
        let deleted = delete.execute(&mut *self.transaction).await?;
        Ok(deleted.rows_affected())
    }

    /// Deletes entries of the audit log from before that time, and erasures that were finished before; says how many. Call it
    /// until that is 0.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sweep_audit(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for statement in [
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)",
            "DELETE FROM erasures WHERE id IN (SELECT id FROM erasures WHERE finished_at < $1 ORDER BY created_at LIMIT $2)",
        ] {
            deleted += self.delete(statement, before).await?;
        }
        Ok(deleted)
    }

    async fn delete(
        &mut self,
        statement: &'static str,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let delete = sqlx::query(statement).bind(before.as_millis()).bind(ROWS);
        let deleted = delete.execute(&mut *self.transaction).await?;
        Ok(deleted.rows_affected())
    }

    /// Deletes sessions that ended before that time, with their participants, stays and streams; says how many rows. Call it
    /// until that is 0. A session that goes on is never deleted.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sweep_sessions(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let ended = sqlx::query(
            "SELECT id FROM sessions WHERE ended_at < $1 ORDER BY ended_at, id LIMIT $2",
        );
        let ended = ended.bind(before.as_millis()).bind(SESSIONS);
        let ended = ended.fetch_all(&mut *self.transaction).await?;
        let mut deleted = 0;
        for row in ended {
            let session: String = row.try_get("id")?;
            for statement in [
                "DELETE FROM samples WHERE session = $1 AND at <= \
                 COALESCE((SELECT at FROM samples WHERE session = $1 ORDER BY at LIMIT 1 OFFSET $2), 9223372036854775807)",
                "DELETE FROM streams WHERE session = $1 AND participant IN \
                 (SELECT participant FROM streams WHERE session = $1 LIMIT $2)",
                "DELETE FROM stays WHERE session = $1 AND participant IN \
                 (SELECT participant FROM stays WHERE session = $1 LIMIT $2)",
                "DELETE FROM participants WHERE session = $1 AND participant IN \
                 (SELECT participant FROM participants WHERE session = $1 LIMIT $2)",
            ] {
                let delete = sqlx::query(statement).bind(session.clone()).bind(ROWS);
                let rows = delete.execute(&mut *self.transaction).await?;
                deleted += rows.rows_affected();
            }
            if deleted >= ROWS as u64 {
                // The rest of it, and the session itself, in another batch.
                return Ok(deleted);
            }
            let delete = sqlx::query("DELETE FROM sessions WHERE id = $1").bind(session);
            delete.execute(&mut *self.transaction).await?;
            deleted += 1;
        }
        Ok(deleted)
    }
}
