//! Recordings: what was said is in the files, at its place, whatever happens to server, disk and store.
//!
//! `PARLOUR_TEST_S3` names a server of S3 on this machine: `.ci/s3 cargo test -p parlour-server --test recordings`.

mod common;

use std::path::Path;
use std::time::Duration;

use base16ct::lower::encode_string;
use common::process::Process;
use common::recorded::*;
use common::*;
use parlour_examples::{measure, wav};
use parlour_server::config::StorePlace;
use parlour_tokio::core::audio::codec::SampleRate;
use parlour_tokio::core::audio::level::level;
use parlour_tokio::{Event, Room, RoomEvent};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tokio::time::sleep;

/// Where the first sound is, in seconds.
fn first_sound(pcm: &[i16]) -> f32 {
    let first = pcm.chunks(FRAME).position(|piece| level(piece) < 50);
    first.unwrap() as f32 / 50.0
}

/// How similar speech is to what was heard, from 0 to 1.
fn similarity(said: &[i16], heard: &[i16]) -> f64 {
    let from = |pcm: &[i16]| wav::resample(pcm, SampleRate::Hz48000, measure::RATE);
    measure::find(&from(said), &from(heard)).similarity
}

async fn session_of(api: &Api, room: &Room) -> String {
    let id = room.session().unwrap().to_string();
    api.until("/v1/sessions?state=active", |list| {
        list.iter().any(|session| session["id"] == id.as_str())
    })
    .await;
    id
}

/// Two talk over each other by streams of the same key, and are told that they are recorded. Each is a file of its own that has
/// what was said, when it was said.
#[tokio::test(flavor = "multi_thread")]
async fn what_two_say_is_in_their_files_at_its_place() {
    let said = speech("host.wav")[..48_000 * 4].to_vec();
    let other = speech("device.wav")[..48_000 * 3].to_vec();
    for home in Home::all().await {
        let api = Api::start(config(&home)).await;
        let anna = api.join("kitchen", "anna").await;
        let ben = api.join("kitchen", "ben").await;
        let session = session_of(&api, &anna).await;
        let path = format!("/v1/sessions/{session}/recording");
        assert_eq!(api.get(&path).await["active"], false);
        let mut events = ben.events();
        let (status, recorded) = record(&api, &session, json!("all")).await;
        assert_eq!((status, &recorded["active"]), (200, &json!(true)));
        assert_eq!(recorded["kinds"], json!(["audio"]));
        let about = api.get(&format!("/v1/sessions/{session}")).await;
        assert_eq!(about["recording"], true);
        within(async {
            loop {
                let event = events.next().await.unwrap();
                if let Event::Room(RoomEvent::RecordingChanged(is_recorded)) = event {
                    return assert!(is_recorded);
                }
            }
        })
        .await;
        let late = Duration::from_millis(1_500);
        let (mic, other_mic) = tokio::join!(say(&anna, "mic", &said), async {
            sleep(late).await;
            say(&ben, "mic", &other).await
        });
        let open = recordings(&api, "recording", 2).await;
        let refused = api
            .call(
                Method::DELETE,
                &format!("/v1/recordings/{}", open[0]["id"].as_str().unwrap()),
                Value::Null,
            )
            .await;
        assert_eq!(refused.0, 409);
        assert_eq!(refused.1["type"], "urn:parlour:problem:recording-active");
        let body = json!({"filter": {"room": ["kitchen"]}});
        let refused = api.post_refused("/v1/recordings/delete", body).await;
        assert_eq!(refused["type"], "urn:parlour:problem:recording-active");
        drop((mic, other_mic));
        within(anna.leave()).await;
        within(ben.leave()).await;
        let ready = recordings(&api, "ready", 2).await;
        assert_eq!(all(&ready, "participant"), ["anna", "ben"]);
        assert_eq!(all(&ready, "stream"), ["mic", "mic"]);
        for (recording, pcm) in ready.iter().zip([&said, &other]) {
            let heard = decoded(&download(&api, &home, recording).await);
            let found = similarity(pcm, &heard);
            assert!(found > 0.7, "{found}: {recording}");
            let (length, stated) = (
                heard.len() as f64 / 48.0,
                recording["duration_ms"].as_f64().unwrap(),
            );
            assert!((length - stated).abs() < 50.0, "{length} ms: {recording}");
            // It begins with the first word.
            let first = first_sound(&heard) - first_sound(pcm);
            assert!(first.abs() < 0.3, "{first} s: {recording}");
        }
        let at = |recording: &Value| {
            let text = recording["started_at"].as_str().unwrap();
            text.parse::<parlour_server::time::Timestamp>().unwrap()
        };
        let apart = at(&ready[1]).since(at(&ready[0]));
        assert!(
            apart.abs_diff(late) < Duration::from_millis(400),
            "{apart:?}"
        );

        // The folder is of use without this server.
        let store = home.path().join("recordings");
        let folder = store.join("kitchen").join(&session);
        let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let listed = manifest["recordings"].as_array().unwrap();
        assert_eq!(listed.len(), 2);
        for (listed, recording) in listed.iter().zip(&ready) {
            let bytes = std::fs::read(folder.join(listed["file"].as_str().unwrap())).unwrap();
            assert_eq!(recording["sha256"], encode_string(&Sha256::digest(bytes)));
        }
        let apart = listed[1]["from_ms"].as_i64().unwrap() - listed[0]["from_ms"].as_i64().unwrap();
        assert_eq!(apart, at(&ready[1]).as_millis() - at(&ready[0]).as_millis());
        assert_eq!(files(&store).len(), 5);
        assert_eq!(files(&home.path().join("spool")), Vec::<String>::new());

        // What became of them follows the end of the session.
        let events = api
            .get(&format!("/v1/events?session={session}&order=asc&limit=200"))
            .await;
        let events = events["data"].as_array().unwrap().clone();
        let kinds = all(&events, "type");
        let count = |kind: &str| kinds.iter().filter(|each| **each == kind).count();
        assert_eq!(
            (count("recording.started"), count("recording.ready")),
            (2, 2)
        );
        assert_eq!(kinds[0], "session.started");
        api.stop().await;
    }
}

