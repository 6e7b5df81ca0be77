//! How the writer fares, for those who watch it.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;

/// The bounds of durations, in seconds.
const BOUNDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// What the writer counts. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    /// From the request of a write to its commit.
    writes: Histogram,
    /// How many they were, and how long they took together, in microseconds.
    written: Counter,
    write_us: Counter,
    transactions: Histogram,
    failures: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            writes: Histogram::new(BOUNDS),
            written: Counter::default(),
            write_us: Counter::default(),
            transactions: Histogram::new(BOUNDS),
            failures: Counter::default(),
        }
    }
}

impl Counters {
    pub(super) fn wrote(&self, took: Duration) {
        self.writes.observe(took.as_secs_f64());
        self.written.inc();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.write_us.inc_by(micros);
    }

    pub(super) fn transacted(&self, took: Duration, is_done: bool) {
        if is_done {
            self.transactions.observe(took.as_secs_f64());
        } else {
            self.failures.inc();
        }
    }
}

/// How the writer fares now.
#[derive(Debug)]
pub struct Figures {
    pub(super) counters: Counters,
    pub(super) queued: usize,
}

impl Figures {
    /// Writes that wait for their turn.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Transactions that failed since the start.
    pub fn failures(&self) -> u64 {
        self.counters.failures.get()
    }

    /// Writes that were committed since the start.
    pub fn writes(&self) -> u64 {
        self.counters.written.get()
    }

    /// The time from the request of a write to its commit, all writes together.
    pub fn write_time(&self) -> Duration {
        Duration::from_micros(self.counters.write_us.get())
    }

    /// Writes them for Prometheus.
    ///
    /// # Errors
    /// Those of the encoder.
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let queued = ConstGauge::new(i64::try_from(self.queued).unwrap_or(i64::MAX));
        let metrics: [(&str, &str, &dyn EncodeMetric); 4] = [
            (
                "store_write_duration_seconds",
                "Time from the request of a write to its commit",
                &self.counters.writes,
            ),
            (
                "store_transaction_duration_seconds",
                "Time of a transaction, which does the work of many writes",
                &self.counters.transactions,
            ),
            (
                "store_transactions_failed",
                "Transactions that failed",
                &self.counters.failures,
            ),
            (
                "store_queue_writes",
                "Writes that wait for their turn",
                &queued,
            ),
        ];
        for (name, help, metric) in metrics {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}
