//! `parlour composition`.

use clap::{Args, Subcommand};

use super::api::{Call, Run, Table as _};
use super::context::Connection;
use super::download::Target;
use super::failure::Failure;
use super::output::Output;
use super::tables::Compositions;

/// Compositions: the recordings of a session as one file.
#[derive(Debug, Subcommand)]
pub(crate) enum Composition {
    Download(Download),
    #[command(flatten)]
    Api(Call<Compositions>),
}

impl Run for Composition {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Download(Download { target }) => {
                let resource = ("v1/compositions", &Compositions::VIEW);
                let ending = |composition: &serde_json::Value| match composition["format"].as_str()
                {
                    Some("wav") => "wav",
                    Some("m4a") => "m4a",
                    Some("mp4") => "mp4",
                    Some("webm") => "webm",
                    _ => "ogg",
                };
                target
                    .download(&connection.client()?, output, resource, ending)
                    .await
            }
            Self::Api(call) => call.run(connection, output).await,
        }
    }
}

/// Downloads the file of a composition, and checks that it is whole.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  parlour composition download cmp_01JC3 --to meeting.ogg")]
pub(crate) struct Download {
    #[command(flatten)]
    target: Target,
}
