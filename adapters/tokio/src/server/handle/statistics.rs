//! How well the participants of all sessions are connected.

use parlour_core::room::{ParticipantId, RoomId, SessionId};
use parlour_core::server::{ParticipantStatistics, Path};

use super::Server;
use crate::machine::Server as Core;

/// Participants that a worker is asked about at a time: it stops for tens of microseconds.
const AT_ONCE: usize = 256;

/// How well the participants of one session are connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatistics {
    /// The room.
    pub room: RoomId,
    /// The session that goes on in it.
    pub session: SessionId,
    /// The participant that is loudest.
    pub speaker: Option<ParticipantId>,
    /// The participants, in the order of their ids: each with its address and its figures.
    pub participants: Vec<(ParticipantId, Path, ParticipantStatistics)>,
}

impl SessionStatistics {
    fn new(server: &Core, room: RoomId) -> Option<Self> {
        let view = server.room(&room)?;
        let (session, state) = view.session?;
        let participants = state.participants().filter_map(|participant| {
            let id = &participant.id;
            let statistics = server.participant_statistics(&room, id)?;
            Some((id.clone(), view.path(id)?, statistics))
        });
        Some(Self {
            session,
            speaker: state.active_speaker().cloned(),
            participants: participants.collect(),
            room,
        })
    }
}

impl Server {
    /// How well the participants of all sessions are connected, in no order. The workers are asked piece by piece, so that none
    /// of them stops for long; a session that begins or ends meanwhile may be missing.
    ///
    /// ```no_run
    /// # async fn example(server: &parlour_tokio::Server) {
    /// for session in server.session_statistics().await {
    ///     for (participant, path, figures) in session.participants {
    ///         println!("{participant} by {path:?}: quality {}, {:?}", figures.quality, figures.round_trip);
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn session_statistics(&self) -> Vec<SessionStatistics> {
        let mut sessions = Vec::new();
        for worker in 0..self.workers.len() {
            let rooms = self.call(worker, |server, _| {
                let rooms = server.rooms().filter(|view| view.session.is_some());
                rooms.map(|view| view.room.clone()).collect::<Vec<_>>()
            });
            let mut rooms = rooms.await.unwrap_or_default();
            while !rooms.is_empty() {
                let piece = self.call(worker, move |server, _| {
                    let (mut piece, mut participants) = (Vec::new(), 0);
                    while participants < AT_ONCE
                        && let Some(room) = rooms.pop()
                    {
                        let session = SessionStatistics::new(server, room);
                        participants += 1 + session.as_ref().map_or(0, |it| it.participants.len());
                        piece.extend(session);
                    }
                    (piece, rooms)
                });
                let (piece, rest) = piece.await.unwrap_or_default();
                sessions.extend(piece);
                rooms = rest;
            }
        }
        sessions
    }
}
