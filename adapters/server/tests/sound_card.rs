//! `parlour join` with a microphone and a loudspeaker, which PulseAudio plays: it has no card, but a clock of its own.
//!
//! Needs the feature `sound-card`, `pulseaudio`, `pulseaudio-utils` and ALSA's plugins (`libasound2-plugins`). Without these
//! programs it says that it skips, or fails where `PARLOUR_REQUIRE_SOUND_CARD` is set.
#![cfg(all(feature = "sound-card", target_os = "linux"))]

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::*;
use parlour_examples::{measure, wav};
use parlour_files::Source;
use parlour_tokio::core::audio::codec::SampleRate;
use parlour_tokio::core::audio::level::level;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::RwLock;

/// Three sinks without a card: what is played to `voice` is what the microphone `mic` hears.
const SERVER: &str = "\
load-module module-null-sink sink_name=voice rate=48000 channels=2
load-module module-null-sink sink_name=headset rate=48000 channels=2
load-module module-null-sink sink_name=elsewhere rate=48000 channels=2
load-module module-remap-source master=voice.monitor source_name=mic
";

/// What the system chooses by itself.
const HEADSET: &str = "set-default-sink headset\nset-default-source mic\n";
const ELSEWHERE: &str = "set-default-sink elsewhere\nset-default-source elsewhere.monitor\n";

/// ALSA's names of them. Those with a hint are listed.
const CARDS: &str = "\
pcm.!default pulse
ctl.!default pulse
pcm.parlour_mic { type pulse device mic hint { show on description microphone } }
pcm.parlour_headset { type pulse device headset hint { show on description headset } }
pcm.parlour_voice { type pulse device voice hint { show on description loudspeaker } }
";

fn voice(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/assets/{name}.wav"))
}

/// Held for writing by the test for which others must leave the machine's time.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// PulseAudio for this test.
struct Sound {
    folder: PathBuf,
    server: Child,
}

impl Sound {
    /// `None` if it is not there, and need not be.
    async fn start(folder: &Path, defaults: &str) -> Option<Self> {
        let socket = folder.join("socket");
        let script = format!(
            "{SERVER}{defaults}load-module module-native-protocol-unix auth-anonymous=1 socket={}\n",
            socket.display()
        );
        std::fs::write(folder.join("pulse.pa"), script).unwrap();
        std::fs::write(folder.join(".asoundrc"), CARDS).unwrap();
        let sound = |server| Self {
            folder: folder.to_owned(),
            server,
        };
        let mut command = Command::new("pulseaudio");
        command
            .args([
                "-n",
                "--daemonize=no",
                "--use-pid-file=no",
                "--exit-idle-time=-1",
                "--disable-shm",
                "-F",
            ])
            .arg(folder.join("pulse.pa"));
        match Self::run(folder, &mut command).spawn() {
            Ok(server) => {
                let sound = sound(server);
                within(async {
                    while !sound.done("pactl", &["info"]).await {
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                })
                .await;
                Some(sound)
            }
            Err(error) if std::env::var_os("PARLOUR_REQUIRE_SOUND_CARD").is_some() => {
                panic!("pulseaudio: {error}")
            }
            Err(error) => {
                eprintln!("SKIPPED: pulseaudio: {error}");
                None
            }
        }
    }

    /// A program that uses it.
    fn run<'a>(folder: &Path, command: &'a mut Command) -> &'a mut Command {
        command
            .env("HOME", folder)
            .env("XDG_RUNTIME_DIR", folder)
            .env(
                "PULSE_SERVER",
                format!("unix:{}", folder.join("socket").display()),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
    }

    async fn done(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        let status = Self::run(&self.folder, command.args(arguments)).status();
        status.await.unwrap().success()
    }

    /// Records a source, as WAV.
    fn record(&self, device: &str, file: &str) -> Child {
        let device = format!("--device={device}");
        let mut command = Command::new("parecord");
        command.args([
            &device,
            "--file-format=wav",
            "--rate=48000",
            "--channels=1",
            file,
        ]);
        Self::run(&self.folder, &mut command).spawn().unwrap()
    }

    /// `parlour join`, which is there when this returns.
    async fn join(&self, ticket: &str, arguments: &[&str]) -> Child {
        self.join_with(ticket, arguments, Stdio::null()).await
    }

