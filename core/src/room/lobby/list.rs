//! The list of waiting participants, as the server holds it, and the part that one receiver has been told.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{MAX_WAITING, Waiting};
use crate::room::{DisplayName, ParticipantId, Version};

/// Where one stands in the order of arrival. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// Those who wait, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct WaitingList {
    places: BTreeMap<Place, Waiting>,
    /// Goes up with every change.
    version: Version,
}

impl WaitingList {
    /// Adds one, behind all others.
    pub(crate) fn enter(&mut self, participant: ParticipantId, name: DisplayName) -> Place {
        self.version = self.version.next();
        let place = Place(self.version.0);
        self.places.insert(place, Waiting { participant, name });
        place
    }

    /// Takes one out.
    pub(crate) fn leave(&mut self, place: Place) {
        if self.places.remove(&place).is_some() {
            self.version = self.version.next();
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Waiting> {
        self.places.get(&place)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.places.values()
    }

    /// The next behind a place.
    fn after(&self, place: Option<Place>) -> Option<(Place, &Waiting)> {
        let from = place.map_or(Place(0), |Place(place)| Place(place.saturating_add(1)));
        let (place, waiting) = self.places.range(from..).next()?;
        Some((*place, waiting))
    }
}

/// One thing to tell a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// This one waits.
    Waits(Waiting),
    /// This one, of whom it was told, does not.
    Gone(ParticipantId),
    /// The lobby is at this version as it was told, and so many wait.
    Whole { version: Version, waiting: u32 },
}

/// The part of the lobby that one receiver has been told. Like the room's [`View`](crate::room::View) it queues
/// nothing.
#[derive(Debug, Default)]
pub(crate) struct LobbyView {
    /// By name, in the order of their places.
    told: Vec<(Place, ParticipantId)>,
    version: Version,
    /// Something was told since that version.
    is_between: bool,
    /// The receiver was not to know of the lobby, and has to forget it all before it is told again.
    is_forgetting: bool,
}

impl LobbyView {
    /// Whether there may be something to tell the receiver.
    pub(crate) fn has_news(&self, lobby: Option<&WaitingList>) -> bool {
        let version = lobby.map_or(Version::default(), WaitingList::version);
        self.version != version || self.is_between
    }

    /// The next thing to tell the receiver; `None` if it knows all that it should. To one that may not know of the lobby
    /// there is none: it is told to forget what it knows.
    ///
    /// The returned change counts as told, so poll only when it can be sent, and send reliably and in order.
    pub(crate) fn poll(&mut self, lobby: Option<&WaitingList>) -> Option<Told> {
        self.is_forgetting |= lobby.is_none();
        self.is_forgetting &= !self.told.is_empty();
        let lobby = lobby.filter(|_| !self.is_forgetting);
        let version = lobby.map_or(Version::default(), WaitingList::version);
        if !self.has_news(lobby) {
            return None;
        }
        self.is_between = true;
        let is_gone = |place| lobby.is_none_or(|lobby| lobby.get(place).is_none());
        if let Some(gone) = self.told.iter().position(|(place, _)| is_gone(*place)) {
            let (_, participant) = self.told.remove(gone);
            return Some(Told::Gone(participant));
        }
        if self.told.len() < MAX_WAITING {
            let last = self.told.last().map(|(place, _)| *place);
            if let Some((place, waiting)) = lobby.and_then(|lobby| lobby.after(last)) {
                self.told.push((place, waiting.participant.clone()));
                return Some(Told::Waits(waiting.clone()));
            }
        }
        self.is_between = false;
        self.version = version;
        let waiting = lobby.map_or(0, WaitingList::len);
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        Some(Told::Whole { version, waiting })
    }
}
