//! Answers to joins, as a log keeps them.

use std::time::Duration;

use parlour_core::room::{
    AttributeKey, AttributeValue, DisplayName, Grants, ParticipantId, RoomId,
};
use parlour_core::server::{self, OnDuplicate, RoomLimits};
use parlour_core::signal::JoinRefusal;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnDuplicate")]
enum OnDuplicateFields {
    Replace,
    Refuse,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RoomLimits")]
struct RoomLimitsFields {
    max_participants: Option<usize>,
    empty_timeout: Option<Duration>,
    solo_timeout: Option<Duration>,
    max_session: Option<Duration>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedLimits(#[serde(with = "RoomLimitsFields")] pub(crate) RoomLimits);

/// Who is let in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Admission {
    room: RoomId,
    participant: ParticipantId,
    name: DisplayName,
    grants: Grants,
    expires_in: Option<Duration>,
    lobby: bool,
    #[serde(with = "OnDuplicateFields")]
    on_duplicate: OnDuplicate,
    attributes: Vec<(AttributeKey, AttributeValue)>,
    limits: Option<LoggedLimits>,
}

impl From<&server::Admission> for Admission {
    fn from(admission: &server::Admission) -> Self {
        let server::Admission {
            room,
            participant,
            name,
            grants,
            expires_in,
            lobby,
            on_duplicate,
            attributes,
            limits,
        } = admission.clone();
        Self {
            room,
            participant,
            name,
            grants,
            expires_in,
            lobby,
            on_duplicate,
            attributes,
            limits: limits.map(LoggedLimits),
        }
    }
}

impl From<Admission> for server::Admission {
    fn from(admission: Admission) -> Self {
        Self {
            room: admission.room,
            participant: admission.participant,
            name: admission.name,
            grants: admission.grants,
            expires_in: admission.expires_in,
            lobby: admission.lobby,
            on_duplicate: admission.on_duplicate,
            attributes: admission.attributes,
            limits: admission.limits.map(|limits| limits.0),
        }
    }
}

/// Who is turned away.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    refusal: JoinRefusal,
    room: Option<RoomId>,
    participant: Option<ParticipantId>,
}

impl From<server::Refused> for Refused {
    fn from(refused: server::Refused) -> Self {
        let server::Refused {
            refusal,
            room,
            participant,
        } = refused;
        Self {
            refusal,
            room,
            participant,
        }
    }
}

impl From<Refused> for server::Refused {
    fn from(refused: Refused) -> Self {
        Self {
            refusal: refused.refusal,
            room: refused.room,
            participant: refused.participant,
        }
    }
}
