//! Stateless reset: a server that has lost its state ends a connection (the idea of [RFC 9000
//! §10.3](https://www.rfc-editor.org/rfc/rfc9000.html#section-10.3)).
//!
//! The server derives a token for each of its connection ids from a key that survives a restart, and sends it to the
//! client under encryption. When it later receives a Data packet for an unknown id, it computes the token again and
//! answers with a Reset. Until then only that client and the server know the token.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::wipe;
#[cfg(feature = "server")]
use super::{keys::SecretKey, mac::mac};
#[cfg(feature = "server")]
use crate::wire::ConnectionId;

/// The server's key for reset tokens.
#[cfg(feature = "server")]
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ResetKey([u8; 32]);

#[cfg(feature = "server")]
impl ResetKey {
    /// Derives the key from the server's static private key, so that there is nothing more to store, and from
    /// `instance`, which differs between servers with the same key. Otherwise each of these servers would reveal the
    /// tokens of the others' connections, which it does not know ([RFC 9000
    /// §21.11](https://www.rfc-editor.org/rfc/rfc9000.html#section-21.11)).
    pub fn derive(secret: &SecretKey, instance: u64) -> Self {
        let instance = instance.to_be_bytes();
        let mut key = Self([0; 32]);
        let (low, high) = key.0.split_at_mut(16);
        low.copy_from_slice(&mac(secret.expose_bytes(), b"parlourK", &[&[0], &instance]));
        high.copy_from_slice(&mac(secret.expose_bytes(), b"parlourK", &[&[1], &instance]));
        key
    }

    /// The token for one of the server's connection ids.
    pub fn token(&self, server_id: ConnectionId) -> ResetToken {
        ResetToken(mac(&self.0, b"parlourR", &[&server_id.0.to_be_bytes()]))
    }
}

#[cfg(feature = "server")]
impl fmt::Debug for ResetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetKey(..)")
    }
}

/// The secret that a Reset must hold to be accepted. Wiped when dropped, never printed.
#[derive(Clone, Zeroize)]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(4)))]
pub struct ResetToken([u8; 16]);

impl Drop for ResetToken {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl ZeroizeOnDrop for ResetToken {}

impl ResetToken {
    /// Takes the token from the server's encrypted answer.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The token, for the server to send.
    pub const fn expose_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether a Reset holds this token; takes the same time wherever they differ.
    pub fn matches(&self, token: &[u8; 16]) -> bool {
        self.0.ct_eq(token).into()
    }
}

impl fmt::Debug for ResetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResetToken(..)")
    }
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use std::format;

    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn token(secret: [u8; 32], id: u32) -> ResetToken {
        ResetKey::derive(&SecretKey::from_bytes(secret), 0).token(ConnectionId(id))
    }

    #[test]
    fn a_restarted_server_derives_the_same_token() {
        assert!(token(SECRET, 5).matches(token(SECRET, 5).expose_bytes()));
    }

    #[test]
    fn tokens_differ_by_connection_and_by_server() {
        assert!(!token(SECRET, 5).matches(token(SECRET, 6).expose_bytes()));
        assert!(!token(SECRET, 5).matches(token([8; 32], 5).expose_bytes()));
    }

    #[test]
    fn the_two_halves_of_the_key_differ() {
        let key = ResetKey::derive(&SecretKey::from_bytes(SECRET), 0);
        assert_ne!(key.0[..16], key.0[16..]);
    }

    #[test]
    fn a_token_with_any_bit_changed_does_not_match() {
        let token = token(SECRET, 5);
        for bit in 0..128 {
            let mut bytes = *token.expose_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!token.matches(&bytes), "bit {bit}");
        }
    }

    #[test]
    fn keys_and_tokens_are_not_printed() {
        let key = ResetKey::derive(&SecretKey::from_bytes(SECRET), 0);
        assert_eq!(format!("{key:?}"), "ResetKey(..)");
        assert_eq!(
            format!("{:?}", key.token(ConnectionId(1))),
            "ResetToken(..)"
        );
    }
}
