//! The tries of webhooks over HTTP, in virtual time: the clock of timers and timeouts stands still but for what a test says.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use common::receiver::{Receiver, Reply};
use common::*;
use parlour_server::seal::Sealer;
use parlour_server::store::{
    DeliveryRow, DeliveryState, NewEvent, Order, PageRequest, Store, StoreError, WebhookRow,
    WebhookSettings,
};
use parlour_server::time::Timestamp;
use parlour_server::webhooks::Webhooks;
use parlour_server::webhooks::sign::Secret;
use parlour_server::webhooks::target::Rules;
use serde_json::json;
use tokio::time::{advance, pause, resume};

const ID: &str = "wh_1";

/// Looks into the database, each of which takes a while.
const PATIENCE: usize = 20_000;

/// Tables with one webhook, which sends.
struct Bench {
    store: Store,
    webhooks: Webhooks,
    sealer: Arc<Sealer>,
    /// The clock does not run by itself as long as there is a blocking task, which ends with this.
    _still: mpsc::Sender<()>,
}

impl Bench {
    async fn new(home: &Home, url: &str) -> Self {
        let store = Store::open(&home.config().place()).await.unwrap();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let row = WebhookRow {
            id: ID.to_owned(),
            settings: WebhookSettings {
                url: url.to_owned(),
                ..WebhookSettings::default()
            },
            sealed: sealer.seal(&format!("webhooks/{ID}"), &Secret::generate().expose()),
            former: None,
            gone_at: None,
            queued: 0,
            version: 1,
            last_success_at: None,
            created_at: Timestamp::now(),
            updated_at: Timestamp::now(),
        };
        let put: Result<(), StoreError> = store
            .write(|tx| Box::pin(async move { tx.put_webhook(&row).await }))
            .await;
        put.unwrap();
        let (still, end) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || end.recv());
        pause();
        let webhooks = Self::start(&store, &sealer).await;
        Self {
            store,
            webhooks,
            sealer,
            _still: still,
        }
    }

    async fn start(store: &Store, sealer: &Arc<Sealer>) -> Webhooks {
        let rules = Rules {
            allow_private: true,
        };
        Webhooks::start(store.clone(), Arc::clone(sealer), rules)
            .await
            .unwrap()
    }

    /// As after the death of the process: what the webhooks had in memory is gone.
    async fn restart(mut self) -> Self {
        self.webhooks.shut_down(Duration::ZERO).await;
        // What it had begun to write is written.
        self.store.check().await.unwrap();
        self.webhooks = Self::start(&self.store, &self.sealer).await;
        self
    }

    /// Ends, and lets the clock run.
    async fn end(self) {
        self.webhooks.shut_down(Duration::ZERO).await;
        resume();
    }

    async fn tell(&self, room: &str) -> i64 {
        let room = room.to_owned();
        let told: Result<i64, StoreError> = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.tell(NewEvent {
                        kind: "room.updated",
                        at: tx.now(),
                        room: Some(room),
                        session: None,
                        participant: None,
                        data: json!({}),
                    })
                    .await
                })
            })
            .await;
        told.unwrap()
    }

    async fn delivery(&self, seq: i64) -> Option<DeliveryRow> {
        let page = PageRequest {
            after: None,
            limit: 200,
            order: Order::Asc,
        };
        let all = self.store.deliveries(ID, &[], &page).await.unwrap();
        all.data.into_iter().find(|delivery| delivery.seq == seq)
    }

    /// Waits, without time passing, until a delivery is as it is wanted.
    async fn until(&self, seq: i64, is_it: impl Fn(&DeliveryRow) -> bool) -> DeliveryRow {
        for _ in 0..PATIENCE {
            if let Some(delivery) = self.delivery(seq).await
                && is_it(&delivery)
            {
                return delivery;
            }
            tokio::task::yield_now().await;
        }
        panic!("still {:?}", self.delivery(seq).await);
    }

    /// Waits until it was tried so often.
    async fn tried(&self, seq: i64, tries: i64) -> DeliveryRow {
        self.until(seq, |delivery| delivery.plan.tries == tries)
            .await
    }
}

