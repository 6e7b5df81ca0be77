//! The tables, in SQLite or PostgreSQL: the same statements on both.
//!
//! ```text
//! write(job) ──► writer: one connection, one transaction for many jobs ──► commit ──► answers, committed()
//! list, get ◄─── readers: a pool of connections, which see committed rows only
//! ```
//!
//! Every change of a table is a *job* of the one writer, and tells the journal of it in the same transaction: what is listed has
//! been told, and what is told can be listed. Times are milliseconds since 1970, JSON is text, flags are 0 or 1.

mod admins;
mod audit;
mod backup;
mod bans;
mod check;
mod compositions;
mod deliveries;
mod erasures;
mod figures;
mod idempotency;
mod journal;
mod keys;
mod list;
mod lock;
mod migrate;
mod presence;
mod recordings;
mod refresh;
mod rooms;
mod row;
mod samples;
mod sessions;
mod sweep;
mod webhooks;
mod writer;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Executor as _;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, Connection as _};
use thiserror::Error;
use tokio::sync::watch;

use crate::time::Timestamp;

pub use admins::{AdminRow, LoginRow};
pub use audit::{AuditFilter, AuditRow, DONE, Ledger, audit_as, unaudited};
pub use backup::{Backup, BackupError, Restored, back_up, restore};
pub use bans::{Ban, Mark};
pub use check::{Checked, check};
pub use compositions::{
    COMPOSITION_SORT, CompositionFilter, CompositionInput, CompositionRow, StartedComposition,
};
pub use deliveries::{Answer, DeliveryChange, DeliveryRow, DeliveryState, End, Owed, Plan};
pub use erasures::{ERASURE_SORT, ErasureRow};
pub use figures::Figures;
pub use idempotency::Answered;
pub use journal::{EventFilter, JournalEvent, KINDS, NewEvent, Presence};
pub use keys::KeyRow;
pub use list::{Cursor, Order, Page, PageRequest, Sort, Value};
pub use lock::LockError;
pub use presence::ParticipantChange;
pub use recordings::{ClosedRecording, RecordingFilter, RecordingRow, RecordingTotals};
pub use refresh::RefreshRow;
pub use rooms::{RoomFilter, RoomRow};
pub(crate) use samples::{FINE, STEP};
pub use samples::{SampleFilter, SampleRow};
pub use sessions::{
    ParticipantFilter, ParticipantRow, SessionFilter, SessionRow, StayRow, StreamRow,
};
pub use webhooks::{WebhookHealth, WebhookRow, WebhookSettings, WebhookStanding};
pub use writer::Tx;

use lock::Lock;
use row::Columns;
use writer::Writer;

/// Connections that read at a time.
const READERS: u32 = 4;

/// Where the tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file of SQLite, made if it is missing.
    Sqlite(PathBuf),
    /// A PostgreSQL database, `postgres://user@host/database`.
    Postgres(String),
}

/// The engine of a [`Place`].
#[derive(Debug, Clone, Copy)]
enum Engine {
    Sqlite,
    Postgres,
}

impl Place {
    fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }
}

/// Why the tables cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has them.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A newer version of this program has changed them.
    #[error(
        "the database has version {found} and this program knows {known}: run the newer program, or restore the copy from before its migration"
    )]
    Newer {
        /// The database's version.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// The copy before a migration cannot be made.
    #[error(
        "cannot copy the database to {path} before its migration: {source}; make room, or move that file away"
    )]
    Copy {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: sqlx::Error,
    },
    /// The file is not there.
    #[error("there is no database {path}: check the path, and the configuration")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// The file is damaged, or none of SQLite.
    #[error(
        "the database {path} is damaged: {detail}; keep a copy of it, look at it with `parlour db check`, and put a backup in its \
         place with `parlour db restore`"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// The file is a database of another program.
    #[error("the database {path} is none of this server: it lacks its tables")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// The database refuses.
    #[error("cannot open the database: {0}")]
    Database(#[from] sqlx::Error),
}

impl OpenError {
    /// What an error of that database means.
    fn of(place: &Place, error: sqlx::Error) -> Self {
        // SQLite's codes have the kind in their lowest byte: 11 for damage, 26 for what is no database.
        let code = error.as_database_error().and_then(|error| error.code());
        let code: Option<i64> = code.and_then(|code| code.parse().ok());
        match (place, code.map(|code| code & 0xff)) {
            (Place::Sqlite(path), Some(11 | 26)) => Self::Damaged {
                path: path.clone(),
                detail: error.to_string(),
            },
            _ => Self::Database(error),
        }
    }

    /// The same, if it is not known yet.
    fn told(self, place: &Place) -> Self {
        match self {
            Self::Database(error) => Self::of(place, error),
            told => told,
        }
    }
}

/// Why something was not read or written. Nothing of it is done then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database refuses, or cannot be reached.
    #[error("the database does not work: {0}")]
    Database(#[from] sqlx::Error),
    /// The transaction failed that this was a part of.
    #[error("the database cannot be written: {0}")]
    Unavailable(String),
    /// A row holds what this program never writes there.
    #[error("the database holds {what} that cannot be read: {value:?}")]
    Damaged {
        /// The expected content.
        what: &'static str,
        /// The actual content.
        value: String,
    },
    /// A mistake of this program.
    #[error("the job has panicked, and nothing of it is written: the log says where")]
    Panicked,
    /// The writer has ended, since the server shuts down.
    #[error("the server shuts down")]
    ShutDown,
}

/// The tables. Clones are the same.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    readers: AnyPool,
    writer: Writer,
}

