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
//! A command prints its result by [`Output`] to stdout, and nothing else goes there. What goes wrong is a [`Failure`], which
//! becomes the message on stderr and the exit code: use [`Failure::new`] for a certain [`Exit`], or `?` on an `anyhow::Result`
//! for [`Exit::Failed`]. [`block_on`] runs what is `async`; [`progress::bar`] makes a progress bar.

mod completion;
mod config;
mod failure;
mod output;
mod progress;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use parlour_server::api;

use failure::{Exit, Failure};
use output::{Format, Output};

/// Real-time audio rooms: the server, and the commands that speak to it.
#[derive(Debug, Parser)]
#[command(name = "parlour", version, after_long_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    /// How results are printed; errors are JSON, too, with `json` and `jsonl`.
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

/// The interface for scripts; `docs/SERVER.md` has it, too.
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
    /// Prints the API's description: OpenAPI 3.1, as JSON.
    #[command(after_long_help = "Example:\n  parlour openapi > openapi.json")]
    Openapi,
    Completion(completion::Completion),
}

impl Command {
    fn run(&self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Serve(command) => command.run(output),
            Self::Config(command) => command.run(output),
            Self::Openapi => output.document(&api::openapi()),
            Self::Completion(command) => command.run(output),
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
#[expect(dead_code, reason = "the commands that ask a server are about to come")]
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
            let example = example.split(['>', '|']).next().unwrap_or_default();
            let words = std::iter::once("parlour").chain(example.split_whitespace());
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{path}: {error}");
            }
        });
        assert!(seen > 4, "{seen}");
    }
}
