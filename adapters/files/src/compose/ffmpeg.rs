//! The program `ffmpeg`, which encodes what it is given on its stdin.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::ComposeError;

/// Bytes that are handed over at a time.
const PIECE: usize = 1 << 16;

/// An `ffmpeg` under way. It is killed if it is dropped before it has [finished](Self::finish).
#[derive(Debug)]
pub(super) struct Ffmpeg {
    child: Child,
    stdin: Option<BufWriter<ChildStdin>>,
}

/// A command that says nothing but what goes wrong, on the stderr of this process.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// That it cannot be started.
pub(super) fn not_started(error: &io::Error) -> ComposeError {
    ComposeError::Ffmpeg(format!("it cannot be started: {error}"))
}

impl Ffmpeg {
    /// Starts it; `arguments` follow on what [`command`] has.
    pub(super) fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, ComposeError> {
        let mut command = command(program);
        command.args(arguments).stdin(Stdio::piped());
        let mut child = command.spawn().map_err(|error| not_started(&error))?;
        let stdin = child.stdin.take();
        let stdin = stdin.map(|stdin| BufWriter::with_capacity(PIECE, stdin));
        Ok(Self { child, stdin })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ComposeError> {
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        // It has ended: how tells more than that it does not listen.
        written.or_else(|error| self.ended()?.map_err(|_| refused(&error)))
    }

    /// Waits until it has written its file.
    pub(super) fn finish(mut self) -> Result<(), ComposeError> {
        let flushed = self.stdin.as_mut().map_or(Ok(()), BufWriter::flush);
        // What it has said of itself comes first.
        self.ended()??;
        flushed.map_err(|error| refused(&error))
    }

    fn ended(&mut self) -> Result<Result<(), ComposeError>, ComposeError> {
        // It waits for the end of that.
        self.stdin = None;
        let status = self.child.wait().map_err(|error| refused(&error))?;
        Ok(match status.success() {
            true => Ok(()),
            false => Err(ComposeError::Ffmpeg(status.to_string())),
        })
    }
}

fn refused(error: &io::Error) -> ComposeError {
    ComposeError::Ffmpeg(format!("it does not take what it is given: {error}"))
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
