//! Webhooks: receivers of the journal's events.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use utoipa::ToSchema;

use super::journal::KINDS;
use super::list::{Column, Select, Sort};
use super::row::{Columns, Entry};
use super::{Page, PageRequest, Store, StoreError, Tx, at, json, maybe_at, to_json};
use crate::time::Timestamp;

/// The settings of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Where events are sent: an `https://` address of the public internet.
    pub url: String,
    /// Where an event is sent when `url` fails.
    pub failover_url: Option<String>,
    /// The types of events: names such as `participant.joined`, or groups such as `participant.*`. Without any, all.
    pub events: Vec<String>,
    /// The rooms whose events are sent. Without any, those of all rooms, and those that are about no room.
    pub rooms: Vec<String>,
    /// Whether events are sent. What happens meanwhile is sent later, as far as the journal has it.
    pub enabled: bool,
    /// Within which time the receiver has to answer, in seconds, 1 to 30.
    pub timeout_s: u32,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            failover_url: None,
            events: Vec::new(),
            rooms: Vec::new(),
            enabled: true,
            timeout_s: 10,
        }
    }
}

impl WebhookSettings {
    /// The types of events that `pattern` names: one, those of a group, or none, if there is no such type.
    pub fn kinds_of(pattern: &str) -> impl Iterator<Item = &'static str> {
        let group = pattern
            .strip_suffix('*')
            .filter(|group| group.ends_with('.'));
        let matches = move |kind: &&&str| match group {
            Some(group) => kind.starts_with(group),
            None => **kind == pattern,
        };
        KINDS.iter().filter(matches).copied()
    }

    /// The types of events that are sent; none for all.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.events
            .iter()
            .flat_map(|pattern| Self::kinds_of(pattern))
            .collect()
    }
}

/// A webhook as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Its id, `wh_…`.
    pub id: String,
    /// Its settings.
    pub settings: WebhookSettings,
    /// Its secret, sealed.
    pub sealed: String,
    /// The secret before the last rotation, sealed, and until when it signs, too.
    pub former: Option<(String, Timestamp)>,
    /// Since when its receiver says that it is gone.
    pub gone_at: Option<Timestamp>,
    /// Up to where in the journal its events are in its queue.
    pub queued: i64,
    /// It rises with each change that is made by the API.
    pub version: i64,
    /// When its receiver took an event last.
    pub last_success_at: Option<Timestamp>,
    /// Since when it exists.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A webhook, and what its receiver is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookStanding {
    /// The webhook.
    pub row: WebhookRow,
    /// Whether its receiver has refused an event, and not taken it since.
    pub is_failing: bool,
    /// How many events are in its queue.
    pub backlog: i64,
    /// The time of the oldest of them.
    pub oldest_pending_at: Option<Timestamp>,
}

/// How the webhooks do, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WebhookHealth {
    /// How many are enabled and work.
    pub healthy: i64,
    /// How many are enabled, and have refused an event and not taken it since.
    pub failing: i64,
    /// How many receivers have said that they are gone.
    pub gone: i64,
    /// How many are disabled.
    pub disabled: i64,
    /// How many events the receivers that are enabled and not gone are owed.
    pub backlog: i64,
    /// The time of the oldest of them.
    pub oldest_pending_at: Option<Timestamp>,
}

/// Each webhook with what is in its queue. `settled_at IS NULL` is that of an index.
const SELECT: &str = "SELECT webhooks.*, \
    (SELECT MIN(event_seq) FROM deliveries WHERE webhook = webhooks.id AND state = 'retrying') AS retrying, \
    (SELECT COUNT(*) FROM deliveries WHERE webhook = webhooks.id AND settled_at IS NULL) AS backlog, \
    (SELECT at FROM events WHERE seq = (SELECT MIN(event_seq) FROM deliveries \
     WHERE webhook = webhooks.id AND settled_at IS NULL)) AS oldest_pending_at FROM webhooks";

