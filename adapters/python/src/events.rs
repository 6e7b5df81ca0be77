//! Events and messages, as the name of a class of `parlour/events.py` and its fields.

use std::sync::Arc;

use parlour_tokio::core::signal::StreamRef;
use parlour_tokio::{CloseCause, Event, Message, ParticipantId, Room, RoomEvent};
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::names::snake;
use crate::runtime::awaitable;

/// What a class is made of.
#[derive(IntoPyObject)]
pub(crate) enum Field {
    Text(String),
    Number(u64),
    Truth(bool),
    Bytes(Vec<u8>),
    Stream((String, String)),
    Maybe(Option<String>),
}

/// A class and its fields.
pub(crate) type Described = (&'static str, Vec<Field>);

impl From<&ParticipantId> for Field {
    fn from(id: &ParticipantId) -> Self {
        Self::Text(id.as_str().to_owned())
    }
}

impl From<&Option<ParticipantId>> for Field {
    fn from(id: &Option<ParticipantId>) -> Self {
        Self::Maybe(id.as_ref().map(|id| id.as_str().to_owned()))
    }
}

impl From<&StreamRef> for Field {
    fn from(stream: &StreamRef) -> Self {
        let (participant, key) = (&stream.participant, &stream.key);
        Self::Stream((participant.as_str().to_owned(), key.as_str().to_owned()))
    }
}

fn text(text: impl ToString) -> Field {
    Field::Text(text.to_string())
}

/// The name of the reason, if there is one, that of the refusal, and the message.
pub(crate) fn cause(cause: CloseCause) -> (Option<String>, Option<String>, String) {
    let (reason, refusal) = match cause {
        CloseCause::Closed(reason) => (Some(snake(reason)), None),
        CloseCause::Refused(refusal) => (None, Some(snake(refusal))),
        _ => (None, None),
    };
    (reason, refusal, cause.to_string())
}

fn event(event: &Event) -> Described {
    match event {
        Event::Room(event) => room_event(event),
        Event::TransportChanged(transport) => {
            let name = transport.to_string().to_lowercase();
            ("TransportChanged", vec![Field::Text(name)])
        }
        Event::LossyMessage { from, topic, body } => (
            "LossyMessage",
            vec![from.into(), text(topic), Field::Bytes(body.to_vec())],
        ),
        Event::Lagged { missed } => ("Lagged", vec![Field::Number(*missed)]),
        other => unknown(other),
    }
}

fn unknown(event: impl std::fmt::Debug) -> Described {
    ("UnknownEvent", vec![Field::Text(format!("{event:?}"))])
}

fn room_event(event: &RoomEvent) -> Described {
    match event {
        RoomEvent::Joined { resumed } => ("Joined", vec![Field::Truth(*resumed)]),
        RoomEvent::Waiting => ("WaitingInLobby", vec![]),
        RoomEvent::RedirectEnded => ("RedirectEnded", vec![]),
        RoomEvent::Synchronized => ("Synchronized", vec![]),
        RoomEvent::ParticipantJoined {
            participant,
            present,
        } => (
            "ParticipantJoined",
            vec![participant.into(), Field::Truth(*present)],
        ),
        RoomEvent::ParticipantLeft {
            participant,
            reason,
        } => (
            "ParticipantLeft",
            vec![participant.into(), text(snake(reason))],
        ),
        RoomEvent::ParticipantHidden(participant) => {
            ("ParticipantHidden", vec![participant.into()])
        }
        RoomEvent::ConnectionChanged { participant, state } => (
            "ConnectionChanged",
            vec![participant.into(), text(snake(state))],
        ),
        RoomEvent::StreamPublished(stream) => ("StreamPublished", vec![stream.into()]),
        RoomEvent::StreamUnpublished(stream) => ("StreamUnpublished", vec![stream.into()]),
        RoomEvent::StreamMuted { stream, muted } => {
            ("StreamMuted", vec![stream.into(), Field::Truth(*muted)])
        }
        RoomEvent::Censored {
            participant,
            censored,
        } => (
            "Censored",
            vec![participant.into(), Field::Truth(*censored)],
        ),
        RoomEvent::AttributeChanged { participant, key } => {
            ("AttributeChanged", vec![participant.into(), text(key)])
        }
        RoomEvent::SpeakingStarted { participant } => ("SpeakingStarted", vec![participant.into()]),
        RoomEvent::SpeakingStopped { participant } => ("SpeakingStopped", vec![participant.into()]),
        RoomEvent::SpeakerChanged(participant) => ("SpeakerChanged", vec![participant.into()]),
        RoomEvent::PresenterChanged(participant) => ("PresenterChanged", vec![participant.into()]),
        RoomEvent::MainChanged(participant) => ("MainChanged", vec![participant.into()]),
        RoomEvent::FloorChanged(participant) => ("FloorChanged", vec![participant.into()]),
        RoomEvent::CountChanged(count) => ("CountChanged", vec![Field::Number((*count).into())]),
        RoomEvent::RecordingChanged(recorded) => {
            ("RecordingChanged", vec![Field::Truth(*recorded)])
        }
        RoomEvent::Published { key, ssrc } => {
            ("Published", vec![text(key), Field::Number((*ssrc).into())])
        }
        RoomEvent::PublishRefused { key, refusal } => {
            ("PublishRefused", vec![text(key), text(snake(refusal))])
        }
        RoomEvent::PolicyRefused(refusal) => ("PolicyRefused", vec![text(snake(refusal))]),
        RoomEvent::PacketsDropped(count) => {
            ("PacketsDropped", vec![Field::Number((*count).into())])
        }
        RoomEvent::Knocked { participant, name } => {
            ("Knocked", vec![participant.into(), text(name)])
        }
        RoomEvent::KnockEnded(participant) => ("KnockEnded", vec![participant.into()]),
        RoomEvent::LobbyChanged { waiting } => {
            ("LobbyChanged", vec![Field::Number((*waiting).into())])
        }
        RoomEvent::TokenExpiring { seconds } => {
            ("TokenExpiring", vec![Field::Number((*seconds).into())])
        }
        RoomEvent::GrantsChanged(grants) => {
            ("GrantsChanged", vec![Field::Number(grants.bits().into())])
        }
        RoomEvent::Reconnecting(cause) => ("Reconnecting", vec![text(snake(cause))]),
        RoomEvent::EventsMissed => ("EventsMissed", vec![]),
        RoomEvent::Closed(closed) => {
            let (reason, refusal, message) = cause(*closed);
            let message = Field::Text(message);
            (
                "Closed",
                vec![Field::Maybe(reason), Field::Maybe(refusal), message],
            )
        }
        other => unknown(other),
    }
}

#[pyclass(frozen, module = "parlour._parlour")]
pub(crate) struct Events {
    /// Keeps the participant in the room.
    room: Room,
    events: Arc<Mutex<parlour_tokio::Events>>,
}

impl Events {
    pub(crate) fn new(room: &Room) -> Self {
        Self {
            room: room.clone(),
            events: Arc::new(Mutex::new(room.events())),
        }
    }
}

#[pymethods]
impl Events {
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (room, events) = (self.room.clone(), Arc::clone(&self.events));
        awaitable(py, async move {
            let next = events.lock().await.next().await;
            drop(room);
            let next = next.ok_or_else(|| PyStopAsyncIteration::new_err(()))?;
            Ok(event(&next))
        })
    }
}

#[pyclass(frozen, module = "parlour._parlour")]
pub(crate) struct Messages {
    /// Keeps the participant in the room.
    room: Room,
    messages: Arc<Mutex<parlour_tokio::Messages>>,
}

impl Messages {
    pub(crate) fn new(room: &Room) -> Self {
        Self {
            room: room.clone(),
            messages: Arc::new(Mutex::new(room.messages())),
        }
    }
}

#[pymethods]
impl Messages {
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (room, messages) = (self.room.clone(), Arc::clone(&self.messages));
        awaitable(py, async move {
            let next = messages.lock().await.next().await;
            drop(room);
            match next {
                Some(Message::Received { from, topic, body }) => Ok((
                    "Message",
                    vec![Field::from(&from), text(topic), Field::Bytes(body.to_vec())],
                )),
                Some(Message::Missed { count }) => {
                    Ok(("MessagesMissed", vec![Field::Number(count)]))
                }
                Some(other) => Ok(unknown(other)),
                None => Err(PyStopAsyncIteration::new_err(())),
            }
        })
    }
}
