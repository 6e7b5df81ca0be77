//! One event of a worker as rows.

use parlour_tokio::core::room::ConnectionState;
use parlour_tokio::core::server::Event;
use parlour_tokio::{ParticipantId, RoomId, ServerEvent, SessionId};
use serde_json::{Value, json};

use super::names::{names_of, path, snake};
use super::teller::{Joined, Teller};
use super::{about_server, at};
use crate::store::{NewEvent, ParticipantChange, RoomRow, StoreError, Tx};
use crate::time::{Moment, Timestamp};

/// Whether an event is written. The speaker changes too often; and a refusal of which no room is known had no valid token:
/// anybody can cause those.
pub(super) fn is_one(event: &Event) -> bool {
    if let Event::JoinRefused { refused, .. } = event {
        return refused.room.is_some();
    }
    !matches!(
        event,
        Event::SpeakerChanged { .. } | Event::JoinRequested { .. } | Event::RefreshRequested { .. }
    )
}

/// Writes an event; gives the room that came to exist by it.
pub(super) async fn write(tx: &mut Tx, told: &ServerEvent) -> Result<Option<RoomRow>, StoreError> {
    let now = Moment::new(at(told), told.instant);
    match &told.event {
        Event::SessionStarted { room, session } => {
            return teller(tx, now, room, session).await?.begin(tx).await;
        }
        Event::SessionEnded {
            room,
            session,
            reason: why,
        } => {
            let teller = teller(tx, now, room, session).await?;
            teller.end(tx, &snake(*why)).await?;
        }
        Event::ParticipantWaiting {
            room,
            participant,
            name,
        } => {
            let data = json!({"name": name.as_str()});
            lobby(tx, now.at, "participant.waiting", room, participant, data).await?;
        }
        Event::ParticipantGaveUp {
            room,
            participant,
            reason: why,
        } => {
            let data = json!({"reason": snake(*why)});
            lobby(tx, now.at, "participant.gave_up", room, participant, data).await?;
        }
        Event::JoinRefused { refused, from } => {
            let told = NewEvent {
                kind: "participant.refused",
                at: now.at,
                room: refused.room.as_ref().map(|room| room.as_str().to_owned()),
                session: None,
                participant: refused
                    .participant
                    .as_ref()
                    .map(|id| id.as_str().to_owned()),
                data: json!({"reason": snake(refused.refusal), "path": path(*from)}),
            };
            tx.tell(told).await?;
        }
        Event::Overloaded { late } => {
            let event = about_server(
                tx,
                "server.overloaded",
                json!({"worker": told.worker, "late": late}),
            );
            tx.tell(event).await?;
        }
        event => in_session(tx, now, event).await?,
    }
    Ok(None)
}

async fn teller<'a>(
    tx: &mut Tx,
    now: Moment,
    room: &'a RoomId,
    session: &SessionId,
) -> Result<Teller<'a>, StoreError> {
    Teller::new(tx, now, room, *session, false).await
}

/// Writes an event of a participant in a session.
async fn in_session(tx: &mut Tx, now: Moment, event: &Event) -> Result<(), StoreError> {
    match event {
        Event::ParticipantJoined {
            room,
            session,
            participant,
            name,
            grants,
            waited,
            censored,
            path,
        } => {
            let joined = Joined {
                participant,
                name: name.as_str(),
                grants: *grants,
                censored: *censored,
                path: *path,
                waited: *waited,
            };
            teller(tx, now, room, session)
                .await?
                .joined(tx, &joined)
                .await
        }
        Event::ParticipantLeft {
            room,
            session,
            participant,
            reason: why,
        } => {
            teller(tx, now, room, session)
                .await?
                .left(tx, participant.as_str(), &snake(*why))
                .await
        }
        Event::ParticipantResumed {
            room,
            session,
            participant,
            path: on,
        } => {
            let change = ParticipantChange::Path(path(*on));
            let data = json!({"path": path(*on)});
            teller(tx, now, room, session)
                .await?
                .change(tx, "participant.resumed", participant, change, data)
                .await
        }
        Event::ParticipantConnection {
            room,
            session,
            participant,
            state,
        } => {
            let (kind, state) = match state {
                ConnectionState::Connected => ("participant.connected", "connected"),
                _ => ("participant.reconnecting", "reconnecting"),
            };
            let change = ParticipantChange::State(state);
            teller(tx, now, room, session)
                .await?
                .change(tx, kind, participant, change, json!({}))
                .await
        }
        Event::GrantsChanged {
            room,
            session,
            participant,
            grants,
        } => {
            let names = names_of(*grants);
            let (data, change) = (json!({"grants": names}), ParticipantChange::Grants(names));
            teller(tx, now, room, session)
                .await?
                .change(tx, "participant.grants_changed", participant, change, data)
                .await
        }
        Event::ParticipantCensored {
            room,
            session,
            participant,
            censored,
        } => {
            let kind = if *censored {
                "participant.censored"
            } else {
                "participant.uncensored"
            };
            let change = ParticipantChange::Censored(*censored);
            teller(tx, now, room, session)
                .await?
                .change(tx, kind, participant, change, json!({}))
                .await
        }
        Event::AttributeChanged {
            room,
            session,
            participant,
            key,
            value,
        } => {
            let teller = teller(tx, now, room, session).await?;
            let mut attributes = tx.attributes(&teller.id(), participant.as_str()).await?;
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let data = json!({"key": key.as_str(), "value": text});
            if text.is_empty() {
                attributes.remove(key.as_str());
            } else {
                attributes.insert(key.as_str().to_owned(), text);
            }
            let change = ParticipantChange::Attributes(attributes);
            teller
                .change(
                    tx,
                    "participant.attribute_changed",
                    participant,
                    change,
                    data,
                )
                .await
        }
        Event::StreamPublished {
            room,
            session,
            participant,
            stream,
        } => {
            teller(tx, now, room, session)
                .await?
                .published(tx, participant, stream)
                .await
        }
        Event::StreamUnpublished {
            room,
            session,
            participant,
            key,
        } => {
            let teller = teller(tx, now, room, session).await?;
            tx.end_stream(
                &teller.id(),
                participant.as_str(),
                key.as_str(),
                teller.at(),
            )
            .await?;
            let data = json!({"stream": {"key": key.as_str()}});
            teller
                .tell(tx, "stream.unpublished", Some(participant.as_str()), data)
                .await
        }
        Event::StreamMuted {
            room,
            session,
            participant,
            key,
            muted,
        } => {
            let teller = teller(tx, now, room, session).await?;
            tx.mute_stream(&teller.id(), participant.as_str(), key.as_str(), *muted)
                .await?;
            let kind = if *muted {
                "stream.muted"
            } else {
                "stream.unmuted"
            };
            let data = json!({"stream": {"key": key.as_str()}});
            teller
                .tell(tx, kind, Some(participant.as_str()), data)
                .await
        }
        Event::FloorChanged {
            room,
            session,
            holder,
        } => {
            let holder = holder.as_ref().map(ParticipantId::as_str);
            teller(tx, now, room, session)
                .await?
                .tell(tx, "floor.changed", holder, json!({}))
                .await
        }
        _ => Ok(()),
    }
}

