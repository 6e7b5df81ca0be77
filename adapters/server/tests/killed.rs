//! A server that is killed in the midst of its work, and starts again: its history is whole.
//!
//! Each round starts `parlour serve` as a process, lets participants come and go, and kills it (SIGKILL) at a moment that the seed
//! says. `PARLOUR_KILLS=20` plays more rounds than the usual three, `PARLOUR_SEED=7` other ones:
//!
//! ```sh
//! PARLOUR_KILLS=20 cargo test -p parlour-server --test killed -- --nocapture
//! ```

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::process::Process;
use common::random::{Random, number};
use common::tables::History;
use common::*;
use parlour_server::config::Config;
use parlour_server::store::Place;
use parlour_tokio::token::{ApiKey, Claims, mint_token};
use parlour_tokio::{AudioOptions, Room, SampleRate};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Row as _};
use tokio::task::JoinSet;
use tokio::time::sleep;

const ROOMS: u64 = 4;
const PEOPLE: u64 = 12;

/// All of a ticket but its token.
async fn ticket_base(process: &Process, key: &str) -> String {
    let asked = http().get(format!("{}/v1/server", process.url));
    let answer = within(asked.bearer_auth(key).send()).await.unwrap();
    let about: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    about["ticket_base"].as_str().unwrap().to_owned()
}

/// Comes and goes, in one room or another, until the task is ended.
async fn come_and_go(base: String, key: ApiKey, person: u64, mut random: Random) {
    loop {
        let room = format!("room-{}", random.below(ROOMS));
        let claims = Claims::new(&room, &format!("p{person}"), Duration::from_secs(600));
        let token = mint_token(&claims.unwrap(), &key).unwrap();
        if let Ok(room) = Room::join(&format!("{base}#{token}")).await {
            random.pause(60).await;
            let voice = AudioOptions::opus_voice(SampleRate::Hz48000);
            let mic = match random.below(3) {
                0 => room.publish_audio("mic", voice).await.ok(),
                1 => {
                    let _ = room.set_attribute("hand", "up").await;
                    None
                }
                _ => None,
            };
            random.pause(300).await;
            drop(mic);
            // Some say good-bye, and some do not.
            if random.below(4) > 0 {
                room.leave().await;
            }
        }
        random.pause(60).await;
    }
}

/// What the database of a killed server holds, before anything has opened it.
async fn history_of_the_dead(home: &Home, config: &Config) -> History {
    let mut config = config.clone();
    match config.place() {
        Place::Sqlite(path) => {
            // A copy: whoever opens the file itself, recovers it in the server's stead.
            let copy = home.path().join("copy.db");
            for end in ["", "-wal", "-shm"] {
                let with_end = |path: &std::path::Path| {
                    let mut name = path.as_os_str().to_owned();
                    name.push(end);
                    std::path::PathBuf::from(name)
                };
                let _ = std::fs::remove_file(with_end(&copy));
                if with_end(&path).exists() {
                    std::fs::copy(with_end(&path), with_end(&copy)).unwrap();
                }
            }
            config.store.path = copy;
        }
        Place::Postgres(url) => {
            // Its last transaction may still be on the way.
            let mut database = AnyConnection::connect(&url).await.unwrap();
            within(async {
                let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
                loop {
                    let row = sqlx::query(others).fetch_one(&mut database).await.unwrap();
                    if row.get::<i64, _>(0) == 0 {
                        return;
                    }
                    sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
            database.close().await.unwrap();
        }
    }
    History::read(&config).await
}

/// The sessions without an end, and the number of those who are in them.
fn open_sessions(history: &History) -> BTreeMap<String, i64> {
    let sessions = history.tables.rows("sessions");
    let open = sessions.filter(|row| row["ended_at"].is_null());
    let counted = open.map(|row| {
        let id = row["id"].as_str().unwrap().to_owned();
        (id, row["present"].as_i64().unwrap())
    });
    counted.collect()
}

/// Checks what the start after a kill has made of the open sessions.
fn check_recovery(before: &History, after: &History, context: &str) {
    before
        .check(false)
        .unwrap_or_else(|wrong| panic!("{context}, before the start:\n{wrong}"));
    after
        .check(true)
        .unwrap_or_else(|wrong| panic!("{context}, after the start:\n{wrong}"));
    let (told, new) = after.journal.split_at(before.journal.len());
    let same = told.iter().zip(&before.journal);
    for (now, then) in same {
        assert_eq!(
            (now.seq, &now.kind, &now.data),
            (then.seq, &then.kind, &then.data),
            "{context}"
        );
    }
    let open = open_sessions(before);
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    for event in new {
        let Some(session) = event.session.as_deref() else {
            match event.kind.as_str() {
                "server.recovered" => assert_eq!(event.data["sessions"], json!(open.len())),
                kind => assert_eq!(kind, "server.started", "{context}"),
            }
            continue;
        };
        assert!(open.contains_key(session), "{context}: {event:?}");
        assert_eq!(event.data["reason"], "server_lost", "{context}: {event:?}");
        assert_eq!(event.data["reconciled"], true, "{context}: {event:?}");
        match event.kind.as_str() {
            "participant.left" => *left.entry(session).or_default() += 1,
            kind => assert_eq!(kind, "session.ended", "{context}"),
        }
    }
    for (session, present) in &open {
        let ended = |event: &&common::tables::Told| {
            event.kind == "session.ended" && event.session.as_ref() == Some(session)
        };
        assert_eq!(new.iter().filter(ended).count(), 1, "{context}: {session}");
        assert_eq!(
            left.get(session.as_str()).copied().unwrap_or(0),
            *present,
            "{context}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_starts_again_with_a_whole_history() {
    let (kills, seed) = (number("PARLOUR_KILLS", 3), number("PARLOUR_SEED", 1));
    for home in Home::all().await {
        // The first start makes the key.
        let api = home.serve().await;
        let key = api.first_key.clone();
        api.stop().await;
        let (id, secret) = key.split_once('.').unwrap();
        let signing = ApiKey::new(id, secret).unwrap();
        let config = home.config();

        let mut random = Random::new(seed);
        let (mut lost, mut process) = (0, Process::start(&home, &config).await);
        for round in 0..kills {
            let known = History::read(&config).await.journal.len();
            let base = ticket_base(&process, &key).await;
            let mut people = JoinSet::new();
            for person in 0..PEOPLE {
                let random = random.another();
                people.spawn(come_and_go(base.clone(), signing.clone(), person, random));
            }
            // Until something has been written, and then for a while.
            within(async {
                while History::read(&config).await.journal.len() == known {
                    sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
            random.pause(1_500).await;
            process.kill().await;
            people.shutdown().await;

            let before = history_of_the_dead(&home, &config).await;
            process = Process::start(&home, &config).await;
            let after = History::read(&config).await;
            let place = if config.store.url.is_some() {
                "PostgreSQL"
            } else {
                "SQLite"
            };
            let context = format!("{place}, seed {seed}, round {round}");
            check_recovery(&before, &after, &context);
            let open = open_sessions(&before);
            lost += open.len();
            let present: i64 = open.values().sum();
            let new = before.journal.len() - known;
            println!(
                "{context}: {new} events, then {} sessions with {present} participants lost",
                open.len()
            );
        }
        process.kill().await;
        assert!(lost > 0, "nothing was going on at any kill");
    }
}
