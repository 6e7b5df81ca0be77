//! Brings closed files to the store, and deletes what is to be gone: each until it is done, however often the store fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::archive::{Archive, ArchiveError, Stored};
use super::names;
use super::spool::Spool;
use crate::store::{RecordingRow, Store, StoreError};

/// Files on their way at a time.
const AT_ONCE: usize = 4;
/// How often the tables are asked although nobody has said that there is something.
const ROUND: Duration = Duration::from_secs(60);
/// The longest time between two tries.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Why a file is not where it should be, yet.
#[derive(Debug, Error)]
pub(super) enum KeepError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Tables(#[from] StoreError),
    #[error("the spool folder: {0}")]
    Spool(#[from] std::io::Error),
}

impl From<object_store::path::Error> for KeepError {
    fn from(error: object_store::path::Error) -> Self {
        Self::Archive(error.into())
    }
}

/// The time before each next try: doubled from a second to an hour.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_secs(1))
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = LONGEST.min(self.0.saturating_mul(2));
        Some(pause)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Keeper {
    store: Store,
    spool: Spool,
    archive: Archive,
    /// One manifest is written at a time, so that each has what the one before it had.
    manifests: Mutex<()>,
    places: Semaphore,
}

impl Keeper {
    pub(super) fn new(store: Store, spool: Spool, archive: Archive) -> Self {
        Self {
            store,
            spool,
            archive,
            manifests: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// Settles recordings until the server closes. `wake` says that there may be some.
    pub(super) async fn run(self, wake: Arc<Notify>, mut closing: watch::Receiver<bool>) {
        let keeper = Arc::new(self);
        let mut tasks = JoinSet::new();
        let mut going: BTreeMap<String, Arc<Notify>> = BTreeMap::new();
        loop {
            match keeper.store.unsettled_recordings().await {
                Ok(unsettled) => {
                    for (id, is_deleted) in unsettled {
                        if let Some(again) = going.get(&id) {
                            // It may wait for a store that it need not wait for any more.
                            if is_deleted {
                                again.notify_one();
                            }
                            continue;
                        }
                        let again = Arc::new(Notify::new());
                        going.insert(id.clone(), Arc::clone(&again));
                        tasks.spawn(Arc::clone(&keeper).settle(id, again));
                    }
                }
                Err(error) => tracing::warn!(%error, "recordings are not looked for"),
            }
            let mut round = std::pin::pin!(sleep(ROUND));
            loop {
                tokio::select! {
                    Some(done) = tasks.join_next() => {
                        if let Ok(id) = done {
                            going.remove(&id);
                        }
                    }
                    () = wake.notified() => break,
                    () = &mut round => break,
                    _ = closing.wait_for(|is_closing| *is_closing) => return,
                }
            }
        }
    }

    /// Tries until a recording is settled; gives its id back.
    async fn settle(self: Arc<Self>, id: String, again: Arc<Notify>) -> String {
        let mut backoff = Backoff::default();
        loop {
            let place = self.places.acquire().await;
            let tried = self.try_to_settle(&id).await;
            drop(place);
            match tried {
                Ok(()) => return id,
                Err(error) => {
                    tracing::warn!(recording = id, %error, "a recording is not stored; trying again");
                }
            }
            tokio::select! {
                () = sleep(backoff.next().unwrap_or(LONGEST)) => {}
                () = again.notified() => {}
            }
        }
    }

    pub(super) async fn try_to_settle(&self, id: &str) -> Result<(), KeepError> {
        while let Some(row) = self.store.recording(id).await? {
            if row.deleted_at.is_some() {
                self.delete(&row).await?;
            } else if row.is_spooled && !row.is_active() {
                self.keep(&row).await?;
            } else {
                break;
            }
        }
        Ok(())
    }

    async fn keep(&self, row: &RecordingRow) -> Result<(), KeepError> {
        let from = self.spool.media(&row.id, &row.codec);
        let id = row.id.clone();
        let Some(sidecar) = self.spool.read(&row.id)?.filter(|_| from.exists()) else {
            let lost = self.store.write(move |tx| {
                Box::pin(async move { tx.lose_recording(&id, "file-missing").await })
            });
            return Ok(lost.await?);
        };
        let stored = self.archive.put_file(&names::path(row)?, &from).await?;
        let mut about = serde_json::to_value(sidecar).unwrap_or_default();
        about["sha256"] = json!(stored.sha256);
        let about = serde_json::to_vec_pretty(&about).unwrap_or_default();
        self.archive.put(&names::sidecar(row)?, about).await?;
        let _in_turn = self.manifests.lock().await;
        self.write_manifest(row, Some(&stored)).await?;
        let size = i64::try_from(stored.size).unwrap_or(i64::MAX);
        let written = self.store.write(move |tx| {
            Box::pin(async move { tx.store_recording(&id, size, &stored.sha256).await })
        });
        // Otherwise it was deleted meanwhile, and its file with that.
        if written.await? {
            self.spool.remove(&row.id, &row.codec)?;
        }
        Ok(())
    }

    async fn delete(&self, row: &RecordingRow) -> Result<(), KeepError> {
        self.archive.delete(&names::path(row)?).await?;
        self.archive.delete(&names::sidecar(row)?).await?;
        let in_turn = self.manifests.lock().await;
        self.write_manifest(row, None).await?;
        drop(in_turn);
        self.spool.remove(&row.id, &row.codec)?;
        let id = row.id.clone();
        let forgotten = self
            .store
            .write(move |tx| Box::pin(async move { tx.forget_recording(&id).await }));
        Ok(forgotten.await?)
    }

    /// Writes the list of the files that the store has of a session; with one more that it has, too.
    async fn write_manifest(
        &self,
        of: &RecordingRow,
        more: Option<&Stored>,
    ) -> Result<(), KeepError> {
        let mut rows = self.store.session_recordings(&of.session).await?;
        if let (Some(stored), Some(row)) = (more, rows.iter_mut().find(|row| row.id == of.id)) {
            row.is_stored = true;
            row.sha256 = Some(stored.sha256.clone());
        }
        rows.retain(|row| row.is_stored);
        let path = names::manifest(of)?;
        if rows.is_empty() {
            return Ok(self.archive.delete(&path).await?);
        }
        let session = self.store.session(&of.session).await?;
        let first = rows.iter().map(|row| row.started_at).min();
        let began = session.map(|session| session.started_at).or(first);
        let began = began.unwrap_or(of.started_at);
        let files: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({
                    "id": row.id,
                    "participant": row.participant,
                    "stream": row.stream,
                    "kind": row.kind,
                    "codec": row.codec,
                    "file": names::file_name(row),
                    "from_ms": row.started_at.as_millis() - began.as_millis(),
                    "duration_ms": row.duration_ms,
                    "size": row.size,
                    "sha256": row.sha256,
                    "error": row.error,
                })
            })
            .collect();
        let manifest = json!({
            "room": of.room,
            "session": of.session,
            "started_at": began,
            "recordings": files,
        });
        let manifest = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        Ok(self.archive.put(&path, manifest).await?)
    }
}
