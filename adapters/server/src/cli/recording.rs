//! `parlour recording`.

use std::fs::OpenOptions;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlour_files::recording::repair;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::api::{Call, Run, Table as _};
use super::context::Connection;
use super::download::Target;
use super::failure::Failure;
use super::output::{Output, View};
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
            Self::Download(Download { target }) => {
                let (client, resource) =
                    (connection.client()?, ("v1/recordings", &Recordings::VIEW));
                let ending = |recording: &serde_json::Value| match recording["container"].as_str() {
                    Some("wav") => "wav",
                    _ => "opus",
                };
                target.download(&client, output, resource, ending).await
            }
            Self::Repair(repair) => repair.run(output).await,
            Self::Api(call) => call.run(connection, output).await,
        }
    }
}

/// Downloads the file of a recording, and checks that it is whole.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  parlour recording download rec_01JC3 --to anna.opus")]
pub(crate) struct Download {
    #[command(flatten)]
    target: Target,
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
