//! The command line.
//!
//! It belongs to the program, not to the library: it uses what `parlour_server` exports, and whoever embeds the server does not
//! get it.
//!
//! A command is a type with clap's `Args` and a method `run(&self, &Output) -> Result<(), Failure>`. To add one:
//! 1. Make `cli/NAME.rs` with that type. Its doc comments are the help; `after_long_help` has one example, which begins with
//!    `parlour`.
//! 2. Add a variant to [`Command`], and a line to [`Command::run`].
//!
//! A command that does no more than one operation of the API needs no code: add a line to `tables.rs`. A command that asks a
//! server in another way flattens `context::Connection` into its arguments, and has its `client()` send requests.
//!
//! A command prints its result by [`Output`] to stdout, and nothing else goes there. What goes wrong is a [`Failure`], which
//! becomes the message on stderr and the exit code: use [`Failure::new`] for a certain [`Exit`], or `?` on an `anyhow::Result`
//! for [`Exit::Failed`]. [`block_on`] runs what is `async`; [`progress::bar`] makes a progress bar.

mod admin;
mod api;
mod ask;
mod client;
mod completion;
mod compose_job;
mod composition;
mod config;
mod context;
mod db;
mod doctor;
mod download;
mod failure;
mod join;
#[cfg(target_os = "linux")]
mod load;
mod newcomer;
mod output;
mod parameters;
mod progress;
mod recording;
mod serve;
mod tables;
mod tail;
mod token;
mod values;
mod webhook;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use self::api::{Call, Remote};
use self::failure::{Exit, Failure};
use self::output::{Format, Output};

/// Real-time audio rooms: the server, and the commands that speak to it.
#[derive(Debug, Parser)]
#[command(name = "parlour", version, after_long_help = EXIT_CODES)]
struct Cli {
    /// How results are printed: `table`, `json`, `jsonl` (a document on each line) or `id`; with `json` and `jsonl` errors are JSON, too.
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

/// The interface for scripts; `docs/CLI.md` has it, too.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  usage: the command line, or a value in it, is not valid
  3  not found
  4  not allowed: the key is missing, wrong, or lacks a scope
  5  conflict with the present state
  6  the server cannot be reached
  7  timed out

Example:
  parlour serve --dev";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    Db(db::Db),
    /// Prints the API's description: OpenAPI 3.1, as JSON.
    #[command(after_long_help = "Example:\n  parlour openapi > openapi.json")]
    Openapi {
        /// As a page to read, in Markdown.
        #[arg(long)]
        markdown: bool,
    },
    #[command(subcommand)]
    Context(context::ContextCommand),
    /// Rooms: long-lived names, with settings.
    Room(Remote<Call<tables::Rooms>>),
    /// Sessions: the runs of rooms, present and past, and moderation.
    Session(Remote<Call<tables::Sessions>>),
    /// Recordings: the media of sessions as files.
    Recording(Remote<recording::Recording>),
    /// Compositions: the recordings of a session as one file.
    Composition(Remote<composition::Composition>),
    /// Participants of sessions.
    Participant(Remote<Call<tables::Participants>>),
    /// Those who wait to be let into a room.
    Lobby(Remote<Call<tables::Lobby>>),
    /// Those who are kept out of a room.
    Ban(Remote<Call<tables::Bans>>),
    /// Tokens and tickets for participants.
    Token(Remote<token::Token>),
    /// The journal: what happened, and what happens.
    Event(Remote<tail::Event>),
    /// API keys.
    Key(Remote<Call<tables::Keys>>),
    /// Admins: those who may log in to the portal.
    Admin(Remote<admin::Admin>),
    /// Webhooks: events that are sent to a URL.
    Webhook(Remote<webhook::Webhook>),
    /// The audit log: who did what.
    Audit(Remote<Call<tables::Audit>>),
    /// Erasures: participants that are taken out of the history.
    Erasure(Remote<Call<tables::Erasures>>),
    /// The server itself.
    Server(Remote<Call<tables::Server>>),
    Doctor(doctor::Doctor),
    Join(join::Join),
    #[cfg(target_os = "linux")]
    Load(Box<load::Load>),
    Completion(completion::Completion),
    ComposeJob(compose_job::ComposeJob),
}

