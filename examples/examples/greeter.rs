//! A bot that greets everybody who comes, waits for its turn to speak, and falls silent when it is interrupted.
//!
//! ```sh
//! cargo run --release --example greeter -- TICKET --speech examples/assets/host.wav
//! ```
//! A voice agent has this shape, with a speech synthesizer in the place of the file.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use parlour_examples::wav;
use parlour_tokio::core::audio::codec;
use parlour_tokio::{
    AudioOptions, AudioWriter, Event, Events, ParticipantId, Room, RoomEvent, SampleRate,
};

/// Greets everybody who comes.
#[derive(Debug, Parser)]
#[command(name = "greeter", version)]
struct Options {
    /// The ticket to the room.
    #[arg(env = "PARLOUR_TICKET", hide_env_values = true)]
    ticket: String,
    /// The greeting: a WAV file of 16 bits.
    #[arg(long, value_name = "FILE", default_value = "examples/assets/host.wav")]
    speech: PathBuf,
}

/// Time for a guest to open its loudspeaker: it hears nothing that was said before.
const SETTLING: Duration = Duration::from_millis(300);

/// The guests that are not greeted yet, and the participants that speak.
#[derive(Debug, Default)]
struct Hall {
    arrived: VecDeque<ParticipantId>,
    speaking: BTreeSet<ParticipantId>,
}

impl Hall {
    /// Takes note of the next event; `false` once there is none any more.
    async fn wait(&mut self, events: &mut Events) -> bool {
        match events.next().await {
            Some(Event::Room(RoomEvent::ParticipantJoined {
                participant,
                present: false,
            })) => {
                self.arrived.push_back(participant);
            }
            Some(Event::Room(RoomEvent::ParticipantLeft { participant, .. })) => {
                self.arrived.retain(|arrived| *arrived != participant);
            }
            Some(Event::Room(RoomEvent::SpeakingStarted { participant })) => {
                self.speaking.insert(participant);
            }
            Some(Event::Room(RoomEvent::SpeakingStopped { participant })) => {
                self.speaking.remove(&participant);
            }
            // A lost event may have been the end of somebody's speech.
            Some(Event::Lagged { .. }) => self.speaking.clear(),
            Some(_) => {}
            None => return false,
        }
        true
    }
}

/// Says it all, unless a participant begins to speak; tells how much was said.
async fn say(
    voice: &mut AudioWriter,
    speech: &[i16],
    hall: &mut Hall,
    events: &mut Events,
) -> anyhow::Result<Duration> {
    let before = voice.played();
    let interrupted = async { while hall.speaking.is_empty() && hall.wait(events).await {} };
    let finished = tokio::select! {
        played = voice.play(speech) => played.map(|()| true)?,
        () = interrupted => false,
    };
    if !finished {
        voice.clear();
    }
    Ok(voice.played() - before)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let speech = wav::read(&options.speech, codec::SampleRate::Hz48000)?;
    let room = Room::join(&options.ticket).await?;
    let voice = AudioOptions::opus_voice(SampleRate::Hz48000);
    let mut voice = room.publish_audio("greeting", voice).await?;
    let (mut hall, mut events) = (Hall::default(), room.events());
    while hall.wait(&mut events).await {
        if !hall.speaking.is_empty() {
            continue;
        }
        if let Some(guest) = hall.arrived.pop_front() {
            tokio::time::sleep(SETTLING).await;
            let said = say(&mut voice, &speech, &mut hall, &mut events).await?;
            println!(
                "greeted {guest}: {:.1} s of {:.1} s",
                said.as_secs_f32(),
                speech.len() as f32 / 48_000.0
            );
        }
    }
    println!("the room is closed: {:?}", room.closed().await);
    Ok(())
}
