//! The secret by which a participant resumes after its connection broke.

use core::fmt;

use rand_core::CryptoRngCore;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::wipe;

/// A random secret with a handle by which the server finds its participant.
///
/// To a client these are [`ResumeTicket::LEN`] opaque bytes. Wiped when dropped, never printed.
///
/// ```text
///  0           8              24
/// +-----------+---------------+
/// | handle u64| secret        |
/// +-----------+---------------+
/// ```
#[derive(Clone, Zeroize)]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(4)))]
pub struct ResumeTicket([u8; ResumeTicket::LEN]);

impl Drop for ResumeTicket {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl ZeroizeOnDrop for ResumeTicket {}

impl ResumeTicket {
    /// Bytes of an encoded ticket.
    pub const LEN: usize = 24;

    /// Draws the secret of a new ticket.
    pub fn generate(handle: u64, rng: &mut dyn CryptoRngCore) -> Self {
        let mut ticket = Self([0; Self::LEN]);
        let (handle_bytes, secret) = ticket.0.split_at_mut(8);
        handle_bytes.copy_from_slice(&handle.to_be_bytes());
        rng.fill_bytes(secret);
        ticket
    }

    /// The server's look-up key: unproven until [`ResumeTicket::matches`] returns true.
    pub const fn handle(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether `shown` is this ticket; takes the same time wherever they differ.
    pub fn matches(&self, shown: &Self) -> bool {
        self.0.ct_eq(&shown.0).into()
    }

    /// The ticket from its encoding.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The encoded ticket: a secret, to be sent under encryption only.
    pub const fn expose_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for ResumeTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeTicket(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;
    use crate::secure::test_rng::TestRng;

    #[test]
    fn a_ticket_survives_its_encoding() {
        let ticket = ResumeTicket::generate(0x0102_0304_0506_0708, &mut TestRng::new(1));
        let bytes = ticket.expose_bytes();
        assert_eq!(bytes[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_ne!(bytes[8..], [0; 16]);
        let shown = ResumeTicket::from_bytes(*bytes);
        assert_eq!(shown.handle(), 0x0102_0304_0506_0708);
        assert!(ticket.matches(&shown));
    }

    #[test]
    fn a_ticket_with_any_bit_changed_does_not_match() {
        let ticket = ResumeTicket::generate(9, &mut TestRng::new(1));
        for bit in 0..ResumeTicket::LEN * 8 {
            let mut bytes = *ticket.expose_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !ticket.matches(&ResumeTicket::from_bytes(bytes)),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn tickets_for_one_handle_differ() {
        let mut rng = TestRng::new(1);
        let first = ResumeTicket::generate(9, &mut rng);
        assert!(!first.matches(&ResumeTicket::generate(9, &mut rng)));
    }

    #[test]
    fn a_ticket_is_not_printed() {
        let ticket = ResumeTicket::from_bytes([0xab; ResumeTicket::LEN]);
        assert_eq!(format!("{ticket:?}"), "ResumeTicket(..)");
    }
}
