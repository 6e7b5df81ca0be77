//! Recordings: the media of sessions as files, each stream of each stay one.
//!
//! ```text
//! rooms ── tap ──► task of a session ──► Inbox ──► Desk (a thread) ──► spool folder
//!                                     2 s a stream    │ notices            │
//!                                                     ▼                    ▼
//!                                         Clerk ──► tables ──► Keeper ──► store: a folder or S3
//! ```
//!
//! Packets are written as they came; nothing is decoded. Neither the rooms nor the history ever wait for a disk: what cannot be
//! written in time is a gap. A file stays in the spool folder until the store has it and has given the same bytes back.

mod archive;
mod clerk;
mod desk;
mod inbox;
mod keeper;
mod marks;
mod names;
mod recover;
mod spool;
mod wanted;
mod watcher;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use object_store::path::Path;
use parlour_tokio::core::server::ModerateError;
use parlour_tokio::{MediaTap, RoomId, Server, SessionId, Tapped};
use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::App;
use crate::config::Config;
use crate::counted::Counted;
use crate::store::{CompositionRow, RecordingRow};
use crate::time::Timestamp;

pub use archive::try_store;
pub(crate) use archive::{Archive, ArchiveError, Stored};
use desk::{Desk, KeepFree};
use inbox::{About, Inbox, Item, Word};
pub(crate) use keeper::Backoff;
use keeper::Keeper;
pub(crate) use marks::{Mark, Spoken, marks_of};
pub(crate) use names::{composition_name, ending, file_name};
pub(crate) use recover::{Found, find};
pub(crate) use spool::Spool;
pub(crate) use wanted::Wanted;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// When a recording is deleted that ended then.
pub(crate) fn expiry(ended_at: Timestamp, retention_days: u32) -> Option<Timestamp> {
    (retention_days > 0).then(|| ended_at.after(DAY.saturating_mul(retention_days)))
}

/// Why a session is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum RecordError {
    /// The session is over.
    #[error("the session is over")]
    SessionEnded,
    /// Too little of the disk is free.
    #[error(
        "the disk of the spool folder is almost full: make room there, or lower `recordings.keep_free_mib` and `recordings.keep_free_percent`"
    )]
    DiskFull,
    /// Too much waits to be stored.
    #[error(
        "too many files wait in the spool folder to be stored: look at the log why the store does not take them, or raise `recordings.spool_limit_mib`"
    )]
    SpoolFull,
    /// No file is opened any more.
    #[error("the server shuts down")]
    ShutDown,
}

impl From<ModerateError> for RecordError {
    fn from(_: ModerateError) -> Self {
        Self::SessionEnded
    }
}

/// How a session is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Which streams.
    pub(crate) wanted: Wanted,
    /// Since when.
    pub(crate) since: Timestamp,
}

/// A session that is recorded.
#[derive(Debug)]
struct Active {
    room: RoomId,
    since: Timestamp,
    wanted: Arc<RwLock<Wanted>>,
    stop: CancellationToken,
    /// Answers once the last packet has been handed on.
    stopped: oneshot::Receiver<()>,
}

/// See the [module](self). Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Recordings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    spool: Spool,
    archive: Archive,
    keep_free: KeepFree,
    /// How many bytes may wait in the spool folder; half of its disk without a value.
    spool_limit: Option<u64>,
    /// How many days recordings are kept whose room does not say.
    retention_days: u32,
    inbox: Inbox,
    active: Mutex<BTreeMap<SessionId, Active>>,
    /// Held while it changes what is recorded, so that participants are told in that order.
    changing: tokio::sync::Mutex<()>,
    taps: TaskTracker,
    wake: Arc<Notify>,
    counted: Counted,
    clerk: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    fn is_spool_full(&self) -> bool {
        let half = || self.spool.space().map(|space| space.size / 2);
        let limit = self.spool_limit.or_else(half);
        // A folder that cannot be read is told by what writes to it.
        limit.is_some_and(|limit| self.spool.used().is_ok_and(|used| used > limit))
    }
}

