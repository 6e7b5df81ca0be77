//! Where the server was sought, for who asks why it was not found.

use std::{fmt, io};

use parlour_core::client::{Target, Transport};

/// Targets that are remembered.
const MOST: usize = 16;

/// The targets that were tried, in their order.
#[derive(Debug, Default)]
pub(super) struct Tried(Vec<Attempt>);

#[derive(Debug)]
struct Attempt {
    target: Target,
    /// The host there says that nobody listens.
    is_refused: bool,
}

impl Tried {
    pub(super) fn note(&mut self, target: Target) {
        let is_known = self.0.iter().any(|attempt| attempt.target == target);
        if !is_known && self.0.len() < MOST {
            self.0.push(Attempt {
                target,
                is_refused: false,
            });
        }
    }

    /// Notes why a target does not do.
    pub(super) fn note_failed(&mut self, target: Target, error: &io::Error) {
        let refusals = [
            io::ErrorKind::ConnectionRefused,
            // The same by UDP on Windows.
            io::ErrorKind::ConnectionReset,
        ];
        let mut attempts = self.0.iter_mut();
        if let Some(attempt) = attempts.find(|attempt| attempt.target == target) {
            attempt.is_refused = refusals.contains(&error.kind());
        }
    }

    /// Whether so many targets at least were tried, and the hosts of all say that nobody listens there.
    pub(super) fn is_refused_everywhere(&self, targets: usize) -> bool {
        self.0.len() >= targets && self.0.iter().all(|attempt| attempt.is_refused)
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attempt) in self.0.iter().enumerate() {
            let Target { transport, address } = attempt.target;
            let transport = match transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
            };
            let separator = if index == 0 { "" } else { ", " };
            let outcome = if attempt.is_refused { " (refused)" } else { "" };
            write!(f, "{separator}{transport} to {address}{outcome}")?;
        }
        Ok(())
    }
}
