//! A camera: publishes what `ffmpeg` encodes, from a file, a device or a test picture.
//!
//! ```sh
//! cargo run --release --example camera -- TICKET --input film.mp4
//! cargo run --release --example camera -- TICKET --device /dev/video0
//! cargo run --release --example camera -- TICKET           # a test picture
//! ```
//! `ffmpeg` cannot be asked for a key picture while it runs, so it makes one each second: who begins to watch waits for that.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use clap::Parser;
use parlour_core::video::Picture;
use parlour_examples::ivf::IvfReader;
use parlour_tokio::core::video::SendPictureError;
use parlour_tokio::{Codec, Room, VideoOptions, WritePictureError};
use tokio::process::{Child, Command};

/// Publishes a film in a room, until it ends or Ctrl-C is pressed.
#[derive(Debug, Parser)]
#[command(name = "camera", version)]
struct Options {
    /// The ticket to the room.
    #[arg(env = "PARLOUR_TICKET", hide_env_values = true)]
    ticket: String,
    /// The film; without it and a device, a test picture.
    #[arg(long, value_name = "FILE", conflicts_with = "device")]
    input: Option<PathBuf>,
    /// A camera (Video4Linux).
    #[arg(long, value_name = "DEVICE")]
    device: Option<PathBuf>,
    /// The name of the stream.
    #[arg(long, default_value = "camera")]
    key: String,
    /// Bits per second.
    #[arg(long, default_value_t = 700_000)]
    rate: u32,
    /// Seconds to film.
    #[arg(long, value_name = "SECONDS")]
    time: Option<u32>,
}

/// Starts ffmpeg, which writes IVF to its output.
fn encode(options: &Options) -> anyhow::Result<Child> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "error"]);
    match (&options.input, &options.device) {
        (Some(file), _) => ffmpeg.arg("-re").arg("-i").arg(file),
        (_, Some(device)) => ffmpeg.args(["-f", "v4l2", "-i"]).arg(device),
        _ => ffmpeg.args(["-re", "-f", "lavfi", "-i", "testsrc=size=640x360:rate=30"]),
    };
    if let Some(time) = options.time {
        ffmpeg.args(["-t", &time.to_string()]);
    }
    ffmpeg.args(["-an", "-c:v", "libvpx", "-deadline", "realtime"]);
    ffmpeg.args(["-cpu-used", "8", "-lag-in-frames", "0"]);
    ffmpeg.args(["-force_key_frames", "expr:gte(t,n_forced)"]);
    ffmpeg.args(["-b:v", &options.rate.to_string()]);
    ffmpeg.args(["-f", "ivf", "-flush_packets", "1", "-"]);
    ffmpeg.stdout(Stdio::piped()).kill_on_drop(true);
    ffmpeg
        .spawn()
        .context("ffmpeg cannot be started: install it")
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let room = Room::join(&options.ticket).await?;
    let video = VideoOptions::camera(Codec::Vp8).bits_per_second(options.rate);
    let mut camera = room.publish_video(&options.key, video).await?;
    println!("filming as {}", options.key);
    let mut ffmpeg = encode(&options)?;
    let pictures = ffmpeg.stdout.take().context("ffmpeg has no output")?;
    let mut pictures = IvfReader::open(pictures)
        .await
        .context("ffmpeg made nothing: is the input a film?")?;
    let (mut sent, mut left_out) = (0, 0);
    loop {
        let picture = tokio::select! {
            picture = pictures.next() => picture?,
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None)?,
        };
        let Some((bytes, timestamp)) = picture else {
            break;
        };
        let picture = Picture {
            bytes: &bytes,
            timestamp,
            discardable: false,
            temporal_layer: 0,
            layer: 0,
        };
        match camera.write(&picture) {
            Ok(()) => sent += 1,
            // The network is slower than ffmpeg: it goes on with the next key picture.
            Err(WritePictureError::Picture(
                SendPictureError::Full | SendPictureError::NeedsKey,
            )) => {
                left_out += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    // What was written last leaves, and is repaired.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    println!("{sent} pictures sent, {left_out} left out");
    room.leave().await;
    Ok(())
}
