//! The audit log: who did what by the API.
//!
//! A request that changes something is carried out [within](Ledger::during) its entry. The first transaction that it
//! [writes](Store::write) has the entry in it, too, so that neither is there without the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::list::{Column, Select, Sort};
use super::row::{Columns, Entry};
use super::{Page, PageRequest, Store, StoreError, Tx, at};
use crate::time::Timestamp;

/// The result of what was done.
pub const DONE: &str = "done";

/// Who did what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its id, `aud_…`.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The id of the key; empty for those who have none.
    pub actor: String,
    /// The method and path of the API's description, such as `PUT /v1/rooms/{room}`.
    pub action: String,
    /// The path in this case, such as `/v1/rooms/kitchen`.
    pub target: String,
    /// The participant, if it is about one.
    pub participant: Option<String>,
    /// The id of the request.
    pub request_id: String,
    /// `done`, or the name of the problem that was the answer.
    pub result: String,
    /// How often; more than 1 only for what is counted together.
    pub count: i64,
}

/// Which entries. Those that match all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Any of these actors; all if there are none.
    pub actors: Vec<String>,
    /// The same for actions.
    pub actions: Vec<String>,
    /// The same for targets.
    pub targets: Vec<String>,
    /// The same for participants.
    pub participants: Vec<String>,
    /// From when on.
    pub at_after: Option<Timestamp>,
    /// Before when.
    pub at_before: Option<Timestamp>,
}

impl Entry for AuditRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "at",
        "actor",
        "action",
        "target",
        "participant",
        "request_id",
        "result",
        "count",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.field("id")?,
            at: at(row, "at")?,
            actor: row.field("actor")?,
            action: row.field("action")?,
            target: row.field("target")?,
            participant: row.field("participant")?,
            request_id: row.field("request_id")?,
            result: row.field("result")?,
            count: row.field("count")?,
        })
    }
}

impl AuditFilter {
    /// How the list is sorted.
    pub const SORT: Sort = Sort(&[("at", Column::Int), ("id", Column::Text)]);

    pub(super) fn select(&self, page: &PageRequest) -> Select {
        let mut select = Select::new("SELECT * FROM audit");
        select.each_of("actor", &self.actors);
        select.each_of("action", &self.actions);
        select.each_of("target", &self.targets);
        select.each_of("participant", &self.participants);
        let [after, before] =
            [self.at_after, self.at_before].map(|time| time.map(Timestamp::as_millis));
        select.range(["at >=", "at <"], after, before);
        select.sorted(Self::SORT, page)
    }
}

impl Store {
    /// Entries of the audit log by their time.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRow>, StoreError> {
        let key = |row: &AuditRow| vec![row.at.as_millis().into(), row.id.as_str().into()];
        filter.select(page).page(self, page, key).await
    }
}

impl Tx {
    /// Writes an entry. If it is there already, its result and count become these.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_audit(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit (id, at, actor, action, target, participant, request_id, result, count) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (id) DO UPDATE SET result = excluded.result, count = excluded.count",
        )
        .bind(row.id.clone())
        .bind(row.at.as_millis())
        .bind(row.actor.clone())
        .bind(row.action.clone())
        .bind(row.target.clone())
        .bind(row.participant.clone())
        .bind(row.request_id.clone())
        .bind(row.result.clone())
        .bind(row.count)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}

tokio::task_local! {
    static CURRENT: Option<Ledger>;
}

/// The entry of a request that is being carried out. Clones are the same.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Mutex<Sheet>>);

#[derive(Debug)]
struct Sheet {
    row: AuditRow,
    is_written: bool,
}

impl Ledger {
    /// With the entry as it is if all goes well.
    pub fn new(row: AuditRow) -> Self {
        let is_written = false;
        Self(Arc::new(Mutex::new(Sheet { row, is_written })))
    }

    fn sheet(&self) -> MutexGuard<'_, Sheet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries the request out: its first transaction has the entry in it.
    pub async fn during<F: Future>(&self, request: F) -> F::Output {
        CURRENT.scope(Some(self.clone()), request).await
    }

    /// The entry with the request's result, unless it is written so already.
    pub fn unwritten(&self, result: &str) -> Option<AuditRow> {
        let sheet = self.sheet();
        let is_right = sheet.is_written && sheet.row.result == result;
        (!is_right).then(|| AuditRow {
            result: result.to_owned(),
            ..sheet.row.clone()
        })
    }

    /// That of the request that this task carries out, until it is written.
    pub(super) fn current() -> Option<(Self, AuditRow)> {
        let ledger = CURRENT.try_with(Clone::clone).ok().flatten()?;
        let row = {
            let sheet = ledger.sheet();
            (!sheet.is_written).then(|| sheet.row.clone())?
        };
        Some((ledger, row))
    }

    pub(super) fn set_written(&self) {
        self.sheet().is_written = true;
    }
}

/// Says what a request is about whose path does not tell.
pub fn audit_as(target: Option<String>, participant: Option<&str>) {
    // Outside of a request there is no entry.
    let _ = CURRENT.try_with(|ledger| {
        if let Some(ledger) = ledger {
            let row = &mut ledger.sheet().row;
            if let Some(target) = target {
                row.target = target;
            }
            if let Some(participant) = participant {
                row.participant = Some(participant.to_owned());
            }
        }
    });
}

/// Does what is no part of the request that this task carries out.
pub async fn unaudited<F: Future>(aside: F) -> F::Output {
    CURRENT.scope(None, aside).await
}
