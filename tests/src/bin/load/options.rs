//! The options of the user.

use std::fmt;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::Serialize;

/// Loads the room server with simulated participants and says what a delivered frame costs it, beside a
/// program that does no more than the cipher and the sending.
#[derive(Debug, Clone, Parser)]
#[command(name = "load", version)]
pub(crate) struct Options {
    /// Participants of each room that only listen; several numbers measure one after the other.
    #[arg(long, value_delimiter = ',', default_value = "100")]
    pub(crate) listeners: Vec<usize>,
    /// Participants of each room that only talk; 0 measures idle participants.
    #[arg(long, value_delimiter = ',', default_value = "3")]
    pub(crate) talkers: Vec<usize>,
    /// Rooms.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub(crate) rooms: Vec<usize>,
    /// Bytes of sound in a frame, at least 16.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u16).range(16..=1000))]
    pub(crate) payload: u16,
    /// Frames per second of each talker.
    #[arg(long, value_delimiter = ',', default_value = "50")]
    pub(crate) pps: Vec<u32>,
    /// The talkers' phases: each at a time of its own, as in life, or all at once, which is the best case.
    #[arg(long, value_enum, default_value = "random")]
    pub(crate) phases: Phases,
    /// Measures the loads whose ratio to the floor has an aim, five times each unless `--runs` says otherwise, and prints the
    /// table of `docs/PERFORMANCE.md`.
    #[arg(long, conflicts_with_all = ["listeners", "talkers", "rooms", "pps", "phases", "gather", "idle", "beside", "overload", "mix"])]
    pub(crate) table: bool,
    /// How often each load is measured, all of them in turn; the run with the median ratio is printed.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// Seconds that the server is measured in a run, 10 or for a table 5; the floor takes as many between them.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// Fails at the first run during which other programs were busy.
    #[arg(long)]
    pub(crate) require_quiet: bool,
    /// Seconds that joined participants are left alone, for the cost of idle ones.
    #[arg(long, default_value_t = 0)]
    pub(crate) idle: u32,
    /// Rooms of five listeners and one talker beside those, to see their share of the audio when the server is
    /// overloaded. The floor has none of them.
    #[arg(long, default_value_t = 0)]
    pub(crate) beside: usize,
    /// Talks all the time, without turns of the floor, and has a participant join and make a request every second: for loads
    /// that are too much for the server.
    #[arg(long)]
    pub(crate) overload: bool,
    /// The listeners that hear a mix instead of streams. The talkers then send speech; the latency is that of the
    /// first frame of each turn, until the first mix with a voice in it arrives.
    #[arg(long, value_enum)]
    pub(crate) mix: Option<Mix>,
    /// The server's gather window in milliseconds; without it, as the server thinks best.
    #[arg(long, value_name = "MS")]
    pub(crate) gather: Option<u32>,
    /// Threads that send for each worker of the server; 0: the worker sends itself.
    #[arg(long, default_value_t = 0)]
    pub(crate) senders: usize,
    /// A server that runs already: its ticket without the token. Needs `--key` and `--pid`.
    #[arg(long, value_name = "TICKET", requires_all = ["key", "pid"])]
    pub(crate) server: Option<String>,
    /// The API key of that server.
    #[arg(long, value_name = "ID:SECRET")]
    pub(crate) key: Option<String>,
    /// The process of that server, which must run on this machine.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Cores of the server and of the floor, one for each worker and each sender.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub(crate) server_cores: Vec<usize>,
    /// The core of the simulated participants.
    #[arg(long, default_value_t = 1)]
    pub(crate) core: usize,
    /// The seed of the talkers' phases.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The file for the results as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The file for the chart of a frame's cost against the number of listeners.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// The role of this process, when the program has started itself.
    #[arg(long, value_enum, hide = true)]
    pub(crate) role: Option<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phases {
    Random,
    Same,
}

impl Phases {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Same => "same",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mix {
    Listeners,
    /// Talkers, too, each without itself.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Server,
    Floor,
}

/// One load to measure.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Scenario {
    pub(crate) rooms: usize,
    pub(crate) listeners: usize,
    pub(crate) talkers: usize,
    pub(crate) pps: u32,
    pub(crate) phases: Phases,
    /// The gather window in milliseconds, if it does not adapt.
    pub(crate) gather: Option<u32>,
    /// The greatest ratio to the floor that is aimed at.
    pub(crate) aim: Option<f64>,
}

/// The loads of `--table`.
const TABLE: [Scenario; 6] = [
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
    pub(crate) fn participants(&self) -> usize {
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

impl Options {
    /// Every combination of the options.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        if self.table {
            return TABLE.to_vec();
        }
        let mut scenarios = Vec::new();
        for &rooms in &self.rooms {
            for &listeners in &self.listeners {
                for &talkers in &self.talkers {
                    scenarios.extend(self.pps.iter().map(|&pps| Scenario {
                        rooms,
                        listeners,
                        talkers,
                        pps: pps.max(1),
                        phases: self.phases,
                        gather: self.gather,
                        aim: None,
                    }));
                }
            }
        }
        scenarios
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs.unwrap_or(if self.table { 5 } else { 1 })
    }

    pub(crate) fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.table { 5 } else { 10 })
    }
}
