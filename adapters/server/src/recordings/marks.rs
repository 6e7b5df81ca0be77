//! Where somebody speaks in a recording. It stands beside the file, goes with it, and is nowhere else.

use parlour_files::compose::{Anchor, Clock};
use parlour_files::recording::Speech;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Archive, ArchiveError, names};
use crate::store::RecordingRow;

/// A stretch in which somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub(crate) struct Mark {
    /// Where it begins.
    pub(crate) from_ms: u64,
    /// Where it ends.
    pub(crate) to_ms: u64,
}

impl From<Speech> for Mark {
    fn from(speech: Speech) -> Self {
        let [from_ms, to_ms] =
            [speech.from, speech.to].map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        Self { from_ms, to_ms }
    }
}

/// What is wanted of what is known of a recording.
#[derive(Debug, Default, Deserialize)]
struct About {
    speech: Option<Vec<Mark>>,
    #[serde(default)]
    anchors: Vec<Anchor>,
}

/// Where somebody speaks in a recording.
#[derive(Debug)]
pub(crate) struct Spoken {
    /// By places in the file.
    pub(crate) marks: Vec<Mark>,
    clock: Clock,
}

impl Spoken {
    /// The same by the time since the recording began, which the publisher's clock runs apart from.
    pub(crate) fn by_time(mut self) -> Vec<Mark> {
        for mark in &mut self.marks {
            mark.from_ms = self.clock.time_ms(mark.from_ms);
            mark.to_ms = self.clock.time_ms(mark.to_ms);
        }
        self.marks
    }
}

/// Where somebody speaks in a recording; `None` if that is not known, or not yet.
///
/// # Errors
/// Those of the store.
pub(crate) async fn marks_of(
    archive: &Archive,
    row: &RecordingRow,
) -> Result<Option<Spoken>, ArchiveError> {
    if !row.is_stored {
        return Ok(None);
    }
    let about = match archive.read_small(&names::sidecar(row)?).await {
        Ok(about) => about,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    // What cannot be read there is not known.
    let about = serde_json::from_slice::<About>(&about).unwrap_or_default();
    Ok(about.speech.map(|marks| Spoken {
        marks,
        clock: Clock::new(&about.anchors),
    }))
}
