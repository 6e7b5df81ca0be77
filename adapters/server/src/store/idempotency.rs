//! Answers that are given again to whoever asks again.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx};
use crate::seal::{SealError, Sealer};
use crate::time::Timestamp;

/// A request that was answered, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The key that asked.
    pub caller: String,
    /// The request's `Idempotency-Key`.
    pub key: String,
    /// Its method and path.
    pub path: String,
    /// The hash of its body.
    pub body_hash: String,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer, sealed.
    pub answer: String,
}

impl Answered {
    fn row(caller: &str, key: &str) -> String {
        format!("idempotency/{caller}/{key}")
    }

    /// The body of the answer to that caller and key, as it is stored.
    pub fn seal(sealer: &Sealer, caller: &str, key: &str, body: &str) -> String {
        sealer.seal(&Self::row(caller, key), body)
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn open(&self, sealer: &Sealer) -> Result<String, SealError> {
        sealer.open(&Self::row(&self.caller, &self.key), &self.answer)
    }
}

fn answered(row: &AnyRow) -> Result<Answered, StoreError> {
    let status: i64 = row.try_get("status")?;
    Ok(Answered {
        caller: row.try_get("caller")?,
        key: row.try_get("key")?,
        path: row.try_get("path")?,
        body_hash: row.try_get("body_hash")?,
        status: u16::try_from(status).map_err(|_| StoreError::Damaged {
            what: "status",
            value: status.to_string(),
        })?,
        answer: row.try_get("answer")?,
    })
}

impl Store {
    /// Answers behind the one of that caller and key, at most 100.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn answers(&self, caller: &str, key: &str) -> Result<Vec<Answered>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM idempotency WHERE (caller, key) > ($1, $2) ORDER BY caller, key LIMIT 100",
        );
        let rows = rows.bind(caller.to_owned()).bind(key.to_owned());
        let rows = rows.fetch_all(&self.readers).await?;
        rows.iter().map(answered).collect()
    }

    /// The answer to a request that was made since then.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn answered(
        &self,
        caller: &str,
        key: &str,
        since: Timestamp,
    ) -> Result<Option<Answered>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM idempotency WHERE caller = $1 AND key = $2 AND at >= $3")
                .bind(caller.to_owned())
                .bind(key.to_owned())
                .bind(since.as_millis())
                .fetch_optional(&self.readers)
                .await?;
        row.as_ref().map(answered).transpose()
    }
}

impl Tx {
    /// Forgets an answer.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_answered(&mut self, answered: &Answered) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM idempotency WHERE caller = $1 AND key = $2");
        let delete = delete.bind(answered.caller.clone());
        let delete = delete.bind(answered.key.clone());
        delete.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Keeps an answer, in place of an older one of that caller and key.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_answered(&mut self, answered: &Answered) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO idempotency (caller, key, path, body_hash, status, answer, at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (caller, key) DO UPDATE SET path = excluded.path, body_hash = excluded.body_hash, \
             status = excluded.status, answer = excluded.answer, at = excluded.at",
        )
        .bind(answered.caller.clone())
        .bind(answered.key.clone())
        .bind(answered.path.clone())
        .bind(answered.body_hash.clone())
        .bind(i64::from(answered.status))
        .bind(answered.answer.clone())
        .bind(self.now.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
