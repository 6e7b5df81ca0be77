//! What is read when somebody asks: the workers, their sockets, and the tables.

use std::fmt;
use std::sync::Weak;

use parlour_tokio::WorkerLoad;
use parlour_tokio::core::server::{Dropped, Statistics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;

use crate::api::Parts;
use crate::http::Certificates;
use crate::scribe::snake;
use crate::time::Timestamp;

/// Where the figures are read, as long as the rooms are open.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) parts: Weak<Parts>,
    pub(crate) certificates: Option<Certificates>,
    /// When the process began.
    pub(crate) started_at: Timestamp,
}

impl Source {
    /// How many sessions go on, and the number of each worker's newest event that is counted in; `None` if the rooms are gone.
    pub(super) async fn sessions(&self) -> Option<(i64, Vec<u64>)> {
        let parts = self.parts.upgrade()?;
        let snapshot = parts.snapshot().await;
        let sessions = snapshot.rooms.iter().filter(|room| room.session.is_some());
        let sessions = i64::try_from(sessions.count()).unwrap_or(i64::MAX);
        Some((sessions, snapshot.sequences))
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Live(pub(super) Source);

/// Where a number is.
type Count<T> = fn(&T) -> u64;

/// Counters of a worker: their names, what they count, and where they are.
type Counters<T> = [(&'static str, &'static str, Count<T>)];

const COUNTERS: &Counters<Statistics> = &[
    ("datagrams_received", "Datagrams from participants", |s| {
        s.datagrams_received
    }),
    (
        "received_bytes",
        "Bytes in datagrams from participants",
        |s| s.bytes_received,
    ),
    ("datagrams_sent", "Datagrams to participants", |s| {
        s.datagrams_sent
    }),
    ("sent_bytes", "Bytes in datagrams to participants", |s| {
        s.bytes_sent
    }),
    (
        "joins",
        "Joins that took effect and were no resumption",
        |s| s.joins,
    ),
    ("resumes", "Joins that took up an earlier connection", |s| {
        s.resumes
    }),
    ("joins_refused", "Joins refused", |s| s.joins_refused),
    ("handshakes", "Handshakes computed for joins", |s| {
        s.handshakes
    }),
    (
        "handshake_retries",
        "Joins told to come back with a cookie, as many came at once",
        |s| s.retries,
    ),
    (
        "resets",
        "Packets of unknown connections that were answered so",
        |s| s.resets,
    ),
    ("roams", "Connections that moved to another address", |s| {
        s.roams
    }),
    (
        "media_packets_received",
        "Packets of media from publishers",
        |s| s.media_received,
    ),
    (
        "media_packets_forwarded",
        "Packets of media queued for receivers",
        |s| s.media_forwarded,
    ),
    (
        "media_packets_repaired",
        "Packets of video queued once more for a receiver that had lost them",
        |s| s.media_repaired,
    ),
    (
        "messages_dropped",
        "Messages that a receiver did not get, as its queue was full",
        |s| s.messages_overflowed,
    ),
];

/// Why media does not go on.
const MEDIA_DROPS: [(&str, Count<Statistics>); 5] = [
    ("rejected", |s| {
        s.media_rejected.saturating_sub(s.media_limited)
    }),
    ("limited", |s| s.media_limited),
    ("outranked", |s| s.media_outranked),
    ("overflowed", |s| s.media_overflowed),
    ("late", |s| s.media_late),
];

/// Gauges of a worker.
const GAUGES: &Counters<WorkerLoad> = &[
    (
        "rooms",
        "Rooms with a session, a lobby or a join under way",
        |l| l.rooms as u64,
    ),
    (
        "participants",
        "Participants in a session, waiting or leaving",
        |l| l.participants as u64,
    ),
    ("connections", "TCP connections of participants", |l| {
        l.connections as u64
    }),
    (
        "socket_receive_buffer_bytes",
        "Room for datagrams that the worker has not taken yet",
        |l| l.socket.receive_buffer as u64,
    ),
    (
        "socket_send_buffer_bytes",
        "Room for datagrams to be sent",
        |l| l.socket.send_buffer as u64,
    ),
];

/// The values of one figure, each with its labels.
fn family<L: EncodeLabelSet, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    kind: MetricType,
    values: impl Iterator<Item = (L, M)>,
) -> fmt::Result {
    let mut encoder = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in values {
        value.encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

/// One value.
fn single(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl EncodeMetric,
) -> fmt::Result {
    value.encode(encoder.encode_descriptor(name, help, None, value.metric_type())?)
}

fn gauge(value: impl TryInto<i64>) -> ConstGauge<i64> {
    ConstGauge::new(value.try_into().unwrap_or(i64::MAX))
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        single(encoder, "build", "This program", &version)?;
        let started = gauge(self.0.started_at.as_millis() / 1_000);
        let help = "When the server began, in seconds since 1970";
        single(encoder, "start_time_seconds", help, &started)?;
        if let Some(expires_at) = self
            .0
            .certificates
            .as_ref()
            .and_then(Certificates::expires_at)
        {
            let expires = gauge(expires_at.as_millis() / 1_000);
            let help = "When the certificate of the API expires, in seconds since 1970";
            single(
                encoder,
                "tls_certificate_expiry_time_seconds",
                help,
                &expires,
            )?;
        }
        let Some(parts) = self.0.parts.upgrade() else {
            return Ok(());
        };
        let draining = gauge(i64::from(parts.is_draining()));
        single(encoder, "draining", "1 if no session may begin", &draining)?;
        let seq = gauge(*parts.store().committed().borrow());
        single(
            encoder,
            "journal_seq",
            "The number of the newest event",
            &seq,
        )?;
        parts.store().figures().encode(encoder)?;
        workers(encoder, &parts.load())
    }
}

fn workers(encoder: &mut DescriptorEncoder<'_>, loads: &[WorkerLoad]) -> fmt::Result {
    let each = || {
        let labeled = |(worker, load)| ([("worker", worker)], load);
        loads.iter().enumerate().map(labeled)
    };
    for &(name, help, value) in GAUGES {
        let values = each().map(|(labels, load)| (labels, gauge(value(load))));
        family(encoder, (name, help), MetricType::Gauge, values)?;
    }
    let busy = each().map(|(labels, load)| {
        let busy = f64::from(load.busy) / 100.0;
        (labels, ConstGauge::new(busy))
    });
    let about = (
        "worker_busy_ratio",
        "The share of the time in which a worker had something to do; above 0.8 it sends late now and then",
    );
    family(encoder, about, MetricType::Gauge, busy)?;
    for &(name, help, value) in COUNTERS {
        let values =
            each().map(|(labels, load)| (labels, ConstCounter::new(value(&load.statistics))));
        family(encoder, (name, help), MetricType::Counter, values)?;
    }
    let missed = each().map(|(labels, load)| (labels, ConstCounter::new(load.events_missed)));
    let about = (
        "worker_events_missed",
        "Events that a worker had no room for",
    );
    family(encoder, about, MetricType::Counter, missed)?;
    let drops = each().filter_map(|(labels, load)| {
        let drops = load.socket.receive_drops?;
        Some((labels, ConstCounter::new(drops)))
    });
    let about = (
        "socket_receive_drops",
        "Datagrams that came when the socket's buffer was full",
    );
    family(encoder, about, MetricType::Counter, drops)?;
    let by_reason = |worker, reason: String, count| {
        let labels = [("worker", format!("{worker}")), ("reason", reason)];
        (labels, ConstCounter::new(count))
    };
    let media = loads.iter().enumerate().flat_map(|(worker, load)| {
        let drops = MEDIA_DROPS.iter();
        drops.map(move |(reason, count)| {
            by_reason(worker, (*reason).to_owned(), count(&load.statistics))
        })
    });
    let about = (
        "media_packets_dropped",
        "Packets of media that were not taken, or that a receiver did not get, by reason",
    );
    family(encoder, about, MetricType::Counter, media)?;
    let datagrams = loads.iter().enumerate().flat_map(|(worker, load)| {
        let drops = Dropped::ALL.iter();
        drops.map(move |reason| by_reason(worker, snake(reason), load.statistics.dropped(*reason)))
    });
    let about = (
        "datagrams_dropped",
        "Datagrams that were not taken, by reason",
    );
    family(encoder, about, MetricType::Counter, datagrams)
}
