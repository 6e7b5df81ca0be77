//! `parlour config`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlour_server::config;

use super::failure::{Exit, Failure};
use super::output::Output;

/// Where `serve --dev` keeps everything.
pub(super) const DEV_FOLDER: &str = "parlour-dev";

/// Which configuration a command is about.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// The server's configuration, a TOML file.
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// That of a first try: listens on this machine only, and keeps everything in `parlour-dev`.
    #[arg(long, conflicts_with = "config")]
    pub(super) dev: bool,
}

impl Which {
    /// Reads it.
    pub(super) fn load(&self) -> Result<config::Config, Failure> {
        if self.dev {
            return dev_config();
        }
        let config = config::Config::load(self.config.as_deref(), std::env::vars());
        Ok(config.map_err(anyhow::Error::from)?)
    }
}

/// Looks at the server's configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Checks the configuration, and prints it with what was left out.
    ///
    /// Passwords are not shown.
    #[command(after_long_help = "Example:\n  parlour config check parlour.toml")]
    Check {
        /// The configuration, a TOML file.
        #[arg(value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

impl Config {
    /// Prints the configuration.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let Self::Check { config } = self;
        let config = config::Config::load(config.as_deref(), std::env::vars());
        let mut config = config.map_err(anyhow::Error::from)?;
        if let Some(url) = &mut config.store.url {
            *url = without_password(url);
        }
        if output.format().is_json() {
            return output.document(&config);
        }
        let text = toml::to_string(&config).context("cannot be written as TOML")?;
        output.text(&text)
    }
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

/// The configuration of `serve --dev`, which is for this machine: everybody there may do everything.
fn dev_config() -> Result<config::Config, Failure> {
    let config = config::Config::dev(DEV_FOLDER.as_ref()).overridden(std::env::vars());
    let config = config.map_err(anyhow::Error::from)?;
    let metrics = config.metrics.listen;
    for listen in [config.http.listen, config.media.listen]
        .into_iter()
        .chain(metrics)
    {
        if !listen.ip().is_loopback() {
            let detail = format!(
                "--dev listens on this machine only, and {listen} is not: use --config with a file instead"
            );
            return Err(Failure::new(Exit::Usage, detail));
        }
    }
    Ok(config)
}
