//! Writes into the tables what becomes of files.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use super::Recordings;
use super::desk::Notice;
use super::spool::Sidecar;
use crate::api::Parts;
use crate::store::{Store, StoreError};

/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often to look for a session that the history does not have yet, and how many times.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 250;

/// Writes until no file is open any more, and none can be opened.
pub(super) async fn run(
    store: Store,
    mut notices: mpsc::UnboundedReceiver<Notice>,
    wake: Arc<Notify>,
    recordings: Recordings,
    rooms: Weak<Parts>,
) {
    while let Some(notice) = notices.recv().await {
        match notice {
            Notice::Began(about) => {
                told_of(&store, &about).await;
                write(&store, &about).await;
            }
            Notice::Closed(about) => {
                write(&store, &about).await;
                wake.notify_one();
            }
            Notice::Full => {
                if let Some(rooms) = rooms.upgrade() {
                    recordings.stop_all(rooms.rooms()).await;
                }
            }
        }
    }
}

/// Waits until the history has a recording's session, which begins before anything happens in it.
async fn told_of(store: &Store, about: &Sidecar) {
    for _ in 0..LOOKS {
        match store.session(&about.session).await {
            Ok(None) => sleep(LOOK).await,
            _ => return,
        }
    }
}

/// Writes a recording as it is, however long that takes.
async fn write(store: &Store, about: &Sidecar) {
    loop {
        let about = about.clone();
        let written = store.write(move |tx| {
            Box::pin(async move {
                match about.closing() {
                    Some(closed) => tx.close_recording(&about.id, &closed).await,
                    None => tx.begin_recording(&about.row()).await,
                }
            })
        });
        match written.await {
            Ok(()) => return,
            // What is beside the file is read at the next start.
            Err(StoreError::ShutDown | StoreError::Panicked) => return,
            Err(error) => {
                tracing::error!(%error, "a recording cannot be written down; trying again");
            }
        }
        sleep(PAUSE).await;
    }
}
