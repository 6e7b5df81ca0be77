//! Compositions: the recordings of a session as one file.
//!
//! ```text
//! API ──► tables: queued ──► Queue ──► Work: fetch ──► child process: `parlour compose-job` ──► store, ready
//!                              │                                │ crash
//!                              └── files of deleted ones        └──► queued, twice at most
//! ```
//!
//! The tables are the queue, so that it survives a restart. A composition waits for the recordings of its session that are on
//! their way to the store, and for a disk that is almost full. What is decoded came from participants: it is done in a process of
//! its own, with limits, of low priority, and without this one's environment.

mod child;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlour_files::compose::{Audio, Format, Side, Video};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::api::App;
use crate::config::{self, Config};
use crate::ffmpeg::{self, FfmpegError};
use crate::recordings::{Recordings, composition_path};
use crate::store::{Store, StoreError};
use work::{Ended, Work};

/// How often the tables are asked although nobody has said that there is something.
const ROUND: Duration = Duration::from_secs(60);
/// How long to wait before something is tried again that failed.
const PAUSE: Duration = Duration::from_secs(5);
/// How long the journal is let grow before those that wait for it are looked at.
const SETTLE: Duration = Duration::from_millis(200);

/// What a composition is made of, and how, beside its format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) audio: Audio,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) video: Option<Video>,
    /// The part of the session. Requests that an older version has written do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<Part>,
}

/// A part of a session, as it is asked for: times in ms since the session's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CompositionPart)]
pub(crate) struct Part {
    /// With the first recording, if it was left out.
    #[schema(required)]
    pub(crate) from_ms: Option<i64>,
    /// With the last recording, if it was left out.
    #[schema(required)]
    pub(crate) to_ms: Option<i64>,
}

impl Request {
    /// The participants that it names.
    pub(crate) fn named(&self) -> Vec<String> {
        let sides = match &self.audio {
            Audio::Dual { left, right } => vec![left, right],
            _ => Vec::new(),
        };
        let heard = sides.into_iter().filter_map(|side| match side {
            Side::Only(ids) => Some(ids.iter().map(String::as_str)),
            _ => None,
        });
        let seen = self.video.iter().flat_map(Video::named);
        heard.flatten().chain(seen).map(str::to_owned).collect()
    }
}

/// The name of a format, which is how its files end, too.
pub(crate) fn name_of(format: Format) -> &'static str {
    match format {
        Format::Ogg => "ogg",
        Format::Wav => "wav",
        Format::M4a => "m4a",
        Format::Mp4 => "mp4",
        Format::Webm => "webm",
    }
}

/// See the [module](self). Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Compositions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: config::Compositions,
    /// Where files are that are worked on.
    folder: PathBuf,
    recordings: Recordings,
    wake: Notify,
    running: Mutex<BTreeMap<String, Running>>,
    shut_down: CancellationToken,
    queue: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// One that is worked on.
#[derive(Debug, Clone, Default)]
struct Running {
    percent: u8,
    stop: CancellationToken,
}

impl Compositions {
    /// As the configuration has it. Nothing is composed before they [begin](Self::begin).
    pub(crate) fn new(config: &Config, recordings: Recordings) -> Self {
        Self(Arc::new(Shared {
            config: config.compositions.clone(),
            folder: config.spool().join("compositions"),
            recordings,
            wake: Notify::new(),
            running: Mutex::default(),
            shut_down: CancellationToken::new(),
            queue: Mutex::default(),
        }))
    }

    /// Starts what composes.
    pub(crate) fn begin(&self, app: &App) {
        let queue = Queue {
            store: app.store().clone(),
            shared: Arc::clone(&self.0),
        };
        let running = tokio::spawn(queue.run(app.store().committed()));
        *lock(&self.0.queue) = Some(running);
    }

    /// Whether ffmpeg can be used.
    ///
    /// # Errors
    /// [`FfmpegError`]
    pub(crate) async fn find_ffmpeg(&self) -> Result<(), FfmpegError> {
        ffmpeg::version(&self.0.config.ffmpeg).await.map(drop)
    }

    /// Says that there may be something to be composed or to be deleted.
    pub(crate) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// How much of one that is worked on is done, in percent.
    pub(crate) fn percent(&self, id: &str) -> Option<u8> {
        lock(&self.0.running).get(id).map(|running| running.percent)
    }

    /// One is not wanted any more, which the tables know by now.
    pub(crate) fn stop(&self, id: &str) {
        if let Some(running) = lock(&self.0.running).get(id) {
            running.stop.cancel();
        }
        self.wake();
    }

