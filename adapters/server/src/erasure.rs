//! Erases participants from history, one erasure after the other. One that waits until the store has deleted its files does not
//! hold up the others: a store may be away for long.
//!
//! What has to be done stands in the tables until it is done, and each step may be done again: a server that was killed goes on
//! with it at its next start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::seal::Sealer;
use crate::store::{AuditFilter, ErasureRow, Order, PageRequest, Store, StoreError};

/// How long to wait before an erasure is tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// How long to wait at first before it is looked whether files are gone; doubled up to [`PAUSE`].
const LOOK: Duration = Duration::from_millis(200);
/// Entries of the audit log that one batch changes.
const ENTRIES: u32 = 200;

/// Finishes erasures as they begin, until the server closes. `wake` has files go whose rows are to be gone.
pub(crate) async fn run(
    store: Store,
    sealer: Arc<Sealer>,
    begun: Arc<Notify>,
    wake: impl Fn(),
    mut closing: watch::Receiver<bool>,
) {
    tokio::select! {
        () = finish_each(&store, &sealer, &begun, &wake) => {}
        _ = closing.wait_for(|is_closing| *is_closing) => {}
    }
}

async fn finish_each(store: &Store, sealer: &Sealer, begun: &Notify, wake: &impl Fn()) {
    loop {
        match finish_all(store, sealer, begun, wake).await {
            Ok(()) => begun.notified().await,
            Err(error) => {
                tracing::error!(%error, "an erasure is not finished; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Finishes the erasures that have begun, and those that begin meanwhile.
async fn finish_all(
    store: &Store,
    sealer: &Sealer,
    begun: &Notify,
    wake: &impl Fn(),
) -> Result<(), StoreError> {
    // Those that wait for nothing but files.
    let mut erased = BTreeSet::new();
    let mut pause = LOOK;
    loop {
        let mut waits = false;
        for erasure in store.unfinished_erasures().await? {
            // One without a participant has nothing left but to be finished.
            if let Some(participant) = &erasure.participant {
                let erasing = Erasing {
                    store,
                    erasure: &erasure,
                    participant,
                };
                if erased.insert(erasure.id.clone()) {
                    erasing.events().await?;
                    erasing.sessions().await?;
                    erasing.audit().await?;
                    erasing.answers(sealer).await?;
                }
                if !erasing.files().await? {
                    wake();
                    waits = true;
                    continue;
                }
            }
            let id = erasure.id.clone();
            let finished: Result<(), StoreError> = store
                .write(|tx| Box::pin(async move { tx.finish_erasure(&id).await }))
                .await;
            finished?;
            tracing::info!(erasure = erasure.id, "a participant was erased");
        }
        if !waits {
            return Ok(());
        }
        tokio::select! {
            () = sleep(pause) => pause = PAUSE.min(pause * 2),
            () = begun.notified() => {}
        }
    }
}

struct Erasing<'a> {
    store: &'a Store,
    erasure: &'a ErasureRow,
    participant: &'a str,
}

impl Erasing<'_> {
    fn parts(&self) -> (ErasureRow, String) {
        (self.erasure.clone(), self.participant.to_owned())
    }

    async fn events(&self) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let (erasure, participant) = self.parts();
            let batch = self.store.write(move |tx| {
                Box::pin(async move { tx.erase_events(&erasure, &participant, after).await })
            });
            match batch.await? {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn sessions(&self) -> Result<(), StoreError> {
        loop {
            let (erasure, participant) = self.parts();
            let batch = self.store.write(move |tx| {
                Box::pin(async move { tx.erase_sessions(&erasure, &participant).await })
            });
            let may_be_more: Result<bool, StoreError> = batch.await;
            if !may_be_more? {
                return Ok(());
            }
        }
    }

    async fn audit(&self) -> Result<(), StoreError> {
        let filter = AuditFilter {
            participants: vec![self.participant.to_owned()],
            ..AuditFilter::default()
        };
        let mut page = PageRequest {
            after: None,
            limit: ENTRIES,
            order: Order::Asc,
        };
        loop {
            let entries = self.store.audit(&filter, &page).await?;
            let (erasure, participant) = self.parts();
            let batch = self.store.write(move |tx| {
                Box::pin(async move {
                    tx.erase_audit(&erasure, &participant, &entries.data)
                        .await?;
                    Ok::<_, StoreError>(entries.next)
                })
            });
            page.after = batch.await?;
            if page.after.is_none() {
                return Ok(());
            }
        }
    }

    /// Deletes recordings, and compositions with them; says whether their files are gone, too.
    async fn files(&self) -> Result<bool, StoreError> {
        let (erasure, participant) = self.parts();
        let left = self.store.write(move |tx| {
            Box::pin(async move {
                let recordings = tx.erase_recordings(&erasure, &participant).await?;
                let compositions = tx.erase_compositions(&erasure, &participant).await?;
                Ok(recordings + compositions)
            })
        });
        let left: Result<usize, StoreError> = left.await;
        Ok(left? == 0)
    }

    /// Forgets answers that are kept for their `Idempotency-Key` and name the participant.
    async fn answers(&self, sealer: &Sealer) -> Result<(), StoreError> {
        let (mut caller, mut key) = (String::new(), String::new());
        // As it stands in JSON.
        let id = serde_json::Value::from(self.participant).to_string();
        loop {
            let mut answers = self.store.answers(&caller, &key).await?;
            let Some(last) = answers.last() else {
                return Ok(());
            };
            (caller, key) = (last.caller.clone(), last.key.clone());
            answers.retain(|answered| {
                let answer = answered.open(sealer);
                // One that does not open cannot be given again either.
                answer.map_or(true, |answer| answer.contains(&id))
                    || answered
                        .path
                        .split('/')
                        .any(|part| part == self.participant)
            });
            let forgotten: Result<(), StoreError> = self
                .store
                .write(|tx| {
                    Box::pin(async move {
                        for answered in &answers {
                            tx.delete_answered(answered).await?;
                        }
                        Ok(())
                    })
                })
                .await;
            forgotten?;
        }
    }
}
