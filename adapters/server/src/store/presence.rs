//! Writes of sessions: they begin and end, participants come and go, streams are published.

use std::collections::BTreeMap;

use sqlx::Row as _;

use super::row::Entry as _;
use super::{ParticipantRow, Presence, SessionRow, StoreError, StreamRow, Tx, json, to_json};
use crate::time::{Moment, Timestamp};

impl Tx {
    /// The sessions that go on, as far as the tables know.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn open_sessions(&mut self) -> Result<Vec<SessionRow>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM sessions WHERE ended_at IS NULL ORDER BY started_at, id");
        let rows = rows.fetch_all(&mut *self.transaction).await?;
        rows.iter().map(SessionRow::of).collect()
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
        rows.iter().map(ParticipantRow::of).collect()
    }

    /// Writes that a session begins; says whether that is news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn begin_session(
        &mut self,
        id: &str,
        room: &str,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let insert = sqlx::query(
            "INSERT INTO sessions (id, room, started_at, started_up, present, peak, uniques, events) \
             VALUES ($1, $2, $3, $4, 0, 0, 0, 0) \
             ON CONFLICT (id) DO NOTHING",
        );
        let insert = insert
            .bind(id.to_owned())
            .bind(room.to_owned())
            .bind(now.at.as_millis())
            .bind(now.up);
        let inserted = insert.execute(&mut *self.transaction).await?;
        Ok(inserted.rows_affected() > 0)
    }

    /// Writes that a session ends; gives it as it is then, and when it began, if that is news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn end_session(
        &mut self,
        id: &str,
        at: Timestamp,
        reason: &str,
    ) -> Result<Option<(SessionRow, Moment)>, StoreError> {
        let ended = sqlx::query(
            "UPDATE sessions SET ended_at = $2, end_reason = $3 WHERE id = $1 AND ended_at IS NULL RETURNING *",
        );
        let ended = ended
            .bind(id.to_owned())
            .bind(at.as_millis())
            .bind(reason.to_owned());
        let ended = ended.fetch_optional(&mut *self.transaction).await?;
        let ended = ended.as_ref().map(|row| {
            let began = Moment {
                at: super::at(row, "started_at")?,
                up: row.try_get("started_up")?,
            };
            Ok((SessionRow::of(row)?, began))
        });
        ended.transpose()
    }

    /// The time of what happens in a session: never before what has happened in it already, whatever the clock says.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn not_before(
        &mut self,
        session: &str,
        at: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let row = sqlx::query("SELECT newest_at FROM sessions WHERE id = $1");
        let row = row.bind(session.to_owned());
        let row = row.fetch_optional(&mut *self.transaction).await?;
        let newest = row.map(|row| super::at(&row, "newest_at")).transpose()?;
        Ok(newest.map_or(at, |newest| newest.max(at)))
    }

    /// Writes that a participant comes; gives what that changes and is to be [told](Tx::tell_of_presence), if it is news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn begin_stay(
        &mut self,
        row: &ParticipantRow,
        up: Option<i64>,
    ) -> Result<Option<Presence>, StoreError> {
        let came = sqlx::query(
            "INSERT INTO participants (session, participant, room, name, state, grants, censored, attributes, path, joined_at, joined_up) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (session, participant) DO UPDATE SET \
             name = excluded.name, state = excluded.state, grants = excluded.grants, censored = excluded.censored, \
             attributes = excluded.attributes, path = excluded.path, joined_at = excluded.joined_at, \
             joined_up = excluded.joined_up, left_at = NULL WHERE participants.state = 'left' \
             RETURNING (SELECT COUNT(*) FROM stays WHERE session = $1 AND participant = $2) AS stays",
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
        .bind(up);
        let Some(came) = came.fetch_optional(&mut *self.transaction).await? else {
            return Ok(None);
        };
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
        let stays: i64 = came.try_get("stays")?;
        Ok(Some(Presence {
            more: 1,
            first: i64::from(stays == 0),
        }))
    }

    /// Writes that a participant leaves; says since when it was there, if that is news. That one fewer is there is to be
    /// [told](Tx::tell_of_presence).
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn end_stay(
        &mut self,
        session: &str,
        id: &str,
        at: Timestamp,
        reason: &str,
    ) -> Result<Option<Moment>, StoreError> {
        let left = sqlx::query(
            "UPDATE participants SET state = 'left', left_at = $3 WHERE session = $1 AND participant = $2 AND state <> 'left' \
             RETURNING joined_at, joined_up",
        );
        let left = left
            .bind(session.to_owned())
            .bind(id.to_owned())
            .bind(at.as_millis());
        let Some(left) = left.fetch_optional(&mut *self.transaction).await? else {
            return Ok(None);
        };
        let joined = Moment {
            at: super::at(&left, "joined_at")?,
            up: left.try_get("joined_up")?,
        };
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
        Ok(Some(joined))
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
