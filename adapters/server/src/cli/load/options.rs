//! The parts of a load.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phases {
    /// Each at a time of its own, as in life.
    Random,
    /// All at once: the best case.
    Same,
}

impl Phases {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Same => "same",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mix {
    /// Only they.
    Listeners,
    /// Talkers, too, each without itself.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    Server,
    Floor,
}

/// One load to measure.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Scenario {
    pub(super) rooms: usize,
    pub(super) listeners: usize,
    pub(super) talkers: usize,
    pub(super) pps: u32,
    pub(super) phases: Phases,
    /// The gather window in milliseconds, if it does not adapt.
    pub(super) gather: Option<u32>,
    /// The greatest ratio to the floor that is aimed at.
    pub(super) aim: Option<f64>,
}

/// The loads of `--table`.
pub(super) const TABLE: [Scenario; 6] = [
    aimed(1, 100, 1, 1.10),
    aimed(1, 100, 3, 1.08),
    Scenario {
        gather: Some(5),
        ..aimed(1, 100, 3, 0.85)
    },
    Scenario {
        phases: Phases::Same,
        ..aimed(1, 100, 3, 0.50)
    },
    aimed(100, 5, 3, 1.10),
    aimed(1, 1000, 3, 1.05),
];

const fn aimed(rooms: usize, listeners: usize, talkers: usize, aim: f64) -> Scenario {
    Scenario {
        rooms,
        listeners,
        talkers,
        pps: 50,
        phases: Phases::Random,
        gather: None,
        aim: Some(aim),
    }
}

impl Scenario {
    pub(super) fn participants(&self) -> usize {
        self.rooms * (self.listeners + self.talkers)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rooms,
            listeners,
            talkers,
            pps,
            ..
        } = self;
        write!(f, "{rooms} × {listeners} × {talkers}, ")?;
        if *pps != 50 {
            write!(f, "{pps} a second, ")?;
        }
        f.write_str(self.phases.name())
    }
}
