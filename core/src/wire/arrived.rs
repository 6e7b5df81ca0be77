//! Reports on the packets that arrived.

use super::put;

/// What has arrived of a peer's packets so far, under the keys in use: the peer learns from it how much the way carries.
///
/// All three wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Arrived {
    /// The highest counter of a packet that came, its low 32 bits.
    pub highest: u32,
    /// Packets that came.
    pub opened: u32,
    /// When the highest came, by the clock of the end that reports, in µs. Only differences mean anything.
    pub clock: u32,
}

impl Arrived {
    pub(crate) const LEN: usize = 12;

    pub(crate) const fn from_bytes(
        [h0, h1, h2, h3, o0, o1, o2, o3, c0, c1, c2, c3]: [u8; Self::LEN],
    ) -> Self {
        Self {
            highest: u32::from_be_bytes([h0, h1, h2, h3]),
            opened: u32::from_be_bytes([o0, o1, o2, o3]),
            clock: u32::from_be_bytes([c0, c1, c2, c3]),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let rest = put(&mut bytes, &self.highest.to_be_bytes());
        let rest = rest.and_then(|rest| put(rest, &self.opened.to_be_bytes()));
        let _ = rest.and_then(|rest| put(rest, &self.clock.to_be_bytes()));
        bytes
    }
}
