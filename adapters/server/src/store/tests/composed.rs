//! Compositions: what they are made of, when they go, and how often they are tried.

use super::*;
use crate::recordings::tests::row;
use crate::store::{ClosedRecording, CompositionFilter, CompositionRow, StartedComposition};

const DAY_MS: i64 = 24 * 3_600_000;

fn composition(id: &str, from_ms: Option<i64>) -> CompositionRow {
    CompositionRow {
        id: id.to_owned(),
        room: "kitchen".to_owned(),
        session: row("").session,
        format: "ogg".to_owned(),
        request: serde_json::json!({}),
        from_ms,
        to_ms: None,
        state: "queued".to_owned(),
        tries: 0,
        created_at: Timestamp::from_millis(DAY_MS),
        started_at: None,
        ended_at: None,
        duration_ms: None,
        size: None,
        sha256: None,
        expires_at: None,
        error: None,
        detail: None,
        deleted_at: None,
    }
}

/// Two recordings that are ready: from 1 s to 11 s, kept for two days, and from 21 s to 31 s, kept for one.
async fn record(store: &Store) {
    let written: Result<(), StoreError> = store
        .write(|tx| {
            Box::pin(async move {
                for (id, start, days) in [("rec_1", 1_000, 2), ("rec_2", 21_000, 1)] {
                    let mut recording = row(id);
                    recording.started_at = Timestamp::from_millis(start);
                    tx.begin_recording(&recording).await?;
                    let closed = ClosedRecording {
                        ended_at: Timestamp::from_millis(start + 10_000),
                        duration_ms: 10_000,
                        size: 7,
                        lost_ms: None,
                        silent_ms: None,
                        expires_at: Some(Timestamp::from_millis(days * DAY_MS)),
                        error: None,
                    };
                    tx.close_recording(id, &closed).await?;
                    tx.store_recording(id, 7, "00").await?;
                }
                Ok(())
            })
        })
        .await;
    written.unwrap();
}

async fn put(store: &Store, row: CompositionRow) {
    let written: Result<(), StoreError> = store
        .write(|tx| Box::pin(async move { tx.put_composition(&row, &[]).await }))
        .await;
    written.unwrap();
}

async fn start(store: &Store) -> Option<StartedComposition> {
    let id = store.next_composition().await.unwrap()?;
    let started: Result<_, StoreError> = store
        .write(|tx| Box::pin(async move { tx.start_composition(&id).await }))
        .await;
    started.unwrap()
}

async fn state(store: &Store, id: &str) -> (String, Option<String>) {
    let row = store.composition(id).await.unwrap().unwrap();
    (row.state, row.error)
}

#[tokio::test]
async fn a_composition_goes_with_the_first_of_its_recordings() {
    for fixture in all().await {
        let store = &fixture.store;
        record(store).await;
        // Without a session its times count from its first recording.
        put(store, composition("cmp_1", None)).await;
        put(store, composition("cmp_2", Some(10_001))).await;
        put(store, composition("cmp_3", Some(30_000))).await;
        let both = start(store).await.unwrap();
        assert_eq!(
            (both.from_ms, both.to_ms, both.recordings.len()),
            (0, 30_000, 2)
        );
        let second = start(store).await.unwrap();
        assert_eq!((second.from_ms, second.to_ms), (10_001, 30_000));
        assert_eq!(second.recordings[0].id, "rec_2");
        assert_eq!(start(store).await, None);
        let nothing = Some("nothing-recorded".to_owned());
        assert_eq!(state(store, "cmp_3").await, ("failed".to_owned(), nothing));
        let expires = async |id: &str| store.composition(id).await.unwrap().unwrap().expires_at;
        assert_eq!(expires("cmp_1").await, Some(Timestamp::from_millis(DAY_MS)));
        let sweep = async |now: i64| {
            let swept: Result<u64, StoreError> = store
                .write(move |tx| {
                    let now = Timestamp::from_millis(now);
                    Box::pin(async move { tx.sweep_compositions(now).await })
                })
                .await;
            swept.unwrap()
        };
        assert_eq!(sweep(DAY_MS).await, 0);
        assert_eq!((sweep(DAY_MS + 1).await, sweep(DAY_MS + 1).await), (2, 0));
        let left = store
            .compositions(&CompositionFilter::default(), &page(9))
            .await;
        assert_eq!(left.unwrap().data.len(), 1);
        assert_eq!(store.deleted_compositions().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_crash_is_counted_and_a_stop_is_not() {
    for fixture in all().await {
        let store = &fixture.store;
        record(store).await;
        put(store, composition("cmp_1", None)).await;
        // It is stopped five times, crashes twice, and then its server does.
        for round in 0..8 {
            assert!(start(store).await.is_some(), "{round}");
            let written: Result<(), StoreError> = store
                .write(move |tx| {
                    Box::pin(async move {
                        match round {
                            0..5 => tx.requeue_composition("cmp_1").await,
                            5..7 => tx.crash_composition("cmp_1", "it fell").await,
                            _ => tx.recover_compositions().await,
                        }
                    })
                })
                .await;
            written.unwrap();
        }
        let crashed = Some("crashed".to_owned());
        assert_eq!(state(store, "cmp_1").await, ("failed".to_owned(), crashed));
        assert_eq!(start(store).await, None);
    }
}
