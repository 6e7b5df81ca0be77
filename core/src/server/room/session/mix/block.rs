//! How long a piece of a mix is.

use crate::time::Duration;

/// How much sound a packet of a mix holds, in ms.
pub(super) const BLOCK_MS: u16 = 20;
pub(crate) const BLOCK: Duration = Duration::from_millis(BLOCK_MS as u64);
