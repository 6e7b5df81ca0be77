//! The requests of a participant to the server.

use serde::{Deserialize, Serialize};

use super::{ParticipantList, Secret};
use crate::room::{
    AttributeKey, AttributeValue, Codec, ParticipantId, StreamKey, StreamKind, Topic,
};

/// Most bytes in the body of an application message.
pub const MAX_BODY: usize = 640;
/// Most bytes in a token.
pub const MAX_TOKEN: usize = 800;

/// Tells a reply to its request. The asker counts them up and wraps around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestId(pub u16);

/// One request; exactly one [`Reply`](super::ServerMessage::Reply) with the same id answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// Stands in the reply again.
    pub id: RequestId,
    /// The operation.
    #[serde(borrow)]
    pub operation: Operation<'a>,
}

/// A [`Request`] that borrows what is asked: the same bytes.
#[cfg(feature = "client")]
#[derive(Serialize)]
pub(crate) struct RequestRef<'a> {
    pub(crate) id: RequestId,
    pub(crate) operation: &'a Operation<'a>,
}

/// A stream to publish, as its publisher describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Publish {
    /// Its name among the publisher's streams.
    pub key: StreamKey,
    /// The kind of media.
    pub kind: StreamKind,
    /// The codec of its payload.
    pub codec: Codec,
    /// Whether it starts silenced.
    pub muted: bool,
}

/// One stream of one participant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamRef {
    /// The participant.
    pub participant: ParticipantId,
    /// The stream's key.
    pub key: StreamKey,
}

/// Which audio streams a participant hears without asking for each. Video and Screen streams
/// always need a [`Operation::Subscribe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SubscribePolicy {
    /// Every audio stream of every other participant, but for those unsubscribed.
    #[default]
    All,
    /// Only those subscribed.
    None,
    /// One stream in Opus that the server mixes of all others, but for those unsubscribed.
    Mix,
    /// The same in PCMU, for ends that decode nothing else.
    MixPcmu,
}

/// Whom a moderation concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Targets {
    /// Everybody but the moderator and those excepted.
    All {
        /// Those left alone.
        except: ParticipantList,
    },
    /// Those named.
    List(ParticipantList),
}

impl Targets {
    /// Everybody but the moderator.
    pub const fn all() -> Self {
        Self::All {
            except: ParticipantList::new(),
        }
    }
}

impl From<ParticipantList> for Targets {
    fn from(list: ParticipantList) -> Self {
        Self::List(list)
    }
}

impl From<ParticipantId> for Targets {
    fn from(id: ParticipantId) -> Self {
        Self::List(id.into())
    }
}

/// A moderator's action on participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Moderation {
    /// Remove from the session.
    Kick,
    /// Silence.
    Censor,
    /// Lift the silence.
    Uncensor,
    /// Let in from the lobby.
    Admit,
    /// Turn away from the lobby.
    Deny,
}

/// The recipients of an application message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Recipients {
    /// Everybody else in the session.
    All,
    /// Those named.
    List(ParticipantList),
}

impl From<ParticipantList> for Recipients {
    fn from(list: ParticipantList) -> Self {
        Self::List(list)
    }
}

impl From<ParticipantId> for Recipients {
    fn from(id: ParticipantId) -> Self {
        Self::List(id.into())
    }
}

/// The operations that a participant can request. Append-only: the order of the variants is their encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// Publish a stream. Answered with [`Outcome::Published`](super::Outcome::Published).
    Publish(Publish),
    /// Stop publishing a stream.
    Unpublish {
        /// Which of one's own.
        key: StreamKey,
    },
    /// Silence one's own stream, or let it be heard again.
    SetMuted {
        /// Which of one's own.
        key: StreamKey,
        /// Silenced or not.
        muted: bool,
    },
    /// Receive a stream.
    Subscribe(StreamRef),
    /// Stop receiving a stream.
    Unsubscribe(StreamRef),
    /// Say which audio streams to receive without asking for each.
    SetSubscribePolicy(SubscribePolicy),
    /// Keep one audio slot for this stream whoever else talks, or for none.
    Pin(Option<StreamRef>),
    /// Send an application message, reliably and in order.
    Send {
        /// The recipients.
        to: Recipients,
        /// The topic.
        topic: Topic,
        /// At most [`MAX_BODY`] bytes.
        body: &'a [u8],
    },
    /// Act on participants as a moderator.
    Moderate {
        /// The action.
        action: Moderation,
        /// The participants.
        targets: Targets,
    },
    /// End the session for everybody.
    EndSession,
    /// Replace the token by a newer one for the same participant and room.
    RefreshToken {
        /// The new token, at most [`MAX_TOKEN`] bytes.
        #[serde(borrow)]
        token: Secret<&'a str>,
    },
    /// Ask for the floor: the right to be the one who speaks.
    RequestFloor,
    /// Give the floor back.
    ReleaseFloor,
    /// Leave the session.
    Leave,
    /// Give an attribute a value.
    SetAttribute {
        /// The participant; `None` for the sender.
        participant: Option<ParticipantId>,
        /// The attribute's key.
        key: AttributeKey,
        /// Its value; empty to remove it.
        value: AttributeValue,
    },
}
