//! `parlour recording`.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base16ct::lower::encode_string;
use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use parlour_files::recording::repair;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;

use super::api::{Call, Run, Table as _};
use super::client::{Client, Request};
use super::context::Connection;
use super::failure::{Exit, Failure};
use super::output::{Output, View};
use super::progress;
use super::tables::Recordings;

/// Recordings: the media of sessions as files.
#[derive(Debug, Subcommand)]
pub(crate) enum Recording {
    Download(Download),
    Repair(Repair),
    #[command(flatten)]
    Api(Call<Recordings>),
}

impl Run for Recording {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Download(download) => download.run(&connection.client()?, output).await,
            Self::Repair(repair) => repair.run(output).await,
            Self::Api(call) => call.run(connection, output).await,
        }
    }
}

/// Downloads the file of a recording, and checks that it is whole.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  parlour recording download rec_01JC3 --to anna.opus")]
pub(crate) struct Download {
    /// Its id.
    id: String,
    /// The file to write, which must not be there; without it, one in this folder that is named by the recording's id.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Download {
    async fn run(&self, client: &Client, output: &Output) -> Result<(), Failure> {
        let mut request = Request::get("v1/recordings");
        request.push(&self.id);
        let mut recording = client.send(&request).await?;
        let ending = match recording["container"].as_str() {
            Some("wav") => "wav",
            _ => "opus",
        };
        let own = || Path::new(&self.id).with_extension(ending);
        let to = self.to.clone().unwrap_or_else(own);
        if self.to.is_none() && to.components().count() != 1 {
            let detail = format!("{:?} is no id: name the file with --to", self.id);
            return Err(Failure::new(Exit::Usage, detail));
        }
        if to.exists() {
            let detail = format!("{} is there already", to.display());
            return Err(Failure::new(Exit::Conflict, detail));
        }
        request.push("content");
        let part = to.with_extension(format!("{ending}.part"));
        let fetched = fetch(client, &request, &part, &recording).await;
        if fetched.is_err() {
            // There may be none.
            let _ = tokio::fs::remove_file(&part).await;
        }
        fetched?;
        let renamed = tokio::fs::rename(&part, &to).await;
        renamed.with_context(|| format!("cannot write {}", to.display()))?;
        recording["file"] = json!(to.display().to_string());
        output.entry(&Recordings::VIEW, &recording)
    }
}

/// Makes a recording's file whole that was cut off, such as one that was copied while it was written. The file is changed: what
/// comes after its last whole second is cut off. It needs no server.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  parlour recording repair anna.opus")]
pub(crate) struct Repair {
    /// The file: Ogg Opus or WAV, as the server writes them.
    file: PathBuf,
}

impl Repair {
    async fn run(&self, output: &Output) -> Result<(), Failure> {
        let path = self.file.clone();
        let repaired = spawn_blocking(move || -> anyhow::Result<_> {
            let opened = OpenOptions::new().read(true).write(true).open(path);
            Ok(repair(&mut opened?)?)
        });
        let repaired = repaired.await.context("the repair ended")?;
        let repaired = repaired.with_context(|| self.file.display().to_string())?;
        let entry = json!({
            "file": self.file.display().to_string(),
            "duration_ms": u64::try_from(repaired.duration.as_millis()).unwrap_or(u64::MAX),
            "size": repaired.size,
        });
        let view = View {
            id: "file",
            columns: &["file", "duration_ms", "size"],
        };
        output.entry(&view, &entry)
    }
}

async fn fetch(
    client: &Client,
    request: &Request,
    to: &Path,
    recording: &Value,
) -> Result<(), Failure> {
    let response = client.open(request).await?;
    let cannot = || format!("cannot write {}", to.display());
    let mut file = File::create(to).await.with_context(cannot)?;
    let bar = progress::bar(response.content_length().unwrap_or(0), "bytes");
    let (mut hash, mut pieces) = (Sha256::new(), response.bytes_stream());
    while let Some(piece) = pieces.next().await {
        let piece = piece.context("the download broke off")?;
        hash.update(&piece);
        file.write_all(&piece).await.with_context(cannot)?;
        bar.inc(piece.len() as u64);
    }
    file.sync_all().await.with_context(cannot)?;
    bar.finish_and_clear();
    let hash = encode_string(&hash.finalize());
    if recording["sha256"] != hash.as_str() {
        let detail = "the file is another one than the server has stored: try again";
        return Err(Failure::new(Exit::Failed, detail));
    }
    Ok(())
}
