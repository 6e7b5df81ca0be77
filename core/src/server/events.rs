//! The bounded queue of what the embedder is told, and its count.

use alloc::collections::VecDeque;

use super::Event;

/// Events that wait to be polled.
#[derive(Debug)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    /// How many of them count against the capacity.
    counted: usize,
    capacity: usize,
    /// Events that have happened, questions apart.
    happened: u64,
    /// Those of them that were polled, or counted as missed by one that was.
    polled: u64,
}

impl Events {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            counted: 0,
            capacity: capacity.max(1),
            happened: 0,
            polled: 0,
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        if event.asks() {
            self.queue.push_back(event);
            return;
        }
        self.happened += 1;
        if self.counted < self.capacity {
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
            self.polled += match event {
                Event::EventsMissed { count } => count,
                _ => 1,
            };
        }
        Some(event)
    }

    /// See [`Server::events_happened`](super::Server::events_happened).
    pub(super) fn happened(&self) -> u64 {
        self.happened
    }

    /// See [`Server::events_polled`](super::Server::events_polled).
    pub(super) fn polled(&self) -> u64 {
        self.polled
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
    use alloc::vec::Vec;

    use super::*;
    use crate::room::{RoomId, SessionId};
    use crate::server::{JoinId, Path};
    use crate::signal::Secret;

    fn speaker(room: &str) -> Event {
        Event::SpeakerChanged {
            room: RoomId::new(room).unwrap(),
            session: SessionId([0; 16]),
            participant: None,
        }
    }

    fn join(id: u64) -> Event {
        Event::JoinRequested {
            join: JoinId(id),
            token: Secret("t".to_string()),
            from: Path::udp("192.0.2.1:9".parse().unwrap()),
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

    #[test]
    fn every_event_has_the_next_number_and_the_missed_ones_count() {
        let mut events = Events::new(2);
        assert_eq!((events.happened(), events.polled()), (0, 0));
        for event in [
            join(1),
            speaker("a"),
            speaker("b"),
            join(2),
            speaker("c"),
            speaker("d"),
        ] {
            events.push(event);
        }
        assert_eq!(events.happened(), 4);
        let polled = core::iter::from_fn(|| Some((events.pop()?, events.polled())));
        let numbers: Vec<_> = polled.filter(|(event, _)| !event.asks()).collect();
        assert_eq!(
            numbers,
            [(speaker("a"), 1), (Event::EventsMissed { count: 3 }, 4)]
        );
        events.push(speaker("e"));
        assert_eq!((events.pop(), events.polled()), (Some(speaker("e")), 5));
        assert_eq!(events.happened(), 5);
    }
}
