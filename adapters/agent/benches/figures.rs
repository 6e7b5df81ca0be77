//! The figures of docs/AGENTS.md: `cargo bench -p parlour-agent`. It takes two minutes.

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Answers, Heard, Hears, Person, RATE, Sings, join, question, serve, until};
use parlour_agent::parlour_core::rtp::AudioLevel;
use parlour_agent::{Agent, AgentEvent, turns};
use parlour_tokio::{AudioOptions, EncodedFrame, Room, Server};
use tokio::time::Instant;

const ROUNDS: usize = 10;
/// How often somebody asks.
const CYCLE: Duration = Duration::from_secs(6);
/// What the engines take.
const STT: Duration = Duration::from_millis(100);
const LLM: Duration = Duration::from_millis(150);
const TTS: Duration = Duration::from_millis(50);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        many(100).await;
        replies().await;
        interruptions().await;
    });
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Least, middle and most.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    format!(
        "{:.0} / {:.0} / {:.0}",
        at(0),
        at(values.len() / 2),
        at(values.len() - 1)
    )
}

async fn speaking(events: &mut parlour_agent::AgentEvents) -> (Instant, Option<Duration>) {
    until(events, |event| match event {
        AgentEvent::Speaking { after } => Some((Instant::now(), *after)),
        _ => None,
    })
    .await
}

/// From the end of a question to the first sound of the reply at the one who asked.
async fn replies() {
    let (mut all, mut ours, mut way) = (Vec::new(), Vec::new(), Vec::new());
    let pause = turns::Config::default().pause;
    for _ in 0..ROUNDS {
        let server = serve();
        let room = join(&server, "room", "agent").await;
        let mut anna = Person::join(&server, "room", "anna").await;
        let stt = Hears {
            delay: STT,
            ..Hears::default()
        };
        stt.texts
            .lock()
            .expect("one thread")
            .push_back("what time is it".to_owned());
        let llm = Answers {
            answer: "Noon.".to_owned(),
            delay: LLM,
            ..Answers::default()
        };
        let tts = Sings {
            ms: 1_000,
            delay: TTS,
            endless: false,
        };
        let agent = Agent::pipeline(Arc::new(stt), Arc::new(llm), Arc::new(tts));
        let agent = agent.start(room).await.expect("an agent");
        let mut events = agent.events();
        anna.hears(500).await;
        let question = question();
        anna.says(
            &question,
            question.len() * 1_000 / RATE.hz() as usize / 20 * 20 + 20,
        )
        .await;
        let ended = Instant::now();
        let ((began, after), mut heard) = anna.during(speaking(&mut events)).await;
        heard.extend(anna.hears(500).await);
        let first = heard
            .iter()
            .find(|heard| heard.is_tone)
            .expect("a reply")
            .at;
        all.push(ms(first - ended));
        ours.push(ms(after.expect("a reply")) - ms(pause + STT + LLM + TTS));
        way.push(ms(first - began));
    }
    println!(
        "end of a question to the first sound of the reply at the one who asked, ms (least / middle / most): {}",
        spread(all)
    );
    println!(
        "  of it: pause {}, engines {}",
        ms(pause),
        ms(STT + LLM + TTS)
    );
    println!("  of it: the agent itself {}", spread(ours));
    println!(
        "  of it: encoder, server and jitter buffer of the reply {}",
        spread(way)
    );
}

/// From the first sound of an interruption to the last of the reply, and how well the agent knows what was heard.
async fn interruptions() {
    let (mut silent, mut errors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let server = serve();
        let room = join(&server, "room", "agent").await;
        let mut anna = Person::join(&server, "room", "anna").await;
        let agent = Agent::pipeline(
            Hears::texts(["stop"]),
            Answers::with(""),
            Sings::for_ms(8_000),
        );
        let agent = agent.start(room).await.expect("an agent");
        anna.hears(500).await;
        let mut speech = agent.say("A long story").await.expect("something to say");
        let mut heard = anna.hears(1_500).await;
        let begins = Instant::now();
        heard.extend(anna.says(&question(), 1_500).await);
        let (_, more) = anna.during(speech.ended()).await;
        heard.extend(more);
        let tones: Vec<&Heard> = heard.iter().filter(|heard| heard.is_tone).collect();
        let last = tones.last().expect("a story").at + Duration::from_millis(20);
        silent.push(ms(last.saturating_duration_since(begins)));
        let heard: usize = heard.iter().map(|heard| heard.ms).sum();
        errors.push(heard as f64 - ms(speech.heard()));
    }
    println!(
        "first sound of an interruption to silence at the one who interrupts, ms: {}",
        spread(silent)
    );
    println!(
        "what was heard by the hearer's count less the agent's, ms: {}",
        spread(errors)
    );
}

