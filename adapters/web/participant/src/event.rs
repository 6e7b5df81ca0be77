//! What happened, as objects: each has a `type`, which is the variant's name in camel case.

use std::net::{IpAddr, SocketAddr};

use parlour_core::client::{CloseCause, Event as Core, ReconnectCause};
use parlour_core::room::{ConnectionState, Grants};
use parlour_core::signal::{Outcome, Redirect, StreamRef};
use serde::Serialize;

use crate::error::{Error, name_of};
use crate::state::grants;

/// One stream of one participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stream {
    /// The participant.
    pub participant: String,
    /// The stream's name among the participant's.
    pub key: String,
}

impl From<StreamRef> for Stream {
    fn from(stream: StreamRef) -> Self {
        Self {
            participant: stream.participant.to_string(),
            key: stream.key.to_string(),
        }
    }
}

/// A worker of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The address of its machine, as URLs have it; none is the machine so far.
    pub host: Option<String>,
    /// The worker's port.
    pub port: u16,
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        Self {
            host: Some(host),
            port: address.port(),
        }
    }
}

/// An event of the core's client, of which [`parlour_core::client::Event`] says more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
#[expect(missing_docs)] // Those of the core.
pub enum Event {
    Joined {
        resumed: bool,
    },
    Waiting,
    /// Connect to one of these.
    Redirected {
        to: Vec<Place>,
    },
    RedirectEnded,
    Synchronized,
    ParticipantJoined {
        participant: String,
        present: bool,
    },
    ParticipantLeft {
        participant: String,
        reason: String,
    },
    ParticipantHidden {
        participant: String,
    },
    ConnectionChanged {
        participant: String,
        state: String,
    },
    StreamPublished {
        stream: Stream,
    },
    StreamUnpublished {
        stream: Stream,
    },
    StreamMuted {
        stream: Stream,
        muted: bool,
    },
    Censored {
        participant: String,
        censored: bool,
    },
    AttributeChanged {
        participant: String,
        key: String,
    },
    SpeakingStarted {
        participant: String,
    },
    SpeakingStopped {
        participant: String,
    },
    SpeakerChanged {
        participant: Option<String>,
    },
    PresenterChanged {
        participant: Option<String>,
    },
    MainChanged {
        participant: Option<String>,
    },
    FloorChanged {
        participant: Option<String>,
    },
    CountChanged {
        count: u32,
    },
    RecordingChanged {
        recorded: bool,
    },
    Published {
        key: String,
    },
    PublishRefused {
        key: String,
        error: Error,
    },
    PolicyRefused {
        error: Error,
    },
    /// The answer to the request of that number: how many it reached, or an error.
    Replied {
        request: u16,
        affected: Option<u16>,
        error: Option<Error>,
    },
    MessageReceived,
    MessagesMissed {
        messages: u16,
    },
    PacketsDropped {
        packets: u32,
    },
    Knocked {
        participant: String,
        name: String,
    },
    KnockEnded {
        participant: String,
    },
    LobbyChanged {
        waiting: u32,
    },
    TokenExpiring {
        seconds: u16,
    },
    GrantsChanged {
        grants: Vec<String>,
    },
    Reconnecting {
        reason: String,
    },
    EventsMissed,
    /// It is over: `closed` by either end, `refused`, or `versionMismatch`; and why.
    Closed {
        cause: String,
        reason: String,
        message: String,
    },
    /// One that this version does not know.
    Other,
}

