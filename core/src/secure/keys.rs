//! Static keys: X25519 ([RFC 7748](https://www.rfc-editor.org/rfc/rfc7748.html)).

use core::fmt;

use clatter::bytearray::SensitiveByteArray;
use clatter::crypto::dh::X25519;
use clatter::traits::Dh;
use rand_core::CryptoRngCore;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A server's public key, as a ticket pins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PublicKey(pub [u8; 32]);

/// A private key. Wiped when dropped, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

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

    /// The public key that belongs to it: one X25519 multiplication.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(X25519::pubkey(&SensitiveByteArray::new(self.0)))
    }

    /// The secret shared with the holder of `public`. All zeros for a low-order `public`, as Noise §12.1 prefers.
    pub(super) fn diffie_hellman(&self, public: &PublicKey) -> SensitiveByteArray<[u8; 32]> {
        // X25519 has no failure; clatter's trait is fallible for the sake of other groups.
        X25519::dh(&SensitiveByteArray::new(self.0), &public.0)
            .unwrap_or_else(|_| SensitiveByteArray::new([0; 32]))
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

    /// The key to hand out.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key to keep.
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }
}
