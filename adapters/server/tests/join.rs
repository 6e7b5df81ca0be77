//! `parlour join` as a process: what is played is recorded, and how it ends.

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::*;
use parlour_examples::{measure, wav};
use parlour_files::Source;
use parlour_tokio::core::audio::codec::SampleRate;
use parlour_tokio::core::audio::level::level;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The voice that is played.
fn voice() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/assets/device.wav")
}

/// `parlour join` that runs.
struct Participant {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Participant {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_parlour"))
            .args(["join", "--output", "jsonl"])
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Waits for an event of that kind.
    async fn event(&mut self, kind: &str) -> Value {
        within(async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it ends before {kind}"));
                let event: Value = serde_json::from_str(&line).unwrap();
                assert!(event["at"].is_string(), "{line}");
                if event["event"] == kind {
                    return event;
                }
            }
        })
        .await
    }

    /// Waits until it ends: its exit code, and what it wrote to stderr.
    async fn end(mut self) -> (Option<i32>, String) {
        let mut says = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        // Its output is read on, so that it is not held up.
        let read = async { while let Ok(Some(_)) = self.lines.next_line().await {} };
        let written = async { drop(stderr.read_to_string(&mut says).await) };
        within(async { tokio::join!(read, written) }).await;
        let status = within(self.process.wait()).await.unwrap();
        (status.code(), says)
    }

    fn interrupt(&self) {
        let id = self.process.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &id])
            .status();
        assert!(sent.unwrap().success());
    }
}

fn pcm(path: &Path) -> Vec<i16> {
    let (mut source, mut pcm) = (Source::open(path).unwrap(), Vec::new());
    while source.read(&mut pcm).unwrap() {}
    pcm
}

