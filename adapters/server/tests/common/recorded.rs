//! What is said to a room, and what is heard of it in recordings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base16ct::lower::encode_string;
use parlour_examples::wav;
use parlour_files::Source;
use parlour_server::config::Config;
use parlour_tokio::core::audio::codec::SampleRate;
use parlour_tokio::{AudioOptions, AudioWriter, Room};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{MissedTickBehavior, interval};

use super::{Api, Home, within};

/// Samples of 20 ms.
pub const FRAME: usize = 960;

pub fn config(home: &Home) -> Config {
    let mut config = home.config();
    // However full the disk of this machine is.
    (
        config.recordings.keep_free_mib,
        config.recordings.keep_free_percent,
    ) = (0, 0);
    config
}

/// What somebody says, at 48 kHz.
pub fn speech(asset: &str) -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/assets");
    wav::read(&path.join(asset), SampleRate::Hz48000).unwrap()
}

/// Says it in real time, in a stream of its own.
pub async fn say(room: &Room, stream: &str, pcm: &[i16]) -> AudioWriter {
    let mut mic = publish(room, stream).await;
    speak(&mut mic, pcm).await;
    mic
}

pub async fn publish(room: &Room, stream: &str) -> AudioWriter {
    let options = AudioOptions::opus_voice(SampleRate::Hz48000);
    within(room.publish_audio(stream, options)).await.unwrap()
}

/// Says it in real time.
pub async fn speak(mic: &mut AudioWriter, pcm: &[i16]) {
    let mut clock = interval(Duration::from_millis(20));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for piece in pcm.chunks(FRAME) {
        clock.tick().await;
        mic.write(piece).unwrap();
    }
}

pub fn decoded(path: &Path) -> Vec<i16> {
    let (mut source, mut pcm) = (Source::open(path).unwrap(), Vec::new());
    while source.read(&mut pcm).unwrap() {}
    pcm
}

pub async fn content(api: &Api, recording: &Value, range: Option<&str>) -> Response {
    let id = recording["id"].as_str().unwrap();
    let request = api
        .http
        .get(format!("{}/v1/recordings/{id}/content", api.url));
    let mut request = request.bearer_auth(&api.key);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    within(request.send()).await.unwrap()
}

pub async fn download(api: &Api, home: &Home, recording: &Value) -> PathBuf {
    let response = content(api, recording, None).await;
    assert_eq!(response.status(), 200);
    let bytes = within(response.bytes()).await.unwrap();
    assert_eq!(recording["size"], bytes.len());
    assert_eq!(recording["sha256"], encode_string(&Sha256::digest(&bytes)));
    let path = home.path().join(recording["id"].as_str().unwrap());
    let path = path.with_extension("opus");
    std::fs::write(&path, bytes).unwrap();
    path
}

pub async fn record(api: &Api, session: &str, participants: Value) -> (u16, Value) {
    let path = format!("/v1/sessions/{session}/recording");
    let body = json!({"participants": participants});
    api.call(Method::PUT, &path, body).await
}

/// Waits until there are as many recordings in that state.
pub async fn recordings(api: &Api, state: &str, count: usize) -> Vec<Value> {
    let path = format!("/v1/recordings?order=asc&state={state}");
    api.until(&path, |list| list.len() == count).await
}

/// The names of all files in a folder and below it, sorted.
pub fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flat_map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            match entry.path().is_dir() {
                true => files(&entry.path())
                    .into_iter()
                    .map(|below| format!("{name}/{below}"))
                    .collect(),
                false => vec![name],
            }
        })
        .collect();
    files.sort();
    files
}
