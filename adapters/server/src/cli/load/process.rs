//! Programs that run beside this one and end with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use super::options::Role;

/// A child of ours, which ends when its input does.
pub(super) struct Process {
    child: Child,
    /// The line that it printed when it was ready.
    pub(super) greeting: String,
}

impl Process {
    /// Starts this program once more, in another role; gives it `line` to read and waits for the line that it answers.
    pub(super) fn start(role: Role, arguments: &[String], line: &str) -> anyhow::Result<Self> {
        let role = match role {
            Role::Server => "server",
            Role::Floor => "floor",
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["load", "--own-server", "--role", role])
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
            anyhow::bail!("the {role} did not start");
        }
        Ok(Self {
            child,
            greeting: greeting.trim().to_owned(),
        })
    }

    pub(super) fn id(&self) -> u32 {
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
