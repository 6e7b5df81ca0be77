//! Tools that know the API by its description only, beside a real server with participants in it.
//!
//! `.ci/run conformance` runs `tests/clients/run` this way. It needs npm and Python, so that it is no part of `cargo test`.

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::process::Process;
use common::{Home, http, within};
use parlour_tokio::{AudioOptions, Room, SampleRate};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

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
    let http = http();
    let command = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/run");
    let command = std::env::var_os("PARLOUR_BESIDE").map_or(command, Into::into);
    let home = Home::sqlite();
    let server = Process::start(&home, &home.config()).await;
    let made_key = server.made_key.clone().unwrap();
    for (room, participant) in [("kitchen", "anna"), ("kitchen", "ben"), ("hall", "carol")] {
        tokio::spawn(attend(
            server.url.clone(),
            made_key.clone(),
            room,
            participant,
        ));
    }
    within(async {
        let active = format!("{}/v1/participants?state=connected", server.url);
        loop {
            let list = http
                .get(&active)
                .bearer_auth(&made_key)
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
    let key = http
        .post(format!("{}/v1/keys", server.url))
        .bearer_auth(&made_key);
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
