//! A server that is killed while it records, and starts again: every file is whole, and nothing that was stored is gone.
//!
//! Each round starts `parlour serve` as a process. Three rooms are recorded by their settings. In two of them somebody talks in
//! turns, each a stream of its own, and in the third without end. The server is killed (SIGKILL) at a moment that the seed says. `PARLOUR_KILLS=50` plays more rounds
//! than the usual three, `PARLOUR_SEED=7` other ones:
//!
//! ```sh
//! PARLOUR_KILLS=50 cargo test -p parlour-server --test killed_recordings -- --nocapture
//! ```

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::process::Process;
use common::random::{Random, number};
use common::recorded::*;
use common::*;
use parlour_server::time::Timestamp;
use parlour_tokio::Room;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const ROOMS: [&str; 3] = ["kitchen", "hall", "garden"];

/// Where somebody talks without end.
const ENDLESS: &str = "garden";
/// What a kill may cost of a file: the page that was not whole (1 s), and what waited for packets before it (200 ms) or to be
/// written (100 ms).
const LOSS: Duration = Duration::from_millis(1_300);

/// Talks until the task is ended: in turns of up to two seconds, or first for as long as the speech lasts.
async fn talk(ticket: String, is_endless: bool, mut random: Random) {
    let said = speech("host.wav");
    let room = Room::join(&ticket).await.unwrap();
    if is_endless {
        drop(say(&room, "mic", &said).await);
    }
    for turn in 0.. {
        let frames = 10 + random.below(90);
        let pcm = &said[..usize::try_from(frames).unwrap() * FRAME];
        drop(say(&room, &format!("mic-{turn}"), pcm).await);
        random.pause(200).await;
    }
}

async fn all_of(api: &Api, path: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut page = format!("{path}&limit=200");
    loop {
        let list = api.get(&page).await;
        for entry in list["data"].as_array().unwrap() {
            found.insert(entry["id"].as_str().unwrap().to_owned(), entry.clone());
        }
        match list["next_cursor"].as_str() {
            Some(cursor) => page = format!("{path}&limit=200&cursor={cursor}"),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_it_records_loses_nothing_that_was_stored() {
    let (kills, seed) = (number("PARLOUR_KILLS", 3), number("PARLOUR_SEED", 1));
    let mut random = Random::new(seed);
    let home = Home::sqlite();
    let config = config(&home);
    let mut process = Process::start(&home, &config).await;
    let key = process.made_key.clone().unwrap();
    let api_of = |process: &Process| {
        let mut config = config.clone();
        config.http.listen = process.url.trim_start_matches("http://").parse().unwrap();
        Api::at(&config, key.clone())
    };
    let mut api = api_of(&process);
    for room in ROOMS {
        let settings = json!({"name": room, "recording": {"mode": "audio"}});
        api.post("/v1/rooms", settings).await;
    }
    let mut heard = BTreeSet::new();
    let (mut repaired, mut worst) = (0, Duration::ZERO);
    for round in 0..kills {
        let context = format!("seed {seed}, round {round}");
        let mut people = JoinSet::new();
        let began = Instant::now();
        for room in ROOMS {
            let ticket = api.ticket(room, "anna", json!({})).await;
            people.spawn(talk(ticket, room == ENDLESS, random.another()));
        }
        random.pause(4_000).await;
        let ready = all_of(&api, "/v1/recordings?state=ready").await;
        process.kill().await;
        let killed = Timestamp::now();
        let lasted = began.elapsed();
        people.shutdown().await;

        process = Process::start(&home, &config).await;
        api = api_of(&process);
        // What was open or waited is repaired and stored.
        within(async {
            loop {
                let all = all_of(&api, "/v1/recordings?order=asc").await;
                let is_settled = |one: &Value| one["state"] == "ready" || one["state"] == "failed";
                if all.values().all(is_settled) {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let all = all_of(&api, "/v1/recordings?order=asc").await;
        for (id, was) in &ready {
            let is = &all[id];
            assert_eq!(
                (&is["state"], &is["sha256"]),
                (&json!("ready"), &was["sha256"]),
                "{context}"
            );
        }
        let new: Vec<_> = all
            .iter()
            .filter(|(id, _)| heard.insert((*id).clone()))
            .collect();
        for (id, recording) in &new {
            // One whose file has nothing yet when the server dies.
            if recording["state"] == "failed" {
                assert!(
                    ["file-missing", "damaged"].contains(&recording["error"].as_str().unwrap()),
                    "{context}: {recording}"
                );
                continue;
            }
            let file = download(&api, &home, recording).await;
            let length = Duration::from_millis(recording["duration_ms"].as_u64().unwrap());
            let decoded = decoded(&file).len() as f64 / 48_000.0;
            std::fs::remove_file(file).unwrap();
            assert!(
                (decoded - length.as_secs_f64()).abs() < 0.05,
                "{context}: {id}"
            );
            assert!(length <= lasted, "{context}: {recording}");
            if recording["stream"] == "mic" {
                let started: Timestamp = recording["started_at"].as_str().unwrap().parse().unwrap();
                let said = killed.as_millis() - started.as_millis();
                let said = Duration::from_millis(said.try_into().unwrap());
                worst = worst.max(said.saturating_sub(length));
                assert!(said <= length + LOSS, "{context}: {said:?}, {recording}");
            }
        }
        let events = all_of(&api, "/v1/events?type=server.recovered").await;
        let recovered = events
            .values()
            .filter_map(|event| event["data"]["recordings"].as_u64());
        repaired = recovered.sum();
        println!(
            "{context}: killed after {lasted:?}; {} new recordings, {} ready before",
            new.len(),
            ready.len()
        );
    }
    process.kill().await;
    println!(
        "{} recordings, {repaired} of them repaired; at most {worst:?} of one lost",
        heard.len()
    );
    assert!(repaired > 0, "nothing was recorded at any kill");
}