/// The least place in the journal that an enabled receiver is owed: in its queue, or not in it yet.
const OLDEST_UNDELIVERED: &str = "SELECT MIN(seq) AS seq FROM (\
    SELECT queued + 1 AS seq FROM webhooks WHERE enabled = 1 AND gone_at IS NULL UNION ALL \
    SELECT (SELECT MIN(event_seq) FROM deliveries WHERE webhook = webhooks.id AND settled_at IS NULL) AS seq \
    FROM webhooks WHERE enabled = 1 AND gone_at IS NULL) AS owed";

fn webhook(row: &impl Columns) -> Result<WebhookRow, StoreError> {
    let former: Option<String> = row.field("former_sealed")?;
    Ok(WebhookRow {
        id: row.field("id")?,
        settings: json(row, "settings")?,
        sealed: row.field("sealed")?,
        former: former.zip(maybe_at(row, "former_until")?),
        gone_at: maybe_at(row, "gone_at")?,
        queued: row.field("queued")?,
        version: row.field("version")?,
        last_success_at: maybe_at(row, "last_success_at")?,
        created_at: at(row, "created_at")?,
        updated_at: at(row, "updated_at")?,
    })
}

impl Entry for WebhookStanding {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "settings",
        "sealed",
        "former_sealed",
        "former_until",
        "gone_at",
        "queued",
        "version",
        "last_success_at",
        "created_at",
        "updated_at",
        "retrying",
        "backlog",
        "oldest_pending_at",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        let retrying: Option<i64> = row.field("retrying")?;
        Ok(Self {
            row: webhook(row)?,
            is_failing: retrying.is_some(),
            backlog: row.field("backlog")?,
            oldest_pending_at: maybe_at(row, "oldest_pending_at")?,
        })
    }
}

impl Store {
    /// A webhook, if there is one of that id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn webhook(&self, id: &str) -> Result<Option<WebhookStanding>, StoreError> {
        let mut select = Select::new(SELECT);
        select.compare("id =", id);
        let row = select.query().fetch_optional(&self.readers).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        self.with_journal(WebhookStanding::of(&row)?)
            .await
            .map(Some)
    }

    /// Webhooks by the time at which they came to exist.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn webhooks(&self, page: &PageRequest) -> Result<Page<WebhookStanding>, StoreError> {
        let select = Select::new(SELECT).sorted(WebhookRow::SORT, page);
        let key = |webhook: &WebhookStanding| {
            let row = &webhook.row;
            vec![row.created_at.as_millis().into(), row.id.as_str().into()]
        };
        let page = select.page(self, page, key).await?;
        let mut data = Vec::with_capacity(page.data.len());
        for webhook in page.data {
            data.push(self.with_journal(webhook).await?);
        }
        Ok(Page { data, ..page })
    }

    /// The ids of all webhooks.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn webhook_ids(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT id FROM webhooks ORDER BY id");
        let rows = rows.fetch_all(&self.readers).await?;
        let ids = rows.iter().map(|row| row.try_get("id"));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// How the webhooks do: one cheap statement.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn webhook_health(&self) -> Result<WebhookHealth, StoreError> {
        let rows = Select::new(SELECT).query().fetch_all(&self.readers).await?;
        let mut health = WebhookHealth::default();
        for row in &rows {
            let webhook = WebhookStanding::of(row)?;
            if webhook.row.gone_at.is_some() {
                health.gone += 1;
            } else if !webhook.row.settings.enabled {
                health.disabled += 1;
            } else {
                health.healthy += i64::from(!webhook.is_failing);
                health.failing += i64::from(webhook.is_failing);
                health.backlog += webhook.backlog;
                let both = [health.oldest_pending_at, webhook.oldest_pending_at];
                health.oldest_pending_at = both.into_iter().flatten().min();
            }
        }
        Ok(health)
    }

    /// The place in the journal from which on receivers are still owed events; none if they are owed nothing, not even what
    /// happens next. Webhooks that are disabled, or gone, hold nothing back.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn oldest_undelivered_seq(&self) -> Result<Option<i64>, StoreError> {
        let oldest = sqlx::query(OLDEST_UNDELIVERED).fetch_one(&self.readers);
        Ok(oldest.await?.try_get("seq")?)
    }

    /// Counts what is in the journal, and not in the queue yet.
    async fn with_journal(&self, webhook: WebhookStanding) -> Result<WebhookStanding, StoreError> {
        if webhook.row.queued >= *self.committed().borrow() {
            return Ok(webhook);
        }
        let mut select = Select::new("SELECT COUNT(*) AS count, MIN(at) AS oldest FROM events");
        webhook.row.wanted(&mut select);
        let row = select.query().fetch_one(&self.readers).await?;
        let both = [webhook.oldest_pending_at, maybe_at(&row, "oldest")?];
        Ok(WebhookStanding {
            backlog: webhook.backlog + row.try_get::<i64, _>("count")?,
            oldest_pending_at: both.into_iter().flatten().min(),
            ..webhook
        })
    }
}

