//! What is true in the rooms, and their settings.

use parlour_core::room::{
    AttributeKey, AttributeValue, Grants, Participant, ParticipantId, RoomId, SessionId, Waiting,
};
use parlour_core::server::{
    Gather, ModerateError, ParticipantStatistics, Path, RoomLimits, RoomView,
};

use super::Server;
use crate::machine::Server as Core;

/// All rooms, as they were when each worker was asked.
///
/// ```no_run
/// # use parlour_tokio::{Server, ServerEvent, Snapshot};
/// # async fn example(server: &Server) {
/// let mut events = server.events(); // first, so that nothing is missed in between
/// let snapshot = server.rooms().await;
/// while let Some(Ok(event)) = events.next().await {
///     if event.sequence > snapshot.sequences[event.worker] {
///         println!("changed since: {event:?}");
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The rooms with a session, or with somebody waiting for one or about to join.
    pub rooms: Vec<RoomInfo>,
    /// For each worker the number of its latest event that this takes into account.
    pub sequences: Vec<u64>,
}

/// One room, as it was when asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its id.
    pub room: RoomId,
    /// The session going on, if there is one.
    pub session: Option<SessionId>,
    /// The participants of the session, in the order of their ids.
    pub participants: Vec<ParticipantInfo>,
    /// The participant that has the floor.
    pub floor: Option<ParticipantId>,
    /// The participant that is loudest.
    pub speaker: Option<ParticipantId>,
    /// All who wait in the lobby, in the order in which they came.
    pub waiting: Vec<Waiting>,
}

/// One participant of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantInfo {
    /// What others see of it, too.
    pub participant: Participant,
    /// What it may do.
    pub grants: Grants,
    /// Where it is.
    pub path: Path,
    /// Its attributes, in the order of their keys.
    pub attributes: Vec<(AttributeKey, AttributeValue)>,
}

impl RoomInfo {
    fn new(server: &Core, view: RoomView<'_>) -> Self {
        let state = view.session.map(|(_, state)| state);
        let participants = state.into_iter().flat_map(|state| {
            state.participants().filter_map(move |participant| {
                let id = &participant.id;
                Some(ParticipantInfo {
                    grants: view.grants(id)?,
                    path: view.path(id)?,
                    attributes: (state.attributes(id))
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect(),
                    participant: participant.clone(),
                })
            })
        });
        Self {
            room: view.room.clone(),
            session: view.session.map(|(session, _)| session),
            participants: participants.collect(),
            floor: state.and_then(|state| state.floor().cloned()),
            speaker: state.and_then(|state| state.active_speaker().cloned()),
            waiting: server.waiting(view.room).cloned().collect(),
        }
    }
}

impl Server {
    /// The rooms with a session or somebody waiting for one, and up to which events that is true.
    pub async fn rooms(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            rooms: Vec::new(),
            sequences: Vec::new(),
        };
        for worker in 0..self.workers.len() {
            let of_worker = self.call(worker, |server, _| {
                let rooms = server.rooms();
                let rooms: Vec<_> = rooms.map(|view| RoomInfo::new(server, view)).collect();
                (rooms, server.events_happened())
            });
            let (rooms, sequence) = of_worker.await.unwrap_or_default();
            snapshot.rooms.extend(rooms);
            snapshot.sequences.push(sequence);
        }
        snapshot
    }

    /// One room, if there is a session in it or somebody waits for one.
    pub async fn room(&self, room: &RoomId) -> Option<RoomInfo> {
        let id = room.clone();
        let info = self.call_room(room, move |server, _| {
            server.room(&id).map(|view| RoomInfo::new(server, view))
        });
        info.await.flatten()
    }

    /// How well a participant is connected.
    pub async fn participant_statistics(
        &self,
        room: &RoomId,
        participant: &ParticipantId,
    ) -> Option<ParticipantStatistics> {
        let (id, participant) = (room.clone(), participant.clone());
        let statistics = self.call_room(room, move |server, _| {
            server.participant_statistics(&id, &participant)
        });
        statistics.await.flatten()
    }

    /// Sets how many may be in a room and how long its session may last, as long as anybody is there.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use parlour_tokio::{RoomId, RoomLimits, Server};
    ///
    /// # async fn example(server: &Server) -> Result<(), Box<dyn std::error::Error>> {
    /// let an_hour = RoomLimits { max_session: Some(Duration::from_secs(3_600)), ..RoomLimits::default() };
    /// server.set_room_limits(&RoomId::new("green-room")?, an_hour).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`]
    pub async fn set_room_limits(
        &self,
        room: &RoomId,
        limits: RoomLimits,
    ) -> Result<(), ModerateError> {
        let id = room.clone();
        self.in_room(room, move |server, now| {
            server.set_room_limits(now, &id, limits)
        })
        .await
    }

    /// Sets how long frames of sound wait for others to the same receiver, so that they share a datagram, in one room as
    /// long as somebody is there; `None`: as [`ServerConfig::limits`](crate::ServerConfig::limits) says.
    ///
    /// # Errors
    /// [`ModerateError`]
    pub async fn set_gather(
        &self,
        room: &RoomId,
        gather: Option<Gather>,
    ) -> Result<(), ModerateError> {
        let id = room.clone();
        self.in_room(room, move |server, _| server.set_gather(&id, gather))
            .await
    }
}