impl Command {
    fn run(&self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Serve(command) => command.run(output),
            Self::Config(command) => command.run(output),
            Self::Db(command) => command.run(output),
            Self::Openapi { markdown: false } => output.document(&parlour_server::api::openapi()),
            Self::Openapi { markdown: true } => {
                print!("{}", parlour_server::api::reference()?);
                Ok(())
            }
            Self::Context(command) => command.run(output),
            Self::Room(command) => command.run(output),
            Self::Session(command) => command.run(output),
            Self::Recording(command) => command.run(output),
            Self::Composition(command) => command.run(output),
            Self::Participant(command) => command.run(output),
            Self::Lobby(command) => command.run(output),
            Self::Ban(command) => command.run(output),
            Self::Token(command) => command.run(output),
            Self::Event(command) => command.run(output),
            Self::Key(command) => command.run(output),
            Self::Admin(command) => command.run(output),
            Self::Webhook(command) => command.run(output),
            Self::Audit(command) => command.run(output),
            Self::Erasure(command) => command.run(output),
            Self::Server(command) => command.run(output),
            Self::Doctor(command) => command.run(output),
            Self::Join(command) => command.run(output),
            #[cfg(target_os = "linux")]
            Self::Load(command) => command.run(output),
            Self::Completion(command) => command.run(output),
            Self::ComposeJob(command) => command.run(),
        }
    }
}

/// Runs the command that the program was started with.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error, &arguments),
    };
    let output = Output::new(cli.output);
    match cli.command.run(&output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit().into()
        }
    }
}

/// Runs what is `async`, on this thread.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    runtime.context("cannot start")?.block_on(future)
}

/// Help and version are no errors; an error is printed in the format that is asked for, as far as can be told.
fn not_parsed(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let format = Format::asked_for(arguments);
    let is_asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if is_asked_for || !format.is_json() {
        // Nothing is left to be done if this fails.
        let _ = error.print();
    } else {
        let text = error.render().to_string();
        let text = text.trim_start_matches("error: ").trim_end();
        Output::new(format).failure(&Failure::new(Exit::Usage, text));
    }
    if is_asked_for {
        ExitCode::SUCCESS
    } else {
        Exit::Usage.into()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn visit(path: &str, command: &clap::Command, see: &mut impl FnMut(&str, &clap::Command)) {
        let path = format!("{path} {}", command.get_name());
        let path = path.trim_start();
        see(path, command);
        let own = |command: &&clap::Command| command.get_name() != "help";
        for command in command.get_subcommands().filter(own) {
            visit(path, command, see);
        }
    }

    #[test]
    fn the_tree_is_sound_and_every_command_has_help_and_an_example_that_parses() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        let mut seen = 0;
        visit("", &cli, &mut |path, command| {
            seen += 1;
            assert!(command.get_about().is_some(), "{path} has no help");
            let named = command
                .get_arguments()
                .filter(|argument| argument.get_help().is_none());
            let named: Vec<_> = named.map(clap::Arg::get_id).collect();
            assert!(named.is_empty(), "{path}: no help for {named:?}");
            if command.has_subcommands() && path != "parlour" {
                return;
            }
            let help = command.get_after_long_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let example = help
                .lines()
                .find_map(|line| line.strip_prefix("  parlour "));
            let example = example.unwrap_or_else(|| panic!("{path} has no example"));
            assert!(
                path == "parlour" || format!("parlour {example} ").starts_with(&format!("{path} ")),
                "{path}: {example}"
            );
            let example = example.split(['<', '>', '|']).next().unwrap_or_default();
            let words = std::iter::once("parlour").chain(example.split_whitespace());
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{path}: {error}");
            }
        });
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn every_command_is_an_operation() {
        let commands = [
            verbs::<tables::Rooms>(),
            verbs::<tables::Sessions>(),
            verbs::<tables::Recordings>(),
            verbs::<tables::Compositions>(),
            verbs::<tables::Participants>(),
            verbs::<tables::Lobby>(),
            verbs::<tables::Bans>(),
            verbs::<tables::Tokens>(),
            verbs::<tables::Events>(),
            verbs::<tables::Keys>(),
            verbs::<tables::Admins>(),
            verbs::<tables::Audit>(),
            verbs::<tables::Erasures>(),
            verbs::<tables::Webhooks>(),
            verbs::<tables::Server>(),
        ];
        let commands = commands.concat();
        let paths = parameters::openapi()["paths"].as_object().unwrap();
        for command in commands {
            let (method, path) = command.split_once(' ').unwrap();
            assert!(paths[path][method.to_lowercase()].is_object(), "{command}");
        }
    }

    fn verbs<T: api::Table>() -> Vec<String> {
        T::VERBS.iter().map(api::Verb::operation_name).collect()
    }
}