/// A room that is recorded from the beginning; ranges of a file; deleting many, after counting them.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_recorded_by_its_settings_and_files_are_given_and_deleted() {
    for home in Home::all().await {
        let api = Api::start(config(&home)).await;
        let settings = json!({"recording": {"mode": "audio", "retention_days": 3}});
        let (status, room) = api.call(Method::PUT, "/v1/rooms/studio", settings).await;
        assert_eq!(
            (status, &room["recording"]["retention_days"]),
            (201, &json!(3))
        );
        let anna = api.join("studio", "anna").await;
        let session = session_of(&api, &anna).await;
        let path = format!("/v1/sessions/{session}/recording");
        within(async {
            while api.get(&path).await["active"] != true {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let said = speech("host.wav")[..48_000].to_vec();
        // A stream that is published anew is another file.
        for _ in 0..2 {
            drop(say(&anna, "mic", &said).await);
        }
        let (status, _) = api.call(Method::DELETE, &path, Value::Null).await;
        assert_eq!(status, 204);
        assert_eq!(api.get(&path).await["active"], false);
        let about = api.get(&format!("/v1/sessions/{session}")).await;
        assert_eq!(about["recording"], false);
        let ready = recordings(&api, "ready", 2).await;
        for recording in &ready {
            let time = |member: &str| {
                let text = recording[member].as_str().unwrap();
                text.parse::<parlour_server::time::Timestamp>().unwrap()
            };
            let days = time("expires_at").since(time("ended_at"));
            assert_eq!(days, Duration::from_secs(3 * 24 * 3_600));
        }
        drop(say(&anna, "mic", &said[..FRAME]).await);
        within(anna.leave()).await;
        // After the stop, nothing was recorded.
        assert_eq!(
            api.get("/v1/recordings").await["data"]
                .as_array()
                .unwrap()
                .len(),
            2
        );

        let whole = content(&api, &ready[0], None).await;
        assert_eq!(whole.headers()["content-type"], "audio/ogg");
        assert_eq!(whole.headers()["accept-ranges"], "bytes");
        let whole = within(whole.bytes()).await.unwrap();
        let size = whole.len();
        for (asked, expected) in [
            ("bytes=0-99", 0..100),
            ("bytes=100-", 100..size),
            ("bytes=-50", size - 50..size),
        ] {
            let part = content(&api, &ready[0], Some(asked)).await;
            assert_eq!(part.status(), 206, "{asked}");
            let says = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
            assert_eq!(part.headers()["content-range"], says.as_str());
            let bytes = within(part.bytes()).await.unwrap();
            assert_eq!(bytes, whole[expected], "{asked}");
        }
        let outside = content(&api, &ready[0], Some(&format!("bytes={size}-"))).await;
        assert_eq!(outside.status(), 416);
        let says = format!("bytes */{size}");
        assert_eq!(outside.headers()["content-range"], says.as_str());
        let outside = within(outside.bytes()).await.unwrap();
        let outside: Value = serde_json::from_slice(&outside).unwrap();
        assert_eq!(outside["type"], "urn:parlour:problem:range-not-satisfiable");

        // The store has lost a file.
        let folder = home.path().join("recordings/studio").join(&session);
        let id = ready[1]["id"].as_str().unwrap();
        std::fs::remove_file(folder.join(format!("anna-mic-{id}.opus"))).unwrap();
        let lost = content(&api, &ready[1], None).await;
        assert_eq!(lost.status(), 503);
        let lost: Value = serde_json::from_slice(&within(lost.bytes()).await.unwrap()).unwrap();
        assert_eq!(lost["type"], "urn:parlour:problem:store-unavailable");

        let filter = json!({"room": ["studio"], "min_duration_ms": 1});
        let many = |dry_run: bool| json!({"filter": filter, "dry_run": dry_run});
        let counted = api.post("/v1/recordings/delete", many(true)).await;
        let bytes: i64 = ready.iter().map(|one| one["size"].as_i64().unwrap()).sum();
        assert_eq!(counted, json!({"deleted": 2, "bytes": bytes}));
        assert_eq!(recordings(&api, "ready", 2).await.len(), 2);
        for what in [json!({"filter": filter}), json!({"ids": ["rec_1"]})] {
            let mut what = what;
            what["expected"] = json!(3);
            let refused = api.post_refused("/v1/recordings/delete", what).await;
            assert_eq!(refused["type"], "urn:parlour:problem:count-changed");
        }
        assert_eq!(recordings(&api, "ready", 2).await.len(), 2);
        for bad in [
            json!({}),
            json!({"filter": {}}),
            json!({"ids": ["rec_1"], "filter": {"room": ["studio"]}}),
        ] {
            let refused = api.post_refused("/v1/recordings/delete", bad).await;
            assert_eq!(refused["type"], "urn:parlour:problem:validation");
        }
        let deleted = api.post("/v1/recordings/delete", many(false)).await;
        assert_eq!(deleted, counted);
        assert_eq!(content(&api, &ready[0], None).await.status(), 404);
        within(async {
            while !files(&home.path().join("recordings")).is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let told = api.get("/v1/events?type=recording.deleted").await;
        assert_eq!(told["data"].as_array().unwrap().len(), 2);
        api.stop().await;
    }
}

/// So many ms of a loud tone at 48 kHz, or of a faint and even noise.
fn sound(ms: usize, is_loud: bool) -> Vec<i16> {
    let mut noise = 1_u32;
    let samples = (0..ms * 48).map(|n| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match is_loud {
            true => ((n as f64 * 0.05).sin() * 8_000.0) as i16,
            // −56 dBov.
            false => ((noise >> 16) as u16 as i16) / 360,
        }
    });
    samples.collect()
}

/// Two speak with pauses, beside a fan; what is told of them is where they spoke, until they are erased.
#[tokio::test(flavor = "multi_thread")]
async fn who_spoke_when_is_told_of_recordings_and_of_their_session() {
    // What each says: ms of noise, of tone, of noise, and so on. Anna's 400 ms are a pause within what she says.
    let said = [
        ("anna", &[300, 1_000, 1_200, 500, 400, 500, 200][..]),
        ("ben", &[1_500, 700, 800, 600, 2_000]),
    ];
    let expected = [
        ("anna", vec![(300, 1_300), (2_500, 3_900)]),
        ("ben", vec![(1_500, 2_200), (3_000, 3_600)]),
    ];
    for home in Home::all().await {
        let api = Api::start(config(&home)).await;
        let (anna, ben) = (
            api.join("kitchen", "anna").await,
            api.join("kitchen", "ben").await,
        );
        let session = session_of(&api, &anna).await;
        record(&api, &session, json!("all")).await;
        let mut mics = [publish(&anna, "mic").await, publish(&ben, "mic").await];
        let began = parlour_server::time::Timestamp::now();
        let [anna_mic, ben_mic] = &mut mics;
        let pcm = |who: usize| {
            let parts = said[who].1.iter().enumerate();
            let pcm: Vec<_> = parts.flat_map(|(n, ms)| sound(*ms, n % 2 == 1)).collect();
            pcm
        };
        let (anna_says, ben_says) = (pcm(0), pcm(1));
        tokio::join!(speak(anna_mic, &anna_says), speak(ben_mic, &ben_says));
        let path = format!("/v1/sessions/{session}/marks");
        let early = api.get(&path).await;
        // Nothing is stored yet.
        let early = early["data"].as_array().unwrap();
        assert!(early.iter().all(|lane| lane["complete"] == false));
        assert_eq!(early.len(), 2);
        drop(mics);
        within(anna.leave()).await;
        within(ben.leave()).await;
        let mut ready = recordings(&api, "ready", 2).await;
        // They begin at once.
        ready.sort_by_key(|one| one["participant"].to_string());
        let time = |of: &Value| {
            let text = of["started_at"].as_str().unwrap();
            text.parse::<parlour_server::time::Timestamp>()
                .unwrap()
                .as_millis()
        };
        let of_session = api.get(&path).await;
        let session_began = time(&api.get(&format!("/v1/sessions/{session}")).await);
        let lanes = of_session["data"].as_array().unwrap();
        assert_eq!(lanes.len(), 2);
        for (recording, (who, expected)) in ready.iter().zip(&expected) {
            let id = recording["id"].as_str().unwrap();
            let own = api.get(&format!("/v1/recordings/{id}/marks")).await;
            let own = &own["data"][0];
            let lane = lanes
                .iter()
                .find(|lane| lane["participant"] == *who)
                .unwrap();
            for (lane, zero) in [(own, time(recording)), (lane, session_began)] {
                assert_eq!(
                    (&lane["participant"], &lane["complete"]),
                    (&json!(who), &json!(true))
                );
                let found: Vec<_> = (lane["speech"].as_array().unwrap().iter())
                    .map(|mark| ["from_ms", "to_ms"].map(|end| mark[end].as_i64().unwrap()))
                    .collect();
                assert_eq!(found.len(), expected.len(), "{lane}");
                for (found, (from, to)) in found.iter().zip(expected) {
                    let at = found.map(|place| place + zero - began.as_millis());
                    let is_near = (at[0] - from).abs() <= 100 && (at[1] - to).abs() <= 100;
                    assert!(is_near, "{at:?} is not {from} to {to}");
                }
            }
        }
        // It goes with the recordings.
        let erasure = api
            .post("/v1/erasures", json!({"participant": "anna"}))
            .await;
        let erasure = format!("/v1/erasures/{}", erasure["id"].as_str().unwrap());
        within(async {
            while api.get(&erasure).await["state"] != "done" {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let left = api.get(&path).await;
        let [ben, erased] = &left["data"].as_array().unwrap()[..] else {
            panic!("of whom nothing is known is told last: {left}");
        };
        assert_eq!(ben["participant"], "ben");
        assert!(
            erased["participant"]
                .as_str()
                .unwrap()
                .starts_with("erased-")
        );
        assert_eq!(
            (&erased["speech"], &erased["complete"]),
            (&json!([]), &json!(false))
        );
        let stored = files(&home.path().join("recordings"));
        assert!(
            stored.iter().all(|name| !name.contains("anna")),
            "{stored:?}"
        );
        let id = ready[0]["id"].as_str().unwrap();
        let gone = format!("/v1/recordings/{id}/marks");
        assert_eq!(api.call(Method::GET, &gone, Value::Null).await.0, 404);
        api.stop().await;
    }
}

/// Who may do what.
#[tokio::test(flavor = "multi_thread")]
async fn recordings_have_a_scope_of_their_own() {
    let home = Home::sqlite();
    let mut api = Api::start(config(&home)).await;
    let anna = api.join("kitchen", "anna").await;
    let session = session_of(&api, &anna).await;
    let made = api
        .post("/v1/keys", json!({"id": "reader", "scopes": ["read"]}))
        .await;
    let first = std::mem::replace(
        &mut api.key,
        format!("reader.{}", made["secret"].as_str().unwrap()),
    );
    let path = format!("/v1/sessions/{session}/recording");
    assert_eq!(api.get(&path).await["active"], false);
    assert_eq!(record(&api, &session, json!("all")).await.0, 403);
    assert_eq!(api.call(Method::DELETE, &path, Value::Null).await.0, 403);
    let content = api
        .call(Method::GET, "/v1/recordings/rec_1/content", Value::Null)
        .await;
    assert_eq!(content.0, 403);
    api.key = first;
    assert_eq!(record(&api, &session, json!([])).await.0, 422);
    assert_eq!(record(&api, &"0".repeat(32), json!("all")).await.0, 404);
    within(anna.leave()).await;
    api.until("/v1/sessions?state=ended", |list| list.len() == 1)
        .await;
    assert_eq!(record(&api, &session, json!("all")).await.0, 409);
    api.stop().await;
}

/// Names that mean something to a file system stay names.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_stay_in_their_folder() {
    let home = Home::sqlite();
    let api = Api::start(config(&home)).await;
    let evil = api.join("...", "../../../evil").await;
    let session = session_of(&api, &evil).await;
    let (status, _) = record(&api, &session, json!(["../../../evil"])).await;
    assert_eq!(status, 200);
    drop(say(&evil, "/etc/x%00\\", &speech("host.wav")[..48_000]).await);
    within(evil.leave()).await;
    let ready = recordings(&api, "ready", 1).await;
    download(&api, &home, &ready[0]).await;
    let id = ready[0]["id"].as_str().unwrap();
    let expected = format!("%2E../{session}/%2E.%2F..%2F..%2Fevil-%2Fetc%2Fx%2500%5C-{id}.opus");
    let stored = files(&home.path().join("recordings"));
    assert!(stored.contains(&expected), "{stored:?}");
    assert_eq!(stored.len(), 3);
    api.stop().await;
}

/// The server is killed while somebody talks. After its start the file is whole, and as long as what was said.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_killed_server_is_whole() {
    let said = speech("host.wav")[..48_000 * 5].to_vec();
    for home in Home::all().await {
        let config = config(&home);
        let process = Process::start(&home, &config).await;
        let mut config = config;
        config.http.listen = process.url.trim_start_matches("http://").parse().unwrap();
        let key = process.made_key.clone().unwrap();
        let api = Api::at(&config, key.clone());
        let anna = api.join("kitchen", "anna").await;
        let session = session_of(&api, &anna).await;
        assert_eq!(record(&api, &session, json!("all")).await.0, 200);
        let mic = say(&anna, "mic", &said).await;
        recordings(&api, "recording", 1).await;
        process.kill().await;
        drop((mic, anna));
        config.http.listen.set_port(0);
        let process = Process::start(&home, &config).await;
        config.http.listen = process.url.trim_start_matches("http://").parse().unwrap();
        let api = Api::at(&config, key);
        let ready = recordings(&api, "ready", 1).await;
        let length = ready[0]["duration_ms"].as_f64().unwrap();
        assert!((4_000.0..=6_000.0).contains(&length), "{length} ms");
        let heard = decoded(&download(&api, &home, &ready[0]).await);
        assert!((heard.len() as f64 / 48.0 - length).abs() < 50.0);
        let found = similarity(&said[..48_000 * 4], &heard);
        assert!(found > 0.7, "{found}");
        let recovered = api.get("/v1/events?type=server.recovered").await;
        assert_eq!(recovered["data"][0]["data"]["recordings"], 1);
        process.kill().await;
    }
}

/// A file that was copied while the server wrote it is made whole without the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_file_that_is_written_is_repaired() {
    let home = Home::sqlite();
    let api = Api::start(config(&home)).await;
    let anna = api.join("kitchen", "anna").await;
    let session = session_of(&api, &anna).await;
    assert_eq!(record(&api, &session, json!("all")).await.0, 200);
    let mic = say(&anna, "mic", &speech("host.wav")[..48_000 * 3]).await;
    let spool = api.config.spool();
    let name = files(&spool)
        .into_iter()
        .find(|name| name.ends_with(".opus"));
    let whole = std::fs::read(spool.join(name.unwrap())).unwrap();
    let copy = home.path().join("copy.opus");
    std::fs::write(&copy, &whole[..whole.len() - 7]).unwrap();
    let repair = async |file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
        command
            .args(["recording", "repair", "-o", "json"])
            .arg(file);
        within(command.output()).await.unwrap()
    };
    let output = repair(&copy).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let length = told["duration_ms"].as_f64().unwrap();
    assert!((500.0..=3_200.0).contains(&length), "{told}");
    assert_eq!(told["size"], std::fs::metadata(&copy).unwrap().len());
    assert!((decoded(&copy).len() as f64 / 48.0 - length).abs() < 50.0);
    // Again, nothing is left to do; what is no recording stays as it is.
    let output = repair(&copy).await;
    assert_eq!(
        serde_json::from_slice::<Value>(&output.stdout).unwrap(),
        told
    );
    std::fs::write(&copy, "a letter").unwrap();
    let output = repair(&copy).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("nothing to repair"),
        "{said}"
    );
    assert_eq!(std::fs::read(&copy).unwrap(), b"a letter");
    drop(mic);
    within(anna.leave()).await;
    api.stop().await;
}

/// A server that ends closes its files, and stores them at its next start if it had no time for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_closes_its_files() {
    let home = Home::sqlite();
    let api = Api::start(config(&home)).await;
    let anna = api.join("kitchen", "anna").await;
    let session = session_of(&api, &anna).await;
    assert_eq!(record(&api, &session, json!("all")).await.0, 200);
    let mic = say(&anna, "mic", &speech("host.wav")[..96_000]).await;
    api.stop().await;
    drop((mic, anna));
    let api = Api::start(config(&home)).await;
    let ready = recordings(&api, "ready", 1).await;
    let length = ready[0]["duration_ms"].as_f64().unwrap();
    assert!((1_500.0..=3_000.0).contains(&length), "{length} ms");
    // It needed no repair.
    let recovered = api.get("/v1/events?type=server.recovered").await;
    assert_eq!(recovered["data"], json!([]));
    decoded(&download(&api, &home, &ready[0]).await);
    api.stop().await;
}

