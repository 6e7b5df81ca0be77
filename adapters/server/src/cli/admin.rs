//! `parlour admin`.

use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::api::{Call, Run, Table as _};
use super::client::Request;
use super::context::Connection;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::tables::Admins;

/// Admins: those who may log in to the portal.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    Password(Password),
    #[command(flatten)]
    Api(Call<Admins>),
}

impl Run for Admin {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Password(password) => password.run(connection, output).await,
            Self::Api(call) => call.run(connection, output).await,
        }
    }
}

/// Sets the password with which an admin logs in to the portal.
///
/// The password is asked for. Without a terminal it is read from stdin, up to its end. Whoever is logged in by the former password
/// has to log in again.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  parlour admin password anna")]
pub(crate) struct Password {
    /// The admin's name: at most 32 of `A-Z a-z 0-9 . _ -`.
    name: String,
}

impl Password {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        let client = connection.client()?;
        let path = ["v1", "admins", &self.name].map(str::to_owned).into();
        let mut request = Request::new(Method::PUT, path);
        request.body = Some(json!({"password": read()?}));
        output.entry(&Admins::VIEW, &client.send(&request).await?)
    }
}

fn read() -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        let mut password = String::new();
        let read = std::io::stdin().read_to_string(&mut password);
        read.context("cannot read the password from stdin")?;
        return Ok(password.trim_end_matches(['\r', '\n']).to_owned());
    }
    let ask = |prompt| rpassword::prompt_password(prompt).context("cannot ask");
    let password = ask("Password: ")?;
    if ask("Once more: ")? != password {
        let detail = "these were two different passwords; nothing was changed";
        return Err(Failure::new(Exit::Failed, detail));
    }
    Ok(password)
}
