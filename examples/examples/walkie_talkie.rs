//! A participant with its sound on standard input and output: raw PCM, 16 bits, mono, little endian.
//!
//! ```sh
//! arecord -t raw -f S16_LE -r 48000 | cargo run --release --example walkie_talkie -- TICKET | aplay -t raw -f S16_LE -r 48000
//! ```

use std::io::stdin;

use clap::Parser;
use parlour_files::raw_pcm;
use parlour_tokio::{
    AudioOptions, AudioWriter, Event, Events, MixedReader, Room, RoomEvent, SampleRate,
};
use tokio::io::{AsyncWriteExt as _, stdout};

const RATE: SampleRate = SampleRate::Hz48000;
const FRAME: usize = 960; // 20 ms

/// Joins a room; says what comes in on standard input, and writes what it hears to standard output.
#[derive(Debug, Parser)]
#[command(name = "walkie_talkie", version)]
struct Options {
    /// The ticket to the room.
    #[arg(env = "PARLOUR_TICKET", hide_env_values = true)]
    ticket: String,
}

/// Says all of standard input. A pipe or a file may give it faster than it is heard: `play` keeps the pace.
async fn talk(mut mic: AudioWriter) -> anyhow::Result<()> {
    let mut pieces = raw_pcm(stdin());
    while let Some(pcm) = pieces.recv().await {
        mic.play(&pcm).await?;
    }
    Ok(())
}

/// Writes what is heard until nobody reads it.
async fn listen(mut heard: MixedReader) -> anyhow::Result<()> {
    let mut output = stdout();
    let mut pcm = [0; FRAME];
    loop {
        heard.next_frame(&mut pcm).await;
        let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        output.write_all(&bytes).await?;
        output.flush().await?;
    }
}

/// Tells on standard error what happens, until the room is closed.
async fn tell(mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            Event::Room(RoomEvent::Closed(cause)) => eprintln!("the room is closed: {cause:?}"),
            Event::Room(RoomEvent::SpeakerChanged(Some(speaker))) => eprintln!("{speaker} speaks"),
            Event::Room(RoomEvent::ParticipantLeft { participant, .. }) => {
                eprintln!("{participant} left")
            }
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let room = Room::join(&options.ticket).await?;
    let mic = room
        .publish_audio("mic", AudioOptions::opus_voice(RATE))
        .await?;
    tokio::select! {
        // A room that is closed takes no sound either: first the reason.
        biased;
        () = tell(room.events()) => return Ok(()),
        talked = talk(mic) => talked?,
        listened = listen(room.mixed_audio(RATE)?) => listened?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    room.leave().await;
    Ok(())
}