    async fn join_with(&self, ticket: &str, arguments: &[&str], stderr: Stdio) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
        command
            .args(["join", "--output", "jsonl", ticket])
            .args(arguments);
        let command = Self::run(&self.folder, &mut command).stderr(stderr);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        within(async {
            let line = lines.next_line().await.unwrap().expect("it joins");
            let event: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(event["event"], "joined", "{line}");
        })
        .await;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        process
    }
}

async fn end(mut process: Child) {
    let id = process.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(sent.unwrap().success());
    assert!(within(process.wait()).await.unwrap().success());
}

/// How alike what was said and what was heard are: other speech has about 0.
fn similarity(said: &Path, heard: &Path) -> f64 {
    let said = wav::read(said, measure::RATE).unwrap();
    let (mut source, mut pcm) = (Source::open(heard).unwrap(), Vec::new());
    while source.read(&mut pcm).unwrap() {}
    // From where it begins: whoever hears it was there before.
    let first = pcm.chunks(960).position(|piece| level(piece) < 50);
    let from = (first.expect("silence") * 960).saturating_sub(48_000);
    let heard = wav::resample(&pcm[from..], SampleRate::Hz48000, measure::RATE);
    measure::find(&said, &heard).similarity
}

/// Waits until the process has printed, in any order, a line for each of these, with both parts in it.
async fn says(lines: &mut Lines<BufReader<ChildStderr>>, wanted: [[&str; 2]; 2]) {
    let mut missing = wanted.to_vec();
    within(async {
        while !missing.is_empty() {
            let line = lines.next_line().await.unwrap().expect("it goes on");
            missing.retain(|parts| !parts.iter().all(|part| line.contains(part)));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_that_are_lost_are_used_again_when_they_are_back() {
    let _machine = MACHINE.read().await;
    let (home, folder) = (Home::sqlite(), tempfile::tempdir().unwrap());
    let Some(mut sound) = Sound::start(folder.path(), ELSEWHERE).await else {
        return;
    };
    let api = home.serve().await;
    let anna = api.ticket("kitchen", "anna", Value::Null).await;
    let cards = ["--microphone=parlour_mic", "--loudspeaker=parlour_headset"];
    let mut anna = sound.join_with(&anna, &cards, Stdio::piped()).await;
    let mut lines = BufReader::new(anna.stderr.take().unwrap()).lines();
    let found = [
        ["the microphone is", "parlour_mic"],
        ["the loudspeaker is", "parlour_headset"],
    ];
    let lost = [
        ["the microphone does not work", "parlour_mic"],
        ["the loudspeaker does not work", "parlour_headset"],
    ];
    says(&mut lines, found).await;
    sound.server.kill().await.unwrap();
    says(&mut lines, lost).await;
    sound = Sound::start(folder.path(), ELSEWHERE).await.unwrap();
    says(&mut lines, found).await;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    both_are_heard(&sound, &api).await;
    end(anna).await;
    api.stop().await;
}

/// One who joins with such arguments says what `mic` hears, and has `headset` play what others say.
async fn talks_and_listens(defaults: &str, with_cards: [&str; 2]) {
    let _machine = MACHINE.read().await;
    let (home, folder) = (Home::sqlite(), tempfile::tempdir().unwrap());
    let Some(sound) = Sound::start(folder.path(), defaults).await else {
        return;
    };
    let api = home.serve().await;
    let anna = api.ticket("kitchen", "anna", Value::Null).await;
    let anna = sound.join(&anna, &with_cards).await;
    both_are_heard(&sound, &api).await;
    end(anna).await;
    api.stop().await;
}

/// Somebody else hears what `mic` hears, and is heard by `headset`.
async fn both_are_heard(sound: &Sound, api: &Api) {
    let path = |name: &str| sound.folder.join(name).to_str().unwrap().to_owned();
    let (heard, played) = (path("heard.wav"), path("played.wav"));
    let ben = api.ticket("kitchen", "ben", Value::Null).await;
    let ben = sound.join(&ben, &["--record", &heard]).await;
    let said = voice("device");
    let play = ["--device=voice", said.to_str().unwrap()];
    assert!(within(sound.done("paplay", &play)).await);
    end(ben).await;
    let alike = similarity(&said, Path::new(&heard));
    assert!(alike > 0.7, "{alike}");

    let recording = sound.record("headset.monitor", &played);
    let carol = api.ticket("kitchen", "carol", Value::Null).await;
    let said = voice("host");
    let mut carol = sound
        .join(&carol, &["--play", said.to_str().unwrap()])
        .await;
    assert!(within(carol.wait()).await.unwrap().success());
    end(recording).await;
    let alike = similarity(&said, Path::new(&played));
    assert!(alike > 0.7, "{alike}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_microphone_is_heard_and_a_loudspeaker_plays() {
    talks_and_listens(HEADSET, ["--microphone", "--loudspeaker"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cards_are_opened_by_their_names() {
    let names = ["--microphone=parlour_mic", "--loudspeaker=parlour_headset"];
    talks_and_listens(ELSEWHERE, names).await;
}

/// How loud, in dBov, ben hears himself in most half seconds after the eighteenth second: anna's microphone hears her loudspeaker.
/// She joins with such arguments, too. Where the machine loses sound, echo is heard until the canceller has found it again.
async fn echo(arguments: &[&str]) -> Option<f64> {
    let (home, folder) = (Home::sqlite(), tempfile::tempdir().unwrap());
    let sound = Sound::start(folder.path(), ELSEWHERE).await?;
    let api = home.serve().await;
    let anna = api.ticket("kitchen", "anna", Value::Null).await;
    let cards = ["--microphone=parlour_mic", "--loudspeaker=parlour_voice"];
    let anna = sound.join(&anna, &[&cards[..], arguments].concat()).await;
    let heard = folder.path().join("heard.wav");
    let (said, record) = (voice("host"), heard.to_str().unwrap());
    let play = ["--loop", "--play", said.to_str().unwrap()];
    let record = ["--for", "26", "--record", record];
    let ben = api.ticket("kitchen", "ben", Value::Null).await;
    let mut ben = sound.join(&ben, &[&play[..], &record].concat()).await;
    assert!(within(ben.wait()).await.unwrap().success());
    end(anna).await;
    api.stop().await;
    let (mut source, mut pcm) = (Source::open(&heard).unwrap(), Vec::new());
    while source.read(&mut pcm).unwrap() {}
    let late = pcm.get(18 * 48_000..).expect("26 seconds");
    let mut levels: Vec<_> = late.chunks_exact(24_000).map(dbov).collect();
    levels.sort_by(f64::total_cmp);
    Some(levels[levels.len() / 2])
}

fn dbov(pcm: &[i16]) -> f64 {
    let power: f64 = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (power / pcm.len() as f64).log10() - 90.3
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_loudspeaker_plays_is_not_said() {
    let _alone = MACHINE.write().await;
    let (cancelled, left) = tokio::join!(echo(&[]), echo(&["--no-echo-cancellation"]));
    let (Some(cancelled), Some(left)) = (cancelled, left) else {
        return;
    };
    assert!(left > -40.0, "there is no echo: {left} dBov");
    assert!(
        cancelled < left - 25.0,
        "{left} dBov, {cancelled} with cancellation"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_not_there_is_named_with_those_that_are() {
    let _machine = MACHINE.read().await;
    let (home, folder) = (Home::sqlite(), tempfile::tempdir().unwrap());
    let Some(_sound) = Sound::start(folder.path(), HEADSET).await else {
        return;
    };
    let api = home.serve().await;
    let ticket = api.ticket("kitchen", "anna", Value::Null).await;
    for (what, card) in [
        ("microphone", "parlour_mic"),
        ("loudspeaker", "parlour_headset"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
        command.args(["join", &ticket, &format!("--{what}=of-nobody")]);
        let command = Sound::run(folder.path(), &mut command);
        let said = command.stderr(Stdio::piped()).output();
        let said = within(said).await.unwrap();
        assert_eq!(said.status.code(), Some(2));
        let says = String::from_utf8_lossy(&said.stderr);
        let missing = format!("there is no {what} \"of-nobody\"; there are: ");
        let names = says.split_once(&missing).map(|(_, names)| names);
        let mut names = names.unwrap_or_default().trim_end().split(", ");
        assert!(names.any(|name| name == card), "{says}");
    }
    // It has not been in the room.
    let there = api.get("/v1/participants").await;
    assert_eq!(there["data"], serde_json::json!([]));
    api.stop().await;
}