impl Recordings {
    /// As the configuration has it. Nothing is recorded before they [begin](Self::begin).
    pub(crate) fn new(config: &Config, counted: Counted) -> Self {
        let keep_free = KeepFree {
            bytes: config.recordings.keep_free_mib.saturating_mul(1 << 20),
            percent: config.recordings.keep_free_percent,
        };
        Self(Arc::new(Shared {
            spool: Spool::new(config.spool()),
            archive: Archive::new(config.recordings_store(), config.recordings.clone()),
            keep_free,
            spool_limit: (config.recordings.spool_limit_mib).map(|mib| mib.saturating_mul(1 << 20)),
            retention_days: config.retention.recordings_days,
            inbox: Inbox::default(),
            active: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            taps: TaskTracker::new(),
            wake: Arc::default(),
            counted,
            clerk: Mutex::default(),
        }))
    }

    /// Starts what writes and stores.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn begin(&self, app: &App) -> std::io::Result<()> {
        let shared = &self.0;
        let (tell, notices) = mpsc::unbounded_channel();
        let desk = Desk::new(shared.spool.clone(), shared.keep_free, tell);
        let writing = Arc::clone(shared);
        let named = thread::Builder::new().name("recordings".to_owned());
        named.spawn(move || desk.run(&writing.inbox))?;
        let (store, wake) = (app.store().clone(), Arc::clone(&shared.wake));
        let clerk = clerk::run(store, notices, wake, self.clone(), app.downgrade());
        *lock(&shared.clerk) = Some(tokio::spawn(clerk));
        let keeper = Keeper::new(
            app.store().clone(),
            shared.spool.clone(),
            shared.archive.clone(),
        );
        tokio::spawn(keeper.run(Arc::clone(&shared.wake), app.closing()));
        let events = app.rooms().events();
        tokio::spawn(watcher::run(events, self.clone(), app.downgrade()));
        Ok(())
    }

    /// Told when there may be files to be stored or to be deleted.
    pub(crate) fn wake(&self) -> &Arc<Notify> {
        &self.0.wake
    }

    /// How a session is recorded, if it is.
    pub(crate) fn of(&self, session: SessionId) -> Option<Recorded> {
        let active = lock(&self.0.active);
        active.get(&session).map(Active::state)
    }

    /// Records a session, or another part of it than before. Its participants are told before the first packet is taken.
    pub(crate) async fn record(
        &self,
        rooms: &Server,
        room: &RoomId,
        session: SessionId,
        wanted: Wanted,
        retention_days: Option<u32>,
    ) -> Result<Recorded, RecordError> {
        let _in_turn = self.0.changing.lock().await;
        if self.0.taps.is_closed() {
            return Err(RecordError::ShutDown);
        }
        if let Some(active) = lock(&self.0.active).get(&session) {
            *active
                .wanted
                .write()
                .unwrap_or_else(PoisonError::into_inner) = wanted.clone();
            self.0.inbox.say(Word::Only(session, wanted));
            return Ok(active.state());
        }
        if self.0.keep_free.is_full(&self.0.spool) {
            return Err(RecordError::DiskFull);
        }
        if self.0.is_spool_full() {
            return Err(RecordError::SpoolFull);
        }
        rooms.record(room, session, true).await?;
        let wanted = Arc::new(RwLock::new(wanted));
        let tap = {
            let wanted = Arc::clone(&wanted);
            rooms.tap(room, move |stream| read(&wanted).has(stream))
        };
        let tap = tap.await?;
        if tap.session() != session {
            return Err(RecordError::SessionEnded);
        }
        let about = Arc::new(About {
            room: room.as_str().to_owned(),
            retention_days: retention_days.unwrap_or(self.0.retention_days),
        });
        let (stop, (done, stopped)) = (CancellationToken::new(), oneshot::channel());
        let active = Active {
            room: room.clone(),
            since: Timestamp::now(),
            wanted: Arc::clone(&wanted),
            stop: stop.clone(),
            stopped,
        };
        let state = active.state();
        lock(&self.0.active).insert(session, active);
        let shared = Arc::clone(&self.0);
        self.0.taps.spawn(async move {
            shared.take(tap, &about, &wanted, &stop).await;
            // Nobody waits if the session has ended.
            let _ = done.send(());
        });
        tracing::info!(room = room.as_str(), %session, "a session is recorded");
        Ok(state)
    }

    /// Records a session no more; says whether it was. Its participants are told after the last packet.
    pub(crate) async fn stop(&self, rooms: &Server, session: SessionId) -> bool {
        let _in_turn = self.0.changing.lock().await;
        let Some(active) = lock(&self.0.active).remove(&session) else {
            return false;
        };
        active.stop.cancel();
        let _ = active.stopped.await;
        // It fails if the session is over.
        let _ = rooms.record(&active.room, session, false).await;
        true
    }

    /// Records nothing any more.
    async fn stop_all(&self, rooms: &Server) {
        let sessions: Vec<_> = lock(&self.0.active).keys().copied().collect();
        for session in sessions {
            self.stop(rooms, session).await;
        }
    }

    /// Whether so little of the spool's disk is free that nothing may be written to it.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.0.keep_free.is_full(&self.0.spool)
    }

    /// How many days recordings are kept whose room does not say.
    pub(crate) fn retention_days(&self) -> u32 {
        self.0.retention_days
    }

    /// The store.
    pub(crate) fn archive(&self) -> &Archive {
        &self.0.archive
    }

    /// Closes all files, once the rooms are gone, and has the tables know of it.
    pub(crate) async fn shut_down(&self, patience: Duration) {
        self.0.taps.close();
        let clerk = lock(&self.0.clerk).take();
        let closed = async {
            self.0.taps.wait().await;
            self.0.inbox.close();
            if let Some(clerk) = clerk {
                // It ends when the desk has.
                let _ = clerk.await;
            }
        };
        if timeout(patience, closed).await.is_err() {
            self.0.inbox.close();
            tracing::error!("not all recordings are closed: the next start repairs them");
        }
    }
}

