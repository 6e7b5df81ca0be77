//! A datagram on its way out.

use super::Path;

/// Where to send what [`Server::poll_transmit`](super::Server::poll_transmit) wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// To whom.
    pub to: Path,
    /// Bytes, from the front of the lent buffer.
    pub len: usize,
}
