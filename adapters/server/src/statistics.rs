//! How well participants are connected: a sample of each of them every ten seconds, in the table `samples`.
//!
//! ```text
//! workers ◄── asked piece by piece ── Server::session_statistics ──► jobs ──► samples
//!                                                         each hour: those of the day before, one for each minute
//! ```
//!
//! Each worker answers for some hundred participants at a time, and nobody waits for the tables. If these cannot be written, the
//! samples of that time are missing.
//!
//! `quality` is the transmission rating of the E-model, [ITU-T G.107](https://www.itu.int/rec/T-REC-G.107), from loss, round trip
//! and jitter, in the simplification of Cole and Rosenbluth, *Voice over IP performance monitoring* (ACM SIGCOMM Computer
//! Communication Review 31(2), 2001), with their loss curve of a codec that conceals; the best possible rating, 93, is 100 here
//! ([`parlour_tokio::core::rtp::quality`]). [`mos`] is the mean opinion score of that rating by G.107, Annex B.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use parlour_tokio::core::server::ParticipantStatistics;
use parlour_tokio::{ParticipantId, SessionId, SessionStatistics};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::api::{App, Parts};
use crate::scribe::path;
use crate::store::{FINE, STEP, SampleRow, Store, StoreError};
use crate::time::Timestamp;

/// How often samples are thinned.
const THIN: Duration = Duration::from_secs(3_600);
/// Samples of so long a time are thinned in one transaction.
const PIECE: Duration = Duration::from_secs(600);
/// Samples written in one transaction.
const JOB: usize = 1_000;

/// The mean opinion score of a quality, from 1 (bad) to 4.4 (as good as can be): ITU-T G.107, Annex B.
pub fn mos(quality: i64) -> f64 {
    let rating = quality.clamp(0, 100) as f64 * 0.93;
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    // The curve dips below 1 near 0, where the recommendation has 1.
    score.max(1.0)
}

/// A share of 256 in millionths.
pub(crate) fn millionths(share: u8) -> i64 {
    i64::from(share) * 1_000_000 / 256
}

/// Takes samples and thins them. See the [module](self).
#[derive(Debug)]
pub(crate) struct Sampler {
    store: Store,
    rooms: Weak<Parts>,
    closing: watch::Receiver<bool>,
    /// The bytes that each participant had received and sent when the former sample was taken.
    totals: BTreeMap<(SessionId, ParticipantId), (u64, u64)>,
}

impl Sampler {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            store: app.store().clone(),
            rooms: app.downgrade(),
            closing: app.closing(),
            totals: BTreeMap::new(),
        }
    }

    /// Takes samples until the server ends.
    pub(crate) async fn run(mut self) {
        let mut thinned: Option<Instant> = None;
        let mut closing = self.closing.clone();
        loop {
            let now = Timestamp::now();
            let next = now.floor(STEP).after(STEP);
            tokio::select! {
                () = sleep(next.since(now)) => {}
                _ = closing.wait_for(|is_closing| *is_closing) => return,
            }
            // The time that is over now.
            let sampled = self.sample(Timestamp::now().floor(STEP).before(STEP)).await;
            if let Err(error) = sampled {
                tracing::warn!(%error, "the statistics of the last ten seconds are not written");
            }
            if thinned.is_none_or(|thinned| thinned.elapsed() >= THIN) {
                thinned = Some(Instant::now());
                let thin = thin(&self.store, Timestamp::now().before(FINE));
                tokio::select! {
                    done = thin => if let Err(error) = done {
                        tracing::warn!(%error, "older statistics are not thinned");
                    },
                    _ = closing.wait_for(|is_closing| *is_closing) => return,
                }
            }
        }
    }

    /// Takes a sample of each participant, for the time from `at` on.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn sample(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let Some(rooms) = self.rooms.upgrade() else {
            return Ok(());
        };
        let sessions = rooms.session_statistics().await;
        drop(rooms);
        let former = std::mem::take(&mut self.totals);
        let rows = sessions.iter();
        let mut rows: Vec<_> = rows
            .flat_map(|session| self.rows(session, &former, at))
            .collect();
        while !rows.is_empty() {
            let later = rows.split_off(rows.len().min(JOB));
            let written: Result<(), StoreError> = self
                .store
                .write(move |tx| Box::pin(async move { tx.put_samples(&rows).await }))
                .await;
            written?;
            rows = later;
        }
        Ok(())
    }

    fn rows(
        &mut self,
        session: &SessionStatistics,
        former: &BTreeMap<(SessionId, ParticipantId), (u64, u64)>,
        at: Timestamp,
    ) -> Vec<(String, SampleRow)> {
        let id = session.session.to_string();
        let row = |(participant, on, figures): &(ParticipantId, _, ParticipantStatistics)| {
            let key = (session.session, participant.clone());
            let (received, sent) = former.get(&key).copied().unwrap_or_default();
            // Who comes back anew begins to count anew.
            let grown = |now: u64, before| now.checked_sub(before).unwrap_or(now) as i64;
            let quality = i64::from(figures.quality);
            let totals = (figures.bytes_received, figures.bytes_sent);
            self.totals.insert(key, totals);
            let row = SampleRow {
                at,
                participant: participant.as_str().to_owned(),
                path: path(*on).to_owned(),
                weight: 1,
                uplink_loss: millionths(figures.uplink_loss),
                downlink_loss: millionths(figures.downlink_loss),
                jitter_us: figures.jitter.as_micros() as i64,
                round_trip_us: figures.round_trip.map(|time| time.as_micros() as i64),
                quality,
                worst_quality: quality,
                bytes_received: grown(totals.0, received),
                bytes_sent: grown(totals.1, sent),
            };
            (id.clone(), row)
        };
        session.participants.iter().map(row).collect()
    }
}

/// Thins the samples from the time up to which that was done until `until`.
///
/// # Errors
/// [`StoreError`]
async fn thin(store: &Store, until: Timestamp) -> Result<(), StoreError> {
    let until = until.floor(PIECE);
    // Before the first time, there were no samples that old.
    if let Some(from) = store.thinned_until().await? {
        for (session, started_at, ended_at) in store.sessions_since(from).await? {
            let mut piece = from.max(started_at).floor(PIECE);
            let end = ended_at.map_or(until, |ended_at| until.min(ended_at));
            while piece < end {
                let (session, next) = (session.clone(), piece.after(PIECE));
                let thinned: Result<(), StoreError> = store
                    .write(move |tx| {
                        Box::pin(async move { tx.thin_samples(&session, piece, next).await })
                    })
                    .await;
                thinned?;
                piece = next;
            }
        }
    }
    store
        .write(move |tx| Box::pin(async move { tx.note_thinned(until).await }))
        .await
}

#[cfg(test)]
mod tests;
