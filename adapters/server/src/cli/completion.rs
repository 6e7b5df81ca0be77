//! `parlour completion`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::failure::Failure;
use super::output::Output;

/// Prints a script that has a shell complete commands and options.
#[derive(Debug, Args)]
#[command(after_long_help = "\
bash: put it into ~/.local/share/bash-completion/completions/parlour
zsh:  put it as _parlour into a folder of $fpath
fish: put it into ~/.config/fish/completions/parlour.fish

Example:
  parlour completion bash > ~/.local/share/bash-completion/completions/parlour")]
pub(crate) struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    /// Prints the script.
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "parlour", &mut script);
        output.text(&String::from_utf8_lossy(&script))
    }
}