impl WebhookRow {
    /// How the list is sorted.
    pub const SORT: Sort = Sort(&[("created_at", Column::Int), ("id", Column::Text)]);

    /// Events that are not in the queue yet, but are to come into it.
    pub(super) fn wanted(&self, select: &mut Select) {
        select.compare("seq >", self.queued);
        select.any_of("type", &self.settings.kinds());
        select.any_of("events.room", &self.settings.rooms);
    }
}

impl Tx {
    /// A webhook, if there is one of that id now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn webhook(&mut self, id: &str) -> Result<Option<WebhookRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM webhooks WHERE id = $1").bind(id.to_owned());
        let row = row.fetch_optional(&mut *self.transaction).await?;
        row.as_ref().map(webhook).transpose()
    }

    /// How many webhooks there are.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn count_webhooks(&mut self) -> Result<i64, StoreError> {
        let count = sqlx::query("SELECT COUNT(*) FROM webhooks");
        let count = count.fetch_one(&mut *self.transaction).await?;
        Ok(count.try_get(0)?)
    }

    /// The number of the journal's newest event.
    pub fn newest_seq(&self) -> i64 {
        self.seq
    }

    /// Writes a webhook, in place of the former one of that id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_webhook(&mut self, webhook: &WebhookRow) -> Result<(), StoreError> {
        let (former, until) = webhook.former.clone().unzip();
        sqlx::query(
            "INSERT INTO webhooks (id, settings, enabled, sealed, former_sealed, former_until, gone_at, queued, version, \
             last_success_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (id) DO UPDATE SET settings = excluded.settings, enabled = excluded.enabled, \
             sealed = excluded.sealed, former_sealed = excluded.former_sealed, former_until = excluded.former_until, \
             gone_at = excluded.gone_at, queued = excluded.queued, version = excluded.version, \
             last_success_at = excluded.last_success_at, updated_at = excluded.updated_at",
        )
        .bind(webhook.id.clone())
        .bind(to_json(&webhook.settings))
        .bind(i64::from(webhook.settings.enabled))
        .bind(webhook.sealed.clone())
        .bind(former)
        .bind(until.map(Timestamp::as_millis))
        .bind(webhook.gone_at.map(Timestamp::as_millis))
        .bind(webhook.queued)
        .bind(webhook.version)
        .bind(webhook.last_success_at.map(Timestamp::as_millis))
        .bind(webhook.created_at.as_millis())
        .bind(webhook.updated_at.as_millis())
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// A webhook's receiver is gone: it is sent nothing any more.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn forsake_webhook(&mut self, id: &str) -> Result<(), StoreError> {
        let gone = "UPDATE webhooks SET gone_at = $2, version = version + 1 WHERE id = $1";
        let gone = sqlx::query(gone)
            .bind(id.to_owned())
            .bind(self.now.as_millis());
        gone.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Removes a webhook with its deliveries.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn delete_webhook(&mut self, id: &str) -> Result<(), StoreError> {
        let delete = sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id.to_owned());
        delete.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// [`Store::oldest_undelivered_seq`], as it is in this transaction.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn oldest_undelivered_seq(&mut self) -> Result<Option<i64>, StoreError> {
        let oldest = sqlx::query(OLDEST_UNDELIVERED).fetch_one(&mut *self.transaction);
        Ok(oldest.await?.try_get("seq")?)
    }
}
