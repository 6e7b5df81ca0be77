//! Watches a camera or a screen: writes its pictures as they come, to a file or to a player.
//!
//! ```sh
//! cargo run --release --example watch -- TICKET --output film.ivf
//! cargo run --release --example watch -- TICKET --output - | ffplay -
//! ```
//! VP8 becomes IVF, H.264 a byte stream (Annex B), JPEG one file behind the other.

use std::path::PathBuf;

use clap::Parser;
use parlour_examples::ivf;
use parlour_tokio::core::signal::StreamRef;
use parlour_tokio::{Codec, EncodedPicture, Room, StreamKind};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// Watches a stream of pictures, until the room is closed or Ctrl-C is pressed.
#[derive(Debug, Parser)]
#[command(name = "watch", version)]
struct Options {
    /// The ticket to the room.
    #[arg(env = "PARLOUR_TICKET", hide_env_values = true)]
    ticket: String,
    /// Whom to watch; without it, the first one who shows something.
    #[arg(long)]
    participant: Option<String>,
    /// Where the pictures go; `-` is the standard output.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Pictures to watch.
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
}

/// A stream of pictures that there is in the room.
fn find(room: &Room, wanted: Option<&str>) -> Option<StreamRef> {
    room.with_state(|state| {
        let mut streams = state.participants().flat_map(|participant| {
            let streams = participant.streams.iter();
            streams.map(|stream| (participant.id.clone(), stream))
        });
        let found = streams.find(|(participant, stream)| {
            let is_wanted = wanted.is_none_or(|wanted| wanted == participant.as_str());
            is_wanted && stream.kind != StreamKind::Audio
        });
        found.map(|(participant, stream)| StreamRef {
            participant,
            key: stream.key.clone(),
        })
    })
}

async fn write(
    out: &mut (impl AsyncWrite + Unpin),
    picture: &EncodedPicture,
    is_first: bool,
    began: u64,
) -> std::io::Result<()> {
    if picture.codec == Codec::Vp8 {
        if is_first {
            out.write_all(&ivf::header(&picture.bytes)).await?;
        }
        let time = picture.timestamp.saturating_sub(began);
        out.write_all(&ivf::frame_header(&picture.bytes, time))
            .await?;
    }
    out.write_all(&picture.bytes).await?;
    out.flush().await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let room = Room::join(&options.ticket).await?;
    let mut events = room.events();
    let stream = loop {
        if let Some(stream) = find(&room, options.participant.as_deref()) {
            break stream;
        }
        match events.next().await {
            Some(_) => {}
            None => anyhow::bail!("the room was closed, and nobody had shown anything"),
        }
    };
    let mut pictures = room.watch(&stream).await?;
    eprintln!("watching {} of {}", stream.key, stream.participant);
    let mut out: Box<dyn AsyncWrite + Unpin> = match options.output.to_str() {
        Some("-") => Box::new(tokio::io::stdout()),
        _ => Box::new(tokio::fs::File::create(&options.output).await?),
    };
    let (mut seen, mut began) = (0, 0);
    while options.count.is_none_or(|count| seen < count) {
        let picture = tokio::select! {
            picture = pictures.next() => picture,
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None)?,
        };
        let Some(picture) = picture else {
            break;
        };
        if seen == 0 {
            began = picture.timestamp;
        }
        write(&mut out, &picture, seen == 0, began).await?;
        seen += 1;
    }
    eprintln!("{seen} pictures");
    room.leave().await;
    Ok(())
}