/// A bad event holds its room up for ten minutes, and is given up after three days; other rooms never wait.
#[tokio::test]
async fn a_bad_event_is_tried_as_promised_and_given_up() {
    for home in Home::all().await {
        let mut receiver = Receiver::start(|got| match got.seq() {
            1 => Reply::Status(500),
            _ => Reply::Status(200),
        })
        .await;
        let mut bench = Bench::new(&home, &receiver.url).await;
        for room in ["a", "b", "a", "a"] {
            bench.tell(room).await;
        }
        let mut waits = vec![
            1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60, 60, 60, 300, 1_800,
        ];
        waits.extend([2, 5, 10, 14, 20, 24].map(|hours| hours * 3_600));
        let mut others = Vec::new();
        for (n, wait) in waits.iter().enumerate() {
            let tries = n as i64 + 1;
            loop {
                let got = receiver.next().await;
                if got.seq() == 1 {
                    break;
                }
                others.push((tries, got.seq()));
            }
            let delivery = bench.tried(1, tries).await;
            assert_eq!(delivery.state, DeliveryState::Retrying);
            if tries == 16 {
                // The room goes on without it.
                bench
                    .until(4, |next| next.state == DeliveryState::Delivered)
                    .await;
                assert!(bench.tried(1, tries).await.plan.aside);
            }
            let wait = if tries % 5 == 0 {
                // The machine's clock, by which the next process begins, is not a virtual one.
                let now = Timestamp::now();
                bench = bench.restart().await;
                delivery.plan.next_at.unwrap().since(now)
            } else {
                Duration::from_secs(*wait as u64)
            };
            advance(wait - Duration::from_millis(400)).await;
            // The answers of the database have passed through the loop that a timer would have to.
            for _ in 0..10 {
                bench.tried(1, tries).await;
            }
            while let Some(got) = receiver.already() {
                assert_ne!(got.seq(), 1, "before {wait:?} have passed");
                others.push((tries, got.seq()));
            }
            advance(Duration::from_millis(800)).await;
        }
        receiver.until(|got| got.seq() == 1).await;
        let failed = bench
            .until(1, |delivery| delivery.state == DeliveryState::Failed)
            .await;
        assert_eq!(
            (failed.plan.tries, failed.plan.next_at.is_some()),
            (24, true)
        );
        assert_eq!(others.len(), 3, "{others:?}");
        assert!(others[0].0 <= 2 && others[0].1 == 2, "{others:?}");
        assert_eq!(
            others[1..],
            [(17, 3), (17, 4)].map(|(_, seq)| (others[1].0, seq)),
            "{others:?}"
        );
        assert!((16..=17).contains(&others[1].0), "{others:?}");
        bench.end().await;
    }
}

/// A receiver that is down keeps the order: after the ten minutes one event is tried out, and all wait.
#[tokio::test]
async fn the_order_waits_for_a_receiver_that_is_down() {
    let home = Home::sqlite();
    let status = Arc::new(AtomicU16::new(503));
    let reply = Arc::clone(&status);
    let mut receiver = Receiver::start(move |_| Reply::Status(reply.load(Ordering::Relaxed))).await;
    let bench = Bench::new(&home, &receiver.url).await;
    for _ in 0..3 {
        bench.tell("a").await;
    }
    for tries in 1..=15 {
        let next_at = bench.tried(1, tries).await.plan.next_at;
        let step = if tries <= 6 { 1 << (tries - 1) } else { 60 };
        assert!(next_at.is_some());
        advance(Duration::from_millis(step * 1_000 + 1)).await;
    }
    let probe = bench.tried(2, 1).await;
    assert_eq!(
        (probe.state, probe.plan.since),
        (DeliveryState::Pending, None)
    );
    let down = bench
        .until(1, |delivery| {
            delivery.plan.tries == 16 && !delivery.plan.probe
        })
        .await;
    assert!(!down.plan.aside);
    assert_eq!(bench.delivery(3).await.unwrap().plan.tries, 0);
    status.store(200, Ordering::Relaxed);
    while receiver.already().is_some() {}
    advance(Duration::from_millis(300_001)).await;
    for seq in 1..=3 {
        assert_eq!(receiver.next().await.seq(), seq);
    }
    bench
        .until(3, |delivery| delivery.state == DeliveryState::Delivered)
        .await;
    bench.end().await;
}

