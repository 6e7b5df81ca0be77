//! What goes on when the database fails, and how it is made up for afterwards.

mod common;

use common::*;
use parlour_server::store::{Place, check};
use parlour_tokio::Room;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};

/// Everything that may go on while nothing can be written, and what may not. Gives the participants that are in the room then.
async fn without_writes(api: &Api, anna: &Room) -> Vec<Room> {
    let (ben, eve) = without_a_database(api).await;
    let session = anna.session().unwrap();
    let kicked = api
        .post(
            &format!("/v1/sessions/{session}/kick"),
            json!({"participants": ["eve"]}),
        )
        .await;
    assert_eq!(kicked["affected"], json!(["eve"]));
    within(async { while eve.events().next().await.is_some() {} }).await;
    vec![ben]
}

/// The same while nothing can be read either.
async fn without_a_database(api: &Api) -> (Room, Room) {
    let (refused, readiness) = tokio::join!(
        api.call(Method::PUT, "/v1/rooms/other", json!({})),
        api.send(Method::GET, "/readyz", None),
    );
    assert_eq!(refused.0, 503, "{refused:?}");
    assert_eq!(refused.1["type"], "urn:parlour:problem:storage-unavailable");
    assert_eq!(readiness.status(), 503);
    let alive = api.send(Method::GET, "/healthz", None).await;
    assert_eq!(alive.status(), 204);
    // Tokens are minted, and known rooms are joined.
    let ben = api.join("kitchen", "ben").await;
    (ben, api.join("kitchen", "eve").await)
}

/// All of it is written in the end, as if nothing had been.
async fn assert_is_written(api: &Api, anna: Room, others: Vec<Room>, why: &str) {
    let left = until_written(api).await;
    assert_eq!(
        (&left["participant"], &left["data"]["reason"]),
        (&json!("eve"), &json!(why))
    );
    let joined = api
        .get("/v1/events?type=participant.joined&order=asc")
        .await;
    let joined = joined["data"].as_array().unwrap();
    assert_eq!(all(joined, "participant"), ["anna", "ben", "eve"]);
    assert!(
        joined
            .iter()
            .all(|event| event["data"]["reconciled"].is_null())
    );
    let deed = "/v1/audit?action=POST%20/v1/rooms/%7Broom%7D/tokens";
    api.until(deed, |entries| entries.len() == 3).await;
    let ready = api.send(Method::GET, "/readyz", None).await;
    assert_eq!(ready.status(), 204);
    let (status, _) = api.call(Method::PUT, "/v1/rooms/other", json!({})).await;
    assert_eq!(status, 201);
    for room in others.into_iter().chain([anna]) {
        within(room.leave()).await;
    }
    api.until("/v1/sessions?state=active", |list| list.is_empty())
        .await;
}

