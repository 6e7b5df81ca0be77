//! Programs that run beside this one and end with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use crate::{Failure, options::Role};

/// A child of ours, which ends when its input does.
pub(crate) struct Process {
    child: Child,
    /// The line that it printed when it was ready.
    pub(crate) greeting: String,
}

impl Process {
    /// Starts this program once more, in another role; gives it `line` to read and waits for the line that it answers.
    pub(crate) fn start(role: Role, arguments: &[String], line: &str) -> Result<Self, Failure> {
        let role = match role {
            Role::Server => "server",
            Role::Floor => "floor",
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role", role])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(input) = &mut child.stdin {
            writeln!(input, "{line}")?;
        }
        let mut greeting = String::new();
        if let Some(output) = &mut child.stdout {
            BufReader::new(output).read_line(&mut greeting)?;
        }
        if greeting.is_empty() {
            return Err(format!("the {role} did not start").into());
        }
        Ok(Self {
            child,
            greeting: greeting.trim().to_owned(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