impl Store {
    /// Opens the tables, and brings them to this program's version.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(place: &Place) -> Result<Self, OpenError> {
        let opened = Self::open_any(place).await;
        opened.map_err(|error| error.told(place))
    }

    async fn open_any(place: &Place) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let mut lock = Lock::prepare(place).await?;
        let options = connect_options(place, "rwc")?;
        let connections = |most| {
            AnyPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(Duration::from_secs(5))
                .after_connect({
                    let place = place.clone();
                    move |connection, _| {
                        let pragmas = pragmas(&place);
                        Box::pin(async move { connection.execute(pragmas).await.map(drop) })
                    }
                })
        };
        if let Place::Sqlite(path) = place
            && !path.exists()
        {
            // With the files beside it, which SQLite makes alike. What is wrong, the connection tells.
            let _ = crate::disk::create(path);
        }
        // A pool would try again, and not say why it cannot connect.
        let mut first = AnyConnection::connect_with(&options).await?;
        first.execute(pragmas(place)).await?;
        let open = {
            // It is not closed while it works: PostgreSQL's lock belongs to its session.
            let own = connections(1).idle_timeout(None).max_lifetime(None);
            let options = options.clone();
            move || own.clone().connect_lazy_with(options.clone())
        };
        let own = open();
        {
            let mut own = own.acquire().await?;
            lock.check_sessions(&mut first, &mut own).await?;
            lock.hold(&mut own).await?;
        }
        migrate::migrate(&mut first, place).await?;
        first.close().await?;
        let readers = connections(READERS).connect_with(options).await?;
        let begin = match place {
            // Waits for another writer here, and not in the middle.
            Place::Sqlite(_) => "BEGIN IMMEDIATE",
            Place::Postgres(_) => "BEGIN",
        };
        let writer = Writer::spawn(own, open, begin, lock).await?;
        Ok(Self {
            engine: place.engine(),
            readers,
            writer,
        })
    }

    /// Has the writer do `job`: an `async` block that uses a transaction. Returns once that is committed.
    ///
    /// ```
    /// # use parlour_server::store::{Ban, Store, StoreError};
    /// # async fn example(store: Store, ban: Ban) -> Result<(), StoreError> {
    /// store.write(|tx| Box::pin(async move { tx.put_ban(&ban).await })).await
    /// # }
    /// ```
    ///
    /// The first transaction of a request has its entry of the [audit log](Ledger), too.
    ///
    /// # Errors
    /// The job's own, or [`StoreError`]: nothing is done then.
    pub async fn write<T, E, J>(&self, job: J) -> Result<T, E>
    where
        J: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Some((ledger, row)) = Ledger::current() else {
            return self.writer.write(job).await;
        };
        let audited = self.writer.write(move |tx| {
            Box::pin(async move {
                let done = job(&mut *tx).await?;
                tx.put_audit(&row).await?;
                Ok::<T, E>(done)
            })
        });
        let done = audited.await?;
        ledger.set_written();
        Ok(done)
    }

    /// Ends: returns once all jobs are done and the database is free for another process.
    pub async fn close(self) {
        let Self {
            readers, writer, ..
        } = self;
        writer.close().await;
        readers.close().await;
    }

    /// The number of the newest event that can be read, and its successors as they come.
    pub fn committed(&self) -> watch::Receiver<i64> {
        self.writer.committed()
    }

    /// Waits until another process has had the database for a while, and this one writes nothing any more. It does not return
    /// as long as all is well.
    pub(crate) async fn lost(&self) {
        self.writer.lost().await;
    }

    /// How the writer fares.
    pub fn figures(&self) -> Figures {
        self.writer.figures()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        self.write(|tx| Box::pin(tx.heartbeat())).await
    }
}

/// A connection of its own, which changes nothing by being made.
async fn connect(place: &Place) -> Result<AnyConnection, sqlx::Error> {
    sqlx::any::install_default_drivers();
    AnyConnection::connect_with(&connect_options(place, "rw")?).await
}

fn connect_options(place: &Place, mode: &str) -> Result<AnyConnectOptions, sqlx::Error> {
    let url = match place {
        Place::Sqlite(path) => format!("sqlite://{}?mode={mode}", path.display()),
        Place::Postgres(url) => url.clone(),
    };
    AnyConnectOptions::from_str(&url)
}

fn pragmas(place: &Place) -> &'static str {
    match place {
        Place::Sqlite(_) => {
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
             PRAGMA secure_delete = ON"
        }
        // Whoever locks a table holds nobody up for longer than SQLite does.
        Place::Postgres(_) => "SET TIME ZONE 'UTC'; SET lock_timeout = 5000",
    }
}

/// A column that holds a time.
fn at(row: &impl Columns, column: &'static str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(row.field(column)?))
}

/// A column that may hold a time.
fn maybe_at(row: &impl Columns, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    let millis: Option<i64> = row.field(column)?;
    Ok(millis.map(Timestamp::from_millis))
}

/// A column that holds a flag.
fn flag(row: &impl Columns, column: &'static str) -> Result<bool, StoreError> {
    let flag: i64 = row.field(column)?;
    Ok(flag != 0)
}

/// A column that holds JSON.
fn json<T: serde::de::DeserializeOwned>(
    row: &impl Columns,
    column: &'static str,
) -> Result<T, StoreError> {
    let text = row.text(column)?.unwrap_or_default();
    serde_json::from_str(&text).map_err(|_| StoreError::Damaged {
        what: column,
        value: text.into_owned(),
    })
}

/// JSON as it stands in a column. The values have text keys only, so they can always be written.
fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
