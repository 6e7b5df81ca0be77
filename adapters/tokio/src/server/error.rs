//! What can go wrong for an operator, each with what to do about it.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use super::KeyFileError;
use crate::token::{ApiKeyError, MintError};

/// Why a server does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{0} is in use: stop the program that listens there, or choose another port")]
    AddressInUse(SocketAddr),
    /// The operating system does not let this process listen there.
    #[error(
        "cannot listen at {address}: {source}; choose an address of this machine and a port above 1023"
    )]
    Address {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The private key is not there.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// There is no API key.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// The configuration contradicts itself.
    #[error("the configuration makes no sense: {0}")]
    Config(&'static str),
    /// A thread or its runtime could not be started.
    #[error("cannot start a worker: {0}; this machine is short of threads or files")]
    Worker(io::Error),
}

/// Why a ticket was not minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The token was not minted.
    #[error(transparent)]
    Token(#[from] MintError),
}
