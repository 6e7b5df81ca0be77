//! Who speaks, in a stream of events. It changes often and is true for a moment only, so it is written nowhere.

use parlour_tokio::core::server::Event;
use parlour_tokio::{ParticipantId, RoomId, ServerEvents, SessionId};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::time::Timestamp;

/// Another participant is the loudest one of a session, or nobody speaks any more.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SpeakerChange {
    /// `speaker.changed`
    r#type: &'static str,
    at: Timestamp,
    room: String,
    session: String,
    /// The participant that speaks; `null` if nobody does.
    participant: Option<String>,
}

impl SpeakerChange {
    fn new(
        at: Timestamp,
        room: &RoomId,
        session: SessionId,
        speaker: Option<&ParticipantId>,
    ) -> Self {
        Self {
            r#type: "speaker.changed",
            at,
            room: room.as_str().to_owned(),
            session: session.to_string(),
            participant: speaker.map(|id| id.as_str().to_owned()),
        }
    }
}

/// Tells who speaks in some rooms or sessions, or in all: first who does now, then each change.
#[derive(Debug)]
pub(super) struct Speakers {
    app: App,
    events: ServerEvents,
    /// Any of these; all if there are none.
    rooms: Vec<String>,
    sessions: Vec<String>,
    /// The present state has to be read, since there was none before, or changes were missed.
    is_behind: bool,
    read: std::vec::IntoIter<SpeakerChange>,
}

impl Speakers {
    pub(super) fn new(app: App, rooms: Vec<String>, sessions: Vec<String>) -> Self {
        Self {
            events: app.rooms().events(),
            app,
            rooms,
            sessions,
            is_behind: true,
            read: Vec::new().into_iter(),
        }
    }

    fn wants(&self, change: &SpeakerChange) -> bool {
        let any = |wanted: &[String], one: &String| wanted.is_empty() || wanted.contains(one);
        any(&self.rooms, &change.room) && any(&self.sessions, &change.session)
    }

    /// The next change; none once the rooms are closed. Cancellation-safe.
    pub(super) async fn next(&mut self) -> Option<SpeakerChange> {
        loop {
            if let Some(change) = self.read.next() {
                return Some(change);
            }
            if self.is_behind {
                let now = self.app.rooms().session_statistics().await;
                let at = Timestamp::now();
                let now = now.iter().map(|session| {
                    let speaker = session.speaker.as_ref();
                    SpeakerChange::new(at, &session.room, session.session, speaker)
                });
                let now: Vec<_> = now.filter(|change| self.wants(change)).collect();
                self.read = now.into_iter();
                self.is_behind = false;
                continue;
            }
            let Ok(told) = self.events.next().await? else {
                self.is_behind = true;
                continue;
            };
            match &told.event {
                Event::SpeakerChanged {
                    room,
                    session,
                    participant,
                } => {
                    let at = Timestamp::from(told.at);
                    let change = SpeakerChange::new(at, room, *session, participant.as_ref());
                    if self.wants(&change) {
                        return Some(change);
                    }
                }
                Event::EventsMissed { .. } => self.is_behind = true,
                _ => {}
            }
        }
    }
}
