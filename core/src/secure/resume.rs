//! What a participant shows to continue as itself after its connection broke.

use core::fmt;

use rand_core::CryptoRngCore;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A random secret with a handle by which the server finds what it belongs to.
///
/// To a client these are [`ResumeTicket::LEN`] opaque bytes. Wiped when dropped, never printed.
///
/// ```text
///  0           8              24
/// +-----------+---------------+
/// | handle u64| secret        |
/// +-----------+---------------+
/// ```
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ResumeTicket {
    handle: u64,
    secret: [u8; 16],
}

impl ResumeTicket {
    /// Bytes of an encoded ticket.
    pub const LEN: usize = 24;

    /// Draws the secret of a new ticket.
    pub fn generate(handle: u64, rng: &mut dyn CryptoRngCore) -> Self {
        let mut ticket = Self {
            handle,
            secret: [0; 16],
        };
        rng.fill_bytes(&mut ticket.secret);
        ticket
    }

    /// Where the server looks: a claim, until [`ResumeTicket::matches`] has said yes.
    pub const fn handle(&self) -> u64 {
        self.handle
    }

    /// Whether `shown` is this ticket; takes the same time wherever they differ.
    pub fn matches(&self, shown: &Self) -> bool {
        (self.handle.ct_eq(&shown.handle) & self.secret.ct_eq(&shown.secret)).into()
    }

    /// The ticket from its encoding.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut ticket = Self {
            handle: 0,
            secret: [0; 16],
        };
        let (handle, secret) = bytes.split_at(8);
        ticket.handle = handle
            .iter()
            .fold(0, |handle, &byte| handle << 8 | u64::from(byte));
        ticket.secret.copy_from_slice(secret);
        ticket
    }

    /// The encoded ticket: a secret, to be sent under encryption only.
    pub fn expose_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (handle, secret) = bytes.split_at_mut(8);
        handle.copy_from_slice(&self.handle.to_be_bytes());
        secret.copy_from_slice(&self.secret);
        bytes
    }
}

impl fmt::Debug for ResumeTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeTicket(..)")
    }
}
