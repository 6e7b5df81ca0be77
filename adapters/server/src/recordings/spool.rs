//! The spool folder: files that are written, or wait to be stored.
//!
//! A recording is two files there, named by its id, so that no name of a client's comes near the file system: the media, and
//! beside it what is known of it. The latter is first, so that what is found after a crash can be told of.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Mark;
use super::names::ending;
use crate::disk::{self, Space};
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
    /// Where its publisher speaks; unknown if the file was cut off, or an older version has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) speech: Option<Vec<Mark>>,
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
        disk::create_folder(&self.folder)?;
        self.write(sidecar)?;
        disk::create(&self.media(&sidecar.id, &sidecar.codec))
    }

    /// Replaces what is known of a recording, at once or not at all.
    pub(crate) fn write(&self, sidecar: &Sidecar) -> io::Result<()> {
        disk::replace(&self.sidecar(&sidecar.id), &serde_json::to_vec(sidecar)?)
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
        let mut ids = Vec::new();
        for entry in self.entries()? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            ids.extend(id.map(str::to_owned));
        }
        ids.sort();
        Ok(ids)
    }

    /// How many bytes its files have.
    pub(crate) fn used(&self) -> io::Result<u64> {
        let mut used = 0;
        for entry in self.entries()? {
            // One that is stored meanwhile is none any more.
            used += entry?.metadata().map_or(0, |about| about.len());
        }
        Ok(used)
    }

    fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>> + use<>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        Ok(entries.into_iter().flatten())
    }

    /// The room on its disk; `None` where that is not known.
    pub(crate) fn space(&self) -> Option<Space> {
        disk::space(&self.folder)
    }
}
