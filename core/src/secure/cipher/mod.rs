//! ChaCha20-Poly1305 ([RFC 8439](https://www.rfc-editor.org/rfc/rfc8439.html)) in place, from one of two crates:
//! RustCrypto's, which builds everywhere, or ring's with the feature `ring`, in assembler, for hosts.

#[cfg(any(test, not(feature = "ring")))]
mod portable;
#[cfg(feature = "ring")]
mod ring;

#[cfg(not(feature = "ring"))]
pub(super) use portable::Cipher;
#[cfg(feature = "ring")]
pub(super) use ring::Cipher;

/// Bytes of a nonce.
pub(super) const NONCE: usize = 12;

#[cfg(all(test, feature = "ring"))]
mod tests {
    use proptest::prelude::*;

    use super::{NONCE, portable, ring};
    use crate::wire::TAG;

    proptest! {
        #[test]
        fn both_crates_seal_alike_and_open_what_the_other_sealed(
            key: [u8; 32],
            nonce: [u8; NONCE],
            header: [u8; 9],
            plaintext in prop::collection::vec(any::<u8>(), 0..1200),
            flipped: prop::sample::Index,
        ) {
            let (one, other) = (portable::Cipher::new(&key), ring::Cipher::new(&key));
            let (mut a, mut b) = (plaintext.clone(), plaintext.clone());
            let tag = one.seal(&nonce, &header, &mut a).unwrap();
            prop_assert_eq!(other.seal(&nonce, &header, &mut b), Some(tag));
            prop_assert_eq!(&a, &b);

            a.extend_from_slice(&tag);
            let sealed = a.clone();
            let opened = one.open(&nonce, &header, &mut a);
            prop_assert_eq!(opened.as_deref(), Some(&plaintext[..]));
            b.extend_from_slice(&tag);
            let opened = other.open(&nonce, &header, &mut b);
            prop_assert_eq!(opened.as_deref(), Some(&plaintext[..]));

            let mut forged = sealed;
            let place = flipped.index(forged.len());
            forged[place] ^= 1;
            let mut copy = forged.clone();
            prop_assert!(one.open(&nonce, &header, &mut forged).is_none());
            prop_assert!(other.open(&nonce, &header, &mut copy).is_none());
            let mut short = [0; TAG - 1];
            prop_assert!(other.open(&nonce, &header, &mut short).is_none());
        }
    }
}
