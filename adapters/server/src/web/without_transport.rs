//! In a program that was built without WebTransport.

use std::net::SocketAddr;
use std::sync::Weak;
use std::time::Duration;

use super::{Offer, Web, WebError};
use crate::api::Parts;
use crate::http::Certificates;

/// There is none.
#[derive(Debug, Clone)]
pub(crate) enum Transport {}

impl Transport {
    /// # Errors
    /// [`WebError::NotBuilt`]
    pub(super) fn bind(
        _: SocketAddr,
        _: Option<String>,
        _: Option<&Certificates>,
    ) -> Result<Self, WebError> {
        Err(WebError::NotBuilt)
    }

    pub(super) fn offer(&self) -> &Offer {
        match *self {}
    }

    pub(crate) async fn serve(self, _: Web, _: Weak<Parts>) {
        match self {}
    }

    pub(crate) async fn close(self, _: Duration) {
        match self {}
    }
}
