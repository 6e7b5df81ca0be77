//! The settings of a room.

use std::collections::BTreeMap;
use std::time::Duration;

use parlour_tokio::RoomLimits;
use parlour_tokio::core::server;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether participants may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomState {
    /// They may.
    #[default]
    Enabled,
    /// Nobody may, and nobody is in it.
    Disabled,
}

impl RoomState {
    /// Its name in the API and in the tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

/// The effect of a join under an id that is in the room already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// The newer one takes the place of the older one.
    #[default]
    Replace,
    /// The newer one is refused.
    Refuse,
}

impl From<OnDuplicate> for server::OnDuplicate {
    fn from(choice: OnDuplicate) -> Self {
        match choice {
            OnDuplicate::Replace => Self::Replace,
            OnDuplicate::Refuse => Self::Refuse,
        }
    }
}

/// What of a room's sessions is recorded from their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingMode {
    /// Nothing.
    #[default]
    Off,
    /// All audio streams.
    Audio,
}

/// How a room is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoomRecording {
    /// What is recorded from the beginning of a session. A session that goes on is not changed.
    pub mode: RecordingMode,
    /// How many days its recordings are kept, 0 for ever; without a value, as long as the server's configuration says.
    pub retention_days: Option<u32>,
}

/// The settings of a room.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoomSettings {
    /// Whether participants may come in. Disabling a room ends its session and empties its lobby.
    pub state: RoomState,
    /// The title to show instead of the name, at most 120 characters.
    #[schema(max_length = 120)]
    pub title: String,
    /// How many participants may be in it; without a value, as many as the server allows.
    #[schema(minimum = 1)]
    pub max_participants: Option<u32>,
    /// Whether all but those who may admit wait until they are admitted.
    pub lobby: bool,
    /// The fate of the second of two participants with one id.
    pub on_duplicate: OnDuplicate,
    /// The session outlasts its last participant by so many seconds; without a value, it ends with it.
    #[schema(minimum = 1)]
    pub empty_timeout_s: Option<u32>,
    /// The session ends when one participant alone has been in it for so many seconds; without a value, it does not.
    #[schema(minimum = 1)]
    pub solo_timeout_s: Option<u32>,
    /// The session ends after so many seconds; without a value, it does not.
    #[schema(minimum = 1)]
    pub max_session_s: Option<u32>,
    /// How it is recorded.
    pub recording: RoomRecording,
    /// Texts of the application's own, at most 4 KiB together.
    pub attributes: BTreeMap<String, String>,
}

/// A setting that is not possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Where, as a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)).
    pub pointer: &'static str,
    /// Why, and what would be possible.
    pub detail: String,
}

const MAX_TITLE: usize = 120;
const MAX_ATTRIBUTES: usize = 4_096;

impl RoomSettings {
    /// The limits that the rooms enforce.
    pub fn limits(&self) -> RoomLimits {
        let seconds =
            |seconds: Option<u32>| seconds.map(|seconds| Duration::from_secs(seconds.into()));
        RoomLimits {
            max_participants: self
                .max_participants
                .map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
            empty_timeout: seconds(self.empty_timeout_s),
            solo_timeout: seconds(self.solo_timeout_s),
            max_session: seconds(self.max_session_s),
        }
    }

    /// All that is not possible of it.
    pub fn check(&self) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        let mut unless = |holds: bool, pointer, detail: String| {
            if !holds {
                invalid.push(Invalid { pointer, detail });
            }
        };
        let title = self.title.chars().count();
        unless(
            title <= MAX_TITLE,
            "/title",
            format!("{title} characters are more than {MAX_TITLE}"),
        );
        for (pointer, value) in [
            ("/max_participants", self.max_participants),
            ("/empty_timeout_s", self.empty_timeout_s),
            ("/solo_timeout_s", self.solo_timeout_s),
            ("/max_session_s", self.max_session_s),
        ] {
            let detail = "0 is less than 1; leave it out for no limit".to_owned();
            unless(value != Some(0), pointer, detail);
        }
        let bytes: usize = self
            .attributes
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        unless(
            bytes <= MAX_ATTRIBUTES,
            "/attributes",
            format!("{bytes} bytes of keys and values are more than {MAX_ATTRIBUTES}"),
        );
        invalid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_all_at_once() {
        assert_eq!(RoomSettings::default().check(), []);
        let bad = RoomSettings {
            title: "é".repeat(MAX_TITLE + 1),
            max_participants: Some(0),
            max_session_s: Some(0),
            attributes: [("k".to_owned(), "v".repeat(MAX_ATTRIBUTES))].into(),
            ..RoomSettings::default()
        };
        let pointers: Vec<_> = bad
            .check()
            .into_iter()
            .map(|invalid| invalid.pointer)
            .collect();
        assert_eq!(
            pointers,
            [
                "/title",
                "/max_participants",
                "/max_session_s",
                "/attributes"
            ]
        );
        let most = RoomSettings {
            title: "é".repeat(MAX_TITLE),
            attributes: [("k".to_owned(), "v".repeat(MAX_ATTRIBUTES - 1))].into(),
            ..RoomSettings::default()
        };
        assert_eq!(most.check(), []);
    }

    #[test]
    fn what_is_misspelled_is_an_error() {
        let error = serde_json::from_str::<RoomSettings>(r#"{"titel": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("titel"), "{error}");
    }
}
