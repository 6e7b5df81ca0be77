//! Values that must not be printed by accident.

use core::fmt;
use core::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

use crate::bytes;

/// A token, or another secret, inside a message or an event: it is encoded as what it holds, and `{:?}` does
/// not show it, so that no log of messages or events gives it away. It is not wiped when dropped.
///
/// ```
/// use parlour_core::signal::Secret;
/// let token = Secret("eyJhbGciOi");
/// assert_eq!(format!("{token:?}"), "Secret(..)");
/// assert_eq!(token.len(), 10);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(not(target_pointer_width = "64"), repr(align(4)))]
pub struct Secret<T>(pub T);

impl<const N: usize> Secret<[u8; N]> {
    /// For fields: less code than the general way.
    pub(super) fn deserialize_bytes<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        bytes::deserialize(deserializer).map(Self)
    }
}

impl<T> Deref for Secret<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