impl From<Core> for Event {
    fn from(event: Core) -> Self {
        match event {
            Core::Joined { resumed } => Self::Joined { resumed },
            Core::Waiting => Self::Waiting,
            Core::Redirected(redirect) => redirected(redirect),
            Core::RedirectEnded => Self::RedirectEnded,
            Core::Synchronized => Self::Synchronized,
            Core::ParticipantJoined {
                participant,
                present,
            } => Self::ParticipantJoined {
                participant: participant.to_string(),
                present,
            },
            Core::ParticipantLeft {
                participant,
                reason,
            } => Self::ParticipantLeft {
                participant: participant.to_string(),
                reason: name_of(reason),
            },
            Core::ParticipantHidden(participant) => Self::ParticipantHidden {
                participant: participant.to_string(),
            },
            Core::ConnectionChanged { participant, state } => Self::ConnectionChanged {
                participant: participant.to_string(),
                state: connection(state),
            },
            Core::StreamPublished(stream) => Self::StreamPublished {
                stream: stream.into(),
            },
            Core::StreamUnpublished(stream) => Self::StreamUnpublished {
                stream: stream.into(),
            },
            Core::StreamMuted { stream, muted } => Self::StreamMuted {
                stream: stream.into(),
                muted,
            },
            Core::Censored {
                participant,
                censored,
            } => Self::Censored {
                participant: participant.to_string(),
                censored,
            },
            Core::AttributeChanged { participant, key } => Self::AttributeChanged {
                participant: participant.to_string(),
                key: key.to_string(),
            },
            Core::SpeakingStarted { participant } => Self::SpeakingStarted {
                participant: participant.to_string(),
            },
            Core::SpeakingStopped { participant } => Self::SpeakingStopped {
                participant: participant.to_string(),
            },
            Core::SpeakerChanged(id) => Self::SpeakerChanged {
                participant: id.map(|id| id.to_string()),
            },
            Core::PresenterChanged(id) => Self::PresenterChanged {
                participant: id.map(|id| id.to_string()),
            },
            Core::MainChanged(id) => Self::MainChanged {
                participant: id.map(|id| id.to_string()),
            },
            Core::FloorChanged(id) => Self::FloorChanged {
                participant: id.map(|id| id.to_string()),
            },
            Core::CountChanged(count) => Self::CountChanged { count },
            Core::RecordingChanged(recorded) => Self::RecordingChanged { recorded },
            Core::Published { key, .. } => Self::Published {
                key: key.to_string(),
            },
            Core::PublishRefused { key, refusal } => Self::PublishRefused {
                key: key.to_string(),
                error: Error::refused(refusal),
            },
            Core::PolicyRefused(refusal) => Self::PolicyRefused {
                error: Error::refused(refusal),
            },
            Core::Replied { request, result } => Self::Replied {
                request: request.0,
                affected: match result {
                    Ok(Outcome::Sent { recipients }) => Some(recipients),
                    Ok(Outcome::Moderated { participants }) => Some(participants),
                    _ => None,
                },
                error: result.err().map(Error::from),
            },
            Core::MessageReceived => Self::MessageReceived,
            Core::MessagesMissed(messages) => Self::MessagesMissed { messages },
            Core::PacketsDropped(packets) => Self::PacketsDropped { packets },
            Core::Knocked { participant, name } => Self::Knocked {
                participant: participant.to_string(),
                name: name.to_string(),
            },
            Core::KnockEnded(participant) => Self::KnockEnded {
                participant: participant.to_string(),
            },
            Core::LobbyChanged { waiting } => Self::LobbyChanged { waiting },
            Core::TokenExpiring { seconds } => Self::TokenExpiring { seconds },
            Core::GrantsChanged(changed) => grants_changed(changed),
            Core::Reconnecting(cause) => Self::Reconnecting {
                reason: reconnecting(cause).to_owned(),
            },
            Core::EventsMissed => Self::EventsMissed,
            Core::Closed(cause) => closed(cause),
            _ => Self::Other,
        }
    }
}

fn redirected(redirect: Redirect) -> Event {
    let to = match redirect {
        Redirect::Port(port) => vec![Place { host: None, port }],
        Redirect::Address(address) => vec![address.into()],
        Redirect::Either(v4, v6) => vec![SocketAddr::from(v4).into(), SocketAddr::from(v6).into()],
    };
    Event::Redirected { to }
}

fn grants_changed(changed: Grants) -> Event {
    Event::GrantsChanged {
        grants: grants(changed),
    }
}

pub(crate) fn connection(state: ConnectionState) -> String {
    name_of(state)
}

fn reconnecting(cause: ReconnectCause) -> &'static str {
    match cause {
        ReconnectCause::Silence => "silence",
        ReconnectCause::Reset => "reset",
        ReconnectCause::NetworkChanged => "networkChanged",
        ReconnectCause::Redirected => "redirected",
        ReconnectCause::KeysExhausted => "keysExhausted",
        _ => "other",
    }
}

fn closed(cause: CloseCause) -> Event {
    let (name, reason) = match cause {
        CloseCause::Closed(reason) => ("closed", name_of(reason)),
        CloseCause::Refused(refusal) => ("refused", name_of(refusal)),
        CloseCause::VersionMismatch { .. } => ("versionMismatch", "versionMismatch".to_owned()),
        _ => ("other", "other".to_owned()),
    };
    Event::Closed {
        cause: name.to_owned(),
        reason,
        message: cause.to_string(),
    }
}