/// The first leave, once it is written. Reads may fail until then.
async fn until_written(api: &Api) -> Value {
    within(async {
        loop {
            let left = "/v1/events?type=participant.left&order=asc";
            let (status, body) = api.call(Method::GET, left, Value::Null).await;
            if status == 200 && body["data"][0].is_object() {
                return body["data"][0].clone();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn assert_is_sound(home: &Home) {
    let checked = check(&home.config().place(), |_, _| {}).await.unwrap();
    assert_eq!(checked.problems, Vec::<String>::new());
}

/// Locks the tables.
async fn lock(home: &Home) -> AnyConnection {
    let (url, lock) = match home.config().place() {
        Place::Sqlite(path) => (format!("sqlite://{}", path.display()), "BEGIN IMMEDIATE"),
        Place::Postgres(url) => (
            url,
            "BEGIN; LOCK TABLE meta, rooms, sessions, events, participants, audit IN EXCLUSIVE MODE",
        ),
    };
    let mut locker = AnyConnection::connect(&url).await.unwrap();
    locker.execute(lock).await.unwrap();
    locker
}

async fn unlock(mut locker: AnyConnection) {
    locker.execute("ROLLBACK").await.unwrap();
    locker.close().await.unwrap();
}

/// Whoever tries again after an error has it written, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_on_if_its_end_cannot_be_written() {
    for home in Home::all().await {
        let api = home.serve().await;
        api.post("/v1/server/drain", json!({})).await;
        let locker = lock(&home).await;
        let end = || api.call(Method::DELETE, "/v1/server/drain", Value::Null);
        let (status, _) = end().await;
        assert_eq!(status, 503);
        assert_eq!(api.get("/v1/server").await["draining"], true);
        unlock(locker).await;
        let (status, _) = end().await;
        assert_eq!(status, 204);
        assert_eq!(api.get("/v1/server").await["draining"], false);
        let told = api.get("/v1/events?type=server.drain_ended").await;
        assert_eq!(told["data"].as_array().unwrap().len(), 1);
        api.stop().await;
    }
}

/// Somebody else has locked the tables.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_locked_stops_no_meeting() {
    for home in Home::all().await {
        let api = home.serve().await;
        let anna = api.join("kitchen", "anna").await;
        api.until("/v1/participants?state=connected", |list| !list.is_empty())
            .await;
        let locker = lock(&home).await;
        let others = without_writes(&api, &anna).await;
        unlock(locker).await;
        assert_is_written(&api, anna, others, "kicked").await;
        api.stop().await;
        assert_is_sound(&home).await;
    }
}

/// PostgreSQL is stopped and started: to the server that is all connections gone, and none to be had for a while.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_stops_stops_no_meeting() {
    for home in Home::all().await.into_iter().skip(1) {
        let Place::Postgres(url) = home.config().place() else {
            panic!("the second is PostgreSQL");
        };
        let (server, database) = url.rsplit_once('/').unwrap();
        let (user, folder) = server.rsplit_once('@').unwrap();
        let real = format!("{}/.s.PGSQL.5432", folder.replace("%2F", "/"));
        let between = home.path().join(".s.PGSQL.5432");
        let relay = tokio::spawn(relay(between.clone(), real.clone()));
        let mut config = home.config();
        let folder = home.path().display().to_string().replace('/', "%2F");
        config.store.url = Some(format!("{user}@{folder}/{database}"));
        within(async {
            while !between.exists() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let api = Api::start(config).await;
        let anna = api.join("kitchen", "anna").await;
        api.until("/v1/participants?state=connected", |list| !list.is_empty())
            .await;
        relay.abort();
        let _ = relay.await;
        std::fs::remove_file(&between).unwrap();
        let (ben, eve) = without_a_database(&api).await;
        within(eve.leave()).await;
        let relay = tokio::spawn(self::relay(between, real));
        assert_is_written(&api, anna, vec![ben], "left").await;
        api.stop().await;
        assert_is_sound(&home).await;
        relay.abort();
    }
}

/// Carries connections from one socket to another, until it is aborted: then they end.
#[cfg(unix)]
async fn relay(from: std::path::PathBuf, to: String) {
    use tokio::net::{UnixListener, UnixStream};
    let listener = UnixListener::bind(from).unwrap();
    let mut carried = tokio::task::JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let to = to.clone();
        carried.spawn(async move {
            let mut far = UnixStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

/// A disk that is full: the process may not make its files any longer.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_no_meeting() {
    use std::process::Stdio;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::process::Command;

    let home = Home::sqlite();
    // It makes the tables, and a key that we know.
    let api = home.serve().await;
    let key = api.key.clone();
    api.post("/v1/rooms", json!({"name": "kitchen"})).await;
    api.stop().await;
    let mut config = home.config();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config.http.listen = listener.local_addr().unwrap();
    drop(listener);
    let file = home.path().join("parlour.toml");
    std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    // A write beyond the limit fails, and does not end the process.
    let run = format!(
        "trap '' XFSZ; ulimit -S -f 600; exec {} serve --config {}",
        env!("CARGO_BIN_EXE_parlour"),
        file.display()
    );
    let mut command = Command::new("bash");
    let command = command.args(["-c", &run]).env("PARLOUR_LOG", "info");
    let command = command.stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    within(async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("serving") {
                break;
            }
        }
    })
    .await;
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    let api = Api::at(&config, key);
    let anna = api.join("kitchen", "anna").await;
    api.until("/v1/participants?state=connected", |list| !list.is_empty())
        .await;
    // Where a large room finds no place any longer, a small one still may.
    let large = json!({"title": "x".repeat(100), "attributes": {"a": "x".repeat(4_000)}});
    let mut written = 0;
    for fill in [large, json!({})] {
        loop {
            let path = format!("/v1/rooms/r{written}");
            if api.call(Method::PUT, &path, fill.clone()).await.0 >= 300 {
                break;
            }
            written += 1;
            assert!(written < 1_000);
        }
    }
    let others = without_writes(&api, &anna).await;
    let pid = process.id().unwrap().to_string();
    let raise = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(within(raise).await.unwrap().success());
    assert_is_written(&api, anna, others, "kicked").await;
    let term = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(within(term).await.unwrap().success());
    assert!(within(process.wait()).await.unwrap().success());
    assert_is_sound(&home).await;
}
