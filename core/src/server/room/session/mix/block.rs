//! The length of a piece of a mix.

use crate::time::Duration;

/// The duration of a mixed packet, in ms.
pub(super) const BLOCK_MS: u16 = 20;
pub(crate) const BLOCK: Duration = Duration::from_millis(BLOCK_MS as u64);
