//! Deliveries: the queue of each webhook, and what became of what was in it.
//!
//! A delivery is *open* until its receiver has taken the event, or it is given up. Its event is in the journal.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::list::{Column, Select, Sort};
use super::row::{Columns, Entry};
use super::{Page, PageRequest, Store, StoreError, Tx, WebhookRow, at, flag, maybe_at};
use crate::time::Timestamp;

/// What is planned for a delivery that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// How often it was tried.
    pub tries: i64,
    /// When its first try began, once that was refused.
    pub since: Option<Timestamp>,
    /// How many of the short waits it has had.
    pub soon: i64,
    /// How many of the long ones.
    pub later: i64,
    /// Not before when it is tried; without a value, at once.
    pub next_at: Option<Timestamp>,
    /// Whether the next one of its room is to be tried once.
    pub probe: bool,
    /// Whether those behind it go before.
    pub aside: bool,
}

/// How a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its receiver took it.
    Delivered,
    /// It is given up.
    Failed,
}

/// A delivery that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// The place of its event in the journal.
    pub seq: i64,
    /// The room; empty for an event that is about none.
    pub room: String,
    /// What is planned.
    pub plan: Plan,
}

/// What a receiver answered to a try.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// Whether it is that of the `failover_url`.
    pub is_failover: bool,
    /// Its status, if it came.
    pub status: Option<u16>,
    /// The beginning of its body.
    pub body: String,
    /// Why the event was not taken.
    pub error: Option<String>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryChange {
    /// The place of its event in the journal.
    pub seq: i64,
    /// What is planned now.
    pub plan: Plan,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// When it was tried, and the answer; nothing if it changed because of another one.
    pub answer: Option<(Timestamp, Answer)>,
}

/// Whether a delivery is open, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// Its turn has not come.
    Pending,
    /// Its receiver has refused it, and it is tried again.
    Retrying,
    /// Its receiver has taken it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Retrying, Self::Delivered, Self::Failed];

    /// Its name in the API and in the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    fn of(plan: &Plan, end: Option<End>) -> Self {
        match end {
            Some(End::Delivered) => Self::Delivered,
            Some(End::Failed) => Self::Failed,
            None if plan.since.is_some() => Self::Retrying,
            None => Self::Pending,
        }
    }
}

/// A delivery as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The place of its event in the journal.
    pub seq: i64,
    /// The id of its event.
    pub event: String,
    /// The type of its event.
    pub kind: String,
    /// When its event happened.
    pub at: Timestamp,
    /// The room of its event.
    pub room: Option<String>,
    /// Whether it is open, and how it ended.
    pub state: DeliveryState,
    /// What is planned, or was.
    pub plan: Plan,
    /// When it was tried last, and the answer.
    pub answer: Option<(Timestamp, Answer)>,
    /// When it ended.
    pub settled_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT deliveries.*, events.id, events.type, events.at FROM deliveries \
                      JOIN events ON events.seq = deliveries.event_seq";

/// What a delivery is again that is tried anew.
const ANEW: &str =
    "tries = 0, since = NULL, soon = 0, later = 0, next_at = NULL, probe = 0, settled_at = NULL";

fn plan(row: &impl Columns) -> Result<Plan, StoreError> {
    Ok(Plan {
        tries: row.field("tries")?,
        since: maybe_at(row, "since")?,
        soon: row.field("soon")?,
        later: row.field("later")?,
        next_at: maybe_at(row, "next_at")?,
        probe: flag(row, "probe")?,
        aside: flag(row, "aside")?,
    })
}

fn owed(row: &AnyRow) -> Result<Owed, StoreError> {
    Ok(Owed {
        seq: row.try_get("event_seq")?,
        room: row.try_get("room")?,
        plan: plan(row)?,
    })
}

