//! `parlour serve`.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use parlour_server::config::Config;
use parlour_server::serve::Running;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use super::output::Output;

/// Serves rooms and the API.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Environment:
  PARLOUR__SECTION__NAME   goes before what the file says, such as PARLOUR__MEDIA__HOST=rooms.example.org
  PARLOUR_LOG              the log filter, such as info,parlour_tokio=debug

Example:
  parlour serve --config parlour.toml")]
pub(crate) struct Serve {
    /// The configuration, a TOML file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For a first try: listens on this machine only, and keeps everything in `parlour-dev`.
    #[arg(long, conflicts_with = "config")]
    dev: bool,
}

/// Where `serve --dev` keeps everything.
const DEV_FOLDER: &str = "parlour-dev";

impl Serve {
    /// Serves until the process is told to end.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        log();
        let config = if self.dev {
            std::fs::create_dir_all(DEV_FOLDER)
                .with_context(|| format!("cannot make {DEV_FOLDER}"))?;
            Config::dev(DEV_FOLDER.as_ref())
        } else {
            Config::load(self.config.as_deref(), std::env::vars()).map_err(anyhow::Error::from)?
        };
        // The rooms have threads of their own.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start threads")?;
        runtime.block_on(self.serve(&config, output))
    }

    async fn serve(&self, config: &Config, output: &Output) -> Result<(), Failure> {
        let running = Running::start(config).await.map_err(anyhow::Error::from)?;
        if self.dev {
            introduce(&running, output)?;
        } else if let Some(key) = running.made_key() {
            output.text(&format!(
                "The first API key, which may do everything and is not shown again:\n{key}\n"
            ))?;
        }
        tracing::info!(http = %running.address(), rooms = ?running.app().media_addresses(), "serving");
        let served = running.until(asked_to_end(), asked_to_end()).await;
        Ok(served.context("the API's socket failed")?)
    }
}

/// Logs to stderr, with colours on a terminal only.
fn log() {
    let filter = EnvFilter::try_from_env("PARLOUR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && !is_plain)
        .with_writer(std::io::stderr)
        .init();
}

/// Prints what a newcomer needs.
fn introduce(running: &Running, output: &Output) -> Result<(), Failure> {
    let http = running.address();
    let key = running.app().first_key();
    let key = key.context("the database has no key")?;
    if output.format().is_json() {
        return output.document(&json!({"url": format!("http://{http}"), "key": key}));
    }
    output.text(&format!(
        "API      http://{http}/v1   described in http://{http}/openapi.json
key      {key}

A ticket to the room `kitchen` for `anna`:
  curl -H 'Authorization: Bearer {key}' --json '{{\"participant\": \"anna\"}}' \\
      http://{http}/v1/rooms/kitchen/tokens
"
    ))
}

/// SIGTERM or Ctrl-C.
async fn asked_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}
