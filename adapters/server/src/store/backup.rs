//! Copies of an SQLite database, with the key file that opens what is sealed in them.
//!
//! ```text
//! back_up:  database ──VACUUM INTO──► parlour-TIME.db    key file ──► parlour-TIME.key
//! restore:  checked ──► copied beside the database ──► the old one moved aside ──► the new one in its place
//! ```
//!
//! A copy may be made while a server uses the database: it is of one moment, and holds up no writes. PostgreSQL has tools of its
//! own.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use parlour_tokio::{KeyFileError, load_or_create_key};
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};
use thiserror::Error;
use tokio::time::interval;

use super::keys::key;
use super::lock::Lock;
use super::{KeyRow, LockError, OpenError, Place, connect, migrate};
use crate::disk;
use crate::seal::Sealer;
use crate::time::Timestamp;

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;
/// How often a copy looks how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// A copy of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The database.
    pub path: PathBuf,
    /// Its key file.
    pub key_file: PathBuf,
    /// Bytes of the database.
    pub bytes: u64,
    /// When it was made.
    pub at: Timestamp,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the former database is now, if there was one.
    pub former: Option<PathBuf>,
    /// Where the former key file is now, if it was another one.
    pub former_key_file: Option<PathBuf>,
    /// Bytes of the database.
    pub bytes: u64,
}

/// Why a copy was not made, or not put back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The database is not a file.
    #[error(
        "the database is in PostgreSQL: use `pg_dump --format=custom` and `pg_restore`, and keep a copy of the key file {key_file}"
    )]
    Postgres {
        /// The key file that belongs to it.
        key_file: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process uses the database.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What should be put back is no database of this program, damaged, or newer than this program.
    #[error("{path} is not restored: {source}")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: OpenError,
    },
    /// What should be put back has errors.
    #[error("{path} is not restored, because it is damaged: {first}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong first.
        first: String,
    },
    /// The key file does not open the secrets in the database.
    #[error(
        "the key file {key_file} does not belong to {path}: give the one that was kept with it, as {beside}"
    )]
    KeyFile {
        /// Which key file.
        key_file: PathBuf,
        /// Which database.
        path: PathBuf,
        /// Where it would be found.
        beside: PathBuf,
    },
    /// The key file cannot be read.
    #[error(transparent)]
    KeyFileUnreadable(#[from] KeyFileError),
    /// The database refuses.
    #[error("the database cannot be copied: {0}")]
    Database(#[from] sqlx::Error),
}

fn on(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}

/// A path with something appended to its last part.
fn with(path: &Path, more: &str) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(more);
    path.into()
}

/// A time as part of a file name.
fn stamp(at: Timestamp) -> String {
    at.to_string().replace(':', "-")
}

/// Copies a file to one that only its owner may read, and has it on the disk.
fn copy(from: &Path, to: &Path, mut progress: impl FnMut(u64)) -> Result<u64, BackupError> {
    let mut source = File::open(from).map_err(on(from))?;
    let mut target = disk::create(to).map_err(on(to))?;
    let mut chunk = vec![0; CHUNK];
    let mut copied = 0;
    loop {
        let read = source.read(&mut chunk).map_err(on(from))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        target.write_all(bytes).map_err(on(to))?;
        copied += bytes.len() as u64;
        progress(copied);
    }
    target.sync_all().map_err(on(to))?;
    Ok(copied)
}

/// Has a file on the disk, which may take long; gives its size.
async fn sync(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let synced = tokio::task::spawn_blocking(move || {
        file.sync_all()?;
        Ok(file.metadata()?.len())
    });
    synced
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Has the names in a folder on the disk.
fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    // An empty path is the present folder.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let sync = File::open(folder).and_then(|folder| folder.sync_all());
    sync.map_err(on(folder))
}

