//! The example `agent` as a process, and somebody who talks to it, with the voices and the recognizer of this machine.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parlour_agent::{CommandTts, Tts as _};
use parlour_examples::measure;
use parlour_files::Resampler;
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{AudioOptions, AudioWriter, Room, SampleRate, Server, ServerConfig};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

const PROGRAMS: [&str; 2] = ["espeak-ng", "pocketsphinx_continuous"];

/// Nothing here takes as long, however busy the machine.
async fn within<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future)
        .await
        .expect("it takes far too long")
}

/// What espeak-ng makes of a text, at 24 kHz.
async fn spoken(options: &[&str], text: &str) -> Vec<i16> {
    let options = options.iter().copied().chain(["--stdin", "--stdout"]);
    let tts = CommandTts::new("espeak-ng", options);
    let (sound, mut given) = mpsc::channel(8);
    let work = tokio::spawn(tts.synthesize(text.to_owned(), sound));
    let mut pcm = Vec::new();
    while let Some(piece) = given.recv().await {
        pcm.extend(piece);
    }
    work.await.unwrap().unwrap();
    pcm
}

/// The same at the rate of the comparison.
fn narrowed(pcm: &[i16]) -> Vec<i16> {
    let mut resampler = Resampler::new(24_000, measure::RATE.hz()).unwrap();
    let (mut rest, mut out) = (pcm, Vec::new());
    while rest.len() >= resampler.wants() {
        let (piece, later) = rest.split_at(resampler.wants());
        resampler.convert(piece, &mut out);
        rest = later;
    }
    while resampler.convert(rest, &mut out) {
        rest = &[];
    }
    out
}

struct Anna {
    room: Room,
    mic: AudioWriter,
    heard: Arc<Mutex<Vec<i16>>>,
}

impl Anna {
    async fn join(server: &Server) -> Self {
        let room = Room::join(&ticket(server, "anna")).await.unwrap();
        let mic = AudioOptions::opus_voice(SampleRate::Hz24000);
        let mic = room.publish_audio("mic", mic).await.unwrap();
        let mut ear = room.mixed_audio(measure::RATE).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut pcm = [0; 320]; // 20 ms
            loop {
                ear.next_frame(&mut pcm).await;
                all.lock().unwrap().extend(pcm);
            }
        });
        Self { room, mic, heard }
    }

    async fn says(&mut self, text: &str) {
        let pcm = spoken(&["-v", "en-us+f3", "-s", "140"], text).await;
        self.mic.play(&pcm).await.unwrap();
    }

    /// What she has heard since she was asked last.
    fn heard(&self) -> Vec<i16> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

fn ticket(server: &Server, who: &str) -> String {
    let claims = Claims::new("kitchen", who, Duration::from_secs(600)).unwrap();
    server.ticket(&claims).unwrap()
}

struct Example {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Example {
    fn start(ticket: &str) -> Self {
        // Beside the folder of this test.
        let program = std::env::current_exe().unwrap();
        let program = program
            .parent()
            .unwrap()
            .with_file_name("examples")
            .join("agent");
        let mut process = Command::new(program)
            .arg(ticket)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            _process: process,
            lines,
        }
    }

    /// Waits for a line that begins like this.
    async fn prints(&mut self, begin: &str) -> String {
        let mut printed = Vec::new();
        let found = tokio::time::timeout(Duration::from_secs(60), async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.starts_with(begin) {
                    return Some(line);
                }
                printed.push(line);
            }
            None
        });
        let found = found.await.ok().flatten();
        found.unwrap_or_else(|| panic!("no line {begin:?}, but {printed:#?}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spoken_commands_are_obeyed_and_answered_and_a_story_is_interrupted() {
    let has = |program: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    if let Some(missing) = PROGRAMS.iter().find(|program| !has(program)) {
        assert!(
            std::env::var_os("PARLOUR_REQUIRE_AGENT").is_none(),
            "{missing} is missing"
        );
        println!(
            "SKIPPED: {missing} is missing; apt-get install espeak-ng pocketsphinx pocketsphinx-en-us"
        );
        return;
    }
    let key = ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap();
    let server = Server::bind(ServerConfig::new("127.0.0.1:0".parse().unwrap(), key)).unwrap();
    let mut anna = Anna::join(&server).await;
    let mut agent = Example::start(&ticket(&server, "agent"));
    agent.prints("agent: I am listening.").await;

    anna.says("turn on the lamp").await;
    agent.prints("anna: turn on the lamp").await;
    anna.heard();
    agent.prints("the lamp is on").await;
    agent.prints("agent: The lamp is on.").await;
    // The network and the jitter buffer have the rest.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = narrowed(&spoken(&[], "The lamp is on.").await);
    let found = measure::find(&answer, &anna.heard());
    println!("the answer is heard: similarity {:.2}", found.similarity);
    assert!(found.similarity > 0.8, "{found:?}");

    anna.says("tell me a story").await;
    agent.prints("anna: tell me a story").await;
    anna.heard();
    // The story has begun.
    let sample_is_loud = |sample: &i16| sample.abs() > 2_000;
    within(async {
        while !anna.heard.lock().unwrap().iter().any(sample_is_loud) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    anna.says("make it dark").await;
    let story = agent.prints("agent: Once there was a lamp").await;
    assert!(
        story.ends_with("then it was interrupted)") && !story.contains("dark again"),
        "{story}"
    );
    agent.prints("anna: make it dark").await;
    agent.prints("agent: The lamp is off. Good night.").await;
    let me = anna.room.participants();
    let lamp = me
        .iter()
        .flat_map(|other| &other.attributes)
        .find(|(key, _)| key.as_str() == "lamp");
    assert_eq!(lamp.map(|(_, value)| value.as_bytes()), Some(&b"off"[..]));
}
