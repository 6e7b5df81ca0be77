//! The journal: every fact in one row, in the order in which they were committed.

use serde_json::Value;
use sqlx::Row as _;
use ulid::Ulid;

use super::list::{Column, Select, Sort};
use super::row::{Columns, Entry};
use super::{Page, PageRequest, Store, StoreError, Tx, at, json};
use crate::time::Timestamp;

/// The types of all events.
pub const KINDS: &[&str] = &[
    "composition.deleted",
    "composition.failed",
    "composition.ready",
    "floor.changed",
    "participant.attribute_changed",
    "participant.banned",
    "participant.censored",
    "participant.connected",
    "participant.gave_up",
    "participant.grants_changed",
    "participant.joined",
    "participant.left",
    "participant.reconnecting",
    "participant.refused",
    "participant.resumed",
    "participant.unbanned",
    "participant.uncensored",
    "participant.waiting",
    "recording.deleted",
    "recording.failed",
    "recording.ready",
    "recording.started",
    "room.created",
    "room.deleted",
    "room.updated",
    "server.drain_ended",
    "server.draining",
    "server.overloaded",
    "server.recovered",
    "server.started",
    "session.ended",
    "session.started",
    "stream.muted",
    "stream.published",
    "stream.unmuted",
    "stream.unpublished",
    "tokens.revoked",
];

/// A fact that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The type, one of [`KINDS`].
    pub kind: &'static str,
    /// When.
    pub at: Timestamp,
    /// The room, if it is about one.
    pub room: Option<String>,
    /// The session, if it is about one.
    pub session: Option<String>,
    /// The participant, if it is about one.
    pub participant: Option<String>,
    /// Further facts.
    pub data: Value,
}

/// How a fact changes who is in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence {
    /// How many more are in it; negative for fewer.
    pub more: i64,
    /// How many of them are in it for the first time.
    pub first: i64,
}

/// A fact that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEvent {
    /// Its place in the journal.
    pub seq: i64,
    /// Its id, `evt_…`.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// The type.
    pub kind: String,
    /// The room, if it is about one.
    pub room: Option<String>,
    /// The session, if it is about one.
    pub session: Option<String>,
    /// Its place among the events of that session, from 1 on.
    pub session_seq: Option<i64>,
    /// The participant, if it is about one.
    pub participant: Option<String>,
    /// Further facts.
    pub data: Value,
}

/// Which events. Those that match all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Only those behind this `seq`.
    pub after: Option<i64>,
    /// Any of these; all if there are none.
    pub kinds: Vec<String>,
    /// The same for rooms.
    pub rooms: Vec<String>,
    /// The same for sessions.
    pub sessions: Vec<String>,
}

impl Entry for JournalEvent {
    const COLUMNS: &'static [&'static str] = &[
        "seq",
        "id",
        "at",
        "type",
        "room",
        "session",
        "session_seq",
        "participant",
        "data",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.field("seq")?,
            id: row.field("id")?,
            at: at(row, "at")?,
            kind: row.field("type")?,
            room: row.field("room")?,
            session: row.field("session")?,
            session_seq: row.field("session_seq")?,
            participant: row.field("participant")?,
            data: json(row, "data")?,
        })
    }
}

impl Store {
    /// Events by their place in the journal.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn events(
        &self,
        filter: &EventFilter,
        page: &PageRequest,
    ) -> Result<Page<JournalEvent>, StoreError> {
        let key = |event: &JournalEvent| vec![event.seq.into()];
        filter.select(page).page(self, page, key).await
    }
}

impl Store {
    /// The event at this place in the journal, if it is there.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn event(&self, seq: i64) -> Result<Option<JournalEvent>, StoreError> {
        let row = sqlx::query("SELECT * FROM events WHERE seq = $1").bind(seq);
        let row = row.fetch_optional(&self.readers).await?;
        row.as_ref().map(JournalEvent::of).transpose()
    }
}

impl EventFilter {
    /// How the list is sorted.
    pub const SORT: Sort = Sort(&[("seq", Column::Int)]);

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new("SELECT * FROM events");
        if let Some(after) = self.after {
            select.compare("seq >", after);
        }
        select.each_of("type", &self.kinds);
        select.each_of("room", &self.rooms);
        select.each_of("session", &self.sessions);
        select.sorted(Self::SORT, page)
    }
}

impl Tx {
    /// Writes a fact, behind all others; says where it stands. In a session it is never earlier than those before it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn tell(&mut self, event: NewEvent) -> Result<i64, StoreError> {
        self.tell_of_presence(event, Presence::default()).await
    }

    /// The same of a fact by which others are in its session than before. One statement counts both.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn tell_of_presence(
        &mut self,
        event: NewEvent,
        presence: Presence,
    ) -> Result<i64, StoreError> {
        // Else no webhook could ask for it.
        debug_assert!(
            KINDS.contains(&event.kind),
            "add {:?} to `KINDS`",
            event.kind
        );
        let (mut at, mut session_seq) = (event.at.as_millis(), None);
        if let Some(session) = &event.session {
            let count = sqlx::query(
                "UPDATE sessions SET events = events + 1, newest_at = CASE WHEN newest_at > $2 THEN newest_at ELSE $2 END, \
                 present = present + $3, peak = CASE WHEN present + $3 > peak THEN present + $3 ELSE peak END, \
                 uniques = uniques + $4 WHERE id = $1 RETURNING events, newest_at",
            );
            let count = count.bind(session.clone()).bind(at);
            let count = count.bind(presence.more).bind(presence.first);
            if let Some(row) = count.fetch_optional(&mut *self.transaction).await? {
                session_seq = Some(row.try_get::<i64, _>("events")?);
                at = row.try_get("newest_at")?;
            }
        }
        self.seq += 1;
        sqlx::query(
            "INSERT INTO events (seq, id, at, type, room, session, session_seq, participant, data) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(self.seq)
        .bind(format!("evt_{}", Ulid::generate()))
        .bind(at)
        .bind(event.kind)
        .bind(event.room)
        .bind(event.session)
        .bind(session_seq)
        .bind(event.participant)
        .bind(event.data.to_string())
        .execute(&mut *self.transaction)
        .await?;
        Ok(self.seq)
    }
}
