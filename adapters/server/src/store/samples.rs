//! Samples: how well each participant was connected, every ten seconds; after a day one for each minute.
//!
//! A sample stands at the beginning of the time that it tells of. Samples are merged by one rule, for a step of a list as for
//! thinning: loss, jitter, round trip and quality are the mean over the samples, bytes the sum.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::list::{Column, Select, Sort};
use super::row::{Columns, Entry};
use super::{Cursor, Order, Page, PageRequest, Store, StoreError, Tx, at, maybe_at};
use crate::time::Timestamp;

/// How often samples are taken.
pub(crate) const STEP: Duration = Duration::from_secs(10);
/// The distance of samples that are older than [`FINE`].
const COARSE: Duration = Duration::from_secs(60);
/// How long all samples are kept.
pub(crate) const FINE: Duration = Duration::from_secs(24 * 3_600);
/// Samples written in one statement.
const AT_ONCE: usize = 100;

/// How well a participant was connected for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRow {
    /// The beginning of that time.
    pub at: Timestamp,
    /// The participant.
    pub participant: String,
    /// `udp` or `stream`; `stream` if it was so in any part of the time.
    pub path: String,
    /// Samples that are merged here.
    pub weight: i64,
    /// Packets lost on their way to the server, in millionths.
    pub uplink_loss: i64,
    /// Packets lost on their way to the participant, in millionths.
    pub downlink_loss: i64,
    /// Variation of the transit time, in microseconds.
    pub jitter_us: i64,
    /// Round trip in microseconds, if it was measured.
    pub round_trip_us: Option<i64>,
    /// From 0 to 100.
    pub quality: i64,
    /// The lowest of the samples.
    pub worst_quality: i64,
    /// Bytes from the participant.
    pub bytes_received: i64,
    /// Bytes to the participant.
    pub bytes_sent: i64,
}

/// Which samples of a session, and how they are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleFilter {
    /// The session.
    pub session: String,
    /// Any of these participants; all if there are none.
    pub participants: Vec<String>,
    /// From when on.
    pub from: Option<Timestamp>,
    /// Before when.
    pub to: Option<Timestamp>,
    /// The time that one entry tells of; at least `STEP`.
    pub step: Duration,
}

impl Entry for SampleRow {
    const COLUMNS: &'static [&'static str] = &[
        "at",
        "participant",
        "path",
        "weight",
        "uplink_loss",
        "downlink_loss",
        "jitter_us",
        "round_trip_us",
        "quality",
        "worst_quality",
        "bytes_received",
        "bytes_sent",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            at: at(row, "at")?,
            participant: row.field("participant")?,
            path: row.field("path")?,
            weight: row.field("weight")?,
            uplink_loss: row.field("uplink_loss")?,
            downlink_loss: row.field("downlink_loss")?,
            jitter_us: row.field("jitter_us")?,
            round_trip_us: row.field("round_trip_us")?,
            quality: row.field("quality")?,
            worst_quality: row.field("worst_quality")?,
            bytes_received: row.field("bytes_received")?,
            bytes_sent: row.field("bytes_sent")?,
        })
    }
}

/// The columns of merged samples, but for the time and the participant. PostgreSQL adds up in decimal numbers, hence the casts.
const MERGED: &str = "MIN(path) AS path, CAST(SUM(weight) AS BIGINT) AS weight, \
    CAST(SUM(uplink_loss * weight) AS BIGINT) / CAST(SUM(weight) AS BIGINT) AS uplink_loss, \
    CAST(SUM(downlink_loss * weight) AS BIGINT) / CAST(SUM(weight) AS BIGINT) AS downlink_loss, \
    CAST(SUM(jitter_us * weight) AS BIGINT) / CAST(SUM(weight) AS BIGINT) AS jitter_us, \
    CAST(SUM(round_trip_us * weight) AS BIGINT) / CAST(SUM(CASE WHEN round_trip_us IS NULL THEN NULL ELSE weight END) AS BIGINT) \
    AS round_trip_us, \
    CAST(SUM(quality * weight) AS BIGINT) / CAST(SUM(weight) AS BIGINT) AS quality, MIN(worst_quality) AS worst_quality, \
    CAST(SUM(bytes_received) AS BIGINT) AS bytes_received, CAST(SUM(bytes_sent) AS BIGINT) AS bytes_sent";

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Timestamp {
    /// The beginning of the step of this length that this time is in.
    pub(crate) fn floor(self, step: Duration) -> Self {
        let step = millis(step).max(1);
        Self::from_millis(self.as_millis().div_euclid(step).saturating_mul(step))
    }
}

