//! What a page asks for.

use std::collections::BTreeMap;

use parlour_core::client::{Client, Commands as _, Desktop};
use parlour_core::room::{
    AttributeKey, AttributeValue, Codec, ParticipantId, StreamKey, StreamKind,
};
use parlour_core::signal::{
    self, Operation, ParticipantList, Publish, Recipients, StreamRef, SubscribePolicy, Targets,
};
use parlour_core::time::Instant;
use serde::Deserialize;

use crate::error::Error;

/// Settings of a participant.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// Which sound to hear from the start.
    pub policy: Policy,
    /// How many voices to hear at a time, if not as many as the client can.
    pub slots: Option<u8>,
}

/// Which sound to hear without asking for each stream.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Policy {
    /// Everybody's.
    #[default]
    All,
    /// Only what is subscribed to.
    None,
    /// One stream that the server mixes.
    Mix,
}

impl From<Policy> for SubscribePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::All => Self::All,
            Policy::None => Self::None,
            Policy::Mix => Self::Mix,
        }
    }
}

/// One stream of one participant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    participant: String,
    key: String,
}

/// What a moderator does to participants.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Moderation {
    /// Removes them from the session.
    Kick,
    /// Silences them.
    Censor,
    /// Lifts the silence.
    Uncensor,
    /// Lets them in from the lobby.
    Admit,
    /// Turns them away from the lobby.
    Deny,
}

impl From<Moderation> for signal::Moderation {
    fn from(moderation: Moderation) -> Self {
        match moderation {
            Moderation::Kick => Self::Kick,
            Moderation::Censor => Self::Censor,
            Moderation::Uncensor => Self::Uncensor,
            Moderation::Admit => Self::Admit,
            Moderation::Deny => Self::Deny,
        }
    }
}

/// What pictures are of.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A camera.
    Video,
    /// A screen.
    Screen,
}

impl From<Kind> for StreamKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Video => Self::Video,
            Kind::Screen => Self::Screen,
        }
    }
}

/// One wish of the page: an object with its name in camel case, and in that the fields. With the name among the fields, serde
/// would have to keep them until it has seen it, which takes 20 KB of code.
#[derive(Debug, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Command {
    /// Publishes a stream of sound.
    Publish {
        /// Its name among one's own.
        key: String,
        /// Whether it starts silenced.
        #[serde(default)]
        muted: bool,
    },
    /// Publishes a stream of pictures.
    PublishPictures {
        /// Its name among one's own.
        key: String,
        /// Of a camera or of a screen.
        kind: Kind,
        /// `h264` or `vp8`.
        codec: String,
        /// Whether it starts without pictures.
        #[serde(default)]
        muted: bool,
    },
    /// Ends a stream.
    Unpublish {
        /// Its name.
        key: String,
    },
    /// Silences one's own stream, or lets it be heard again.
    SetMuted {
        /// Its name.
        key: String,
        /// Silenced or not.
        muted: bool,
    },
    /// Hears a stream, whatever the policy.
    Subscribe {
        /// The stream.
        stream: Named,
    },
    /// Does not hear a stream, whatever the policy.
    Unsubscribe {
        /// The stream.
        stream: Named,
    },
    /// Says which streams to hear without asking for each.
    SetSubscribePolicy {
        /// The policy.
        policy: Policy,
    },
    /// Keeps a slot for a stream, or for none.
    Pin {
        /// The stream.
        stream: Option<Named>,
    },
    /// Replaces the token by a newer one.
    RefreshToken {
        /// The token.
        token: String,
    },
    /// Acts on participants as a moderator.
    Moderate {
        /// The action.
        action: Moderation,
        /// Those that it concerns; without, all but the moderator.
        participants: Option<Vec<String>>,
    },
    /// Ends the session for everybody.
    EndSession {},
    /// Gives an attribute a value.
    SetAttribute {
        /// Whose, if not one's own.
        participant: Option<String>,
        /// Its key.
        key: String,
        /// Its value; empty to remove it.
        value: String,
    },
    /// Asks for the right to speak.
    RequestFloor {},
    /// Gives it back.
    ReleaseFloor {},
    /// Leaves the session.
    Leave {},
}

