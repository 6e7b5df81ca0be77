//! `parlour compose-job`.

use std::io::{BufRead as _, Read as _, Write as _};

use anyhow::Context as _;
use clap::Args;
use parlour_files::compose::{Job, compose};

use super::failure::{Exit, Failure};

/// Composes a file, as the JSON on stdin describes it. The server starts this for each composition.
///
/// It tells on stdout how much is done: `{"percent": 40}`.
#[derive(Debug, Args)]
#[command(
    hide = true,
    after_long_help = "Example:\n  parlour compose-job < job.json"
)]
pub(crate) struct ComposeJob {
    /// The job is one line, and this ends once stdin does.
    #[arg(long)]
    attended: bool,
    /// The memory that it may have, in MiB.
    #[arg(long, value_name = "MIB")]
    memory_mib: Option<u64>,
}

impl ComposeJob {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        restrain(self.memory_mib);
        let mut text = String::new();
        let mut stdin = std::io::stdin().lock();
        let read = match self.attended {
            true => stdin.read_line(&mut text),
            false => stdin.read_to_string(&mut text),
        };
        read.context("cannot read the job")?;
        drop(stdin);
        if self.attended {
            std::thread::spawn(end_with_stdin);
        }
        let job: Job = serde_json::from_str(&text).context("the job is not valid")?;
        let mut told = None;
        compose(&job, |done| {
            let percent = (done * 100.0) as u8;
            if told.replace(percent) != Some(percent) {
                // Whoever started it may not listen.
                let _ = writeln!(std::io::stdout(), "{{\"percent\":{percent}}}");
            }
        })
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        Ok(())
    }
}

/// Ends the process once nobody waits for it any more.
fn end_with_stdin() {
    // It ends by an error, too.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    std::process::exit(Exit::Failed as i32);
}

/// Gives others precedence, and limits the memory.
#[cfg(unix)]
fn restrain(memory_mib: Option<u64>) {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    // Both are courtesies: where they are refused, it composes all the same.
    let _ = nice(10);
    if let Some(mib) = memory_mib {
        let most = Some(mib.saturating_mul(1 << 20));
        let limit = Rlimit {
            current: most,
            maximum: most,
        };
        let _ = setrlimit(Resource::As, limit);
    }
}

#[cfg(not(unix))]
fn restrain(_: Option<u64>) {}
