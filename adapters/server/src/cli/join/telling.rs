//! The events and messages of the room, line by line.

use parlour_server::names::{names_of, snake};
use parlour_server::time::Timestamp;
use parlour_tokio::core::room::ConnectionState;
use parlour_tokio::{Event, Events, Message, Messages, Room, RoomEvent, StreamRef};
use serde_json::{Map, Value, json};

use super::ending;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, printable};

/// Prints the events and messages of a room.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    room: &'a Room,
    output: &'a Output,
    events: Events,
    messages: Messages,
}

/// One line: for people a sentence, for programs its kind and what it is about.
type Line = (&'static str, String, Value);

impl<'a> Teller<'a> {
    /// From the join on.
    pub(super) fn new(room: &'a Room, output: &'a Output) -> Self {
        Self {
            room,
            output,
            events: room.events(),
            messages: room.messages(),
        }
    }

    /// Tells until the room is closed, and how that came.
    pub(super) async fn tell(&mut self) -> Result<(), Failure> {
        loop {
            let line = tokio::select! {
                event = self.events.next() => match event {
                    None => return ending::closed(self.room.closed().await),
                    Some(event) => self.of_event(event),
                },
                Some(message) = self.messages.next() => of_message(message),
            };
            if let Some(line) = line {
                print(line, self.output)?;
            }
        }
    }

    fn of_event(&self, event: Event) -> Option<Line> {
        match event {
            Event::Room(event) => self.of_room_event(event),
            Event::TransportChanged(transport) => {
                let says = format!("connected by {transport}");
                let name = transport.to_string().to_lowercase();
                Some(("transport_changed", says, json!({"transport": name})))
            }
            Event::LossyMessage { from, topic, body } => {
                Some(received(from.as_str(), topic.as_str(), &body))
            }
            Event::Lagged { missed } => Some(missed_events(Some(missed))),
            _ => None,
        }
    }

    fn of_room_event(&self, event: RoomEvent) -> Option<Line> {
        let me = self.room.me();
        let name = |participant: &_| match &me {
            Some(me) if me == participant => "you".to_owned(),
            _ => participant.to_string(),
        };
        let are = |participant: &_| {
            if me.as_ref() == Some(participant) {
                "are"
            } else {
                "is"
            }
        };
        let about = |participant: &_| json!({"participant": participant});
        let of_stream =
            |stream: &StreamRef| json!({"participant": stream.participant, "stream": stream.key});
        Some(match event {
            RoomEvent::Joined { resumed: true } => {
                ("resumed", "the connection is back".to_owned(), json!({}))
            }
            RoomEvent::Joined { resumed: false } => {
                let session = self.room.session().map(|session| session.to_string());
                let who = me.as_ref().map(ToString::to_string).unwrap_or_default();
                let says = format!("joined as {who}");
                (
                    "joined",
                    says,
                    json!({"participant": who, "session": session}),
                )
            }
            RoomEvent::ParticipantJoined {
                participant,
                present,
            } => {
                let does = if present { "is here" } else { "joined" };
                let says = format!("{participant} {does}");
                let data = json!({"participant": participant, "present": present});
                ("participant_joined", says, data)
            }
            RoomEvent::ParticipantLeft {
                participant,
                reason,
            } => {
                let says = match reason {
                    parlour_tokio::CloseReason::Left => format!("{participant} left"),
                    reason => format!("{participant} left: {reason}"),
                };
                let data = json!({"participant": participant, "reason": snake(reason)});
                ("participant_left", says, data)
            }
            RoomEvent::ConnectionChanged { participant, state } => {
                let does = match state {
                    ConnectionState::Connected => "is back",
                    _ => "has lost its connection",
                };
                let data = json!({"participant": participant, "state": snake(state)});
                ("connection_changed", format!("{participant} {does}"), data)
            }
            RoomEvent::StreamPublished(stream) => {
                let says = format!("{} publishes {}", stream.participant, stream.key);
                ("stream_published", says, of_stream(&stream))
            }
            RoomEvent::StreamUnpublished(stream) => {
                let says = format!("{} publishes {} no more", stream.participant, stream.key);
                ("stream_unpublished", says, of_stream(&stream))
            }
            RoomEvent::StreamMuted { stream, muted } => {
                let does = if muted { "muted" } else { "unmuted" };
                let says = format!("{} {does} {}", stream.participant, stream.key);
                let kind = if muted {
                    "stream_muted"
                } else {
                    "stream_unmuted"
                };
                (kind, says, of_stream(&stream))
            }
            RoomEvent::Censored {
                participant,
                censored,
            } => {
                let (kind, what) = match censored {
                    true => ("censored", "silenced by a moderator"),
                    false => ("uncensored", "allowed to speak again"),
                };
                let says = format!("{} {} {what}", name(&participant), are(&participant));
                (kind, says, about(&participant))
            }
            RoomEvent::AttributeChanged { participant, key } => {
                let value = self.room.with_state(|state| {
                    let value = state.attribute(&participant, &key)?;
                    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
                });
                let says = match &value {
                    Some(value) => format!("{participant} has {key} = {value}"),
                    None => format!("{participant} has no {key}"),
                };
                let data = json!({"participant": participant, "key": key, "value": value});
                ("attribute_changed", says, data)
            }
            RoomEvent::SpeakingStarted { participant } => (
                "speaking_started",
                format!("{participant} speaks"),
                about(&participant),
            ),
            RoomEvent::SpeakingStopped { participant } => (
                "speaking_stopped",
                format!("{participant} is silent"),
                about(&participant),
            ),
            RoomEvent::FloorChanged(holder) => {
                let says = match &holder {
                    Some(holder) => format!(
                        "{} {} the floor",
                        name(holder),
                        if are(holder) == "are" { "have" } else { "has" }
                    ),
                    None => "nobody has the floor".to_owned(),
                };
                ("floor_changed", says, json!({"participant": holder}))
            }
            RoomEvent::RecordingChanged(recorded) => {
                let says = match recorded {
                    true => "the session is recorded",
                    false => "the session is no longer recorded",
                };
                let data = json!({"recorded": recorded});
                ("recording_changed", says.to_owned(), data)
            }
            RoomEvent::PublishRefused { key, refusal } => {
                let says = format!("you do not publish {key} any more: {refusal}");
                (
                    "publish_refused",
                    says,
                    json!({"stream": key, "reason": snake(refusal)}),
                )
            }
            RoomEvent::Knocked { participant, .. } => (
                "participant_waiting",
                format!("{participant} waits in the lobby"),
                about(&participant),
            ),
            RoomEvent::KnockEnded(participant) => {
                let says = format!("{participant} waits no more");
                ("participant_waits_no_more", says, about(&participant))
            }
            RoomEvent::TokenExpiring { seconds } => {
                let says = format!("the token expires in {seconds} s");
                ("token_expiring", says, json!({"seconds": seconds}))
            }
            RoomEvent::GrantsChanged(grants) => {
                let grants = names_of(grants);
                let says = format!("you may now: {}", grants.join(", "));
                ("grants_changed", says, json!({"grants": grants}))
            }
            RoomEvent::Reconnecting(cause) => {
                let cause = snake(cause);
                let says = format!("the connection broke ({cause}) and is being restored");
                ("reconnecting", says, json!({"cause": cause}))
            }
            // For people the error says it.
            RoomEvent::Closed(cause)
                if !self.output.format().is_json() && ending::closed(cause).is_err() =>
            {
                return None;
            }
            RoomEvent::EventsMissed => missed_events(None),
            RoomEvent::Closed(cause) => ("closed", cause.to_string(), closing(cause)),
            _ => return None,
        })
    }
}

/// Tells that a message was sent, and to how many.
pub(super) fn sent(reached: u64, output: &Output) -> Result<(), Failure> {
    let says = match reached {
        1 => "the message is sent to 1 participant".to_owned(),
        _ => format!("the message is sent to {reached} participants"),
    };
    print(
        ("message_sent", says, json!({"recipients": reached})),
        output,
    )
}

fn closing(cause: parlour_tokio::CloseCause) -> Value {
    use parlour_tokio::CloseCause;
    match cause {
        CloseCause::Closed(reason) => json!({"reason": snake(reason)}),
        CloseCause::Refused(refusal) => json!({"refusal": snake(refusal)}),
        _ => json!({}),
    }
}

fn of_message(message: Message) -> Option<Line> {
    match message {
        Message::Received { from, topic, body } => {
            Some(received(from.as_str(), topic.as_str(), &body))
        }
        Message::Missed { count } => {
            let says = format!("{count} messages are lost");
            Some(("messages_missed", says, json!({"count": count})))
        }
        _ => None,
    }
}

fn received(from: &str, topic: &str, body: &[u8]) -> Line {
    let text = String::from_utf8_lossy(body).into_owned();
    let says = format!("{from} says on {topic}: {text}");
    let data = json!({"participant": from, "topic": topic, "body": text});
    ("message", says, data)
}

fn missed_events(count: Option<u64>) -> Line {
    let says = "some of what happened is not told here: there was too much of it".to_owned();
    ("events_missed", says, json!({"count": count}))
}

fn print((kind, says, data): Line, output: &Output) -> Result<(), Failure> {
    if !output.format().is_json() {
        return output.text(&(printable(&says).replace('\n', "\\n") + "\n"));
    }
    let mut line = Map::new();
    line.insert("event".to_owned(), kind.into());
    line.insert("at".to_owned(), json!(Timestamp::now()));
    if let Value::Object(data) = data {
        line.extend(data);
    }
    output.text(&(Value::Object(line).to_string() + "\n"))
}
