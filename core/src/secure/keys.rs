//! Static keys: X25519 ([RFC 7748](https://www.rfc-editor.org/rfc/rfc7748.html)).

use core::fmt;

use rand_core::CryptoRngCore;
use subtle::ConstantTimeEq;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::wipe;

/// A server's public key, as a ticket pins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(4)))]
pub struct PublicKey(pub [u8; 32]);

/// A private key. Wiped when dropped, compared in constant time, never printed.
#[derive(Clone, Zeroize)]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(4)))]
pub struct SecretKey([u8; 32]);

impl Drop for SecretKey {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl ZeroizeOnDrop for SecretKey {}

impl SecretKey {
    /// Draws a key.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        let mut key = Self([0; 32]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// Takes the key from storage. Any 32 bytes are a key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key, for storage.
    pub const fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The corresponding public key: one X25519 multiplication.
    pub fn public_key(&self) -> PublicKey {
        // The plain ladder: the faster way would put a table of 30 kB into the firmware.
        PublicKey(x25519(self.0, X25519_BASEPOINT_BYTES))
    }

    /// The secret shared with the holder of `public`. All zeros for a `public` of low order, as Noise §12.1 recommends
    /// instead of a check.
    pub(super) fn diffie_hellman(&self, public: &PublicKey) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(x25519(self.0, public.0))
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A private key with its public key: a server's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    secret: SecretKey,
    public: PublicKey,
}

impl KeyPair {
    /// Draws a key pair.
    pub fn generate(rng: &mut dyn CryptoRngCore) -> Self {
        Self::from_secret(SecretKey::generate(rng))
    }

    /// Takes the private key from storage and computes the public one.
    pub fn from_secret_bytes(bytes: [u8; 32]) -> Self {
        Self::from_secret(SecretKey::from_bytes(bytes))
    }

    /// Computes the public key of `secret`.
    pub fn from_secret(secret: SecretKey) -> Self {
        Self {
            public: secret.public_key(),
            secret,
        }
    }

    /// The key to publish.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key to keep.
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;
    use crate::secure::test_rng::{TestRng, hex};

    /// Static key of the responder in the published Noise vectors "cacophony".
    const SECRET: &str = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
    const PUBLIC: &str = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62";

    #[test]
    fn the_public_key_is_as_published() {
        let pair = KeyPair::from_secret_bytes(hex(SECRET).try_into().unwrap());
        assert_eq!(pair.public().0[..], hex(PUBLIC));
    }

    #[test]
    fn two_pairs_agree_on_a_secret() {
        let mut rng = TestRng::new(1);
        let (a, b) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        assert_ne!(a, b);
        assert_eq!(
            a.secret().diffie_hellman(b.public()),
            b.secret().diffie_hellman(a.public())
        );
    }

    #[test]
    fn keys_compare_by_every_bit() {
        let key = SecretKey::from_bytes([5; 32]);
        assert_eq!(key, SecretKey::from_bytes([5; 32]));
        for bit in 0..256 {
            let mut bytes = [5; 32];
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(key, SecretKey::from_bytes(bytes), "bit {bit}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let pair = KeyPair::from_secret_bytes([0xab; 32]);
        let printed = format!("{pair:?}");
        assert!(printed.contains("SecretKey(..)"), "{printed}");
        assert!(!printed.contains("171, 171"), "{printed}");
    }
}
