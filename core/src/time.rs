//! Points in time, as the embedder measures them.
//!
//! Nothing in this crate reads a clock: every call that depends on time takes an [`Instant`]. The embedder chooses its
//! zero (boot, program start); only differences matter, and the two ends of a connection never compare theirs.
//!
//! A 32-bit processor calls the arithmetic, which takes many instructions there: inlined, it was 1.5 KB more of a
//! device's flash.

pub use core::time::Duration;

/// Microseconds since an origin that the embedder chose. Must never run backwards.
///
/// ```
/// use parlour_core::time::{Duration, Instant};
/// let start = Instant::from_micros(1_000);
/// let later = start + Duration::from_millis(20);
/// assert_eq!(later.saturating_duration_since(start), Duration::from_millis(20));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The instant `micros` µs after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// µs since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero if `earlier` is in fact later.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time (584,000 years after the origin).
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl core::ops::AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

/// `duration` in µs, saturating at 584,000 years. [`Duration::as_micros`] counts with 128 bits, for which a
/// microcontroller has no instructions: 3 KB of flash, where it was inlined.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(crate) fn micros(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000);
    seconds.saturating_add(duration.subsec_micros().into())
}

/// The earlier of two optional wake-ups, where `None` means never.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
