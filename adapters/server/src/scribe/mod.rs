//! Writes history: what happens in the rooms becomes rows of the tables and of the journal.
//!
//! ```text
//! workers ──► Server::events ──► batch ──► one transaction
//!                  │ missed some
//!                  └─► Server::rooms ──► what differs from the tables, as events that are `reconciled`
//! ```
//!
//! Workers never wait for it. If the database fails, a batch is tried again until it is written, and events wait in the
//! [backlog](backlog::Backlog). For those that are lost meanwhile a snapshot makes up.

mod backlog;
mod facts;
pub mod names;
mod readers;
mod reconcile;
mod teller;

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parlour_tokio::token::ApiKey;
use parlour_tokio::{Lagged, ServerEvent, ServerEvents};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::api::{App, Parts};
use crate::counted::Counted;
use crate::recordings::Found;
use crate::registry::Registry;
use crate::store::{NewEvent, RoomRow, Store, StoreError, Tx};
use crate::time::Timestamp;

use backlog::{Backlog, Next};
pub(crate) use names::{grants_of, names_of, path, snake};
pub(crate) use readers::Readers;
pub(crate) use reconcile::session_id;

/// Events in one transaction.
const BATCH: usize = 256;
/// How long to wait before a batch is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often this process notes that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Ends what a former process has left open: sessions, and the recordings that were found.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn recover(store: &Store, found: Found) -> Result<(), StoreError> {
    store
        .write(|tx| Box::pin(async move { reconcile::recover(tx, &found).await }))
        .await
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Scribe {
    store: Store,
    registry: Arc<Registry>,
    /// The rooms, as long as they are open.
    rooms: Weak<Parts>,
    events: ServerEvents,
    readers: Readers,
    /// How often readers have asked.
    asked: watch::Receiver<u64>,
    counted: Counted,
    /// Whether there may be more of them.
    is_open: bool,
    backlog: Backlog,
    /// Of each worker, the number of the event up to which all is written.
    written: Vec<u64>,
    /// The secrets that the rooms accept now.
    accepted: Vec<ApiKey>,
}

impl Scribe {
    /// One that writes what happens from now on.
    pub(crate) fn new(app: &App) -> Self {
        Self::with_room(app, backlog::BYTES)
    }

    /// One that lets so many bytes of events wait.
    fn with_room(app: &App, bytes: usize) -> Self {
        Self {
            store: app.store().clone(),
            registry: Arc::clone(app.registry()),
            rooms: app.downgrade(),
            events: app.rooms().events(),
            readers: app.readers().clone(),
            asked: app.readers().asked(),
            counted: app.counted().clone(),
            is_open: true,
            backlog: Backlog::new(bytes),
            written: Vec::new(),
            accepted: Vec::new(),
        }
    }

    /// Writes until the rooms are gone and all that happened in them is written.
    pub(crate) async fn run(mut self) {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.is_open {
            tokio::select! {
                _ = heartbeat.tick() => self.keep_house().await,
                Ok(()) = self.asked.changed() => {}
                next = self.events.next() => self.keep(next),
            }
            let asked = *self.asked.borrow_and_update();
            while let Some(event) = self.events.try_next() {
                self.backlog.push(event);
            }
            while let Some(next) = self.backlog.next(BATCH) {
                match next {
                    Next::Events(events) => self.write(events).await,
                    Next::Missed(count) => self.reconcile(count).await,
                }
            }
            self.readers.answer(asked);
        }
        // Sessions whose ends were lost in a rush of events.
        self.patiently(|tx| {
            Box::pin(async move { reconcile::end_all(tx, "server_shutdown").await })
        })
        .await;
    }

    fn keep(&mut self, next: Option<Result<ServerEvent, Lagged>>) {
        match next {
            Some(next) => self.backlog.push(next),
            None => self.is_open = false,
        }
    }

    /// Waits, and takes in what happens meanwhile.
    async fn meanwhile<T>(&mut self, wait: impl Future<Output = T>) -> T {
        let mut wait = pin!(wait);
        loop {
            tokio::select! {
                biased;
                done = &mut wait => return done,
                next = self.events.next(), if self.is_open => self.keep(next),
            }
        }
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
        if let Ok(health) = self.store.webhook_health().await {
            self.counted.webhooks_failing.set(health.failing);
            self.counted.webhook_backlog.set(health.backlog);
        }
        self.expire_secrets();
    }

