//! The transit of a flow's fastest packets: those that waited in no queue.

/// Recent packets whose smallest transit shows a path that has become longer.
const PATH: usize = 8;
/// A flow without a packet for this many seconds begins anew: clocks have drifted.
const STALE_SECONDS: i64 = 30;
/// The window of the minimum, in seconds.
const WINDOW_SECONDS: i64 = 4;
/// Each second the base rises by this share of its distance to the minimum: by 300 ppm it falls 5 ms behind.
const RISE: i64 = 16;

/// All times are in samples of the RTP clock.
///
/// The smallest transit of the last seconds is not the same in two windows if packets are late by chance; and whatever
/// moves the base moves what is played. So the base falls at once, to a packet that is faster, but rises slowly, unless
/// the path has become longer by far. A base that is too low does no harm: the delay and its target are both measured
/// against it.
#[derive(Debug, Clone)]
pub(super) struct Base {
    second: i64,
    known: Option<Known>,
    /// The transits of the latest packets above the base.
    latest: [u32; PATH],
    next: u8,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    base: i64,
    /// The smallest transit in the current window, and in the one before.
    current: i64,
    previous: i64,
    opened: i64,
    risen: i64,
    last_arrival: i64,
}

/// What a packet's arrival says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observed {
    /// Its transit above the base.
    pub(super) lateness: i64,
    /// By how much the base has risen as the path has become longer.
    pub(super) rise: i64,
    /// The most lateness of the last few packets, if the base has fallen: so late they were in fact.
    pub(super) earlier: Option<i64>,
}

impl Base {
    /// `rate` in samples per second.
    pub(super) fn new(rate: i64) -> Self {
        Self {
            second: rate,
            known: None,
            latest: [0; PATH],
            next: 0,
        }
    }

    /// The base, if there was a packet.
    pub(super) fn transit(&self) -> Option<i64> {
        self.known.map(|known| known.base)
    }

    /// Discards the base: another sender's clock begins.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// By how much the path has been longer than the base in all of the last few packets.
    pub(super) fn detour(&self) -> i64 {
        self.latest.iter().copied().min().unwrap_or(0).into()
    }

    /// Learns from a packet that came at `arrival` with `transit` (arrival minus timestamp).
    pub(super) fn observe(&mut self, arrival: i64, transit: i64) -> Observed {
        let stale = self.second.saturating_mul(STALE_SECONDS);
        let known = (self.known).filter(|known| arrival.saturating_sub(known.last_arrival) < stale);
        let mut known = known.unwrap_or_else(|| {
            self.latest = [0; PATH];
            Known {
                base: transit,
                current: transit,
                previous: transit,
                opened: arrival,
                risen: arrival,
                last_arrival: arrival,
            }
        });
        known.last_arrival = arrival;
        if arrival.saturating_sub(known.opened) >= self.second.saturating_mul(WINDOW_SECONDS) {
            known.previous = known.current;
            known.current = transit;
            known.opened = arrival;
        }
        known.current = known.current.min(transit);
        let least = known.current.min(known.previous);
        let above = least.saturating_sub(known.base);
        let (mut rise, mut earlier): (i64, Option<i64>) = (0, None);
        // 60 ms: more than chance.
        if above >= self.second * 60 / 1_000 {
            rise = above;
            self.raise(&mut known, above);
        } else if above > 0 && arrival.saturating_sub(known.risen) >= self.second {
            self.raise(&mut known, (above / RISE).max(1));
            known.risen = arrival;
        } else if above < 0 {
            self.raise(&mut known, above);
            earlier = self.latest.iter().max().map(|&most| most.into());
        }
        self.known = Some(known);

        let lateness = transit.saturating_sub(known.base);
        if let Some(place) = self.latest.get_mut(usize::from(self.next)) {
            *place = u32::try_from(lateness).unwrap_or(u32::MAX);
        }
        self.next = (self.next + 1) % PATH as u8;
        Observed {
            lateness,
            rise,
            earlier,
        }
    }

    fn raise(&mut self, known: &mut Known, by: i64) {
        known.base = known.base.saturating_add(by);
        for above in &mut self.latest {
            *above = u32::try_from(i64::from(*above).saturating_sub(by).max(0)).unwrap_or(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const MS: i64 = 48;

    /// Feeds 20 ms packets, each `lateness(n)` ms late.
    fn feed(base: &mut Base, packets: i64, lateness: impl Fn(i64) -> i64) -> Vec<Observed> {
        let packet = |n| {
            let transit = (1_000 + lateness(n)) * MS;
            base.observe(n * 20 * MS + transit, transit)
        };
        (0..packets).map(packet).collect()
    }

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
                assert!(observed.lateness <= 8 * MS, "packet {n}: {observed:?}");
            }
        }
    }

    #[test]
    fn a_much_longer_path_is_a_detour_at_once_and_the_base_within_eight_seconds() {
        let mut base = Base::new(48_000);
        feed(&mut base, 100, |_| 0);
        let mut rise = 0;
        for n in 100..500 {
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
    fn chance_moves_the_base_little() {
        let mut base = Base::new(48_000);
        // 0 once in twenty seconds, else 20 to 80 ms.
        let observed = feed(&mut base, 3_000, |n| {
            if n % 1_000 == 0 { 0 } else { 20 + n * 7 % 60 }
        });
        assert!(observed.iter().all(|observed| observed.rise == 0));
        assert!(base.transit() < Some(1_016 * MS), "{base:?}");
    }

    #[test]
    fn a_shorter_path_is_the_base_at_once() {
        let mut base = Base::new(48_000);
        feed(&mut base, 100, |_| 100);
        let transit = 1_000 * MS;
        let observed = base.observe(2_000 * MS + transit, transit);
        assert_eq!((observed.lateness, observed.rise), (0, 0));
        assert_eq!(observed.earlier, Some(100 * MS));
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
