//! `parlour recording`.

use clap::{Args, Subcommand};

use super::api::{Call, Run, Table as _};
use super::context::Connection;
use super::download::Target;
use super::failure::Failure;
use super::output::Output;
use super::tables::Recordings;

/// Recordings: the media of sessions as files.
#[derive(Debug, Subcommand)]
pub(crate) enum Recording {
    Download(Download),
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
