//! The one keyed hash behind cookies and reset tokens: keyed BLAKE2s, 16 bytes
//! ([RFC 7693 §2.9](https://www.rfc-editor.org/rfc/rfc7693.html#section-2.9)).

use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};

/// MAC over `domain`, then `parts` end to end: at most the last part may vary in length, or two inputs could collide.
pub(super) fn mac(key: &[u8; 32], domain: &[u8; 8], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = <Blake2sMac<U16> as KeyInit>::new(key.into());
    mac.update(domain);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
