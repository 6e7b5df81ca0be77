//! Where a room state keeps its participants: a list sorted by id, with or without allocation.

use super::{Participant, ParticipantId};

/// One participant's place in a [`Roster`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub(super) participant: Participant,
    /// False only during a snapshot that has not described this participant so far.
    pub(super) mentioned: bool,
}

/// Storage for participants. [`RoomState`](super::RoomState) keeps it sorted by
/// [`ParticipantId`], without duplicates, and asks for nothing more than a list.
///
/// It is implemented for [`heapless::Vec`] (a client: at most `N` participants, no allocation)
/// and, with feature `server`, for `alloc::vec::Vec` (a server: as many as there are).
pub trait Roster {
    /// The places taken.
    fn seats(&self) -> &[Seat];

    /// The places taken, to change what is in them.
    fn seats_mut(&mut self) -> &mut [Seat];

    /// Takes a place at `index`, and moves those from there on up by one. Gives false, and changes
    /// nothing, if all places are taken or `index` lies beyond the end.
    fn insert(&mut self, index: usize, seat: Seat) -> bool;

    /// Gives up the place at `index`, if there is one, and moves those behind it down by one.
    fn remove(&mut self, index: usize);
}

impl<const N: usize> Roster for heapless::Vec<Seat, N> {
    fn seats(&self) -> &[Seat] {
        self
    }

    fn seats_mut(&mut self) -> &mut [Seat] {
        self
    }

    fn insert(&mut self, index: usize, seat: Seat) -> bool {
        index <= self.len() && heapless::Vec::insert(self, index, seat).is_ok()
    }

    fn remove(&mut self, index: usize) {
        if index < self.len() {
            heapless::Vec::remove(self, index);
        }
    }
}

#[cfg(feature = "server")]
impl Roster for alloc::vec::Vec<Seat> {
    fn seats(&self) -> &[Seat] {
        self
    }

    fn seats_mut(&mut self) -> &mut [Seat] {
        self
    }

    fn insert(&mut self, index: usize, seat: Seat) -> bool {
        let fits = index <= self.len();
        if fits {
            alloc::vec::Vec::insert(self, index, seat);
        }
        fits
    }

    fn remove(&mut self, index: usize) {
        if index < self.len() {
            alloc::vec::Vec::remove(self, index);
        }
    }
}

/// Where `id` is, or where it would have to be inserted.
pub(super) fn locate(seats: &[Seat], id: &ParticipantId) -> Result<usize, usize> {
    seats.binary_search_by(|seat| seat.participant.id.cmp(id))
}