/// Deletes the files of a copy that was not finished.
struct Unfinished(Vec<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        for path in &self.0 {
            // They may not be there yet.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a copy in a folder, which is made if it is missing. `progress` is told how many bytes are written.
///
/// # Errors
/// [`BackupError`]; nothing is left in the folder then.
pub async fn back_up(
    place: &Place,
    key_file: &Path,
    folder: &Path,
    at: Timestamp,
    mut progress: impl FnMut(u64),
) -> Result<Backup, BackupError> {
    let Place::Sqlite(database) = place else {
        return Err(BackupError::Postgres {
            key_file: key_file.to_owned(),
        });
    };
    fs::create_dir_all(folder).map_err(on(folder))?;
    let path = folder.join(format!("parlour-{}.db", stamp(at)));
    let key_copy = path.with_extension("key");
    let [part, key_part] = [with(&path, ".part"), with(&key_copy, ".part")];
    // SQLite fills an empty file, and so leaves its mode.
    disk::create(&part).map_err(on(&part))?;
    let mut unfinished = Unfinished(vec![part.clone(), key_part.clone()]);
    copy(key_file, &key_part, |_| {})?;
    let mut connection = connect(&Place::Sqlite(database.clone())).await?;
    let copied = sqlx::query("VACUUM INTO $1").bind(part.display().to_string());
    {
        let mut copied = pin!(copied.execute(&mut connection));
        let mut look = interval(LOOK);
        loop {
            tokio::select! {
                copied = &mut copied => break copied.map(drop)?,
                _ = look.tick() => progress(fs::metadata(&part).map_or(0, |part| part.len())),
            }
        }
    }
    connection.close().await?;
    let bytes = sync(&part).await.map_err(on(&part))?;
    // The database last: it says that there is a copy.
    fs::rename(&key_part, &key_copy).map_err(on(&key_copy))?;
    unfinished.0 = vec![part.clone(), key_copy.clone()];
    fs::rename(&part, &path).map_err(on(&path))?;
    unfinished.0.clear();
    sync_folder(folder)?;
    Ok(Backup {
        path,
        key_file: key_copy,
        bytes,
        at,
    })
}

/// Puts a copy in the place of a database that no process uses. It is checked first, and the former one is moved aside. Its key
/// file is the one beside it with the ending `.key`, or that of the server. `progress` is told how many bytes were copied.
///
/// # Errors
/// [`BackupError`]; if it is not the last step that fails, the former database is where it was.
pub async fn restore(
    copied: &Path,
    place: &Place,
    key_file: &Path,
    at: Timestamp,
    progress: impl FnMut(u64),
) -> Result<Restored, BackupError> {
    let Place::Sqlite(database) = place else {
        return Err(BackupError::Postgres {
            key_file: key_file.to_owned(),
        });
    };
    let _lock = Lock::prepare(place).await?;
    let beside = copied.with_extension("key");
    let copied_key = if beside.exists() { &beside } else { key_file };
    check_copy(copied, copied_key, &beside).await?;
    // All that may need room on the disk comes before the former one is touched.
    let [part, key_part] = [with(database, ".restoring"), with(key_file, ".restoring")];
    for path in [&part, &key_part] {
        // Of a restore that was killed.
        let _ = fs::remove_file(path);
    }
    let mut unfinished = Unfinished(vec![part.clone(), key_part.clone()]);
    let bytes = copy(copied, &part, progress)?;
    let same_key = fs::read(copied_key).ok() == fs::read(key_file).ok();
    if !same_key {
        copy(copied_key, &key_part, |_| {})?;
    }
    let aside = format!(".replaced-{}", stamp(at));
    let former = with(database, &aside);
    let is_new = !database.exists();
    // The log first: it must not be taken for that of the new one.
    for end in ["-wal", "-shm", ""] {
        let (from, to) = (with(database, end), with(&former, end));
        if from.exists() {
            fs::rename(&from, &to).map_err(on(&to))?;
        }
    }
    let mut former_key_file = None;
    if !same_key {
        if key_file.exists() {
            let to = with(key_file, &aside);
            fs::rename(key_file, &to).map_err(on(&to))?;
            former_key_file = Some(to);
        }
        fs::rename(&key_part, key_file).map_err(on(key_file))?;
    }
    fs::rename(&part, database).map_err(on(database))?;
    unfinished.0.clear();
    for path in [database.as_path(), key_file] {
        sync_folder(path.parent().unwrap_or(Path::new("")))?;
    }
    Ok(Restored {
        former: (!is_new).then_some(former),
        former_key_file,
        bytes,
    })
}

/// Whether a copy is whole, of a version that this program knows, and opened by its key file.
async fn check_copy(copied: &Path, key_file: &Path, beside: &Path) -> Result<(), BackupError> {
    let refused = |source| BackupError::Refused {
        path: copied.to_owned(),
        source,
    };
    // Before SQLite makes an empty one.
    File::open(copied).map_err(on(copied))?;
    let place = Place::Sqlite(copied.to_owned());
    let opened = |error| refused(OpenError::of(&place, error));
    let mut connection = connect(&place).await.map_err(opened)?;
    let version = migrate::version(&mut connection, &place).await;
    let version = version.map_err(|error| refused(error.told(&place)))?;
    migrate::check_version(version, &place).map_err(refused)?;
    let problems = integrity(&mut connection).await.map_err(opened)?;
    if let Some(first) = problems.into_iter().next() {
        return Err(BackupError::Damaged {
            path: copied.to_owned(),
            first,
        });
    }
    let keys = sqlx::query("SELECT * FROM keys WHERE revoked_at IS NULL");
    let keys = keys.fetch_all(&mut connection).await.map_err(opened)?;
    connection.close().await?;
    let key_error = || BackupError::KeyFile {
        key_file: key_file.to_owned(),
        path: copied.to_owned(),
        beside: beside.to_owned(),
    };
    if !key_file.exists() {
        return Err(key_error());
    }
    let identity = load_or_create_key(key_file)?;
    let sealer = Sealer::new(identity.secret().expose_bytes());
    for row in &keys {
        let KeyRow { id, sealed, .. } = key(row).map_err(|_| key_error())?;
        sealer.open(&id, &sealed).map_err(|_| key_error())?;
    }
    Ok(())
}

/// What SQLite itself finds wrong in a database.
pub(super) async fn integrity(connection: &mut AnyConnection) -> Result<Vec<String>, sqlx::Error> {
    let rows = connection.fetch_all("PRAGMA integrity_check(20)").await?;
    let mut problems = Vec::new();
    for row in rows {
        let problem: String = row.try_get(0)?;
        if problem != "ok" {
            problems.push(problem);
        }
    }
    for row in connection.fetch_all("PRAGMA foreign_key_check").await? {
        let table: String = row.try_get(0)?;
        problems.push(format!("a row of {table} refers to one that is not there"));
    }
    Ok(problems)
}
