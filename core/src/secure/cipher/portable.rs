//! RustCrypto's: plain Rust without std.

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce, Tag};

use super::NONCE;
use crate::wire::TAG;

/// One direction's key. Wiped when dropped.
pub(in crate::secure) struct Cipher(ChaCha20Poly1305);

impl Cipher {
    pub(in crate::secure) fn new(key: &[u8; 32]) -> Self {
        Self(ChaCha20Poly1305::new(key.into()))
    }

    /// Encrypts in place and returns the tag; `None` only for far more bytes than any packet has.
    pub(in crate::secure) fn seal(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        plaintext: &mut [u8],
    ) -> Option<[u8; TAG]> {
        let nonce = Nonce::from_slice(nonce);
        let tag = self
            .0
            .encrypt_in_place_detached(nonce, associated, plaintext);
        Some(tag.ok()?.into())
    }

    /// Decrypts in place the ciphertext before its tag; `None` if it was not sealed with this key, nonce and associated
    /// data.
    pub(in crate::secure) fn open<'d>(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        sealed: &'d mut [u8],
    ) -> Option<&'d mut [u8]> {
        let (text, tag) = sealed.split_last_chunk_mut::<TAG>()?;
        let (nonce, tag) = (Nonce::from_slice(nonce), Tag::from_slice(tag));
        let opened = self
            .0
            .decrypt_in_place_detached(nonce, associated, text, tag);
        opened.is_ok().then_some(text)
    }
}
