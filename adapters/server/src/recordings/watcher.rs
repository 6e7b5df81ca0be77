//! Records sessions from their beginning, in rooms that say so.

use std::sync::Weak;

use parlour_tokio::core::server::Event;
use parlour_tokio::{RoomId, ServerEvents, SessionId};

use super::{Recordings, Wanted};
use crate::api::Parts;
use crate::rooms::RecordingMode;

/// Watches sessions begin until the rooms are gone.
pub(super) async fn run(mut events: ServerEvents, recordings: Recordings, rooms: Weak<Parts>) {
    while let Some(next) = events.next().await {
        match next {
            Ok(told) => {
                if let Event::SessionStarted { room, session } = told.event {
                    record(&recordings, &rooms, &room, session).await;
                }
            }
            // Some may have begun meanwhile.
            Err(_) => {
                let Some(rooms_now) = rooms.upgrade() else {
                    return;
                };
                let snapshot = rooms_now.snapshot().await;
                drop(rooms_now);
                for info in snapshot.rooms {
                    let session = info.session.filter(|id| recordings.of(*id).is_none());
                    if let Some(session) = session {
                        record(&recordings, &rooms, &info.room, session).await;
                    }
                }
            }
        }
    }
}

async fn record(recordings: &Recordings, rooms: &Weak<Parts>, room: &RoomId, session: SessionId) {
    let Some(parts) = rooms.upgrade() else {
        return;
    };
    let settings = parts.registry().recording(room.as_str());
    if settings.mode == RecordingMode::Off {
        return;
    }
    let (wanted, days) = (Wanted::default(), settings.retention_days);
    let recorded = recordings.record(parts.rooms(), room, session, wanted, days);
    if let Err(error) = recorded.await {
        tracing::error!(room = room.as_str(), %session, %error, "a session is not recorded");
    }
}
