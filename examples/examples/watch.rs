//! Watches a camera or a screen: writes its pictures as they come, to a file or to a player.
//!
//! ```sh
//! cargo run --release --example watch -- TICKET --output film.ivf
//! cargo run --release --example watch -- TICKET --output - | ffplay -
//! cargo run --release --example watch -- TICKET --record film.webm
//! ```
//! With `--output`, VP8 becomes IVF, H.264 a byte stream (Annex B), JPEG one file behind the other. With `--record`, VP8 becomes
//! WebM, and H.264 and JPEG Matroska: with times, and whole but for the last picture even if `watch` is killed.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use parlour_examples::ivf;
use parlour_files::pictures::{PictureFile, RecordedPicture};
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
    #[arg(long, value_name = "FILE", required_unless_present = "record")]
    output: Option<PathBuf>,
    /// The file in which they are kept: `.webm` for VP8, `.mkv` for all. There must be none of that name.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
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

/// A file of pictures under way.
struct Recording {
    path: PathBuf,
    file: PictureFile<File>,
}

impl Recording {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let is_known = path
            .extension()
            .is_some_and(|end| end == "webm" || end == "mkv");
        anyhow::ensure!(is_known, "{}: name the file .webm or .mkv", path.display());
        let file = File::create_new(path).with_context(|| path.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            file: PictureFile::new(file),
        })
    }

    /// Writes to the disk, which is quick enough for a program that does nothing else.
    fn push(&mut self, picture: &EncodedPicture) -> anyhow::Result<()> {
        let is_webm = self.path.extension().is_some_and(|end| end == "webm");
        let is_for_webm = picture.codec == Codec::Vp8;
        anyhow::ensure!(
            !is_webm || is_for_webm,
            "{:?} does not go into WebM: name the file .mkv",
            picture.codec
        );
        self.file.push(&RecordedPicture::from(picture))?;
        Ok(())
    }
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
    let recording = options.record.as_deref().map(Recording::create);
    let mut recording = recording.transpose()?;
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
    let mut out: Option<Box<dyn AsyncWrite + Unpin>> = match &options.output {
        None => None,
        Some(path) if path.as_os_str() == "-" => Some(Box::new(tokio::io::stdout())),
        Some(path) => Some(Box::new(tokio::fs::File::create(path).await?)),
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
        if let Some(out) = &mut out {
            write(out, &picture, seen == 0, began).await?;
        }
        if let Some(recording) = &mut recording {
            recording.push(&picture)?;
        }
        seen += 1;
    }
    if let Some(recording) = recording {
        recording.file.finish()?;
    }
    eprintln!("{seen} pictures");
    room.leave().await;
    Ok(())
}
