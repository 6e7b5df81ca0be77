//! Erasures: a participant's id and name are replaced by a pseudonym, wherever they are.
//!
//! An erasure begins with one transaction: it is written down, and what would let the participant in or keep it out is gone. The
//! history follows in batches. Each batch may be done again, so that a process that dies in between costs nothing.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::list::{Column, Select, Sort};
use super::row::{Columns, Entry};
use super::{
    AuditRow, Order, Page, PageRequest, ParticipantFilter, Store, StoreError, Tx, at, json,
    maybe_at, to_json,
};
use crate::time::Timestamp;

/// Places of the journal that one batch looks at.
const EVENTS: i64 = 2_000;
/// Sessions that one batch changes.
const SESSIONS: u32 = 50;

/// An erasure as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureRow {
    /// Its id, `ers_…`.
    pub id: String,
    /// Whom it is about; nobody, once it is finished.
    pub participant: Option<String>,
    /// What stands in the place of id and name.
    pub pseudonym: String,
    /// In which rooms; in all if there are none.
    pub rooms: Vec<String>,
    /// The journal's newest event when it began: those behind it are not changed.
    pub newest: i64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was finished, if it is.
    pub finished_at: Option<Timestamp>,
}

/// How the list of erasures is sorted.
pub const ERASURE_SORT: Sort = Sort(&[("created_at", Column::Int), ("id", Column::Text)]);

impl Entry for ErasureRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "participant",
        "pseudonym",
        "rooms",
        "newest",
        "created_at",
        "finished_at",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.field("id")?,
            participant: row.field("participant")?,
            pseudonym: row.field("pseudonym")?,
            rooms: json(row, "rooms")?,
            newest: row.field("newest")?,
            created_at: at(row, "created_at")?,
            finished_at: maybe_at(row, "finished_at")?,
        })
    }
}

/// The rooms with rows about a participant in a table.
const ROOMS_OF: [&str; 4] = [
    "SELECT DISTINCT room FROM participants WHERE participant = $1",
    "SELECT DISTINCT room FROM refresh_tokens WHERE participant = $1",
    "SELECT DISTINCT room FROM bans WHERE participant = $1",
    "SELECT DISTINCT room FROM marks WHERE participant = $1",
];

impl ErasureRow {
    /// Whether it is about that room.
    pub fn is_about(&self, room: &str) -> bool {
        self.rooms.is_empty() || self.rooms.iter().any(|name| name == room)
    }
}

impl Store {
    /// An erasure, if there is or was one of that id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn erasure(&self, id: &str) -> Result<Option<ErasureRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM erasures WHERE id = $1").bind(id.to_owned());
        let row = row.fetch_optional(&self.readers).await?;
        row.as_ref().map(ErasureRow::of).transpose()
    }

    /// Erasures by the time at which they began.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn erasures(&self, page: &PageRequest) -> Result<Page<ErasureRow>, StoreError> {
        let select = Select::new("SELECT * FROM erasures").sorted(ERASURE_SORT, page);
        let key =
            |row: &ErasureRow| vec![row.created_at.as_millis().into(), row.id.as_str().into()];
        select.page(self, page, key).await
    }

    /// The erasures that are not finished, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn unfinished_erasures(&self) -> Result<Vec<ErasureRow>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM erasures WHERE finished_at IS NULL ORDER BY created_at, id");
        let rows = rows.fetch_all(&self.readers).await?;
        rows.iter().map(ErasureRow::of).collect()
    }
}

