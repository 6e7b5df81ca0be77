//! Deletes history whose time is over.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::Retention;
use crate::store::{Store, StoreError, Tx};
use crate::time::Timestamp;

const EVERY: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Sweeps now and then each hour, until the server closes. `wake` has files go whose rows are to be gone.
pub(crate) async fn hourly(
    store: Store,
    retention: Retention,
    wake: impl Fn(),
    mut closing: watch::Receiver<bool>,
) {
    let mut hours = interval(EVERY);
    hours.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = hours.tick() => {}
            _ = closing.wait_for(|is_closing| *is_closing) => return,
        }
        let swept = tokio::select! {
            swept = sweep(&store, &retention, Timestamp::now()) => swept,
            _ = closing.wait_for(|is_closing| *is_closing) => return,
        };
        match swept {
            Ok(0) => {}
            Ok(rows) => {
                tracing::info!(rows, "history whose time is over was deleted");
                // Files go after their rows.
                wake();
            }
            Err(error) => tracing::warn!(%error, "history is not swept; trying again in an hour"),
        }
    }
}

/// A part of history.
#[derive(Debug, Clone, Copy)]
enum Part {
    Events,
    Sessions,
    Audit,
    Recordings,
    Compositions,
}

/// Deletes what is too old at that time; says how many rows.
pub(crate) async fn sweep(
    store: &Store,
    retention: &Retention,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut swept = 0;
    for (part, days) in [
        (Part::Events, retention.events_days),
        (Part::Sessions, retention.sessions_days),
        (Part::Audit, retention.audit_days),
        // Each has its own end.
        (Part::Recordings, 1),
        (Part::Compositions, 1),
    ] {
        if days == 0 {
            continue;
        }
        let before = match part {
            Part::Recordings | Part::Compositions => now,
            _ => now.before(DAY.saturating_mul(days)),
        };
        loop {
            // Each batch is a job of its own: others get their turn in between.
            let batch = store.write(move |tx| Box::pin(part.sweep(tx, before)));
            match batch.await? {
                0 => break,
                rows => swept += rows,
            }
        }
    }
    Ok(swept)
}

impl Part {
    async fn sweep(self, tx: &mut Tx, before: Timestamp) -> Result<u64, StoreError> {
        match self {
            Self::Events => tx.sweep_events(before).await,
            Self::Sessions => tx.sweep_sessions(before).await,
            Self::Audit => tx.sweep_audit(before).await,
            Self::Recordings => tx.sweep_recordings(before).await,
            Self::Compositions => tx.sweep_compositions(before).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{
        AuditFilter, AuditRow, EventFilter, NewEvent, Order, PageRequest, ParticipantFilter,
        ParticipantRow, SessionFilter, tests::all,
    };
    use crate::time::Moment;

    const PAGE: PageRequest = PageRequest {
        after: None,
        limit: 200,
        order: Order::Asc,
    };

    fn day(n: i64) -> Timestamp {
        Timestamp::from_millis(n * 24 * 3_600_000)
    }

    /// A session of as many participants, from one day to another.
    async fn session(
        store: &Store,
        id: &'static str,
        participants: i64,
        from: i64,
        to: Option<i64>,
    ) {
        let written: Result<(), StoreError> = store
            .write(move |tx| {
                Box::pin(async move {
                    let began = Moment {
                        at: day(from),
                        up: None,
                    };
                    tx.begin_session(id, "a", began).await?;
                    for n in 0..participants {
                        let row = ParticipantRow {
                            session: id.to_owned(),
                            participant: format!("p{n}"),
                            room: "a".to_owned(),
                            name: String::new(),
                            state: "connected".to_owned(),
                            grants: Vec::new(),
                            censored: false,
                            attributes: [].into(),
                            path: "udp".to_owned(),
                            joined_at: day(from),
                            left_at: None,
                        };
                        tx.begin_stay(&row, None).await?;
                        let told = NewEvent {
                            kind: "participant.joined",
                            at: day(from),
                            room: Some("a".to_owned()),
                            session: Some(id.to_owned()),
                            participant: Some(row.participant.clone()),
                            data: json!({}),
                        };
                        tx.tell(told).await?;
                        if let Some(to) = to {
                            tx.end_stay(id, &row.participant, day(to), "left").await?;
                        }
                    }
                    if let Some(to) = to {
                        tx.end_session(id, day(to), "left").await?;
                    }
                    Ok(())
                })
            })
            .await;
        written.unwrap();
    }

    async fn audited(store: &Store, at: i64) {
        let row = AuditRow {
            id: format!("aud_{at}"),
            at: day(at),
            actor: "first".to_owned(),
            action: "POST /v1/rooms".to_owned(),
            target: "/v1/rooms/a".to_owned(),
            participant: None,
            request_id: "r".to_owned(),
            result: "done".to_owned(),
            count: 1,
        };
        let written: Result<(), StoreError> = store
            .write(|tx| Box::pin(async move { tx.put_audit(&row).await }))
            .await;
        written.unwrap();
    }

    #[tokio::test]
    async fn history_goes_when_its_time_is_over_and_not_before() {
        for fixture in all().await {
            let store = &fixture.store;
            // More than one batch of everything.
            session(store, "big", 1_200, 1, Some(2)).await;
            session(store, "open", 3, 1, None).await;
            session(store, "new", 3, 50, Some(51)).await;
            for at in [1, 99] {
                audited(store, at).await;
            }
            let retention = Retention {
                events_days: 30,
                sessions_days: 60,
                audit_days: 0,
                ..Retention::default()
            };
            let events = async || {
                let events = store.events(&EventFilter::default(), &PAGE).await.unwrap();
                let events = events.data.into_iter();
                events.map(|event| event.seq).collect::<Vec<_>>()
            };
            let sessions = async || {
                let found = store.sessions(&SessionFilter::default(), &PAGE).await;
                let found = found.unwrap().data.into_iter();
                found.map(|session| session.id).collect::<Vec<_>>()
            };
            assert_eq!(sweep(store, &retention, day(31)).await.unwrap(), 0);
            // A millisecond later the first day is too old for events.
            let later = Timestamp::from_millis(day(31).as_millis() + 1);
            assert_eq!(sweep(store, &retention, later).await.unwrap(), 1_203);
            assert_eq!(events().await, [1_204, 1_205, 1_206]);
            assert_eq!(sessions().await, ["big", "open", "new"]);

            // The newest event stays, whatever its age, and so does a session that goes on.
            sweep(store, &retention, day(100)).await.unwrap();
            assert_eq!(events().await, [1_206]);
            assert_eq!(sessions().await, ["open", "new"]);
            let filter = ParticipantFilter::default();
            let left = store.participants(&filter, &PAGE).await.unwrap();
            assert_eq!(left.data.len(), 6);
            let filter = AuditFilter::default();
            assert_eq!(store.audit(&filter, &PAGE).await.unwrap().data.len(), 2);

            let retention = Retention {
                events_days: 0,
                sessions_days: 0,
                audit_days: 50,
                ..Retention::default()
            };
            assert_eq!(sweep(store, &retention, day(1_000)).await.unwrap(), 2);
            assert_eq!(sessions().await, ["open", "new"]);
            // Numbers are never given out twice.
            session(store, "next", 1, 100, None).await;
            assert_eq!(events().await, [1_206, 1_207]);
        }
    }
}
