//! Rooms: long-lived names with their settings.

use super::list::{Column, Select, Sort};
use super::row::{Columns, Entry};
use super::{Page, PageRequest, Store, StoreError, Tx, at, flag, json, to_json};
use crate::rooms::{RoomSettings, RoomState};
use crate::time::Timestamp;

/// A room as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: RoomSettings,
    /// Whether a participant made it by joining.
    pub auto_created: bool,
    /// Since when it exists.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// The session that goes on in it.
    pub active_session: Option<String>,
}

/// Which rooms. Those that match all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomFilter {
    /// Any of these states; all if there are none.
    pub states: Vec<RoomState>,
    /// Whether a session goes on.
    pub active: Option<bool>,
    /// How the name begins.
    pub prefix: Option<String>,
    /// From when on it exists.
    pub created_after: Option<Timestamp>,
    /// Before when it came to exist.
    pub created_before: Option<Timestamp>,
}

const SELECT: &str = "SELECT rooms.*, (SELECT id FROM sessions WHERE sessions.room = rooms.name AND ended_at IS NULL \
                      ORDER BY started_at DESC LIMIT 1) AS active_session FROM rooms";

impl Entry for RoomRow {
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "settings",
        "auto_created",
        "created_at",
        "updated_at",
        "active_session",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.field("name")?,
            settings: json(row, "settings")?,
            auto_created: flag(row, "auto_created")?,
            created_at: at(row, "created_at")?,
            updated_at: at(row, "updated_at")?,
            active_session: row.field("active_session")?,
        })
    }
}

impl Store {
    /// A room, if there is one of that name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn room(&self, name: &str) -> Result<Option<RoomRow>, StoreError> {
        let mut select = Select::new(SELECT);
        select.compare("name =", name);
        let row = select.query().fetch_optional(&self.readers).await?;
        row.as_ref().map(RoomRow::of).transpose()
    }

    /// All rooms, in no order.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn all_rooms(&self) -> Result<Vec<RoomRow>, StoreError> {
        let rows = Select::new(SELECT).query().fetch_all(&self.readers).await?;
        rows.iter().map(RoomRow::of).collect()
    }

    /// Rooms by the time at which they came to exist.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn rooms(
        &self,
        filter: &RoomFilter,
        page: &PageRequest,
    ) -> Result<Page<RoomRow>, StoreError> {
        let key = |room: &RoomRow| {
            vec![
                room.created_at.as_millis().into(),
                room.name.as_str().into(),
            ]
        };
        filter.select(page).page(self, page, key).await
    }
}

impl RoomFilter {
    /// How the list is sorted.
    pub const SORT: Sort = Sort(&[("created_at", Column::Int), ("name", Column::Text)]);

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new(SELECT);
        let states: Vec<_> = self.states.iter().map(|state| state.name()).collect();
        select.each_of("state", &states);
        match self.active {
            // There are fewer of these than of rooms.
            Some(true) => select.that(
                "name IN (SELECT room FROM sessions WHERE ended_at IS NULL)",
            ),
            Some(false) => select.that(
                "NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.room = rooms.name AND ended_at IS NULL)",
            ),
            None => {}
        }
        if let Some(prefix) = &self.prefix {
            select.compare("name >=", prefix.as_str());
            // Names are ASCII: this is behind all that begin so.
            select.compare("name <", format!("{prefix}\u{7f}").as_str());
        }
        let created = [self.created_after, self.created_before];
        let [after, before] = created.map(|time| time.map(Timestamp::as_millis));
        select.range(["created_at >=", "created_at <"], after, before);
        select.sorted(Self::SORT, page)
    }
}

impl Tx {
    /// A room, if there is one of that name now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn room(&mut self, name: &str) -> Result<Option<RoomRow>, StoreError> {
        let mut select = Select::new(SELECT);
        select.compare("name =", name);
        let row = select
            .query()
            .fetch_optional(&mut *self.transaction)
            .await?;
        row.as_ref().map(RoomRow::of).transpose()
    }

    /// Writes a room, in place of the former one of that name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_room(&mut self, room: &RoomRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO rooms (name, state, settings, auto_created, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (name) DO UPDATE SET state = excluded.state, settings = excluded.settings, \
             auto_created = excluded.auto_created, updated_at = excluded.updated_at",
        )
        .bind(room.name.clone())
        .bind(room.settings.state.name())
        .bind(to_json(&room.settings))
        .bind(i64::from(room.auto_created))
        .bind(room.created_at.as_millis())
        .bind(room.updated_at.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Removes a room, its bans and its marks; says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_room(&mut self, name: &str) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM rooms WHERE name = $1").bind(name.to_owned());
        let deleted = delete.execute(&mut *self.transaction).await?;
        if deleted.rows_affected() == 0 {
            return Ok(false);
        }
        for statement in [
            "DELETE FROM bans WHERE room = $1",
            "DELETE FROM marks WHERE room = $1",
            "DELETE FROM refresh_tokens WHERE room = $1",
        ] {
            let delete = sqlx::query(statement).bind(name.to_owned());
            delete.execute(&mut *self.transaction).await?;
        }
        Ok(true)
    }
}
