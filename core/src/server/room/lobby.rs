//! The lobby of a room: those who wait to be let in.
//!
//! ```text
//!          ┌─ admit ─► session
//! wait ─►──┼─ deny ──► leaving        also: kicked meanwhile, left, lost, token over
//!          └─ replaced by a newer connection of the same participant
//! ```

use alloc::collections::BTreeMap;

use super::places::Places;
use crate::room::{DisplayName, ParticipantId};
use crate::server::keys::PeerKey;
use crate::server::member::{Guest, Receives, encoded};
use crate::signal::ServerMessage;

use alloc::vec::Vec;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Lobby {
    guests: BTreeMap<PeerKey, Guest>,
    by_id: BTreeMap<ParticipantId, PeerKey>,
    /// Goes up with every change of that.
    version: u64,
    /// Places kept for joins under way.
    pub(super) reserved: Places,
}

impl Lobby {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Those who wait, in the order of their ids.
    pub(crate) fn guests(&self) -> impl Iterator<Item = &Guest> {
        let keys = self.by_id.values();
        keys.filter_map(|key| self.guests.get(key))
    }

    /// Those who wait and for whom `is_meant` holds, in the order of their ids.
    pub(super) fn keys(&self, is_meant: impl Fn(&ParticipantId) -> bool) -> Vec<PeerKey> {
        let meant = self.by_id.iter().filter(|(id, _)| is_meant(id));
        meant.map(|(_, key)| *key).collect()
    }

    pub(super) fn first(&self) -> Option<PeerKey> {
        self.by_id.values().next().copied()
    }

    pub(super) fn find(&self, id: &ParticipantId) -> Option<PeerKey> {
        self.by_id.get(id).copied()
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Guest> {
        self.guests.get_mut(&key)
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Guest> {
        self.guests.get(&key)
    }

    pub(super) fn insert(&mut self, guest: Guest) {
        let key = guest.association.key;
        self.by_id.insert(guest.association.id.clone(), key);
        self.guests.insert(key, guest);
        self.version += 1;
    }

    pub(super) fn remove(&mut self, key: PeerKey) -> Option<Guest> {
        let guest = self.guests.remove(&key)?;
        self.by_id.remove(&guest.association.id);
        self.version += 1;
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

    /// Whether there is something that a moderator must hear of who waits.
    pub(super) fn has_news(&self, moderator: &Receives) -> bool {
        moderator.knocks_seen != self.version
    }

    /// The next that a moderator must hear of who waits.
    pub(super) fn poll_knock(&self, moderator: &mut Receives) -> Option<Vec<u8>> {
        if !self.has_news(moderator) {
            return None;
        }
        let knocks = &mut moderator.knocks;
        let gone = knocks.iter().find(|id| !self.by_id.contains_key(id));
        if let Some(participant) = gone.cloned() {
            knocks.remove(&participant);
            return encoded(&ServerMessage::KnockEnded { participant });
        }
        let Some(guest) = self
            .guests()
            .find(|guest| !knocks.contains(&guest.association.id))
        else {
            moderator.knocks_seen = self.version;
            return None;
        };
        let participant = guest.association.id.clone();
        let name: DisplayName = guest.name.clone();
        knocks.insert(participant.clone());
        encoded(&ServerMessage::Knock { participant, name })
    }
}
