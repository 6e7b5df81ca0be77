//! A voice agent that works offline: espeak-ng speaks, pocketsphinx hears five commands.
//!
//! ```sh
//! apt-get install espeak-ng pocketsphinx pocketsphinx-en-us
//! cargo run --release --example agent -- TICKET
//! ```
//! Say "turn on the lamp", "make it dark", "what time is it", "tell me a story", and talk while it tells the story.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use parlour_agent::{Address, Agent, AgentEvent, CommandStt, CommandTts, EngineFuture, Line, Llm};
use parlour_tokio::Room;
use tokio::sync::mpsc;

/// Obeys spoken commands, and answers.
#[derive(Debug, Parser)]
#[command(name = "agent", version)]
struct Options {
    /// The ticket to the room.
    #[arg(env = "PARLOUR_TICKET", hide_env_values = true)]
    ticket: String,
    /// The commands, as a grammar in JSGF. Few and unlike ones are told apart well.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "examples/assets/commands.gram"
    )]
    grammar: PathBuf,
    /// Listen only to whoever holds the floor, as devices with a button do.
    #[arg(long)]
    push_to_talk: bool,
}

const STORY: &str = "Once there was a lamp that nobody turned on. It stood in a corner for seven years. \
    Then a small device came into the room, with one button and one microphone. It said a word, and there was light. \
    Since then the two have talked every evening, and the lamp has never been in the dark again.";

/// Finds the answer by rules, and sets the lamp: an attribute that all see.
struct Rules {
    room: Room,
}

impl Llm for Rules {
    fn reply(&self, history: Vec<Line>, tokens: mpsc::Sender<String>) -> EngineFuture {
        let room = self.room.clone();
        Box::pin(async move {
            let asked = history.last().map(|line| line.text.as_str());
            let (lamp, answer) = match asked.unwrap_or_default() {
                "turn on the lamp" => (Some("on"), "The lamp is on.".to_owned()),
                "make it dark" => (Some("off"), "The lamp is off. Good night.".to_owned()),
                "what time is it" => (None, time()),
                "tell me a story" => (None, STORY.to_owned()),
                _ => return Ok(()),
            };
            if let Some(lamp) = lamp {
                match room.set_attribute("lamp", lamp).await {
                    Ok(()) => println!("the lamp is {lamp}"),
                    Err(error) => println!("the lamp stays as it is: {error}"),
                }
            }
            // An error means that nobody waits for it.
            let _ = tokens.send(answer).await;
            Ok(())
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "it is asked for the time")]
fn time() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let minutes = since.map_or(0, |since| since.as_secs() / 60);
    format!(
        "It is {}:{:02} in London, in winter.",
        minutes / 60 % 24,
        minutes % 60
    )
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let grammar = options.grammar.to_string_lossy();
    let hear = [
        "-infile",
        "/dev/stdin",
        "-jsgf",
        &grammar,
        "-remove_noise",
        "no",
    ];
    let stt = Arc::new(CommandStt::new("pocketsphinx_continuous", hear));
    let tts = Arc::new(CommandTts::new("espeak-ng", ["--stdin", "--stdout"]));
    let room = Room::join(&options.ticket).await?;
    let rules = Arc::new(Rules { room: room.clone() });
    let address = if options.push_to_talk {
        Address::Floor
    } else {
        Address::Everybody
    };
    let agent = Agent::pipeline(stt, rules, tts)
        .address(address)
        .start(room.clone())
        .await?;
    let mut events = agent.events();
    agent.say("I am listening.").await?;
    while let Some(event) = events.next().await {
        match event {
            AgentEvent::Heard { who, text } => println!("{who}: {text}"),
            AgentEvent::Said {
                text,
                heard,
                interrupted,
            } => {
                let end = if interrupted {
                    ", then it was interrupted"
                } else {
                    ""
                };
                println!("agent: {text} ({:.1} s{end})", heard.as_secs_f32());
            }
            AgentEvent::EngineFailed { engine, error } => println!("{engine:?}: {error}"),
            _ => {}
        }
    }
    println!("the room is closed: {:?}", room.closed().await);
    Ok(())
}