impl Active {
    fn state(&self) -> Recorded {
        Recorded {
            wanted: read(&self.wanted).clone(),
            since: self.since,
        }
    }
}

impl Shared {
    /// Hands on what is tapped until the session is over, or nothing more of it is wanted.
    async fn take(
        &self,
        mut tap: MediaTap,
        about: &Arc<About>,
        wanted: &RwLock<Wanted>,
        stop: &CancellationToken,
    ) {
        let (session, mut dropped) = (tap.session(), 0);
        loop {
            let tapped = tokio::select! {
                tapped = tap.next() => tapped,
                () = stop.cancelled() => break,
            };
            match tapped {
                Some(Tapped::Packet(packet)) if read(wanted).has(&packet.stream) => {
                    let item = Item::Packet {
                        received: packet.received,
                        sequence: packet.sequence,
                        timestamp: packet.timestamp,
                        level: packet.level,
                        payload: packet.payload,
                    };
                    dropped += self.inbox.put(about, &packet.stream, item);
                }
                Some(Tapped::Ended(stream)) => {
                    dropped += self.inbox.put(about, &stream, Item::End);
                }
                Some(_) => {}
                None => {
                    lock(&self.active).remove(&session);
                    break;
                }
            }
        }
        self.inbox.say(Word::Over(session));
        let dropped = dropped + tap.missed();
        if dropped > 0 {
            self.counted.recordings_dropped.inc_by(dropped);
            tracing::warn!(%session, dropped, "packets are missing in recordings: the disk is too slow");
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(wanted: &RwLock<Wanted>) -> std::sync::RwLockReadGuard<'_, Wanted> {
    wanted.read().unwrap_or_else(PoisonError::into_inner)
}

/// Where the store has a recording.
pub(crate) fn path(row: &RecordingRow) -> Result<Path, ArchiveError> {
    Ok(names::path(row)?)
}

/// Where the store has what is known of a recording.
pub(crate) fn sidecar_path(row: &RecordingRow) -> Result<Path, ArchiveError> {
    Ok(names::sidecar(row)?)
}

/// Where the store has a composition.
pub(crate) fn composition_path(row: &CompositionRow) -> Result<Path, ArchiveError> {
    Ok(names::composition(row)?)
}

#[cfg(test)]
pub(crate) mod tests;