/// With too little of the disk free nothing begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told() {
    let home = Home::sqlite();
    let mut config = config(&home);
    config.recordings.keep_free_mib = u64::MAX >> 20;
    let api = Api::start(config).await;
    let anna = api.join("kitchen", "anna").await;
    let session = session_of(&api, &anna).await;
    let (status, refused) = record(&api, &session, json!("all")).await;
    assert_eq!(status, 409);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("keep_free_mib")
    );
    within(anna.leave()).await;
    api.stop().await;
}

/// While more than the limit waits to be stored, what is recorded goes on, and nothing else begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_is_told() {
    let home = Home::sqlite();
    let mut config = config(&home);
    config.recordings.spool_limit_mib = Some(0);
    // A file where the store's folder would be.
    let store = home.path().join("store");
    std::fs::write(&store, []).unwrap();
    config.recordings.store = Some(StorePlace::Folder(store));
    let api = Api::start(config).await;
    let anna = api.join("kitchen", "anna").await;
    let session = session_of(&api, &anna).await;
    assert_eq!(record(&api, &session, json!("all")).await.0, 200);
    let mic = say(&anna, "mic", &speech("host.wav")[..48_000]).await;
    recordings(&api, "recording", 1).await;
    let ben = api.join("hall", "ben").await;
    let other = session_of(&api, &ben).await;
    let (status, refused) = record(&api, &other, json!("all")).await;
    assert_eq!(status, 409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("spool_limit_mib"), "{detail}");
    // Another part of what is recorded can be chosen, and it can end.
    assert_eq!(record(&api, &session, json!(["anna"])).await.0, 200);
    drop(mic);
    within(anna.leave()).await;
    recordings(&api, "storing", 1).await;
    within(ben.leave()).await;
    api.stop().await;
}