impl Tx {
    /// The sessions that a participant is in, in these rooms or in all: their ids and rooms.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sessions_with(
        &mut self,
        participant: &str,
        rooms: &[String],
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut select = Select::new("SELECT session, room FROM participants");
        select.compare("participant =", participant);
        select.any_of("room", rooms);
        select.that("state <> 'left'");
        let rows = select.query().fetch_all(&mut *self.transaction).await?;
        let both = |row: &AnyRow| Ok((row.try_get("session")?, row.try_get("room")?));
        rows.iter().map(both).collect()
    }

    /// Begins an erasure: bans, marks and refresh tokens of the participant are gone. Gives the rooms with anything about it, in
    /// each of which its older tokens have to be voided.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn begin_erasure(
        &mut self,
        row: &ErasureRow,
        participant: &str,
    ) -> Result<BTreeSet<String>, StoreError> {
        sqlx::query(
            "INSERT INTO erasures (id, participant, pseudonym, rooms, newest, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(row.id.clone())
        .bind(participant.to_owned())
        .bind(row.pseudonym.clone())
        .bind(to_json(&row.rooms))
        .bind(row.newest)
        .bind(row.created_at.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        let mut rooms = BTreeSet::new();
        for statement in ROOMS_OF {
            let found = sqlx::query(statement).bind(participant.to_owned());
            for found in found.fetch_all(&mut *self.transaction).await? {
                rooms.insert(found.try_get("room")?);
            }
        }
        rooms.retain(|room: &String| row.is_about(room));
        for room in &rooms {
            for statement in [
                "DELETE FROM bans WHERE room = $1 AND participant = $2",
                "DELETE FROM marks WHERE room = $1 AND participant = $2",
                "DELETE FROM refresh_tokens WHERE room = $1 AND participant = $2",
            ] {
                let delete = sqlx::query(statement).bind(room.clone());
                let delete = delete.bind(participant.to_owned());
                delete.execute(&mut *self.transaction).await?;
            }
        }
        Ok(rooms)
    }

    /// The number of the journal's newest event.
    pub fn newest(&self) -> i64 {
        self.seq
    }

    /// Replaces the participant in events behind `after`; says up to which it has looked, or that it has at all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn erase_events(
        &mut self,
        erasure: &ErasureRow,
        participant: &str,
        after: i64,
    ) -> Result<Option<i64>, StoreError> {
        // The oldest may be far behind `after`.
        let first = sqlx::query("SELECT MIN(seq) AS seq FROM events WHERE seq > $1").bind(after);
        let first = first.fetch_one(&mut *self.transaction).await?;
        let first: Option<i64> = first.try_get("seq")?;
        let Some(first) = first.filter(|first| *first <= erasure.newest) else {
            return Ok(None);
        };
        let last = first.saturating_add(EVENTS - 1).min(erasure.newest);
        let rows = sqlx::query(
            "SELECT seq, type, room, data FROM events WHERE seq BETWEEN $1 AND $2 AND participant = $3",
        );
        let rows = rows.bind(first).bind(last).bind(participant.to_owned());
        for row in rows.fetch_all(&mut *self.transaction).await? {
            let room: Option<String> = row.try_get("room")?;
            if !room.is_none_or(|room| erasure.is_about(&room)) {
                continue;
            }
            let mut data: Value = json(&row, "data")?;
            forget(&mut data, participant, &erasure.pseudonym);
            // Whoever banned it may have written anything.
            if row.try_get::<String, _>("type")? == "participant.banned" {
                data["reason"] = "".into();
            }
            let seq: i64 = row.try_get("seq")?;
            // A receiver may have answered with what it was sent.
            let deliveries =
                "UPDATE deliveries SET answer = NULL, error = NULL WHERE event_seq = $1";
            let deliveries = sqlx::query(deliveries).bind(seq);
            deliveries.execute(&mut *self.transaction).await?;
            let update =
                sqlx::query("UPDATE events SET participant = $2, data = $3 WHERE seq = $1");
            let update = update.bind(seq);
            let update = update
                .bind(erasure.pseudonym.clone())
                .bind(data.to_string());
            update.execute(&mut *self.transaction).await?;
        }
        Ok(Some(last))
    }

    /// Replaces the participant in sessions that it has left; says whether there may be more.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn erase_sessions(
        &mut self,
        erasure: &ErasureRow,
        participant: &str,
    ) -> Result<bool, StoreError> {
        let mut select = Select::new("SELECT session FROM participants");
        select.compare("participant =", participant);
        select.any_of("room", &erasure.rooms);
        select.that("state = 'left'");
        let page = PageRequest {
            after: None,
            limit: SESSIONS - 1,
            order: Order::Asc,
        };
        let select = select.sorted(ParticipantFilter::default().sort(), &page);
        let rows = select.query().fetch_all(&mut *self.transaction).await?;
        for row in &rows {
            let session: String = row.try_get("session")?;
            for statement in [
                "UPDATE participants SET participant = $3, name = $3, attributes = '{}' WHERE session = $1 AND participant = $2",
                "UPDATE stays SET participant = $3 WHERE session = $1 AND participant = $2",
                "UPDATE samples SET participant = $3 WHERE session = $1 AND participant = $2",
                "UPDATE streams SET participant = $3 WHERE session = $1 AND participant = $2",
            ] {
                let update = sqlx::query(statement).bind(session.clone());
                let update = update.bind(participant.to_owned());
                let update = update.bind(erasure.pseudonym.clone());
                update.execute(&mut *self.transaction).await?;
            }
        }
        Ok(!rows.is_empty())
    }

    /// Replaces the participant in these entries of the audit log, as far as they are about the erasure's rooms.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn erase_audit(
        &mut self,
        erasure: &ErasureRow,
        participant: &str,
        entries: &[AuditRow],
    ) -> Result<(), StoreError> {
        for entry in entries {
            let parts: Vec<_> = entry.target.split('/').collect();
            let room = match parts.as_slice() {
                ["", _, "rooms", room, ..] => Some((*room).to_owned()),
                ["", _, "sessions", session, ..] => self.room_of(session).await?,
                _ => None,
            };
            if !room.is_none_or(|room| erasure.is_about(&room)) {
                continue;
            }
            let target = replaced(&entry.target, participant, &erasure.pseudonym);
            let update =
                sqlx::query("UPDATE audit SET participant = $2, target = $3 WHERE id = $1");
            let update = update.bind(entry.id.clone());
            let update = update.bind(erasure.pseudonym.clone()).bind(target);
            update.execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    async fn room_of(&mut self, session: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT room FROM sessions WHERE id = $1").bind(session.to_owned());
        let row = row.fetch_optional(&mut *self.transaction).await?;
        Ok(row.map(|row| row.try_get("room")).transpose()?)
    }

    /// An erasure is finished: it, too, forgets whom it was about.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn finish_erasure(&mut self, id: &str) -> Result<(), StoreError> {
        let finish =
            sqlx::query("UPDATE erasures SET participant = NULL, finished_at = $2 WHERE id = $1");
        let finish = finish.bind(id.to_owned()).bind(self.now.as_millis());
        finish.execute(&mut *self.transaction).await?;
        Ok(())
    }
}