impl Entry for DeliveryRow {
    const COLUMNS: &'static [&'static str] = &[
        "event_seq",
        "id",
        "type",
        "at",
        "room",
        "state",
        "tries",
        "since",
        "soon",
        "later",
        "next_at",
        "probe",
        "aside",
        "tried_at",
        "status",
        "failover",
        "duration_ms",
        "answer",
        "error",
        "settled_at",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        let room: String = row.field("room")?;
        let state: String = row.field("state")?;
        let known = DeliveryState::ALL
            .into_iter()
            .find(|known| known.name() == state);
        let answer = |at| {
            let status: Option<i64> = row.field("status")?;
            let is_failover: Option<i64> = row.field("failover")?;
            let duration: Option<i64> = row.field("duration_ms")?;
            let body: Option<String> = row.field("answer")?;
            let answer = Answer {
                duration_ms: duration.unwrap_or_default(),
                is_failover: is_failover.is_some_and(|flag| flag != 0),
                status: status.and_then(|status| status.try_into().ok()),
                body: body.unwrap_or_default(),
                error: row.field("error")?,
            };
            Ok::<_, StoreError>((at, answer))
        };
        Ok(Self {
            seq: row.field("event_seq")?,
            event: row.field("id")?,
            kind: row.field("type")?,
            at: at(row, "at")?,
            room: Some(room).filter(|room| !room.is_empty()),
            state: known.ok_or(StoreError::Damaged {
                what: "state",
                value: state,
            })?,
            plan: plan(row)?,
            answer: maybe_at(row, "tried_at")?.map(answer).transpose()?,
            settled_at: maybe_at(row, "settled_at")?,
        })
    }
}

impl Store {
    /// The deliveries of a webhook by their place in the journal; those of any of the states, or all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn deliveries(
        &self,
        webhook: &str,
        states: &[DeliveryState],
        page: &PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let select = DeliveryRow::select(webhook, states, page);
        let key = |delivery: &DeliveryRow| vec![delivery.seq.into()];
        select.page(self, page, key).await
    }

    /// A delivery, by the id of its event.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delivery(
        &self,
        webhook: &str,
        event: &str,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let row = DeliveryRow::one(webhook, event).query();
        let row = row.fetch_optional(&self.readers).await?;
        row.as_ref().map(DeliveryRow::of).transpose()
    }

    /// The open deliveries of a webhook, in the order of the journal.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn owed(&self, webhook: &str) -> Result<Vec<Owed>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM deliveries WHERE webhook = $1 AND settled_at IS NULL ORDER BY event_seq",
        );
        let rows = rows
            .bind(webhook.to_owned())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(owed).collect()
    }
}

impl DeliveryRow {
    /// How the list is sorted.
    pub const SORT: Sort = Sort(&[("event_seq", Column::Int)]);

    pub(super) fn select(webhook: &str, states: &[DeliveryState], page: &PageRequest) -> Select {
        let mut select = Select::new(SELECT);
        select.compare("webhook =", webhook);
        let states: Vec<_> = states.iter().map(|state| state.name()).collect();
        select.any_of("state", &states);
        select.sorted(Self::SORT, page)
    }

    fn one(webhook: &str, event: &str) -> Select {
        let mut select = Select::new(SELECT);
        select.compare("webhook =", webhook);
        select.compare("events.id =", event);
        select
    }
}

