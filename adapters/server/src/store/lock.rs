//! One process for each database.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use sqlx::{AnyConnection, Row as _};
use thiserror::Error;
use tokio::time::sleep;

use super::Place;

/// The key of PostgreSQL's advisory lock: "parlour" in ASCII.
const ADVISORY: i64 = 0x70_61_72_6c_6f_75_72;
/// The process that has it. PostgreSQL shows the two halves of the key.
const HOLDER: &str = "SELECT COALESCE(MIN(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    AND objsubid = 1 AND (CAST(CAST(classid AS BIGINT) << 32 AS BIGINT) | CAST(objid AS BIGINT)) = $1";
/// Between two tries to take it.
const PAUSE: Duration = Duration::from_millis(20);
/// So often the file's lock is tried: a process that is killed while it starts another one leaves it to that one for a moment.
const FILE_TRIES: u32 = 25;

/// Why this process does not get the database.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error(
        "the process {holder} uses this database: stop it first, or give this server another database"
    )]
    Held {
        /// Its number, or what is known of it.
        holder: String,
    },
    /// PostgreSQL's lock would hold nobody off.
    #[error(
        "a pooler gives one session of PostgreSQL to several connections, so its lock keeps no other server away: connect to \
         PostgreSQL itself, or set the pooler to one session for each connection (pgbouncer: `pool_mode = session`)"
    )]
    Pooled,
    /// The lock file cannot be made.
    #[error("cannot lock {path}: {source}; check the folder and who may write there")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// PostgreSQL refuses.
    #[error("cannot reach the database: {0}; check its address, user and password")]
    Database(#[from] sqlx::Error),
}

/// Held while the database is open. The operating system or PostgreSQL gives it back if the process dies.
#[derive(Debug)]
pub(super) enum Lock {
    File { _locked: File },
    Advisory(Advisory),
}

/// A lock of PostgreSQL. It belongs to the session that writes, so no write is without it. If that session breaks, as when
/// PostgreSQL restarts, the next one takes it again.
#[derive(Debug, Default)]
pub(super) struct Advisory {
    holder: Option<Session>,
}

/// A session of PostgreSQL: its process, and when it began, as numbers of processes come again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    process: i32,
    began: String,
}

impl Lock {
    /// Takes the database, or, of PostgreSQL, prepares that a [hold](Self::hold) does.
    pub(super) async fn prepare(place: &Place) -> Result<Self, LockError> {
        match place {
            Place::Sqlite(path) => {
                let mut path = path.clone().into_os_string();
                path.push(".lock");
                Self::take_file(path.into()).await
            }
            Place::Postgres(_) => Ok(Self::Advisory(Advisory::default())),
        }
    }

    /// Makes sure that two connections which are open at the same time are two sessions.
    ///
    /// # Errors
    /// [`LockError::Pooled`]: the lock belongs to a session, and another server would have the same one.
    pub(super) async fn check_sessions(
        &self,
        one: &mut AnyConnection,
        other: &mut AnyConnection,
    ) -> Result<(), LockError> {
        match self {
            Self::File { .. } => Ok(()),
            Self::Advisory(_) if process(one).await? == process(other).await? => {
                Err(LockError::Pooled)
            }
            Self::Advisory(_) => Ok(()),
        }
    }

    /// Takes the database for the session of `connection`, unless it has it.
    ///
    /// # Errors
    /// [`LockError`]: nothing may be written then.
    pub(super) async fn hold(&mut self, connection: &mut AnyConnection) -> Result<(), LockError> {
        match self {
            Self::File { .. } => Ok(()),
            Self::Advisory(advisory) => advisory.hold(connection).await,
        }
    }

    async fn take_file(path: PathBuf) -> Result<Self, LockError> {
        let failed = |source| LockError::File {
            path: path.clone(),
            source,
        };
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        let mut tries = 1;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < FILE_TRIES => {
                    tries += 1;
                    sleep(PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let _ = file.read_to_string(&mut holder);
                    let holder = holder.trim().to_owned();
                    return Err(LockError::Held { holder });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let number = || -> io::Result<()> {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())
        };
        let mut number = number;
        number().map_err(failed)?;
        Ok(Self::File { _locked: file })
    }
}

impl Advisory {
    async fn hold(&mut self, connection: &mut AnyConnection) -> Result<(), LockError> {
        let session = Session::of(connection).await?;
        if self.holder.as_ref() == Some(&session) {
            return Ok(());
        }
        let mut tries = 1;
        if let Some(former) = &self.holder {
            tracing::warn!("the session with the database has broken, and its lock is taken again");
            former.end(connection).await?;
            // It takes a moment to end.
            tries = 50;
        }
        if !try_lock(connection, tries).await? {
            let holder = sqlx::query(HOLDER)
                .bind(ADVISORY)
                .fetch_one(connection)
                .await?;
            let holder: i32 = holder.try_get(0)?;
            let holder = format!("behind PostgreSQL's process {holder}");
            return Err(LockError::Held { holder });
        }
        self.holder = Some(session);
        Ok(())
    }
}

/// Whether PostgreSQL gives its lock, at one of so many tries.
pub(super) async fn try_lock(
    connection: &mut AnyConnection,
    tries: u32,
) -> Result<bool, sqlx::Error> {
    for remaining in (0..tries).rev() {
        let taken = sqlx::query("SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1 ELSE 0 END")
            .bind(ADVISORY)
            .fetch_one(&mut *connection)
            .await?;
        if taken.try_get::<i32, _>(0)? == 1 {
            return Ok(true);
        }
        if remaining > 0 {
            sleep(PAUSE).await;
        }
    }
    Ok(false)
}

/// The process of PostgreSQL behind a connection, by a statement that is not prepared: poolers confuse those that are.
async fn process(connection: &mut AnyConnection) -> Result<i32, sqlx::Error> {
    let process = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection);
    process.await?.try_get(0)
}

impl Session {
    async fn of(connection: &mut AnyConnection) -> Result<Self, sqlx::Error> {
        let row = sqlx::query(
            "SELECT pid, CAST(backend_start AS TEXT) AS began FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        )
        .fetch_one(connection)
        .await?;
        Ok(Self {
            process: row.try_get("pid")?,
            began: row.try_get("began")?,
        })
    }

    /// Ends a session of this process that PostgreSQL still has, since it has not noticed that its connection is gone.
    async fn end(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let end = sqlx::query(
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = $1 AND CAST(backend_start AS TEXT) = $2",
        );
        end.bind(self.process)
            .bind(self.began.clone())
            .execute(connection)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_held_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Sqlite(folder.path().join("parlour.db"));
        let former = Lock::prepare(&place).await.unwrap();
        let child = tokio::spawn(async {
            sleep(PAUSE * 10).await;
            drop(former);
        });
        let lock = Lock::prepare(&place).await.unwrap();
        child.await.unwrap();
        let error = Lock::prepare(&place).await.unwrap_err();
        let own = std::process::id().to_string();
        assert!(matches!(error, LockError::Held { holder } if holder == own));
        drop(lock);
    }
}
