//! A room, people in it, and engines that do as they are told, over real UDP on this machine.
#![allow(dead_code, unreachable_pub, reason = "each program uses a part of it")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parlour_agent::{AgentEvent, AgentEvents, EngineFuture, Line, Llm, Stt, Tts, Words};
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{
    AudioOptions, AudioWriter, MixedReader, Room, SampleRate, Server, ServerConfig,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

pub const RATE: SampleRate = SampleRate::Hz48000;
/// Samples in 20 ms.
pub const FRAME: usize = RATE.samples(20);

pub fn serve() -> Server {
    let key = ApiKey::new("app", "0123456789abcdef0123456789abcdef").unwrap();
    let config = ServerConfig {
        workers: 1,
        ..ServerConfig::new("127.0.0.1:0".parse().unwrap(), key)
    };
    Server::bind(config).unwrap()
}

pub async fn join(server: &Server, room: &str, who: &str) -> Room {
    let claims = Claims::new(room, who, Duration::from_secs(600)).unwrap();
    Room::join(&server.ticket(&claims).unwrap()).await.unwrap()
}

/// Fails the test rather than to wait forever.
pub async fn within<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, future)
        .await
        .expect("it takes far too long")
}

/// The first event that `wanted` likes.
pub async fn until<T>(
    events: &mut AgentEvents,
    mut wanted: impl FnMut(&AgentEvent) -> Option<T>,
) -> T {
    within(async {
        loop {
            let event = events.next().await.expect("the agent has ended");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    })
    .await
}

/// What the agent said, and whether it was interrupted.
pub async fn until_said(events: &mut AgentEvents) -> (String, Duration, bool) {
    until(events, |event| match event {
        AgentEvent::Said {
            text,
            heard,
            interrupted,
        } => Some((text.clone(), *heard, *interrupted)),
        _ => None,
    })
    .await
}

/// A voice: "Welcome to the parlour.", "The kettle is on, and the door is open.", …
pub fn speech() -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/assets/host.wav");
    let mut source = parlour_files::Source::open(&path).unwrap();
    let mut pcm = Vec::new();
    while source.read(&mut pcm).unwrap() {}
    // Without the silence at its beginning.
    let begin = pcm.iter().position(|sample| sample.abs() > 500).unwrap();
    pcm.split_off(begin)
}

/// The first of its sentences, without the silence behind it.
pub fn question() -> Vec<i16> {
    let mut pcm = speech();
    pcm.truncate(RATE.samples(1_300));
    let end = pcm.iter().rposition(|sample| sample.abs() > 500).unwrap();
    pcm.truncate(end);
    pcm
}

/// Somebody with a microphone and an ear.
pub struct Person {
    pub room: Room,
    mic: AudioWriter,
    heard: MixedReader,
    due: Instant,
}

/// 20 ms of what somebody hears.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    pub at: Instant,
    /// Whether there is [`TONE`] in it, and for how many ms.
    pub is_tone: bool,
    pub ms: usize,
}

impl Person {
    pub async fn join(server: &Server, room: &str, who: &str) -> Self {
        let room = join(server, room, who).await;
        let mic = room
            .publish_audio("mic", AudioOptions::opus_voice(RATE))
            .await
            .unwrap();
        let heard = room.mixed_audio(RATE).unwrap();
        Self {
            room,
            mic,
            heard,
            due: Instant::now(),
        }
    }

    /// Says this, while it hears; then is silent, up to `ms`.
    pub async fn says(&mut self, pcm: &[i16], ms: usize) -> Vec<Heard> {
        let mut all = Vec::new();
        let mut frames = pcm.chunks(FRAME);
        for _ in 0..ms / 20 {
            all.push(self.step(frames.next()).await);
        }
        all
    }

    pub async fn hears(&mut self, ms: usize) -> Vec<Heard> {
        self.says(&[], ms).await
    }

    async fn step(&mut self, says: Option<&[i16]>) -> Heard {
        let mut frame = says.unwrap_or_default().to_vec();
        frame.resize(FRAME, 0);
        self.mic.write(&frame).unwrap();
        let mut pcm = [0; FRAME];
        // Both go at the pace of one clock.
        tokio::time::sleep_until(self.due).await;
        self.heard.read(&mut pcm);
        let at = self.due;
        self.due = Instant::now().max(self.due + Duration::from_millis(20));
        if self.due > at + Duration::from_millis(40) {
            self.due = at + Duration::from_millis(20);
        }
        Heard {
            at,
            is_tone: amplitude(&pcm) > 400.0,
            ms: 2 * pcm
                .chunks(PERIOD)
                .filter(|pcm| amplitude(pcm) > 400.0)
                .count(),
        }
    }

