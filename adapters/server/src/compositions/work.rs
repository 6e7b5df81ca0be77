//! The work on one composition: fetches its recordings, has the child compose them, and stores the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use parlour_files::compose::{Anchor, Format, Input, Job};
use serde::Deserialize;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::child::{self, ChildError};
use super::{Request, name_of};
use crate::recordings::{
    Archive, ArchiveError, Backoff, Stored, composition_path, ending, path, sidecar_path,
};
use crate::store::{RecordingRow, StartedComposition};
use crate::{config, disk};

/// How the work on a composition ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The store has its file.
    Ready(Stored),
    /// It would fail again.
    Failed { error: &'static str, detail: String },
    /// Its process has, which need not happen again.
    Crashed(String),
    /// It is not wanted any more.
    Stopped,
    /// The server ends.
    ShutDown,
}

impl Ended {
    fn failed(error: &'static str, detail: impl ToString) -> Self {
        let detail = detail.to_string();
        Self::Failed { error, detail }
    }

    /// What cannot be read or written on this machine.
    fn of_disk(error: &std::io::Error) -> Self {
        let detail = format!("the spool folder: {error}");
        Self::failed("write-failed", detail)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Work {
    /// Its own, for what it works on.
    pub(super) folder: PathBuf,
    pub(super) config: config::Compositions,
    pub(super) archive: Archive,
    pub(super) started: StartedComposition,
    pub(super) stop: CancellationToken,
    pub(super) shut_down: CancellationToken,
}

impl Work {
    /// Composes it. `progress` is told how much is done, in percent.
    pub(super) async fn compose(&self, progress: impl Fn(u8)) -> Ended {
        let ended = tokio::select! {
            ended = self.try_to_compose(progress) => ended.unwrap_or_else(|ended| ended),
            () = self.stop.cancelled() => Ended::Stopped,
            () = self.shut_down.cancelled() => Ended::ShutDown,
        };
        // The next start removes what stays.
        let _ = fs::remove_dir_all(&self.folder).await;
        ended
    }

    async fn try_to_compose(&self, progress: impl Fn(u8)) -> Result<Ended, Ended> {
        let StartedComposition { row, .. } = &self.started;
        let disk = |error: std::io::Error| Ended::of_disk(&error);
        disk::create_folder(&self.folder).map_err(disk)?;
        let damaged = |error: serde_json::Error| Ended::failed("compose-failed", error);
        let format: Format = serde_json::from_value(row.format.as_str().into()).map_err(damaged)?;
        let request: Request = serde_json::from_value(row.request.clone()).map_err(damaged)?;
        let mut inputs = Vec::new();
        for (number, recording) in self.started.recordings.iter().enumerate() {
            let name = format!("{number}.{}", ending(&recording.codec));
            inputs.push(self.fetch(recording, &name).await?);
        }
        let output = format!("composition.{}", name_of(format));
        let job = Job {
            output: output.as_str().into(),
            format,
            audio: request.audio,
            video: request.video,
            ffmpeg: self.config.ffmpeg.clone(),
            from_ms: self.started.from_ms,
            to_ms: self.started.to_ms,
            max_bytes: u64::from(self.config.size_mib.get()) << 20,
            inputs,
        };
        child::run(&self.config, &self.folder, &job, progress)
            .await
            .map_err(|error| match error {
                ChildError::Refused(detail) => Ended::failed("compose-failed", detail),
                ChildError::Crashed(detail) => Ended::Crashed(detail),
                ChildError::TimedOut(seconds) => Ended::failed(
                    "timed-out",
                    format!("it took longer than {seconds} s: compose a shorter time, or raise `compositions.timeout_s`"),
                ),
                ChildError::NotStarted(error) => Ended::failed(
                    "compose-failed",
                    format!("the program that composes cannot be started: {error}"),
                ),
            })?;
        self.store(&self.folder.join(output)).await
    }

    /// Fetches a recording into the folder. While the store fails, it is asked again.
    async fn fetch(&self, recording: &RecordingRow, name: &str) -> Result<Input, Ended> {
        let mut backoff = Backoff::default();
        let anchors = loop {
            match self.try_to_fetch(recording, name).await {
                Ok(anchors) => break anchors,
                Err(ArchiveError::Spool(error)) => return Err(Ended::of_disk(&error)),
                Err(error) if error.is_missing() => {
                    let detail = format!("the store has lost the file of {}", recording.id);
                    return Err(Ended::failed("recording-missing", detail));
                }
                Err(error) => self.wait(&mut backoff, &error).await,
            }
        };
        Ok(Input {
            path: name.into(),
            participant: recording.participant.clone(),
            name: self
                .started
                .names
                .get(&recording.participant)
                .cloned()
                .unwrap_or_default(),
            stream: recording.stream.clone(),
            start_ms: recording.started_at.as_millis() - self.started.began.as_millis(),
            duration_ms: recording
                .duration_ms
                .and_then(|ms| u64::try_from(ms).ok())
                .unwrap_or(0),
            anchors,
        })
    }

    async fn try_to_fetch(
        &self,
        recording: &RecordingRow,
        name: &str,
    ) -> Result<Vec<Anchor>, ArchiveError> {
        let size = recording.size.and_then(|size| u64::try_from(size).ok());
        let bytes = self
            .archive
            .read(path(recording)?, 0..size.unwrap_or(0))
            .await?;
        let mut file = File::create(self.folder.join(name)).await?;
        let mut bytes = std::pin::pin!(bytes);
        while let Some(piece) = bytes.next().await {
            file.write_all(&piece?).await?;
        }
        file.flush().await?;
        let about = match self.archive.read_small(&sidecar_path(recording)?).await {
            Ok(about) => about,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        // What cannot be read there is done without.
        let about = serde_json::from_slice::<About>(&about).unwrap_or_default();
        Ok(about.anchors)
    }

    /// Stores the file. While the store fails, it is tried again.
    async fn store(&self, file: &Path) -> Result<Ended, Ended> {
        let to = composition_path(&self.started.row);
        let to = to.map_err(|error| Ended::failed("write-failed", error))?;
        let mut backoff = Backoff::default();
        loop {
            match self.archive.put_file(&to, file).await {
                Ok(stored) => return Ok(Ended::Ready(stored)),
                Err(ArchiveError::Spool(error)) => return Err(Ended::of_disk(&error)),
                Err(error) => self.wait(&mut backoff, &error).await,
            }
        }
    }

    async fn wait(&self, backoff: &mut Backoff, error: &ArchiveError) {
        let id = &self.started.row.id;
        tracing::warn!(composition = id, %error, "the store does not work; trying again");
        sleep(backoff.next().unwrap_or(Duration::MAX)).await;
    }

    /// Has the store forget the file.
    pub(super) async fn discard(&self) {
        let deleted = match composition_path(&self.started.row) {
            Ok(path) => self.archive.delete(&path).await,
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            let id = &self.started.row.id;
            tracing::warn!(composition = id, %error, "the file of a cancelled composition stays");
        }
    }
}

/// What is wanted of what is known of a recording.
#[derive(Debug, Default, Deserialize)]
struct About {
    #[serde(default)]
    anchors: Vec<Anchor>,
}