/// A receiver that does not answer is given its time, and no more.
#[tokio::test]
async fn a_receiver_that_hangs_has_its_time() {
    let home = Home::sqlite();
    let mut receiver = Receiver::start(|_| Reply::Hang).await;
    let bench = Bench::new(&home, &receiver.url).await;
    bench.tell("a").await;
    receiver.next().await;
    advance(Duration::from_millis(9_900)).await;
    for _ in 0..10 {
        assert_eq!(bench.tried(1, 0).await.state, DeliveryState::Pending);
    }
    advance(Duration::from_millis(200)).await;
    let refused = bench.tried(1, 1).await;
    let (_, answer) = refused.answer.unwrap();
    assert_eq!(
        (answer.status, answer.error.as_deref()),
        (None, Some("no answer within 10 s"))
    );
    assert!(
        (10_000..10_200).contains(&answer.duration_ms),
        "{}",
        answer.duration_ms
    );
    bench.end().await;
}

/// Deletes all events that may be deleted.
async fn sweep(store: &Store) {
    let later = Timestamp::now().after(Duration::from_secs(3_600));
    let swept: Result<u64, StoreError> = store
        .write(move |tx| Box::pin(tx.sweep_events(later)))
        .await;
    assert_eq!(swept.unwrap(), 1);
}

/// What receivers are owed is known to those who sweep the journal.
#[tokio::test]
async fn what_is_owed_is_held_back_and_no_more() {
    for home in Home::all().await {
        let status = Arc::new(AtomicU16::new(200));
        let reply = Arc::clone(&status);
        let receiver = Receiver::start(move |got| match got.room().as_str() {
            "bad" => Reply::Status(reply.load(Ordering::Relaxed)),
            _ => Reply::Status(200),
        })
        .await;
        let bench = Bench::new(&home, &receiver.url).await;
        assert_eq!(bench.store.oldest_undelivered_seq().await.unwrap(), Some(1));
        bench.tell("good").await;
        bench
            .until(1, |delivery| delivery.state == DeliveryState::Delivered)
            .await;
        assert_eq!(bench.store.oldest_undelivered_seq().await.unwrap(), Some(2));
        status.store(500, Ordering::Relaxed);
        let bad = bench.tell("bad").await;
        bench.tell("good").await;
        bench
            .until(3, |delivery| delivery.state == DeliveryState::Delivered)
            .await;
        bench
            .until(bad, |delivery| delivery.state == DeliveryState::Retrying)
            .await;
        assert_eq!(
            bench.store.oldest_undelivered_seq().await.unwrap(),
            Some(bad)
        );
        let health = bench.store.webhook_health().await.unwrap();
        assert_eq!((health.healthy, health.failing, health.backlog), (0, 1, 1));
        assert!(health.oldest_pending_at.is_some());
        sweep(&bench.store).await;
        // What was delivered goes with its event.
        assert!(bench.delivery(1).await.is_none());
        assert!(bench.delivery(bad).await.is_some() && bench.delivery(3).await.is_some());
        // Disabled, it holds nothing back.
        let disabled: Result<(), StoreError> = bench
            .store
            .write(|tx| {
                Box::pin(async move {
                    let mut row = tx.webhook(ID).await?.unwrap();
                    row.settings.enabled = false;
                    row.version += 1;
                    tx.put_webhook(&row).await?;
                    assert_eq!(tx.oldest_undelivered_seq().await?, None);
                    Ok(())
                })
            })
            .await;
        disabled.unwrap();
        assert_eq!(bench.store.oldest_undelivered_seq().await.unwrap(), None);
        let health = bench.store.webhook_health().await.unwrap();
        assert_eq!((health.disabled, health.backlog), (1, 0));
        sweep(&bench.store).await;
        assert!(bench.delivery(bad).await.is_none());
        bench.end().await;
    }
}