    /// Goes on, silent, until another task has ended.
    pub async fn during<T>(&mut self, other: impl Future<Output = T>) -> (T, Vec<Heard>) {
        tokio::pin!(other);
        let mut all = Vec::new();
        loop {
            tokio::select! {
                biased;
                heard = self.step(None) => all.push(heard),
                ended = &mut other => return (ended, all),
            }
        }
    }
}

/// How much of [`TONE`] is in whole periods.
fn amplitude(pcm: &[i16]) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let phase = n as f64 * TONE / f64::from(RATE.hz()) * std::f64::consts::TAU;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    2.0 * (re * re + im * im).sqrt() / pcm.len() as f64
}

/// The pitch of an agent.
pub const TONE: f64 = 500.0;
/// Samples of one of its periods, 2 ms.
const PERIOD: usize = RATE.hz() as usize / 500;

/// A recognizer that gives these texts, one for each turn, or does something worse.
#[derive(Default)]
pub struct Hears {
    pub texts: Mutex<VecDeque<String>>,
    pub delay: Duration,
    pub hangs: bool,
}

impl Hears {
    pub fn texts<const N: usize>(texts: [&str; N]) -> Arc<Self> {
        let texts = Mutex::new(texts.map(str::to_owned).into());
        Arc::new(Self {
            texts,
            ..Self::default()
        })
    }
}

impl Stt for Hears {
    fn transcribe(
        &self,
        mut sound: mpsc::Receiver<Vec<i16>>,
        words: mpsc::Sender<Words>,
    ) -> EngineFuture {
        let text = self.texts.lock().unwrap().pop_front().unwrap_or_default();
        let (delay, hangs) = (self.delay, self.hangs);
        Box::pin(async move {
            while sound.recv().await.is_some() {}
            if hangs {
                std::future::pending::<()>().await;
            }
            sleep(delay).await;
            let _ = words
                .send(Words {
                    text,
                    is_final: true,
                })
                .await;
            Ok(())
        })
    }
}

/// Says the same to everything, and notes what it was asked.
#[derive(Default)]
pub struct Answers {
    pub answer: String,
    pub delay: Duration,
    pub asked: Mutex<Vec<Vec<Line>>>,
    pub panics: bool,
}

impl Answers {
    pub fn with(answer: &str) -> Arc<Self> {
        let answer = answer.to_owned();
        Arc::new(Self {
            answer,
            ..Self::default()
        })
    }

    /// All that it was asked, as texts.
    pub fn asked(&self) -> Vec<Vec<String>> {
        let asked = self.asked.lock().unwrap();
        let texts = |lines: &Vec<Line>| lines.iter().map(|line| line.text.clone()).collect();
        asked.iter().map(texts).collect()
    }
}

impl Llm for Answers {
    fn reply(&self, history: Vec<Line>, tokens: mpsc::Sender<String>) -> EngineFuture {
        self.asked.lock().unwrap().push(history);
        let (answer, delay, panics) = (self.answer.clone(), self.delay, self.panics);
        Box::pin(async move {
            assert!(!panics, "as it was told");
            sleep(delay).await;
            for token in answer.split_inclusive(' ') {
                let _ = tokens.send(token.to_owned()).await;
            }
            Ok(())
        })
    }
}

/// Sings each sentence for so long, in pieces of 100 ms.
pub struct Sings {
    pub ms: usize,
    pub delay: Duration,
    pub endless: bool,
}

impl Sings {
    pub fn for_ms(ms: usize) -> Arc<Self> {
        Arc::new(Self {
            ms,
            delay: Duration::ZERO,
            endless: false,
        })
    }
}

impl Tts for Sings {
    fn sample_rate(&self) -> SampleRate {
        SampleRate::Hz24000
    }

    fn synthesize(&self, _text: String, sound: mpsc::Sender<Vec<i16>>) -> EngineFuture {
        let Self { ms, delay, endless } = *self;
        Box::pin(async move {
            sleep(delay).await;
            let mut piece = 0;
            while endless || piece * 100 < ms {
                if sound.send(sung(piece)).await.is_err() {
                    break;
                }
                piece += 1;
            }
            Ok(())
        })
    }
}

/// 100 ms of [`TONE`], of a loudness that changes as that of a voice does: a steady tone would be taken for noise.
fn sung(piece: usize) -> Vec<i16> {
    let sample = |n: usize| {
        let n = piece * 2_400 + n;
        let loud = if (n / 1_200).is_multiple_of(3) {
            3_000.0
        } else {
            14_000.0
        };
        let phase = n as f64 * TONE / 24_000.0 * std::f64::consts::TAU;
        (phase.sin() * loud) as i16
    };
    (0..2_400).map(sample).collect()
}
