//! The lobby of a room: those who wait to be let in.
//!
//! ```text
//!          ┌─ admit ─► session
//! wait ─►──┼─ deny ──► leaving        also: kicked meanwhile, left, lost, token over
//!          └─ replaced by a newer connection of the same participant
//! ```

use alloc::collections::BTreeMap;

use super::places::Places;
use crate::room::{DisplayName, ParticipantId, Place, WaitingList};
use crate::server::keys::PeerKey;
use crate::server::member::Guest;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Lobby {
    guests: BTreeMap<PeerKey, Guest>,
    by_id: BTreeMap<ParticipantId, (PeerKey, Place)>,
    waiting: WaitingList,
    /// Places kept for joins under way.
    pub(super) reserved: Places,
}

impl Lobby {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Those who wait, as it is told.
    pub(crate) fn waiting(&self) -> &WaitingList {
        &self.waiting
    }

    pub(crate) fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.values()
    }

    /// Those who wait, in the order of their ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = &ParticipantId> {
        self.by_id.keys()
    }

    pub(super) fn first(&self) -> Option<PeerKey> {
        self.by_id.values().next().map(|(key, _)| *key)
    }

    pub(super) fn find(&self, id: &ParticipantId) -> Option<PeerKey> {
        self.by_id.get(id).map(|(key, _)| *key)
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Guest> {
        self.guests.get_mut(&key)
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Guest> {
        self.guests.get(&key)
    }

    /// Adds one. One of the same participant makes room for it and is given back; if it has another name, what was told
    /// of it holds no more, and the new one stands behind all others.
    pub(super) fn insert(&mut self, guest: Guest) -> Option<Guest> {
        let (id, name, key) = (&guest.association.id, &guest.name, guest.association.key);
        let former = self.by_id.get(id).copied();
        let place = match former {
            Some((_, place)) if self.is_called(place, name) => place,
            _ => {
                if let Some((_, place)) = former {
                    self.waiting.leave(place);
                }
                self.waiting.enter(id.clone(), name.clone())
            }
        };
        self.by_id.insert(id.clone(), (key, place));
        self.guests.insert(key, guest);
        self.guests.remove(&former?.0)
    }

    fn is_called(&self, place: Place, name: &DisplayName) -> bool {
        let waiting = self.waiting.get(place);
        waiting.is_some_and(|waiting| waiting.name == *name)
    }

    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Guest> {
        let guest = self.guests.remove(&key)?;
        if let Some((_, place)) = self.by_id.remove(&guest.association.id) {
            self.waiting.leave(place);
        }
        Some(guest)
    }

    /// Places taken: by those who wait, and by joins under way of others.
    pub(super) fn places_taken_by_others(&self, participant: &ParticipantId) -> usize {
        let is_there = |id: &ParticipantId| self.by_id.contains_key(id);
        self.reserved
            .taken_by_others(self.len(), is_there, participant)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.by_id.is_empty() && self.reserved.is_empty()
    }
}
