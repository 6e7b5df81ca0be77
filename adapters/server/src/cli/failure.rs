//! What goes wrong: the message and the exit code.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// How the program ends. The numbers are an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// None of the others.
    Failed = 1,
    /// The command line, or a value in it, is not valid.
    Usage = 2,
    /// It is not there.
    NotFound = 3,
    /// The key is missing, wrong, or lacks a scope.
    NotAllowed = 4,
    /// The present state does not allow it.
    Conflict = 5,
    /// The server cannot be reached.
    Unreachable = 6,
    /// The time was up.
    TimedOut = 7,
}

impl Exit {
    /// The name in `type`, and what it says in general.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Failed => ("failed", "The command failed"),
            Self::Usage => ("usage", "The command line is not valid"),
            Self::NotFound => ("not-found", "There is no such thing"),
            Self::NotAllowed => ("not-allowed", "That is not allowed"),
            Self::Conflict => ("conflict", "That is not possible now"),
            Self::Unreachable => ("unreachable", "The server cannot be reached"),
            Self::TimedOut => ("timed-out", "The time was up"),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A problem as the API tells it ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), also for what is no answer of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// `urn:parlour:problem:` and a name.
    pub(crate) r#type: String,
    /// The problem in general.
    pub(crate) title: String,
    /// The status of the answer, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The problem in this case, and the remedy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    /// The members of the request that are not valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<InvalidMember>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
}

/// A member of a request that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InvalidMember {
    /// Where it stands, as a JSON pointer.
    pub(crate) pointer: String,
    /// Why it is not valid.
    pub(crate) detail: String,
    /// The argument that it comes from.
    #[serde(skip)]
    pub(crate) argument: Option<String>,
}

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    exit: Exit,
    problem: Box<Problem>,
}

impl Failure {
    /// A failure, and what the user can do about it.
    pub(crate) fn new(exit: Exit, detail: impl Into<String>) -> Self {
        let (name, title) = exit.words();
        let problem = Problem {
            r#type: format!("urn:parlour:problem:{name}"),
            title: title.to_owned(),
            status: None,
            detail: detail.into(),
            errors: Vec::new(),
            instance: None,
        };
        Self::of_server(exit, problem)
    }

    /// A problem that a server tells of.
    pub(crate) fn of_server(exit: Exit, problem: Problem) -> Self {
        Self {
            exit,
            problem: Box::new(problem),
        }
    }

    /// The same, with the arguments that the pointers to members come from.
    pub(crate) fn with_arguments(mut self, argument: impl Fn(&str) -> Option<String>) -> Self {
        for error in &mut self.problem.errors {
            error.argument = argument(&error.pointer);
        }
        self
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The message.
    pub(crate) fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let mut detail = error.to_string();
        // Many a message has its cause in it already.
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !detail.contains(cause.trim_end()) {
                detail = format!("{detail}: {cause}");
            }
        }
        Self::new(Exit::Failed, detail)
    }
}
