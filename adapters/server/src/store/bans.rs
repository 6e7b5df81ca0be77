//! Those who are kept out: bans, and marks that void older tokens.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::list::Select;
use super::{Store, StoreError, Tx, at, maybe_at};
use crate::time::Timestamp;

/// A participant is kept out of a room, whatever token it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The room.
    pub room: String,
    /// The participant.
    pub participant: String,
    /// Until when; for ever without a value.
    pub until: Option<Timestamp>,
    /// Why, for those who read it later.
    pub reason: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// Tokens that were issued earlier are void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The room.
    pub room: String,
    /// The participant; that of all, if it is empty.
    pub participant: String,
    /// Tokens of this second and later ones are valid.
    pub issued_before: Timestamp,
}

fn ban(row: &AnyRow) -> Result<Ban, StoreError> {
    Ok(Ban {
        room: row.try_get("room")?,
        participant: row.try_get("participant")?,
        until: maybe_at(row, "until")?,
        reason: row.try_get("reason")?,
        created_at: at(row, "created_at")?,
    })
}

impl Store {
    /// All bans, or those of one room, by their participants' ids.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn bans(&self, room: Option<&str>) -> Result<Vec<Ban>, StoreError> {
        let select = match room {
            Some(room) => sqlx::query("SELECT * FROM bans WHERE room = $1 ORDER BY participant")
                .bind(room.to_owned()),
            None => sqlx::query("SELECT * FROM bans"),
        };
        let rows = select.fetch_all(&self.readers).await?;
        rows.iter().map(ban).collect()
    }

    /// All marks.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn marks(&self) -> Result<Vec<Mark>, StoreError> {
        let rows = sqlx::query("SELECT * FROM marks")
            .fetch_all(&self.readers)
            .await?;
        let mark = |row: &AnyRow| {
            Ok(Mark {
                room: row.try_get("room")?,
                participant: row.try_get("participant")?,
                issued_before: at(row, "issued_before")?,
            })
        };
        rows.iter().map(mark).collect()
    }
}

impl Tx {
    /// Writes a ban, in place of the former one of that participant.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_ban(&mut self, ban: &Ban) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO bans (room, participant, until, reason, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (room, participant) DO UPDATE SET until = excluded.until, reason = excluded.reason",
        )
        .bind(ban.room.clone())
        .bind(ban.participant.clone())
        .bind(ban.until.map(Timestamp::as_millis))
        .bind(ban.reason.clone())
        .bind(ban.created_at.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Removes a ban; says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_ban(&mut self, room: &str, participant: &str) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM bans WHERE room = $1 AND participant = $2")
            .bind(room.to_owned())
            .bind(participant.to_owned());
        let deleted = delete.execute(&mut *self.transaction).await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// Writes a mark, unless there is a later one. The refresh tokens that it voids are gone.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_mark(&mut self, mark: &Mark) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO marks (room, participant, issued_before) VALUES ($1, $2, $3) ON CONFLICT (room, participant) \
             DO UPDATE SET issued_before = CASE WHEN marks.issued_before > excluded.issued_before \
             THEN marks.issued_before ELSE excluded.issued_before END",
        )
        .bind(mark.room.clone())
        .bind(mark.participant.clone())
        .bind(mark.issued_before.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        let mut delete = Select::new("DELETE FROM refresh_tokens");
        delete.compare("room =", mark.room.as_str());
        if !mark.participant.is_empty() {
            delete.compare("participant =", mark.participant.as_str());
        }
        delete.compare("issued_at <", mark.issued_before.as_millis());
        delete.query().execute(&mut *self.transaction).await?;
        Ok(())
    }
}
