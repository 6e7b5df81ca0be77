//! The one connection that writes, and the jobs that it takes.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::{Any, AnyPool, Row as _, Transaction};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::StoreError;
use super::figures::{Counters, Figures};
use super::lock::{Lock, LockError};
use crate::time::{Moment, Timestamp};

/// Jobs that wait, and how many and how long one transaction takes in.
const QUEUE: usize = 1_024;
const BATCH: usize = 256;
const WINDOW: Duration = Duration::from_millis(50);
/// How long another process may have the database before this one gives up: a session that has broken may linger.
const LOST: Duration = Duration::from_secs(10);

/// The transaction that a job writes in.
#[derive(Debug)]
pub struct Tx {
    pub(super) transaction: Transaction<'static, Any>,
    /// When the job runs: the time of what it writes.
    pub(super) now: Timestamp,
    /// The number of the journal's newest event.
    pub(super) seq: i64,
}

impl Tx {
    /// The time of what is written.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The same, also by the monotonic clock.
    pub fn moment(&self) -> Moment {
        Moment::new(self.now, Instant::now().into_std())
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        let done = sqlx::query(statement).execute(&mut *self.transaction);
        done.await.map(drop)
    }

    #[cfg(test)]
    pub(super) async fn execute_raw(&mut self, statement: &'static str) -> Result<(), StoreError> {
        Ok(self.execute(statement).await?)
    }

    /// Forgets answers, refresh tokens and bans whose time is over.
    pub(crate) async fn forget_expired(&mut self) -> Result<(), StoreError> {
        let day_ago = self.now.before(Duration::from_secs(24 * 3_600)).as_millis();
        let now = self.now.as_millis();
        for (statement, time) in [
            ("DELETE FROM idempotency WHERE at < $1", day_ago),
            ("DELETE FROM refresh_tokens WHERE expires_at < $1", now),
            ("DELETE FROM bans WHERE until < $1", now),
        ] {
            let delete = sqlx::query(statement).bind(time);
            delete.execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// The last time at which a process is known to have used this database: its heartbeat, or the newest event.
    pub(crate) async fn last_sign_of_life(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT value FROM meta WHERE name = 'heartbeat'");
        let row = row.fetch_optional(&mut *self.transaction).await?;
        let heartbeat: Option<String> = row.map(|row| row.try_get("value")).transpose()?;
        let heartbeat: Option<i64> = heartbeat.and_then(|millis| millis.parse().ok());
        let newest = sqlx::query("SELECT MAX(at) AS at FROM events");
        let newest: Option<i64> = newest
            .fetch_one(&mut *self.transaction)
            .await?
            .try_get("at")?;
        Ok(heartbeat.max(newest).map(Timestamp::from_millis))
    }

    /// Notes that this process lives.
    pub(crate) async fn heartbeat(&mut self) -> Result<(), StoreError> {
        let now = self.now.as_millis().to_string();
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ('heartbeat', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(now)
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}

/// A job and the one that waits for its answer, whatever their types.
trait Work: Send {
    /// Does the job. If it fails, it is undone. An error says that the transaction is of no use any more.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(), sqlx::Error>>;

    /// Answers, once it is known what became of the transaction.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Waiting<J, T, E> {
    job: Option<J>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<J, T, E> Work for Waiting<J, T, E>
where
    J: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(), sqlx::Error>> {
        Box::pin(async move {
            let Some(job) = self.job.take() else {
                return Ok(());
            };
            let seq = tx.seq;
            tx.execute("SAVEPOINT job").await?;
            // A job that panics fails by itself: the writer goes on for all others.
            let result = AssertUnwindSafe(async { job(&mut *tx).await })
                .catch_unwind()
                .await;
            let result = result.unwrap_or_else(|_| Err(StoreError::Panicked.into()));
            let has_failed = result.is_err();
            self.result = Some(result);
            if has_failed {
                // SQLite ends the whole transaction when the disk is full: then this fails, and so does the batch.
                tx.execute("ROLLBACK TO SAVEPOINT job").await?;
                tx.seq = seq;
            }
            tx.execute("RELEASE SAVEPOINT job").await
        })
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let result = match (self.result, outcome) {
            // The job's own error says more than what became of the others.
            (Some(Err(error)), _) => Err(error),
            (Some(done), Ok(())) => done,
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StoreError::ShutDown.into()),
        };
        // Nobody may wait any more; the job is done all the same.
        let _ = self.reply.send(result);
    }
}

/// Sends jobs to the task that writes. It ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Work>>,
    committed: watch::Receiver<i64>,
    lost: watch::Receiver<bool>,
    counters: Counters,
}

impl std::fmt::Debug for dyn Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl Writer {
    pub(super) async fn spawn(
        pool: AnyPool,
        open: impl Fn() -> AnyPool + Send + 'static,
        begin: &'static str,
        lock: Lock,
    ) -> Result<Self, sqlx::Error> {
        let newest = sqlx::query("SELECT COALESCE(MAX(seq), 0) FROM events");
        let newest = newest.fetch_one(&pool).await?.try_get(0)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (tell, committed) = watch::channel(newest);
        let counters = Counters::default();
        let (lose, lost) = watch::channel(false);
        let own = Own {
            pool,
            begin,
            lock,
            held_elsewhere: None,
            lost: lose,
        };
        tokio::spawn(work(own, open, queue, tell, counters.clone()));
        Ok(Self {
            jobs,
            committed,
            lost,
            counters,
        })
    }

    /// Returns once the other clones are gone, too, and all jobs are done.
    pub(super) async fn close(self) {
        let Self {
            jobs,
            mut committed,
            ..
        } = self;
        drop(jobs);
        // The task drops its end when it is done: that is the error.
        while committed.changed().await.is_ok() {}
    }

    /// Waits until another process has had the database for a while.
    pub(super) async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|is_lost| *is_lost).await.is_err() {
            std::future::pending().await
        }
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            counters: self.counters.clone(),
            queued: QUEUE - self.jobs.capacity(),
        }
    }

    pub(super) fn committed(&self) -> watch::Receiver<i64> {
        self.committed.clone()
    }

    pub(super) async fn write<T, E, J>(&self, job: J) -> Result<T, E>
    where
        J: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let asked = Instant::now();
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting {
            job: Some(job),
            result: None,
            reply,
        };
        let sent = self.jobs.send(Box::new(waiting)).await;
        sent.map_err(|_| StoreError::ShutDown)?;
        let answer = answer.await.map_err(|_| StoreError::ShutDown)?;
        if answer.is_ok() {
            self.counters.wrote(asked.elapsed());
        }
        answer
    }
}

