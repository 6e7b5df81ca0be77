//! Tools that know the API by its description only, beside a real server with participants in it.
//!
//! `.ci/run conformance` runs `tests/clients/run` this way. It needs npm and Python, so that it is no part of `cargo test`.

mod common;

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::within;
use parlour_tokio::{AudioOptions, Room, SampleRate};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

/// A server in a process of its own, which ends with this.
struct Server {
    process: Child,
    url: String,
    key: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The rest of the first line that has this in it. What follows goes on being read, so that nobody waits at a full pipe.
fn after(stream: impl Read + Send + 'static, mark: &'static str) -> String {
    let (found, rest) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once(mark) {
                let _ = found.send(rest.to_owned());
            }
            if line.contains(" ERROR ") {
                eprintln!("{line}");
            }
        }
    });
    rest.recv_timeout(Duration::from_secs(30)).expect(mark)
}

fn serve(folder: &Path) -> Server {
    let mut process = Command::new(env!("CARGO_BIN_EXE_parlour"));
    process
        .arg("serve")
        .current_dir(folder)
        .env("NO_COLOR", "1");
    for (name, value) in [
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("MEDIA__LISTEN", "127.0.0.1:0"),
        ("MEDIA__WORKERS", "1"),
        ("DRAIN__TIMEOUT_S", "0"),
        // Programs ask more often than people, and what stands behind a limit is not tried.
        ("HTTP__LIMITS__REQUESTS_PER_S", "1000000"),
        ("HTTP__LIMITS__REFRESHES_PER_MIN", "1000000"),
    ] {
        process.env(format!("PARLOUR__{name}"), value);
    }
    let process = process.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = process.spawn().unwrap();
    let key = after(process.stdout.take().unwrap(), "first.");
    let http = after(process.stderr.take().unwrap(), "serving http=");
    Server {
        process,
        url: format!("http://{}", http.split(' ').next().unwrap()),
        key: format!("first.{}", key.trim()),
    }
}

/// Is in a room with a stream, and comes back whenever it is removed.
async fn attend(url: String, key: String, room: &'static str, participant: &'static str) {
    let http = Client::new();
    loop {
        let minted = http
            .post(format!("{url}/v1/rooms/{room}/tokens"))
            .bearer_auth(&key);
        let minted = minted.header("content-type", "application/json");
        let minted = minted
            .body(json!({"participant": participant}).to_string())
            .send()
            .await;
        if let Ok(minted) = minted {
            let minted: Value =
                serde_json::from_str(&minted.text().await.unwrap_or_default()).unwrap_or_default();
            if let Some(ticket) = minted["ticket"].as_str()
                && let Ok(room) = Room::join(ticket).await
            {
                let mic = room
                    .publish_audio("mic", AudioOptions::opus_voice(SampleRate::Hz16000))
                    .await;
                room.closed().await;
                drop(mic);
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it needs npm and Python: `.ci/run conformance`"]
async fn tools_that_know_the_description_only_agree_with_the_server() {
    // For reqwest, which fails without one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let command = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/run");
    let command = std::env::var_os("PARLOUR_BESIDE").map_or(command, Into::into);
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    for (room, participant) in [("kitchen", "anna"), ("kitchen", "ben"), ("hall", "carol")] {
        tokio::spawn(attend(
            server.url.clone(),
            server.key.clone(),
            room,
            participant,
        ));
    }
    within(async {
        let active = format!("{}/v1/participants?state=connected", server.url);
        loop {
            let list = Client::new()
                .get(&active)
                .bearer_auth(&server.key)
                .send()
                .await
                .unwrap();
            let list: Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
            if list["data"]
                .as_array()
                .is_some_and(|there| there.len() == 3)
            {
                break;
            }
        }
    })
    .await;
    // A key of its own: those who are in the rooms need theirs.
    let key = Client::new()
        .post(format!("{}/v1/keys", server.url))
        .bearer_auth(&server.key);
    let key = key.header("content-type", "application/json");
    let key = key.body(json!({"id": "tester", "scopes": ["admin"]}).to_string());
    let key: Value =
        serde_json::from_str(&key.send().await.unwrap().text().await.unwrap()).unwrap();
    let key = format!("tester.{}", key["secret"].as_str().unwrap());
    let mut beside = Command::new(&command);
    beside
        .env("PARLOUR_URL", &server.url)
        .env("PARLOUR_KEY", key);
    let done = tokio::task::spawn_blocking(move || beside.status());
    assert!(
        done.await.unwrap().unwrap().success(),
        "{} failed",
        command.display()
    );
}
