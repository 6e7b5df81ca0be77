//! The SSRCs that a server gives out.

use rand_core::CryptoRngCore;

/// Assigns SSRCs that are unique on this server. Later ones are higher: by that a
/// [`RoomState`](crate::room::RoomState) finds the presenter.
#[derive(Debug)]
pub(super) struct Ssrcs {
    next: u32,
}

impl Ssrcs {
    /// A random start well below the end, so that numbers given out later are higher for as long as any session lasts.
    pub(super) fn new(rng: &mut dyn CryptoRngCore) -> Self {
        Self {
            next: 1 + (rng.next_u32() >> 2),
        }
    }

    /// `count` consecutive ones, by the first of them.
    pub(super) fn allocate(&mut self, count: u32, rng: &mut dyn CryptoRngCore) -> u32 {
        let first = match self.next.checked_add(count) {
            Some(_) => self.next,
            // After four billion of them, start over.
            None => 1,
        };
        let gap = 1 + (rng.next_u32() & 7);
        self.next = first.saturating_add(count).saturating_add(gap);
        first
    }
}
