//! The events of the meeting, printed as they happen.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::recording::{Scale, TICK};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The time, in seconds since the beginning.
    pub at: f64,
    /// The part of the meeting.
    pub part: &'static str,
    /// The participant.
    pub who: &'static str,
    /// The event.
    pub what: String,
    /// Whether it is as expected.
    pub ok: bool,
}

/// The course of a meeting: printed line by line, with a progress bar below on a terminal.
#[derive(Debug)]
pub struct Timeline {
    scale: Scale,
    bar: ProgressBar,
    part: &'static str,
    entries: Vec<Entry>,
}

impl Timeline {
    /// An empty timeline of a meeting of this approximate length.
    pub fn new(scale: Scale, expected: Duration) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(expected.as_millis() as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg} {eta} left") {
            bar.set_style(style);
        }
        Self {
            scale,
            bar,
            part: "",
            entries: Vec::new(),
        }
    }

    /// Begins a part of the meeting.
    pub fn part(&mut self, name: &'static str) {
        self.part = name;
        self.bar.set_message(name);
        self.bar.suspend(|| println!("\n{name}"));
    }

    /// Records an event that happened now.
    pub fn note(&mut self, who: &'static str, what: impl Into<String>) {
        self.add(self.scale.now(), who, what.into(), true);
    }

    /// Records an event that happened then.
    pub fn note_at(&mut self, at: Duration, who: &'static str, what: impl Into<String>) {
        self.add(at, who, what.into(), true);
    }

    /// Records a scripted step: its result if it happened, otherwise the error.
    pub fn step(&mut self, who: &'static str, step: &str, result: anyhow::Result<String>) {
        let ok = result.is_ok();
        let what = match result {
            Ok(outcome) if outcome.is_empty() => step.to_owned(),
            Ok(outcome) => format!("{step}: {outcome}"),
            Err(error) => format!("{step}: FAILED: {error:#}"),
        };
        self.add(self.scale.now(), who, what, ok);
    }

    fn add(&mut self, at: Duration, who: &'static str, what: String, ok: bool) {
        let mark = if ok { ' ' } else { '!' };
        let at = at.as_secs_f64();
        self.bar
            .suspend(|| println!("{mark} {at:7.3} s  {who:<9} {what}"));
        self.entries.push(Entry {
            at,
            part: self.part,
            who,
            what,
            ok,
        });
    }

    /// Waits until a step of the time scale begins.
    pub async fn wait(&self, tick: usize) {
        let until = TICK * u32::try_from(tick).unwrap_or(u32::MAX);
        while let Some(left) = until.checked_sub(self.scale.now()) {
            tokio::time::sleep(left.min(Duration::from_millis(100))).await;
            self.bar.set_position(self.scale.now().as_millis() as u64);
        }
    }

    /// Ends the timeline, and returns its entries.
    pub fn finish(self) -> Vec<Entry> {
        self.bar.finish_and_clear();
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_fail_are_told_and_kept() {
        let mut timeline = Timeline::new(Scale::start(), Duration::from_secs(1));
        timeline.part("Join");
        timeline.step("host", "joins", Ok("at once".to_owned()));
        timeline.step("host", "publishes", Err(anyhow::anyhow!("no")));
        let entries = timeline.finish();
        assert_eq!((entries[0].part, entries[0].ok), ("Join", true));
        assert_eq!(
            (entries[1].what.as_str(), entries[1].ok),
            ("publishes: FAILED: no", false)
        );
    }
}
