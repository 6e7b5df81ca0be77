//! Sessions, the participants in them, their stays and streams.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::list::{Column, Select, Sort, Times, is_by_end};
use super::row::{Columns, Entry};
use super::{Page, PageRequest, Store, StoreError, at, flag, json, maybe_at};
use crate::time::Timestamp;

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    /// The room.
    pub room: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// Participants in it now.
    pub present: i64,
    /// Most participants that were in it at a time.
    pub peak: i64,
    /// Participants that were ever in it.
    pub uniques: i64,
}

/// A participant of a session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantRow {
    /// The session.
    pub session: String,
    /// Its id.
    pub participant: String,
    /// The room.
    pub room: String,
    /// Its display name.
    pub name: String,
    /// `connected`, `reconnecting` or `left`.
    pub state: String,
    /// Its grants.
    pub grants: Vec<String>,
    /// Whether it is censored.
    pub censored: bool,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// `udp` or `stream`: how its packets travel, as it was when it came or resumed.
    pub path: String,
    /// When it came, the last time.
    pub joined_at: Timestamp,
    /// When it left, the last time.
    pub left_at: Option<Timestamp>,
}

/// One stay of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StayRow {
    /// When it came.
    pub joined_at: Timestamp,
    /// When it left, if it has.
    pub left_at: Option<Timestamp>,
    /// Why it left.
    pub reason: Option<String>,
}

/// One stream of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    /// Its key.
    pub key: String,
    /// `audio`, `video` or `screen`.
    pub kind: String,
    /// Its codec.
    pub codec: String,
    /// Whether it is muted.
    pub muted: bool,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it was unpublished, if it was.
    pub unpublished_at: Option<Timestamp>,
}

/// Which sessions. Those that match all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFilter {
    /// Any of these rooms; all if there are none.
    pub rooms: Vec<String>,
    /// Whether it goes on.
    pub active: Option<bool>,
    /// Any of these participants was in it; all sessions if there are none.
    pub participants: Vec<String>,
    /// From when on it began.
    pub started_after: Option<Timestamp>,
    /// Before when it began.
    pub started_before: Option<Timestamp>,
    /// From when on it ended.
    pub ended_after: Option<Timestamp>,
    /// Before when it ended.
    pub ended_before: Option<Timestamp>,
}

/// Which participants, over all sessions. Those that match all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParticipantFilter {
    /// Any of these rooms; all if there are none.
    pub rooms: Vec<String>,
    /// The same for sessions.
    pub sessions: Vec<String>,
    /// The same for ids.
    pub participants: Vec<String>,
    /// The same for display names.
    pub names: Vec<String>,
    /// The same for states.
    pub states: Vec<String>,
    /// From when on it came.
    pub joined_after: Option<Timestamp>,
    /// Before when it came.
    pub joined_before: Option<Timestamp>,
    /// From when on it left.
    pub left_after: Option<Timestamp>,
    /// Before when it left.
    pub left_before: Option<Timestamp>,
}

impl Entry for SessionRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "room",
        "started_at",
        "ended_at",
        "end_reason",
        "present",
        "peak",
        "uniques",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.field("id")?,
            room: row.field("room")?,
            started_at: at(row, "started_at")?,
            ended_at: maybe_at(row, "ended_at")?,
            end_reason: row.field("end_reason")?,
            present: row.field("present")?,
            peak: row.field("peak")?,
            uniques: row.field("uniques")?,
        })
    }
}

impl Entry for ParticipantRow {
    const COLUMNS: &'static [&'static str] = &[
        "session",
        "participant",
        "room",
        "name",
        "state",
        "grants",
        "censored",
        "attributes",
        "path",
        "joined_at",
        "left_at",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            session: row.field("session")?,
            participant: row.field("participant")?,
            room: row.field("room")?,
            name: row.field("name")?,
            state: row.field("state")?,
            grants: json(row, "grants")?,
            censored: flag(row, "censored")?,
            attributes: json(row, "attributes")?,
            path: row.field("path")?,
            joined_at: at(row, "joined_at")?,
            left_at: maybe_at(row, "left_at")?,
        })
    }
}

impl SessionFilter {
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

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new("SELECT * FROM sessions");
        select.each_of("room", &self.rooms);
        match self.active {
            Some(true) => select.that("ended_at IS NULL"),
            Some(false) => select.that("ended_at IS NOT NULL"),
            None => {}
        }
        select.any_of_sub(
            "id IN (SELECT session FROM participants WHERE participant",
            &self.participants,
        );
        let [started, ended] = self.times();
        select.times(["started_at >=", "started_at <"], started);
        select.times(["ended_at >=", "ended_at <"], ended);
        select.sorted(self.sort(), page)
    }
}

