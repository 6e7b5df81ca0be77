//! The runs of one load.

use serde::Serialize;

use super::measure::Measured;
use super::options::Scenario;

/// The result of several runs.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    pub(super) fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self::default();
        };
        Self {
            median: values[values.len() / 2],
            min,
            max,
        }
    }
}

/// One load, measured again and again.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) scenario: Scenario,
    pub(super) runs: Vec<Measured>,
}

/// The same for programs that read JSON.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    scenario: Scenario,
    /// Whether every run was quiet.
    quiet: bool,
    ratio: Spread,
    cpu_us_per_frame: Spread,
    floor_us_per_frame: Spread,
    delivered: Spread,
    latency_p50_us: Spread,
    latency_p99_us: Spread,
    cpu_us_per_join: Spread,
    runs: &'a [Measured],
}

impl Row {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            runs: Vec::new(),
        }
    }

    pub(super) fn spread(&self, of: impl Fn(&Measured) -> f64) -> Spread {
        Spread::new(self.runs.iter().map(of))
    }

    pub(super) fn ratio(&self) -> Spread {
        self.spread(|run| run.ratio)
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.runs.iter().all(|run| run.others.quiet)
    }

    /// The run with the median ratio.
    pub(super) fn middle(&self) -> Option<&Measured> {
        let ratio = self.ratio().median;
        self.runs.iter().find(|run| run.ratio == ratio)
    }

    pub(super) fn summary(&self) -> Summary<'_> {
        Summary {
            scenario: self.scenario,
            quiet: self.is_quiet(),
            ratio: self.ratio(),
            cpu_us_per_frame: self.spread(|run| run.cpu_us_per_frame),
            floor_us_per_frame: self.spread(|run| run.floor_us_per_frame),
            delivered: self.spread(|run| run.delivered),
            latency_p50_us: self.spread(|run| run.latency_us.p50.into()),
            latency_p99_us: self.spread(|run| run.latency_us.p99.into()),
            cpu_us_per_join: self.spread(|run| run.cpu_us_per_join),
            runs: &self.runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_both_ends() {
        let spread = Spread::new([3.0, 1.0, 9.0].into_iter());
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 3.0, 9.0));
        let none = Spread::new([].into_iter());
        assert_eq!((none.min, none.median, none.max), (0.0, 0.0, 0.0));
    }
}
