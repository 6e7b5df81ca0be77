//! What a server asked its embedder: by its place, since ids cannot be written down.

use std::collections::BTreeMap;

use parlour_core::server::{Event, JoinId, RefreshId};

/// Questions that are remembered. The server forgets a join after seconds, so one further back is answered for nothing.
const MAX_QUESTIONS: usize = 65_536;

/// Questions to the embedder, and the places that they had among all of their kind.
#[derive(Debug, Default)]
pub struct Questions {
    pub(crate) joins: Places<JoinId>,
    pub(crate) refreshes: Places<RefreshId>,
}

#[derive(Debug)]
pub(crate) struct Places<Id> {
    asked: u64,
    places: BTreeMap<Id, u64>,
}

// Derived, it would ask it of the ids.
impl<Id> Default for Places<Id> {
    fn default() -> Self {
        Self {
            asked: 0,
            places: BTreeMap::new(),
        }
    }
}

impl<Id: Ord + Copy> Places<Id> {
    fn note(&mut self, id: Id) {
        self.places.insert(id, self.asked);
        self.asked += 1;
        if self.places.len() > MAX_QUESTIONS {
            self.places.pop_first();
        }
    }

    /// The place of a question. One that nobody asked, or that was answered, has the place that none has.
    pub(crate) fn take(&mut self, id: Id) -> u64 {
        self.places.remove(&id).unwrap_or(u64::MAX)
    }

    /// The question at a place.
    pub(crate) fn find(&mut self, place: u64) -> Option<Id> {
        let mut found = self.places.iter().filter(|(_, at)| **at == place);
        let id = *found.next()?.0;
        self.places.remove(&id);
        Some(id)
    }
}

impl Questions {
    pub(crate) fn note(&mut self, event: Option<&Event>) {
        match event {
            Some(Event::JoinRequested { join, .. }) => self.joins.note(*join),
            Some(Event::RefreshRequested { refresh, .. }) => self.refreshes.note(*refresh),
            _ => {}
        }
    }
}
