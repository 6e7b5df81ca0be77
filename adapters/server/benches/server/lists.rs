//! Lists in large tables, over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parlour_server::config::Config;
use parlour_server::serve::Running;
use reqwest::Client;
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::process::{Failure, Process, now};

/// Requests of each kind, and how many are under way at a time.
const REQUESTS: usize = 3_000;
const AT_ONCE: usize = 8;

/// A million stays in 50,000 sessions of 1,000 rooms, of 20,000 people; one every 20 s.
const STAYS: &str = "
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
INSERT INTO participants (session, participant, room, name, state, grants, censored, attributes, path, joined_at, left_at)
SELECT printf('%032x', i / 20), printf('p%d', i * 7919 % 20000), printf('room-%d', i / 20 % 1000),
    printf('Name %d', i * 7919 % 20000), 'left', '[\"publish\",\"subscribe\"]', 0, '{}', 'udp',
    1700000000000 + i * 20000, 1700000000000 + i * 20000 + 60000 + i * 31 % 3600000 FROM n;
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49999)
INSERT INTO sessions (id, room, started_at, ended_at, end_reason, present, peak, uniques, events)
SELECT printf('%032x', i), printf('room-%d', i % 1000), 1700000000000 + i * 400000, 1700000000000 + i * 400000 + 4060000,
    'left', 0, 20, 20, 42 FROM n;
INSERT INTO stays (session, participant, joined_at, left_at, reason)
SELECT session, participant, joined_at, left_at, 'left' FROM participants";

/// What is asked for: a name, and the query for the n-th request.
type Query = (&'static str, fn(usize) -> String);

const QUERIES: [Query; 9] = [
    ("`participant`", |n| {
        format!("participant=p{}", n * 37 % 20_000)
    }),
    ("`room`", |n| format!("room=room-{}", n % 1_000)),
    ("`room`, two of them", |n| {
        format!("room=room-{}&room=room-{}", n % 1_000, (n + 7) % 1_000)
    }),
    ("`room` and `joined_after`, `joined_before`", |n| {
        format!(
            "room=room-{}&joined_after=2024-02-01T00:00:00Z&joined_before=2024-03-01T00:00:00Z",
            n % 1_000
        )
    }),
    ("`session`", |n| format!("session={:032x}", n * 13 % 50_000)),
    ("`name`", |n| format!("name=Name%20{}", n * 37 % 20_000)),
    ("`state=left`", |_| "state=left".to_owned()),
    ("`left_after`, `left_before`", |n| {
        format!(
            "left_after=2024-02-{:02}T00:00:00Z&left_before=2024-03-01T00:00:00Z",
            1 + n % 28
        )
    }),
    ("none, 10 entries", |_| "limit=10".to_owned()),
];

#[tokio::main(worker_threads = 2)]
pub(crate) async fn measure() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let key = fill(folder.path()).await?;
    let configure = |config: &mut Config| {
        config.media.workers = 1;
        // The stays are old, and would be deleted while they are listed.
        config.retention.sessions_days = 0;
    };
    let server = Process::serve_with(folder.path(), configure, None)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Client::new();
    println!(
        "\n| `GET /v1/participants`, filtered by | entries | µs of CPU | a second and core | aim | a second, by the clock |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for (name, query) in QUERIES {
        // Once without counting, so that connections are open and pages are read.
        ask(&http, &server, &key, query, AT_ONCE * 10).await?;
        let (before, began) = (server.cpu_time()?, now());
        let entries = ask(&http, &server, &key, query, REQUESTS).await?;
        let (took, cpu) = (now() - began, server.cpu_time()? - before);
        let micros = cpu.as_secs_f64() * 1e6 / REQUESTS as f64;
        println!(
            "| {name} | {} | {micros:.0} | {:.0} | 2,000 | {:.0} |",
            entries / REQUESTS,
            1e6 / micros,
            REQUESTS as f64 / took.as_secs_f64(),
        );
    }
    Ok(())
}

/// Makes the tables; gives the key that opens the API.
async fn fill(folder: &std::path::Path) -> Result<String, Failure> {
    let mut config = Config::dev(folder);
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.media.listen = ([127, 0, 0, 1], 0).into();
    let running = Running::start(&config).await?;
    let key = running.app().first_key().ok_or("the server has no key")?;
    running
        .until(std::future::ready(()), std::future::ready(()))
        .await?;
    let url = format!("sqlite://{}", config.store.path.display());
    let mut database = AnyConnection::connect(&url).await?;
    database.execute(sqlx::raw_sql(STAYS)).await?;
    database.close().await?;
    Ok(key)
}

/// Asks so many times; gives the number of entries of all answers.
async fn ask(
    http: &Client,
    server: &Process,
    key: &str,
    query: fn(usize) -> String,
    requests: usize,
) -> Result<usize, Failure> {
    let (asked, entries) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let url = format!("http://{}/v1/participants", server.http);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (http, key, url) = (http.clone(), key.to_owned(), url.clone());
        let (asked, entries) = (Arc::clone(&asked), Arc::clone(&entries));
        asking.spawn(async move {
            loop {
                let n = asked.fetch_add(1, Ordering::Relaxed);
                if n >= requests {
                    return Ok(());
                }
                let request = http.get(format!("{url}?{}", query(n))).bearer_auth(&key);
                let answer = request.send().await?.error_for_status()?;
                let count = answer.text().await?.matches("\"joined_at\"").count();
                entries.fetch_add(count, Ordering::Relaxed);
            }
        });
    }
    while let Some(done) = asking.join_next().await {
        let done: Result<(), reqwest::Error> = done?;
        done?;
    }
    Ok(entries.load(Ordering::Relaxed))
}
