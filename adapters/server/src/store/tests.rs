//! The store, on SQLite and, where the environment names one (`PARLOUR_TEST_POSTGRES`, the address of a server whose user may
//! make databases), on PostgreSQL.

use serde_json::json;
use sqlx::AnyConnection;
use sqlx::Connection as _;
use sqlx::Row as _;
use tempfile::TempDir;

use super::*;
use crate::rooms::{RoomSettings, RoomState as State};
use crate::time::Timestamp;

mod composed;
mod listed;
mod plans;

/// A store of its own, and what keeps its file.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) place: Place,
    pub(crate) _folder: TempDir,
}

pub(crate) async fn sqlite() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Sqlite(folder.path().join("parlour.db"));
    let store = Store::open(&place).await.unwrap();
    Fixture {
        store,
        place,
        _folder: folder,
    }
}

async fn postgres(server: &str) -> Fixture {
    sqlx::any::install_default_drivers();
    let name = format!("test_{}", ulid::Ulid::generate()).to_lowercase();
    let mut admin = AnyConnection::connect(&format!("{server}/postgres"))
        .await
        .unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    let place = Place::Postgres(format!("{server}/{name}"));
    let store = Store::open(&place).await.unwrap();
    Fixture {
        store,
        place,
        _folder: tempfile::tempdir().unwrap(),
    }
}

/// A store of each kind that is there.
pub(crate) async fn all() -> Vec<Fixture> {
    let mut all = vec![sqlite().await];
    if let Ok(server) = std::env::var("PARLOUR_TEST_POSTGRES") {
        all.push(postgres(&server).await);
    }
    all
}

fn room(name: &str, at: i64) -> RoomRow {
    RoomRow {
        name: name.to_owned(),
        settings: RoomSettings {
            title: format!("Room {name}"),
            max_participants: Some(12),
            ..RoomSettings::default()
        },
        auto_created: false,
        created_at: Timestamp::from_millis(at),
        updated_at: Timestamp::from_millis(at),
        active_session: None,
    }
}

fn told(kind: &'static str, room: &str) -> NewEvent {
    NewEvent {
        kind,
        at: Timestamp::from_millis(1_000),
        room: Some(room.to_owned()),
        session: None,
        participant: None,
        data: json!({"n": 1}),
    }
}

async fn put(store: &Store, room: RoomRow) -> Result<i64, StoreError> {
    let job = store.write(|tx| {
        Box::pin(async move {
            tx.put_room(&room).await?;
            tx.tell(told("room.created", &room.name)).await
        })
    });
    job.await
}

fn page(limit: u32) -> PageRequest {
    PageRequest {
        after: None,
        limit,
        order: Order::Desc,
    }
}

#[tokio::test]
async fn rooms_are_read_as_they_were_written() {
    for fixture in all().await {
        let store = &fixture.store;
        put(store, room("a", 1)).await.unwrap();
        assert_eq!(store.room("a").await.unwrap(), Some(room("a", 1)));
        let changed = RoomRow {
            settings: RoomSettings {
                state: State::Disabled,
                ..RoomSettings::default()
            },
            updated_at: Timestamp::from_millis(9),
            ..room("a", 1)
        };
        put(store, changed.clone()).await.unwrap();
        assert_eq!(store.room("a").await.unwrap(), Some(changed));
        for there in [true, false] {
            let deleted: Result<_, StoreError> =
                store.write(|tx| Box::pin(tx.delete_room("a"))).await;
            assert_eq!(deleted.unwrap(), there);
        }
        assert_eq!(store.room("a").await.unwrap(), None);
    }
}

/// Every page follows the one before, in both orders, also where times are equal.
#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    for fixture in all().await {
        let store = &fixture.store;
        for n in 0..23 {
            put(store, room(&format!("r{n:02}"), n / 5)).await.unwrap();
        }
        for order in [Order::Desc, Order::Asc] {
            let (mut seen, mut request) = (Vec::new(), PageRequest { order, ..page(4) });
            loop {
                let page = store.rooms(&RoomFilter::default(), &request).await.unwrap();
                assert!(page.data.len() == 4 || page.next.is_none());
                seen.extend(page.data.into_iter().map(|room| room.name));
                request.after = page.next;
                if request.after.is_none() {
                    break;
                }
            }
            let mut all: Vec<_> = (0..23).map(|n| format!("r{n:02}")).collect();
            if order == Order::Desc {
                all.reverse();
            }
            assert_eq!(seen, all);
        }
        let filter = RoomFilter {
            states: vec![State::Enabled],
            active: Some(false),
            prefix: Some("r1".to_owned()),
            created_after: Some(Timestamp::from_millis(2)),
            created_before: Some(Timestamp::from_millis(3)),
        };
        let found = store.rooms(&filter, &page(50)).await.unwrap();
        let found: Vec<_> = found.data.iter().map(|room| room.name.as_str()).collect();
        assert_eq!(found, ["r14", "r13", "r12", "r11", "r10"]);
    }
}