    /// Has the rooms forget former secrets whose time is over.
    fn expire_secrets(&mut self) {
        if let Some(rooms) = self.rooms.upgrade() {
            rooms.expire_secrets(&mut self.accepted);
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

    /// Writes what is true now, in place of so many events that were lost.
    async fn reconcile(&mut self, missed: u64) {
        let Some(rooms) = self.rooms.upgrade() else {
            return;
        };
        let snapshot = rooms.snapshot().await;
        drop(rooms);
        tracing::warn!(missed, "events were missed; history is reconciled");
        self.counted.history_missed.inc_by(missed);
        self.written.clone_from(&snapshot.sequences);
        self.patiently(move |tx| {
            let snapshot = snapshot.clone();
            Box::pin(async move {
                let data = json!({"events_missed": missed});
                let overloaded = about_server(tx, "server.overloaded", data.clone());
                tx.tell(overloaded).await?;
                let created = reconcile::compare(tx, &snapshot).await?;
                let recovered = about_server(tx, "server.recovered", data);
                tx.tell(recovered).await?;
                Ok(created)
            })
        })
        .await;
    }

    /// Has something written, however long that takes. It gives the rooms that came to exist.
    async fn patiently<J>(&mut self, job: J)
    where
        J: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<Vec<RoomRow>, StoreError>>
            + Clone
            + Send
            + 'static,
    {
        loop {
            let store = self.store.clone();
            match self.meanwhile(store.write(job.clone())).await {
                Ok(created) => {
                    for room in created {
                        self.registry.put_new_room(&room.name, &room.settings);
                    }
                    return;
                }
                Err(StoreError::ShutDown) => return,
                // Again it would panic again, and all that comes after it would wait.
                Err(error @ StoreError::Panicked) => {
                    tracing::error!(%error, "a part of the history is lost");
                    return;
                }
                Err(error) => tracing::error!(%error, "history cannot be written; trying again"),
            }
            self.expire_secrets();
            self.meanwhile(sleep(PAUSE)).await;
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

/// Writes that something has happened to the server.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn tell_server(
    store: &Store,
    kind: &'static str,
    data: serde_json::Value,
) -> Result<(), StoreError> {
    let told = store.write(move |tx| {
        Box::pin(async move {
            let event = about_server(tx, kind, data);
            tx.tell(event).await.map(drop)
        })
    });
    told.await
}

/// Writes that no session begins any more, until when those that go on may do so, and the key that has asked for it.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn tell_draining(
    store: &Store,
    deadline_at: Option<Timestamp>,
    by: Option<&str>,
) -> Result<(), StoreError> {
    let data = json!({"deadline_at": deadline_at, "by": by});
    tell_server(store, "server.draining", data).await
}

/// When an event happened.
fn at(event: &ServerEvent) -> Timestamp {
    Timestamp::from(event.at)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use parlour_tokio::token::Claims;
    use parlour_tokio::{Room, Server, ServerConfig};
    use sqlx::{AnyConnection, Connection as _, Executor as _};
    use tokio::time::timeout;

    use super::*;
    use crate::auth::Scope;
    use crate::config::Config;
    use crate::registry::Key;
    use crate::seal::{Sealer, Veil};
    use crate::store::{self, EventFilter, JournalEvent, Order, PageRequest, Place};
    use crate::web::Web;
    use crate::webhooks::Webhooks;
    use crate::webhooks::target::Rules;

    const SECRET: &str = "a secret of at least thirty-two bytes";

    /// Rooms around a store, without HTTP.
    async fn app(store: Store) -> App {
        let registry = Arc::new(Registry::new(true, Veil::new(&[7; 32])));
        let key = Key {
            id: "k".to_owned(),
            secret: SECRET.to_owned(),
            former: None,
            scopes: [Scope::Tokens].into_iter().collect(),
        };
        registry.set_keys(vec![key], Vec::new());
        let key = ApiKey::new("k", SECRET).unwrap();
        let mut media = ServerConfig::new(([127, 0, 0, 1], 0).into(), key);
        media.workers = 1;
        media.doorkeeper = Arc::clone(&registry) as _;
        let rooms = Server::bind(media).unwrap();
        let config = Config::default();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let rules = Rules {
            allow_private: false,
        };
        let webhooks = Webhooks::start(store.clone(), Arc::clone(&sealer), rules).await;
        let webhooks = webhooks.unwrap();
        let web = Web::new(&config, None);
        App::new(store, registry, rooms, sealer, webhooks, web, &config)
    }

    async fn join(app: &App, who: &str) -> Room {
        let claims = Claims::new("kitchen", who, Duration::from_secs(60)).unwrap();
        let ticket = app.rooms().ticket(&claims).unwrap();
        within(Room::join(&ticket)).await.unwrap()
    }

    async fn within<T>(future: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(30), future).await.unwrap()
    }

    async fn until(store: &Store, kind: &str) -> Vec<JournalEvent> {
        let page = PageRequest {
            after: None,
            limit: 200,
            order: Order::Desc,
        };
        within(async {
            let mut committed = store.committed();
            loop {
                let events = store.events(&EventFilter::default(), &page).await.unwrap();
                if events.data.iter().any(|event| event.kind == kind) {
                    let mut events = events.data;
                    events.reverse();
                    return events;
                }
                committed.changed().await.unwrap();
            }
        })
        .await
    }

    /// A connection that keeps the scribe from writing until it is told `ROLLBACK`.
    async fn locked(place: &Place) -> AnyConnection {
        let Place::Sqlite(path) = place else {
            panic!("it is SQLite");
        };
        let mut other = AnyConnection::connect(&format!("sqlite://{}", path.display()))
            .await
            .unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        other
    }

    /// An application asks of a session as soon as the rooms have told of it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_finds_what_has_happened_before_it_asked() {
        let fixture = store::tests::sqlite().await;
        let app = app(fixture.store.clone()).await;
        let writing = tokio::spawn(Scribe::new(&app).run());
        let mut other = locked(&fixture.place).await;
        let mut events = app.rooms().events();
        let anna = join(&app, "anna").await;
        within(events.next()).await.unwrap().unwrap();
        let mut reading = Box::pin(app.history());
        assert!(reading.as_mut().now_or_never().is_none());
        other.execute("ROLLBACK").await.unwrap();
        other.close().await.unwrap();
        let room = within(reading).await.room("kitchen").await.unwrap();
        assert!(room.unwrap().active_session.is_some());
        within(anna.leave()).await;
        app.shut_down_rooms().await;
        within(writing).await.unwrap();
    }

    /// Nothing can be written for so long that not all events can wait. Afterwards history is what is true, and whole.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_could_not_wait_is_made_up_for() {
        let fixture = store::tests::sqlite().await;
        let store = &fixture.store;
        let app = app(store.clone()).await;
        let scribe = Scribe::with_room(&app, 4 * size_of::<ServerEvent>());
        let writing = tokio::spawn(scribe.run());
        let anna = join(&app, "anna").await;
        until(store, "participant.joined").await;
        let mut other = locked(&fixture.place).await;
        for _ in 0..5 {
            within(join(&app, "ben").await.leave()).await;
        }
        let carl = join(&app, "carl").await;
        within(anna.leave()).await;
        other.execute("ROLLBACK").await.unwrap();
        other.close().await.unwrap();
        let events = until(store, "server.recovered").await;
        let place = |kind: &str| events.iter().position(|event| event.kind == kind).unwrap();
        let (overloaded, recovered) = (place("server.overloaded"), place("server.recovered"));
        let missed = events[overloaded].data["events_missed"].as_u64();
        assert!(missed.unwrap() > 0);
        let between = &events[overloaded + 1..recovered];
        assert!(!between.is_empty());
        for event in between {
            assert_eq!(event.data["reconciled"], true, "{event:?}");
        }
        within(carl.leave()).await;
        until(store, "session.ended").await;
        let store = app.shut_down_rooms().await;
        within(writing).await.unwrap();
        drop(fixture.store);
        within(store.close()).await;
        let checked = store::check(&fixture.place, |_, _| {}).await.unwrap();
        assert_eq!(checked.problems, Vec::<String>::new());
        assert_eq!(checked.sessions, 1);
    }
}
