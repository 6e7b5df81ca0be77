//! Compositions: everybody is heard at the right time, whatever happens to server, process and store.
//!
//! Recordings are put into the tables and the store by hand, so that it is known to the sample what is in them.
//! `PARLOUR_TEST_S3` names a server of S3 on this machine: `.ci/s3 cargo test -p parlour-server --test compositions`.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::process::Process;
use common::*;
use parlour_files::{Source, WavFile};
use parlour_server::config::{Config, StorePlace};
use parlour_server::store::{ClosedRecording, RecordingRow, Store, StoreError};
use parlour_server::time::{Moment, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

const SESSION: &str = "9f0c4b7a5d2e4f6189ab3c5d7e9f0a1b";
/// Samples in a ms.
const MS: usize = 48;

fn config(home: &Home) -> Config {
    let mut config = home.config();
    // However full the disk of this machine is.
    (
        config.recordings.keep_free_mib,
        config.recordings.keep_free_percent,
    ) = (0, 0);
    // These tests are another program.
    config.compositions.program = Some(env!("CARGO_BIN_EXE_parlour").into());
    config
}

/// A recording: a constant value for so many ms, from so many ms of the session on.
#[derive(Clone)]
struct Recorded {
    participant: &'static str,
    start_ms: u64,
    length_ms: u64,
    value: i16,
    is_stored: bool,
    anchors: Value,
    /// Where somebody speaks in it; an older version did not write that down.
    speech: Option<Value>,
}

fn recorded(participant: &'static str, start_ms: u64, length_ms: u64, value: i16) -> Recorded {
    Recorded {
        participant,
        start_ms,
        length_ms,
        value,
        is_stored: true,
        anchors: json!([]),
        speech: None,
    }
}

fn marks(ends: &[(u64, u64)]) -> Value {
    let mark = |(from, to): &(u64, u64)| json!({"from_ms": from, "to_ms": to});
    ends.iter().map(mark).collect()
}

impl Recorded {
    fn speaking(self, ends: &[(u64, u64)]) -> Self {
        Self {
            speech: Some(marks(ends)),
            ..self
        }
    }

    fn id(&self) -> String {
        format!("rec_{}-{}", self.value, self.start_ms)
    }

    fn file(&self, home: &Home) -> PathBuf {
        let name = format!("{}-mic-{}.wav", self.participant, self.id());
        let folder = home.path().join("recordings/kitchen").join(SESSION);
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }
}

/// Tables of a server that has recorded a session in the past.
async fn seed(home: &Home, all: &[Recorded]) {
    // It makes the keys.
    home.serve().await.stop().await;
    let began = Timestamp::now().before(Duration::from_secs(3_600));
    let store = Store::open(&home.config().place()).await.unwrap();
    for one in all {
        let samples = usize::try_from(one.length_ms).unwrap() * MS;
        let mut file = WavFile::create_new(&one.file(home), 48_000).unwrap();
        file.write(&vec![one.value; samples]).unwrap();
        file.finish().unwrap();
        let mut sidecar = one.file(home).into_os_string();
        sidecar.push(".json");
        let mut about = json!({"anchors": one.anchors});
        if let Some(speech) = &one.speech {
            about["speech"] = speech.clone();
        }
        std::fs::write(sidecar, about.to_string()).unwrap();
    }
    let all: Vec<_> = all
        .iter()
        .map(|one| {
            let size = std::fs::metadata(one.file(home)).unwrap().len();
            (one.clone(), i64::try_from(size).unwrap())
        })
        .collect();
    let written: Result<(), StoreError> = store
        .write(move |tx| {
            Box::pin(async move {
                let moment = Moment {
                    at: began,
                    up: None,
                };
                tx.begin_session(SESSION, "kitchen", moment).await?;
                for (one, size) in &all {
                    let started_at = began.after(Duration::from_millis(one.start_ms));
                    let row = RecordingRow {
                        id: one.id(),
                        room: "kitchen".to_owned(),
                        session: SESSION.to_owned(),
                        participant: one.participant.to_owned(),
                        stream: "mic".to_owned(),
                        kind: "audio".to_owned(),
                        codec: "pcmu".to_owned(),
                        state: "recording".to_owned(),
                        started_at,
                        ended_at: None,
                        duration_ms: None,
                        size: None,
                        sha256: None,
                        lost_ms: None,
                        silent_ms: None,
                        expires_at: None,
                        error: None,
                        is_spooled: true,
                        is_stored: false,
                        deleted_at: None,
                    };
                    tx.begin_recording(&row).await?;
                    let ended_at = started_at.after(Duration::from_millis(one.length_ms));
                    let closed = ClosedRecording {
                        ended_at,
                        duration_ms: i64::try_from(one.length_ms).unwrap(),
                        size: *size,
                        lost_ms: None,
                        silent_ms: None,
                        expires_at: Some(ended_at.after(Duration::from_secs(24 * 3_600))),
                        error: None,
                    };
                    tx.close_recording(&row.id, &closed).await?;
                    if one.is_stored {
                        tx.store_recording(&row.id, *size, "00").await?;
                    }
                }
                let ended = began.after(Duration::from_secs(600));
                tx.end_session(SESSION, ended, "left").await?;
                Ok(())
            })
        })
        .await;
    written.unwrap();
    store.close().await;
}

async fn compose(api: &Api, mut request: Value) -> String {
    request["session"] = SESSION.into();
    let (status, made) = api.call(Method::POST, "/v1/compositions", request).await;
    assert_eq!(status, 202, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

/// Waits until a composition is in that state.
async fn until(api: &Api, id: &str, state: &str) -> Value {
    let path = format!("/v1/compositions/{id}");
    within(async {
        loop {
            let composition = api.get(&path).await;
            if composition["state"] == state {
                return composition;
            }
            let is_over = ["ready", "failed", "cancelled"].map(Value::from);
            assert!(!is_over.contains(&composition["state"]), "{composition}");
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

async fn download(api: &Api, home: &Home, composition: &Value) -> PathBuf {
    let id = composition["id"].as_str().unwrap();
    let path = format!("/v1/compositions/{id}/content");
    let response = api.send(Method::GET, &path, None).await;
    assert_eq!(response.status(), 200);
    let ending = composition["format"].as_str().unwrap();
    let content_type = format!("audio/{ending}");
    assert_eq!(response.headers()["content-type"], content_type.as_str());
    let bytes = within(response.bytes()).await.unwrap();
    assert_eq!(composition["size"], bytes.len());
    let hash: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(composition["sha256"], hash);
    let file = home.path().join(id);
    std::fs::write(&file, bytes).unwrap();
    file
}

/// The channels of a WAV file, one value for each ms.
fn channels(file: &Path) -> Vec<Vec<i16>> {
    let mut reader = hound::WavReader::open(file).unwrap();
    let count = usize::from(reader.spec().channels);
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let channel = |index| {
        samples
            .iter()
            .skip(index)
            .step_by(count * MS)
            .copied()
            .collect()
    };
    (0..count).map(channel).collect()
}

/// A program in the place of the one that composes.
fn script(home: &Home, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = home.path().join("composer");
    let real = env!("CARGO_BIN_EXE_parlour");
    let log = home.path().join("log");
    let head = format!(
        "#!/bin/sh\nreal={real}\nlog={}\necho $$ >>$log\n",
        log.display()
    );
    std::fs::write(&path, head + text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// The process of each time that it was started.
fn started(home: &Home) -> Vec<String> {
    let log = std::fs::read_to_string(home.path().join("log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries
        .flat_map(|entry| {
            let entry = entry.unwrap();
            match entry.path().is_dir() {
                true => files(&entry.path()),
                false => vec![entry.file_name().into_string().unwrap()],
            }
        })
        .collect();
    files.sort();
    files
}

async fn until_gone(home: &Home, id: &str) {
    let has = || {
        files(&home.path().join("recordings"))
            .iter()
            .any(|name| name.starts_with(id))
    };
    within(async {
        while has() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Who speaks is heard at its time and on its side; a part of the session can be asked for; the events tell of it.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_heard_at_its_time() {
    for home in Home::all().await {
        let drifting = Recorded {
            // 5 s of the session are 4.9 s of its file. The anchors of an Ogg file would say the same.
            anchors: json!([
                {"place_ms": 0, "at_ms": 100}, {"place_ms": 1_000, "at_ms": 1_100}, {"place_ms": 4_000, "at_ms": 4_100},
            ]),
            ..recorded("carol", 4_000, 1_000, 300).speaking(&[(0, 900)])
        };
        seed(
            &home,
            &[
                recorded("anna", 2_000, 1_000, 100),
                recorded("ben", 2_500, 1_000, 20),
                drifting,
            ],
        )
        .await;
        let api = Api::start(config(&home)).await;

        let mix = compose(&api, json!({"format": "wav"})).await;
        let ready = until(&api, &mix, "ready").await;
        // From the first recording to the last.
        assert_eq!(
            (&ready["from_ms"], &ready["to_ms"]),
            (&json!(2_000), &json!(5_000))
        );
        // To be asked for again, as it was.
        assert_eq!(ready["asked"], json!({"from_ms": null, "to_ms": null}));
        assert_eq!(
            (&ready["duration_ms"], &ready["progress"]),
            (&json!(3_000), &json!(100))
        );
        assert_eq!(ready["audio"], json!({"mode": "mix"}));
        // Its marks are where its sound is.
        let told = api.get(&format!("/v1/compositions/{mix}/marks")).await;
        let carol =
            json!({"participant": "carol", "speech": marks(&[(2_100, 3_000)]), "complete": true});
        assert_eq!(told["data"][2], carol);
        let mixed = channels(&download(&api, &home, &ready).await).remove(0);
        let at = |ms: usize| mixed[ms - 2_000];
        assert_eq!(
            [at(2_001), at(2_499), at(2_501), at(2_999), at(3_001)],
            [100, 100, 120, 120, 20]
        );
        assert_eq!(
            [at(3_499), at(3_501), at(4_050), at(4_101), at(4_999)],
            [20, 0, 0, 300, 300]
        );

        let dual = json!({"format": "wav", "from_ms": 2_900, "to_ms": 3_100,
            "audio": {"mode": "dual", "left": ["anna"], "right": "rest"}});
        let ready = until(&api, &compose(&api, dual.clone()).await, "ready").await;
        assert_eq!(ready["audio"], dual["audio"]);
        assert_eq!(ready["asked"], json!({"from_ms": 2_900, "to_ms": 3_100}));
        let sides = channels(&download(&api, &home, &ready).await);
        assert_eq!((sides[0][99], sides[0][101]), (100, 0));
        assert_eq!((sides[1][99], sides[1][101]), (20, 20));
        assert_eq!(sides[0].len(), 200);

        let tracks = json!({"format": "wav", "audio": {"mode": "tracks"}});
        let ready = until(&api, &compose(&api, tracks).await, "ready").await;
        let tracks = channels(&download(&api, &home, &ready).await);
        assert_eq!(tracks.len(), 3);
        assert_eq!(
            (tracks[0][501], tracks[1][501], tracks[2][2_500]),
            (100, 20, 300)
        );

        let ogg = until(
            &api,
            &compose(&api, json!({"format": "ogg"})).await,
            "ready",
        )
        .await;
        let file = download(&api, &home, &ogg).await;
        let (mut source, mut pcm) = (Source::open(&file).unwrap(), Vec::new());
        while source.read(&mut pcm).unwrap() {}
        assert_eq!(pcm.len(), 3_000 * MS);
        let path = format!("/v1/compositions/{}/content", ogg["id"].as_str().unwrap());
        let part = api
            .http
            .get(format!("{}{path}", api.url))
            .bearer_auth(&api.key);
        let part = within(part.header("range", "bytes=0-3").send())
            .await
            .unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(&within(part.bytes()).await.unwrap()[..], b"OggS");

        for (query, count) in [
            (format!("session={SESSION}"), 4),
            ("room=kitchen&state=ready".to_owned(), 4),
            ("state=failed".to_owned(), 0),
            ("created_before=2026-01-01T00:00:00Z".to_owned(), 0),
        ] {
            let list = api.get(&format!("/v1/compositions?{query}")).await;
            assert_eq!(list["data"].as_array().unwrap().len(), count, "{query}");
        }
        let told = api.get("/v1/events?type=composition.ready").await;
        assert_eq!(told["data"].as_array().unwrap().len(), 4);
        let told = &told["data"][0];
        assert_eq!(told["session"], SESSION);
        assert_eq!(told["data"]["composition"]["sha256"], ogg["sha256"]);
        // It goes with the first of its recordings.
        let first = api.get("/v1/recordings/rec_100-2000").await;
        assert_eq!(ogg["expires_at"], first["expires_at"]);
        assert_eq!(files(&home.path().join("spool")), Vec::<String>::new());

        let path = format!("/v1/compositions/{mix}");
        for _ in 0..2 {
            assert_eq!(api.call(Method::DELETE, &path, Value::Null).await.0, 204);
        }
        assert_eq!(api.call(Method::GET, &path, Value::Null).await.0, 404);
        until_gone(&home, &mix).await;
        let told = api.get("/v1/events?type=composition.deleted").await;
        assert_eq!(told["data"].as_array().unwrap().len(), 1);
        api.stop().await;
    }
}

/// Who speaks when is told on the clock of the composition, and of the session; what is not known is said.
#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_when_is_told_on_its_clock() {
    for home in Home::all().await {
        let all = [
            recorded("anna", 2_000, 1_000, 100).speaking(&[(100, 950)]),
            recorded("ben", 2_500, 1_000, 20).speaking(&[(0, 550), (650, 1_000)]),
            // The same one again, and at once with what it says in the other.
            recorded("ben", 2_900, 1_000, 30).speaking(&[(0, 400), (900, 1_000)]),
            recorded("carol", 4_000, 1_000, 300),
        ];
        seed(&home, &all).await;
        let api = Api::start(config(&home)).await;
        let told = async |path: &str| {
            let told = api.get(&format!("/v1/{path}/marks")).await;
            assert_eq!(told["next_cursor"], Value::Null);
            told["data"].clone()
        };
        let lane = |participant: &str, ends: &[(u64, u64)], complete: bool| json!({"participant": participant, "speech": marks(ends), "complete": complete});
        assert_eq!(
            told("recordings/rec_20-2500").await,
            json!([lane("ben", &[(0, 550), (650, 1_000)], true)])
        );
        let session = format!("sessions/{SESSION}");
        assert_eq!(
            told(&session).await,
            json!([
                lane("anna", &[(2_100, 2_950)], true),
                lane("ben", &[(2_500, 3_500), (3_800, 3_900)], true),
                lane("carol", &[], false),
            ])
        );
        let mix = compose(&api, json!({"format": "wav"})).await;
        until(&api, &mix, "ready").await;
        let of_mix = format!("compositions/{mix}");
        assert_eq!(
            told(&of_mix).await,
            json!([
                lane("anna", &[(100, 950)], true),
                lane("ben", &[(500, 1_500), (1_800, 1_900)], true),
                lane("carol", &[], false),
            ])
        );
        let part = json!({"format": "wav", "from_ms": 2_920, "to_ms": 3_850});
        let part = compose(&api, part).await;
        until(&api, &part, "ready").await;
        assert_eq!(
            told(&format!("compositions/{part}")).await,
            json!([
                lane("anna", &[(0, 30)], true),
                lane("ben", &[(0, 580), (880, 930)], true),
            ])
        );
        // What was said in a recording that is deleted is not known any more.
        let gone = "/v1/recordings/rec_100-2000";
        assert_eq!(api.call(Method::DELETE, gone, Value::Null).await.0, 204);
        for path in [&of_mix, &session] {
            assert_eq!(told(path).await[2], lane("anna", &[], false));
        }
        for unknown in ["recordings/rec_1", "compositions/cmp_1", "sessions/0"] {
            let path = format!("/v1/{unknown}/marks");
            assert_eq!(api.call(Method::GET, &path, Value::Null).await.0, 404);
        }
        api.stop().await;
    }
}

/// Many are deleted at once, after they were counted; one that waits is cancelled by that.
#[tokio::test(flavor = "multi_thread")]
async fn many_are_deleted_after_they_were_counted() {
    for home in Home::all().await {
        let all = [recorded("anna", 0, 500, 1), recorded("ben", 0, 500, 2)];
        seed(&home, &all).await;
        let api = Api::start(config(&home)).await;
        let mut bytes = 0;
        for _ in 0..2 {
            let id = compose(&api, json!({"format": "wav"})).await;
            bytes += until(&api, &id, "ready").await["size"].as_i64().unwrap();
        }
        let failed = compose(&api, json!({"format": "ogg", "from_ms": 900})).await;
        until(&api, &failed, "failed").await;
        let path = "/v1/compositions/delete";
        for (pointer, bad) in [
            ("/ids", json!({})),
            ("/filter", json!({"filter": {}})),
            (
                "/filter",
                json!({"ids": ["cmp_1"], "filter": {"room": ["kitchen"]}}),
            ),
            ("/ids", json!({"ids": vec!["cmp_1"; 1_001]})),
        ] {
            let refused = api.post_refused(path, bad).await;
            assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
        }
        let left = async || {
            let list = api.get("/v1/compositions").await;
            list["data"].as_array().unwrap().len()
        };
        let filter = json!({"room": ["kitchen"], "state": ["ready", "cancelled"]});
        let many = |dry_run: bool| json!({"filter": filter, "dry_run": dry_run});
        let counted = api.post(path, many(true)).await;
        assert_eq!(counted, json!({"deleted": 2, "bytes": bytes}));
        let three = [
            json!({"filter": filter, "expected": 3}),
            json!({"ids": [failed], "expected": 3}),
        ];
        for what in three {
            let refused = api.post_refused(path, what).await;
            assert_eq!(refused["type"], "urn:parlour:problem:count-changed");
        }
        assert_eq!(left().await, 3);
        let two = json!({"filter": filter, "expected": 2});
        assert_eq!(api.post(path, two).await, counted);
        assert_eq!(left().await, 1);
        let none = json!({"deleted": 0, "bytes": 0});
        assert_eq!(api.post(path, many(false)).await, none);
        let ids = |dry_run: bool| json!({"ids": [failed, "cmp_1"], "dry_run": dry_run});
        let one = json!({"deleted": 1, "bytes": 0});
        assert_eq!(api.post(path, ids(true)).await, one);
        assert_eq!(left().await, 1);
        assert_eq!(api.post(path, ids(false)).await, one);
        assert_eq!(left().await, 0);
        within(async {
            let ended = |name: &String| !name.ends_with("wav") || name.contains("rec_");
            while !files(&home.path().join("recordings")).iter().all(ended) {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let told = api.get("/v1/events?type=composition.deleted").await;
        assert_eq!(told["data"].as_array().unwrap().len(), 3);
        api.stop().await;
    }
}

/// What cannot be is refused at once, and what turns out not to be is told of.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_composed_is_told() {
    let home = Home::sqlite();
    seed(
        &home,
        &[recorded("anna", 0, 100, 1), recorded("ben", 0, 100, 2)],
    )
    .await;
    std::fs::write(recorded("ben", 0, 100, 2).file(&home), b"OggS nonsense").unwrap();
    let mut api = Api::start(config(&home)).await;
    let dual = |left: Value, right: Value| json!({"mode": "dual", "left": left, "right": right});
    for (pointer, request) in [
        ("/session", json!({"session": "0", "format": "ogg"})),
        (
            "/format",
            json!({"session": SESSION, "format": "ogg", "audio": {"mode": "tracks"}}),
        ),
        (
            "/to_ms",
            json!({"session": SESSION, "format": "ogg", "from_ms": 9, "to_ms": 9}),
        ),
        (
            "/from_ms",
            json!({"session": SESSION, "format": "ogg", "from_ms": 604_800_001}),
        ),
        (
            "/audio/left",
            json!({"session": SESSION, "format": "ogg", "audio": {"left": "all"}}),
        ),
        (
            "/audio/right",
            json!({"session": SESSION, "format": "ogg", "audio": {"mode": "dual", "left": "all"}}),
        ),
        (
            "/audio/right",
            json!({"session": SESSION, "format": "ogg", "audio": dual("rest".into(), "rest".into())}),
        ),
        (
            "/audio/left/1",
            json!({"session": SESSION, "format": "ogg", "audio": dual(json!(["a", "b b"]), "rest".into())}),
        ),
    ] {
        let refused = api.post_refused("/v1/compositions", request.clone()).await;
        assert_eq!(
            refused["errors"][0]["pointer"], pointer,
            "{request} {refused}"
        );
    }
    for (request, code, says) in [
        (
            json!({"format": "ogg", "from_ms": 500}),
            "nothing-recorded",
            "in that time",
        ),
        // The file that ben's recording has become is another one than was stored.
        (json!({"format": "ogg"}), "compose-failed", "1.wav"),
    ] {
        let id = compose(&api, request).await;
        let failed = until(&api, &id, "failed").await;
        assert_eq!(failed["error"]["code"], code, "{failed}");
        let detail = failed["error"]["detail"].as_str().unwrap();
        assert!(
            detail.contains(says) && !detail.contains("spool"),
            "{detail}"
        );
        let content = api
            .send(Method::GET, &format!("/v1/compositions/{id}/content"), None)
            .await;
        assert_eq!(content.status(), 409);
        let cancelled = api
            .post_refused(&format!("/v1/compositions/{id}/cancel"), Value::Null)
            .await;
        assert_eq!(cancelled["type"], "urn:parlour:problem:not-possible");
    }
    std::fs::remove_file(recorded("ben", 0, 100, 2).file(&home)).unwrap();
    let failed = until(
        &api,
        &compose(&api, json!({"format": "wav"})).await,
        "failed",
    )
    .await;
    assert_eq!(failed["error"]["code"], "recording-missing");
    let told = api.get("/v1/events?type=composition.failed").await;
    assert_eq!(told["data"].as_array().unwrap().len(), 3);
    let unknown = api
        .call(Method::POST, "/v1/compositions/cmp_1/cancel", Value::Null)
        .await;
    assert_eq!(unknown.0, 404);

    let made = api
        .post("/v1/keys", json!({"id": "reader", "scopes": ["read"]}))
        .await;
    api.key = format!("reader.{}", made["secret"].as_str().unwrap());
    api.get("/v1/compositions").await;
    api.get(&format!("/v1/sessions/{SESSION}/marks")).await;
    for (method, path) in [
        (Method::POST, "/v1/compositions"),
        (Method::DELETE, "/v1/compositions/cmp_1"),
        (Method::POST, "/v1/compositions/delete"),
        (Method::POST, "/v1/compositions/cmp_1/cancel"),
        (Method::GET, "/v1/compositions/cmp_1/content"),
    ] {
        assert_eq!(api.call(method, path, json!({})).await.0, 403, "{path}");
    }
    api.key = api.first_key.clone();
    api.stop().await;
}

/// A process that crashes is tried again twice, one that says why not is not, and one that takes too long is ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_tried_again_and_an_error_is_not() {
    for (text, code, times, says) in [
        ("kill -9 $$", "crashed", 3, "signal: 9"),
        ("echo much >&2; exit 7", "crashed", 3, "much"),
        (
            "echo 'it is so' >&2; exit 1",
            "compose-failed",
            1,
            "it is so",
        ),
        ("exec sleep 60", "timed-out", 1, "longer than 1 s"),
    ] {
        let home = Home::sqlite();
        seed(&home, &[recorded("anna", 0, 100, 1)]).await;
        let mut config = config(&home);
        config.compositions.program = Some(script(&home, text));
        config.compositions.timeout_s = 1.try_into().unwrap();
        let api = Api::start(config).await;
        let failed = until(
            &api,
            &compose(&api, json!({"format": "ogg"})).await,
            "failed",
        )
        .await;
        assert_eq!(failed["error"]["code"], code, "{text}");
        let detail = failed["error"]["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{detail}");
        assert_eq!(started(&home).len(), times, "{text}");
        api.stop().await;
    }
    // Once it crashes, and then it does not.
    let home = Home::sqlite();
    seed(&home, &[recorded("anna", 0, 100, 1)]).await;
    let mut config = config(&home);
    let text = "[ $(wc -l <$log) -lt 2 ] && kill -9 $$\nexec $real \"$@\"";
    config.compositions.program = Some(script(&home, text));
    let api = Api::start(config).await;
    until(
        &api,
        &compose(&api, json!({"format": "ogg"})).await,
        "ready",
    )
    .await;
    assert_eq!(started(&home).len(), 2);
    api.stop().await;
}

/// It has no more memory than it may, and no secret of the server's.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_process_is_restrained() {
    let home = Home::sqlite();
    seed(&home, &[recorded("anna", 0, 100, 1)]).await;
    let mut config = config(&home);
    let seen = home.path().join("seen");
    // It has its limits by the time that it waits for its job.
    let text = format!(
        "env >{0}.env\nsleep 5 2>/dev/null | $real \"$@\" >/dev/null 2>&1 &\nsleep 1\n\
         cat /proc/$!/limits /proc/$!/stat >{0}\nkill $!\nexit 1",
        seen.display()
    );
    config.compositions.program = Some(script(&home, &text));
    config.compositions.memory_mib = 777.try_into().unwrap();
    let api = Api::start(config).await;
    until(
        &api,
        &compose(&api, json!({"format": "ogg"})).await,
        "failed",
    )
    .await;
    let environment = std::fs::read_to_string(seen.with_extension("env")).unwrap();
    let names = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name);
    // The shell sets the others.
    let own = ["PATH", "PWD", "_", "SHLVL", "OLDPWD"];
    assert!(
        names.clone().all(|name| own.contains(&name)),
        "{environment}"
    );
    let limits = std::fs::read_to_string(&seen).unwrap();
    let memory = limits
        .lines()
        .find(|line| line.starts_with("Max address space"))
        .unwrap();
    assert!(memory.contains(&(777_u64 << 20).to_string()), "{memory}");
    // Its nice value is the 19th of what the last line has.
    let nice = |stat: &str| stat.split(' ').nth(18).unwrap().parse::<i32>().unwrap();
    let own = nice(&std::fs::read_to_string("/proc/self/stat").unwrap());
    let stat = limits.lines().last().unwrap();
    assert_eq!(nice(stat), 19.min(own + 10), "{stat}");
    api.stop().await;
}

/// One that waits and one that is composed are cancelled, and the process ends with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ready_can_be_cancelled_and_deleted() {
    for home in Home::all().await {
        seed(&home, &[recorded("anna", 0, 100, 1)]).await;
        let mut config = config(&home);
        let text = "echo '{\"percent\": 37}'; exec sleep 60";
        config.compositions.program = Some(script(&home, text));
        let api = Api::start(config).await;
        let running = compose(&api, json!({"format": "ogg"})).await;
        until(&api, &running, "running").await;
        within(async {
            while api.get(&format!("/v1/compositions/{running}")).await["progress"] != 37 {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        // One at a time.
        let second = compose(&api, json!({"format": "ogg"})).await;
        let third = compose(&api, json!({"format": "ogg"})).await;
        sleep(Duration::from_millis(300)).await;
        until(&api, &second, "queued").await;
        let cancel = async |id: &str| {
            api.post(&format!("/v1/compositions/{id}/cancel"), Value::Null)
                .await
        };
        assert_eq!(cancel(&third).await["state"], "cancelled");
        assert_eq!(cancel(&running).await["state"], "cancelled");
        assert_eq!(cancel(&running).await["state"], "cancelled");
        until(&api, &second, "running").await;
        let first = format!("/proc/{}", started(&home)[0]);
        within(async {
            while Path::new(&first).exists() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let path = format!("/v1/compositions/{second}");
        assert_eq!(api.call(Method::DELETE, &path, Value::Null).await.0, 204);
        let last = compose(&api, json!({"format": "ogg"})).await;
        until(&api, &last, "running").await;
        assert_eq!(started(&home).len(), 3);
        assert_eq!(
            api.get(&format!("/v1/compositions/{running}")).await["state"],
            "cancelled"
        );
        api.stop().await;
    }
}

/// A server that ends in the midst goes on with it at its next start, and one that was killed does so twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_composes_what_was_not_ready() {
    for home in Home::all().await {
        seed(&home, &[recorded("anna", 0, 100, 1)]).await;
        let mut hanging = config(&home);
        hanging.compositions.program = Some(script(&home, "exec sleep 60"));
        let api = Api::start(hanging.clone()).await;
        let id = compose(&api, json!({"format": "ogg"})).await;
        until(&api, &id, "running").await;
        let key = api.key.clone();
        api.stop().await;
        for _ in 0..2 {
            let process = Process::start(&home, &hanging).await;
            let mut at = hanging.clone();
            at.http.listen = process.url.trim_start_matches("http://").parse().unwrap();
            until(&Api::at(&at, key.clone()), &id, "running").await;
            process.kill().await;
        }
        let api = Api::start(config(&home)).await;
        until(&api, &id, "ready").await;
        assert_eq!(files(&home.path().join("spool")), Vec::<String>::new());
        api.stop().await;
    }
}

/// It waits for the recordings that are on their way to the store.
#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_recordings_that_are_being_stored() {
    for home in Home::all().await {
        let late = Recorded {
            is_stored: false,
            ..recorded("ben", 50, 100, 20)
        };
        seed(&home, &[recorded("anna", 0, 100, 1), late.clone()]).await;
        // It is in the spool, and the folder of the store is not to be had.
        let (spool, store) = (home.path().join("spool"), home.path().join("recordings"));
        std::fs::create_dir(&spool).unwrap();
        std::fs::rename(late.file(&home), spool.join(format!("{}.wav", late.id()))).unwrap();
        let about = json!({
            "id": late.id(), "room": "kitchen", "session": SESSION, "participant": "ben", "stream": "mic", "kind": "audio",
            "codec": "pcmu", "started_at": Timestamp::now(), "retention_days": 1, "ended_at": Timestamp::now(),
            "duration_ms": 100, "size": 9_644, "lost_ms": 0, "silent_ms": 0, "error": null, "gaps": [], "anchors": [],
        });
        std::fs::write(spool.join(format!("{}.json", late.id())), about.to_string()).unwrap();
        let hidden = home.path().join("hidden");
        std::fs::rename(&store, &hidden).unwrap();
        std::fs::write(&store, "in the way").unwrap();
        let api = Api::start(config(&home)).await;
        let id = compose(&api, json!({"format": "wav"})).await;
        sleep(Duration::from_millis(500)).await;
        until(&api, &id, "queued").await;
        std::fs::remove_file(&store).unwrap();
        std::fs::rename(&hidden, &store).unwrap();
        let ready = until(&api, &id, "ready").await;
        let mixed = channels(&download(&api, &home, &ready).await).remove(0);
        assert_eq!((mixed[10], mixed[75], mixed[140]), (1, 21, 20));
        api.stop().await;
    }
}

/// While the disk is almost full, compositions wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_lets_nothing_begin() {
    let home = Home::sqlite();
    seed(&home, &[recorded("anna", 0, 100, 1)]).await;
    let mut full = config(&home);
    full.recordings.keep_free_mib = u64::MAX >> 20;
    full.compositions.program = Some(script(&home, "exec $real \"$@\""));
    let api = Api::start(full).await;
    let id = compose(&api, json!({"format": "wav"})).await;
    sleep(Duration::from_millis(500)).await;
    until(&api, &id, "queued").await;
    assert!(started(&home).is_empty());
    api.stop().await;
}

/// An erased participant's compositions are gone, and those that name it; others stay.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_takes_compositions_with_it() {
    for home in Home::all().await {
        seed(
            &home,
            &[
                recorded("anna-7f3a", 0, 100, 1),
                recorded("ben", 500, 100, 2),
            ],
        )
        .await;
        let api = Api::start(config(&home)).await;
        let both = compose(&api, json!({"format": "wav"})).await;
        let ben = compose(&api, json!({"format": "wav", "from_ms": 400})).await;
        let named = compose(
            &api,
            json!({"format": "wav", "from_ms": 400,
            "audio": {"mode": "dual", "left": ["anna-7f3a"], "right": "rest"}}),
        )
        .await;
        for id in [&both, &ben, &named] {
            until(&api, id, "ready").await;
        }
        let erasure = api
            .post("/v1/erasures", json!({"participant": "anna-7f3a"}))
            .await;
        let path = format!("/v1/erasures/{}", erasure["id"].as_str().unwrap());
        within(async {
            while api.get(&path).await["state"] != "done" {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let left = api.get("/v1/compositions").await;
        assert_eq!(all(left["data"].as_array().unwrap(), "id"), [ben.as_str()]);
        let stored = files(&home.path().join("recordings"));
        let stored: Vec<_> = stored
            .iter()
            .filter(|name| name.starts_with("cmp_"))
            .collect();
        assert_eq!(stored, [&format!("{ben}.wav")]);
        let events = api.get("/v1/events?limit=200").await.to_string();
        assert!(events.contains("composition.deleted") && !events.contains("anna-7f3a"));
        api.stop().await;
    }
}

/// The commands do what the API does, and compare what they download.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_composes_and_downloads() {
    let home = Home::sqlite();
    seed(&home, &[recorded("anna", 0, 100, 1)]).await;
    let api = Api::start(config(&home)).await;
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_parlour"));
        command
            .env("PARLOUR_URL", &api.url)
            .env("PARLOUR_KEY", &api.key);
        let output = within(command.args(arguments).current_dir(home.path()).output())
            .await
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let made = run(&[
        "composition",
        "create",
        SESSION,
        "--format",
        "wav",
        "--to",
        "1s",
        "-o",
        "id",
    ])
    .await;
    let id = made.trim();
    until(&api, id, "ready").await;
    run(&["composition", "download", id]).await;
    let file = home.path().join(id).with_extension("wav");
    assert_eq!(channels(&file)[0].len(), 1_000);
    assert!(
        run(&["composition", "list", "--state", "ready"])
            .await
            .contains(id)
    );
    run(&["composition", "delete", id, "--yes"]).await;
    until_gone(&home, id).await;
    api.stop().await;
}

/// The store is an S3.
#[tokio::test(flavor = "multi_thread")]
async fn an_s3_gives_recordings_and_stores_compositions() {
    let Ok(endpoint) = std::env::var("PARLOUR_TEST_S3") else {
        eprintln!("skipped: PARLOUR_TEST_S3 names no S3; `.ci/s3` starts one");
        return;
    };
    let http = http();
    // There may be one of an earlier test.
    let _ = within(http.put(format!("{endpoint}/composed")).send()).await;
    let home = Home::sqlite();
    let one = recorded("anna", 0, 100, 9);
    seed(&home, std::slice::from_ref(&one)).await;
    let content = std::fs::read(one.file(&home)).unwrap();
    let object = format!(
        "{endpoint}/composed/kitchen/{SESSION}/anna-mic-{}.wav",
        one.id()
    );
    let put = within(http.put(object).body(content).send()).await.unwrap();
    assert!(put.status().is_success());
    let mut config = config(&home);
    config.recordings.store = Some("s3://composed".parse::<StorePlace>().unwrap());
    config.recordings.endpoint = Some(endpoint.parse().unwrap());
    config.recordings.region = Some("eu-central-1".to_owned());
    // In a process of its own: credentials come by its environment.
    let secrets = [
        ("AWS_ACCESS_KEY_ID", "somebody"),
        ("AWS_SECRET_ACCESS_KEY", "a secret"),
    ];
    let first = home.serve().await;
    let key = first.key.clone();
    first.stop().await;
    let process = Process::start_with(&home, &config, &secrets).await;
    config.http.listen = process.url.trim_start_matches("http://").parse().unwrap();
    let api = Api::at(&config, key);
    let ready = until(
        &api,
        &compose(&api, json!({"format": "wav"})).await,
        "ready",
    )
    .await;
    let mixed = channels(&download(&api, &home, &ready).await).remove(0);
    assert_eq!((mixed.len(), mixed[50]), (100, 9));
    process.kill().await;
}

/// With ffmpeg there are pictures; without it that is said at once.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_take_ffmpeg() {
    let home = Home::sqlite();
    seed(&home, &[recorded("anna", 0, 1_000, 9_000)]).await;
    let mut without = config(&home);
    without.compositions.ffmpeg = "/nowhere/ffmpeg".into();
    let api = Api::start(without).await;
    for format in ["m4a", "mp4", "webm"] {
        let request = json!({"session": SESSION, "format": format});
        let (status, refused) = api.call(Method::POST, "/v1/compositions", request).await;
        assert_eq!(status, 409);
        let kind = "urn:parlour:problem:composer-unavailable";
        assert_eq!(refused["type"], kind, "{refused}");
    }
    let region = json!({"x": 0, "y": 0, "width": 160, "height": 90, "sources": "all"});
    let regions = |change: Value| {
        let mut changed = region.clone();
        changed
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        json!({"layout": "regions", "width": 320, "height": 180, "regions": [region.clone(), changed]})
    };
    for (pointer, video) in [
        ("/video/width", json!({"width": 321})),
        ("/video/width", json!({"width": 4_000_000_000_u32})),
        ("/video/height", json!({"height": 2})),
        ("/video/fps", json!({"fps": 31})),
        ("/video/regions", json!({"layout": "regions"})),
        (
            "/video/regions",
            json!({"layout": "grid", "regions": [region.clone()]}),
        ),
        ("/video/regions/1", regions(json!({"x": 162}))),
        ("/video/regions/1", regions(json!({"x": u32::MAX}))),
        ("/video/regions/1/columns", regions(json!({"columns": 0}))),
        ("/video/regions/1/rows", regions(json!({"rows": 17}))),
        (
            "/video/regions/1/sources/0",
            regions(json!({"sources": ["a b"]})),
        ),
    ] {
        let request = json!({"session": SESSION, "format": "webm", "video": video});
        let refused = api.post_refused("/v1/compositions", request).await;
        assert_eq!(
            refused["errors"][0]["pointer"], pointer,
            "{video} {refused}"
        );
    }
    let request = json!({"session": SESSION, "format": "ogg", "video": {}});
    let refused = api.post_refused("/v1/compositions", request).await;
    assert_eq!(refused["errors"][0]["pointer"], "/video");
    api.stop().await;

    let version = std::process::Command::new("ffmpeg")
        .arg("-version")
        .output();
    if version.is_err() {
        eprintln!("skipped: there is no ffmpeg");
        return;
    }
    let api = Api::start(config(&home)).await;
    for (format, content_type) in [
        ("m4a", "audio/mp4"),
        ("mp4", "video/mp4"),
        ("webm", "video/webm"),
    ] {
        let mut request = json!({"format": format});
        if format != "m4a" {
            request["video"] = regions(json!({"x": 160, "sources": ["anna"]}));
        }
        let ready = until(&api, &compose(&api, request.clone()).await, "ready").await;
        let id = ready["id"].as_str().unwrap();
        let path = format!("/v1/compositions/{id}/content");
        let content = api.send(Method::GET, &path, None).await;
        assert_eq!(content.headers()["content-type"], content_type);
        let bytes = within(content.bytes()).await.unwrap();
        assert_eq!(ready["size"], bytes.len());
        let file = home.path().join(id);
        std::fs::write(&file, bytes).unwrap();
        let about = std::process::Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-show_entries",
                "stream=codec_name,width,height",
                "-of",
                "csv=p=0",
            ])
            .arg(&file)
            .output()
            .unwrap();
        let streams = String::from_utf8(about.stdout).unwrap();
        let mut streams: Vec<_> = streams.lines().collect();
        streams.sort_unstable();
        let expected: &[&str] = match format {
            "m4a" => &["aac"],
            "mp4" => &["aac", "h264,320,180"],
            _ => &["opus", "vp8,320,180"],
        };
        assert_eq!(streams, expected);
        if format != "m4a" {
            assert_eq!(ready["video"]["regions"][1]["sources"], json!(["anna"]));
        }
    }
    assert_eq!(files(&home.path().join("spool")), Vec::<String>::new());
    api.stop().await;
}
