//! The clock of a publisher, as the anchors of its recording tell it.
//!
//! An anchor says when the packet at a place of the file came. How late packets are changes from one to the next (jitter), the
//! clocks of publisher and recorder run apart (drift), and a publisher whose clock stood still begins anew at the right time (a
//! step). What is wanted is the drift and the steps without the jitter:
//!
//! ```text
//! at - place  ──► its slope, the median over all pairs of anchors (Theil–Sen)
//!             ──► what is left beside the slope, the median over five anchors: steps stay, and single late packets do not count
//! ```

use super::Anchor;

/// Samples in a millisecond.
const PER_MS: f64 = 48.0;
/// No two clocks run apart further than this, in parts of one.
const MOST_DRIFT: f64 = 0.001;
/// Anchors on either side that a median is taken over.
const BESIDE: usize = 2;
/// How far a place may be from its time, in ms: a second and half a percent, as the recorder has it, and what packets are late.
const MOST_APART: f64 = 5_000.0;
const MOST_APART_SHARE: f64 = 0.01;

/// Where in its file stands what was said at a time, by the [anchors](Anchor) of a recording.
///
/// ```
/// use parlour_files::compose::{Anchor, Clock};
/// // A publisher whose clock goes slow: after 100 s its file has 99.9 s.
/// let anchors = [0, 20, 40, 60, 80, 100].map(|s| Anchor { at_ms: 1_000 * s, place_ms: 999 * s });
/// assert_eq!(Clock::new(&anchors).time_ms(49_950), 50_000);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Clock {
    /// Times, in samples since the beginning of the file, and how far the place in the file is behind each. By time.
    points: Vec<(f64, f64)>,
    /// What the distance grows by in a sample.
    slope: f64,
}

impl Clock {
    /// The clock that anchors tell, which are in the order of their places. If they contradict each other, it is the recorder's.
    pub fn new(anchors: &[Anchor]) -> Self {
        let samples = |ms: u64| ms as f64 * PER_MS;
        let apart: Vec<_> = anchors
            .iter()
            .map(|anchor| {
                let (at, place) = (samples(anchor.at_ms), samples(anchor.place_ms));
                (at, at - place)
            })
            .collect();
        let is_ordered = anchors
            .windows(2)
            .all(|pair| pair[0].at_ms < pair[1].at_ms && pair[0].place_ms < pair[1].place_ms);
        let is_close = apart
            .iter()
            .all(|(at, distance)| distance.abs() <= MOST_APART * PER_MS + at * MOST_APART_SHARE);
        if !is_ordered || !is_close {
            return Self {
                points: Vec::new(),
                slope: 0.0,
            };
        }
        let slope = slope(&apart);
        let rests: Vec<_> = apart
            .iter()
            .map(|(at, distance)| distance - slope * at)
            .collect();
        let points = apart.iter().enumerate().map(|(index, (at, _))| {
            let from = index.saturating_sub(BESIDE);
            let near = rests.iter().skip(from).take(index - from + BESIDE + 1);
            let rest = median(near.copied().collect());
            (*at, rest + slope * at)
        });
        Self {
            points: points.collect(),
            slope,
        }
    }

    /// Whether it is the recorder's: places are times.
    pub(super) fn is_plain(&self) -> bool {
        self.slope == 0.0 && self.points.iter().all(|(_, behind)| *behind == 0.0)
    }

    /// The place in the file, in samples, of what was said that many samples after its beginning.
    pub(super) fn place(&self, at: f64) -> f64 {
        at - self.behind(at)
    }

    /// When it was recorded what stands at a place in the file, both in ms since its beginning.
    pub fn time_ms(&self, place_ms: u64) -> u64 {
        let place = place_ms as f64 * PER_MS;
        // The distance hardly differs between the place and the time.
        let time = (0..3).fold(place, |time, _| place + self.behind(time));
        (time / PER_MS).round().max(0.0) as u64
    }

    /// How far the place is behind the time.
    fn behind(&self, at: f64) -> f64 {
        let next = self.points.partition_point(|(time, _)| *time <= at);
        let before = next.checked_sub(1).and_then(|last| self.points.get(last));
        match (before, self.points.get(next)) {
            (Some((from, first)), Some((to, second))) => {
                first + (second - first) * (at - from) / (to - from)
            }
            (Some((time, behind)), None) | (None, Some((time, behind))) => {
                behind + self.slope * (at - time)
            }
            (None, None) => 0.0,
        }
    }
}

