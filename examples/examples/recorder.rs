//! Records a room: a file for each stream, with its frames as they came. Opus becomes Ogg Opus
//! ([RFC 7845](https://www.rfc-editor.org/rfc/rfc7845)), G.711 becomes WAV.
//!
//! ```sh
//! cargo run --release --example recorder -- TICKET --folder target/recording
//! ```
//! All files begin when the recording begins, and pauses and losses are filled: a second of a file is a second of the room.

use std::path::PathBuf;

use clap::Parser;
use parlour_files::Tracks;
use parlour_tokio::Room;

/// Records all that is said in a room, until it is closed or Ctrl-C is pressed.
#[derive(Debug, Parser)]
#[command(name = "recorder", version)]
struct Options {
    /// The ticket to the room.
    #[arg(env = "PARLOUR_TICKET", hide_env_values = true)]
    ticket: String,
    /// Where the files go.
    #[arg(long, value_name = "FOLDER", default_value = "recording")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut tracks = Tracks::create(&options.folder)?;
    let room = Room::join(&options.ticket).await?;
    let mut frames = room.frames();
    let recorded = loop {
        let frame = tokio::select! {
            frame = frames.next() => frame,
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None)?,
        };
        let Some(frame) = frame else {
            break Ok(());
        };
        match tracks.write(&frame) {
            Ok(Some(new)) => println!("recording {}", new.display()),
            Ok(None) => {}
            Err(error) => break Err(error),
        }
    };
    // The files are whole, also if the disk is full.
    tracks.finish()?;
    recorded?;
    println!("{} frames are missing", frames.missed());
    room.leave().await;
    Ok(())
}
