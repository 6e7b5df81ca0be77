//! The spool folder: files that are written, or wait to be stored.
//!
//! A recording is two files there, named by its id, so that no name of a client's comes near the file system: the media, and
//! beside it what is known of it. The latter is first, so that what is found after a crash can be told of.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names::ending;
use crate::store::{ClosedRecording, RecordingRow};
use crate::time::Timestamp;

/// What is known of a recording, as it stands beside its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    pub(crate) id: String,
    pub(crate) room: String,
    pub(crate) session: String,
    pub(crate) participant: String,
    pub(crate) stream: String,
    pub(crate) kind: String,
    pub(crate) codec: String,
    pub(crate) started_at: Timestamp,
    /// How many days it is kept; 0 for ever.
    pub(crate) retention_days: u32,
    /// Once its file is closed.
    #[serde(flatten)]
    pub(crate) closed: Option<Closed>,
}

/// What is known of a recording whose file is closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Closed {
    pub(crate) ended_at: Timestamp,
    pub(crate) duration_ms: u64,
    pub(crate) size: u64,
    pub(crate) lost_ms: Option<u64>,
    pub(crate) silent_ms: Option<u64>,
    pub(crate) error: Option<String>,
    /// Where nothing was sent, or was lost: `place_ms`, `length_ms`.
    pub(crate) gaps: Value,
    /// Where it was when: `place_ms`, `at_ms`, both since the beginning.
    pub(crate) anchors: Value,
}

impl Sidecar {
    /// As a row of the tables, when it begins.
    pub(crate) fn row(&self) -> RecordingRow {
        RecordingRow {
            id: self.id.clone(),
            room: self.room.clone(),
            session: self.session.clone(),
            participant: self.participant.clone(),
            stream: self.stream.clone(),
            kind: self.kind.clone(),
            codec: self.codec.clone(),
            state: "recording".to_owned(),
            started_at: self.started_at,
            ended_at: None,
            duration_ms: None,
            size: None,
            sha256: None,
            lost_ms: None,
            silent_ms: None,
            expires_at: None,
            error: None,
            is_spooled: true,
            is_stored: false,
            deleted_at: None,
        }
    }

    /// What the tables have of it when it is closed.
    pub(crate) fn closing(&self) -> Option<ClosedRecording> {
        let closed = self.closed.as_ref()?;
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Some(ClosedRecording {
            ended_at: closed.ended_at,
            duration_ms: signed(closed.duration_ms),
            size: signed(closed.size),
            lost_ms: closed.lost_ms.map(signed),
            silent_ms: closed.silent_ms.map(signed),
            expires_at: super::expiry(closed.ended_at, self.retention_days),
            error: closed.error.clone(),
        })
    }
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// The folder, which is made with the first file.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file of a recording.
    pub(crate) fn media(&self, id: &str, codec: &str) -> PathBuf {
        self.folder.join(format!("{id}.{}", ending(codec)))
    }

    fn sidecar(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// Makes a recording's files.
    pub(crate) fn create(&self, sidecar: &Sidecar) -> io::Result<File> {
        create_folder(&self.folder)?;
        self.write(sidecar)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        private(&mut options).open(self.media(&sidecar.id, &sidecar.codec))
    }

    /// Replaces what is known of a recording, at once or not at all.
    pub(crate) fn write(&self, sidecar: &Sidecar) -> io::Result<()> {
        let new = self.folder.join(format!("{}.new", sidecar.id));
        let mut options = OpenOptions::new();
        let mut file = private(options.write(true).create(true).truncate(true)).open(&new)?;
        file.write_all(&serde_json::to_vec(sidecar)?)?;
        file.sync_all()?;
        fs::rename(new, self.sidecar(&sidecar.id))
    }

    /// What is known of a recording, if it is here.
    pub(crate) fn read(&self, id: &str) -> io::Result<Option<Sidecar>> {
        match fs::read(self.sidecar(id)) {
            Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a recording that the store has, or that was deleted.
    pub(crate) fn remove(&self, id: &str, codec: &str) -> io::Result<()> {
        for path in [self.media(id, codec), self.sidecar(id)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The ids of all recordings that are here.
    pub(crate) fn list(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            ids.extend(id.map(str::to_owned));
        }
        ids.sort();
        Ok(ids)
    }

    /// How much of its disk is free, and how large that is, in bytes; `None` where that is not known.
    #[cfg(unix)]
    pub(crate) fn free(&self) -> Option<(u64, u64)> {
        // The folder may not be there yet.
        let mut folders = self
            .folder
            .ancestors()
            .map(|folder| match folder.as_os_str() {
                empty if empty.is_empty() => Path::new("."),
                _ => folder,
            });
        let about = folders.find_map(|folder| rustix::fs::statvfs(folder).ok())?;
        Some((
            about.f_bavail.saturating_mul(about.f_frsize),
            about.f_blocks.saturating_mul(about.f_frsize),
        ))
    }

    #[cfg(not(unix))]
    pub(crate) fn free(&self) -> Option<(u64, u64)> {
        None
    }
}

/// Nobody else may hear what is in it.
fn private(options: &mut OpenOptions) -> &OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes a folder that only this user may read, unless it is there.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
