//! The errors of `parlour_tokio` as those of `parlour/errors.py`: message, and name of the reason if there is one.

use parlour_tokio::core::server::ModerateError as CoreModerateError;
use pyo3::exceptions::PyValueError;
use pyo3::{PyErr, import_exception};

use crate::names::snake;

import_exception!(parlour.errors, BindError);
import_exception!(parlour.errors, JoinError);
import_exception!(parlour.errors, ModerateError);
import_exception!(parlour.errors, PublishError);
import_exception!(parlour.errors, ReadError);
import_exception!(parlour.errors, RequestError);
import_exception!(parlour.errors, TokenError);
import_exception!(parlour.errors, WriteError);

pub(crate) fn join(error: parlour_tokio::JoinError) -> PyErr {
    let (refusal, reason) = match error {
        parlour_tokio::JoinError::Refused(refusal) => (Some(snake(refusal)), None),
        parlour_tokio::JoinError::Closed(reason) => (None, Some(snake(reason))),
        _ => (None, None),
    };
    JoinError::new_err((error.to_string(), refusal, reason))
}

pub(crate) fn request(error: parlour_tokio::RequestError) -> PyErr {
    RequestError::new_err((error.to_string(), refusal(error)))
}

pub(crate) fn publish(error: parlour_tokio::PublishError) -> PyErr {
    let refusal = match error {
        parlour_tokio::PublishError::Request(error) => refusal(error),
        _ => None,
    };
    PublishError::new_err((error.to_string(), refusal))
}

fn refusal(error: parlour_tokio::RequestError) -> Option<String> {
    match error {
        parlour_tokio::RequestError::Refused(refusal) => Some(snake(refusal)),
        _ => None,
    }
}

pub(crate) fn write(error: parlour_tokio::WriteError) -> PyErr {
    WriteError::new_err(error.to_string())
}

pub(crate) fn read(error: parlour_tokio::ReadError) -> PyErr {
    ReadError::new_err(error.to_string())
}

pub(crate) fn bind(error: parlour_tokio::BindError) -> PyErr {
    BindError::new_err(error.to_string())
}

pub(crate) fn moderate(error: CoreModerateError) -> PyErr {
    ModerateError::new_err(error.to_string())
}

pub(crate) fn token(error: impl std::error::Error) -> PyErr {
    TokenError::new_err(error.to_string())
}

/// Of what is no id, key, topic or address.
pub(crate) fn value(error: impl std::error::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}
