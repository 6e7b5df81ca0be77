//! The machine's other work during a measurement.

use std::time::Duration;

use parlour_tokio::core::time::Instant;
use serde::Serialize;

use super::kernel::{busy_time, cpu_time, load_average};
use super::network::Clock;

/// The part of one core that other programs may use during a run that is called quiet.
const QUIET: f64 = 0.05;

/// The work of other programs during a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Others {
    /// CPU time that they used, of one core.
    pub(super) cpu_share: f64,
    /// The kernel's load average, in which this program's own earlier runs count, too.
    pub(super) load_before: f64,
    pub(super) load_after: f64,
    /// Whether the other work was little enough for meaningful figures.
    pub(super) quiet: bool,
}

/// Counts what programs other than its own use from now on.
pub(super) struct Watch {
    own: Vec<u32>,
    began: Instant,
    busy: Duration,
    used: Duration,
    load: f64,
}

impl Watch {
    /// `own` are the processes that are measured, or measure.
    pub(super) fn start(own: Vec<u32>, clock: Clock) -> anyhow::Result<Self> {
        Ok(Self {
            busy: busy_time()?,
            used: used(&own)?,
            began: clock.now(),
            load: load_average()?,
            own,
        })
    }

    pub(super) fn end(&self, clock: Clock) -> anyhow::Result<Others> {
        let took = clock.now().saturating_duration_since(self.began);
        let others = (busy_time()? - self.busy).saturating_sub(used(&self.own)? - self.used);
        let cpu_share = others.as_secs_f64() / took.as_secs_f64().max(1e-3);
        Ok(Others {
            cpu_share,
            load_before: self.load,
            load_after: load_average()?,
            quiet: cpu_share <= QUIET,
        })
    }
}

fn used(processes: &[u32]) -> anyhow::Result<Duration> {
    processes.iter().map(|pid| cpu_time(*pid)).sum()
}
