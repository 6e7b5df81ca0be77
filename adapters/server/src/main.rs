//! `parlour`: the room server and its command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use parlour_server::api;
use parlour_server::config::Config;
use parlour_server::serve::Running;
use tracing_subscriber::EnvFilter;

/// Real-time audio rooms: the server, and what speaks to it.
#[derive(Debug, Parser)]
#[command(name = "parlour", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves rooms and the API.
    Serve(Serve),
    /// Looks at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints the API's description: OpenAPI 3.1, as JSON.
    Openapi,
}

#[derive(Debug, Args)]
struct Serve {
    /// The configuration, a TOML file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For a first try: listens on this machine only, and keeps everything in `parlour-dev`.
    #[arg(long, conflicts_with = "config")]
    dev: bool,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Checks the configuration, and prints it with what was left out.
    Check {
        /// The configuration, a TOML file.
        #[arg(value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Where `serve --dev` keeps everything.
const DEV_FOLDER: &str = "parlour-dev";

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Serve(options) => serve(&options),
        Command::Config(ConfigCommand::Check { config }) => {
            let mut config = Config::load(config.as_deref(), std::env::vars())?;
            if let Some(url) = &mut config.store.url {
                *url = without_password(url);
            }
            print!("{}", toml::to_string(&config)?);
            Ok(())
        }
        Command::Openapi => {
            println!("{}", serde_json::to_string_pretty(&api::openapi())?);
            Ok(())
        }
    }
}

fn serve(options: &Serve) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("PARLOUR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let config = if options.dev {
        std::fs::create_dir_all(DEV_FOLDER).with_context(|| format!("cannot make {DEV_FOLDER}"))?;
        Config::dev(DEV_FOLDER.as_ref())
    } else {
        Config::load(options.config.as_deref(), std::env::vars())?
    };
    // The rooms have threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let running = Running::start(&config).await?;
        if options.dev {
            introduce(&running)?;
        } else if let Some(key) = running.made_key() {
            println!("The first API key, which may do everything and is not shown again:\n{key}");
        }
        tracing::info!(http = %running.address(), rooms = ?running.app().media_addresses(), "serving");
        running.until(asked_to_end(), asked_to_end()).await?;
        Ok(())
    })
}

/// Prints what a newcomer needs.
fn introduce(running: &Running) -> anyhow::Result<()> {
    let http = running.address();
    let key = running
        .app()
        .first_key()
        .context("the database has no key")?;
    println!("API      http://{http}/v1   described in http://{http}/openapi.json");
    println!("key      {key}");
    println!();
    println!("A ticket to the room `kitchen` for `anna`:");
    println!("  curl -H 'Authorization: Bearer {key}' --json '{{\"participant\": \"anna\"}}' \\");
    println!("      http://{http}/v1/rooms/kitchen/tokens");
    Ok(())
}

/// A database's address, fit to be shown.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
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