impl Tx {
    /// Queues the events of the journal up to `upto` that a webhook is to be sent. Those that were sent before are sent
    /// again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn queue_deliveries(
        &mut self,
        webhook: &WebhookRow,
        upto: i64,
    ) -> Result<Vec<Owed>, StoreError> {
        let mut insert = Select::new(
            "INSERT INTO deliveries (webhook, event_seq, room, state, tries, soon, later, probe, aside) \
             SELECT webhooks.id, events.seq, COALESCE(events.room, ''), 'pending', 0, 0, 0, 0, 0 FROM webhooks, events",
        );
        insert.compare("webhooks.id =", webhook.id.as_str());
        insert.compare("seq <=", upto);
        webhook.wanted(&mut insert);
        let insert = insert.ending(&format!(
            " ON CONFLICT (webhook, event_seq) DO UPDATE SET state = 'pending', aside = 0, {ANEW} \
             RETURNING event_seq, room, tries, since, soon, later, next_at, probe, aside"
        ));
        let rows = insert.query().fetch_all(&mut *self.transaction).await?;
        let mut queued = rows.iter().map(owed).collect::<Result<Vec<_>, _>>()?;
        queued.sort_by_key(|owed| owed.seq);
        let update = sqlx::query("UPDATE webhooks SET queued = $2 WHERE id = $1");
        let update = update.bind(webhook.id.clone()).bind(upto);
        update.execute(&mut *self.transaction).await?;
        Ok(queued)
    }

    /// Writes what became of deliveries.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn change_deliveries(
        &mut self,
        webhook: &str,
        changes: &[DeliveryChange],
    ) -> Result<(), StoreError> {
        for change in changes {
            self.change_delivery(webhook, change).await?;
        }
        let delivered = changes
            .iter()
            .filter(|change| change.end == Some(End::Delivered));
        let delivered = delivered.filter_map(|change| change.answer.as_ref());
        if let Some((newest, _)) = delivered.max_by_key(|(at, _)| *at) {
            let update = sqlx::query("UPDATE webhooks SET last_success_at = $2 WHERE id = $1");
            let update = update.bind(webhook.to_owned()).bind(newest.as_millis());
            update.execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    async fn change_delivery(
        &mut self,
        webhook: &str,
        change: &DeliveryChange,
    ) -> Result<(), StoreError> {
        let DeliveryChange {
            seq,
            plan,
            end,
            answer,
        } = change;
        let update = if answer.is_some() {
            "UPDATE deliveries SET state = $3, tries = $4, since = $5, soon = $6, later = $7, next_at = $8, probe = $9, \
             aside = $10, settled_at = $11, tried_at = $12, duration_ms = $13, failover = $14, status = $15, answer = $16, \
             error = $17 WHERE webhook = $1 AND event_seq = $2"
        } else {
            "UPDATE deliveries SET state = $3, tries = $4, since = $5, soon = $6, later = $7, next_at = $8, probe = $9, \
             aside = $10, settled_at = $11 WHERE webhook = $1 AND event_seq = $2"
        };
        let mut update = sqlx::query(update)
            .bind(webhook.to_owned())
            .bind(*seq)
            .bind(DeliveryState::of(plan, *end).name())
            .bind(plan.tries)
            .bind(plan.since.map(Timestamp::as_millis))
            .bind(plan.soon)
            .bind(plan.later)
            .bind(plan.next_at.map(Timestamp::as_millis))
            .bind(i64::from(plan.probe))
            .bind(i64::from(plan.aside))
            .bind(end.map(|_| self.now.as_millis()));
        if let Some((tried_at, answer)) = answer {
            update = update
                .bind(tried_at.as_millis())
                .bind(answer.duration_ms)
                .bind(i64::from(answer.is_failover))
                .bind(answer.status.map(i64::from))
                .bind(answer.body.clone())
                .bind(answer.error.clone());
        }
        update.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// A delivery, by the id of its event, as it is now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delivery(
        &mut self,
        webhook: &str,
        event: &str,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let row = DeliveryRow::one(webhook, event).query();
        let row = row.fetch_optional(&mut *self.transaction).await?;
        row.as_ref().map(DeliveryRow::of).transpose()
    }

    /// Has a delivery tried anew and at once, apart from the others of its room if it had ended.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn retry_delivery(
        &mut self,
        webhook: &str,
        delivery: &DeliveryRow,
    ) -> Result<(), StoreError> {
        let is_aside = delivery.plan.aside || delivery.settled_at.is_some();
        let anew = sqlx::AssertSqlSafe(format!(
            "UPDATE deliveries SET state = 'pending', aside = $3, {ANEW} WHERE webhook = $1 AND event_seq = $2"
        ));
        let anew = sqlx::query(anew)
            .bind(webhook.to_owned())
            .bind(delivery.seq);
        let anew = anew.bind(i64::from(is_aside));
        anew.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Has all deliveries that were refused tried anew and at once.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn retry_all(&mut self, webhook: &str) -> Result<(), StoreError> {
        let anew = sqlx::AssertSqlSafe(format!(
            "UPDATE deliveries SET state = 'pending', {ANEW} WHERE webhook = $1 AND state = 'retrying'"
        ));
        let anew = sqlx::query(anew).bind(webhook.to_owned());
        anew.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Takes what is in the queue from `seq` on out of it: it comes into it again in the order of the journal.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn unqueue_deliveries(&mut self, webhook: &str, seq: i64) -> Result<(), StoreError> {
        let delete = sqlx::query(
            "DELETE FROM deliveries WHERE webhook = $1 AND event_seq >= $2 AND settled_at IS NULL",
        );
        let delete = delete.bind(webhook.to_owned()).bind(seq);
        delete.execute(&mut *self.transaction).await?;
        Ok(())
    }
}
