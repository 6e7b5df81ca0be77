//! In a program without the feature `websocket`.

use std::fmt;
use std::io;
use std::time::Duration;

use parlour_core::client::Target;
use parlour_core::signal::Redirect;

pub(super) const PATIENCE: Duration = Duration::ZERO;

/// There is no way by WebSocket.
#[derive(Debug, Clone)]
pub(super) enum Web {}

/// Nor is it tried.
#[derive(Debug)]
pub(super) enum ByWeb {}

/// Nor is there a link.
#[derive(Debug)]
pub(super) enum WebLink {}

impl Web {
    pub(super) fn is_by_proxy(&self) -> bool {
        match *self {}
    }
}

impl ByWeb {
    pub(super) fn new(web: Web, _: bool) -> Self {
        match web {}
    }

    pub(super) fn redirected(&mut self, _: &Redirect) {
        match *self {}
    }

    pub(super) fn redirect_ended(&mut self) {
        match *self {}
    }

    pub(super) fn open(&mut self, _: Target) {
        match *self {}
    }

    pub(super) async fn opening(&mut self) -> io::Result<WebLink> {
        match *self {}
    }

    pub(super) fn opened(&mut self) -> Option<Target> {
        match *self {}
    }

    pub(super) fn settled(&mut self, _: bool) {
        match *self {}
    }
}

impl fmt::Display for ByWeb {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl WebLink {
    pub(super) fn is_idle(&self) -> bool {
        match *self {}
    }

    pub(super) fn put(&mut self, _: &[u8]) {
        match *self {}
    }

    pub(super) async fn receive(&mut self, _: &mut [u8]) -> io::Result<Option<usize>> {
        match *self {}
    }

    pub(super) async fn finish(&mut self) {
        match *self {}
    }
}