async fn lobby(
    tx: &mut Tx,
    at: Timestamp,
    kind: &'static str,
    room: &RoomId,
    participant: &ParticipantId,
    data: Value,
) -> Result<(), StoreError> {
    let told = NewEvent {
        kind,
        at,
        room: Some(room.as_str().to_owned()),
        session: None,
        participant: Some(participant.as_str().to_owned()),
        data,
    };
    tx.tell(told).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use parlour_tokio::{CloseReason, DisplayName, Grants};

    use super::*;
    use crate::store::{self, EventFilter, Order, PageRequest, check};

    /// The clock is set back by an hour in the middle of a session, and forward by a day: nothing seems to have happened before what
    /// it followed, and nothing seems to have lasted longer than it did.
    #[tokio::test]
    async fn a_clock_that_is_set_changes_no_order_and_no_duration() {
        const HOUR: i64 = 3_600;
        let began = tokio::time::Instant::now().into_std();
        let room = RoomId::new("kitchen").unwrap();
        let session = SessionId([7; 16]);
        let [anna, ben] = ["anna", "ben"].map(|id| ParticipantId::new(id).unwrap());
        // Each at a time by the wall clock, in seconds, and so many seconds after the first.
        let told = |wall: i64, after: u64, event| ServerEvent {
            worker: 0,
            sequence: 1,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(wall).unwrap()),
            instant: began + Duration::from_secs(after),
            event,
        };
        let joined = |participant: &ParticipantId| Event::ParticipantJoined {
            room: room.clone(),
            session,
            participant: participant.clone(),
            name: DisplayName::new("").unwrap(),
            grants: Grants::empty(),
            waited: false,
            censored: false,
            path: parlour_tokio::core::server::Path::Stream {
                id: 1,
                from: [127, 0, 0, 1].into(),
            },
        };
        let left = |participant: &ParticipantId| Event::ParticipantLeft {
            room: room.clone(),
            session,
            participant: participant.clone(),
            reason: CloseReason::Left,
        };
        let noon = 500 * HOUR;
        let events = [
            told(
                noon,
                0,
                Event::SessionStarted {
                    room: room.clone(),
                    session,
                },
            ),
            told(noon + 1, 1, joined(&anna)),
            told(noon - HOUR + 2, 2, joined(&ben)),
            told(noon - HOUR + 5, 5, left(&anna)),
            told(noon + 24 * HOUR + 9, 9, left(&ben)),
            told(
                noon + 24 * HOUR + 10,
                10,
                Event::SessionEnded {
                    room: room.clone(),
                    session,
                    reason: CloseReason::Left,
                },
            ),
        ];
        for fixture in store::tests::all().await {
            let store = &fixture.store;
            let events = events.clone();
            let written: Result<(), StoreError> = store
                .write(|tx| {
                    Box::pin(async move {
                        for event in &events {
                            write(tx, event).await?;
                        }
                        Ok(())
                    })
                })
                .await;
            written.unwrap();
            let page = PageRequest {
                after: None,
                limit: 20,
                order: Order::Asc,
            };
            let filter = EventFilter {
                sessions: vec![session.to_string()],
                ..EventFilter::default()
            };
            let journal = store.events(&filter, &page).await.unwrap().data;
            let seconds: Vec<_> = journal
                .iter()
                .map(|event| event.at.as_millis() / 1_000 - noon)
                .collect();
            let next_day = 24 * HOUR;
            assert_eq!(seconds, [0, 1, 1, 1, next_day + 9, next_day + 10]);
            let durations: Vec<_> = journal
                .iter()
                .filter_map(|event| event.data["duration_ms"].as_u64())
                .collect();
            assert_eq!(durations, [4_000, 7_000, 10_000]);
            let checked = check(&fixture.place, |_, _| {}).await.unwrap();
            assert_eq!(checked.problems, Vec::<String>::new());
        }
    }
}
