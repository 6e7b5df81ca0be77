//! `parlour serve`.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::Args;
use parlour_server::config::Config;
use parlour_server::log::{self, LogHandle};
use parlour_server::serve::{Reloader, Running};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::config::{DEV_FOLDER, Which};
use super::context::{Context, DEV_FILE, write_private};
use super::failure::Failure;
use super::newcomer;
use super::output::Output;

/// Serves rooms and the API.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Environment:
  PARLOUR__SECTION__NAME   goes before what the file says, such as PARLOUR__MEDIA__HOST=rooms.example.org
  PARLOUR_LOG              the log filter, such as info,parlour_tokio=debug

Example:
  parlour serve --config parlour.toml")]
pub(crate) struct Serve {
    #[command(flatten)]
    which: Which,
}

impl Serve {
    /// Serves until the process is told to end.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        if self.which.dev {
            std::fs::create_dir_all(DEV_FOLDER)
                .with_context(|| format!("cannot make {DEV_FOLDER}"))?;
        }
        let config = self.which.load()?;
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_coloured = std::io::stderr().is_terminal() && !is_plain;
        let log = log::init(&config.log, is_coloured).context("cannot log")?;
        // The rooms have threads of their own.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start threads")?;
        runtime.block_on(self.serve(&config, log, output))
    }

    async fn serve(&self, config: &Config, log: LogHandle, output: &Output) -> Result<(), Failure> {
        let running = Running::start(config).await.map_err(anyhow::Error::from)?;
        let _written = if self.which.dev {
            let context = context_of(&running)?;
            let written = DevContext::write(&context)?;
            introduce(&context, &running, output)?;
            Some(written)
        } else {
            None
        };
        if let Some(key) = running.made_key().filter(|_| !self.which.dev) {
            output.text(&format!(
                "The first API key, which may do everything and is not shown again:\n{key}\n"
            ))?;
        }
        #[cfg(unix)]
        {
            let hung_up = signal(SignalKind::hangup()).context("cannot wait for signals")?;
            tokio::spawn(reload(hung_up, running.reloader(), log, self.clone()));
        }
        if let Some(address) = running.metrics_address() {
            tracing::info!(%address, "metrics are at /metrics");
        }
        let end = asked_to_end_from_now();
        tracing::info!(http = %running.address(), rooms = ?running.app().media_addresses(), "serving");
        let served = running.until(end, asked_to_end()).await;
        Ok(served.map_err(anyhow::Error::from)?)
    }
}

/// At each SIGHUP, reads certificates, API keys and the log's filter anew.
#[cfg(unix)]
async fn reload(mut hung_up: Signal, reloader: Reloader, log: LogHandle, options: Serve) {
    while hung_up.recv().await.is_some() {
        match options.which.load() {
            Ok(config) => {
                log.set(&config.log);
                reloader.reload(&config).await;
            }
            Err(failure) => {
                tracing::error!(
                    error = failure.problem().detail,
                    "the former configuration stays"
                );
            }
        }
    }
}

/// How the commands of this machine reach the server.
fn context_of(running: &Running) -> Result<Context, Failure> {
    let key = running.app().first_key();
    Ok(Context {
        url: format!("http://{}", running.address()),
        key: key.context("the database has no key")?,
        ticket_base: Some(running.app().ticket_base()),
    })
}

/// The file by which commands in this folder find the server, for as long as it runs.
struct DevContext;

impl DevContext {
    fn write(context: &Context) -> Result<Self, Failure> {
        write_private(DEV_FILE.as_ref(), context)?;
        Ok(Self)
    }
}

impl Drop for DevContext {
    fn drop(&mut self) {
        // At worst it leads to a server that is gone, and the error says so.
        let _ = std::fs::remove_file(DEV_FILE);
    }
}

/// Prints what a newcomer needs.
fn introduce(context: &Context, running: &Running, output: &Output) -> Result<(), Failure> {
    if output.format().is_json() {
        return output.document(context);
    }
    let page = running.app().guest_page("kitchen").unwrap_or_default();
    output.text(&newcomer::introduction(context, &page))
}

/// SIGTERM or Ctrl-C.
pub(super) async fn asked_to_end() {
    asked_to_end_from_now().await;
}

/// The same, also if it comes before this is waited for.
fn asked_to_end_from_now() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    async move {
        #[cfg(unix)]
        if let [Ok(mut terminated), Ok(mut interrupted)] = signals {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
            return;
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}
