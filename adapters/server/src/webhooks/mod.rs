//! Webhooks: the journal's events, sent to the receivers that ask for them.
//!
//! Each webhook has a `courier`, which sends the events of a room in the order of the journal, one at a time, and those
//! of different rooms side by side. `schedule` says which event is tried when, `client` sends it where [`target`] allows it,
//! signed as [`sign`] says. The queue is in the tables, with the journal behind it: it survives whatever happens to the process.

mod client;
mod courier;
mod message;
mod schedule;
pub mod sign;
pub mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::seal::{SealError, Sealer};
use crate::store::{Answer, JournalEvent, Store, StoreError, WebhookRow};
use crate::time::Timestamp;
use client::{Client, Receiver, Verdict};
use courier::{Clock, Orders, Tools};
use message::message;
use sign::Secret;
use target::Rules;

/// The couriers of all webhooks. Clones are the same.
#[derive(Debug, Clone)]
pub struct Webhooks(Arc<Parts>);

struct Parts {
    tools: Tools,
    couriers: Mutex<Couriers>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Couriers {
    tasks: JoinSet<()>,
    orders: BTreeMap<String, watch::Sender<Orders>>,
    is_closed: bool,
}

impl Webhooks {
    /// Sends what the webhooks of `store` are owed, from now on.
    ///
    /// # Errors
    /// If the webhooks cannot be read.
    pub async fn start(
        store: Store,
        sealer: Arc<Sealer>,
        rules: Rules,
    ) -> Result<Self, StoreError> {
        Self::with(store, sealer, Client::new(rules)).await
    }

    async fn with(store: Store, sealer: Arc<Sealer>, client: Client) -> Result<Self, StoreError> {
        let ids = store.webhook_ids().await?;
        let tools = Tools {
            store,
            sealer,
            client,
            clock: Clock::new(),
        };
        let webhooks = Self(Arc::new(Parts {
            tools,
            couriers: Mutex::default(),
        }));
        for id in ids {
            webhooks.changed(&id);
        }
        Ok(webhooks)
    }

    /// Where webhooks may go.
    pub fn rules(&self) -> Rules {
        self.0.tools.client.rules()
    }

    fn couriers(&self) -> MutexGuard<'_, Couriers> {
        self.0
            .couriers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A webhook is new, or was changed in the tables.
    pub fn changed(&self, id: &str) {
        let mut couriers = self.couriers();
        if couriers.is_closed {
            return;
        }
        while couriers.tasks.try_join_next().is_some() {}
        couriers.orders.retain(|_, orders| !orders.is_closed());
        if let Some(orders) = couriers.orders.get(id) {
            orders.send_modify(|orders| orders.change += 1);
            return;
        }
        let (orders, taken) = watch::channel(Orders::default());
        couriers.orders.insert(id.to_owned(), orders);
        let work = courier::run(self.0.tools.clone(), id.to_owned(), taken);
        couriers.tasks.spawn(work);
    }

    /// Sends an event that is in no journal, once; gives its id, and what came of it.
    ///
    /// # Errors
    /// If the webhook's secret does not open.
    pub async fn test(&self, row: &WebhookRow) -> Result<(String, bool, Answer), SealError> {
        let event = JournalEvent {
            seq: 0,
            id: format!("evt_{}", ulid::Ulid::generate()),
            at: Timestamp::now(),
            kind: "webhook.test".to_owned(),
            room: None,
            session: None,
            session_seq: None,
            participant: None,
            data: json!({"webhook": row.id}),
        };
        let receiver = receiver(row, &self.0.tools.sealer)?;
        let (verdict, answer) = self.0.tools.client.send(&receiver, &message(&event)).await;
        Ok((event.id, verdict == Verdict::Taken, answer))
    }

    /// Sends what can be sent at once, within that time, and ends. What is left is sent at the next start.
    pub async fn shut_down(self, limit: Duration) {
        let mut couriers = {
            let mut couriers = self.couriers();
            let all = std::mem::take(&mut *couriers);
            couriers.is_closed = true;
            all
        };
        for orders in couriers.orders.values() {
            orders.send_modify(|orders| orders.is_last = true);
        }
        let all = async { while couriers.tasks.join_next().await.is_some() {} };
        if timeout(limit, all).await.is_err() {
            tracing::info!("webhooks are owed events, which are sent at the next start");
        }
        couriers.tasks.shutdown().await;
    }
}

/// The row that a webhook's secret is sealed for.
pub(crate) fn sealed_as(id: &str) -> String {
    format!("webhooks/{id}")
}

/// Who is sent the events of a webhook.
fn receiver(row: &WebhookRow, sealer: &Sealer) -> Result<Receiver, SealError> {
    let open = |sealed: &str| -> Result<Secret, SealError> {
        let secret = sealer.open(&sealed_as(&row.id), sealed)?;
        secret.parse().map_err(|_| SealError)
    };
    let former = row
        .former
        .as_ref()
        .map(|(sealed, until)| Ok((open(sealed)?, *until)));
    Ok(Receiver {
        url: row.settings.url.clone(),
        failover_url: row.settings.failover_url.clone(),
        timeout: Duration::from_secs(row.settings.timeout_s.into()),
        secret: open(&row.sealed)?,
        former: former.transpose()?,
    })
}