/// An erased participant's recordings are gone, with their files.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_deletes_recordings() {
    for home in Home::all().await {
        let api = Api::start(config(&home)).await;
        let anna = api.join("kitchen", "anna-7f3a").await;
        let ben = api.join("kitchen", "ben").await;
        let session = session_of(&api, &anna).await;
        assert_eq!(record(&api, &session, json!("all")).await.0, 200);
        let said = speech("host.wav")[..48_000].to_vec();
        let (mic, other) = tokio::join!(say(&anna, "mic", &said), say(&ben, "mic", &said));
        drop((mic, other));
        within(anna.leave()).await;
        within(ben.leave()).await;
        recordings(&api, "ready", 2).await;
        api.until("/v1/participants?state=left", |left| left.len() == 2)
            .await;
        let erase = async |participant: &str| {
            let erasure = json!({"participant": participant});
            let erasure = api.post("/v1/erasures", erasure).await;
            format!("/v1/erasures/{}", erasure["id"].as_str().unwrap())
        };
        let done = async |path: &str| {
            within(async {
                while api.get(path).await["state"] != "done" {
                    sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        };
        // While the store is away, only those wait whose files it has.
        let (there, away) = (
            home.path().join("recordings/kitchen"),
            home.path().join("away"),
        );
        std::fs::rename(&there, &away).unwrap();
        std::fs::write(&there, "no folder").unwrap();
        let path = erase("anna-7f3a").await;
        done(&erase("carol").await).await;
        assert_ne!(api.get(&path).await["state"], "done");
        std::fs::remove_file(&there).unwrap();
        std::fs::rename(&away, &there).unwrap();
        done(&path).await;
        let left = recordings(&api, "ready", 1).await;
        assert_eq!(left[0]["participant"], "ben");
        let stored = files(&home.path().join("recordings"));
        assert_eq!(stored.len(), 3, "{stored:?}");
        assert!(
            !stored.iter().any(|name| name.contains("anna")),
            "{stored:?}"
        );
        let folder = home.path().join("recordings/kitchen").join(&session);
        let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
        assert!(manifest.contains("ben") && !manifest.contains("anna"));
        let events = api.get("/v1/events?limit=200").await.to_string();
        assert!(events.contains("recording.deleted") && !events.contains("anna-7f3a"));
        api.stop().await;
    }
}

/// The store is an S3.
#[tokio::test(flavor = "multi_thread")]
async fn an_s3_stores_and_gives_and_deletes() {
    let Ok(endpoint) = std::env::var("PARLOUR_TEST_S3") else {
        eprintln!("skipped: PARLOUR_TEST_S3 names no S3; `.ci/s3` starts one");
        return;
    };
    let http = http();
    let made = within(http.put(format!("{endpoint}/recordings")).send()).await;
    assert!(made.unwrap().status().is_success());
    let home = Home::sqlite();
    let mut config = config(&home);
    config.recordings.store = Some("s3://recordings/of/mine".parse::<StorePlace>().unwrap());
    config.recordings.endpoint = Some(endpoint.parse().unwrap());
    config.recordings.region = Some("eu-central-1".to_owned());
    // In a process of its own: credentials come by its environment.
    let process = Process::start_with(
        &home,
        &config,
        &[
            ("AWS_ACCESS_KEY_ID", "somebody"),
            ("AWS_SECRET_ACCESS_KEY", "a secret"),
        ],
    )
    .await;
    config.http.listen = process.url.trim_start_matches("http://").parse().unwrap();
    let api = Api::at(&config, process.made_key.clone().unwrap());
    let anna = api.join("kitchen", "anna").await;
    let session = session_of(&api, &anna).await;
    assert_eq!(record(&api, &session, json!("all")).await.0, 200);
    let said = speech("host.wav")[..96_000].to_vec();
    drop(say(&anna, "mic", &said).await);
    within(anna.leave()).await;
    let ready = recordings(&api, "ready", 1).await;
    let heard = decoded(&download(&api, &home, &ready[0]).await);
    assert!(similarity(&said, &heard) > 0.7);
    let part = content(&api, &ready[0], Some("bytes=0-3")).await;
    assert_eq!(&within(part.bytes()).await.unwrap()[..], b"OggS");
    let listed = async || {
        let list = http.get(format!(
            "{endpoint}/recordings?list-type=2&prefix=of/mine/kitchen/"
        ));
        within(within(list.send()).await.unwrap().text())
            .await
            .unwrap()
    };
    assert_eq!(listed().await.matches("<Key>").count(), 3);
    let path = format!("/v1/recordings/{}", ready[0]["id"].as_str().unwrap());
    assert_eq!(api.call(Method::DELETE, &path, Value::Null).await.0, 204);
    within(async {
        while listed().await.contains("<Key>") {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    process.kill().await;
}
