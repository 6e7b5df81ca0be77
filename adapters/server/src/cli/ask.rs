//! Questions to the user, who may not be there.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::failure::{Exit, Failure};
use super::output::printable;

/// States what is about to be done and asks whether to go on, unless the user has said `--yes`. Without a terminal there is nobody to be asked.
///
/// # Errors
/// If the answer is no, or if nobody can be asked.
pub(crate) fn confirm(statement: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let detail = "this deletes, and there is no terminal to ask: say --yes";
        return Err(Failure::new(Exit::Usage, detail));
    }
    let mut stderr = anstream::stderr();
    let asked =
        write!(stderr, "{} Go on? [y/N] ", printable(statement)).and_then(|()| stderr.flush());
    asked.context("cannot ask")?;
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.context("cannot read the answer")?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "nothing was changed"))
}
