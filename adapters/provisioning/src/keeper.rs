//! The settings while a device is in its room: a newer token that the server sends goes into flash.

use core::fmt;

use embedded_storage_async::nor_flash::NorFlash;
use parlour_core::client::{Event, Message};
use parlour_core::signal::{MAX_BODY, RequestId};

use crate::refresh::Refresh;
use crate::settings::Settings;
use crate::store::{SaveError, Store};

/// Keeps the settings: puts a newer token into flash.
pub struct Keeper<F: NorFlash> {
    settings: Settings,
    store: Store<F>,
    refresh: Refresh,
}

impl<F: NorFlash> Keeper<F> {
    /// Keeps these settings in `store`.
    pub const fn new(settings: Settings, store: Store<F>) -> Self {
        Self {
            settings,
            store,
            refresh: Refresh::new(),
        }
    }

    /// The settings, with the newest token that the server has taken.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes an event of the room. `next_message` gives the next message that waits, as `Events::take_message` of
    /// parlour-embassy does, and `ask` has the server take a token, as `Commands::refresh_token`.
    ///
    /// Returns something once the server has taken a newer token: whether flash keeps it. If so, the next start has a
    /// newer ticket than the room of this one.
    pub async fn hear(
        &mut self,
        event: &Event,
        mut next_message: impl for<'b> FnMut(&'b mut [u8]) -> Option<Message<'b>>,
        mut ask: impl FnMut(&str) -> Option<RequestId>,
    ) -> Option<Result<(), SaveError>> {
        match event {
            Event::MessageReceived => {
                let mut body = [0; MAX_BODY];
                while let Some(message) = next_message(&mut body) {
                    if let Some(token) = Refresh::offered(&message) {
                        self.refresh.asked(token, ask(token));
                    }
                }
                None
            }
            Event::Replied { request, result } => {
                let taken = self.refresh.replied(*request, result, &mut self.settings);
                if taken {
                    Some(self.store.save(&self.settings).await)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

impl<F: NorFlash> fmt::Debug for Keeper<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
