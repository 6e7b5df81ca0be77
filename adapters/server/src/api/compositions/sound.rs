//! The channels of a composition, as a request has them.

use parlour_files::compose::{Audio, Side};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::CompositionFormat;
use crate::api::problem::Problem;
use crate::api::sessions::{All, ids};

/// The channels of a composition.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompositionAudio {
    #[serde(default)]
    mode: AudioMode,
    /// Who is heard on the left: with `dual` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<ParticipantSet>,
    /// Who is heard on the right: with `dual` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    right: Option<ParticipantSet>,
}

/// How recordings become channels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AudioMode {
    /// One channel with all.
    #[default]
    Mix,
    /// Two channels: `left` and `right` say with whom.
    Dual,
    /// A channel for each stream of each participant, in the order in which they begin: WAV, 32 at most.
    Tracks,
}

/// `"all"`, `"rest"` for all who are not on the other side, or a list of ids.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ParticipantSet {
    All(All),
    Rest(Rest),
    Only(Vec<String>),
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rest {
    Rest,
}

impl ParticipantSet {
    pub(super) fn checked(self, pointer: &str) -> Result<Side, Problem> {
        Ok(match self {
            Self::All(All::All) => Side::All,
            Self::Rest(Rest::Rest) => Side::Rest,
            Self::Only(only) => {
                ids(pointer, &only)?;
                Side::Only(only)
            }
        })
    }
}

impl From<Side> for ParticipantSet {
    fn from(side: Side) -> Self {
        match side {
            Side::All => Self::All(All::All),
            Side::Rest => Self::Rest(Rest::Rest),
            Side::Only(ids) => Self::Only(ids),
        }
    }
}

impl From<Audio> for CompositionAudio {
    fn from(audio: Audio) -> Self {
        let of = |mode| Self {
            mode,
            ..Self::default()
        };
        match audio {
            Audio::Mix => of(AudioMode::Mix),
            Audio::Tracks => of(AudioMode::Tracks),
            Audio::Dual { left, right } => Self {
                mode: AudioMode::Dual,
                left: Some(left.into()),
                right: Some(right.into()),
            },
        }
    }
}

impl CompositionAudio {
    pub(super) fn checked(self, format: CompositionFormat) -> Result<Audio, Problem> {
        let invalid = |pointer: &str, detail: &str| Err(Problem::invalid_member(pointer, detail));
        match (self.mode, self.left, self.right) {
            (AudioMode::Dual, Some(left), Some(right)) => {
                let left = left.checked("/audio/left")?;
                let right = right.checked("/audio/right")?;
                if (&left, &right) == (&Side::Rest, &Side::Rest) {
                    let detail =
                        "it cannot be the rest of a rest: say \"all\", or name the participants";
                    return invalid("/audio/right", detail);
                }
                Ok(Audio::Dual { left, right })
            }
            (AudioMode::Dual, left, _) => {
                let missing = if left.is_none() { "left" } else { "right" };
                let detail = "`dual` needs both sides: \"all\", \"rest\" or a list of participants";
                invalid(&format!("/audio/{missing}"), detail)
            }
            (_, Some(_), _) => invalid("/audio/left", "it goes with `dual` only"),
            (_, _, Some(_)) => invalid("/audio/right", "it goes with `dual` only"),
            (AudioMode::Tracks, ..) if format != CompositionFormat::Wav => {
                invalid("/format", "tracks need `wav`")
            }
            (AudioMode::Tracks, ..) => Ok(Audio::Tracks),
            (AudioMode::Mix, ..) => Ok(Audio::Mix),
        }
    }
}
