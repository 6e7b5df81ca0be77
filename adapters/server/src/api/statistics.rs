//! Statistics of sessions: how well their participants were connected, step by step.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use parlour_tokio::core::server::ParticipantStatistics;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::caller::{Caller, Read};
use super::extract::{Path, Query};
use super::list::{List, Order, page_request};
use super::problem::{Kind, Problem, Problems, kind};
use crate::statistics::{millionths, mos};
use crate::store::{SampleFilter, SampleRow};
use crate::time::Timestamp;

/// The steps of a list of statistics, in seconds.
const STEPS: std::ops::RangeInclusive<u64> = 10..=3_600;

/// How well a participant is connected, as the server sees it.
///
/// `quality` is the rating of the E-model (ITU-T G.107), from loss, round trip and jitter, stretched so that the best possible
/// rating is 100. `mos` is the mean opinion score of that rating (G.107, Annex B).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// Packets of its streams that got lost on their way to the server: 0 is none, 1 all.
    uplink_loss: f64,
    /// The same on their way to it.
    downlink_loss: f64,
    /// Variation of the transit time of its streams, the worst of them.
    jitter_ms: i64,
    /// Round trip between it and the server, if it was measured.
    #[schema(required)]
    round_trip_ms: Option<i64>,
    /// From 0 (unusable) to 100 (as good as can be).
    quality: i64,
    /// From 1 (bad) to 4.4 (as good as can be).
    mos: f64,
    /// Bytes of its datagrams.
    bytes_received: i64,
    /// Bytes of the datagrams to it.
    bytes_sent: i64,
}

/// A share, in parts of a thousand: more digits mean nothing.
fn share(millionths: i64) -> f64 {
    (millionths as f64 / 1_000.0).round() / 1_000.0
}

fn ms(micros: i64) -> i64 {
    (micros + 500) / 1_000
}

fn score(quality: i64) -> f64 {
    (mos(quality) * 100.0).round() / 100.0
}

impl From<ParticipantStatistics> for Figures {
    fn from(now: ParticipantStatistics) -> Self {
        let micros = |time: Duration| time.as_micros() as i64;
        let quality = i64::from(now.quality);
        Self {
            uplink_loss: share(millionths(now.uplink_loss)),
            downlink_loss: share(millionths(now.downlink_loss)),
            jitter_ms: ms(micros(now.jitter)),
            round_trip_ms: now.round_trip.map(|time| ms(micros(time))),
            quality,
            mos: score(quality),
            bytes_received: now.bytes_received as i64,
            bytes_sent: now.bytes_sent as i64,
        }
    }
}

/// How well a participant was connected in one step: means over the step, and sums of bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Statistics {
    /// The beginning of the step.
    at: Timestamp,
    participant: String,
    /// `udp`, or `stream` if its packets went by TCP, or were carried, in any part of the step.
    path: String,
    #[serde(flatten)]
    figures: Figures,
    /// The lowest quality of all samples in the step.
    worst_quality: i64,
}

impl From<SampleRow> for Statistics {
    fn from(row: SampleRow) -> Self {
        Self {
            at: row.at,
            participant: row.participant,
            path: row.path,
            figures: Figures {
                uplink_loss: share(row.uplink_loss),
                downlink_loss: share(row.downlink_loss),
                jitter_ms: ms(row.jitter_us),
                round_trip_ms: row.round_trip_us.map(ms),
                quality: row.quality,
                mos: score(row.quality),
                bytes_received: row.bytes_received,
                bytes_sent: row.bytes_sent,
            },
            worst_quality: row.worst_quality,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatisticsQuery {
    /// From when on; without it, from the begin of the session.
    from: Option<Timestamp>,
    /// Before when; without it, up to now.
    to: Option<Timestamp>,
    /// Seconds that one entry tells of, 10 to 3600; 10 without it. There are samples every 10 s, and of what is older than a
    /// day every 60 s. Steps are counted from the full hour.
    #[param(minimum = 10, maximum = 3600)]
    step_s: Option<u64>,
    /// Statistics of these participants.
    #[serde(default)]
    participant: Vec<String>,
    /// Entries at most; 50, if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Which end comes first; the newest, if it is left out.
    order: Option<Order>,
}

/// Lists how well the participants of a session were connected
///
/// Entries are sorted by their time, then by participant. A participant that was there for less than 10 s may have none.
#[utoipa::path(get, path = "/v1/sessions/{session}/stats", tag = "sessions",
    operation_id = "list_session_statistics", security(("key" = ["read"])),
    params(("session" = String, Path), StatisticsQuery), responses(
    (status = OK, body = List<Statistics>),
    Problems<(kind::NotFound,)>,
))]
pub(super) async fn list(
    _: Caller<Read>,
    State(app): State<App>,
    Path(session): Path<String>,
    Query(query): Query<StatisticsQuery>,
) -> Result<Json<List<Statistics>>, Problem> {
    let page = page_request(
        query.limit,
        query.cursor.as_deref(),
        query.order,
        SampleFilter::SORT,
    )?;
    let step = query.step_s.unwrap_or(*STEPS.start());
    if !STEPS.contains(&step) {
        let detail = format!(
            "`step_s` is {step}; {} to {} is possible",
            STEPS.start(),
            STEPS.end()
        );
        return Err(Problem::new(Kind::UnknownParameter, detail));
    }
    let known = app.history().await.session(&session).await?;
    known.ok_or_else(|| Problem::not_found("session", &session))?;
    let filter = SampleFilter {
        session,
        participants: query.participant,
        from: query.from,
        to: query.to,
        step: Duration::from_secs(step),
    };
    let page = app.store().samples(&filter, &page).await?;
    Ok(Json(List::new(page, Statistics::from)))
}
