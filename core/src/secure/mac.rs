//! The one keyed hash behind cookies and reset tokens: keyed BLAKE2s, 16 bytes
//! ([RFC 7693 §2.9](https://www.rfc-editor.org/rfc/rfc7693.html#section-2.9)).

use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};

/// MAC over `domain`, then the concatenated `parts`: at most the last part may vary in length, or two inputs could
/// collide.
pub(super) fn mac(key: &[u8; 32], domain: &[u8; 8], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = <Blake2sMac<U16> as KeyInit>::new(key.into());
    mac.update(domain);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::test_rng::hex;

    #[test]
    fn is_keyed_blake2s_with_16_bytes_of_output() {
        // Computed with another implementation:
        // hashlib.blake2s(b"parlourXabcdef", key=bytes(range(32)), digest_size=16)
        let key = core::array::from_fn(|i| i as u8);
        let expected = hex("1f45821ee9f43512cd9f8cee3f3cc212");
        assert_eq!(mac(&key, b"parlourX", &[b"abc", b"def"])[..], expected);
        assert_ne!(mac(&key, b"parlourY", &[b"abc", b"def"])[..], expected);
    }
}
