//! The addresses tried, for the error of a failed join.

use std::{fmt, io};

use parlour_core::client::{Target, Transport};

/// Targets that are remembered.
const MOST: usize = 16;

/// The targets that were tried, in their order.
#[derive(Debug, Default)]
pub(super) struct Tried {
    attempts: Vec<Attempt>,
    web: Option<Web>,
}

#[derive(Debug)]
struct Attempt {
    target: Target,
    /// The host there says that nobody listens.
    is_refused: bool,
}

/// The way by WebSocket.
#[derive(Debug)]
struct Web {
    address: String,
    failure: Option<String>,
    /// Another attempt will hardly end otherwise.
    is_final: bool,
}

impl Tried {
    /// By WebSocket, there.
    pub(super) fn note_web(&mut self, address: String) {
        self.web.get_or_insert(Web {
            address,
            failure: None,
            is_final: false,
        });
    }

    /// Notes why that does not do.
    pub(super) fn note_web_failed(&mut self, error: &io::Error) {
        if let Some(web) = &mut self.web {
            web.failure = Some(error.to_string());
            let passing = [io::ErrorKind::TimedOut, io::ErrorKind::ResourceBusy];
            web.is_final = !passing.contains(&error.kind());
        }
    }

    pub(super) fn note(&mut self, target: Target) {
        let is_known = self.attempts.iter().any(|attempt| attempt.target == target);
        if !is_known && self.attempts.len() < MOST {
            self.attempts.push(Attempt {
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
        let mut attempts = self.attempts.iter_mut();
        if let Some(attempt) = attempts.find(|attempt| attempt.target == target) {
            attempt.is_refused = refusals.contains(&error.kind());
        }
    }

    /// Whether at least this many targets were tried, and all their hosts report a closed port, and whether the web
    /// does not help.
    pub(super) fn is_refused_everywhere(&self, targets: usize) -> bool {
        self.attempts.len() >= targets
            && self.attempts.iter().all(|attempt| attempt.is_refused)
            && (self.web.as_ref()).is_none_or(|web| web.is_final)
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attempt) in self.attempts.iter().enumerate() {
            let Target { transport, address } = attempt.target;
            let transport = match transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
            };
            let separator = if index == 0 { "" } else { ", " };
            let outcome = if attempt.is_refused { " (refused)" } else { "" };
            write!(f, "{separator}{transport} to {address}{outcome}")?;
        }
        if let Some(Web {
            address, failure, ..
        }) = &self.web
        {
            let separator = if self.attempts.is_empty() { "" } else { ", " };
            write!(f, "{separator}WebSocket to {address}")?;
            if let Some(failure) = failure {
                write!(f, " ({failure})")?;
            }
        }
        Ok(())
    }
}
