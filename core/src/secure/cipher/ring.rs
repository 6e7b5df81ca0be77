//! ring's.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::NONCE;
use crate::wire::TAG;

/// One direction's key. Wiped when dropped, unlike ring's own key, which has 544 bytes since it may be one of AES.
/// Making ring's key anew for each packet copies 32 bytes.
pub(in crate::secure) struct Cipher(Zeroizing<[u8; 32]>);

impl Cipher {
    pub(in crate::secure) fn new(key: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*key))
    }

    fn key(&self) -> Option<LessSafeKey> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.0[..]);
        Some(LessSafeKey::new(key.ok()?))
    }

    /// Encrypts in place and returns the tag; `None` only for far more bytes than any packet has.
    pub(in crate::secure) fn seal(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        plaintext: &mut [u8],
    ) -> Option<[u8; TAG]> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let associated = Aad::from(associated);
        let tag = self
            .key()?
            .seal_in_place_separate_tag(nonce, associated, plaintext);
        tag.ok()?.as_ref().try_into().ok()
    }

    /// Decrypts in place the ciphertext before its tag; `None` if it was not sealed with this key, nonce and associated
    /// data.
    pub(in crate::secure) fn open<'d>(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        sealed: &'d mut [u8],
    ) -> Option<&'d mut [u8]> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .key()?
            .open_in_place(nonce, Aad::from(associated), sealed);
        opened.ok()
    }
}
