//! The transit of a flow's fastest recent packet: the one that waited in no queue.

/// Recent packets whose smallest transit shows a path that has become longer.
const PATH: usize = 8;
/// After this many seconds without a packet the base is discarded: clocks have drifted.
const STALE_SECONDS: i64 = 30;

/// All times are in samples of the RTP clock.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// One second. The minimum is taken over the last one to two seconds, so that it follows a drifting clock (1.2 ms
    /// at 600 ppm) and a path that becomes longer.
    window: i64,
    minimum: Option<Minimum>,
    /// The transits of the latest packets above the base.
    latest: [u32; PATH],
    next: u8,
}

/// The smallest transit of the current window, and of the one before.
#[derive(Debug, Clone, Copy)]
struct Minimum {
    current: i64,
    previous: i64,
    opened: i64,
    last_arrival: i64,
}

impl Minimum {
    fn least(&self) -> i64 {
        self.current.min(self.previous)
    }
}

/// What a packet's arrival says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observed {
    /// Its transit above the base.
    pub(super) lateness: i64,
    /// By how much the base has risen with it.
    pub(super) rise: i64,
}

impl Base {
    /// `rate` in samples per second.
    pub(super) fn new(rate: i64) -> Self {
        Self {
            window: rate,
            minimum: None,
            latest: [0; PATH],
            next: 0,
        }
    }

    /// The base, if there was a packet.
    pub(super) fn transit(&self) -> Option<i64> {
        self.minimum.map(|minimum| minimum.least())
    }

    /// Discards the base: another sender's clock begins.
    pub(super) fn forget(&mut self) {
        self.minimum = None;
    }

    /// By how much the path has been longer than the base in all of the last few packets.
    pub(super) fn detour(&self) -> i64 {
        self.latest.iter().copied().min().unwrap_or(0).into()
    }

    /// Learns from a packet that came at `arrival` with `transit` (arrival minus timestamp).
    pub(super) fn observe(&mut self, arrival: i64, transit: i64) -> Observed {
        let stale = self.window.saturating_mul(STALE_SECONDS);
        let known =
            (self.minimum).filter(|known| arrival.saturating_sub(known.last_arrival) < stale);
        let mut minimum = known.unwrap_or(Minimum {
            current: transit,
            previous: transit,
            opened: arrival,
            last_arrival: arrival,
        });
        if known.is_none() {
            self.latest = [0; PATH];
        }
        let before = minimum.least();
        if arrival.saturating_sub(minimum.opened) >= self.window {
            minimum.previous = minimum.current;
            minimum.current = transit;
            minimum.opened = arrival;
        }
        minimum.current = minimum.current.min(transit);
        minimum.last_arrival = arrival;
        self.minimum = Some(minimum);

        let least = minimum.least();
        let moved = least.saturating_sub(before);
        if moved != 0 {
            let moved = i32::try_from(moved).unwrap_or(i32::MAX);
            for above in &mut self.latest {
                *above = above.saturating_add_signed(moved.saturating_neg());
            }
        }
        let lateness = transit.saturating_sub(least);
        if let Some(place) = self.latest.get_mut(usize::from(self.next)) {
            *place = u32::try_from(lateness).unwrap_or(u32::MAX);
        }
        self.next = (self.next + 1) % PATH as u8;
        Observed {
            lateness,
            rise: moved.max(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 48;

    /// Feeds 20 ms packets, each `lateness(n)` ms late.
    fn feed(base: &mut Base, packets: i64, lateness: impl Fn(i64) -> i64) -> Vec<Observed> {
        let packet = |n| {
            let transit = (1_000 + lateness(n)) * MS;
            base.observe(n * 20 * MS + transit, transit)
        };
        (0..packets).map(packet).collect()
    }
    use alloc::vec::Vec;

    #[test]
    fn the_fastest_packet_is_the_base() {
        let mut base = Base::new(48_000);
        let observed = feed(&mut base, 20, |n| if n == 7 { 0 } else { 5 + n % 3 });
        assert_eq!(base.transit(), Some(1_000 * MS));
        assert_eq!(observed[8].lateness, 7 * MS);
        assert!(observed.iter().all(|observed| observed.rise == 0));
    }

    #[test]
    fn a_drifting_clock_is_followed() {
        // 300 ppm either way for ten hours: 20 ms drift 6 µs.
        for sign in [-1, 1] {
            let mut base = Base::new(48_000);
            for n in 0..1_800_000_i64 {
                let transit = sign * n * 20 * MS * 3 / 10_000;
                let observed = base.observe(n * 20 * MS + transit, transit);
                assert!(observed.lateness <= MS, "packet {n}: {observed:?}");
            }
        }
    }

    #[test]
    fn a_longer_path_is_a_detour_at_once_and_the_base_within_two_seconds() {
        let mut base = Base::new(48_000);
        feed(&mut base, 100, |_| 0);
        let mut rise = 0;
        for n in 100..210 {
            let transit = 1_150 * MS;
            let observed = base.observe(n * 20 * MS + transit, transit);
            rise += observed.rise;
            if n == 107 {
                assert_eq!(base.detour(), 150 * MS);
            }
        }
        assert_eq!((base.transit(), rise), (Some(1_150 * MS), 150 * MS));
        assert_eq!(base.detour(), 0);
    }

    #[test]
    fn a_shorter_path_is_the_base_at_once() {
        let mut base = Base::new(48_000);
        feed(&mut base, 100, |_| 100);
        let transit = 1_000 * MS;
        let observed = base.observe(2_000 * MS + transit, transit);
        assert_eq!((observed.lateness, observed.rise), (0, 0));
        assert_eq!(base.detour(), 0);
    }

    #[test]
    fn after_a_long_pause_the_old_base_is_forgotten() {
        let mut base = Base::new(48_000);
        feed(&mut base, 150, |_| 0);
        // Ten minutes later a slow clock has fallen 120 ms behind.
        let transit = 1_120 * MS;
        let observed = base.observe(600_000 * MS, transit);
        assert_eq!((base.transit(), observed.lateness), (Some(transit), 0));
    }
}
