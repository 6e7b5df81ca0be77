//! What a former process has left in the spool folder: files that are cut off anywhere become whole ones.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use parlour_files::recording::repair;
use serde_json::json;

use super::spool::{Closed, Sidecar, Spool};
use crate::store::{Store, StoreError, Tx};

/// The error of recordings whose file cannot be repaired.
const DAMAGED: &str = "damaged";
/// The error of recordings whose file is not there.
const MISSING: &str = "file-missing";

/// What was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// Files that were closed before, or are now.
    closed: Vec<Sidecar>,
    /// Those whose file the process has lost.
    lost: Vec<String>,
    /// How many were open.
    pub(crate) repaired: usize,
}

/// Repairs what lies in the spool folder.
pub(crate) async fn find(store: &Store, spool: &Spool) -> Result<Found, StoreError> {
    let mut active: BTreeSet<String> = store.active_recordings().await?.into_iter().collect();
    let mut found = Found::default();
    let ids = match spool.list() {
        Ok(ids) => ids,
        Err(error) => {
            tracing::error!(%error, "the spool folder cannot be read: what is in it waits for the next start");
            return Ok(found);
        }
    };
    for id in ids {
        let row = store.recording(&id).await?;
        let about = match spool.read(&id) {
            Ok(Some(about)) => about,
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(recording = id, %error, "what is known of a recording cannot be read; it is left as it is");
                active.remove(&id);
                continue;
            }
        };
        // The store had it, and the process died before it was removed here.
        if row.as_ref().is_some_and(|row| row.is_stored) {
            if let Err(error) = spool.remove(&id, &about.codec) {
                tracing::warn!(recording = id, %error, "a stored file stays in the spool folder");
            }
            continue;
        }
        active.remove(&id);
        if about.closed.is_some() {
            found.closed.push(about);
            continue;
        }
        let path = spool.media(&id, &about.codec);
        if !path.exists() {
            if row.is_some() {
                found.lost.push(id);
            } else if let Err(error) = spool.remove(&id, &about.codec) {
                tracing::warn!(recording = id, %error, "a file without a recording stays in the spool folder");
            }
            continue;
        }
        found.repaired += 1;
        found.closed.push(mend(spool, about).await);
    }
    found.lost.extend(active);
    Ok(found)
}

/// Repairs a file, and notes that it is closed.
async fn mend(spool: &Spool, about: Sidecar) -> Sidecar {
    let (spool, former) = (spool.clone(), about.clone());
    let mended = tokio::task::spawn_blocking(move || {
        let mut about = former;
        let path = spool.media(&about.id, &about.codec);
        about.closed = Some(repaired(&about, &path, None));
        if let Err(error) = spool.write(&about) {
            tracing::error!(recording = about.id, %error, "what is known of a recording cannot be written");
        }
        about
    });
    mended.await.unwrap_or(about)
}

/// What is there of a file that nobody has finished, cut so that it can be read.
pub(super) fn repaired(about: &Sidecar, path: &Path, error: Option<&str>) -> Closed {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let (duration, size, damage) = match opened {
        Ok(mut file) => match repair(&mut file) {
            Ok(repaired) => (repaired.duration, repaired.size, None),
            Err(error) => {
                tracing::error!(recording = about.id, %error, "a recording cannot be repaired");
                let size = file.metadata().map_or(0, |about| about.len());
                (Duration::ZERO, size, Some(DAMAGED))
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Duration::ZERO, 0, Some(MISSING)),
        Err(error) => {
            tracing::error!(recording = about.id, %error, "a recording cannot be opened");
            (Duration::ZERO, 0, Some(DAMAGED))
        }
    };
    Closed {
        ended_at: about.started_at.after(duration),
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        size,
        lost_ms: None,
        silent_ms: None,
        error: error.or(damage).map(str::to_owned),
        gaps: json!([]),
        anchors: json!([]),
        speech: None,
    }
}

impl Found {
    /// Writes it into the tables.
    pub(crate) async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        for about in &self.closed {
            tx.begin_recording(&about.row()).await?;
            if let Some(closed) = about.closing() {
                tx.close_recording(&about.id, &closed).await?;
            }
        }
        for id in &self.lost {
            tx.lose_recording(id, MISSING).await?;
        }
        Ok(())
    }
}
