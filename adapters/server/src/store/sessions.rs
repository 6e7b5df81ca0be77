//! Sessions, the participants in them, their stays and streams.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::list::{Column, Select, Sort};
use super::{Page, PageRequest, Store, StoreError, Tx, at, flag, json, maybe_at, to_json};
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

fn session(row: &AnyRow) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: row.try_get("id")?,
        room: row.try_get("room")?,
        started_at: at(row, "started_at")?,
        ended_at: maybe_at(row, "ended_at")?,
        end_reason: row.try_get("end_reason")?,
        present: row.try_get("present")?,
        peak: row.try_get("peak")?,
        uniques: row.try_get("uniques")?,
    })
}

fn participant(row: &AnyRow) -> Result<ParticipantRow, StoreError> {
    Ok(ParticipantRow {
        session: row.try_get("session")?,
        participant: row.try_get("participant")?,
        room: row.try_get("room")?,
        name: row.try_get("name")?,
        state: row.try_get("state")?,
        grants: json(row, "grants")?,
        censored: flag(row, "censored")?,
        attributes: json(row, "attributes")?,
        path: row.try_get("path")?,
        joined_at: at(row, "joined_at")?,
        left_at: maybe_at(row, "left_at")?,
    })
}

impl SessionFilter {
    /// How the list is sorted.
    pub const SORT: Sort = Sort(&[("started_at", Column::Int), ("id", Column::Text)]);

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new("SELECT * FROM sessions");
        select.any_of("room", &self.rooms);
        match self.active {
            Some(true) => select.that("ended_at IS NULL"),
            Some(false) => select.that("ended_at IS NOT NULL"),
            None => {}
        }
        select.any_of_sub(
            "id IN (SELECT session FROM participants WHERE participant",
            &self.participants,
        );
        let [started, ended] = [
            [self.started_after, self.started_before],
            [self.ended_after, self.ended_before],
        ]
        .map(|range| range.map(|time| time.map(Timestamp::as_millis)));
        select.range(["started_at >=", "started_at <"], started[0], started[1]);
        select.range(["ended_at >=", "ended_at <"], ended[0], ended[1]);
        select.sorted(Self::SORT, page)
    }
}

impl ParticipantFilter {
    /// How the list is sorted.
    pub const SORT: Sort = Sort(&[
        ("joined_at", Column::Int),
        ("session", Column::Text),
        ("participant", Column::Text),
    ]);

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new("SELECT * FROM participants");
        select.any_of("room", &self.rooms);
        select.any_of("session", &self.sessions);
        select.any_of("participant", &self.participants);
        select.any_of("name", &self.names);
        select.any_of("state", &self.states);
        let [joined, left] = [
            [self.joined_after, self.joined_before],
            [self.left_after, self.left_before],
        ]
        .map(|range| range.map(|time| time.map(Timestamp::as_millis)));
        select.range(["joined_at >=", "joined_at <"], joined[0], joined[1]);
        select.range(["left_at >=", "left_at <"], left[0], left[1]);
        select.sorted(Self::SORT, page)
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
        row.as_ref().map(session).transpose()
    }

    /// Sessions by the time at which they began.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> Result<Page<SessionRow>, StoreError> {
        let key = |session: &SessionRow| {
            vec![
                session.started_at.as_millis().into(),
                session.id.as_str().into(),
            ]
        };
        filter
            .select(page)
            .page(&self.readers, page, session, key)
            .await
    }

    /// Participants of all sessions by the time at which they came.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn participants(
        &self,
        filter: &ParticipantFilter,
        page: &PageRequest,
    ) -> Result<Page<ParticipantRow>, StoreError> {
        let key = |row: &ParticipantRow| {
            vec![
                row.joined_at.as_millis().into(),
                row.session.as_str().into(),
                row.participant.as_str().into(),
            ]
        };
        filter
            .select(page)
            .page(&self.readers, page, participant, key)
            .await
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
            participant(&row)?,
            stays.iter().map(stay).collect::<Result<_, _>>()?,
            streams.iter().map(stream).collect::<Result<_, _>>()?,
        )))
    }
}