/// A job that fails leaves nothing behind, and those around it lose nothing.
#[tokio::test]
async fn a_job_is_done_whole_or_not_at_all() {
    for fixture in all().await {
        let store = &fixture.store;
        let failing = store.write(|tx| {
            Box::pin(async move {
                tx.put_room(&room("bad", 1)).await?;
                tx.tell(told("room.created", "bad")).await?;
                Err::<(), _>(StoreError::ShutDown)
            })
        });
        let damaged = store.write(|tx| {
            Box::pin(async move {
                tx.put_room(&room("worse", 1)).await?;
                tx.tell(told("room.created", "worse")).await?;
                let nonsense = sqlx::query("INSERT INTO rooms (name) VALUES ('x')");
                nonsense.execute(&mut *tx.transaction).await?;
                Ok::<(), StoreError>(())
            })
        });
        let (one, failed, two, refused, three) = tokio::join!(
            put(store, room("one", 1)),
            failing,
            put(store, room("two", 1)),
            damaged,
            put(store, room("three", 1))
        );
        assert!(matches!(failed, Err(StoreError::ShutDown)));
        assert!(
            matches!(refused, Err(StoreError::Database(_))),
            "{refused:?}"
        );
        assert_eq!([one.unwrap(), two.unwrap(), three.unwrap()], [1, 2, 3]);
        assert_eq!(store.all_rooms().await.unwrap().len(), 3);
        let events = store
            .events(&EventFilter::default(), &page(10))
            .await
            .unwrap();
        let seen: Vec<_> = events
            .data
            .iter()
            .map(|event| (event.seq, event.room.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [(3, Some("three")), (2, Some("two")), (1, Some("one"))]
        );
        assert_eq!(*store.committed().borrow(), 3);
    }
}

/// When there is no room left, SQLite ends the transaction by itself; the next one is not hurt by that.
#[tokio::test]
async fn a_full_disk_ends_one_batch_and_not_the_writer() {
    let fixture = sqlite().await;
    let store = &fixture.store;
    let limited: Result<(), StoreError> = store
        .write(|tx| Box::pin(tx.execute_raw("PRAGMA max_page_count = 1")))
        .await;
    limited.unwrap();
    let mut written = 0;
    let full = loop {
        match put(store, room(&format!("r{written}"), 1)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(full.to_string().contains("full"), "{full}");
    assert_eq!(put(store, room("next", 1)).await.unwrap(), written + 1);
    let rooms = store.all_rooms().await.unwrap();
    assert_eq!(rooms.len() as i64, written + 1);
}

#[tokio::test]
async fn a_database_serves_one_process_and_survives_it() {
    for Fixture {
        store,
        place,
        _folder,
    } in all().await
    {
        put(&store, room("a", 1)).await.unwrap();
        let second = Store::open(&place).await.unwrap_err();
        assert!(
            matches!(second, OpenError::Lock(LockError::Held { .. })),
            "{second}"
        );
        store.close().await;
        let store = Store::open(&place).await.unwrap();
        assert_eq!(store.all_rooms().await.unwrap(), [room("a", 1)]);
        assert_eq!(*store.committed().borrow(), 1);
        assert_eq!(put(&store, room("b", 1)).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    for Fixture {
        store,
        place,
        _folder,
    } in all().await
    {
        let newer: Result<(), StoreError> = store
            .write(|tx| {
                Box::pin(async move {
                    let newer = sqlx::query("UPDATE meta SET value = '99' WHERE name = 'version'");
                    newer.execute(&mut *tx.transaction).await?;
                    Ok(())
                })
            })
            .await;
        newer.unwrap();
        store.close().await;
        let refused = Store::open(&place).await.unwrap_err();
        assert!(
            matches!(refused, OpenError::Newer { found: 99, .. }),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_mark_voids_what_is_older_and_never_goes_back() {
    for fixture in all().await {
        let store = &fixture.store;
        let mark = |participant: &str, at| Mark {
            room: "a".to_owned(),
            participant: participant.to_owned(),
            issued_before: Timestamp::from_millis(at),
        };
        let refresh = |participant: &str, at| RefreshRow {
            claims: crate::tokens::TokenClaims {
                room: "a".to_owned(),
                participant: participant.to_owned(),
                name: String::new(),
                grants: Vec::new(),
                lobby: false,
                key: "k".to_owned(),
            },
            issued_at: Timestamp::from_millis(at),
            expires_at: Timestamp::from_millis(100),
        };
        let (marks, tokens) = (
            [mark("bob", 5), mark("bob", 3), mark("", 2)],
            [
                ("t1", refresh("bob", 4)),
                ("t2", refresh("bob", 6)),
                ("t3", refresh("anna", 1)),
                ("t4", refresh("anna", 3)),
            ],
        );
        let written: Result<(), StoreError> = store
            .write(|tx| {
                Box::pin(async move {
                    for (token, refresh) in &tokens {
                        tx.put_refresh_token(token, refresh).await?;
                    }
                    for mark in &marks {
                        tx.put_mark(mark).await?;
                    }
                    Ok(())
                })
            })
            .await;
        written.unwrap();
        let mut marks = store.marks().await.unwrap();
        marks.sort_by(|a, b| a.participant.cmp(&b.participant));
        assert_eq!(marks, [mark("", 2), mark("bob", 5)]);
        for (token, is_valid) in [
            ("t1", false),
            ("t2", true),
            ("t3", false),
            ("t4", true),
            ("t5", false),
        ] {
            let found = store
                .refresh_token(token, Timestamp::from_millis(50))
                .await
                .unwrap();
            assert_eq!(found.is_some(), is_valid, "{token}");
            let expired = store
                .refresh_token(token, Timestamp::from_millis(100))
                .await
                .unwrap();
            assert_eq!(expired, None);
        }
    }
}

/// A database of the first version comes to have all tables, and a copy from before beside it.
#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up() {
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlour.db");
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut first = AnyConnection::connect(&url).await.unwrap();
    for statements in [
        include_str!("schema/1.sql"),
        "INSERT INTO meta (name, value) VALUES ('version', '1'); \
         INSERT INTO rooms VALUES ('a', 'enabled', '{}', 0, 1, 1)",
    ] {
        first.execute(statements).await.unwrap();
    }
    first.close().await.unwrap();
    let store = Store::open(&Place::Sqlite(path)).await.unwrap();
    assert_eq!(store.all_rooms().await.unwrap()[0].name, "a");
    assert!(store.webhook_ids().await.unwrap().is_empty());
    assert_eq!(put(&store, room("b", 1)).await.unwrap(), 1);
    let files = std::fs::read_dir(folder.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let copy = names
        .into_iter()
        .find(|name| name.contains(".before-"))
        .unwrap();
    let url = format!("sqlite://{}", folder.path().join(copy).display());
    let mut before = AnyConnection::connect(&url).await.unwrap();
    let version = sqlx::query("SELECT value FROM meta WHERE name = 'version'");
    let version: String = version.fetch_one(&mut before).await.unwrap().get("value");
    assert_eq!(version, "1");
}

/// A job that panics is a mistake in one place: everything else goes on.
#[tokio::test]
async fn a_job_that_panics_fails_alone() {
    for fixture in all().await {
        let store = &fixture.store;
        let panicking = store.write(|tx| {
            Box::pin(async move {
                tx.put_room(&room("bad", 1)).await?;
                panic!("as this test wants");
            })
        });
        let (failed, kept) = tokio::join!(panicking, put(store, room("good", 1)));
        let failed: Result<(), StoreError> = failed;
        assert!(matches!(failed, Err(StoreError::Panicked)), "{failed:?}");
        kept.unwrap();
        assert_eq!(store.room("bad").await.unwrap(), None);
        assert!(store.room("good").await.unwrap().is_some());
    }
}

/// Ends the sessions of others, as when PostgreSQL restarts, and waits until they are gone.
async fn cut_sessions(connection: &mut AnyConnection) {
    // With a time to wait it waits until the session has ended.
    sqlx::query(
        "SELECT COUNT(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(connection)
    .await
    .unwrap();
}

/// A session with the database if it is PostgreSQL.
async fn another_session(place: &Place) -> Option<AnyConnection> {
    let Place::Postgres(url) = place else {
        return None;
    };
    Some(AnyConnection::connect(url).await.unwrap())
}

async fn write_something(store: &Store) -> Result<(), StoreError> {
    store.write(|tx| Box::pin(tx.heartbeat())).await
}

#[tokio::test]
async fn the_lock_is_taken_again_when_postgresql_restarts() {
    for Fixture { store, place, .. } in all().await {
        let Some(mut other) = another_session(&place).await else {
            continue;
        };
        cut_sessions(&mut other).await;
        // The first try may meet the broken connection.
        if write_something(&store).await.is_err() {
            write_something(&store).await.unwrap();
        }
        // Locks of others are not taken for it.
        let process = "SELECT pg_backend_pid() FROM pg_advisory_lock(1)";
        let process = sqlx::query(process).fetch_one(&mut other).await.unwrap();
        let process = process.try_get::<i32, _>(0).unwrap().to_string();
        let second = Store::open(&place).await.unwrap_err();
        let OpenError::Lock(LockError::Held { holder }) = second else {
            panic!("{second}");
        };
        let holder = holder.strip_prefix("behind PostgreSQL's process ").unwrap();
        assert!(!["0", &process].contains(&holder), "{holder}");
        store.close().await;
        Store::open(&place).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_written_while_another_has_the_lock_and_at_last_it_is_lost() {
    for Fixture { store, place, .. } in all().await {
        let Some(mut other) = another_session(&place).await else {
            continue;
        };
        // The store may take it again first.
        loop {
            cut_sessions(&mut other).await;
            if lock::try_lock(&mut other, 1).await.unwrap() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The heartbeat writes all the time.
        let lost = async {
            loop {
                let error = write_something(&store).await.unwrap_err();
                assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            () = lost => {}
            () = store.lost() => {}
        }
        // It is given back: all is well again.
        other.close().await.unwrap();
        while write_something(&store).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