impl Store {
    /// Samples of a session by their time, merged.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn samples(
        &self,
        filter: &SampleFilter,
        page: &PageRequest,
    ) -> Result<Page<SampleRow>, StoreError> {
        let key =
            |row: &SampleRow| vec![row.at.as_millis().into(), row.participant.as_str().into()];
        filter.select(page).page(self, page, key).await
    }

    /// Up to when samples are thinned; `None` if they never were.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn thinned_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT value FROM meta WHERE name = 'samples_thinned'");
        let row = row.fetch_optional(&self.readers).await?;
        let value: Option<String> = row.map(|row| row.try_get("value")).transpose()?;
        let millis = value.and_then(|millis| millis.parse().ok());
        Ok(millis.map(Timestamp::from_millis))
    }

    /// The sessions that went on after `from`, with the time from their begin to their end.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn sessions_since(
        &self,
        from: Timestamp,
    ) -> Result<Vec<(String, Timestamp, Option<Timestamp>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, started_at, ended_at FROM sessions WHERE ended_at IS NULL \
             UNION ALL SELECT id, started_at, ended_at FROM sessions WHERE ended_at >= $1",
        );
        let rows = rows.bind(from.as_millis()).fetch_all(&self.readers).await?;
        let times = |row: &AnyRow| {
            Ok((
                row.try_get("id")?,
                at(row, "started_at")?,
                maybe_at(row, "ended_at")?,
            ))
        };
        rows.iter().map(times).collect()
    }
}

impl SampleFilter {
    /// How the list is sorted.
    pub const SORT: Sort = Sort(&[("at", Column::Int), ("participant", Column::Text)]);

    /// Merged entries stand behind the range of samples that a page can need, and no others are merged.
    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let step = millis(self.step.max(STEP));
        // Each entry is merged of so many samples at most: one more where the clock was set.
        let each = step / millis(STEP) + 1;
        let enough = each.saturating_mul(i64::from(page.limit) + 1);
        let mut select = Select::new("SELECT * FROM (SELECT");
        let place = select.place(step.into());
        select.push(&format!(
            " at / {place} * {place} AS at, participant, {MERGED} FROM samples"
        ));
        self.range(&mut select, page, step);
        let (bound, order, otherwise) = match page.order {
            Order::Asc => (format!("at < {place} +"), "ASC", i64::MAX / 2),
            Order::Desc => ("at >=".to_owned(), "DESC", i64::MIN / 2),
        };
        select.push(&format!(" AND {bound} COALESCE((SELECT at FROM samples"));
        self.range(&mut select, page, step);
        let (enough, otherwise) = (select.place(enough.into()), select.place(otherwise.into()));
        select.push(&format!(
            " ORDER BY at {order} LIMIT 1 OFFSET {enough}), {otherwise}) / {place} * {place} \
             GROUP BY at / {place} * {place}, participant) AS merged"
        ));
        select.begin_filter();
        select.sorted(Self::SORT, page)
    }

    /// The samples that are looked for, but for those of former pages.
    fn range(&self, select: &mut Select, page: &PageRequest, step: i64) {
        select.begin_filter();
        select.compare("session =", self.session.as_str());
        select.any_of("participant", &self.participants);
        let [mut from, mut to] = [self.from, self.to].map(|at| at.map(Timestamp::as_millis));
        if let Some(Cursor(values)) = &page.after
            && let [super::Value::Int(at), super::Value::Text(last)] = values.as_slice()
        {
            let next = at.saturating_add(step);
            match page.order {
                Order::Asc => {
                    from = from.max(Some(*at));
                    select.either(
                        ["at >=", "participant >"],
                        [next.into(), last.as_str().into()],
                    );
                }
                Order::Desc => {
                    to = Some(to.map_or(next, |to| to.min(next)));
                    select.either(
                        ["at <", "participant <"],
                        [(*at).into(), last.as_str().into()],
                    );
                }
            }
        }
        select.range(["at >=", "at <"], from, to);
    }
}