impl ParticipantFilter {
    fn times(&self) -> [Times; 2] {
        [
            [self.joined_after, self.joined_before],
            [self.left_after, self.left_before],
        ]
    }

    fn is_by_end(&self) -> bool {
        let [joined, left] = self.times();
        is_by_end(joined, left)
    }

    /// How the list is sorted: by the time of coming, or by that of leaving if only that is asked for.
    pub fn sort(&self) -> Sort {
        match self.is_by_end() {
            true => Sort(&[
                ("left_at", Column::Int),
                ("session", Column::Text),
                ("participant", Column::Text),
            ]),
            false => Sort(&[
                ("joined_at", Column::Int),
                ("session", Column::Text),
                ("participant", Column::Text),
            ]),
        }
    }

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new("SELECT * FROM participants");
        select.each_of("room", &self.rooms);
        select.each_of("session", &self.sessions);
        select.each_of("participant", &self.participants);
        select.each_of("name", &self.names);
        select.each_of("state", &self.states);
        let [joined, left] = self.times();
        select.times(["joined_at >=", "joined_at <"], joined);
        select.times(["left_at >=", "left_at <"], left);
        select.sorted(self.sort(), page)
    }
}

impl Store {
    /// A session, if there is or was one of that id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM sessions WHERE id = $1").bind(id.to_owned());
        let row = row.fetch_optional(&self.readers).await?;
        row.as_ref().map(SessionRow::of).transpose()
    }

    /// Sessions by the time at which they began, or see [`SessionFilter::sort`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> Result<Page<SessionRow>, StoreError> {
        let is_by_end = filter.is_by_end();
        let key = |session: &SessionRow| {
            let end = session.ended_at.filter(|_| is_by_end);
            let time = end.unwrap_or(session.started_at);
            vec![time.as_millis().into(), session.id.as_str().into()]
        };
        filter.select(page).page(self, page, key).await
    }

    /// Participants of all sessions by the time at which they came, or see [`ParticipantFilter::sort`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn participants(
        &self,
        filter: &ParticipantFilter,
        page: &PageRequest,
    ) -> Result<Page<ParticipantRow>, StoreError> {
        let is_by_end = filter.is_by_end();
        let key = |row: &ParticipantRow| {
            let end = row.left_at.filter(|_| is_by_end);
            let time = end.unwrap_or(row.joined_at);
            vec![
                time.as_millis().into(),
                row.session.as_str().into(),
                row.participant.as_str().into(),
            ]
        };
        filter.select(page).page(self, page, key).await
    }

    /// A participant of a session, with its stays and streams, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn participant(
        &self,
        session: &str,
        id: &str,
    ) -> Result<Option<(ParticipantRow, Vec<StayRow>, Vec<StreamRow>)>, StoreError> {
        let query = |statement| {
            let query = sqlx::query(statement).bind(session.to_owned());
            query.bind(id.to_owned())
        };
        let row = query("SELECT * FROM participants WHERE session = $1 AND participant = $2");
        let Some(row) = row.fetch_optional(&self.readers).await? else {
            return Ok(None);
        };
        let stays =
            query("SELECT * FROM stays WHERE session = $1 AND participant = $2 ORDER BY joined_at");
        let stays = stays.fetch_all(&self.readers).await?;
        let stay = |row: &AnyRow| -> Result<StayRow, StoreError> {
            Ok(StayRow {
                joined_at: at(row, "joined_at")?,
                left_at: maybe_at(row, "left_at")?,
                reason: row.try_get("reason")?,
            })
        };
        let streams = query(
            "SELECT * FROM streams WHERE session = $1 AND participant = $2 ORDER BY published_at",
        );
        let streams = streams.fetch_all(&self.readers).await?;
        let stream = |row: &AnyRow| -> Result<StreamRow, StoreError> {
            Ok(StreamRow {
                key: row.try_get("stream")?,
                kind: row.try_get("kind")?,
                codec: row.try_get("codec")?,
                muted: flag(row, "muted")?,
                published_at: at(row, "published_at")?,
                unpublished_at: maybe_at(row, "unpublished_at")?,
            })
        };
        Ok(Some((
            ParticipantRow::of(&row)?,
            stays.iter().map(stay).collect::<Result<_, _>>()?,
            streams.iter().map(stream).collect::<Result<_, _>>()?,
        )))
    }
}
