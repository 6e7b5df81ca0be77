//! `parlour config`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use parlour_server::config;

use super::failure::Failure;
use super::output::Output;

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
