//! The facts that the server has been told.

use crate::signal::RequestId;

/// The server's knowledge of one wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Not what is wanted now.
    Untold,
    /// It was told by this request, or by the handshake, and has not answered.
    Asked(Option<RequestId>),
    /// It knows.
    Known,
    /// It was told, and knows no such stream; it is told again when there may be one.
    Missing,
}

impl Told {
    /// Told by a request, if there was one.
    pub(super) fn by(request: Option<RequestId>) -> Self {
        request.map_or(Self::Untold, |id| Self::Asked(Some(id)))
    }

    /// Told by a request, if there was one; else the server knows already, or it does not.
    pub(super) fn by_or(request: Option<RequestId>, is_known: bool) -> Self {
        match request {
            None if is_known => Self::Known,
            request => Self::by(request),
        }
    }
}
