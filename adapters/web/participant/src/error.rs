//! Errors as JavaScript gets them: a code for the program and a text for people.

use std::fmt;

use parlour_core::client::{CommandError, RequestFailure, SendError};
use parlour_core::room::IdError;
use parlour_core::ticket::TicketError;
use serde::Serialize;

/// An error as an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Error {
    /// What went wrong, as one word of camel case.
    pub code: String,
    /// The same for people: it says what to do.
    pub message: String,
}

impl Error {
    fn new(code: &str, message: impl fmt::Display) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_string(),
        }
    }

    pub(crate) fn invalid(message: impl fmt::Display) -> Self {
        Self::new("invalidArgument", message)
    }

    pub(crate) fn named(what: &str, error: IdError) -> Self {
        Self::invalid(format_args!("{what}: {error}"))
    }
}

/// The name of a variant without fields, as serde has it, in camel case.
pub(crate) fn name_of(variant: impl Serialize) -> String {
    let name = serde_json::to_value(variant).ok();
    let name = name
        .as_ref()
        .and_then(serde_json::Value::as_str)
        .unwrap_or("other");
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::invalid(error)
    }
}

impl From<TicketError> for Error {
    fn from(error: TicketError) -> Self {
        Self::new("invalidTicket", error)
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        let code = match error {
            CommandError::Closed => "closed",
            CommandError::NotJoined => "notJoined",
            CommandError::TooManyRequests | CommandError::Full => "tooManyRequests",
            CommandError::AlreadyPublished => "alreadyPublished",
            CommandError::TooManyStreams => "tooManyStreams",
            CommandError::CodecMismatch => "codecMismatch",
            CommandError::UnknownStream => "unknownStream",
            CommandError::TooManySubscriptions => "tooManySubscriptions",
            CommandError::MessageTooLong => "messageTooLong",
            CommandError::TokenLength => "invalidToken",
            _ => "other",
        };
        Self::new(code, error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        let code = match error {
            SendError::NotJoined => "notJoined",
            SendError::UnknownStream => "unknownStream",
            SendError::NotPublished => "notPublished",
            SendError::Muted => "muted",
            _ => "invalidArgument",
        };
        Self::new(code, error)
    }
}

impl From<RequestFailure> for Error {
    fn from(failure: RequestFailure) -> Self {
        let code = match failure {
            RequestFailure::Refused(refusal) => name_of(refusal),
            RequestFailure::ConnectionLost => "connectionLost".to_owned(),
            _ => "other".to_owned(),
        };
        Self::new(&code, failure)
    }
}

impl Error {
    pub(crate) fn refused(refusal: parlour_core::signal::Refusal) -> Self {
        RequestFailure::Refused(refusal).into()
    }
}
