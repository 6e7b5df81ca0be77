//! What the tables have of a recording, and what the journal says of it.

use serde_json::{Value, json};

use crate::store::row::{Columns, Entry};
use crate::store::{NewEvent, StoreError, at, flag, maybe_at};
use crate::time::Timestamp;

/// A recording as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingRow {
    /// Its id, `rec_…`.
    pub id: String,
    /// The room.
    pub room: String,
    /// The session.
    pub session: String,
    /// Whose stream it is.
    pub participant: String,
    /// The stream's key.
    pub stream: String,
    /// `audio`.
    pub kind: String,
    /// The stream's codec.
    pub codec: String,
    /// `recording`, `storing`, `ready` or `failed`.
    pub state: String,
    /// When its first packet arrived.
    pub started_at: Timestamp,
    /// When it was closed.
    pub ended_at: Option<Timestamp>,
    /// How long it is.
    pub duration_ms: Option<i64>,
    /// Its bytes.
    pub size: Option<i64>,
    /// The hash of its bytes, in hexadecimal, once the store has it.
    pub sha256: Option<String>,
    /// How much of it is missing.
    pub lost_ms: Option<i64>,
    /// How much of it nothing was sent for.
    pub silent_ms: Option<i64>,
    /// When retention deletes it.
    pub expires_at: Option<Timestamp>,
    /// Why it is `failed`.
    pub error: Option<String>,
    /// Whether its file lies in the spool folder.
    pub is_spooled: bool,
    /// Whether the store has its file.
    pub is_stored: bool,
    /// Since when it is to be gone.
    pub deleted_at: Option<Timestamp>,
}

/// What is known of a recording when its file is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedRecording {
    /// When.
    pub ended_at: Timestamp,
    /// How long it is.
    pub duration_ms: i64,
    /// Its bytes.
    pub size: i64,
    /// How much of it is missing.
    pub lost_ms: Option<i64>,
    /// How much of it nothing was sent for.
    pub silent_ms: Option<i64>,
    /// When retention deletes it.
    pub expires_at: Option<Timestamp>,
    /// Why it is not whole.
    pub error: Option<String>,
}

impl Entry for RecordingRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "room",
        "session",
        "participant",
        "stream",
        "kind",
        "codec",
        "state",
        "started_at",
        "ended_at",
        "duration_ms",
        "size",
        "sha256",
        "lost_ms",
        "silent_ms",
        "expires_at",
        "error",
        "spooled",
        "stored",
        "deleted_at",
    ];

    fn of(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.field("id")?,
            room: row.field("room")?,
            session: row.field("session")?,
            participant: row.field("participant")?,
            stream: row.field("stream")?,
            kind: row.field("kind")?,
            codec: row.field("codec")?,
            state: row.field("state")?,
            started_at: at(row, "started_at")?,
            ended_at: maybe_at(row, "ended_at")?,
            duration_ms: row.field("duration_ms")?,
            size: row.field("size")?,
            sha256: row.field("sha256")?,
            lost_ms: row.field("lost_ms")?,
            silent_ms: row.field("silent_ms")?,
            expires_at: maybe_at(row, "expires_at")?,
            error: row.field("error")?,
            is_spooled: flag(row, "spooled")?,
            is_stored: flag(row, "stored")?,
            deleted_at: maybe_at(row, "deleted_at")?,
        })
    }
}

impl RecordingRow {
    /// Whether its file is still being written.
    pub fn is_active(&self) -> bool {
        self.state == "recording"
    }

    /// What the journal says of it.
    pub(super) fn event(&self, kind: &'static str, at: Timestamp) -> NewEvent {
        let recording: Value = json!({
            "id": self.id,
            "stream": self.stream,
            "kind": self.kind,
            "codec": self.codec,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "duration_ms": self.duration_ms,
            "size": self.size,
            "sha256": self.sha256,
            "lost_ms": self.lost_ms,
            "silent_ms": self.silent_ms,
            "expires_at": self.expires_at,
            "error": self.error,
        });
        NewEvent {
            kind,
            at,
            room: Some(self.room.clone()),
            session: Some(self.session.clone()),
            participant: Some(self.participant.clone()),
            data: json!({"recording": recording}),
        }
    }
}
