//! A datagram on its way out.

use super::Path;

/// The destination of a datagram that [`Server::poll_transmit`](super::Server::poll_transmit) wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// The destination.
    pub to: Path,
    /// Bytes, from the front of the lent buffer.
    pub len: usize,
}
