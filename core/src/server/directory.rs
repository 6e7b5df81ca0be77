//! Finds the association that a datagram, a ticket or an answer of the embedder concerns.

use alloc::collections::BTreeMap;

use slab::Slab;

use super::RefreshId;
use super::keys::{MemberKey, Owner, PeerKey, Place, RoomKey};
use crate::wire::ConnectionId;

/// All associations, found by connection id, ticket or question. Their holders stand elsewhere: a [`Place`] says
/// where.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) ids: BTreeMap<ConnectionId, Owner>,
    places: Slab<Place>,
    /// Owners of resume tickets, by the tickets' handles.
    pub(super) tickets: BTreeMap<u64, PeerKey>,
    pub(super) refreshes: BTreeMap<RefreshId, PeerKey>,
    next_refresh: u64,
}

impl Directory {
    pub(super) const fn new() -> Self {
        Self {
            ids: BTreeMap::new(),
            places: Slab::new(),
            tickets: BTreeMap::new(),
            refreshes: BTreeMap::new(),
            next_refresh: 0,
        }
    }

    /// Associations there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// A key for an association that is leaving, as far as is known yet.
    pub(super) fn insert(&mut self) -> PeerKey {
        PeerKey(self.places.insert(Place::Leaving))
    }

    pub(super) fn remove(&mut self, key: PeerKey) {
        self.places.try_remove(key.0);
    }

    pub(super) fn place(&self, key: PeerKey) -> Option<Place> {
        self.places.get(key.0).copied()
    }

    /// Notes that an association has moved.
    pub(super) fn set_place(&mut self, key: PeerKey, place: Place) {
        if let Some(old) = self.places.get_mut(key.0) {
            *old = place;
        }
    }

    /// The session member that a resume ticket with this handle continues.
    pub(super) fn member_by_ticket(&self, handle: u64) -> Option<(PeerKey, RoomKey, MemberKey)> {
        let key = *self.tickets.get(&handle)?;
        match self.place(key)? {
            Place::Session(room, member) => Some((key, room, member)),
            Place::Lobby(_) | Place::Leaving => None,
        }
    }

    /// A question to the embedder about a new token of this association.
    pub(super) fn ask_refresh(&mut self, key: PeerKey) -> RefreshId {
        let id = RefreshId(self.next_refresh);
        self.next_refresh += 1;
        self.refreshes.insert(id, key);
        id
    }
}