    /// Ends what is composed, which begins anew at the next start.
    pub(crate) async fn shut_down(&self, patience: Duration) {
        self.0.shut_down.cancel();
        let queue = lock(&self.0.queue).take();
        if let Some(queue) = queue
            && tokio::time::timeout(patience, queue).await.is_err()
        {
            tracing::error!("a composition does not end: the next start counts it as crashed");
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works on compositions, the oldest first.
#[derive(Debug)]
struct Queue {
    store: Store,
    shared: Arc<Shared>,
}

impl Queue {
    async fn run(self, mut committed: watch::Receiver<i64>) {
        let shut_down = self.shared.shut_down.clone();
        self.recover().await;
        let mut works = JoinSet::new();
        while !shut_down.is_cancelled() {
            committed.mark_unchanged();
            let waits = match self.round(&mut works).await {
                Ok(waits) => waits,
                Err(error) => {
                    tracing::warn!(%error, "compositions are not looked for");
                    false
                }
            };
            tokio::select! {
                Some(_) = works.join_next() => {}
                () = self.shared.wake.notified() => {}
                // A recording may be stored now.
                Ok(()) = committed.changed(), if waits => sleep(SETTLE).await,
                () = sleep(ROUND) => {}
                () = shut_down.cancelled() => {}
            }
        }
        while works.join_next().await.is_some() {}
    }

    /// What a former process has left.
    async fn recover(&self) {
        // There may be none.
        let _ = tokio::fs::remove_dir_all(&self.shared.folder).await;
        loop {
            let recovered = self
                .store
                .write(|tx| Box::pin(async move { tx.recover_compositions().await }));
            let recovered: Result<(), StoreError> = recovered.await;
            let Err(error) = recovered else { return };
            tracing::error!(%error, "compositions are not taken over; trying again");
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = self.shared.shut_down.cancelled() => return,
            }
        }
    }

    /// Begins what can begin, and deletes what is to be gone. Says whether something waits that could begin but for its recordings.
    async fn round(&self, works: &mut JoinSet<()>) -> Result<bool, StoreError> {
        for row in self.store.deleted_compositions().await? {
            let running = lock(&self.shared.running).get(&row.id).cloned();
            match running {
                Some(running) => running.stop.cancel(),
                None => self.delete(&row).await?,
            }
        }
        let most = self.shared.config.at_once.get() as usize;
        while lock(&self.shared.running).len() < most {
            let Some(id) = self.store.next_composition().await? else {
                return Ok(self.store.queued_compositions().await? > 0);
            };
            if self.shared.recordings.is_disk_full() {
                tracing::warn!("compositions wait: the disk of the spool folder is almost full");
                return Ok(false);
            }
            // Before it begins, so that whoever cancels it finds it.
            let running = Running::default();
            lock(&self.shared.running).insert(id.clone(), running.clone());
            let started = self.store.write({
                let id = id.clone();
                move |tx| Box::pin(async move { tx.start_composition(&id).await })
            });
            let started: Result<_, StoreError> = started.await;
            let Ok(Some(started)) = started else {
                lock(&self.shared.running).remove(&id);
                started?;
                continue;
            };
            let work = Work {
                folder: self.shared.folder.join(&id),
                config: self.shared.config.clone(),
                archive: self.shared.recordings.archive().clone(),
                started,
                stop: running.stop,
                shut_down: self.shared.shut_down.clone(),
            };
            let (store, shared) = (self.store.clone(), Arc::clone(&self.shared));
            works.spawn(async move {
                let told = Arc::clone(&shared);
                let progress = |percent| {
                    if let Some(running) = lock(&told.running).get_mut(&work.started.row.id) {
                        running.percent = percent;
                    }
                };
                let ended = work.compose(progress).await;
                settle(&store, &work, ended).await;
                lock(&shared.running).remove(&id);
            });
        }
        Ok(false)
    }

    async fn delete(&self, row: &crate::store::CompositionRow) -> Result<(), StoreError> {
        let archive = self.shared.recordings.archive();
        let deleted = match composition_path(row) {
            Ok(path) => archive.delete(&path).await,
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            // The next round tries again.
            tracing::warn!(composition = row.id, %error, "the file of a composition is not deleted");
            return Ok(());
        }
        let id = row.id.clone();
        let forgotten = self
            .store
            .write(move |tx| Box::pin(async move { tx.forget_composition(&id).await }));
        forgotten.await
    }
}

/// Writes down how the work on a composition has ended, however long that takes.
async fn settle(store: &Store, work: &Work, ended: Ended) {
    let id = &work.started.row.id;
    match &ended {
        Ended::Ready(_) => tracing::info!(composition = id, "a composition is ready"),
        Ended::Failed { error, detail } => {
            tracing::warn!(composition = id, error, detail, "a composition has failed");
        }
        Ended::Crashed(detail) => {
            tracing::error!(
                composition = id,
                detail,
                "the process of a composition has crashed"
            );
        }
        Ended::Stopped | Ended::ShutDown => {}
    }
    loop {
        let (id, ended) = (id.clone(), ended.clone());
        let written = store.write(move |tx| {
            Box::pin(async move {
                match ended {
                    Ended::Ready(stored) => {
                        let size = i64::try_from(stored.size).unwrap_or(i64::MAX);
                        return tx.finish_composition(&id, size, &stored.sha256).await;
                    }
                    Ended::Failed { error, detail } => {
                        tx.fail_composition(&id, error, &detail).await?;
                    }
                    Ended::Crashed(detail) => tx.crash_composition(&id, &detail).await?,
                    Ended::ShutDown => tx.requeue_composition(&id).await?,
                    Ended::Stopped => {}
                }
                Ok(true)
            })
        });
        let written: Result<bool, StoreError> = written.await;
        match written {
            Ok(true) => return,
            // It was cancelled or deleted while it was stored.
            Ok(false) => return work.discard().await,
            // The next start takes it over.
            Err(StoreError::ShutDown | StoreError::Panicked) => return,
            Err(error) => {
                tracing::error!(%error, "a composition cannot be written down; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}
