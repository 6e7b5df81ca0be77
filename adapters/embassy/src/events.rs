//! The room's events and messages, for the one task that reads them.

use core::fmt;

use parlour_core::client::{BufferTooSmall, Client, Event, Message, Profile};

use crate::Device;
use crate::shared::Shared;

/// The events of a room, in their order, and the messages that they tell of.
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

    /// The next reliable message, its body copied to `buffer`; [`MAX_BODY`](parlour_core::signal::MAX_BODY) bytes
    /// hold any. [`Event::MessageReceived`] says that there is one.
    ///
    /// # Errors
    /// [`BufferTooSmall`]; the message stays the next one.
    pub fn take_message<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> Result<Option<Message<'b>>, BufferTooSmall> {
        self.shared.tell(|client| client.poll_message(buffer))
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
