//! Backups: made while the server runs, checked, put back; and what is refused.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use common::*;
use parlour_server::serve::Running;
use parlour_server::store::Place;
use parlour_tokio::load_or_create_key;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use tokio::process::Command;

/// `parlour db …` for that server.
async fn db(home: &Home, arguments: &[&str]) -> Output {
    let config = home.path().join("parlour.toml");
    std::fs::write(&config, toml::to_string(&home.config()).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
    command
        .args(["db", arguments[0], "--config", "parlour.toml"])
        .args(&arguments[1..])
        .current_dir(home.path())
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    within(command.output()).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn database(home: &Home) -> PathBuf {
    home.path().join("parlour.db")
}

async fn change(home: &Home, statement: &str) {
    let url = match home.config().place() {
        Place::Sqlite(path) => format!("sqlite://{}", path.display()),
        Place::Postgres(url) => url,
    };
    let mut database = AnyConnection::connect(&url).await.unwrap();
    let changed = sqlx::query(AssertSqlSafe(statement.to_owned()));
    let changed = changed.execute(&mut database).await.unwrap();
    assert!(changed.rows_affected() > 0, "{statement}");
    database.close().await.unwrap();
}

#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_brings_back_what_was() {
    let home = Home::sqlite();
    let api = home.serve().await;
    api.post("/v1/rooms", json!({"name": "earlier"})).await;
    let anna = api.join("earlier", "anna").await;
    api.until("/v1/participants?state=connected", |list| !list.is_empty())
        .await;
    let backup = api.post("/v1/server/backup", Value::Null).await;
    let (path, key_file) = (&backup["path"], &backup["key_file"]);
    let [path, key_file] = [path, key_file].map(|path| Path::new(path.as_str().unwrap()));
    #[cfg(unix)]
    assert!(is_private(path) && is_private(key_file));
    assert_eq!(
        backup["bytes"].as_u64().unwrap(),
        std::fs::metadata(path).unwrap().len()
    );
    let there = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(there.count(), 2);
    api.post("/v1/rooms", json!({"name": "later"})).await;

    // Not under a server's feet.
    let copied = path.to_str().unwrap();
    let refused = db(&home, &["restore", "--yes", copied]).await;
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    assert!(text(&refused.stderr).contains("uses this database"));
    within(anna.leave()).await;
    let key = api.key.clone();
    api.stop().await;
    let refused = db(&home, &["restore", copied]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");

    let restored = db(&home, &["restore", "--yes", "--output", "json", copied]).await;
    assert!(restored.status.success(), "{restored:?}");
    let restored: Value = serde_json::from_slice(&restored.stdout).unwrap();
    assert_eq!(restored["former_key_file"], Value::Null);
    assert!(Path::new(restored["former"].as_str().unwrap()).exists());
    let checked = db(&home, &["check"]).await;
    assert!(checked.status.success(), "{checked:?}");
    let api = home.serve().await;
    assert_eq!(api.key, key);
    let rooms = api.get("/v1/rooms").await["data"].clone();
    assert_eq!(all(rooms.as_array().unwrap(), "name"), ["earlier"]);
    // The session of the backup's moment ended with the process that it was in.
    let sessions = api.get("/v1/sessions").await["data"].clone();
    assert_eq!(sessions[0]["end_reason"], "server_lost");
    api.stop().await;
    let checked = db(&home, &["check"]).await;
    assert!(checked.status.success(), "{checked:?}");
}

/// What a replicator such as Litestream does: it keeps a read transaction open, has the log copied into the database itself, and
/// takes both files. The server goes on writing, and the replica is whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_replicator_may_follow_the_log() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let url = format!("sqlite://{}", database(&home).display());
    let mut reading = AnyConnection::connect(&url).await.unwrap();
    reading.execute("BEGIN").await.unwrap();
    reading
        .execute("SELECT COUNT(*) FROM events")
        .await
        .unwrap();
    for n in 0..50 {
        api.post("/v1/rooms", json!({"name": format!("r{n}")}))
            .await;
    }
    let mut copying = AnyConnection::connect(&url).await.unwrap();
    copying
        .execute("PRAGMA wal_checkpoint(PASSIVE)")
        .await
        .unwrap();
    api.post("/v1/rooms", json!({"name": "newest"})).await;
    let replica = Home::sqlite();
    for end in ["", "-wal"] {
        let name = format!("parlour.db{end}");
        std::fs::copy(home.path().join(&name), replica.path().join(&name)).unwrap();
    }
    std::fs::copy(
        home.path().join("parlour.key"),
        replica.path().join("parlour.key"),
    )
    .unwrap();
    reading.execute("ROLLBACK").await.unwrap();
    reading.close().await.unwrap();
    copying.close().await.unwrap();
    api.stop().await;
    let checked = db(&replica, &["check"]).await;
    assert!(checked.status.success(), "{checked:?}");
    let api = replica.serve().await;
    let rooms = api.get("/v1/rooms?limit=200").await["data"].clone();
    let rooms = rooms.as_array().unwrap();
    assert!(rooms.len() == 51 && all(rooms, "name").contains(&"newest"));
    api.stop().await;
}

/// Without the server, and into another folder; the key file comes with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_moves_a_server() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let key = api.key.clone();
    api.stop().await;
    let folder = home.path().join("elsewhere");
    let made = db(&home, &["backup", folder.to_str().unwrap()]).await;
    assert!(made.status.success(), "{made:?}");
    let path = text(&made.stdout).trim();
    let new = Home::sqlite();
    let new_key = new.path().join("parlour.key");
    load_or_create_key(&new_key).unwrap();
    let new_key = std::fs::read(new_key).unwrap();
    let restored = db(&new, &["restore", "--yes", "-ojson", path]).await;
    assert!(restored.status.success(), "{restored:?}");
    let restored: Value = serde_json::from_slice(&restored.stdout).unwrap();
    let former = std::fs::read(restored["former_key_file"].as_str().unwrap()).unwrap();
    assert_eq!((former, &restored["former"]), (new_key, &Value::Null));
    let api = new.serve().await;
    assert_eq!(api.key, key);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_backup_is_refused() {
    let home = Home::sqlite();
    let api = home.serve().await;
    api.post("/v1/rooms", json!({"name": "kitchen"})).await;
    let backup = api.post("/v1/server/backup", Value::Null).await;
    api.stop().await;
    let good = std::fs::read(backup["path"].as_str().unwrap()).unwrap();
    let key = std::fs::read(backup["key_file"].as_str().unwrap()).unwrap();
    let before = std::fs::read(database(&home)).unwrap();
    let (copy, copied_key) = (home.path().join("copy.db"), home.path().join("copy.key"));
    // Made here, so that only its owner may read it.
    load_or_create_key(&copied_key).unwrap();
    let other_key = std::fs::read(&copied_key).unwrap();
    let restore = async |bytes: &[u8], key: &[u8]| {
        std::fs::write(&copy, bytes).unwrap();
        std::fs::write(&copied_key, key).unwrap();
        db(&home, &["restore", "--yes", "copy.db"]).await
    };
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8_192].fill(0x5a);
    let mut half = good.clone();
    half.truncate(middle);
    for (bytes, key, says) in [
        (&damaged, &key, "damaged"),
        (&half, &key, "damaged"),
        (&b"no database at all, but long enough to have a header of one, were it one; it is none, is it?".repeat(2), &key, "damaged"),
        (&Vec::new(), &key, "lacks its tables"),
        (&good, &other_key, "does not belong"),
    ] {
        let refused = restore(bytes, key).await;
        assert_eq!(refused.status.code(), Some(1), "{says}: {refused:?}");
        let message = text(&refused.stderr);
        assert!(message.contains(says), "{says}: {message}");
    }
    let missing = db(&home, &["restore", "--yes", "nothing.db"]).await;
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    std::fs::write(&copy, &good).unwrap();
    std::fs::write(&copied_key, &key).unwrap();
    let mut newer = AnyConnection::connect(&format!("sqlite://{}", copy.display()))
        .await
        .unwrap();
    sqlx::query("UPDATE meta SET value = '99' WHERE name = 'version'")
        .execute(&mut newer)
        .await
        .unwrap();
    newer.close().await.unwrap();
    let refused = db(&home, &["restore", "--yes", "copy.db"]).await;
    assert!(text(&refused.stderr).contains("version 99"), "{refused:?}");
    assert!(std::fs::read(database(&home)).unwrap() == before);
    let left = std::fs::read_dir(home.path()).unwrap();
    let left = left.map(|file| file.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = left
        .filter(|name| name.contains("rest") || name.contains("replaced"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_not_served_and_says_what_to_do() {
    let home = Home::sqlite();
    home.serve().await.stop().await;
    let mut bytes = std::fs::read(database(&home)).unwrap();
    bytes[..100].fill(0x5a);
    std::fs::write(database(&home), bytes).unwrap();
    let refused = Running::start(&home.config())
        .await
        .unwrap_err()
        .to_string();
    for part in ["parlour.db", "damaged", "parlour db restore"] {
        assert!(refused.contains(part), "{refused:?} lacks {part:?}");
    }
    let checked = db(&home, &["check"]).await;
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stderr).contains("damaged"), "{checked:?}");
}

/// Each rule of history, broken once, is found.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_what_is_wrong() {
    for home in Home::all().await {
        let api = home.serve().await;
        for n in 0..2 {
            let anna = api.join("kitchen", "anna").await;
            let ben = api.join("kitchen", "ben").await;
            within(ben.leave()).await;
            within(anna.leave()).await;
            api.until("/v1/sessions?state=ended", |list| list.len() == n + 1)
                .await;
        }
        let sessions = api.get("/v1/sessions").await["data"].clone();
        let [one, two] = [0, 1].map(|n| sessions[n]["id"].as_str().unwrap().to_owned());
        let missing = db(&home, &["check"]).await;
        assert!(
            missing.status.success(),
            "also while it is used: {missing:?}"
        );
        api.stop().await;
        let found = async || {
            let checked = db(&home, &["check", "--output", "json"]).await;
            let is_fine = checked.status.success();
            let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
            let problems = checked["problems"].as_array().unwrap().clone();
            assert_eq!(is_fine, problems.is_empty());
            problems
        };
        assert_eq!(found().await, Vec::<Value>::new());
        let mut expected = 0;
        for (statement, says) in [
            (
                format!("UPDATE events SET at = 5 WHERE session = '{one}' AND session_seq = 4"),
                "earlier than the one before",
            ),
            (
                format!(
                    "DELETE FROM events WHERE session = '{two}' AND type = 'participant.left' AND participant = 'ben'"
                ),
                "\"ben\" never left",
            ),
            (
                format!("UPDATE sessions SET events = events + 1 WHERE id = '{one}'"),
                "its last event is",
            ),
            (
                format!("UPDATE sessions SET present = 3 WHERE id = '{one}'"),
                "its count of participants",
            ),
            (
                format!(
                    "UPDATE stays SET left_at = NULL WHERE session = '{two}' AND participant = 'anna'"
                ),
                "has an open stay",
            ),
        ] {
            change(&home, &statement).await;
            let problems = found().await;
            let has = |problem: &Value| problem.as_str().unwrap().contains(says);
            assert!(problems.iter().any(has), "{says}: {problems:?}");
            assert!(problems.len() > expected, "{says}: {problems:?}");
            expected = problems.len();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_has_tools_of_its_own() {
    for home in Home::all().await.into_iter().skip(1) {
        let api = home.serve().await;
        let (status, problem) = api
            .call(Method::POST, "/v1/server/backup", Value::Null)
            .await;
        assert_eq!(status, 409);
        assert_eq!(problem["type"], "urn:parlour:problem:not-possible");
        assert!(problem["detail"].as_str().unwrap().contains("pg_dump"));
        let refused = db(&home, &["backup"]).await;
        assert!(text(&refused.stderr).contains("pg_dump"), "{refused:?}");
        api.stop().await;
    }
}
