//! Less of a plan that fails in the same way.

use std::collections::BTreeSet;

use parlour_core::time::{Duration, Instant};

use super::checks::Invariant;
use super::plan::{Plan, Selection};
use super::run::run;

/// Searches for a small part of `plan`, which violates `invariant` at `at`, that violates it, too: less time, fewer people,
/// and then fewer steps (delta debugging, Zeller and Hildebrandt 2002). Gives up after `budget` runs.
pub fn minimize(plan: &Plan, invariant: Invariant, at: Instant, budget: u32) -> Selection {
    let mut search = Search {
        plan,
        invariant,
        budget,
        best: Selection::default(),
    };
    search.shorten(at);
    for one in 0..plan.people.len() {
        let mut fewer = search.best.clone();
        let people = fewer
            .people
            .get_or_insert_with(|| (0..plan.people.len()).collect());
        people.remove(&one);
        search.attempt(fewer);
    }
    let left = search.plan.select(&search.best).steps;
    search.reduce(left.iter().map(|step| step.number).collect());
    search.best
}

struct Search<'p> {
    plan: &'p Plan,
    invariant: Invariant,
    /// Runs left.
    budget: u32,
    best: Selection,
}

impl Search<'_> {
    /// Takes `selection` if it fails in the same way.
    fn attempt(&mut self, selection: Selection) -> bool {
        if self.budget == 0 {
            return false;
        }
        self.budget -= 1;
        let outcome = run(&self.plan.select(&selection), None);
        let Some(violation) = outcome
            .violation
            .filter(|found| found.invariant == self.invariant)
        else {
            return false;
        };
        self.best = selection;
        self.shorten(violation.at);
        true
    }

    /// Ends when it fails. A failure seen after the last step needs the whole time before.
    fn shorten(&mut self, at: Instant) {
        let at = Duration::from_micros(at.as_micros());
        let length = self.best.until.unwrap_or(self.plan.length);
        if at < length {
            // Of the same moment nothing is to be cut off by rounding.
            self.best.until = Some(Duration::from_millis(at.as_millis() as u64 + 1));
        }
    }

    /// Leaves out halves, quarters, … of the steps, as long as that succeeds.
    fn reduce(&mut self, mut steps: Vec<usize>) {
        let mut parts = 2;
        while steps.len() > 1 && self.budget > 0 {
            let size = steps.len().div_ceil(parts);
            let without = |part: usize| -> Vec<usize> {
                let gone = part * size..(part + 1) * size;
                let kept = steps
                    .iter()
                    .enumerate()
                    .filter(|(place, _)| !gone.contains(place));
                kept.map(|(_, step)| *step).collect()
            };
            let count = steps.len().div_ceil(size);
            let found = (0..count).map(without).find(|fewer| {
                let keep: BTreeSet<_> = fewer.iter().copied().collect();
                self.attempt(Selection {
                    keep: Some(keep),
                    ..self.best.clone()
                })
            });
            match found {
                Some(fewer) => {
                    steps = fewer;
                    parts = (parts - 1).max(2);
                }
                None if size == 1 => return,
                None => parts = (parts * 2).min(steps.len()),
            }
        }
    }
}
