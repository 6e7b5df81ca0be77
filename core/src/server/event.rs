//! What the server tells its embedder, in a bounded queue.

use alloc::collections::VecDeque;
use alloc::string::String;

use super::Path;
use crate::room::{
    CloseReason, ConnectionState, ParticipantId, RoomId, SessionId, Stream, StreamKey,
};
use crate::signal::Secret;

/// One join that waits for the embedder's answer. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinId(pub(super) u64);

/// One new token that waits for the embedder's answer. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefreshId(pub(super) u64);

/// Something happened that the embedder may want to act on or write down.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody wants to join. Answer with [`admit`](super::Server::admit),
    /// [`refuse`](super::Server::refuse) or [`redirect`](super::Server::redirect), soon: the join
    /// is forgotten after [`Config::join_timeout`](super::Config::join_timeout).
    JoinRequested {
        /// Stands in the answer again.
        join: JoinId,
        /// Who this is and what it may do, for the embedder to verify.
        token: Secret<String>,
        /// Where it comes from. Unproven: anybody can have sent it.
        from: Path,
    },
    /// A participant shows a new token. Answer with [`refresh`](super::Server::refresh).
    RefreshRequested {
        /// Stands in the answer again.
        refresh: RefreshId,
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// For the embedder to verify.
        token: Secret<String>,
    },
    /// The first participant is in the room.
    SessionStarted {
        /// Where.
        room: RoomId,
        /// The new session.
        session: SessionId,
    },
    /// The last participant is out of the room, or all were sent out.
    SessionEnded {
        /// Where.
        room: RoomId,
        /// The session that is no more.
        session: SessionId,
        /// [`Left`](CloseReason::Left) or whatever made the last one leave,
        /// [`SessionEnded`](CloseReason::SessionEnded), or
        /// [`ServerShutdown`](CloseReason::ServerShutdown).
        reason: CloseReason,
    },
    /// A participant waits in the lobby: answer with
    /// [`admit_waiting`](super::Server::admit_waiting) or
    /// [`deny_waiting`](super::Server::deny_waiting), or let a moderator do so.
    ParticipantWaiting {
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
    },
    /// A participant no longer waits in the lobby and did not come in.
    ParticipantGaveUp {
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: CloseReason,
    },
    /// A participant is in the session.
    ParticipantJoined {
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
    },
    /// A participant continues on a new connection.
    ParticipantResumed {
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
    },
    /// A participant fell silent or came back.
    ParticipantConnection {
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// Its state now.
        state: ConnectionState,
    },
    /// A participant is out of the session.
    ParticipantLeft {
        /// Where.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: CloseReason,
    },
    /// A stream is published.
    StreamPublished {
        /// Where.
        room: RoomId,
        /// Whose.
        participant: ParticipantId,
        /// The stream.
        stream: Stream,
    },
    /// A stream is no longer published.
    StreamUnpublished {
        /// Where.
        room: RoomId,
        /// Whose.
        participant: ParticipantId,
        /// Which.
        key: StreamKey,
    },
    /// Somebody else, or nobody, is loudest.
    SpeakerChanged {
        /// Where.
        room: RoomId,
        /// Who, if anybody speaks.
        participant: Option<ParticipantId>,
    },
    /// There is more to send than the embedder sends: it has too little processor time, or its socket takes no more. Of what
    /// waits for each receiver the oldest is dropped. Told at most once a second, while that lasts.
    Overloaded {
        /// Media packets and lossy messages that were dropped since this was last told.
        late: u64,
    },
    /// The queue was full: so many events were lost at this place. What is true now is in
    /// [`rooms`](super::Server::rooms).
    EventsMissed {
        /// How many.
        count: u64,
    },
}

impl Event {
    /// Whether somebody waits for the embedder to answer it. Such events are never lost: the joins
    /// and participants that they belong to are bounded themselves.
    const fn asks(&self) -> bool {
        matches!(
            self,
            Self::JoinRequested { .. } | Self::RefreshRequested { .. }
        )
    }
}

/// Events that wait to be polled.
#[derive(Debug)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    /// How many of them count against the capacity.
    counted: usize,
    capacity: usize,
}

impl Events {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            counted: 0,
            capacity: capacity.max(1),
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        if event.asks() {
            self.queue.push_back(event);
        } else if self.counted < self.capacity {
            self.counted += 1;
            self.queue.push_back(event);
        } else {
            // The newest counted place becomes the account of what is lost.
            match self.queue.iter_mut().rev().find(|event| !event.asks()) {
                Some(Event::EventsMissed { count }) => *count = count.saturating_add(1),
                Some(last) => *last = Event::EventsMissed { count: 2 },
                None => {}
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        if !event.asks() {
            self.counted = self.counted.saturating_sub(1);
        }
        Some(event)
    }

    /// Takes back a question that nobody waits for any more.
    pub(super) fn retract(&mut self, asked: impl Fn(&Event) -> bool) {
        self.queue.retain(|event| !(event.asks() && asked(event)));
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn speaker(room: &str) -> Event {
        Event::SpeakerChanged {
            room: RoomId::new(room).unwrap(),
            participant: None,
        }
    }

    fn join(id: u64) -> Event {
        Event::JoinRequested {
            join: JoinId(id),
            token: Secret("t".to_string()),
            from: Path::Stream {
                id: 1,
                from: core::net::Ipv4Addr::LOCALHOST.into(),
            },
        }
    }

    #[test]
    fn overflow_is_counted_and_questions_survive_it() {
        let mut events = Events::new(2);
        for event in [
            speaker("a"),
            speaker("b"),
            join(1),
            speaker("c"),
            join(2),
            speaker("d"),
        ] {
            events.push(event);
        }
        assert_eq!(events.pop(), Some(speaker("a")));
        assert_eq!(events.pop(), Some(Event::EventsMissed { count: 3 }));
        assert_eq!(events.pop(), Some(join(1)));
        assert_eq!(events.pop(), Some(join(2)));
        assert_eq!(events.pop(), None);
        events.push(speaker("e"));
        assert_eq!(events.pop(), Some(speaker("e")));
    }

    #[test]
    fn a_question_can_be_taken_back() {
        let mut events = Events::new(2);
        events.push(join(1));
        events.push(join(2));
        events.push(speaker("a"));
        events.retract(|event| {
            matches!(
                event,
                Event::JoinRequested {
                    join: JoinId(1),
                    ..
                }
            )
        });
        assert_eq!(events.pop(), Some(join(2)));
        assert_eq!(events.pop(), Some(speaker("a")));
    }
}
