//! Counts what happens in the rooms.

use parlour_tokio::core::server::Event;
use parlour_tokio::{ServerEvent, ServerEvents};

use super::Source;
use crate::counted::Counted;
use crate::scribe::snake;

/// Counts until the rooms are gone. It does not wait for the database, as history does.
pub(super) async fn count(mut events: ServerEvents, counted: Counted, source: Source) {
    // Of each worker, the number of the event up to which the sessions are counted.
    let mut known = Vec::new();
    while let Some(next) = events.next().await {
        let is_gap = match next {
            Ok(happened) => {
                let known = known.get(happened.worker).copied().unwrap_or(0);
                count_one(&counted, &happened, known);
                matches!(happened.event, Event::EventsMissed { .. })
            }
            Err(_) => true,
        };
        if is_gap && let Some((sessions, sequences)) = source.sessions().await {
            counted.sessions.set(sessions);
            known = sequences;
        }
    }
}

fn count_one(counted: &Counted, happened: &ServerEvent, known: u64) {
    let is_new = happened.sequence > known;
    match &happened.event {
        Event::SessionStarted { .. } => {
            counted.started.inc();
            counted.sessions.inc_by(is_new.into());
        }
        Event::SessionEnded { reason, .. } => {
            counted.ended(snake(*reason));
            counted.sessions.dec_by(is_new.into());
        }
        Event::ParticipantJoined { .. } => {
            counted.joined.inc();
        }
        Event::ParticipantLeft { reason, .. } => counted.left(snake(*reason)),
        Event::JoinRefused { refused, .. } => counted.refused(snake(refused.refusal)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use parlour_tokio::{RoomId, SessionId};

    use super::*;

    #[tokio::test]
    async fn a_session_that_a_snapshot_has_counted_is_not_counted_again() {
        let counted = Counted::default();
        counted.sessions.set(5);
        let started = |sequence| ServerEvent {
            worker: 0,
            sequence,
            at: SystemTime::UNIX_EPOCH,
            instant: tokio::time::Instant::now().into_std(),
            event: Event::SessionStarted {
                room: RoomId::new("kitchen").unwrap(),
                session: SessionId([1; 16]),
            },
        };
        for sequence in 9..=11 {
            count_one(&counted, &started(sequence), 10);
        }
        assert_eq!((counted.sessions.get(), counted.started.get()), (6, 3));
    }
}