impl Tx {
    /// Writes samples, each with its session.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn put_samples(
        &mut self,
        samples: &[(String, SampleRow)],
    ) -> Result<(), StoreError> {
        for samples in samples.chunks(AT_ONCE) {
            let mut insert = Select::new(
                "INSERT INTO samples (session, at, participant, path, weight, uplink_loss, downlink_loss, jitter_us, round_trip_us, \
                 quality, worst_quality, bytes_received, bytes_sent) VALUES",
            );
            for (index, (session, row)) in samples.iter().enumerate() {
                insert.push(if index == 0 { " (" } else { ", (" });
                let round_trip = row.round_trip_us;
                let values: [super::Value; 4] = [
                    session.as_str().into(),
                    row.at.as_millis().into(),
                    row.participant.as_str().into(),
                    row.path.as_str().into(),
                ];
                let numbers = [
                    Some(row.weight),
                    Some(row.uplink_loss),
                    Some(row.downlink_loss),
                    Some(row.jitter_us),
                    round_trip,
                    Some(row.quality),
                    Some(row.worst_quality),
                    Some(row.bytes_received),
                    Some(row.bytes_sent),
                ];
                let mut places: Vec<_> = values.map(|value| insert.place(value)).into();
                places.extend(numbers.map(|number| match number {
                    Some(number) => insert.place(number.into()),
                    None => "NULL".to_owned(),
                }));
                insert.push(&places.join(", "));
                insert.push(")");
            }
            // The clock was set back.
            insert.push(" ON CONFLICT (session, at, participant) DO NOTHING");
            insert.query().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// Merges a session's samples from `from` until `until` to one for each minute.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn thin_samples(
        &mut self,
        session: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let merge = format!(
            "INSERT INTO samples (session, at, participant, path, weight, uplink_loss, downlink_loss, jitter_us, round_trip_us, \
             quality, worst_quality, bytes_received, bytes_sent) \
             SELECT session, at / $4 * $4 AS at, participant, {MERGED} FROM samples \
             WHERE session = $1 AND at >= $2 AND at < $3 GROUP BY session, at / $4 * $4, participant \
             ON CONFLICT (session, at, participant) DO UPDATE SET path = excluded.path, weight = excluded.weight, \
             uplink_loss = excluded.uplink_loss, downlink_loss = excluded.downlink_loss, jitter_us = excluded.jitter_us, \
             round_trip_us = excluded.round_trip_us, quality = excluded.quality, worst_quality = excluded.worst_quality, \
             bytes_received = excluded.bytes_received, bytes_sent = excluded.bytes_sent"
        );
        let merged =
            "DELETE FROM samples WHERE session = $1 AND at >= $2 AND at < $3 AND at % $4 <> 0";
        for statement in [merge.as_str(), merged] {
            let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(session.to_owned());
            let query = query.bind(from.floor(COARSE).as_millis());
            let query = query
                .bind(until.floor(COARSE).as_millis())
                .bind(millis(COARSE));
            query.execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// Notes up to when samples are thinned.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn note_thinned(&mut self, until: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ('samples_thinned', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(until.as_millis().to_string())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
