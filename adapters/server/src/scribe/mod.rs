//! Writes history: what happens in the rooms becomes rows of the tables and of the journal.
//!
//! ```text
//! workers ──► Server::events ──► batch ──► one transaction
//!                  │ missed some
//!                  └─► Server::rooms ──► what differs from the tables, as events that are `reconciled`
//! ```
//!
//! Workers never wait for it. If the database fails, a batch is tried again until it is written; events that are lost
//! meanwhile are made up for by a snapshot.

mod facts;
pub mod names;
mod reconcile;
mod teller;

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parlour_tokio::core::server::Event;
use parlour_tokio::token::ApiKey;
use parlour_tokio::{Lagged, ServerEvent, ServerEvents};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::api::{App, Parts};
use crate::counted::Counted;
use crate::registry::Registry;
use crate::store::{NewEvent, RoomRow, Store, StoreError, Tx};
use crate::time::Timestamp;

pub(crate) use names::{grants_of, names_of, path, snake};

/// Events in one transaction.
const BATCH: usize = 256;
/// How long to wait before a batch is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often this process notes that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Ends what a former process has left open.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn recover(store: &Store) -> Result<(), StoreError> {
    store.write(|tx| Box::pin(reconcile::recover(tx))).await
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Scribe {
    store: Store,
    registry: Arc<Registry>,
    /// The rooms, as long as they are open.
    rooms: Weak<Parts>,
    events: ServerEvents,
    counted: Counted,
    /// Of each worker, the number of the event up to which all is written.
    written: Vec<u64>,
    /// The secrets that the rooms accept now.
    accepted: Vec<ApiKey>,
}

impl Scribe {
    /// One that writes what happens from now on.
    pub(crate) fn new(app: &App) -> Self {
        Self {
            store: app.store().clone(),
            registry: Arc::clone(app.registry()),
            rooms: app.downgrade(),
            events: app.rooms().events(),
            counted: app.counted().clone(),
            written: Vec::new(),
            accepted: Vec::new(),
        }
    }

    /// Writes until the rooms are gone and all that happened in them is written.
    pub(crate) async fn run(mut self) {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = heartbeat.tick() => self.keep_house().await,
                next = self.events.next() => match next {
                    Some(next) => self.take(next).await,
                    None => break,
                },
            }
        }
        // Sessions whose ends were lost in a rush of events.
        self.patiently(|tx| {
            Box::pin(async move { reconcile::end_all(tx, "server_shutdown").await })
        })
        .await;
    }

    /// Notes that this process lives, forgets what has expired, and has the rooms do the same with secrets.
    async fn keep_house(&mut self) {
        let kept: Result<(), StoreError> = self
            .store
            .write(|tx| {
                Box::pin(async move {
                    tx.heartbeat().await?;
                    tx.forget_expired().await
                })
            })
            .await;
        if let Err(error) = kept {
            tracing::warn!(%error, "no heartbeat");
        }
        if let Some(rooms) = self.rooms.upgrade() {
            rooms.expire_secrets(&mut self.accepted);
        }
    }

    /// Writes an event and those that have come since, as one batch.
    async fn take(&mut self, first: Result<ServerEvent, Lagged>) {
        let mut batch = Vec::new();
        let mut next = Some(first);
        let mut is_whole = true;
        while let Some(event) = next {
            let missed = match event {
                Ok(event) => {
                    let missed = match event.event {
                        Event::EventsMissed { count } => Some(count),
                        _ => None,
                    };
                    batch.push(event);
                    missed
                }
                Err(Lagged(count)) => Some(count),
            };
            self.counted.history_missed.inc_by(missed.unwrap_or(0));
            is_whole = missed.is_none();
            let has_room = is_whole && batch.len() < BATCH;
            next = has_room.then(|| self.events.try_next()).flatten();
        }
        self.write(batch).await;
        if !is_whole {
            self.reconcile().await;
        }
    }

    /// Writes a batch, but for what a snapshot has told already.
    async fn write(&mut self, mut batch: Vec<ServerEvent>) {
        batch.retain(|event| {
            let written = self.written.get(event.worker).copied().unwrap_or(0);
            event.sequence > written && facts::is_one(&event.event)
        });
        if batch.is_empty() {
            return;
        }
        self.patiently(move |tx| {
            let batch = batch.clone();
            Box::pin(async move {
                let mut created = Vec::new();
                for event in &batch {
                    created.extend(facts::write(tx, event).await?);
                }
                Ok(created)
            })
        })
        .await;
    }

    /// Writes what is true now, in place of events that were lost.
    async fn reconcile(&mut self) {
        let Some(rooms) = self.rooms.upgrade() else {
            return;
        };
        let snapshot = rooms.snapshot().await;
        drop(rooms);
        self.written.clone_from(&snapshot.sequences);
        self.patiently(move |tx| {
            let snapshot = snapshot.clone();
            Box::pin(async move { reconcile::compare(tx, &snapshot).await })
        })
        .await;
    }

    /// Has something written, however long that takes. It gives the rooms that came to exist.
    async fn patiently<J>(&self, job: J)
    where
        J: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<Vec<RoomRow>, StoreError>>
            + Clone
            + Send
            + 'static,
    {
        loop {
            match self.store.write(job.clone()).await {
                Ok(created) => {
                    for room in created {
                        self.registry.put_new_room(&room.name, &room.settings);
                    }
                    return;
                }
                Err(StoreError::ShutDown) => return,
                Err(error) => tracing::error!(%error, "history cannot be written; trying again"),
            }
            sleep(PAUSE).await;
        }
    }
}

/// A fact about the server.
fn about_server(tx: &Tx, kind: &'static str, data: serde_json::Value) -> NewEvent {
    NewEvent {
        kind,
        at: tx.now(),
        room: None,
        session: None,
        participant: None,
        data,
    }
}

/// Writes that the server takes no sessions any more.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn tell_draining(store: &Store) -> Result<(), StoreError> {
    let told = store.write(|tx| {
        Box::pin(async move {
            let event = about_server(tx, "server.draining", json!({}));
            tx.tell(event).await.map(drop)
        })
    });
    told.await
}

/// When an event happened.
fn at(event: &ServerEvent) -> Timestamp {
    Timestamp::from(event.at)
}
