//! Events that wait for the database.

use std::collections::VecDeque;

use parlour_tokio::core::server::Event;
use parlour_tokio::{Lagged, ServerEvent};

/// Bytes of events that wait at most.
pub(super) const BYTES: usize = 64 << 20;

/// What is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These events.
    Events(Vec<ServerEvent>),
    /// What is true now, in place of so many events that are lost.
    Missed(u64),
}

/// Events in their order, with gaps where some are lost. If they are too many, the oldest make room, and leave one gap at the
/// beginning.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Events that were lost before all of those here.
    missed_first: u64,
    waiting: VecDeque<Waiting>,
    most: usize,
}

#[derive(Debug)]
enum Waiting {
    Event(Box<ServerEvent>),
    Missed(u64),
}

impl Backlog {
    /// One for so many bytes of events.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            missed_first: 0,
            waiting: VecDeque::new(),
            most: (bytes / size_of::<ServerEvent>()).max(1),
        }
    }

    /// Takes in what happened, or that something is lost.
    pub(super) fn push(&mut self, next: Result<ServerEvent, Lagged>) {
        let missed = match next {
            Ok(event) => {
                let missed = match event.event {
                    Event::EventsMissed { count } => count,
                    _ => 0,
                };
                self.waiting.push_back(Waiting::Event(Box::new(event)));
                missed
            }
            Err(Lagged(count)) => count,
        };
        if missed > 0 {
            self.waiting.push_back(Waiting::Missed(missed));
        }
        while self.waiting.len() > self.most {
            self.missed_first += match self.waiting.pop_front() {
                Some(Waiting::Event(_)) => 1,
                Some(Waiting::Missed(count)) => count,
                None => 0,
            };
        }
    }

    /// What is to be written next, at most so many events.
    pub(super) fn next(&mut self, most: usize) -> Option<Next> {
        let missed = std::mem::take(&mut self.missed_first);
        if missed > 0 {
            return Some(Next::Missed(missed));
        }
        if let Some(Waiting::Missed(count)) = self.waiting.front() {
            let count = *count;
            self.waiting.pop_front();
            return Some(Next::Missed(count));
        }
        let mut events = Vec::new();
        while events.len() < most
            && let Some(Waiting::Event(_)) = self.waiting.front()
            && let Some(Waiting::Event(event)) = self.waiting.pop_front()
        {
            events.push(*event);
        }
        (!events.is_empty()).then_some(Next::Events(events))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn event(sequence: u64) -> ServerEvent {
        ServerEvent {
            worker: 0,
            sequence,
            at: SystemTime::UNIX_EPOCH,
            instant: tokio::time::Instant::now().into_std(),
            event: Event::Overloaded { late: 1 },
        }
    }

    fn numbers(next: Option<Next>) -> Vec<u64> {
        match next {
            Some(Next::Events(events)) => events.iter().map(|event| event.sequence).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_come_out_in_their_order_with_the_gaps_between() {
        let mut backlog = Backlog::new(BYTES);
        assert_eq!(backlog.next(8), None);
        for n in 1..=3 {
            backlog.push(Ok(event(n)));
        }
        backlog.push(Err(Lagged(7)));
        backlog.push(Ok(event(11)));
        assert_eq!(numbers(backlog.next(2)), [1, 2]);
        assert_eq!(numbers(backlog.next(2)), [3]);
        assert_eq!(backlog.next(2), Some(Next::Missed(7)));
        assert_eq!(numbers(backlog.next(2)), [11]);
        let missed = Event::EventsMissed { count: 5 };
        backlog.push(Ok(ServerEvent {
            event: missed,
            ..event(17)
        }));
        assert_eq!(numbers(backlog.next(2)), [17]);
        assert_eq!(backlog.next(2), Some(Next::Missed(5)));
        assert_eq!(backlog.next(2), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut backlog = Backlog::new(3 * size_of::<ServerEvent>());
        backlog.push(Err(Lagged(10)));
        for n in 11..=15 {
            backlog.push(Ok(event(n)));
        }
        assert_eq!(backlog.next(8), Some(Next::Missed(12)));
        assert_eq!(numbers(backlog.next(8)), [13, 14, 15]);
        assert_eq!(backlog.next(8), None);
    }
}