/// Replaces what an event says about its participant: its id and name, and texts that are its own or about it.
fn forget(data: &mut Value, participant: &str, pseudonym: &str) {
    match data {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), &*value) {
                    ("name", Value::String(_)) => *value = pseudonym.into(),
                    ("value", Value::String(_)) => *value = "".into(),
                    _ => forget(value, participant, pseudonym),
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                forget(value, participant, pseudonym);
            }
        }
        Value::String(text) if text == participant => pseudonym.clone_into(text),
        _ => {}
    }
}

/// A path with another text in the place of the part that is `participant`, which may have slashes itself.
fn replaced(path: &str, participant: &str, pseudonym: &str) -> String {
    let mut replaced = String::new();
    let mut rest = path;
    while let Some((before, behind)) = rest.split_once('/') {
        replaced += before;
        replaced.push('/');
        let end = behind.strip_prefix(participant);
        rest = match end.filter(|end| end.is_empty() || end.starts_with('/')) {
            Some(end) => {
                replaced += pseudonym;
                end
            }
            None => behind,
        };
    }
    replaced + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_part_of_a_path_is_replaced() {
        for (path, participant, expected) in [
            ("/v1/rooms/annex/bans/ann", "ann", "/v1/rooms/annex/bans/x"),
            (
                "/s/participants/ann/streams/a",
                "ann",
                "/s/participants/x/streams/a",
            ),
            ("/v1/rooms/a/bans/b/c", "b/c", "/v1/rooms/a/bans/x"),
            ("/v1/rooms", "ann", "/v1/rooms"),
            ("", "ann", ""),
        ] {
            assert_eq!(replaced(path, participant, "x"), expected);
        }
    }

    #[test]
    fn what_is_said_of_a_participant_is_forgotten() {
        let mut data = serde_json::json!({
            "name": "Anna", "grants": ["kick"], "to": ["ben", "anna"], "key": "mail", "value": "a@example.org", "n": 1,
        });
        forget(&mut data, "anna", "x");
        let expected = serde_json::json!({
            "name": "x", "grants": ["kick"], "to": ["ben", "x"], "key": "mail", "value": "", "n": 1,
        });
        assert_eq!(data, expected);
    }
}
