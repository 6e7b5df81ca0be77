//! What happens in the room, for the one task that reads it.

use core::fmt;

use parlour_core::client::{Client, Event, Profile};

use crate::Device;
use crate::shared::Shared;

/// The events of a room, in their order.
///
/// There is one reader at a time, so that no task takes another's events: [`Room::events`](crate::Room::events) gives
/// another when this one is dropped. Events that are not taken collapse, see [`Event::EventsMissed`].
pub struct Events<'d, P: Profile = Device> {
    shared: &'d Shared<'d, P>,
}

impl<'d, P: Profile> Events<'d, P> {
    /// `None` while there is another.
    pub(crate) fn new(shared: &'d Shared<'d, P>) -> Option<Self> {
        (!shared.events_taken.replace(true)).then_some(Self { shared })
    }

    /// Waits for the next event. It may be dropped half way: no event is lost.
    pub async fn next(&mut self) -> Event {
        self.shared.until(|inner| inner.client.poll_event()).await
    }

    /// The next event, if there is one.
    pub fn try_next(&mut self) -> Option<Event> {
        self.shared.with(Client::poll_event)
    }
}

impl<P: Profile> Drop for Events<'_, P> {
    fn drop(&mut self) {
        self.shared.events_taken.set(false);
    }
}

impl<P: Profile> fmt::Debug for Events<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