/// Seconds that are no silence, in pieces of 20 ms.
fn loud(pcm: &[i16]) -> f32 {
    pcm.chunks(960).filter(|piece| level(piece) < 50).count() as f32 / 50.0
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_plays_another_records() {
    let (home, folder) = (Home::sqlite(), tempfile::tempdir().unwrap());
    let api = home.serve().await;
    let ticket = api.ticket("kitchen", "recorder", Value::Null).await;
    let (mix, each) = (path(&folder, "heard.wav"), path(&folder, "each"));
    let recording = ["--record", &mix, "--record-each", &each];
    let mut recorder =
        Participant::start(folder.path(), &[&[&ticket[..]], &recording[..]].concat());
    assert_eq!(recorder.event("joined").await["participant"], "recorder");

    let ticket = api.ticket("kitchen", "anna", Value::Null).await;
    let voice = voice();
    let says = ["--play", voice.to_str().unwrap(), "--text", "hello\u{1b}"];
    let mut anna = Participant::start(folder.path(), &[&[&ticket[..]], &says[..]].concat());
    assert_eq!(anna.event("message_sent").await["recipients"], 1);
    assert_eq!(recorder.event("message").await["body"], "hello\u{1b}");
    assert_eq!(
        recorder.event("speaking_started").await["participant"],
        "anna"
    );
    // She leaves when all is said.
    let left = recorder.event("participant_left").await;
    assert_eq!(
        (&left["participant"], &left["reason"]),
        (&json!("anna"), &json!("left"))
    );
    assert_eq!(anna.end().await, (Some(0), String::new()));
    recorder.interrupt();
    let (code, says) = recorder.end().await;
    assert_eq!(code, Some(0), "{says}");
    let left = api
        .until("/v1/participants?state=left", |left| left.len() == 2)
        .await;
    assert_eq!(all(&left, "room"), ["kitchen", "kitchen"]);
    api.stop().await;

    let said = wav::read(&voice, measure::RATE).unwrap();
    let each = Path::new(&each).join("anna-mic.opus");
    for path in [Path::new(&mix), &each] {
        let heard = pcm(path);
        let length = said.len() as f32 / 16_000.0;
        let loud = loud(&heard);
        assert!((0.6 * length..length + 0.5).contains(&loud), "{loud} s");
        // From where it begins: the recorder was there before.
        let first = heard
            .chunks(960)
            .position(|piece| level(piece) < 50)
            .unwrap();
        let from = (first * 960).saturating_sub(48_000);
        let heard = wav::resample(&heard[from..], SampleRate::Hz48000, measure::RATE);
        // Other speech has about 0; a busy machine costs some.
        let found = measure::find(&said, &heard);
        assert!(found.similarity > 0.7, "{}: {found:?}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tone_and_standard_input_are_heard() {
    let (home, folder) = (Home::sqlite(), tempfile::tempdir().unwrap());
    let api = home.serve().await;
    let ticket = api.ticket("kitchen", "recorder", Value::Null).await;
    let mut recorder = Participant::start(folder.path(), &[&ticket, "--record", "recordings"]);
    recorder.event("joined").await;
    let ticket = api.ticket("kitchen", "tone", Value::Null).await;
    let mut tone = Participant::start(folder.path(), &[&ticket, "--tone", "1000", "--for", "2"]);
    tone.event("joined").await;
    assert_eq!(tone.end().await, (Some(0), String::new()));
    // The ticket by standard input.
    let ticket = api.ticket("kitchen", "looped", Value::Null).await;
    let voice = voice();
    let arguments = ["-", "--play", voice.to_str().unwrap(), "--loop"];
    let mut looped = Participant::start(folder.path(), &arguments);
    let mut stdin = looped.process.stdin.take().unwrap();
    stdin
        .write_all(format!("{ticket}\n").as_bytes())
        .await
        .unwrap();
    looped.event("joined").await;
    recorder.event("speaking_started").await;
    looped.interrupt();
    assert_eq!(looped.end().await.0, Some(0));
    // The sound by standard input, the ticket by the environment.
    let ticket = api.ticket("kitchen", "raw", Value::Null).await;
    let mut raw = Participant::start(folder.path(), &[&ticket, "--play", "-"]);
    let mut stdin = raw.process.stdin.take().unwrap();
    let tone = (0..96_000).map(|n| (n as f64 * 500.0 / 48_000.0 * std::f64::consts::TAU).sin());
    let tone = tone.flat_map(|sample| ((sample * 8_000.0) as i16).to_le_bytes());
    let written = stdin.write_all(&tone.collect::<Vec<_>>()).await;
    written.unwrap();
    drop(stdin);
    raw.event("joined").await;
    assert_eq!(raw.end().await, (Some(0), String::new()));
    recorder.interrupt();
    recorder.end().await;
    api.stop().await;
    let files: Vec<_> = std::fs::read_dir(folder.path().join("recordings"))
        .unwrap()
        .collect();
    let [Ok(file)] = &files[..] else {
        panic!("{files:?}");
    };
    let heard = pcm(&file.path());
    // Each of them for 2 s, in pieces of 100 ms.
    let rises = |piece: &[i16]| {
        let rises = piece.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0);
        rises.count()
    };
    let pieces: Vec<_> = heard.chunks(4_800).map(rises).collect();
    for hertz in [1_000, 500] {
        let is_near = |rises: &&usize| rises.abs_diff(hertz / 10) <= 1;
        let pieces = pieces.iter().filter(is_near).count();
        assert!((10..=22).contains(&pieces), "{hertz} Hz: {pieces}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_how_it_ended() {
    let (home, folder) = (Home::sqlite(), tempfile::tempdir().unwrap());
    let api = home.serve().await;
    let mut people = Vec::new();
    for who in ["kicked", "stays"] {
        let ticket = api.ticket("kitchen", who, Value::Null).await;
        let mut one = Participant::start(folder.path(), &[&ticket, "--tone", "440"]);
        one.event("joined").await;
        people.push(one);
    }
    let session = api
        .until("/v1/sessions?state=active", |list| list.len() == 1)
        .await;
    let session = session[0]["id"].as_str().unwrap();
    let path = format!("/v1/sessions/{session}/kick");
    api.post(&path, json!({"participants": ["kicked"]})).await;
    let (code, says) = people.remove(0).end().await;
    assert_eq!(code, Some(4), "{says}");
    let problem: Value = serde_json::from_str(&says).unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains("kicked"),
        "{says}"
    );
    api.post(&format!("/v1/sessions/{session}/end"), json!({}))
        .await;
    assert_eq!(people.remove(0).end().await, (Some(0), String::new()));

    let banned = api.ticket("kitchen", "banned", Value::Null).await;
    let (status, _) = api
        .call(Method::PUT, "/v1/rooms/kitchen/bans/banned", json!({}))
        .await;
    assert!(status < 300, "{status}");
    let (status, _) = api
        .call(
            Method::PUT,
            "/v1/rooms/small",
            json!({"max_participants": 1}),
        )
        .await;
    assert!(status < 300, "{status}");
    let _first = api.join("small", "first").await;
    let second = api.ticket("small", "second", Value::Null).await;
    let expected = [
        (&banned[..], 4, "banned"),
        (&second, 5, "full"),
        ("parlour://nowhere", 2, "ticket"),
    ];
    for (ticket, exit, word) in expected {
        let record = folder.path().join("refused.wav");
        let arguments = [ticket, "--record", record.to_str().unwrap()];
        let (code, says) = Participant::start(folder.path(), &arguments).end().await;
        assert_eq!(code, Some(exit), "{says}");
        assert!(says.contains(word), "{says}");
        assert!(!record.exists(), "nothing was recorded");
    }
    let gone = api.ticket("kitchen", "late", Value::Null).await;
    api.stop().await;
    let (code, says) = Participant::start(folder.path(), &[&gone]).end().await;
    assert_eq!(code, Some(6), "{says}");
}

#[tokio::test]
async fn what_cannot_be_played_or_recorded_is_said_before_joining() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there.wav"), "x").unwrap();
    std::fs::write(folder.path().join("not.mp3"), "ID3\u{4}").unwrap();
    for (arguments, exit, word) in [
        (
            &["parlour://x", "--play", "nowhere.wav"][..],
            1,
            "nowhere.wav",
        ),
        (&["parlour://x", "--play", "not.mp3"], 2, "ffmpeg"),
        (
            &["parlour://x", "--record", "there.wav"],
            5,
            "exists already",
        ),
        (&["parlour://x", "--tone", "5"], 2, "440"),
        (&["parlour://x", "--for", "0"], 2, "above 0"),
        (&["parlour://x", "--loop"], 2, "--play"),
        (&["parlour://x", "--play", "-", "--loop"], 2, "--loop"),
        (&["-", "--play", "-"], 2, "standard input"),
        (&["parlour://x", "--text", ""], 2, "1 to 640"),
        (&["--room", "kitchen"], 2, "--as"),
        (&["--room", "kitchen", "--as", "x"], 2, "PARLOUR_URL"),
        (&[], 2, "PARLOUR_TICKET"),
    ] {
        let (code, says) = Participant::start(folder.path(), arguments).end().await;
        assert_eq!(code, Some(exit), "{arguments:?}: {says}");
        assert!(says.contains(word), "{arguments:?}: {says}");
    }
    assert_eq!(
        std::fs::read(folder.path().join("there.wav")).unwrap(),
        b"x"
    );
}

/// `serve --dev` in this folder, at ports of its own; its output up to the last command that it tells of.
async fn serve_dev(folder: &Path) -> (Child, Vec<String>) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_parlour"))
        .args(["serve", "--dev"])
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("PARLOUR__HTTP__LISTEN", "127.0.0.1:0")
        .env("PARLOUR__MEDIA__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut lines = Vec::new();
    while lines
        .last()
        .is_none_or(|last: &String| !last.contains("event tail"))
    {
        lines.push(within(output.next_line()).await.unwrap().unwrap());
    }
    (server, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_serve_dev_work_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, told) = serve_dev(folder.path()).await;
    let joins: Vec<_> = told.iter().filter(|line| line.contains(" join ")).collect();
    assert_eq!(joins.len(), 2, "{told:?}");
    for line in joins {
        let mut shell = Command::new("sh")
            .args(["-c", &format!("exec {line}")])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap()).lines();
        let first = within(output.next_line()).await.unwrap();
        assert!(first.unwrap().starts_with("joined as "), "{line}");
    }
    within(server.kill()).await.unwrap();
}