/// The median slope of the lines through all pairs of points.
fn slope(points: &[(f64, f64)]) -> f64 {
    // Of two or three, one late packet would make the slope.
    if points.len() <= BESIDE * 2 {
        return 0.0;
    }
    let pairs = points
        .iter()
        .enumerate()
        .flat_map(|(index, (from, first))| {
            let behind = points.iter().skip(index + 1);
            behind.map(move |(to, second)| (second - first) / (to - from))
        });
    median(pairs.collect()).clamp(-MOST_DRIFT, MOST_DRIFT)
}

/// The value in the middle, or the mean of the two there; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (
        values.get(middle),
        middle.checked_sub(1).and_then(|below| values.get(below)),
    ) {
        (Some(value), Some(below)) if values.len().is_multiple_of(2) => (value + below) / 2.0,
        (Some(value), _) => *value,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The anchors of an hour, of a clock that is `ppm` too fast, with packets that are so late, in ms.
    fn hour(ppm: f64, mut late: impl FnMut(usize) -> f64) -> Vec<Anchor> {
        let anchors = (0..60).map(|index| {
            let said = index as f64 * 60_000.0;
            let place = said * (1.0 + ppm / 1e6);
            Anchor {
                place_ms: place as u64,
                at_ms: (said + late(index)) as u64,
            }
        });
        anchors.collect()
    }

    /// How far the clock is from the truth at most over the hour, in ms.
    fn error(clock: &Clock, ppm: f64) -> f64 {
        let errors = (0..3_600).map(|second| {
            let said = f64::from(second) * 48_000.0;
            (clock.place(said) - said * (1.0 + ppm / 1e6)).abs() / PER_MS
        });
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn an_hour_of_drift_is_undone_to_within_20_ms_whatever_the_jitter() {
        for ppm in [-200.0, -30.0, 0.0, 200.0] {
            let steady = Clock::new(&hour(ppm, |_| 0.0));
            assert!(error(&steady, ppm) < 2.0, "{ppm}");
            // Every packet is up to 20 ms late, every seventh by half a second.
            let jitter = |index: usize| match index % 7 {
                3 => 500.0,
                _ => (index * 37 % 20) as f64,
            };
            let jittered = Clock::new(&hour(ppm, jitter));
            let error = error(&jittered, ppm);
            assert!(error < 20.0, "{ppm}: {error}");
        }
    }

    #[test]
    fn a_clock_that_was_set_is_followed() {
        // It runs 200 ppm too fast, and stands where it should from the half of the hour on.
        let mut anchors = hour(200.0, |_| 0.0);
        for anchor in anchors.iter_mut().skip(30) {
            anchor.place_ms -= 360;
        }
        let clock = Clock::new(&anchors);
        for second in [60, 600, 1_500, 2_000, 3_500] {
            let said = f64::from(second) * 48_000.0;
            let set = if second < 1_800 { 0.0 } else { 360.0 };
            let wrong = (clock.place(said) - said * 1.000_2) / PER_MS + set;
            assert!(wrong.abs() < 20.0, "{second}: {wrong}");
        }
    }

    #[test]
    fn without_anchors_or_with_nonsense_places_are_times() {
        let anchor = |place_ms, at_ms| Anchor { place_ms, at_ms };
        for nonsense in [
            vec![],
            vec![anchor(0, 0), anchor(10_000, 1_000_000)],
            vec![anchor(0, 0), anchor(u64::MAX, u64::MAX - 7)],
            vec![anchor(5, 7), anchor(5, 8)],
            vec![anchor(9, 9), anchor(8, 10)],
        ] {
            let clock = Clock::new(&nonsense);
            assert!(clock.is_plain() || clock.points.len() > 1, "{nonsense:?}");
            assert!(
                (clock.place(4_800.0) - 4_800.0).abs() < 48.0,
                "{nonsense:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_anchors_lead_far_away(places in proptest::collection::vec(any::<(u32, u32)>(), 0..64), at in 0_u32..u32::MAX) {
            let mut anchors: Vec<_> = places
                .iter()
                .map(|(place, at)| Anchor { place_ms: (*place).into(), at_ms: (*at).into() })
                .collect();
            anchors.sort_by_key(|anchor| (anchor.place_ms, anchor.at_ms));
            let at = f64::from(at);
            let apart = (Clock::new(&anchors).place(at) - at).abs();
            prop_assert!(apart <= (MOST_APART * 2.0) * PER_MS + f64::from(u32::MAX) * PER_MS * 0.03);
        }
    }
}
