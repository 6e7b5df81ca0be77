//! One process for each database.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use sqlx::{AnyConnection, Connection as _, Row as _};
use thiserror::Error;

use super::Place;

/// The key of PostgreSQL's advisory lock: "parlour" in ASCII.
const ADVISORY: i64 = 0x70_61_72_6c_6f_75_72;

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
    Advisory { _session: Box<AnyConnection> },
}

impl Lock {
    pub(super) async fn take(place: &Place) -> Result<Self, LockError> {
        match place {
            Place::Sqlite(path) => {
                let mut path = path.clone().into_os_string();
                path.push(".lock");
                Self::take_file(path.into())
            }
            Place::Postgres(url) => {
                let mut session = AnyConnection::connect(url).await?;
                let taken =
                    sqlx::query("SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1 ELSE 0 END")
                        .bind(ADVISORY)
                        .fetch_one(&mut session)
                        .await?;
                if taken.try_get::<i32, _>(0)? == 0 {
                    let holder = sqlx::query(
                        "SELECT COALESCE(MIN(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted",
                    )
                    .fetch_one(&mut session)
                    .await?;
                    let holder: i32 = holder.try_get(0)?;
                    let holder = format!("behind PostgreSQL's process {holder}");
                    return Err(LockError::Held { holder });
                }
                Ok(Self::Advisory {
                    _session: Box::new(session),
                })
            }
        }
    }

    fn take_file(path: PathBuf) -> Result<Self, LockError> {
        let failed = |source| LockError::File {
            path: path.clone(),
            source,
        };
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                return Err(LockError::Held { holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
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
