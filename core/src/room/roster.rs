//! Where a room state keeps its participants and their attributes: sorted lists, with or without allocation.

use super::attribute::Attribute;
use super::{Participant, ParticipantId};

/// One participant's place in a [`Roster`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub(super) participant: Participant,
    /// False only during a snapshot that has not described this participant so far.
    pub(super) mentioned: bool,
}

/// Storage for participants and attributes. [`RoomState`](super::RoomState) keeps both sorted, by
/// [`ParticipantId`] and key, without duplicates, and asks for nothing more than two lists.
///
/// [`Bounded`] is a client's; with feature `server`, `Growing` is a server's.
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

    /// Whether it has places for attributes. Where it has none, nothing is linked that would fill them.
    fn keeps_attributes() -> bool
    where
        Self: Sized;

    /// The attributes.
    fn attributes(&self) -> &[Attribute];

    /// The attributes, to change their values.
    fn attributes_mut(&mut self) -> &mut [Attribute];

    /// As [`insert`](Self::insert), for an attribute.
    fn insert_attribute(&mut self, index: usize, attribute: Attribute) -> bool;

    /// As [`remove`](Self::remove), for an attribute.
    fn remove_attribute(&mut self, index: usize);
}

/// At most `N` participants and, of all of them together, `A` attributes, without allocation. Attributes for which there
/// is no place are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounded<const N: usize, const A: usize> {
    seats: heapless::Vec<Seat, N>,
    attributes: heapless::Vec<Attribute, A>,
}

/// As many of both as there are.
#[cfg(feature = "server")]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Growing {
    seats: alloc::vec::Vec<Seat>,
    attributes: alloc::vec::Vec<Attribute>,
}

impl<const N: usize, const A: usize> Roster for Bounded<N, A> {
    fn seats(&self) -> &[Seat] {
        &self.seats
    }

    fn seats_mut(&mut self) -> &mut [Seat] {
        &mut self.seats
    }

    fn insert(&mut self, index: usize, seat: Seat) -> bool {
        index <= self.seats.len() && self.seats.insert(index, seat).is_ok()
    }

    fn remove(&mut self, index: usize) {
        if index < self.seats.len() {
            self.seats.remove(index);
        }
    }

    fn keeps_attributes() -> bool {
        A > 0
    }

    fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    fn attributes_mut(&mut self) -> &mut [Attribute] {
        &mut self.attributes
    }

    fn insert_attribute(&mut self, index: usize, attribute: Attribute) -> bool {
        index <= self.attributes.len() && self.attributes.insert(index, attribute).is_ok()
    }

    fn remove_attribute(&mut self, index: usize) {
        if index < self.attributes.len() {
            self.attributes.remove(index);
        }
    }
}

#[cfg(feature = "server")]
impl Roster for Growing {
    fn seats(&self) -> &[Seat] {
        &self.seats
    }

    fn seats_mut(&mut self) -> &mut [Seat] {
        &mut self.seats
    }

    fn insert(&mut self, index: usize, seat: Seat) -> bool {
        let fits = index <= self.seats.len();
        if fits {
            self.seats.insert(index, seat);
        }
        fits
    }

    fn remove(&mut self, index: usize) {
        if index < self.seats.len() {
            self.seats.remove(index);
        }
    }

    fn keeps_attributes() -> bool {
        true
    }

    fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    fn attributes_mut(&mut self) -> &mut [Attribute] {
        &mut self.attributes
    }

    fn insert_attribute(&mut self, index: usize, attribute: Attribute) -> bool {
        let fits = index <= self.attributes.len();
        if fits {
            self.attributes.insert(index, attribute);
        }
        fits
    }

    fn remove_attribute(&mut self, index: usize) {
        if index < self.attributes.len() {
            self.attributes.remove(index);
        }
    }
}

/// Where `id` is, or where it would have to be inserted.
pub(super) fn locate(seats: &[Seat], id: &ParticipantId) -> Result<usize, usize> {
    seats.binary_search_by(|seat| seat.participant.id.cmp(id))
}
