//! Counts what happens in the rooms.

use parlour_tokio::core::server::Event;
use parlour_tokio::{ServerEvent, ServerEvents};

use super::Source;
use crate::counted::Counted;
use crate::scribe::snake;

/// Counts until the rooms are gone. It does not wait for the database, as history does.
pub(super) async fn count(mut events: ServerEvents, counted: Counted, source: Source) {
    while let Some(next) = events.next().await {
        let is_gap = match next {
            Ok(ServerEvent { event, .. }) => {
                count_one(&counted, &event);
                matches!(event, Event::EventsMissed { .. })
            }
            Err(_) => true,
        };
        if is_gap && let Some(sessions) = source.sessions().await {
            counted.sessions.set(sessions);
        }
    }
}

fn count_one(counted: &Counted, event: &Event) {
    match event {
        Event::SessionStarted { .. } => {
            counted.started.inc();
            counted.sessions.inc();
        }
        Event::SessionEnded { reason, .. } => {
            counted.ended(snake(*reason));
            counted.sessions.dec();
        }
        Event::ParticipantJoined { .. } => {
            counted.joined.inc();
        }
        Event::ParticipantLeft { reason, .. } => counted.left(snake(*reason)),
        Event::JoinRefused { refused, .. } => counted.refused(snake(refused.refusal)),
        _ => {}
    }
}