impl Tx {
    /// The sessions that go on, as far as the tables know.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn open_sessions(&mut self) -> Result<Vec<SessionRow>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM sessions WHERE ended_at IS NULL ORDER BY started_at, id");
        let rows = rows.fetch_all(&mut *self.transaction).await?;
        rows.iter().map(session).collect()
    }

    /// The participants that are in a session, as far as the tables know.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn present(&mut self, session: &str) -> Result<Vec<ParticipantRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM participants WHERE session = $1 AND state <> 'left' ORDER BY joined_at, participant",
        );
        let rows = rows
            .bind(session.to_owned())
            .fetch_all(&mut *self.transaction)
            .await?;
        rows.iter().map(participant).collect()
    }

    /// Writes that a session begins; says whether that is news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn begin_session(
        &mut self,
        id: &str,
        room: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let insert = sqlx::query(
            "INSERT INTO sessions (id, room, started_at, present, peak, uniques, events) VALUES ($1, $2, $3, 0, 0, 0, 0) \
             ON CONFLICT (id) DO NOTHING",
        );
        let insert = insert
            .bind(id.to_owned())
            .bind(room.to_owned())
            .bind(at.as_millis());
        let inserted = insert.execute(&mut *self.transaction).await?;
        Ok(inserted.rows_affected() > 0)
    }

    /// Writes that a session ends; gives it as it is then, if that is news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn end_session(
        &mut self,
        id: &str,
        at: Timestamp,
        reason: &str,
    ) -> Result<Option<SessionRow>, StoreError> {
        let ended = sqlx::query(
            "UPDATE sessions SET ended_at = $2, end_reason = $3 WHERE id = $1 AND ended_at IS NULL RETURNING *",
        );
        let ended = ended
            .bind(id.to_owned())
            .bind(at.as_millis())
            .bind(reason.to_owned());
        let ended = ended.fetch_optional(&mut *self.transaction).await?;
        ended.as_ref().map(session).transpose()
    }

    /// Writes that a participant comes; says whether that is news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn begin_stay(&mut self, row: &ParticipantRow) -> Result<bool, StoreError> {
        let known =
            sqlx::query("SELECT state FROM participants WHERE session = $1 AND participant = $2");
        let known = known
            .bind(row.session.clone())
            .bind(row.participant.clone());
        let known = known.fetch_optional(&mut *self.transaction).await?;
        let state: Option<String> = known.map(|row| row.try_get("state")).transpose()?;
        let is_present = state.as_ref().is_some_and(|state| state != "left");
        if is_present {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO participants (session, participant, room, name, state, grants, censored, attributes, path, joined_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (session, participant) DO UPDATE SET \
             name = excluded.name, state = excluded.state, grants = excluded.grants, censored = excluded.censored, \
             attributes = excluded.attributes, path = excluded.path, joined_at = excluded.joined_at, left_at = NULL",
        )
        .bind(row.session.clone())
        .bind(row.participant.clone())
        .bind(row.room.clone())
        .bind(row.name.clone())
        .bind(row.state.clone())
        .bind(to_json(&row.grants))
        .bind(i64::from(row.censored))
        .bind(to_json(&row.attributes))
        .bind(row.path.clone())
        .bind(row.joined_at.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        // Two stays may begin in the same millisecond: the second tells its end then.
        sqlx::query(
            "INSERT INTO stays (session, participant, joined_at) VALUES ($1, $2, $3) \
             ON CONFLICT (session, participant, joined_at) DO UPDATE SET left_at = NULL, reason = NULL",
        )
        .bind(row.session.clone())
        .bind(row.participant.clone())
        .bind(row.joined_at.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        sqlx::query(
            "UPDATE sessions SET present = present + 1, peak = CASE WHEN present >= peak THEN present + 1 ELSE peak END, \
             uniques = uniques + $2 WHERE id = $1",
        )
        .bind(row.session.clone())
        .bind(i64::from(state.is_none()))
        .execute(&mut *self.transaction)
        .await?;
        Ok(true)
    }

    /// Writes that a participant leaves; says since when it was there, if that is news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn end_stay(
        &mut self,
        session: &str,
        id: &str,
        at: Timestamp,
        reason: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let left = sqlx::query(
            "UPDATE participants SET state = 'left', left_at = $3 WHERE session = $1 AND participant = $2 AND state <> 'left' \
             RETURNING joined_at",
        );
        let left = left
            .bind(session.to_owned())
            .bind(id.to_owned())
            .bind(at.as_millis());
        let Some(left) = left.fetch_optional(&mut *self.transaction).await? else {
            return Ok(None);
        };
        let joined_at = super::at(&left, "joined_at")?;
        let stay = sqlx::query(
            "UPDATE stays SET left_at = $3, reason = $4 WHERE session = $1 AND participant = $2 AND left_at IS NULL",
        );
        let stay = stay.bind(session.to_owned()).bind(id.to_owned());
        let stay = stay.bind(at.as_millis()).bind(reason.to_owned());
        stay.execute(&mut *self.transaction).await?;
        let streams = sqlx::query(
            "UPDATE streams SET unpublished_at = $3 WHERE session = $1 AND participant = $2 AND unpublished_at IS NULL",
        );
        let streams = streams
            .bind(session.to_owned())
            .bind(id.to_owned())
            .bind(at.as_millis());
        streams.execute(&mut *self.transaction).await?;
        let count = sqlx::query("UPDATE sessions SET present = present - 1 WHERE id = $1");
        count
            .bind(session.to_owned())
            .execute(&mut *self.transaction)
            .await?;
        Ok(Some(joined_at))
    }

    /// Writes something about a participant that is there; says whether it is.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn change_participant(
        &mut self,
        session: &str,
        id: &str,
        change: &ParticipantChange,
    ) -> Result<bool, StoreError> {
        let (statement, value) = match change {
            ParticipantChange::State(state) => (
                "UPDATE participants SET state = $3 WHERE session = $1 AND participant = $2 AND state <> 'left'",
                (*state).to_owned(),
            ),
            ParticipantChange::Path(path) => (
                "UPDATE participants SET path = $3, state = 'connected' WHERE session = $1 AND participant = $2 AND state <> 'left'",
                (*path).to_owned(),
            ),
            ParticipantChange::Grants(grants) => (
                "UPDATE participants SET grants = $3 WHERE session = $1 AND participant = $2 AND state <> 'left'",
                to_json(grants),
            ),
            ParticipantChange::Attributes(attributes) => (
                "UPDATE participants SET attributes = $3 WHERE session = $1 AND participant = $2 AND state <> 'left'",
                to_json(attributes),
            ),
            ParticipantChange::Censored(true) => (
                "UPDATE participants SET censored = 1 WHERE session = $1 AND participant = $2 AND state <> $3",
                "left".to_owned(),
            ),
            ParticipantChange::Censored(false) => (
                "UPDATE participants SET censored = 0 WHERE session = $1 AND participant = $2 AND state <> $3",
                "left".to_owned(),
            ),
        };
        let update = sqlx::query(statement).bind(session.to_owned());
        let update = update.bind(id.to_owned()).bind(value);
        let updated = update.execute(&mut *self.transaction).await?;
        Ok(updated.rows_affected() > 0)
    }

    /// The attributes of a participant that is there.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn attributes(
        &mut self,
        session: &str,
        id: &str,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let row = sqlx::query(
            "SELECT attributes FROM participants WHERE session = $1 AND participant = $2",
        );
        let row = row.bind(session.to_owned()).bind(id.to_owned());
        let row = row.fetch_optional(&mut *self.transaction).await?;
        row.map_or(Ok(BTreeMap::new()), |row| json(&row, "attributes"))
    }

    /// The keys of the streams that a participant publishes, as far as the tables know.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn open_streams(
        &mut self,
        session: &str,
        participant: &str,
    ) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT stream FROM streams WHERE session = $1 AND participant = $2 AND unpublished_at IS NULL",
        );
        let rows = rows.bind(session.to_owned()).bind(participant.to_owned());
        let rows = rows.fetch_all(&mut *self.transaction).await?;
        rows.iter().map(|row| Ok(row.try_get("stream")?)).collect()
    }

    /// Writes that a stream is published, if it is not yet.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn begin_stream(
        &mut self,
        session: &str,
        participant: &str,
        stream: &StreamRow,
    ) -> Result<(), StoreError> {
        self.end_stream(session, participant, &stream.key, stream.published_at)
            .await?;
        sqlx::query(
            "INSERT INTO streams (session, participant, stream, kind, codec, muted, published_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (session, participant, stream, published_at) DO UPDATE SET kind = excluded.kind, codec = excluded.codec, \
             muted = excluded.muted, unpublished_at = NULL",
        )
        .bind(session.to_owned())
        .bind(participant.to_owned())
        .bind(stream.key.clone())
        .bind(stream.kind.clone())
        .bind(stream.codec.clone())
        .bind(i64::from(stream.muted))
        .bind(stream.published_at.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Writes that a stream is no longer published.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn end_stream(
        &mut self,
        session: &str,
        participant: &str,
        key: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let update = sqlx::query(
            "UPDATE streams SET unpublished_at = $4 WHERE session = $1 AND participant = $2 AND stream = $3 AND unpublished_at IS NULL",
        );
        let update = update.bind(session.to_owned()).bind(participant.to_owned());
        let update = update.bind(key.to_owned()).bind(at.as_millis());
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Writes that a stream is muted or unmuted.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn mute_stream(
        &mut self,
        session: &str,
        participant: &str,
        key: &str,
        muted: bool,
    ) -> Result<(), StoreError> {
        let update = sqlx::query(
            "UPDATE streams SET muted = $4 WHERE session = $1 AND participant = $2 AND stream = $3 AND unpublished_at IS NULL",
        );
        let update = update.bind(session.to_owned()).bind(participant.to_owned());
        let update = update.bind(key.to_owned()).bind(i64::from(muted));
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }
}

/// A change of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParticipantChange {
    /// Its state: `connected` or `reconnecting`.
    State(&'static str),
    /// How its packets travel. It is connected then.
    Path(&'static str),
    /// Its grants.
    Grants(Vec<String>),
    /// All its attributes.
    Attributes(BTreeMap<String, String>),
    /// Whether it is censored.
    Censored(bool),
}
