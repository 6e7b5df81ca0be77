//! The process that composes: `parlour compose-job`.
//!
//! It gets the job on its stdin, tells on its stdout how much is done, and on its stderr what goes wrong. It is told of no path
//! but its folder, and has nothing of this process's environment but `PATH`. It ends when its stdin does, so that it never
//! outlives this process.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use parlour_files::compose::Job;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::config;

/// How much is kept of what it writes to stderr, in bytes: the end of it.
const KEPT: usize = 2_048;
/// The longest line of its stdout that is read.
const LONGEST_LINE: u64 = 1_024;

/// Why there is no file.
#[derive(Debug, Error)]
pub(super) enum ChildError {
    /// The program cannot be started.
    #[error("the program cannot be started: {0}")]
    NotStarted(#[from] io::Error),
    /// It says why not.
    #[error("{0}")]
    Refused(String),
    /// It has ended otherwise.
    #[error("{0}")]
    Crashed(String),
    /// It has taken so many seconds.
    #[error("it has taken {0} s")]
    TimedOut(u32),
}

/// A line of its stdout.
#[derive(Debug, Deserialize)]
struct Told {
    percent: u8,
}

/// Composes in `folder`. It is killed if this is dropped.
pub(super) async fn run(
    config: &config::Compositions,
    folder: &Path,
    job: &Job,
    progress: impl Fn(u8),
) -> Result<(), ChildError> {
    let own;
    let program = match &config.program {
        Some(program) => program,
        None => {
            own = std::env::current_exe()?;
            &own
        }
    };
    let mut command = Command::new(program);
    command
        .args(["compose-job", "--attended", "--memory-mib"])
        .arg(config.memory_mib.to_string())
        .current_dir(folder)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let seconds = config.timeout_s.get();
    let attended = timeout(
        Duration::from_secs(seconds.into()),
        attend(&mut child, job, progress),
    );
    let Ok(attended) = attended.await else {
        // It is killed when it is dropped, too, but that would not wait for it.
        let _ = child.kill().await;
        return Err(ChildError::TimedOut(seconds));
    };
    let (status, said) = attended?;
    match status.code() {
        Some(0) => Ok(()),
        // That is how it ends if it says why.
        Some(1) => Err(ChildError::Refused(said)),
        _ => Err(ChildError::Crashed(format!("{status}: {said}"))),
    }
}

/// Gives it the job, and listens until it ends. Gives the end of what it has said.
async fn attend(
    child: &mut Child,
    job: &Job,
    progress: impl Fn(u8),
) -> io::Result<(ExitStatus, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut line = serde_json::to_vec(job)?;
    line.push(b'\n');
    // It may have ended: then it says why.
    let give = async {
        let _ = stdin.write_all(&line).await;
    };
    let ((), (), said) = tokio::join!(give, listen(stdout, progress), end_of(stderr));
    let status = child.wait().await?;
    drop(stdin);
    Ok((status, said))
}

async fn listen(stdout: impl AsyncRead + Unpin, progress: impl Fn(u8)) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut stdout)
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)
        .await
    {
        if let Ok(Told { percent }) = serde_json::from_slice(&line) {
            progress(percent.min(100));
        }
        line.clear();
    }
}

/// The end of what comes, as text.
async fn end_of(mut stderr: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut piece) = (VecDeque::new(), [0; 1_024]);
    while let Ok(len @ 1..) = stderr.read(&mut piece).await {
        kept.extend(piece.get(..len).unwrap_or_default());
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
    let kept: Vec<u8> = kept.into();
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_is_kept_of_whatever_is_said() {
        let long = format!("first{}last \n", "x".repeat(10_000));
        let said = end_of(long.as_bytes()).await;
        assert!(said.ends_with("xlast") && !said.contains("first"));
        assert!((KEPT - 2..=KEPT).contains(&said.len()));
        assert_eq!(end_of(&b" a\xff"[..]).await, "a\u{fffd}");
    }

    #[tokio::test]
    async fn what_is_no_progress_is_passed_over() {
        let told = std::sync::Mutex::new(Vec::new());
        let long = "y".repeat(5_000);
        let lines = format!("{{\"percent\":3}}\nnonsense\n{long}\n{{\"percent\":255}}\n{{\"perc");
        listen(lines.as_bytes(), |percent| {
            told.lock().unwrap().push(percent)
        })
        .await;
        assert_eq!(told.into_inner().unwrap(), [3, 100]);
    }
}
