//! The configuration of compositions.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Compositions, each of which is made by a process of its own, of low priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compositions {
    /// The `parlour` program; without it, the one that runs. A program that embeds the server has to name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// The program that makes M4A, MP4 and WebM: ffmpeg, version 5 or later.
    pub ffmpeg: PathBuf,
    /// How many are made at a time.
    pub at_once: NonZeroU32,
    /// How long one may take, in seconds.
    pub timeout_s: NonZeroU32,
    /// The memory that its process may have, in MiB, where the operating system can limit that.
    pub memory_mib: NonZeroU32,
    /// The size that it may have, in MiB.
    pub size_mib: NonZeroU32,
}

impl Default for Compositions {
    fn default() -> Self {
        let positive = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            program: None,
            ffmpeg: "ffmpeg".into(),
            at_once: NonZeroU32::MIN,
            timeout_s: positive(3_600),
            memory_mib: positive(1_024),
            size_mib: positive(4_096),
        }
    }
}
