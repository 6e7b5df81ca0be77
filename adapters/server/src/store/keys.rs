//! API keys, with sealed secrets.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, at, maybe_at};
use crate::auth::Scopes;
use crate::time::Timestamp;

/// An API key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// Its secret, sealed.
    pub sealed: String,
    /// The secret before the last rotation, sealed, and until when it is accepted.
    pub former: Option<(String, Timestamp)>,
    /// Its scopes.
    pub scopes: Scopes,
    /// Since when it exists.
    pub created_at: Timestamp,
    /// Since when it does not work any more.
    pub revoked_at: Option<Timestamp>,
}

pub(super) fn key(row: &AnyRow) -> Result<KeyRow, StoreError> {
    let scopes: String = row.try_get("scopes")?;
    let former: Option<String> = row.try_get("former_sealed")?;
    Ok(KeyRow {
        id: row.try_get("id")?,
        sealed: row.try_get("sealed")?,
        former: former.zip(maybe_at(row, "former_until")?),
        scopes: scopes.parse().map_err(|_| StoreError::Damaged {
            what: "scopes",
            value: scopes,
        })?,
        created_at: at(row, "created_at")?,
        revoked_at: maybe_at(row, "revoked_at")?,
    })
}

impl Store {
    /// All keys, also those that were revoked, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM keys ORDER BY created_at, id");
        let rows = rows.fetch_all(&self.readers).await?;
        rows.iter().map(key).collect()
    }
}

impl Tx {
    /// A key, also one that was revoked.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn key(&mut self, id: &str) -> Result<Option<KeyRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM keys WHERE id = $1").bind(id.to_owned());
        let row = row.fetch_optional(&mut *self.transaction).await?;
        row.as_ref().map(key).transpose()
    }

    /// Writes a key, in place of the former one of that id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_key(&mut self, key: &KeyRow) -> Result<(), StoreError> {
        let (former, until) = key.former.clone().unzip();
        sqlx::query(
            "INSERT INTO keys (id, sealed, former_sealed, former_until, scopes, created_at, revoked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, \
             former_sealed = excluded.former_sealed, former_until = excluded.former_until, scopes = excluded.scopes, \
             revoked_at = excluded.revoked_at",
        )
        .bind(key.id.clone())
        .bind(key.sealed.clone())
        .bind(former)
        .bind(until.map(Timestamp::as_millis))
        .bind(key.scopes.to_string())
        .bind(key.created_at.as_millis())
        .bind(key.revoked_at.map(Timestamp::as_millis))
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