/// CPU of so many agents in a thread of their own, each in a room with somebody who asks every six seconds.
async fn many(count: usize) {
    const CYCLES: usize = 5;
    let server = serve();
    let packets = Arc::new(packets(&server).await);
    let mut people = Vec::new();
    for number in 0..count {
        people.push(join(&server, &format!("room{number}"), "anna").await);
    }
    let answered = Arc::new(AtomicU64::new(0));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (server, said) = (Arc::new(server), Arc::clone(&answered));
    let thread = std::thread::spawn({
        let server = Arc::clone(&server);
        move || agents(&server, count, &said, ready, stopped)
    });
    is_ready.await.expect("the agents have started");
    let began = Instant::now();
    // Not all at once: people do not, either.
    let asking = people.into_iter().enumerate().map(|(number, room)| {
        let (packets, at) = (
            Arc::clone(&packets),
            began + CYCLE * number as u32 / count as u32,
        );
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            asks(room, packets, CYCLES).await;
        })
    });
    for asking in asking.collect::<Vec<_>>() {
        asking.await.expect("somebody who asks");
    }
    let took = began.elapsed();
    let _ = stop.send(());
    let spent = thread.join().expect("the agents' thread");
    let answered = answered.load(Ordering::Relaxed);
    println!(
        "{count} agents, {} questions in {:.0} s, {answered} answered: {:.0} % of one core, {:.2} % for each agent",
        count * CYCLES,
        took.as_secs_f64(),
        spent.as_secs_f64() / took.as_secs_f64() * 100.0,
        spent.as_secs_f64() / took.as_secs_f64() * 100.0 / count as f64,
    );
}

/// A question as packets, so that those who ask cost nothing: what one participant says to another.
async fn packets(server: &Server) -> Vec<EncodedFrame> {
    let mut anna = Person::join(server, "recording", "anna").await;
    let ben = join(server, "recording", "ben").await;
    let mut frames = ben.frames();
    anna.hears(500).await;
    let saying = async {
        anna.says(&question(), 2_000).await;
    };
    let mut all = Vec::new();
    tokio::pin!(saying);
    loop {
        tokio::select! {
            () = &mut saying => return all,
            frame = frames.next() => all.extend(frame),
        }
    }
}

/// Asks so many times.
async fn asks(room: Room, packets: Arc<Vec<EncodedFrame>>, cycles: usize) {
    let options = AudioOptions::opus_voice(RATE);
    let mut mic = room
        .publish_audio("mic", options)
        .await
        .expect("a microphone");
    for _ in 0..cycles {
        let began = Instant::now();
        for (number, packet) in packets.iter().enumerate() {
            tokio::time::sleep_until(began + Duration::from_millis(20) * number as u32).await;
            let level = packet.level.unwrap_or(AudioLevel::SILENCE);
            mic.write_encoded(&packet.payload, level).expect("a packet");
        }
        tokio::time::sleep_until(began + CYCLE).await;
    }
}

/// Runs agents until they are stopped; gives the CPU time of their thread.
fn agents(
    server: &Server,
    count: usize,
    answered: &Arc<AtomicU64>,
    ready: tokio::sync::oneshot::Sender<()>,
    stopped: tokio::sync::oneshot::Receiver<()>,
) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut all = Vec::new();
        for number in 0..count {
            let room = join(server, &format!("room{number}"), "agent").await;
            let stt = Hears::default();
            stt.texts
                .lock()
                .expect("one thread")
                .extend(vec!["hello".to_owned(); 100]);
            let agent =
                Agent::pipeline(Arc::new(stt), Answers::with("Hello!"), Sings::for_ms(2_000));
            let agent = agent.start(room).await.expect("an agent");
            let (mut events, answered) = (agent.events(), Arc::clone(answered));
            tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    if matches!(
                        event,
                        AgentEvent::Said {
                            interrupted: false,
                            ..
                        }
                    ) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            all.push(agent);
        }
        let before = cpu();
        let _ = ready.send(());
        let _ = stopped.await;
        cpu() - before
    })
}

/// The CPU time of this thread, to 10 ms. Only Linux tells it so.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    // Behind the name, which may have spaces: user and kernel are the 12th and 13th.
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}