impl Command {
    /// Has the client take note of it. The number of the request, if an answer comes.
    pub(crate) fn execute(
        self,
        client: &mut Client<Desktop>,
        now: Instant,
    ) -> Result<Option<u16>, Error> {
        let request = match self {
            Self::Publish { key, muted } => client.publish(Publish {
                key: stream_key(&key)?,
                kind: StreamKind::Audio,
                codec: Codec::Opus,
                muted,
            }),
            Self::PublishPictures {
                key,
                kind,
                codec: name,
                muted,
            } => client.publish(Publish {
                key: stream_key(&key)?,
                kind: kind.into(),
                codec: codec(&name)?,
                muted,
            }),
            Self::Unpublish { key } => client.unpublish(&stream_key(&key)?),
            Self::SetMuted { key, muted } => client.set_muted(&stream_key(&key)?, muted),
            Self::Subscribe { stream } => client.subscribe(&stream.parse()?),
            Self::Unsubscribe { stream } => client.unsubscribe(&stream.parse()?),
            Self::SetSubscribePolicy { policy } => client.set_subscribe_policy(policy.into()),
            Self::Pin { stream } => {
                client.pin(stream.map(|stream| stream.parse()).transpose()?.as_ref())
            }
            Self::RefreshToken { token } => client.refresh_token(&token),
            Self::Moderate {
                action,
                participants,
            } => client.ask(Operation::Moderate {
                action: action.into(),
                targets: match participants {
                    None => Targets::all(),
                    Some(ids) => Targets::List(list(&ids)?),
                },
            }),
            Self::EndSession {} => client.ask(Operation::EndSession),
            Self::SetAttribute {
                participant,
                key,
                value,
            } => client.ask(Operation::SetAttribute {
                participant: participant.as_deref().map(participant_id).transpose()?,
                key: AttributeKey::new(&key).map_err(|error| Error::named("key", error))?,
                value: AttributeValue::new(value).map_err(Error::invalid)?,
            }),
            Self::RequestFloor {} => client.ask(Operation::RequestFloor),
            Self::ReleaseFloor {} => client.ask(Operation::ReleaseFloor),
            Self::Leave {} => client.leave(now).map(|()| None),
        };
        Ok(request?.map(|request| request.0))
    }
}

impl Named {
    fn parse(&self) -> Result<StreamRef, Error> {
        stream(&self.participant, &self.key)
    }
}

/// A stream of a participant.
pub(crate) fn stream(participant: &str, key: &str) -> Result<StreamRef, Error> {
    Ok(StreamRef {
        participant: participant_id(participant)?,
        key: stream_key(key)?,
    })
}

/// A codec of pictures that browsers encode.
pub(crate) fn codec(name: &str) -> Result<Codec, Error> {
    match name {
        "h264" => Ok(Codec::H264),
        "vp8" => Ok(Codec::Vp8),
        _ => Err(Error::invalid("the codec is h264 or vp8")),
    }
}

fn participant_id(id: &str) -> Result<ParticipantId, Error> {
    ParticipantId::new(id).map_err(|error| Error::named("participant", error))
}

pub(crate) fn stream_key(key: &str) -> Result<StreamKey, Error> {
    StreamKey::new(key).map_err(|error| Error::named("key", error))
}

fn list(ids: &[String]) -> Result<ParticipantList, Error> {
    let ids: Result<Vec<_>, Error> = ids.iter().map(|id| participant_id(id)).collect();
    ParticipantList::of(ids?).map_err(Error::invalid)
}

/// Those named, or all others if none is.
pub(crate) fn recipients(ids: &[String]) -> Result<Recipients, Error> {
    match ids {
        [] => Ok(Recipients::All),
        ids => list(ids).map(Recipients::List),
    }
}

/// Attributes as texts: those whose bytes are no text are left out.
pub(crate) fn texts<'a>(
    attributes: impl Iterator<Item = (&'a AttributeKey, &'a AttributeValue)>,
) -> BTreeMap<String, String> {
    let text = |(key, value): (&AttributeKey, &AttributeValue)| {
        Some((key.to_string(), value.as_str()?.to_owned()))
    };
    attributes.filter_map(text).collect()
}
