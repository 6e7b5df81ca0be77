//! The server's events and memory, and that both come to an end.

use std::collections::{BTreeMap, BTreeSet};

use parlour_core::room::RoomId;
use parlour_core::server::{Accounting, Event};

use super::{Room, World};

impl World {
    pub(super) fn events(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match &event {
                Event::JoinRequested { join, .. } => self.asked.push_back(*join),
                Event::RefreshRequested { refresh, .. } => self.refreshes.push_back(*refresh),
                _ => {}
            }
            if let Some(model) = &mut self.model {
                tell(model, event);
            }
        }
    }

    pub(super) fn check(&self) {
        let Accounting {
            rooms,
            participants,
            half_open,
            ended,
            connection_ids,
            stateless,
            events,
            longest_media_queue,
            longest_message_queue,
            media_buffers,
            ..
        } = self.server.accounting();
        let config = &self.config;
        assert!(rooms <= config.rooms);
        // Those that are being sent away are beyond the limit, for a few seconds each.
        assert!(participants <= config.participants + connection_ids);
        assert!(half_open <= config.half_open);
        assert!(ended <= config.ended);
        assert!(connection_ids <= 2 * participants + half_open);
        assert!(stateless <= 64);
        assert!(events <= config.events + config.half_open + participants);
        assert!(longest_media_queue <= config.queued_media);
        // And one place that says how many are lost.
        assert!(longest_message_queue <= config.queued_messages + 1);
        assert!(media_buffers <= config.media_buffers);
        for room in self.server.rooms() {
            let present = room
                .session
                .map_or(0, |(_, state)| state.participants().count());
            assert!(present <= config.participants_per_room);
            assert!(room.waiting <= config.waiting_per_room);
        }
        if let Some(model) = &self.model {
            assert_eq!(*model, self.truth(), "events and rooms differ");
        }
    }

    fn truth(&self) -> BTreeMap<RoomId, Room> {
        let sessions = self.server.rooms().filter_map(|room| {
            let (_, state) = room.session?;
            let present = state.participants().map(|participant| {
                let streams = participant.streams.iter().map(|stream| stream.key.clone());
                (participant.id.clone(), streams.collect())
            });
            Some((room.room.clone(), present.collect()))
        });
        sessions.collect()
    }

    /// All peers fall silent: the server sleeps in the end, and has forgotten all of them.
    pub(super) fn rest(&mut self) {
        let mut at_once = 0;
        for number in 0.. {
            assert!(number < 3_000, "the server does not come to rest");
            self.drain(0xff);
            self.events();
            let Some(next) = self.server.poll_timeout() else {
                break;
            };
            // A timeout may lie in the past, as a ping's does after a long silence.
            at_once = if next > self.now { 0 } else { at_once + 1 };
            assert!(at_once <= 8, "the server wakes for nothing");
            self.now = self.now.max(next);
            self.server.handle_timeout(self.now);
        }
        self.check();
        let empty = Accounting {
            media_bytes: self.server.accounting().media_bytes,
            ended: self.server.accounting().ended,
            ..Accounting::default()
        };
        assert_eq!(self.server.accounting(), empty);
    }
}

/// Takes an event into the model, which panics if it cannot be.
fn tell(model: &mut BTreeMap<RoomId, Room>, event: Event) {
    match event {
        Event::SessionStarted { room, .. } => {
            assert!(
                model.insert(room, Room::new()).is_none(),
                "a session starts once"
            );
        }
        Event::SessionEnded { room, .. } => {
            let left = model
                .remove(&room)
                .expect("a session that ends has started");
            assert!(left.is_empty(), "nobody is in a session that has ended");
        }
        Event::ParticipantJoined {
            room, participant, ..
        } => {
            let room = model.get_mut(&room).expect("a session");
            assert!(
                room.insert(participant, BTreeSet::new()).is_none(),
                "it joins once"
            );
        }
        Event::ParticipantLeft {
            room, participant, ..
        } => {
            let room = model.get_mut(&room).expect("a session");
            assert!(room.remove(&participant).is_some(), "who leaves has joined");
        }
        Event::ParticipantResumed {
            room, participant, ..
        }
        | Event::ParticipantConnection {
            room, participant, ..
        }
        | Event::GrantsChanged {
            room, participant, ..
        }
        | Event::ParticipantCensored {
            room, participant, ..
        }
        | Event::AttributeChanged {
            room, participant, ..
        } => {
            assert!(model[&room].contains_key(&participant));
        }
        Event::StreamPublished {
            room,
            participant,
            stream,
            ..
        } => {
            let room = model.get_mut(&room).expect("a session");
            let streams = room.get_mut(&participant).expect("a participant");
            assert!(streams.insert(stream.key), "it is published once");
        }
        Event::StreamUnpublished {
            room,
            participant,
            key,
            ..
        } => {
            let room = model.get_mut(&room).expect("a session");
            let streams = room.get_mut(&participant).expect("a participant");
            assert!(streams.remove(&key), "what is unpublished was published");
        }
        Event::EventsMissed { count } => panic!("{count} events missed though all were taken"),
        _ => {}
    }
}
