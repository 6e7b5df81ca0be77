//! The words of the protocol as Python writes them, and what Python says as values of the protocol.

use std::fmt;
use std::time::Duration;

use parlour_tokio::core::signal::ParticipantList;
use parlour_tokio::{ParticipantId, Recipients, SubscribePolicy, Targets, TransportChoice, Whom};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors;

/// The name of a variant without values, in `snake_case`: the value of the same member in Python.
pub(crate) fn snake(variant: impl fmt::Debug) -> String {
    let mut name = String::new();
    for c in format!("{variant:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

pub(crate) fn participant(id: &str) -> PyResult<ParticipantId> {
    ParticipantId::new(id).map_err(errors::value)
}

pub(crate) fn participants(ids: Vec<String>) -> PyResult<Vec<ParticipantId>> {
    ids.iter().map(|id| participant(id)).collect()
}

/// Those with these ids, or all.
pub(crate) fn whom(ids: Option<Vec<String>>) -> PyResult<Whom> {
    match ids {
        Some(ids) => participants(ids).map(Whom::from),
        None => Ok(Targets::all().into()),
    }
}

/// The same, of messages.
pub(crate) fn recipients(ids: Option<Vec<String>>) -> PyResult<Recipients> {
    match ids {
        Some(ids) => {
            let list = ParticipantList::of(participants(ids)?).map_err(errors::value)?;
            Ok(list.into())
        }
        None => Ok(Recipients::All),
    }
}

pub(crate) fn policy(name: &str) -> PyResult<SubscribePolicy> {
    Ok(match name {
        "all" => SubscribePolicy::All,
        "none" => SubscribePolicy::None,
        "mix" => SubscribePolicy::Mix,
        "mix_pcmu" => SubscribePolicy::MixPcmu,
        other => return Err(no_such("subscribe policy", other)),
    })
}

pub(crate) fn transport(name: &str) -> PyResult<TransportChoice> {
    Ok(match name {
        "auto" => TransportChoice::Auto,
        "udp" => TransportChoice::Udp,
        "tcp" => TransportChoice::Tcp,
        "websocket" => TransportChoice::WebSocket,
        other => return Err(no_such("transport", other)),
    })
}

pub(crate) fn no_such(what: &str, name: &str) -> PyErr {
    PyValueError::new_err(format!("there is no {what} {name:?}"))
}

/// A duration of so many seconds.
pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!(
            "{seconds} is no number of seconds: it is 0 or more"
        ))
    })
}