/// Why nothing of a batch was written.
#[derive(Debug, Error)]
enum Failed {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Another process has the database.
    #[error(transparent)]
    Lock(LockError),
}

impl From<LockError> for Failed {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Database(error) => Self::Database(error),
            error => Self::Lock(error),
        }
    }
}

/// What the task that writes has for itself.
struct Own {
    pool: AnyPool,
    begin: &'static str,
    lock: Lock,
    /// Since when another process has the database.
    held_elsewhere: Option<Instant>,
    lost: watch::Sender<bool>,
}

impl Own {
    /// Notes whether another process has the database.
    fn look(&mut self, error: Option<&Failed>) {
        if !matches!(error, Some(Failed::Lock(_))) {
            self.held_elsewhere = None;
            return;
        }
        let since = *self.held_elsewhere.get_or_insert_with(Instant::now);
        if since.elapsed() >= LOST {
            self.lost.send_replace(true);
        }
    }
}

async fn work(
    mut own: Own,
    open: impl Fn() -> AnyPool,
    mut queue: mpsc::Receiver<Box<dyn Work>>,
    committed: watch::Sender<i64>,
    counters: Counters,
) {
    while let Some(first) = queue.recv().await {
        let mut batch = vec![first];
        let began = Instant::now();
        let transacted = transact(&mut own, &mut queue, &mut batch).await;
        counters.transacted(began.elapsed(), transacted.is_ok());
        own.look(transacted.as_ref().err());
        match transacted {
            Ok(seq) => {
                committed.send_replace(seq);
                batch.into_iter().for_each(|work| work.answer(Ok(())));
            }
            Err(error) => {
                tracing::error!(%error, jobs = batch.len(), "nothing could be written");
                for work in batch {
                    work.answer(Err(StoreError::Unavailable(error.to_string())));
                }
                // After such an error the driver may take a transaction for open that is not: that connection would never
                // begin another one.
                let failed = std::mem::replace(&mut own.pool, open());
                tokio::spawn(async move { failed.close().await });
            }
        }
    }
    own.pool.close().await;
    // Only now may another process have the database, and only then does `close` return.
    drop(own.lock);
    drop(committed);
}

/// Runs a batch of jobs in one transaction, and those that come meanwhile, too. Gives the number of the newest event.
async fn transact(
    own: &mut Own,
    queue: &mut mpsc::Receiver<Box<dyn Work>>,
    batch: &mut Vec<Box<dyn Work>>,
) -> Result<i64, Failed> {
    let mut transaction = own.pool.begin_with(own.begin).await?;
    own.lock.hold(&mut transaction).await?;
    let mut tx = Tx {
        transaction,
        now: Timestamp::now(),
        seq: 0,
    };
    let newest = sqlx::query("SELECT COALESCE(MAX(seq), 0) FROM events");
    let newest = newest.fetch_one(&mut *tx.transaction).await?;
    tx.seq = newest.try_get(0)?;
    let began = Instant::now();
    let mut done = 0;
    while let Some(work) = batch.get_mut(done) {
        work.run(&mut tx).await?;
        done += 1;
        if done == batch.len()
            && done < BATCH
            && began.elapsed() < WINDOW
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
    }
    let seq = tx.seq;
    tx.transaction.commit().await?;
    Ok(seq)
}
