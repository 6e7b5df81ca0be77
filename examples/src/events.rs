//! The events and messages of a participant, with their times.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlour_tokio::{Event, Message, RoomEvent};
use tokio::sync::watch;

use crate::recording::Scale;

/// One event or message.
#[derive(Debug)]
pub enum Told {
    /// An event of its room.
    Event(Event),
    /// A message of another participant.
    Message(Message),
}

/// All events and messages of one participant so far. Clones share it.
#[derive(Debug, Clone)]
pub struct EventLog {
    scale: Scale,
    events: Arc<Mutex<Vec<(Duration, Told)>>>,
    count: watch::Sender<usize>,
}

impl EventLog {
    /// An empty one.
    pub fn new(scale: Scale) -> Self {
        Self {
            scale,
            events: Arc::default(),
            count: watch::Sender::new(0),
        }
    }

    /// Notes that `event` happened now.
    pub fn note(&self, event: Event) {
        self.add(Told::Event(event));
    }

    /// Notes that `message` came now.
    pub fn note_message(&self, message: Message) {
        self.add(Told::Message(message));
    }

    fn add(&self, told: Told) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push((self.scale.now(), told));
        let count = events.len();
        drop(events);
        self.count.send_replace(count);
    }

    /// The first event at or after `since` for which `wanted` returns a value, and that value.
    pub fn find<T>(
        &self,
        since: Duration,
        wanted: impl Fn(&Told) -> Option<T>,
    ) -> Option<(Duration, T)> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let mut late = events.iter().filter(|(at, _)| *at >= since);
        late.find_map(|(at, told)| wanted(told).map(|found| (*at, found)))
    }

    /// Waits for such an event, but not beyond `patience`.
    pub async fn wait<T>(
        &self,
        since: Duration,
        patience: Duration,
        wanted: impl Fn(&Told) -> Option<T>,
    ) -> Option<(Duration, T)> {
        let mut count = self.count.subscribe();
        let found = async {
            loop {
                count.mark_unchanged();
                if let Some(found) = self.find(since, &wanted) {
                    return found;
                }
                // The sender lives as long as this log.
                let _ = count.changed().await;
            }
        };
        tokio::time::timeout(patience, found).await.ok()
    }

    /// The time, at or after `since`, when this happened in the room.
    pub fn when(&self, since: Duration, event: &RoomEvent) -> Option<Duration> {
        let found = self.find(since, |seen| {
            matches!(seen, Told::Event(Event::Room(seen)) if seen == event).then_some(())
        });
        found.map(|(at, ())| at)
    }

    /// Waits until this happens in the room, but not beyond `patience`.
    pub async fn wait_for(
        &self,
        since: Duration,
        patience: Duration,
        event: &RoomEvent,
    ) -> Option<Duration> {
        let like = |seen: &Told| {
            matches!(seen, Told::Event(Event::Room(seen)) if seen == event).then_some(())
        };
        self.wait(since, patience, like).await.map(|(at, ())| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_happened_is_found_and_what_happens_is_waited_for() {
        let log = EventLog::new(Scale::start());
        let patience = Duration::from_secs(20);
        let (first, second) = (RoomEvent::CountChanged(1), RoomEvent::CountChanged(2));
        log.note(Event::Room(first.clone()));
        assert!(
            log.wait_for(Duration::ZERO, patience, &first)
                .await
                .is_some()
        );
        assert_eq!(log.when(Duration::ZERO, &second), None);
        assert_eq!(log.when(patience, &first), None, "that was before");
        let wait = log.wait_for(Duration::ZERO, patience, &second);
        let note = async { log.note(Event::Room(second.clone())) };
        assert!(tokio::join!(wait, note).0.is_some());
        let never = RoomEvent::CountChanged(3);
        assert_eq!(
            log.wait_for(Duration::ZERO, Duration::ZERO, &never).await,
            None
        );
    }
}
