//! Secrets in the database, which a copy of the database alone does not open.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use hkdf::Hkdf;
use parlour_tokio::ParticipantId;
use rand_core::{OsRng, RngCore as _};
use sha2::Sha256;

const NONCE: usize = 12;

/// Seals secrets under a key that is derived from the server's private key ([RFC 5869](https://www.rfc-editor.org/rfc/rfc5869)).
pub struct Sealer(ChaCha20Poly1305);

/// Gives participants names that do not tell their ids, but to a holder of the server's private key: for what has to outlast the
/// erasure of an id.
pub struct Veil(Hkdf<Sha256>);

impl Veil {
    /// From the server's private key.
    pub fn new(private_key: &[u8; 32]) -> Self {
        Self(Hkdf::new(Some(b"parlour erased participants"), private_key))
    }

    /// The name in that room: 43 characters, so that it is nobody's id.
    pub fn of(&self, room: &str, participant: &str) -> String {
        let mut name = [0; 32];
        // Neither has control characters. It fails for more than 8,160 bytes only.
        let parts = [room.as_bytes(), b"\0", participant.as_bytes()];
        let _ = self.0.expand_multi_info(&parts, &mut name);
        Base64UrlUnpadded::encode_string(&name)
    }

    /// Whether a name is one of these.
    pub fn is_veiled(name: &str) -> bool {
        name.len() > ParticipantId::MAX_LEN
    }
}

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Veil")
    }
}

/// A sealed secret does not open: it was damaged, belongs to another row, or was sealed under another private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret in the database cannot be opened: it was made with another key file; restore the key file that belongs to this database"
)]
pub struct SealError;

impl Sealer {
    /// From the server's private key.
    pub fn new(private_key: &[u8; 32]) -> Self {
        let mut key = [0; 32];
        // It fails for more than 8,160 bytes only.
        let _ =
            Hkdf::<Sha256>::new(None, private_key).expand(b"parlour database secrets", &mut key);
        Self(ChaCha20Poly1305::new(&key.into()))
    }

    /// Seals `secret` for the row named `row`.
    pub fn seal(&self, row: &str, secret: &str) -> String {
        let mut sealed = vec![0; NONCE];
        OsRng.fill_bytes(&mut sealed);
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: row.as_bytes(),
        };
        let nonce = Nonce::clone_from_slice(&sealed);
        // It fails for more than 256 GiB only.
        sealed.extend(self.0.encrypt(&nonce, payload).unwrap_or_default());
        Base64UrlUnpadded::encode_string(&sealed)
    }

    /// Opens what was sealed for the row named `row`.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn open(&self, row: &str, sealed: &str) -> Result<String, SealError> {
        let sealed = Base64UrlUnpadded::decode_vec(sealed).map_err(|_| SealError)?;
        let (nonce, msg) = sealed.split_at_checked(NONCE).ok_or(SealError)?;
        let payload = Payload {
            msg,
            aad: row.as_bytes(),
        };
        let opened = self.0.decrypt(Nonce::from_slice(nonce), payload);
        String::from_utf8(opened.map_err(|_| SealError)?).map_err(|_| SealError)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_veil_hides_an_id_from_those_without_the_key() {
        let (veil, other) = (Veil::new(&[7; 32]), Veil::new(&[8; 32]));
        let name = veil.of("a", "anna");
        assert_eq!(name, Veil::new(&[7; 32]).of("a", "anna"));
        assert!(Veil::is_veiled(&name) && ParticipantId::new(&name).is_err());
        assert!(!Veil::is_veiled(&"x".repeat(ParticipantId::MAX_LEN)));
        for different in [
            other.of("a", "anna"),
            veil.of("b", "anna"),
            veil.of("a", "ann"),
        ] {
            assert_ne!(name, different);
        }
    }

    #[test]
    fn a_secret_opens_in_its_row_and_under_its_key_only() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal("keys/a", "geheim");
        assert_eq!(sealer.open("keys/a", &sealed).as_deref(), Ok("geheim"));
        assert_eq!(sealer.open("keys/b", &sealed), Err(SealError));
        assert_eq!(
            Sealer::new(&[8; 32]).open("keys/a", &sealed),
            Err(SealError)
        );
        assert_ne!(sealer.seal("keys/a", "geheim"), sealed);
        for bad in ["", "AAAA", "not base64!"] {
            assert_eq!(sealer.open("keys/a", bad), Err(SealError));
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(sealer.open("keys/a", &damaged), Err(SealError), "{at}");
        }
    }
}
